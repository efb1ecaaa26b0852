internal import Primitives
internal import SQLite

/// The rows of signed events. Every function runs inside the caller's transaction.
enum PaymentEventStore {
  enum Outcome: String, CaseIterable { case applied, waiting, mismatch, unknown }

  /// An event as an admin sees it.
  struct Stored {
    let event: PaymentEvent
    let purchaseID: ID<PurchaseKind>?
    let outcome: String
    let note: String?
    let receivedAt: Timestamp

    var json: JSON {
      [
        "eventId": .string(event.id), "type": .string(event.kind.rawValue),
        "object": .string(event.object), "purchaseId": .optional(purchaseID?.text),
        "paymentIntent": .optional(event.paymentIntent),
        "amountMinor": event.amountMinor.map { .int($0) } ?? .null,
        "refundedMinor": event.refundedMinor.map { .int($0) } ?? .null,
        "currency": .optional(event.currency), "status": .optional(event.status),
        "outcome": .string(outcome), "note": .optional(note),
        "occurredAt": .string(event.occurredAt.rfc3339),
        "receivedAt": .string(receivedAt.rfc3339),
      ]
    }
  }

  private static let columns = """
    id, type, object, purchase_id, payment_intent, amount_minor, refunded_minor, currency, status,
    outcome, note, body_hash, occurred_ms, received_ms
    """

  static func isKnown(_ id: String, on connection: Connection) throws -> Bool {
    try connection.first("SELECT 1 FROM payment_event WHERE id = ?", [.text(id)]) { _ in true }
      ?? false
  }

  static func insert(
    _ event: PaymentEvent, of purchase: ID<PurchaseKind>?, _ outcome: Outcome, note: String?,
    at now: Timestamp, on connection: Connection
  ) throws {
    try connection.run(
      """
      INSERT INTO payment_event(id, type, object, purchase_id, payment_intent, amount_minor,
      refunded_minor, currency, status, outcome, note, body_hash, occurred_ms, received_ms)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .text(event.id), .text(event.kind.rawValue), .text(event.object),
        .optional(purchase?.bytes), .optional(event.paymentIntent), .optional(event.amountMinor),
        .optional(event.refundedMinor), .optional(event.currency), .optional(event.status),
        .text(outcome.rawValue), .optional(note), .blob(event.bodyHash),
        .int(event.occurredAt.milliseconds), .int(now.milliseconds),
      ])
  }

  /// Events of a payment whose purchase was not known until now.
  static func waiting(
    for paymentIntent: String, on connection: Connection
  ) throws -> [PaymentEvent] {
    try connection.rows(
      """
      SELECT \(columns) FROM payment_event WHERE payment_intent = ? AND outcome = 'waiting'
      ORDER BY id
      """, [.text(paymentIntent)]
    ) { try read($0).event }
  }

  /// Gives a waiting event to its purchase.
  static func adopt(
    _ event: PaymentEvent, by purchase: ID<PurchaseKind>, note: String?, on connection: Connection
  ) throws {
    let outcome = note == nil ? Outcome.applied : .mismatch
    try connection.run(
      "UPDATE payment_event SET purchase_id = ?, outcome = ?, note = ? WHERE id = ?",
      [
        .blob(purchase.bytes), .text(outcome.rawValue), .optional(note), .text(event.id),
      ])
  }

  /// The sum of what applies to a purchase.
  static func facts(
    of purchase: ID<PurchaseKind>, on connection: Connection
  ) throws -> PurchaseFacts {
    var facts = PurchaseFacts()
    try connection.query(
      "SELECT \(columns) FROM payment_event WHERE purchase_id = ? AND outcome = 'applied'",
      [.blob(purchase.bytes)]
    ) { row in
      let event = try read(row).event
      facts.add(
        event.kind, object: event.object, amountMinor: event.amountMinor ?? 0,
        refundedMinor: event.refundedMinor ?? 0, status: event.status ?? "")
      return true
    }
    return facts
  }

  /// Events of a purchase in the order in which they came, at most so many.
  static func events(
    of purchase: ID<PurchaseKind>, limit: Int, on connection: Connection
  ) throws -> [Stored] {
    try connection.rows(
      """
      SELECT \(columns) FROM payment_event WHERE purchase_id = ? ORDER BY received_ms, id LIMIT ?
      """, [.blob(purchase.bytes), .int(Int64(limit))], read)
  }

  /// Events of an outcome, newest first, at most so many.
  static func events(
    _ outcome: Outcome, limit: Int, on connection: Connection
  ) throws -> [Stored] {
    try connection.rows(
      """
      SELECT \(columns) FROM payment_event WHERE outcome = ? ORDER BY received_ms DESC, id LIMIT ?
      """, [.text(outcome.rawValue), .int(Int64(limit))], read)
  }

  /// Events that nobody claimed are of payments that are not ours.
  ///
  /// - Returns: Whether there may be more: at most 500 a time.
  static func prune(before moment: Timestamp, on connection: Connection) throws -> Bool {
    let count = try connection.run(
      """
      DELETE FROM payment_event WHERE id IN (SELECT id FROM payment_event
      WHERE outcome = 'waiting' AND received_ms < ? LIMIT 500)
      """, [.int(moment.milliseconds)])
    return count == 500
  }

  private static func read(_ row: borrowing Row) throws -> Stored {
    guard let kind = PaymentEvent.Kind(rawValue: row.text(1)) else {
      throw Refusal(.internal, "A stored event cannot be read.")
    }
    let event = PaymentEvent(
      id: row.text(0), kind: kind, object: row.text(2), purchaseID: ID(bytes: row.blob(3)),
      paymentIntent: row.optionalText(4), amountMinor: row.optionalInt(5),
      refundedMinor: row.optionalInt(6), currency: row.optionalText(7),
      status: row.optionalText(8), occurredAt: Timestamp(milliseconds: row.int(12)),
      bodyHash: row.blob(11))
    return Stored(
      event: event, purchaseID: ID(bytes: row.blob(3)), outcome: row.text(9),
      note: row.optionalText(10), receivedAt: Timestamp(milliseconds: row.int(13)))
  }
}
