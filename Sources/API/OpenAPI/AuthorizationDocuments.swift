internal import Primitives

/// Third parties' programs, sign-in through another service, identities at providers.
enum AuthorizationDocuments {
  static let all: [RouteDocument] = descriptions + oauth + openID + apps + hub + consents + clients

  static let schemas: [(String, Schema)] = [
    ("OAuthClient", client), ("OAuthError", error), ("ProviderUser", user),
    ("ProviderConsent", consent),
  ]

  private typealias Answer = RouteDocument.Answer

  private static let page = "text/html; charset=utf-8"

  // MARK: OAuth 2.1

  private static let descriptions: [RouteDocument] = [
    RouteDocument(
      "GET /.well-known/oauth-authorization-server", .signIn,
      answers: [
        .json(
          .object([
            "issuer": .string, "authorization_endpoint": .string, "token_endpoint": .string,
            "revocation_endpoint": .string, "jwks_uri": .string,
            "scopes_supported": .list(.string),
            "token_endpoint_auth_methods_supported": .list(.string),
            "token_endpoint_auth_signing_alg_values_supported": .list(.string),
          ]), "The authorization server (RFC 8414).")
      ]),
    resource("", "What tokens are for (RFC 9728)."),
    resource("/mcp", "What tokens for MCP are for."),
    RouteDocument(
      "GET /oauth/page.css", .signIn,
      answers: [.other("text/css; charset=utf-8", "The style of the pages.")]),
  ]

  private static func resource(_ part: String, _ words: String) -> RouteDocument {
    RouteDocument(
      "GET /.well-known/oauth-protected-resource" + part, .signIn,
      answers: [
        .json(
          .object([
            "resource": .string, "authorization_servers": .list(.string),
            "scopes_supported": .list(.string),
          ]), words)
      ])
  }

  private static let error = Schema.object(["error": .string, "error_description": .string])

  private static let oauth: [RouteDocument] = [
    RouteDocument(
      "GET /oauth/authorize", .signIn,
      words:
        "A page for a person's browser. What is wrong goes to the program, but for its own id and address.",
      parameters: [
        .query("response_type", .string), .query("client_id", .string),
        .query("redirect_uri", .string), .query("state", .string),
        .query("code_challenge", .string), .query("code_challenge_method", .string),
        .query("scope", .string), .query("resource", .string),
      ],
      answers: [
        .other(page, "The page."), .empty("Back to the program, with the mistake.", status: 303),
        .other(page, "The request cannot be answered.", status: 400),
        .other(page, "The program is not known.", status: 401),
        .other(page, "The program's document cannot be asked for now.", status: 503),
      ]),
    RouteDocument(
      "POST /oauth/authorize", .signIn,
      words: "What that page sends: a sign-in, or the decision.",
      body: .form(
        .object([
          "step?": .string, "request?": .string, "email?": .string, "password?": .string,
          "decision?": .string,
        ])),
      answers: [
        .empty("Signed in, and on to the decision.", status: 303),
        .other(page, "A page that leads back to the program, with the code or a no."),
        .other(page, "The form is not sound.", status: 400),
        .other(page, "The e-mail or the password is not right.", status: 401),
        .other(page, "The account may not sign in.", status: 403),
        .other(page, "Too many tries.", status: 429),
        .other(page, "The program's document cannot be asked for now.", status: 503),
      ], problems: [.originNotAllowed, .forbidden, .unauthenticated], repeats: .again),
    RouteDocument(
      "POST /oauth/token", .signIn, [.client],
      words: "A code counts once; an old refresh token ends the grant.",
      body: .form(
        .object([
          "grant_type?": .string, "code?": .string, "code_verifier?": .string,
          "redirect_uri?": .string, "refresh_token?": .string, "scope?": .string,
          "resource?": .string, "client_id?": .string, "client_secret?": .string,
          "client_assertion_type?": .string, "client_assertion?": .string,
        ])),
      answers: [
        .json(
          .object([
            "access_token": .string, "token_type": .one(of: "Bearer"), "expires_in": .count,
            "refresh_token": .string, "scope": .string,
          ]), "Tokens.")
      ] + mistakes, repeats: .once(by: "the code or the refresh token")),
    RouteDocument(
      "POST /oauth/revoke", .signIn, [.client],
      words:
        "Ends what either token belongs to; what is no token is no mistake (RFC 7009), another client's is.",
      body: .form(
        .object([
          "token?": .string, "token_type_hint?": .string, "client_id?": .string,
          "client_secret?": .string, "client_assertion_type?": .string,
          "client_assertion?": .string,
        ])),
      answers: [.empty("It has ended.", status: 200)] + mistakes),
  ]

