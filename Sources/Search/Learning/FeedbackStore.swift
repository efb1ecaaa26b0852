package import Primitives
package import SQLite

/// Reads and writes of the feedback tables. Call it inside a transaction.
package enum FeedbackStore {
  /// Writes one event, and its search with the first.
  ///
  /// - Returns: Whether it was new.
  package static func insert(
    _ record: FeedbackRecord, searchedAt: Timestamp, sessionID: [UInt8]? = nil,
    on connection: Connection
  ) throws -> Bool {
    try connection.run(
      "INSERT INTO feedback_search(id, need, searched_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
      [.blob(record.searchID), .text(record.need), .int(searchedAt.milliseconds)])
    let actor: (user: [UInt8]?, visitor: [UInt8]?) =
      record.actor.isUser ? (record.actor.bytes, nil) : (nil, record.actor.bytes)
    let count = try connection.run(
      """
      INSERT INTO feedback_event(search_id, service_id, provider_id, kind, origin, position, user_id,
      visitor, session_id, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
      """,
      [
        .blob(record.searchID), .text(record.serviceID), .text(record.providerID),
        .text(record.kind.rawValue), .text(record.isSeenByServer ? "server" : "client"),
        .int(Int64(record.position)), .optional(actor.user), .optional(actor.visitor),
        .optional(sessionID), .int(record.at.milliseconds),
      ])
    return count > 0
  }

  /// Turns a client's word for an event into what the server saw.
  package static func confirm(
    _ record: FeedbackRecord, sessionID: [UInt8], on connection: Connection
  ) throws {
    try connection.run(
      """
      UPDATE OR IGNORE feedback_event SET origin = 'server', session_id = ?, user_id = ?, visitor = NULL
      WHERE search_id = ? AND service_id = ? AND kind = ? AND origin = 'client'
      """,
      [
        .blob(sessionID), .blob(record.actor.bytes), .blob(record.searchID),
        .text(record.serviceID), .text(record.kind.rawValue),
      ])
  }

  /// How many events somebody has sent since a moment.
  package static func count(
    of actor: FeedbackRecord.Actor, since: Timestamp, on connection: Connection
  ) throws -> Int {
    let sql =
      actor.isUser
      ? "SELECT count(*) FROM feedback_event WHERE user_id = ? AND at_ms > ?"
      : "SELECT count(*) FROM feedback_event WHERE visitor = ? AND at_ms > ?"
    let count = try connection.first(sql, [.blob(actor.bytes), .int(since.milliseconds)]) {
      Int($0.int(0))
    }
    return count ?? 0
  }

  /// The event that a session's start has left, with the time of its search, or nil.
  package static func start(
    ofSession id: [UInt8], on connection: Connection
  ) throws -> (record: FeedbackRecord, searchedAt: Timestamp)? {
    try connection.first(
      selection + " WHERE e.session_id = ? AND e.kind = 'tried'", [.blob(id)]
    ) { row in (try read(row), Timestamp(milliseconds: row.int(10))) }
  }

  /// Events that say more than shown, newest first; a page for a reader that comes back.
  ///
  /// - Parameter sequence: The page before ended there; the greatest number at first.
  /// - Returns: The records and where to go on, nil at the end.
  package static func page(
    below sequence: Int64, limit: Int, on connection: Connection
  ) throws -> (records: [FeedbackRecord], next: Int64?) {
    let rows = try connection.rows(
      selection + " WHERE e.seq < ? AND e.kind <> 'shown' ORDER BY e.seq DESC LIMIT ?",
      [.int(sequence), .int(Int64(limit))]
    ) { row in (record: try read(row), sequence: row.int(11)) }
    return (rows.map(\.record), rows.count == limit ? rows.last?.sequence : nil)
  }

  /// The provider that each provider's account acts for, by the account's 16 bytes.
  package static func providers(_ connection: Connection) throws -> [[UInt8]: String] {
    let rows = try connection.rows(
      "SELECT id, provider_id FROM user WHERE provider_id IS NOT NULL"
    ) { ($0.blob(0), $0.text(1)) }
    return Dictionary(rows, uniquingKeysWith: { first, _ in first })
  }

  /// Deletes searches before a moment with their events, at most so many.
  ///
  /// - Returns: How many searches are gone.
  package static func prune(
    before moment: Timestamp, limit: Int, on connection: Connection
  ) throws -> Int {
    try connection.run(
      """
      DELETE FROM feedback_search WHERE id IN (SELECT id FROM feedback_search
      WHERE searched_ms < ? ORDER BY searched_ms LIMIT ?)
      """, [.int(moment.milliseconds), .int(Int64(limit))])
  }

  /// Deletes everything of a user, with the searches that it was part of: whoever signs in on the way from a search
  /// to a session leaves events as a visitor and as a person, and the words are the person's all the same.
  ///
  /// - Returns: How many events are gone.
  package static func forget(user id: [UInt8], on connection: Connection) throws -> Int {
    let searches = try connection.rows(
      "SELECT DISTINCT search_id FROM feedback_event WHERE user_id = ?", [.blob(id)]
    ) { $0.blob(0) }
    let count = try connection.run("DELETE FROM feedback_event WHERE user_id = ?", [.blob(id)])
    for search in searches {
      try connection.run("DELETE FROM feedback_search WHERE id = ?", [.blob(search)])
    }
    return count
  }

  private static let selection = """
    SELECT s.id, s.need, e.service_id, e.provider_id, e.kind, e.origin, e.position, e.user_id,
    e.visitor, e.at_ms, s.searched_ms, e.seq
    FROM feedback_event e JOIN feedback_search s ON s.id = e.search_id
    """

  private static func read(_ row: borrowing Row) throws -> FeedbackRecord {
    guard let kind = FeedbackKind(rawValue: row.text(4)) else {
      throw Refusal(.internal, "A feedback event has an unknown kind.")
    }
    return FeedbackRecord(
      searchID: row.blob(0), need: row.text(1), serviceID: row.text(2), providerID: row.text(3),
      kind: kind, isSeenByServer: row.text(5) == "server", position: Int(row.int(6)),
      actor: row.isNull(7) ? .visitor(row.blob(8)) : .user(row.blob(7)),
      at: Timestamp(milliseconds: row.int(9)))
  }
}
