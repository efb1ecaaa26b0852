internal import Primitives

/// The authorization server for programs of third parties, sign-in through another service, and the hub where
/// providers meet people.
enum OAuthDocuments {
  static let all: [RouteDocument] = described + decisions + openID + hub + consents + programs

  static let schemas: [(String, Schema)] = [
    ("OAuthError", failure), ("ProviderUser", person), ("ProviderConsent", consent),
    ("OAuthClient", client),
  ]

  private typealias Answer = RouteDocument.Answer
  private static let html = "text/html; charset=utf-8"

  // MARK: OAuth 2.1

  private static let described: [RouteDocument] = [
    RouteDocument(
      "GET /.well-known/oauth-authorization-server", .signIn,
      answers: [
        .json(
          .object([
            "issuer": .string, "authorization_endpoint": .string, "token_endpoint": .string,
          ]), "The authorization server (RFC 8414).")
      ]),
    resource("GET /.well-known/oauth-protected-resource"),
    resource("GET /.well-known/oauth-protected-resource/mcp"),
    RouteDocument(
      "GET /oauth/page.css", .signIn,
      answers: [.other("text/css; charset=utf-8", "The style of the pages.")]),
  ]

  private static func resource(_ key: String) -> RouteDocument {
    RouteDocument(
      key, .signIn,
      answers: [
        .json(
          .object(["resource": .string, "authorization_servers": .list(.string)]),
          "What tokens are for (RFC 9728).")
      ])
  }

  private static let text = Schema.string
  private static let decisions: [RouteDocument] = [
    RouteDocument(
      "GET /oauth/authorize", .signIn,
      words:
        "Code with PKCE S256 and `state`; mistakes that may not go back to the program are shown.",
      parameters: [
        .query("response_type", text), .query("client_id", text), .query("redirect_uri", text),
        .query("scope", text), .query("state", text), .query("code_challenge", text),
        .query("code_challenge_method", text), .query("resource", text), .query("again", text),
      ],
      answers: [
        page("The page where a person decides."), .empty("Back to the program.", status: 303),
      ]
        + [400, 401, 403].map { page("Why not.", status: $0) }, problems: [.validationFailed]),
    RouteDocument(
      "POST /oauth/authorize", .signIn, words: "The forms of that page alone.",
      body: .form(.document),
      answers: [page("The page again."), .empty("Back to the program.", status: 303)]
        + [400, 401, 403, 429].map { page("Why not.", status: $0) },
      problems: [.unauthenticated, .originNotAllowed, .forbidden, .validationFailed],
      repeats: .again),
    RouteDocument(
      "POST /oauth/token", .signIn, [.anyone, .client],
      words: "`authorization_code` with its verifier, or `refresh_token`, which rotates.",
      body: .form(
        .object([
          "grant_type?": text, "code?": text, "redirect_uri?": text, "client_id?": text,
          "client_secret?": text, "code_verifier?": text, "refresh_token?": text, "scope?": text,
          "resource?": text,
        ])),
      answers: [
        .json(
          .object([
            "access_token": text, "token_type": text, "expires_in": .count, "scope?": text,
            "refresh_token?": text,
          ]), "Tokens."), fault(400), fault(401),
      ], repeats: .once(by: "the code or the refresh token")),
    RouteDocument(
      "POST /oauth/revoke", .signIn, [.anyone, .client],
      body: .form(.object(["token?": text, "token_type_hint?": text, "client_id?": text])),
      answers: [.empty("It is worth nothing any more.", status: 200), fault(400), fault(401)]),
  ]

  private static func page(_ words: String, status: Int = 200) -> Answer {
    .other(html, words, status: status)
  }

  private static func fault(_ status: Int) -> Answer {
    .json(.ref("OAuthError"), "Refused in OAuth's words (RFC 6749).", status: status)
  }

  private static let failure = Schema.object(["error": .string, "error_description?": .string])

  // MARK: Sign-in through another service

