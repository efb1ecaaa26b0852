internal import HTTPServer
internal import Identity
internal import Payments
internal import Primitives

/// Buying tokens, the payment processor's events, and what an operator does about them.
struct PurchaseRoutes: Sendable {
  let services: Services

  var all: [Route] {
    [
      services.keyed(
        "POST", "/v1/tokens/purchase", "buy tokens", isLong: true, admit: { try $0.user() },
        perform: buy),
      Route("GET", "/v1/tokens/purchases", "own purchases", handler: list),
      Route("GET", "/v1/tokens/purchases/{id}", "one purchase", handler: read),
      Route(
        "POST", "/v1/payments/webhook", "signed payment events", budget: .none,
        body: .signed(header: "stripe-signature", 262_144), handler: webhook),
      Route("GET", "/v1/admin/purchases", "everybody's purchases", handler: adminList),
      Route("GET", "/v1/admin/purchases/{id}", "one with its events", handler: adminRead),
      services.keyed(
        "POST", "/v1/admin/purchases/{id}/refund", "give money back", isLong: true,
        admit: refundable, perform: refund),
      Route(
        "POST", "/v1/admin/purchases/{id}/unflag", "take the mark off",
        named: { _ = try await refundable($0) }, handler: unflag),
      Route("GET", "/v1/admin/payment-events", "events by outcome", handler: events),
      Route("GET", "/v1/admin/chargebacks", "who is frozen or owes", handler: debtors),
      services.keyed(
        "POST", "/v1/admin/chargebacks/{id}/settle", "settle a user's debt", admit: debtor,
        perform: settle),
    ]
  }

  // MARK: Buyers

  func buy(_ request: KeyedRequest<ID<UserKind>>) async throws -> Idempotency.Answer {
    try request.context.known(request.body, ["tokenAmount"])
    return try await services.payments.buy(
      request.body["tokenAmount"]?.int, by: request.subject, key: request.key,
      refused: request.refused)
  }

  func list(_ context: Context) async throws -> Response {
    let user = try context.user()
    let limit = try context.integer("limit", default: 50, in: 1...100)
    let before: ID<PurchaseKind>? = try context.before()
    let own = try await services.payments.purchases(of: user, before: before, limit: limit)
    let next = own.count == limit ? own.last?.id.text : nil
    return .json([
      "purchases": .array(own.map { .object($0.json) }), "next": .optional(next),
    ])
  }

  func read(_ context: Context) async throws -> Response {
    let user = try context.user()
    let purchase = try await services.payments.purchase(try purchaseID(context), of: user)
    return .json(.object(purchase.json))
  }

  // MARK: The processor

  /// The caller is known by the signature over the very bytes of the body.
  func webhook(_ context: Context) async throws -> Response {
    let receipt = try await services.payments.receive(
      context.request.body, signature: context.request.header("stripe-signature"))
    return .json(["received": true, "result": .string(receipt.rawValue)])
  }

  // MARK: Operators

  func adminList(_ context: Context) async throws -> Response {
    try context.admin()
    var query = PaymentDesk.Query()
    query.limit = try context.integer("limit", default: 50, in: 1...100)
    query.before = try context.before()
    query.isFlagged = try context.integer("flagged", default: 0, in: 0...1) == 1
    if let text = context.request.query("userId") {
      query.user = try userID(text)
    }
    if let text = context.request.query("state") {
      guard let state = PurchaseState(rawValue: text) else {
        let names = PurchaseState.allCases.map(\.rawValue).joined(separator: ", ")
        throw PurchaseRoutes.badParameter("/state", "must be one of \(names)")
      }
      query.state = state
    }
    let found = try await services.payments.purchases(query)
    let next = found.count == query.limit ? found.last?.id.text : nil
    return .json([
      "purchases": .array(found.map { .object($0.adminJSON) }), "next": .optional(next),
    ])
  }

  func adminRead(_ context: Context) async throws -> Response {
    try context.admin()
    return .json(.object(try await services.payments.detail(try purchaseID(context))))
  }

