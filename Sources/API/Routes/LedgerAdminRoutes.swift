internal import Catalog
internal import Delivery
internal import HTTPServer
internal import Identity
internal import Ledger
internal import Primitives
internal import SQLite

/// What operators do in the ledger. Each order is written down with who gave it, in the transaction of its effect.
struct LedgerAdminRoutes: Sendable {
  let services: Services

  var routes: [Route] {
    [
      Route("GET", "/v1/admin/ledger/balance", "any account's balance", handler: balance),
      Route("GET", "/v1/admin/ledger/statement", "any account's period", handler: statement),
      Route(
        "POST", "/v1/admin/ledger/reopen", "take writes again over a sound ledger",
        handler: reopen),
      services.keyed(
        "POST", "/v1/admin/grants", "give a user tokens", admit: { try $0.admin() },
        perform: grant),
      services.keyed(
        "POST", "/v1/admin/payouts", "book a provider's payout", admit: { try $0.admin() },
        perform: payOut),
      services.keyed(
        "POST", "/v1/admin/refunds", "refund a capture", admit: { try $0.admin() },
        perform: refund),
      Route(
        "POST", "/v1/admin/accounts/{userId}/freeze", "stop a user's spending", named: holder,
        handler: freeze),
      Route(
        "POST", "/v1/admin/accounts/{userId}/unfreeze", "let a user spend again", named: holder,
        handler: unfreeze),
    ]
  }

  func balance(_ context: Context) async throws -> Response {
    try context.admin()
    return try await LedgerQuery.balance(
      of: try account(context), try LedgerQuery.moment(context), services)
  }

  func statement(_ context: Context) async throws -> Response {
    try context.admin()
    return try await LedgerQuery.statement(of: try account(context), context, services)
  }

  /// Verifies the whole ledger and, where it is sound, lets writes in again.
  func reopen(_ context: Context) async throws -> Response {
    try context.admin()
    var wasUnsound = false
    if case .unsound = services.ledger.state { wasUnsound = true }
    let report = try await services.ledger.reopen()
    let isOpen = services.ledger.state == .open
    if wasUnsound, isOpen {
      // After it: nothing could be noted before.
      try await services.note("ledger.reopened", on: "ledger", by: context)
    }
    return .json([
      "sound": .bool(report.isSound), "transfers": .number(report.transferCount),
      "faults": .strings(report.faults), "wrongMarks": .strings(report.wrongMarks),
      "open": .bool(isOpen),
    ])
  }

  private func account(_ context: Context) throws(Refusal) -> AccountName {
    guard let account = AccountName(context.request.query("account") ?? "") else {
      throw Refusal(
        .validationFailed, "A query parameter is not valid.",
        fields: [
          .init("/account", "must be user:ID, provider:ID or a platform account like platform_fees")
        ])
    }
    return account
  }

  func grant(_ request: KeyedRequest<Void>) async throws -> Idempotency.Answer {
    let (context, body) = (request.context, request.body)
    let via = body["via"]?.string ?? "straight"
    let order = try await request.valid { () throws -> (String, Microtokens, String) in
      try context.known(body, ["userId", "amountMicrotokens", "reason", "via"])
      guard via == "straight" || via == "grants" else {
        throw Refusal(
          .validationFailed, "The way of the grant is not valid.",
          fields: [.init("/via", "must be straight or grants")])
      }
      guard let named = body["userId"]?.string else { throw LedgerAdminRoutes.missing("userId") }
      return (named, try self.amount(body), try self.reason(body))
    } elseMissing: {
      if let named = body["userId"]?.string { _ = try await user(named) }
    }
    let (named, amount, reason) = order
    let receiver = try await user(named)
    return try await keyed(request) { connection, now in
      let id = ID<TransferKind>(at: now, random: services.random)
      try LedgerStore.grant(
        id, to: .user(receiver), amount, throughGrants: via == "grants",
        LedgerOrder(actor: actor(context), reason: reason), at: now, on: connection)
      try note("grant", "user:" + receiver.text, amount, context, now, connection)
      let balance = try LedgerStore.balance(.user(receiver), on: connection)
      return answer(201, id, amount, balance)
    }
  }

  func payOut(_ request: KeyedRequest<Void>) async throws -> Idempotency.Answer {
    let (context, body) = (request.context, request.body)
    let order = try await request.valid { () throws -> (String, String, Microtokens, String) in
      try context.known(body, ["providerId", "amountMicrotokens", "reference", "reason"])
      guard let provider = body["providerId"]?.string else {
        throw LedgerAdminRoutes.missing("providerId")
      }
      guard let reference = body["reference"]?.string else {
        throw LedgerAdminRoutes.missing("reference")
      }
      return (provider, reference, try self.amount(body), try self.reason(body))
    } elseMissing: {
      if let named = body["providerId"]?.string { try await requireProvider(named) }
    }
    let (provider, reference, amount, reason) = order
    try await requireProvider(provider)
    return try await keyed(request) { connection, now in
      let (id, isNew) = try LedgerStore.payOut(
        to: provider, amount, reference: reference,
        LedgerOrder(actor: actor(context), reason: reason), at: now, on: connection)
      if isNew {
        try note("payout", "provider:" + provider, amount, context, now, connection)
        try OwnerNotice.payout(amount, reference: reference, transfer: id.text).tell(
          ownersOf: provider, at: now, random: services.random, on: connection)
      }
      let balance = try LedgerStore.balance(.provider(provider), on: connection)
      return answer(isNew ? 201 : 200, id, amount, balance)
    }
  }

