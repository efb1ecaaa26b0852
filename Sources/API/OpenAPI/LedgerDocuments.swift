internal import Primitives

/// The ledger: balances, movements, limits, and what operators order.
enum LedgerDocuments {
  static let all: [RouteDocument] = own + admin

  static let schemas: [(String, Schema)] = [
    ("Balance", balance), ("Transfer", transfer), ("Statement", statement),
    ("SpendingLimits", limits), ("OrderDone", done),
  ]

  private static let read = ["sessions:read"]
  private static let csv = "text/csv; charset=utf-8; header=present"
  private static let account = RouteDocument.Parameter.query(
    "account",
    Schema.one(of: "user", "provider").about(
      "Whose, for a provider's person; the provider's unless told."))
  private static let anyAccount = RouteDocument.Parameter.query(
    "account",
    Schema.string.about("`user:ID`, `provider:ID` or a platform account such as `platform_fees`."),
    isRequired: true)
  private static let at = RouteDocument.Parameter.query(
    "at", Schema.string.about("A time (RFC 3339), a date, or a number of the ledger's sequence."))
  private static let period: [RouteDocument.Parameter] = [
    .query("from", Schema.string.about("A time or a date, included.")),
    .query("to", Schema.string.about("A time or a date, excluded.")),
  ]
  private static let format = RouteDocument.Parameter.query(
    "format", Schema.one(of: "json", "csv").about("Else what `Accept` asks for."))

  private static func table(_ schema: Schema, _ words: String) -> RouteDocument.Answer {
    RouteDocument.Answer(
      status: 200, words: words, contents: [("application/json", schema), (csv, .string)])
  }

  private static let own: [RouteDocument] = [
    RouteDocument(
      "GET /v1/tokens/balance", .tokens, [.user, .provider], scopes: read,
      parameters: [account, at],
      answers: [.json(.ref("Balance"), "What the account has, and what of it is held.")]),
    RouteDocument(
      "GET /v1/tokens/transactions", .tokens, [.user, .provider], scopes: read,
      parameters: [
        account, ListParameters.limit,
        .query("cursor", Schema.string.about("`nextCursor` of the page before.")),
        .query("kind", .one(of: "post", "hold", "capture", "void", "expire", "fee", "refund")),
        format,
      ] + period,
      answers: [
        table(
          .object(["transactions": .list(.ref("Transfer")), "nextCursor": .string.orNull]),
          "Movements, newest first; a table has its cursor in `Waypost-Next-Cursor`.")
      ], problems: [.cursorInvalid]),
    RouteDocument(
      "GET /v1/tokens/statement", .tokens, [.user, .provider], scopes: read,
      parameters: [account, format] + period,
      answers: [table(.ref("Statement"), "A period: opening, movements, closing.")]),
    RouteDocument(
      "GET /v1/tokens/limits", .tokens, [.user], scopes: read,
      answers: [.json(.ref("SpendingLimits"), "The limits, and what of them is used.")]),
    RouteDocument(
      "PUT /v1/tokens/limits", .tokens, [.user],
      body: .optional(
        .closed([
          "dayMicrotokens?": Schema.microtokens.orNull,
          "monthMicrotokens?": Schema.microtokens.orNull,
          "lowBalanceMicrotokens?": Schema.microtokens.orNull,
        ]).about("Null, or nothing, is no limit.")),
      answers: [.json(.ref("SpendingLimits"), "The new limits.")],
      problems: [.amountOutOfRange]),
  ]

