internal import Primitives

/// A provider's webhooks and events, and the stream of a user's.
enum WebhookDocuments {
  static let all: [RouteDocument] = endpoints + deliveries

  static let schemas: [(String, Schema)] = [("Webhook", webhook), ("Delivery", delivery)]

  private static let manage = ["provider:manage"]
  private static let types = Schema.list(.string)

  private static let endpoints: [RouteDocument] = [
    RouteDocument(
      "GET /v1/provider/webhooks", .providers, [.provider], scopes: manage,
      answers: [.json(.object(["webhooks": .list(.ref("Webhook"))]), "Own webhooks; ten at most.")]),
    RouteDocument(
      "POST /v1/provider/webhooks", .providers, [.provider], scopes: manage,
      words: "Its secret is in this answer alone.",
      body: .json(
        .closed([
          "url": .text(1...2_000), "types?": types.orNull,
          "description?": Schema.text(0...200).orNull,
          "algorithm?": Schema.one(of: "hmac-sha256", "ed25519").orNull,
          "secret?": Schema.string.orNull,
        ])),
      answers: [.json(.ref("Webhook"), "It is there, with its secret.", status: 201)],
      repeats: .key),
    RouteDocument(
      "GET /v1/provider/webhooks/{id}", .providers, [.provider], scopes: manage,
      answers: [.json(.ref("Webhook"), "One own webhook.")]),
    RouteDocument(
      "PATCH /v1/provider/webhooks/{id}", .providers, [.provider], scopes: manage,
      body: .optional(
        .closed([
          "url?": Schema.text(1...2_000).orNull, "types?": types.orNull,
          "description?": Schema.text(0...200).orNull, "enabled?": Schema.boolean.orNull,
        ])),
      answers: [.json(.ref("Webhook"), "As it is now.")]),
    RouteDocument(
      "DELETE /v1/provider/webhooks/{id}", .providers, [.provider], scopes: manage,
      answers: [.empty("It is gone, with its log.")]),
    RouteDocument(
      "POST /v1/provider/webhooks/{id}/rotate", .providers, [.provider], scopes: manage,
      words: "For a day both secrets sign.",
      body: .optional(.closed(["secret?": Schema.string.orNull])),
      answers: [.json(.ref("Webhook"), "With its new secret.")], repeats: .key),
    RouteDocument(
      "POST /v1/provider/webhooks/{id}/test", .providers, [.provider], scopes: manage,
      body: .optional(.closed([:])),
      answers: [.json(.ref("Delivery"), "A test event is on its way.", status: 202)],
      problems: [.invalidTransition], repeats: .key),
  ]

  private static let deliveries: [RouteDocument] = [
    RouteDocument(
      "GET /v1/provider/webhooks/{id}/deliveries", .providers, [.provider], scopes: manage,
      parameters: [
        .query("limit", Schema.integer(1...100).otherwise(20)), ListParameters.before,
        .query("state", .one(of: "due", "delivered", "dead")),
      ],
      answers: [.json(ListParameters.page("deliveries", of: .ref("Delivery")), "Newest first.")],
      problems: [.cursorInvalid]),
    RouteDocument(
      "GET /v1/provider/webhooks/{id}/deliveries/{deliveryId}", .providers, [.provider],
      scopes: manage, answers: [.json(.ref("Delivery"), "One, with its attempts.")]),
    RouteDocument(
      "POST /v1/provider/webhooks/{id}/deliveries/{deliveryId}/replay", .providers, [.provider],
      scopes: manage, body: .optional(.closed([:])),
      answers: [.json(.ref("Delivery"), "It goes out again.", status: 202)],
      problems: [.invalidTransition], repeats: .key),
    RouteDocument(
      "GET /v1/provider/events", .providers, [.provider], scopes: manage,
      parameters: [ListParameters.limit, .query("before", .string)],
      answers: [.json(ListParameters.page("events", of: .document), "Own events, newest first.")],
      problems: [.cursorInvalid]),
    RouteDocument(
      "GET /v1/me/events", .accounts, [.user],
      words: "Ends with the access token; `Last-Event-ID` goes on from there.",
      parameters: [
        .header("Last-Event-ID", Schema.string.about("The id of the last event that came."))
      ], answers: [.events("Balance, sessions and warnings, as they happen.")],
      problems: [.streamExpired]),
  ]

  private static let webhook = Schema.object([
    "id": .id, "url": .string, "description": .string, "types": .list(.string),
    "algorithm": .one(of: "hmac-sha256", "ed25519"), "enabled": .boolean,
    "disabledReason": .string.orNull, "disabledAt": Schema.moment.orNull,
    "consecutiveFailures": .count, "pending": .count, "previousSecretUntil": Schema.moment.orNull,
    "createdAt": .moment, "updatedAt": .moment, "secret?": .string, "publicKey?": .string.orNull,
  ])

  private static let delivery = Schema.object([
    "id": .id, "eventId": .string, "type": .string, "state": .one(of: "due", "delivered", "dead"),
    "tries": .count, "nextAttemptAt": Schema.moment.orNull, "createdAt": .moment,
    "finishedAt": Schema.moment.orNull,
    "attempts": .list(
      .object([
        "number": .count, "at": .moment, "durationMs": .count, "status": Schema.count.orNull,
        "error": .string.orNull, "answer": .string,
      ])),
  ])
}