  /// Whose order it is, and the purchase that it names.
  private func refundable(
    _ context: Context
  ) async throws -> (admin: ID<UserKind>, purchase: ID<PurchaseKind>) {
    try context.admin()
    let id = try purchaseID(context)
    try await services.payments.require(id)
    return (try context.user(), id)
  }

  private func refund(
    _ request: KeyedRequest<(admin: ID<UserKind>, purchase: ID<PurchaseKind>)>
  ) async throws -> Idempotency.Answer {
    let (context, body) = (request.context, request.body)
    try context.known(body, ["amountMinor", "reason"])
    var faults: [Refusal.Field] = []
    if let amount = body["amountMinor"], amount != .null, amount.int.map({ $0 < 1 }) ?? true {
      faults.append(.init("/amountMinor", "must be a whole number from 1"))
    }
    let reason = body["reason"]?.string ?? ""
    if let given = body["reason"], given.string == nil || reason.unicodeScalars.count > 200 {
      faults.append(.init("/reason", "must be text of at most 200 characters"))
    }
    guard faults.isEmpty else {
      throw Refusal(.validationFailed, "The refund is not valid.", fields: faults)
    }
    return try await services.payments.refund(
      request.subject.purchase, amountMinor: body["amountMinor"]?.int, reason: reason,
      by: request.subject.admin, author: author(context), key: request.key,
      refused: request.refused)
  }

  func unflag(_ context: Context) async throws -> Response {
    try context.admin()
    try context.known(try context.json(), [])
    let purchase = try await services.payments.unflag(
      try purchaseID(context), author: author(context))
    return .json(.object(purchase.adminJSON))
  }

  func events(_ context: Context) async throws -> Response {
    try context.admin()
    let limit = try context.integer("limit", default: 50, in: 1...100)
    let outcome = context.request.query("outcome") ?? "mismatch"
    return .json(["events": .array(try await services.payments.events(outcome, limit: limit))])
  }

  func debtors(_ context: Context) async throws -> Response {
    try context.admin()
    let limit = try context.integer("limit", default: 50, in: 1...100)
    let after = try context.request.query("after").map(userID)
    let found = try await services.payments.debtors(after: after, limit: limit)
    let next = found.count == limit ? found.last?["userId"] : nil
    return .json(["users": .array(found), "next": next ?? .null])
  }

  private func debtor(
    _ context: Context
  ) throws(Refusal) -> (admin: ID<UserKind>, user: ID<UserKind>) {
    try context.admin()
    guard let user = ID<UserKind>(context.parameter("id")) else {
      throw Refusal(.notFound, "There is no such user.")
    }
    return (try context.user(), user)
  }

  private func settle(
    _ request: KeyedRequest<(admin: ID<UserKind>, user: ID<UserKind>)>
  ) async throws -> Idempotency.Answer {
    try request.context.known(request.body, [])
    return try await services.payments.settleDebts(
      of: request.subject.user, by: request.subject.admin, author: author(request.context),
      key: request.key, refused: request.refused)
  }

  // MARK: Shared

  private func purchaseID(_ context: Context) throws(Refusal) -> ID<PurchaseKind> {
    guard let id = ID<PurchaseKind>(context.parameter("id")) else {
      throw Refusal(.notFound, "There is no such purchase.")
    }
    return id
  }

  private func userID(_ text: String) throws(Refusal) -> ID<UserKind> {
    guard let id = ID<UserKind>(text) else {
      throw PurchaseRoutes.badParameter("/userId", "must be a user's id")
    }
    return id
  }

  private static func badParameter(_ pointer: String, _ reason: String) -> Refusal {
    Refusal(
      .validationFailed, "A query parameter is not valid.", fields: [.init(pointer, reason)])
  }

  private func author(_ context: Context) -> AuditLog.Author {
    AuditLog.Author(context.principal, requestID: context.requestID)
  }
}
