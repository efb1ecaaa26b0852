internal import Primitives
internal import SQLite

/// Signed events from the payment processor.
extension PaymentDesk {
  /// What became of an event. Each is answered with 200: to send it again would change nothing.
  public enum Receipt: String, Sendable {
    /// A fact of its purchase; what it moves has moved.
    case applied
    /// Its purchase is not known yet; it counts as soon as it is.
    case waiting
    /// It was here before.
    case repeated
    /// It is of no type, or of no payment, that counts here.
    case ignored
    /// It contradicts its purchase, or names one that is not there: it moves nothing, and an operator should look.
    case recorded
  }

  /// Takes an event in.
  ///
  /// - Parameters:
  ///   - body: The bytes as they came.
  ///   - signature: The header `Stripe-Signature`.
  /// - Throws: `Refusal` `purchases_not_offered`, `signature_invalid`, `malformed_json`, `validation_failed`.
  public func receive(_ body: [UInt8], signature: String?) async throws -> Receipt {
    guard let processor else { throw PaymentDesk.notOffered }
    let now = clock.now
    try StripeSignature.verify(
      header: signature, body: body, secret: processor.webhookSecret, at: now)
    guard let event = try PaymentEvent.read(body) else { return .ignored }
    let (receipt, flag) = try await database.write { connection in
      try take(event, at: now, on: connection)
    }
    if let flag { log("payments: event \(event.id) (\(event.kind.rawValue)): \(flag)") }
    return receipt
  }

  /// - Returns: With the receipt, what an operator should look at.
  private func take(
    _ event: PaymentEvent, at now: Timestamp, on connection: Connection
  ) throws -> (Receipt, flag: String?) {
    if try PaymentEventStore.isKnown(event.id, on: connection) { return (.repeated, nil) }
    guard var purchase = try find(event, on: connection) else {
      return try keep(event, at: now, on: connection)
    }
    if let note = try contradiction(event, purchase, on: connection) {
      try PaymentEventStore.insert(
        event, of: purchase.id, .mismatch, note: note, at: now, on: connection)
      purchase.flag = "event \(event.id): \(note)"
      purchase.updatedAt = now
      try PurchaseStore.update(purchase, on: connection)
      return (.recorded, note)
    }
    try PaymentEventStore.insert(
      event, of: purchase.id, .applied, note: nil, at: now, on: connection)
    try learn(from: event, &purchase, on: connection)
    let flag = try settle(&purchase, event, at: now, on: connection)
    return (.applied, flag)
  }

  /// The purchase that an event names, or that its checkout or payment belongs to.
  private func find(_ event: PaymentEvent, on connection: Connection) throws -> Purchase? {
    if let id = event.purchaseID { return try PurchaseStore.purchase(id, on: connection) }
    if event.kind.isOfSession {
      return try PurchaseStore.purchase(checkoutSession: event.object, on: connection)
    }
    return try event.paymentIntent.flatMap {
      try PurchaseStore.purchase(paymentIntent: $0, on: connection)
    }
  }

  /// Keeps an event without a purchase, where one may still come, or where one should be.
  private func keep(
    _ event: PaymentEvent, at now: Timestamp, on connection: Connection
  ) throws -> (Receipt, flag: String?) {
    if event.purchaseID != nil {
      let note = "it names a purchase that is not here"
      try PaymentEventStore.insert(
        event, of: nil, .unknown, note: note, at: now, on: connection)
      return (.recorded, note)
    }
    // A session without our mark is of something else that is sold by the same account.
    guard !event.kind.isOfSession, event.paymentIntent != nil else { return (.ignored, nil) }
    try PaymentEventStore.insert(event, of: nil, .waiting, note: nil, at: now, on: connection)
    return (.waiting, nil)
  }

  private func contradiction(
    _ event: PaymentEvent, _ purchase: Purchase, on connection: Connection
  ) throws -> String? {
    if event.kind.isOfSession, let session = purchase.checkoutSession, session != event.object {
      return "it is of another checkout session"
    }
    if let payment = event.paymentIntent {
      let owner = try PurchaseStore.purchase(paymentIntent: payment, on: connection)
      if (owner.map { $0.id != purchase.id } ?? false)
        || (purchase.paymentIntent.map { $0 != payment } ?? false)
      {
        return "it is of another payment"
      }
    }
    return event.contradiction(amountMinor: purchase.amountMinor, currency: purchase.currency)
  }

  /// Notes the ids that an event tells, and gives the purchase the events that waited for it.
  private func learn(
    from event: PaymentEvent, _ purchase: inout Purchase, on connection: Connection
  ) throws {
    if event.kind.isOfSession { purchase.checkoutSession = event.object }
    if let payment = event.paymentIntent {
      purchase.paymentIntent = payment
      for waiting in try PaymentEventStore.waiting(for: payment, on: connection) {
        let note = waiting.contradiction(
          amountMinor: purchase.amountMinor, currency: purchase.currency)
        try PaymentEventStore.adopt(waiting, by: purchase.id, note: note, on: connection)
        if let note { purchase.flag = "event \(waiting.id): \(note)" }
      }
    }
    try PurchaseStore.update(purchase, on: connection)
  }

  /// Moves what the facts ask for; a closed account is an operator's matter and must not stop the event.
  private func settle(
    _ purchase: inout Purchase, _ event: PaymentEvent, at now: Timestamp, on connection: Connection
  ) throws -> String? {
    let facts = try PaymentEventStore.facts(of: purchase.id, on: connection)
    let ledger = PurchaseLedger(
      cause: event.id, reason: event.kind.reason, now: now, connection: connection)
    let before = purchase
    do {
      try connection.savepoint { try ledger.settle(&purchase, facts) }
      return purchase.flag == before.flag ? nil : purchase.flag
    } catch let refusal as Refusal {
      purchase = before
      purchase.flag = "event \(event.id): the ledger refuses (\(refusal.code.rawValue))"
      purchase.updatedAt = now
      try PurchaseStore.update(purchase, on: connection)
      return purchase.flag
    }
  }
}
