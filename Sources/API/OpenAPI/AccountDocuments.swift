internal import Primitives

/// Accounts, logins, devices and keys.
enum AccountDocuments {
  static let all: [RouteDocument] = signIn + account + devices + keys

  static let schemas: [(String, Schema)] = [
    ("User", user), ("SignedIn", signedIn), ("Device", device), ("APIKey", key),
  ]

  private static let email = Schema.string
  private static let password = Schema.string
  private static let sent = Schema.object(["state": .string])

  private static let signIn: [RouteDocument] = [
    RouteDocument(
      "POST /v1/auth/register", .accounts,
      words:
        "Sets the refresh cookie. Where the server sends e-mail the answer is 202, for known addresses too.",
      body: .json(
        .closed([
          "email": email,
          "password": password.about("8 characters to 1,024 bytes, not a common one."),
          "name?": Schema.text(0...200).orNull,
        ])),
      answers: [
        .json(.ref("SignedIn"), "The account is there and signed in.", status: 201),
        .json(sent, "A link is on its way.", status: 202),
      ], problems: [.emailTaken, .unauthenticated, .tokenInvalid], repeats: .key),
    RouteDocument(
      "POST /v1/auth/verify", .accounts,
      words: "With the token of the e-mail; for a registration also with the password chosen then.",
      body: .json(.closed(["token": .string, "password?": password.orNull])),
      answers: [
        .json(.object(["user": .ref("User")]), "The address is the account's."),
        .json(.ref("SignedIn"), "The account is there and signed in.", status: 201),
      ],
      problems: [.tokenInvalid, .tokenExpired, .emailTaken, .mailNotConfigured, .reauthRequired],
      repeats: .once(by: "the token")),
    RouteDocument(
      "POST /v1/auth/login", .accounts, words: "Sets the refresh cookie.",
      body: .json(.closed(["email": email, "password": password])),
      answers: [.json(.ref("SignedIn"), "Signed in.")],
      problems: [.unauthenticated, .tokenInvalid, .forbidden], repeats: .again),
    RouteDocument(
      "POST /v1/auth/refresh", .accounts, [.refresh],
      words: "Rotates the cookie; an old one that comes again ends the login.",
      answers: [.json(.ref("SignedIn"), "A new access token.")],
      problems: [.unauthenticated, .tokenInvalid, .tokenExpired],
      repeats: .once(by: "the refresh token")),
    RouteDocument(
      "POST /v1/auth/logout", .accounts, answers: [.empty("The login has ended.")]),
    RouteDocument(
      "POST /v1/auth/reset", .accounts, words: "The same answer for an address that is not known.",
      body: .json(.closed(["email": email])),
      answers: [.json(sent, "A link is on its way, where there is an account.", status: 202)],
      problems: [.mailNotConfigured], repeats: .again),
    RouteDocument(
      "POST /v1/auth/reset/confirm", .accounts,
      words: "Ends every login, and the access of programs.",
      body: .json(.closed(["token": .string, "password": password])),
      answers: [.empty("The password is the new one.")],
      problems: [.tokenInvalid, .tokenExpired, .mailNotConfigured],
      repeats: .once(by: "the token")),
  ]

  private static let account: [RouteDocument] = [
    RouteDocument("GET /v1/me", .accounts, [.user], answers: [.json(.ref("User"), "The account.")]),
    RouteDocument(
      "POST /v1/me/password", .accounts, [.user],
      words: "Ends every other login. The present one may be left out after POST /v1/me/reauth.",
      body: .json(
        .closed(["currentPassword?": password, "newPassword": password])),
      answers: [.empty("The password is the new one.")],
      problems: [.reauthRequired, .unauthenticated], repeats: .again),
    RouteDocument(
      "POST /v1/me/verify", .accounts, [.user],
      answers: [.json(sent, "A link is on its way, or the address is proven.", status: 202)],
      problems: [.mailNotConfigured], repeats: .again),
  ]

  private static let devices: [RouteDocument] = [
    RouteDocument(
      "GET /v1/auth/sessions", .accounts, [.user],
      answers: [.json(.object(["sessions": .list(.ref("Device"))]), "Devices signed in.")]),
    RouteDocument(
      "DELETE /v1/auth/sessions", .accounts, [.user],
      answers: [.json(.object(["ended": .count]), "Every other device is signed out.")]),
    RouteDocument(
      "GET /v1/auth/sessions/{id}", .accounts, [.user],
      answers: [.json(.ref("Device"), "One device.")]),
    RouteDocument(
      "DELETE /v1/auth/sessions/{id}", .accounts, [.user],
      answers: [.empty("It is signed out.")]),
  ]

  private static let owner = RouteDocument.Parameter.query(
    "owner",
    Schema.one(of: "user", "provider").about(
      "Whose, for a provider's person; the provider's unless told."))

  private static let keys: [RouteDocument] = [
    RouteDocument(
      "GET /v1/me/keys", .accounts, [.user], parameters: [owner],
      answers: [.json(.object(["keys": .list(.ref("APIKey"))]), "The newest 200.")]),
    RouteDocument(
      "POST /v1/me/keys", .accounts, [.user], parameters: [owner],
      body: .json(
        .closed([
          "name": .text(1...200), "scopes?": Schema.list(.string).orNull,
          "filter?": SearchSchemas.filter.orNull, "maxPerMinute?": Schema.integer.orNull,
          "expiresAt?": Schema.string.orNull,
        ])),
      answers: [.json(.ref("APIKey"), "It is there; its `secret` is in this answer.", status: 201)],
      problems: [.filterInvalid], repeats: .key),
    RouteDocument(
      "GET /v1/me/keys/{id}", .accounts, [.user], parameters: [owner],
      answers: [.json(.ref("APIKey"), "One key.")]),
    RouteDocument(
      "DELETE /v1/me/keys/{id}", .accounts, [.user], parameters: [owner],
      answers: [.empty("It is refused from now on.")]),
    RouteDocument(
      "GET /v1/provider/launch-tokens", .providers, [.provider], scopes: ["provider:manage"],
      answers: [.json(signing, "How its launch tokens are signed.")]),
    RouteDocument(
      "PUT /v1/provider/launch-tokens", .providers, [.provider], scopes: ["provider:manage"],
      body: .json(.closed(["algorithm": .one(of: "ES256", "EdDSA", "RS256")])),
      answers: [.json(signing, "Chosen; in force when verifiers can know the key.")]),
  ]

  private static let signing = Schema.object(["algorithm": .string, "effectiveFrom": .moment])

  private static let user = Schema.object([
    "id": .id, "email": .string, "name": .string.orNull,
    "role": .one(of: "user", "provider", "admin"), "providerId": .string.orNull,
    "verified": .boolean, "createdAt": .moment, "conversationDays": .count,
    "frozenAt?": Schema.moment.orNull, "devices?": .count,
  ])

  private static let signedIn = Schema.object([
    "user": .ref("User"), "accessToken": .string, "tokenType": .one(of: "Bearer"),
    "expiresInSeconds": .count,
  ])

  private static let device = Schema.object([
    "id": .id, "client": .string, "startedAt": .moment, "usedAt": .moment, "current": .boolean,
  ])

  private static let key = Schema.object([
    "id": .id, "name": .string, "scopes": .list(.string), "filter": .string.orNull,
    "maxPerMinute": Schema.integer.orNull, "createdAt": .moment,
    "expiresAt": Schema.moment.orNull, "lastUsedAt": Schema.moment.orNull,
    "revokedAt": Schema.moment.orNull, "userId?": .id, "providerId?": .string, "secret?": .string,
  ])
}