  private static let mistakes: [Answer] = [
    .json(.ref("OAuthError"), "A mistake, in the words of RFC 6749.", status: 400),
    .json(.ref("OAuthError"), "The client is not who it says.", status: 401),
    .json(.ref("OAuthError"), "The client's document cannot be asked for now.", status: 503),
  ]

  private static let apps: [RouteDocument] = [
    RouteDocument(
      "GET /v1/me/apps", .accounts, [.user],
      answers: [
        .json(
          .object([
            "apps": .list(
              .object([
                "id": .id, "clientId": .string, "name": .string, "scopes": .list(.string),
                "createdAt": .moment, "lastUsedAt": .moment,
              ]))
          ]), "Programs that may act for me, newest first.")
      ]),
    RouteDocument(
      "DELETE /v1/me/apps/{id}", .accounts, [.user],
      answers: [.empty("Its tokens have ended.")]),
  ]

  // MARK: OpenID Connect

  private static let openID: [RouteDocument] = [
    RouteDocument(
      "GET /v1/auth/oidc/start", .signIn, words: "For a browser.",
      parameters: [.query("returnTo", Schema.string.about("A path of this server."))],
      answers: [.empty("On to the other service.", status: 303)], problems: [.notFound],
      repeats: .again),
    RouteDocument(
      "GET /v1/auth/oidc/callback", .signIn,
      words: "Where the other service sends the browser back to. Sets the refresh cookie.",
      parameters: [
        .query("code", .string), .query("state", .string), .query("iss", .string),
        .query("error", .string),
      ],
      answers: [
        .empty("Signed in, and on to where it began.", status: 303),
        .other(page, "A page that asks for the account's password, once."),
      ], problems: [.notFound, .unauthenticated, .forbidden], repeats: .once(by: "the code")),
    RouteDocument(
      "POST /v1/auth/oidc/link", .signIn, words: "What that page sends.",
      body: .form(.object(["request?": .string, "password?": .string])),
      answers: [
        .empty("Connected, signed in, and on to where it began.", status: 303),
        .other(page, "The password is not right.", status: 401),
      ], problems: [.notFound, .forbidden, .originNotAllowed], repeats: .once(by: "the identity")),
  ]

  // MARK: Providers

  private static let user = Schema.object([
    "providerUserId": .string, "name?": .string.orNull, "email?": .string, "verified?": .boolean,
    "scopes": .list(.string), "firstSeenAt": .moment, "lastSeenAt": .moment,
    "openSessions?": .list(.id),
  ])

  private static let hub: [RouteDocument] = [
    RouteDocument(
      "POST /v1/sso/provision", .providers, [.session, .provider], scopes: ["sessions:run"],
      words: "The session's token is the bearer, or stands in the body beside an API key.",
      body: .optional(.closed(["sessionToken?": .string])),
      answers: [.json(.ref("ProviderUser"), "The person as this provider knows it.")],
      problems: [.notFound, .tokenInvalid, .tokenExpired, .forbidden],
      repeats: .once(by: "the session's person")),
    RouteDocument(
      "GET /v1/sso/verify", .providers, [.session], scopes: ["sessions:run"],
      answers: [
        .json(
          .object(["valid": .boolean, "user": .ref("ProviderUser"), "session": .document]),
          "The token is good.")
      ], problems: [.notFound, .forbidden]),
    RouteDocument(
      "GET /v1/users/{providerUserId}/profile", .providers, [.session, .provider],
      scopes: ["sessions:run"],
      answers: [.json(.ref("ProviderUser"), "The person as this provider knows it.")]),
  ]

