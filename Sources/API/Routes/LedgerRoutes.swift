internal import HTTPServer
internal import Identity
internal import Ledger
internal import Primitives
internal import SQLite
internal import Sessions

/// The ledger as people and providers see it: balance, movements, statements, their own limits.
struct LedgerRoutes: Sendable {
  let services: Services

  var routes: [Route] {
    [
      Route("GET", "/v1/tokens/balance", "what the account has", handler: balance),
      Route("GET", "/v1/tokens/transactions", "movements", handler: transactions),
      Route("GET", "/v1/tokens/statement", "a period of the account", handler: statement),
      Route("GET", "/v1/tokens/limits", "own spending limits", handler: limits),
      Route("PUT", "/v1/tokens/limits", "set own spending limits", handler: setLimits),
      Route("GET", "/v1/ledger/verify", "recompute balances and chain", handler: verify),
    ]
  }

  func balance(_ context: Context) async throws -> Response {
    let account = try account(context)
    let moment = try LedgerQuery.moment(context)
    return try await LedgerQuery.balance(of: account, moment, services)
  }

  func transactions(_ context: Context) async throws -> Response {
    let account = try account(context)
    let limit = try context.integer("limit", default: 50, in: 1...100)
    let cursor = context.request.query("cursor")
    let below = cursor.map { Int64($0) } ?? Int64.max
    guard let below, below > 0 else {
      throw Refusal(.cursorInvalid, "The cursor is not one of ours.")
    }
    let filter = LedgerFilter(
      from: try LedgerQuery.time(context, "from"), to: try LedgerQuery.time(context, "to"),
      kind: try LedgerQuery.kind(context))
    let isCSV = try LedgerQuery.isCSV(context)
    let page = try await services.record.read { connection in
      try LedgerStore.page(
        of: account, below: below, filter: filter, limit: limit, on: connection)
    }
    let next = page.next.map { String($0) }
    guard isCSV else {
      return .json([
        "transactions": .array(page.entries.map { .object($0.json) }),
        "nextCursor": .optional(next),
      ])
    }
    var response = LedgerQuery.csv(
      TableCell.csv(header: LedgerEntry.columns, page.entries.map(\.cells)), name: "transactions")
    if let next { response.headers.append((name: "Waypost-Next-Cursor", value: next)) }
    return response
  }

  func statement(_ context: Context) async throws -> Response {
    try await LedgerQuery.statement(of: try account(context), context, services)
  }

  /// A provider's person sees the provider's account, or with `?account=user` its own.
  private func account(_ context: Context) throws(Refusal) -> AccountName {
    let wanted = context.request.query("account")
    guard wanted == nil || wanted == "user" || wanted == "provider" else {
      throw Refusal(
        .validationFailed, "A query parameter is not valid.",
        fields: [.init("/account", "must be user or provider")])
    }
    if wanted == "provider" { return .provider(try context.provider()) }
    if wanted == nil, let providerID = context.principal.providerID {
      return .provider(providerID)
    }
    return .user(try context.user())
  }

  // MARK: Limits

  func limits(_ context: Context) async throws -> Response {
    let user = AccountName.user(try context.user())
    return .json(try await limitsView(of: user))
  }

  func setLimits(_ context: Context) async throws -> Response {
    let user = AccountName.user(try context.user())
    let body = try context.json()
    let names = ["dayMicrotokens", "monthMicrotokens", "lowBalanceMicrotokens"]
    try context.known(body, Set(names))
    var values: [Microtokens?] = []
    for name in names {
      guard let value = body[name], value != .null else {
        values.append(nil)
        continue
      }
      guard let count = value.int else {
        throw Refusal(
          .validationFailed, "A limit is a whole number of microtokens, or null.",
          fields: [.init("/" + name, "must be a whole number or null")])
      }
      values.append(Microtokens(count))
    }
    let limits = SpendingLimits(dayMax: values[0], monthMax: values[1], lowBalance: values[2])
    let now = services.clock.now
    try await services.record.write { connection in
      try limits.write(for: user, at: now, on: connection)
    }
    return .json(try await limitsView(of: user))
  }

