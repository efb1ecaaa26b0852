internal import Primitives

/// Buying tokens, the processor's events, and what an operator does about them.
enum PaymentDocuments {
  static let all: [RouteDocument] = buyers + pages + admin

  static let schemas: [(String, Schema)] = [
    ("Purchase", purchase), ("PurchaseForAdmins", .all(of: .ref("Purchase"), more)),
  ]

  private static let buyers: [RouteDocument] = [
    RouteDocument(
      "POST /v1/tokens/purchase", .payments, [.user],
      words: "The balance changes when the processor's signed event has come.",
      body: .json(.closed(["tokenAmount": .integer(100...100_000)])),
      answers: [.json(.ref("Purchase"), "Where to pay: `checkoutUrl`.", status: 201)],
      problems: [.accountFrozen, .purchasesNotOffered, .paymentsUnavailable], repeats: .key),
    RouteDocument(
      "GET /v1/tokens/purchases", .payments, [.user],
      parameters: [ListParameters.limit, ListParameters.before],
      answers: [
        .json(ListParameters.page("purchases", of: .ref("Purchase")), "Own, newest first.")
      ],
      problems: [.cursorInvalid]),
    RouteDocument(
      "GET /v1/tokens/purchases/{id}", .payments, [.user],
      answers: [.json(.ref("Purchase"), "One own purchase.")]),
    RouteDocument(
      "POST /v1/payments/webhook", .payments, [.signature],
      words: "For the payment processor alone; signed over time and body.",
      body: .other("application/json", .document),
      answers: [
        .json(.object(["received": .boolean, "result": .string]), "It is stored, or was before.")
      ],
      problems: [
        .signatureInvalid, .malformedJSON, .validationFailed, .purchasesNotOffered,
        // A large body wants its signature in the head before it is read.
        .unauthenticated,
      ],
      repeats: .once(by: "the event's id")),
  ]

  private static let page = "text/html; charset=utf-8"

  private static let pages: [RouteDocument] = [
    RouteDocument(
      "GET /purchases/{purchaseId}", .payments,
      words: "Where the payment processor sends the browser back to; known by the refresh cookie.",
      parameters: [
        .query("checkout", .string),
        .query("look", .integer(1...Int64(ReturnRoutes.looksMax))),
      ],
      answers: [
        .other(page, "How the purchase stands."),
        .other(page, "Nobody is signed in in this browser.", status: 401),
        .other(page, "This account has no such purchase.", status: 404),
      ]),
    RouteDocument(
      "GET /sessions/{sessionId}", .sessions,
      words: "Where a provider's app sends the browser back to; known by the refresh cookie.",
      answers: [
        .other(page, "What the session used, and who paid."),
        .other(page, "Nobody is signed in in this browser.", status: 401),
        .other(page, "This account has no such session.", status: 404),
      ]),
  ]

  private static let admin: [RouteDocument] = [
    RouteDocument(
      "GET /v1/admin/purchases", .admin, [.admin],
      parameters: [
        ListParameters.limit, ListParameters.before, .query("flagged", .integer(0...1)),
        .query("userId", .id), .query("state", .string),
      ],
      answers: [
        .json(ListParameters.page("purchases", of: .ref("PurchaseForAdmins")), "Everybody's.")
      ], problems: [.cursorInvalid]),
    RouteDocument(
      "GET /v1/admin/purchases/{id}", .admin, [.admin],
      answers: [.json(.ref("PurchaseForAdmins"), "One, with its events and refunds.")]),
    RouteDocument(
      "POST /v1/admin/purchases/{id}/refund", .admin, [.admin],
      words: "Without an amount: all that is left.",
      body: .optional(
        .closed([
          "amountMinor?": Schema.integer(1...Int64.max).orNull, "reason?": .text(0...200),
        ])),
      answers: [
        .json(
          .object([
            "refundId": .id, "purchaseId": .id, "amountMinor": .count, "currency": .string,
            "reason": .string, "state": .one(of: "accepted"), "processorId": Schema.string.orNull,
            "adminId": .id, "createdAt": .moment,
          ]), "The processor has it.", status: 201)
      ],
      problems: [
        .invalidTransition, .exceedsCapture, .purchasesNotOffered, .paymentsUnavailable,
      ], repeats: .key),
    RouteDocument(
      "POST /v1/admin/purchases/{id}/unflag", .admin, [.admin], body: .optional(.closed([:])),
      answers: [.json(.ref("PurchaseForAdmins"), "The mark is off.")]),
    RouteDocument(
      "GET /v1/admin/payment-events", .admin, [.admin],
      parameters: [
        ListParameters.limit,
        .query("outcome", .one(of: "applied", "waiting", "mismatch", "unknown")),
      ],
      answers: [.json(.object(["events": .list(.document)]), "Events by what became of them.")]),
    RouteDocument(
      "GET /v1/admin/chargebacks", .admin, [.admin],
      parameters: [ListParameters.limit, .query("after", .id)],
      answers: [
        .json(
          .object([
            "users": .list(
              .object([
                "userId": .id, "owedMicrotokens": .microtokens, "frozenAt": Schema.moment.orNull,
              ])), "next": .string.orNull,
          ]), "Who is frozen or owes.")
      ]),
    RouteDocument(
      "POST /v1/admin/chargebacks/{id}/settle", .admin, [.admin], body: .optional(.closed([:])),
      answers: [
        .json(
          .object([
            "userId": .id, "collectedMicrotokens": .microtokens,
            "forgivenMicrotokens": .microtokens,
          ]), "The debt is settled.")
      ], repeats: .key),
  ]

  private static let purchase = Schema.object([
    "purchaseId": .id, "state": .string, "tokenAmount": .count, "amountMinor": .count,
    "currency": .string, "checkoutUrl": .string.orNull, "refundedMinor": .count,
    "createdAt": .moment, "updatedAt": .moment,
  ])

  private static let more = Schema.object([
    "userId": .id, "checkoutSession": .string.orNull, "paymentIntent": .string.orNull,
    "disputedMinor": .count, "creditedMicrotokens": .microtokens,
    "clawedMicrotokens": .microtokens, "owedMicrotokens": .microtokens,
    "forgivenMicrotokens": .microtokens, "flag": .string.orNull, "events?": .list(.document),
    "refunds?": .list(.document),
  ])
}
