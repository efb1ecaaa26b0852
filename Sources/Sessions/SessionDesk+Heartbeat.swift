internal import Cryptography
public import Primitives
internal import SQLite

/// Signs of life. A heartbeat that is repeated does nothing, and is answered as it was (specification core, 3.3).
extension SessionDesk {
  /// A heartbeat by session token, with a fresh one near its expiry.
  ///
  /// The last number again gets the last reply again, byte for byte, as long as the session stands as that said: once
  /// a deadline has passed, or somebody has paused, resumed or extended it, and for older numbers, the reply is the
  /// session as it is.
  /// - Throws: `Refusal` `not_found`, `forbidden`, `token_expired`, `token_invalid`, `invalid_transition`.
  public func heartbeat(
    _ id: ID<SessionKind>, by actor: SessionActor, seq: Int64, isActive: Bool
  ) async throws -> JSONObject {
    let now = clock.now
    return try await database.write { connection in
      try sweep(at: now, on: connection)
      let beat = SessionState.Event.heartbeat(seq: seq, isActive: isActive)
      let record = try apply(id, by: actor, beat, at: now, on: connection)
      // Whoever comes with a token past its end needs a new one, which an old reply may not have.
      let isLate = if case .bearer(_, .late) = actor { true } else { false }
      if !isLate, let reply = try reply(of: record, seq: seq, on: connection) { return reply }
      let view = renewed(liveView(record, at: now), record, actor, at: now)
      if record.state.lastSeq == seq { try keep(view, of: record, seq: seq, on: connection) }
      return view
    }
  }

  /// Keeps the reply of a session's newest heartbeat, until the session ends.
  func keep(
    _ view: JSONObject, of record: SessionRecord, seq: Int64, on connection: Connection
  ) throws {
    guard !record.state.phase.isTerminal else { return }
    let sealed = replies.seal(
      JSON.object(view).bytes, label: record.id.text, nonce: random.bytes(12))
    try connection.run(
      """
      INSERT INTO heartbeat_reply(session_id, seq, standing, reply) VALUES (?, ?, ?, ?)
      ON CONFLICT(session_id) DO UPDATE
      SET seq = excluded.seq, standing = excluded.standing, reply = excluded.reply
      """,
      [.blob(record.id.bytes), .int(seq), .text(Self.standing(record)), .blob(sealed)])
  }

  private func reply(
    of record: SessionRecord, seq: Int64, on connection: Connection
  ) throws -> JSONObject? {
    let kept = try connection.first(
      "SELECT reply FROM heartbeat_reply WHERE session_id = ? AND seq = ? AND standing = ?",
      [.blob(record.id.bytes), .int(seq), .text(Self.standing(record))]
    ) { $0.blob(0) }
    guard let kept, let reply = replies.open(kept, label: record.id.text) else { return nil }
    return try JSON.parse(reply).object
  }

  /// What a deadline or an act changes: a reply is the same as long as this is.
  private static func standing(_ record: SessionRecord) -> String {
    let state = record.state
    return [
      state.phase.rawValue, state.reason ?? "", String(state.duration),
      String(state.pausedTotal), state.isWarned ? "warned" : "",
    ].joined(separator: "/")
  }
}
