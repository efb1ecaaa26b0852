package import Primitives
package import SQLite

extension FeedbackStore {
  /// What is kept of a user's searches, newest first, below a place.
  ///
  /// - Returns: The rows as the user may read them, and where to go on; nil at the end.
  package static func events(
    of user: [UInt8], below sequence: Int64, limit: Int, on connection: Connection
  ) throws -> (rows: [JSON], next: Int64?) {
    var last: Int64?
    let rows = try connection.rows(
      """
      SELECT e.seq, s.need, e.service_id, e.kind, e.position, e.at_ms
      FROM feedback_event e JOIN feedback_search s ON s.id = e.search_id
      WHERE e.user_id = ? AND e.seq < ? ORDER BY e.seq DESC LIMIT ?
      """, [.blob(user), .int(sequence), .int(Int64(limit))]
    ) { row -> JSON in
      last = row.int(0)
      return [
        "need": .string(row.text(1)), "serviceId": .string(row.text(2)),
        "kind": .string(row.text(3)), "position": .int(row.int(4)),
        "at": .string(Timestamp(milliseconds: row.int(5)).rfc3339),
      ]
    }
    return (rows, rows.count == limit ? last : nil)
  }
}