  private func requireProvider(_ id: String) async throws {
    guard try await services.record.read({ try CatalogStore.provider(id: id, on: $0) }) != nil
    else { throw Refusal(.notFound, "There is no such provider.") }
  }

  func refund(_ request: KeyedRequest<Void>) async throws -> Idempotency.Answer {
    let (context, body) = (request.context, request.body)
    let named = body["captureId"]?.string.flatMap { ID<TransferKind>($0) }
    let order = try await request.valid {
      () throws -> (ID<TransferKind>, Microtokens, String) in
      try context.known(body, ["captureId", "amountMicrotokens", "reason"])
      guard let named else { throw LedgerAdminRoutes.missing("captureId") }
      return (named, try self.amount(body), try self.reason(body))
    } elseMissing: {
      guard let named else { return }
      try await services.record.read { try LedgerStore.requireCapture(named, on: $0) }
    }
    let (capture, amount, reason) = order
    return try await keyed(request) { connection, now in
      let id = ID<TransferKind>(at: now, random: services.random)
      try LedgerStore.refund(
        id, capture: capture, amount, LedgerOrder(actor: actor(context), reason: reason), at: now,
        on: connection)
      try note("refund", "transfer:" + capture.text, amount, context, now, connection)
      return answer(201, id, amount, nil)
    }
  }

  private func holder(_ context: Context) async throws {
    _ = try await user(context.parameter("userId"))
  }

  func freeze(_ context: Context) async throws -> Response {
    try await setStanding(context, "frozen") { name, order, now, connection in
      try LedgerStore.freeze(name, order, at: now, on: connection)
    }
  }

  func unfreeze(_ context: Context) async throws -> Response {
    try await setStanding(context, "unfrozen") { name, order, now, connection in
      try LedgerStore.unfreeze(name, order, at: now, on: connection)
    }
  }

  private func setStanding(
    _ context: Context, _ action: String,
    _ change: @escaping @Sendable (AccountName, LedgerOrder, Timestamp, Connection) throws -> Void
  ) async throws -> Response {
    try context.admin()
    let body = try context.json()
    try context.known(body, ["reason"])
    let user = try await user(context.parameter("userId"))
    let given = LedgerOrder(actor: actor(context), reason: try reason(body))
    let now = services.clock.now
    let standing = try await services.record.write { connection in
      try AuditLog.record(
        "ledger." + action, on: "user:" + user.text, by: context.author, at: now, on: connection)
      try change(.user(user), given, now, connection)
      return try LedgerStore.standing(.user(user), on: connection)
    }
    let frozenAt: String? = if case .frozen(let since) = standing { since.rfc3339 } else { nil }
    return .json(["userId": .string(user.text), "frozenAt": .optional(frozenAt)])
  }

  // MARK: Parts of an order

  private func user(_ text: String) async throws -> ID<UserKind> {
    guard let id = ID<UserKind>(text), try await services.accounts.user(id) != nil else {
      throw Refusal(.notFound, "There is no such user.")
    }
    return id
  }

  /// Notes an order in the audit log, in its own transaction.
  private func note(
    _ action: String, _ subject: String, _ amount: Microtokens, _ context: Context,
    _ now: Timestamp, _ connection: Connection
  ) throws {
    try AuditLog.record(
      "ledger." + action, on: subject, detail: "microtokens=\(amount.count)", by: context.author,
      at: now, on: connection)
  }

  private func actor(_ context: Context) -> [UInt8] { context.principal.userID?.bytes ?? [] }

  private func amount(_ body: JSON) throws(Refusal) -> Microtokens {
    guard let count = body["amountMicrotokens"]?.int else {
      throw LedgerAdminRoutes.missing("amountMicrotokens")
    }
    return Microtokens(count)
  }

  private func reason(_ body: JSON) throws(Refusal) -> String {
    guard let reason = body["reason"]?.string, (1...200).contains(reason.unicodeScalars.count)
    else {
      throw Refusal(
        .validationFailed, "Give a reason.",
        fields: [.init("/reason", "must have 1 to 200 characters")])
    }
    return reason
  }

  private static func missing(_ name: String) -> Refusal {
    Refusal(
      .validationFailed, "A field is missing or not valid.",
      fields: [.init("/" + name, "is missing or not valid")])
  }

  // MARK: Answers

  private func answer(
    _ status: Int, _ id: ID<TransferKind>, _ amount: Microtokens, _ balance: Balance?
  ) -> Idempotency.Answer {
    var body: JSONObject = [
      "transferId": .string(id.text), "amountMicrotokens": .int(amount.count),
    ]
    if let balance { body["balance"] = .object(balance.json) }
    return Idempotency.Answer(status: status, body: JSON.object(body).bytes)
  }

  /// Runs an order once for the request's Idempotency-Key, in one transaction with the answer.
  private func keyed(
    _ request: KeyedRequest<Void>,
    _ effect: @escaping @Sendable (Connection, Timestamp) throws -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    let now = services.clock.now
    return try await services.record.write { connection in
      try services.idempotency.once(
        request.key, at: now, on: connection, refused: request.refused
      ) {
        try effect(connection, now)
      }
    }
  }
}
