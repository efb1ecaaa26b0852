internal import Primitives

/// Accounts and logins.
enum AccountDocuments {
  static let all: [RouteDocument] = [
    RouteDocument(
      "POST /v1/auth/register", .accounts, words: "Sets the refresh cookie.",
      body: .json(
        .closed(["email": email, "password": password, "name?": Schema.text(1...200).orNull])),
      answers: [.json(.ref("SignedIn"), "The account is there and signed in.", status: 201)],
      problems: [.emailTaken], repeats: .again),
    RouteDocument(
      "POST /v1/auth/login", .accounts, words: "Sets the refresh cookie.",
      body: .json(.closed(["email": .string, "password": .string])),
      answers: [.json(.ref("SignedIn"), "Signed in.")],
      problems: [.unauthenticated, .tokenInvalid], repeats: .again),
    RouteDocument(
      "POST /v1/auth/refresh", .accounts, [.refresh],
      words: "Rotates the cookie; an old one that comes again ends the login.",
      answers: [.json(.ref("SignedIn"), "A new access token.")],
      problems: [.unauthenticated, .tokenInvalid, .tokenExpired],
      repeats: .once(by: "the refresh token")),
    RouteDocument(
      "POST /v1/auth/logout", .accounts, answers: [.empty("The login has ended.")]),
    RouteDocument(
      "GET /v1/me", .accounts, [.user], answers: [.json(.ref("User"), "The account.")]),
  ]

  static let email = Schema.text(3...254, pattern: "@")
  static let password = Schema.text(8...1_024)
}