  private static let admin: [RouteDocument] = [
    RouteDocument(
      "GET /v1/ledger/verify", .admin, [.admin],
      answers: [
        .json(
          .object([
            "sound": .boolean, "transfers": .count, "faults": .list(.string),
            "wrongMarks": .list(.string),
          ]),
          "Balances, invariants and chain, computed anew. A fault of the ledger ends writing.")
      ]),
    RouteDocument(
      "POST /v1/admin/ledger/reopen", .admin, [.admin],
      words: "After the ledger was found unsound, only this or a restart opens it.",
      answers: [
        .json(
          .object([
            "sound": .boolean, "transfers": .count, "faults": .list(.string),
            "wrongMarks": .list(.string), "open": .boolean,
          ]), "What the verification of the whole found, and whether writes are taken.")
      ]),
    RouteDocument(
      "GET /v1/admin/ledger/balance", .admin, [.admin], parameters: [anyAccount, at],
      answers: [.json(.ref("Balance"), "Any account's balance.")]),
    RouteDocument(
      "GET /v1/admin/ledger/statement", .admin, [.admin],
      parameters: [anyAccount, format] + period,
      answers: [table(.ref("Statement"), "Any account's period.")], problems: [.notFound]),
    order(
      "POST /v1/admin/grants",
      .closed([
        "userId": .string, "amountMicrotokens": amount, "reason": reason,
        "via?": Schema.one(of: "straight", "grants"),
      ]), [.notFound]),
    order(
      "POST /v1/admin/payouts",
      .closed([
        "providerId": .string, "amountMicrotokens": amount, "reference": .text(1...200),
        "reason": reason,
      ]), [.notFound], isNatural: true),
    order(
      "POST /v1/admin/refunds",
      .closed(["captureId": .string, "amountMicrotokens": amount, "reason": reason]),
      [.notFound, .exceedsCapture]),
    standing("freeze"), standing("unfreeze"),
    RouteDocument(
      "POST /v1/admin/backups", .admin, [.admin],
      answers: [
        .json(
          .object(["name": .string, "byteCount": .count, "at": .moment]),
          "The copy lies in the data folder's backups/.", status: 201)
      ], problems: [.notFound], repeats: .again),
  ]

  private static func order(
    _ key: String, _ body: Schema, _ problems: [ProblemCode], isNatural: Bool = false
  ) -> RouteDocument {
    let again = RouteDocument.Answer.json(.ref("OrderDone"), "It was booked before.")
    return RouteDocument(
      key, .admin, [.admin], body: .json(body),
      answers: [.json(.ref("OrderDone"), "It is booked.", status: 201)]
        + (isNatural ? [again] : []),
      problems: problems + [
        .insufficientFunds, .accountClosed, .accountFrozen, .amountOutOfRange, .idExistsDifferent,
      ], repeats: .key)
  }

  private static func standing(_ name: String) -> RouteDocument {
    RouteDocument(
      "POST /v1/admin/accounts/{userId}/" + name, .admin, [.admin],
      body: .json(.closed(["reason": reason])),
      answers: [
        .json(
          .object(["userId": .id, "frozenAt": Schema.moment.orNull]), "How the account stands.")
      ], problems: [.invalidTransition, .accountClosed, .accountFrozen])
  }

  private static let amount = Schema.integer(1...1_000_000_000_000_000)
  private static let reason = Schema.text(1...200)

  private static let balance = Schema.object([
    "balanceMicrotokens": .integer, "heldMicrotokens": .microtokens,
    "availableMicrotokens": .integer, "microtokensPerToken": .integer,
  ])

  private static let transfer = Schema.object([
    "sequence": .count, "id": .string, "kind": .string, "amountMicrotokens": .integer,
    "balanceChangeMicrotokens": .integer, "heldChangeMicrotokens": .integer,
    "counterparty": .string, "reason": .string, "at": .moment, "holdId": .string.orNull,
    "refersTo": .string.orNull,
  ])

  private static let statement = Schema.object([
    "from": .moment, "to": .moment, "opening": .ref("Balance"),
    "entries?": .list(.ref("Transfer")), "closing": .ref("Balance"),
  ])

  private static let used = Schema.object(["usedMicrotokens": .microtokens, "resetsAt": .moment])

  private static let limits = Schema.object([
    "dayMicrotokens": Schema.microtokens.orNull, "monthMicrotokens": Schema.microtokens.orNull,
    "lowBalanceMicrotokens": Schema.microtokens.orNull, "day": used, "month": used,
  ])

  private static let done = Schema.object([
    "transferId": .string, "amountMicrotokens": .integer, "balance?": .ref("Balance"),
  ])
}
