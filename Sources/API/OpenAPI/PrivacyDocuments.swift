internal import Primitives

/// A person's data, and what operators do with accounts, keys and the audit log.
enum PrivacyDocuments {
  static let all: [RouteDocument] = own + users + keys

  static let schemas: [(String, Schema)] = [("Consent", consent)]

  private static let consent = Schema.object([
    "purpose": .one(of: "analytics", "marketing", "sharing"), "granted": .boolean,
    "at": Schema.moment.orNull,
  ])

  private static let own: [RouteDocument] = [
    RouteDocument(
      "GET /v1/me/export", .accounts, [.user],
      answers: [.json(.document, "Everything known of the account, as one document.")]),
    RouteDocument(
      "DELETE /v1/me", .accounts, [.user],
      words: "Erases the account for good. The password may be left out after POST /v1/me/reauth.",
      body: .json(.closed(["password?": .string, "forfeitBalance?": .boolean])),
      answers: [.empty("It is gone.")],
      problems: [.reauthRequired, .balanceNotEmpty, .unauthenticated]),
    RouteDocument(
      "POST /v1/me/reauth", .accounts, [.user],
      words: "Begins a sign-in through the other service that stands for the password, once.",
      body: .json(
        .closed([
          "purpose": .one(of: "erase", "password"),
          "returnTo?": Schema.string.about("A path of this server."),
        ])),
      answers: [
        .json(
          .object(["address": .string, "expiresInSeconds": .count]),
          "Where the browser goes; a cookie is set for its return.")
      ], problems: [.notFound], repeats: .again),
    RouteDocument(
      "GET /v1/me/consents", .accounts, [.user],
      answers: [
        .json(
          .object(["consents": .list(.ref("Consent")), "history": .list(.ref("Consent"))]),
          "Consents and their history.")
      ]),
    RouteDocument(
      "GET /v1/me/consents/{purpose}", .accounts, [.user],
      answers: [.json(.ref("Consent"), "One consent.")]),
    RouteDocument(
      "PUT /v1/me/consents/{purpose}", .accounts, [.user],
      body: .json(.closed(["granted": .boolean])),
      answers: [.json(.ref("Consent"), "As it is now.")]),
    RouteDocument(
      "PUT /v1/me/retention", .accounts, [.user],
      body: .json(.closed(["conversationDays": Schema(["enum": [0, 30, 60, 90]])])),
      answers: [.json(.object(["conversationDays": .count]), "As it is now.")]),
  ]

  private static let users: [RouteDocument] = [
    RouteDocument(
      "GET /v1/admin/users", .admin, [.admin],
      parameters: [
        ListParameters.limit, ListParameters.before, .query("email", .string),
        .query("role", .one(of: "admin", "provider", "user")),
      ],
      answers: [.json(ListParameters.page("users", of: .ref("User")), "Accounts, newest first.")],
      problems: [.cursorInvalid]),
    RouteDocument(
      "GET /v1/admin/users/{id}", .admin, [.admin],
      answers: [.json(.ref("User"), "One account.")]),
    RouteDocument(
      "POST /v1/admin/users/{id}/freeze", .admin, [.admin], body: .optional(.closed([:])),
      answers: [.json(.ref("User"), "It cannot sign in, and its logins have ended.")]),
    RouteDocument(
      "POST /v1/admin/users/{id}/unfreeze", .admin, [.admin], body: .optional(.closed([:])),
      answers: [.json(.ref("User"), "It may sign in.")]),
    RouteDocument(
      "PUT /v1/admin/users/{id}/role", .admin, [.admin],
      body: .json(
        .closed([
          "role": .one(of: "admin", "provider", "user"), "providerId?": Schema.string.orNull,
        ])),
      answers: [.json(.ref("User"), "With its new role.")]),
  ]

  private static let keys: [RouteDocument] = [
    RouteDocument(
      "GET /v1/admin/keys", .admin, [.admin],
      parameters: [
        ListParameters.limit, ListParameters.before, .query("user", .id),
        .query("provider", .string),
      ],
      answers: [.json(ListParameters.page("keys", of: .ref("APIKey")), "API keys, newest first.")],
      problems: [.cursorInvalid, .notFound]),
    RouteDocument(
      "DELETE /v1/admin/keys/{id}", .admin, [.admin],
      answers: [.empty("It is refused from now on.")]),
    RouteDocument(
      "GET /v1/admin/signing-keys", .admin, [.admin],
      answers: [.json(.object(["keys": .list(.document)]), "Keys that sign tokens.")]),
    RouteDocument(
      "POST /v1/admin/signing-keys/rotate", .admin, [.admin],
      body: .optional(.closed(["algorithm?": .one(of: "ES256", "EdDSA", "RS256")])),
      answers: [
        .json(
          .object(["kid": .string, "algorithm": .string, "activeFrom": .moment]),
          "The next key is published.")
      ], problems: [.invalidTransition], repeats: .again),
    RouteDocument(
      "POST /v1/admin/signing-keys/{id}/remove", .admin, [.admin],
      words: "Everything that it signed is refused at once.", body: .optional(.closed([:])),
      answers: [.json(.object(["kid": .string]), "It is removed.")],
      problems: [.invalidTransition]),
    RouteDocument(
      "GET /v1/admin/audit", .admin, [.admin],
      parameters: [
        .query("limit", Schema.integer(1...200).otherwise(50)), .query("cursor", .string),
        .query("subject", .string),
      ],
      answers: [
        .json(
          .object([
            "entries": .list(
              .object([
                "sequence": .count, "at": .moment, "actor": .string, "action": .string,
                "subject": .string, "detail": .string, "requestId": .string,
              ])), "nextCursor": .string.orNull,
          ]), "Who did what, newest first.")
      ], problems: [.cursorInvalid]),
    RouteDocument(
      "GET /v1/admin/audit/verify", .admin, [.admin],
      answers: [
        .json(
          .object([
            "sound": .boolean, "rows": .count,
            "head": .object(["sequence": .count, "rowHash": .string]),
            "faults": .list(.string),
          ]), "The chain, computed anew.")
      ]),
  ]
}