  private static let consent = Schema.object([
    "providerId": .string, "scopes": .list(.string), "asked": .list(.string),
    "givenAt": Schema.moment.orNull, "withdrawnAt": Schema.moment.orNull,
  ])

  private static let scopes = Schema.list(.one(of: "profile", "email", "session_access"))

  private static let consents: [RouteDocument] = [
    RouteDocument(
      "GET /v1/provider/consent-scopes", .providers, [.provider], scopes: ["provider:manage"],
      answers: [.json(.object(["scopes": scopes]), "What people are asked for.")]),
    RouteDocument(
      "PUT /v1/provider/consent-scopes", .providers, [.provider], scopes: ["provider:manage"],
      words: "`session_access` is always among them. What was allowed before stays.",
      body: .json(.closed(["scopes": scopes])),
      answers: [.json(.object(["scopes": scopes]), "As it is now.")], problems: [.notFound]),
    RouteDocument(
      "GET /v1/me/consents/providers", .accounts, [.user],
      answers: [
        .json(
          .object(["providers": .list(.ref("ProviderConsent"))]), "What providers may know of me.")
      ]),
    RouteDocument(
      "GET /v1/me/consents/providers/{id}", .accounts, [.user],
      answers: [.json(.ref("ProviderConsent"), "What is asked, and what was said.")]),
    RouteDocument(
      "PUT /v1/me/consents/providers/{id}", .accounts, [.user],
      body: .json(
        .closed(["scopes": scopes])),
      answers: [.json(.ref("ProviderConsent"), "As it is now.")]),
    RouteDocument(
      "DELETE /v1/me/consents/providers/{id}", .accounts, [.user],
      words: "The provider is told with `user.deprovisioned`.",
      answers: [.empty("It is withdrawn.")]),
  ]

  // MARK: Operators

  private static let client = Schema.object([
    "id": .string, "name": .string, "redirectUris": .list(.string), "scopes": .list(.string),
    "confidential": .boolean, "createdAt": Schema.moment.orNull, "secret?": .string,
    "keySet?": .document,
  ])

  private static let clients: [RouteDocument] = [
    RouteDocument(
      "GET /v1/admin/oauth-clients", .admin, [.admin],
      parameters: [ListParameters.limit, ListParameters.after],
      answers: [
        .json(ListParameters.page("clients", of: .ref("OAuthClient")), "Programs, oldest first.")
      ]),
    RouteDocument(
      "POST /v1/admin/oauth-clients", .admin, [.admin],
      body: .json(
        .closed([
          "name": .text(1...100), "redirectUris": .list(.string, 1...20),
          "scopes?": Schema.list(.string).orNull, "confidential?": .boolean,
          "keySet?": Schema.document.orNull,
        ])),
      answers: [
        .json(
          .ref("OAuthClient"), "Registered; the `secret` of a confidential one is in this answer.",
          status: 201)
      ], repeats: .key),
    RouteDocument(
      "PUT /v1/admin/oauth-clients/{id}/key-set", .admin, [.admin],
      words: "From then on the program's secret is worth nothing.",
      body: .json(.closed(["keys": .list(.document, 1...10)])),
      answers: [.json(.ref("OAuthClient"), "As it is now.")]),
    RouteDocument(
      "DELETE /v1/admin/oauth-clients/{id}", .admin, [.admin],
      answers: [.empty("It is gone, and so is what people let it do.")]),
  ]
}