  private static let openID: [RouteDocument] = [
    RouteDocument(
      "GET /v1/auth/oidc/start", .accounts, parameters: [.query("returnTo", .text(1...2_000))],
      answers: [.empty("On to the other service.", status: 303)], problems: [.notFound]),
    RouteDocument(
      "GET /v1/auth/oidc/callback", .accounts,
      parameters: [
        .query("code", text), .query("state", text), .query("iss", text), .query("error", text),
        .query("error_description", text),
      ],
      answers: [
        page("The account's password is asked for once."), .empty("Signed in.", status: 303),
        page("Why not.", status: 400), page("Why not.", status: 401),
      ],
      problems: [
        .notFound, .forbidden, .unauthenticated, .tokenInvalid, .tokenExpired, .emailTaken,
      ], repeats: .once(by: "state")),
    RouteDocument(
      "POST /v1/auth/oidc/link", .accounts, body: .form(.document),
      answers: [.empty("Signed in.", status: 303), page("Why not.", status: 401)],
      problems: [
        .notFound, .forbidden, .originNotAllowed, .unauthenticated, .tokenInvalid, .tokenExpired,
        .emailTaken,
      ], repeats: .again),
  ]

  // MARK: One identity at every provider

  private static let run = ["sessions:run"]
  private static let hub: [RouteDocument] = [
    RouteDocument(
      "POST /v1/sso/provision", .providers, [.session, .provider], scopes: run,
      words: "With the session's token as the bearer, or in the body beside the provider's key.",
      body: .optional(.closed(["sessionToken?": .string])),
      answers: [.json(.ref("ProviderUser"), "The person as this provider knows it.")],
      problems: [.notFound], repeats: .once(by: "person and provider")),
    RouteDocument(
      "GET /v1/sso/verify", .providers, [.session], scopes: run,
      answers: [
        .json(
          .object(["valid": .boolean, "user": .ref("ProviderUser"), "session": .document]),
          "The token is good.")
      ], problems: [.notFound]),
    RouteDocument(
      "GET /v1/users/{providerUserId}/profile", .providers, [.session, .provider], scopes: run,
      answers: [
        .json(
          .all(of: .ref("ProviderUser"), .object(["openSessions?": .list(.string)])),
          "What the person lets it know.")
      ]),
  ]

  private static let person = Schema.object([
    "providerUserId": .string, "name?": .string.orNull, "email?": .string, "verified?": .boolean,
    "scopes": .list(.string), "firstSeenAt": .moment, "lastSeenAt": .moment,
  ])

  private static let consents: [RouteDocument] = [
    RouteDocument(
      "GET /v1/me/consents/providers", .accounts, [.user],
      answers: [
        .json(
          .object(["providers": .list(.ref("ProviderConsent"))]), "What providers may know of me.")
      ]),
    RouteDocument(
      "GET /v1/me/consents/providers/{id}", .accounts, [.user],
      answers: [.json(.ref("ProviderConsent"), "What one provider may know.")]),
    RouteDocument(
      "PUT /v1/me/consents/providers/{id}", .accounts, [.user],
      body: .json(.closed(["scopes": .list(.one(of: "profile", "email", "session_access"))])),
      answers: [.json(.ref("ProviderConsent"), "As it is now.")]),
    RouteDocument(
      "DELETE /v1/me/consents/providers/{id}", .accounts, [.user],
      answers: [.empty("It may know nothing any more.")]),
  ]

  private static let consent = Schema.object([
    "providerId": .string, "scopes": .list(.string), "asked": .list(.string),
    "givenAt": Schema.moment.orNull, "withdrawnAt": Schema.moment.orNull,
  ])

  // MARK: Programs

  private static let programs: [RouteDocument] = [
    RouteDocument(
      "GET /v1/admin/oauth-clients", .admin, [.admin],
      parameters: [ListParameters.limit, ListParameters.after],
      answers: [.json(ListParameters.page("clients", of: .ref("OAuthClient")), "By id.")]),
    RouteDocument(
      "POST /v1/admin/oauth-clients", .admin, [.admin],
      body: .json(
        .closed([
          "name": .string, "redirectUris": .list(.string),
          "scopes?": Schema.list(.string).orNull, "confidential?": .boolean,
        ])),
      answers: [.json(.ref("OAuthClient"), "With its secret, where it has one.", status: 201)],
      repeats: .key),
    RouteDocument(
      "DELETE /v1/admin/oauth-clients/{id}", .admin, [.admin],
      answers: [.empty("It is gone, and its tokens with it.")]),
    RouteDocument(
      "GET /v1/me/apps", .accounts, [.user],
      answers: [.json(.object(["apps": .list(.document)]), "Programs that may act for me.")]),
    RouteDocument(
      "DELETE /v1/me/apps/{id}", .accounts, [.user],
      answers: [.empty("It may not any more.")]),
  ]

  private static let client = Schema.object([
    "id": .string, "name": .string, "redirectUris": .list(.string), "scopes": .list(.string),
    "confidential": .boolean, "createdAt": Schema.moment.orNull, "secret?": .string,
  ])
}
