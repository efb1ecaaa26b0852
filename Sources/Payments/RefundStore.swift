internal import Identity
internal import Primitives
internal import SQLite

/// The rows of refunds that were asked for. Every function runs inside the caller's transaction.
enum RefundStore {
  struct Refund: Sendable {
    let id: ID<PurchaseRefundKind>
    let purchaseID: ID<PurchaseKind>
    /// The processor's id of the payment.
    let payment: String
    let amountMinor: Int64
    let currency: String
    let reason: String
    let adminID: ID<UserKind>
    var state: String
    let bodyHash: [UInt8]
    var processorID: String?
    let createdAt: Timestamp

    /// What the processor is asked.
    var form: [(String, String)] {
      [
        ("payment_intent", payment), ("amount", String(amountMinor)),
        ("metadata[purchaseId]", purchaseID.text), ("metadata[refundId]", id.text),
      ]
    }

    var json: JSONObject {
      [
        "refundId": .string(id.text), "purchaseId": .string(purchaseID.text),
        "amountMinor": .int(amountMinor), "currency": .string(currency),
        "reason": .string(reason), "state": .string(state),
        "processorId": .optional(processorID), "adminId": .string(adminID.text),
        "createdAt": .string(createdAt.rfc3339),
      ]
    }
  }

  private static let columns = """
    r.id, r.purchase_id, p.payment_intent, r.amount_minor, p.currency, r.reason, r.admin_id,
    r.state, r.body_hash, r.processor_id, r.created_ms
    """
  private static let source = "purchase_refund r JOIN purchase p ON p.id = r.purchase_id"

  static func insert(_ refund: Refund, requestKey: [UInt8], on connection: Connection) throws {
    try connection.run(
      """
      INSERT INTO purchase_refund(id, purchase_id, amount_minor, reason, admin_id, state,
      request_key, body_hash, created_ms, updated_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .blob(refund.id.bytes), .blob(refund.purchaseID.bytes), .int(refund.amountMinor),
        .text(refund.reason), .blob(refund.adminID.bytes), .text(refund.state),
        .blob(requestKey), .blob(refund.bodyHash), .int(refund.createdAt.milliseconds),
        .int(refund.createdAt.milliseconds),
      ])
  }

  /// - Returns: Whether it was open until now.
  static func close(_ refund: Refund, at now: Timestamp, on connection: Connection) throws -> Bool {
    try connection.run(
      """
      UPDATE purchase_refund SET state = ?, processor_id = ?, updated_ms = ?
      WHERE id = ? AND state = 'requested'
      """,
      [
        .text(refund.state), .optional(refund.processorID), .int(now.milliseconds),
        .blob(refund.id.bytes),
      ]) > 0
  }

  static func refund(requestKey: [UInt8], on connection: Connection) throws -> Refund? {
    try connection.first(
      "SELECT \(columns) FROM \(source) WHERE r.request_key = ?", [.blob(requestKey)], read)
  }

  /// Refunds of a purchase, oldest first.
  static func refunds(of id: ID<PurchaseKind>, on connection: Connection) throws -> [Refund] {
    try connection.rows(
      "SELECT \(columns) FROM \(source) WHERE r.purchase_id = ? ORDER BY r.id LIMIT 100",
      [.blob(id.bytes)], read)
  }

  /// The sum of what was accepted, and of what was asked for since a moment and not answered, in the minor unit.
  static func asked(
    of id: ID<PurchaseKind>, since: Timestamp, on connection: Connection
  ) throws -> Int64 {
    try connection.first(
      """
      SELECT coalesce(sum(amount_minor), 0) FROM purchase_refund
      WHERE purchase_id = ? AND (state = 'accepted' OR (state = 'requested' AND created_ms >= ?))
      """, [.blob(id.bytes), .int(since.milliseconds)]
    ) { $0.int(0) } ?? 0
  }

  private static func read(_ row: borrowing Row) throws -> Refund {
    guard let id = ID<PurchaseRefundKind>(bytes: row.blob(0)),
      let purchaseID = ID<PurchaseKind>(bytes: row.blob(1)),
      let adminID = ID<UserKind>(bytes: row.blob(6))
    else { throw Refusal(.internal, "A stored refund cannot be read.") }
    return Refund(
      id: id, purchaseID: purchaseID, payment: row.text(2), amountMinor: row.int(3),
      currency: row.text(4), reason: row.text(5), adminID: adminID, state: row.text(7),
      bodyHash: row.blob(8), processorID: row.optionalText(9),
      createdAt: Timestamp(milliseconds: row.int(10)))
  }
}
