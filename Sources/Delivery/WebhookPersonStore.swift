public import Primitives
public import SQLite

/// What providers were sent about one person, for that person to read.
public enum WebhookPersonStore {
  /// Events about a user that concern a provider, oldest first, after an event's place in the outbox. By the user's
  /// own index: what the others have done costs nothing.
  ///
  /// - Returns: The rows and where to go on; nil at the end.
  public static func events(
    about user: [UInt8], after sequence: Int64, limit: Int, on connection: Connection
  ) throws -> (rows: [JSON], next: Int64?) {
    var last: Int64?
    let rows = try connection.rows(
      """
      SELECT o.seq, o.event_id, o.type, o.occurred_ms, o.payload FROM outbox_route r
      JOIN outbox o ON o.seq = r.seq
      WHERE r.user_id = ? AND r.provider_id IS NOT NULL AND r.seq > ? ORDER BY r.seq LIMIT ?
      """, [.blob(user), .int(sequence), .int(Int64(limit))]
    ) { row -> JSON in
      last = row.int(0)
      return [
        "id": .string(row.text(1)), "type": .string(row.text(2)),
        "at": .string(Timestamp(milliseconds: row.int(3)).rfc3339),
        // What is stored was written by us; what is no JSON is shown by its id and type.
        "event": (try? JSON.parse(row.text(4))) ?? .null,
      ]
    }
    return (rows, rows.count == limit ? last : nil)
  }

  /// Attempts to deliver events about a user, oldest first, after an event's place in the outbox. Attempts of one
  /// event come together, so a page may be longer than its limit of events.
  ///
  /// - Returns: The rows and where to go on; nil at the end.
  public static func attempts(
    about user: [UInt8], after sequence: Int64, limit: Int, on connection: Connection
  ) throws -> (rows: [JSON], next: Int64?) {
    let events = try connection.rows(
      "SELECT seq FROM outbox_route WHERE user_id = ? AND seq > ? ORDER BY seq LIMIT ?",
      [.blob(user), .int(sequence), .int(Int64(limit))]
    ) { $0.int(0) }
    guard let last = events.last else { return ([], nil) }
    let rows = try connection.rows(
      """
      SELECT o.event_id, o.type, e.provider_id, a.number, a.at_ms, a.status, a.error
      FROM outbox_route r JOIN outbox o ON o.seq = r.seq
      JOIN webhook_delivery d ON d.seq = r.seq JOIN webhook_endpoint e ON e.id = d.endpoint_id
      JOIN webhook_attempt a ON a.delivery_id = d.id
      WHERE r.user_id = ? AND r.seq > ? AND r.seq <= ? ORDER BY r.seq, a.at_ms, a.number
      """, [.blob(user), .int(sequence), .int(last)]
    ) { row -> JSON in
      [
        "eventId": .string(row.text(0)), "type": .string(row.text(1)),
        "providerId": .string(row.text(2)), "attempt": .int(row.int(3)),
        "at": .string(Timestamp(milliseconds: row.int(4)).rfc3339),
        "status": row.optionalInt(5).map(JSON.int) ?? .null,
        "error": .optional(row.optionalText(6)),
      ]
    }
    return (rows, events.count == limit ? last : nil)
  }

  /// Forgets what receivers have answered to events about a person: it may hold a name that they know it by.
  public static func forget(_ user: [UInt8], on connection: Connection) throws {
    try connection.run(
      """
      UPDATE webhook_attempt SET answer = '' WHERE answer <> '' AND delivery_id IN
      (SELECT d.id FROM outbox_route r JOIN webhook_delivery d ON d.seq = r.seq
      WHERE r.user_id = ?)
      """, [.blob(user)])
  }

  /// Whether a delivery is about a person whose account is gone, or goes.
  static func concernsNobodyAnyMore(
    _ delivery: ID<WebhookDeliveryKind>, on connection: Connection
  ) throws -> Bool {
    try connection.first(
      """
      SELECT 1 FROM webhook_delivery d JOIN outbox o ON o.seq = d.seq
      LEFT JOIN outbox_route r ON r.seq = d.seq WHERE d.id = ?
      AND (o.type = 'user.deprovisioned' OR (r.user_id IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM user u WHERE u.id = r.user_id)))
      """, [.blob(delivery.bytes)]
    ) { _ in true } ?? false
  }
}
