public import Identity
public import Primitives
public import SQLite

/// What sessions know of one person: shown when it asks, ended when it leaves.
extension SessionDesk {
  /// Revokes and settles every open session of a person and closes its proposals, in the running transaction.
  ///
  /// - Returns: How many sessions were ended.
  public func endAll(
    of user: ID<UserKind>, at now: Timestamp, on connection: Connection
  ) throws -> Int {
    let open = try connection.rows(
      """
      SELECT id FROM session WHERE user_id = ? AND state IN ('pending','active','paused')
      ORDER BY id
      """, [.blob(user.bytes)]
    ) { ID<SessionKind>(bytes: $0.blob(0)) }
    var count = 0
    for case let id? in open {
      // Its own deadline may have come first; then there is nothing left to revoke.
      guard var record = try SessionStore.read(id, on: connection) else { continue }
      // What cannot be settled must not keep a person from leaving: its hold times out by itself.
      if record.isSetAside { continue }
      try advance(&record, to: now, on: connection)
      if record.state.phase.isTerminal { continue }
      _ = try apply(id, by: .admin, .revoke, at: now, on: connection)
      count += 1
    }
    try connection.run(
      "UPDATE proposal SET state = 'declined' WHERE user_id = ? AND state = 'proposed'",
      [.blob(user.bytes)])
    return count
  }

  /// Proposals of a person, oldest first, after one of them where it is given.
  public func proposals(
    of user: ID<UserKind>, after last: ID<ProposalKind>?, limit: Int
  ) async throws -> [(id: ID<ProposalKind>, json: JSONObject)] {
    try await database.read { connection in
      try connection.rows(
        """
        SELECT id, service_id, service_revision, offer_id, kind, rate_per_hour, max_amount,
        duration_ms, created_ms, expires_ms, state, session_id FROM proposal
        WHERE user_id = ?1 AND (?2 IS NULL OR id > ?2) ORDER BY id LIMIT ?3
        """, [.blob(user.bytes), .optional(last?.bytes), .int(Int64(limit))]
      ) { row in
        ID<ProposalKind>(bytes: row.blob(0)).map { ($0, SessionDesk.proposal($0, row)) }
      }.compactMap { $0 }
    }
  }

  private static func proposal(_ id: ID<ProposalKind>, _ row: borrowing Row) -> JSONObject {
    let session = row.isNull(11) ? nil : ID<SessionKind>(bytes: row.blob(11))
    return [
      "id": .string(id.text), "serviceId": .string(row.text(1)),
      "serviceRevision": .int(row.int(2)), "offerId": .string(row.text(3)),
      "kind": .string(row.text(4)), "ratePerHourMicrotokens": .int(row.int(5)),
      "maxMicrotokens": .int(row.int(6)), "durationMinutes": .int(row.int(7) / 60_000),
      "createdAt": .string(Timestamp(milliseconds: row.int(8)).rfc3339),
      "expiresAt": .string(Timestamp(milliseconds: row.int(9)).rfc3339),
      "state": .string(row.text(10)), "sessionId": .optional(session?.text),
    ]
  }
}