  private func limitsView(of user: AccountName) async throws -> JSON {
    let now = services.clock.now
    return try await services.record.read { connection in
      let limits = try SpendingLimits.read(user, on: connection)
      func used(_ period: SpendingLimits.Period) throws -> JSON {
        let used = try SpendingLimits.used(by: user, since: period.start(of: now), on: connection)
        return [
          "usedMicrotokens": .int(used.count), "resetsAt": .string(period.end(of: now).rfc3339),
        ]
      }
      func optional(_ amount: Microtokens?) -> JSON { amount.map { .int($0.count) } ?? .null }
      return [
        "dayMicrotokens": optional(limits.dayMax), "monthMicrotokens": optional(limits.monthMax),
        "lowBalanceMicrotokens": optional(limits.lowBalance), "day": try used(.day),
        "month": try used(.month),
      ]
    }
  }

  // MARK: Verification

  /// Reads the ledger in pages: an admin's question must not hold the record's log. A fault of the ledger ends writing.
  func verify(_ context: Context) async throws -> Response {
    try context.admin()
    let report = try await services.ledger.audit()
    var faults = try await SessionVerifier.faults(in: services.record)
    faults += try await services.audit.audit().faults
    return .json([
      "sound": .bool(report.isSound && faults.isEmpty),
      "transfers": .number(report.transferCount), "faults": .strings(report.faults + faults),
      "wrongMarks": .strings(report.wrongMarks),
    ])
  }
}

/// What the routes of users and those of admins ask alike.
enum LedgerQuery {
  static func balance(
    of account: AccountName, _ moment: LedgerMoment?, _ services: Services
  ) async throws -> Response {
    let balance =
      if let moment {
        try await LedgerStore.balance(account, at: moment, in: services.record)
      } else {
        try await services.record.read { try LedgerStore.balance(account, on: $0) }
      }
    return .json(.object(balance.json))
  }

  static func statement(
    of account: AccountName, _ context: Context, _ services: Services
  ) async throws -> Response {
    let now = services.clock.now
    let from = try time(context, "from") ?? SpendingLimits.Period.month.start(of: now)
    let to = try time(context, "to") ?? now + 1
    let isCSV = try isCSV(context)
    let statement = try await LedgerStore.statement(
      of: account, from: from, to: to, in: services.record)
    return isCSV ? csv(statement.csv, name: "statement") : .json(.object(statement.json))
  }

  /// `at`: an RFC 3339 time, or a number of the ledger's sequence.
  static func moment(_ context: Context) throws(Refusal) -> LedgerMoment? {
    guard let text = context.request.query("at") else { return nil }
    if let sequence = Int64(text), sequence >= 0 { return .sequence(sequence) }
    return try time(context, "at").map { .time($0) }
  }

  /// A moment of the query: RFC 3339, or a date for its beginning in UTC.
  static func time(_ context: Context, _ name: String) throws(Refusal) -> Timestamp? {
    guard let text = context.request.query(name) else { return nil }
    guard let time = Timestamp(rfc3339: text) ?? Timestamp.parse(date: text) else {
      throw Refusal(
        .validationFailed, "A query parameter is not valid.",
        fields: [.init("/" + name, "must be a time like 2026-11-20T18:05:00Z, or a date")])
    }
    return time
  }

  static func kind(_ context: Context) throws(Refusal) -> String? {
    guard let kind = context.request.query("kind") else { return nil }
    guard LedgerFilter.kinds.contains(kind) else {
      throw Refusal(
        .validationFailed, "A query parameter is not valid.",
        fields: [.init("/kind", "must be one of " + LedgerFilter.kinds.joined(separator: ", "))])
    }
    return kind
  }

  /// Whether CSV is wanted: by `format`, else by `Accept`.
  static func isCSV(_ context: Context) throws(Refusal) -> Bool {
    switch context.request.query("format") {
    case "csv": return true
    case "json": return false
    case nil:
      let accept = context.request.header("accept") ?? ""
      return accept.split(separator: ",").first?.lowercased().contains("text/csv") ?? false
    default:
      throw Refusal(
        .validationFailed, "A query parameter is not valid.",
        fields: [.init("/format", "must be json or csv")])
    }
  }

  static func csv(_ text: String, name: String) -> Response {
    Response(
      status: 200,
      headers: [
        (name: "Content-Type", value: "text/csv; charset=utf-8; header=present"),
        (name: "Content-Disposition", value: "attachment; filename=\"\(name).csv\""),
      ], body: .bytes(Array(text.utf8)))
  }
}
