internal import Cryptography
internal import Identity
internal import Primitives
internal import SQLite

/// A conversation as stored.
struct ConversationRow: Sendable {
  let id: ID<ConversationKind>
  let userID: ID<UserKind>?
  let title: String
  let seq: Int64
  let seed: Int64
  var state: ConversationState
  let createdAt: Timestamp
  let updatedAt: Timestamp
}

/// The tables of conversations, turns and events.
enum ConversationStore {
  static func insert(
    _ row: ConversationRow, secret: String?, on connection: Connection
  ) throws {
    try connection.run(
      """
      INSERT INTO conversation(id, user_id, secret_hash, title, seed, state, created_ms, updated_ms)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .blob(row.id.bytes), .optional(row.userID?.bytes),
        .optional(secret.map { Digest.sha256(Array($0.utf8)) }), .text(row.title), .int(row.seed),
        .text(row.state.json.text), .int(row.createdAt.milliseconds),
        .int(row.updatedAt.milliseconds),
      ])
  }

  /// A conversation for its owner: the user, or who has the secret. Anybody else's is not there.
  static func read(
    _ id: ID<ConversationKind>, user: ID<UserKind>?, secret: String?, on connection: Connection
  ) throws -> ConversationRow {
    let found = try connection.first(
      """
      SELECT user_id, secret_hash, title, seq, seed, state, created_ms, updated_ms
      FROM conversation WHERE id = ?
      """, [.blob(id.bytes)]
    ) { row -> (ConversationRow, [UInt8]?) in
      let owner = row.isNull(0) ? nil : ID<UserKind>(bytes: row.blob(0))
      let state = (try? JSON.parse(row.text(5))).map(ConversationState.init) ?? ConversationState()
      let conversation = ConversationRow(
        id: id, userID: owner, title: row.text(2), seq: row.int(3), seed: row.int(4), state: state,
        createdAt: Timestamp(milliseconds: row.int(6)),
        updatedAt: Timestamp(milliseconds: row.int(7)))
      return (conversation, row.isNull(1) ? nil : row.blob(1))
    }
    guard let (conversation, secretHash) = found else { throw missing }
    if let owner = conversation.userID {
      guard owner == user else { throw missing }
    } else {
      let given = secret.map { Digest.sha256(Array($0.utf8)) } ?? []
      guard Digest.equal(given, secretHash ?? [0]) else { throw missing }
    }
    return conversation
  }

  static var missing: Refusal { Refusal(.notFound, "There is no such conversation.") }

  /// The turn of a client's message, where it was sent before.
  static func turn(
    of message: String, in id: ID<ConversationKind>, on connection: Connection
  ) throws -> (id: ID<TurnKind>, state: String)? {
    let found = try connection.first(
      "SELECT id, state FROM turn WHERE conversation_id = ? AND client_message_id = ?",
      [.blob(id.bytes), .text(message)]
    ) { (ID<TurnKind>(bytes: $0.blob(0)), $0.text(1)) }
    guard let found, let turnID = found.0 else { return nil }
    return (turnID, found.1)
  }

  /// The conversation that a user's message without one has just started: the same message again, with the
  /// same words, within ten minutes, is a repeat. Later, or with other words, it is a new need.
  static func started(
    by request: TurnRequest, of user: ID<UserKind>, at now: Timestamp, on connection: Connection
  ) throws -> ID<ConversationKind>? {
    let found = try connection.first(
      """
      SELECT c.id FROM conversation c JOIN turn t ON t.conversation_id = c.id
      WHERE c.user_id = ?1 AND c.updated_ms >= ?2 AND c.created_ms >= ?2
      AND t.client_message_id = ?3 AND t.created_ms = c.created_ms AND t.input = ?4
      ORDER BY c.id DESC LIMIT 1
      """,
      [
        .blob(user.bytes), .int(now.milliseconds - 600_000), .text(request.clientMessageID),
        .text(request.stored.text),
      ]
    ) { ID<ConversationKind>(bytes: $0.blob(0)) }
    return found ?? nil
  }

  static func lastMessage(in id: ID<ConversationKind>, on connection: Connection) throws -> String?
  {
    try connection.first(
      "SELECT client_message_id FROM turn WHERE conversation_id = ? ORDER BY id DESC LIMIT 1",
      [.blob(id.bytes)]
    ) { $0.text(0) }
  }

  static func insertTurn(
    _ turn: ID<TurnKind>, _ request: TurnRequest, in id: ID<ConversationKind>, mode: String,
    at now: Timestamp, on connection: Connection
  ) throws {
    try connection.run(
      """
      INSERT INTO turn(id, conversation_id, client_message_id, input, mode, state, created_ms)
      VALUES (?, ?, ?, ?, ?, 'running', ?)
      """,
      [
        .blob(turn.bytes), .blob(id.bytes), .text(request.clientMessageID),
        .text(request.stored.text), .text(mode), .int(now.milliseconds),
      ])
  }

  /// Keeps a turn's events, the last of which ends it, and what the conversation has come to. Nothing where
  /// the conversation was deleted meanwhile.
  static func finish(
    _ turn: ID<TurnKind>, _ events: [TurnEvent], _ state: ConversationState,
    in id: ID<ConversationKind>, at now: Timestamp, on connection: Connection
  ) throws {
    let ended = try connection.run(
      "UPDATE turn SET state = ? WHERE id = ?",
      [.text(events.last?.type ?? "error"), .blob(turn.bytes)])
    guard ended == 1 else { return }
    for event in events {
      try connection.run(
        "INSERT INTO turn_event(conversation_id, seq, turn_id, type, data) VALUES (?, ?, ?, ?, ?)",
        [
          .blob(id.bytes), .int(event.seq), .blob(turn.bytes), .text(event.type),
          .text(String(decoding: event.data, as: UTF8.self)),
        ])
    }
    try connection.run(
      "UPDATE conversation SET seq = max(seq, ?), state = ?, updated_ms = ? WHERE id = ?",
      [
        .int(events.last?.seq ?? 0), .text(state.json.text), .int(now.milliseconds),
        .blob(id.bytes),
      ])
  }

  /// Events after a number, of one turn or of the whole conversation.
  static func events(
    in id: ID<ConversationKind>, turn: ID<TurnKind>?, after seq: Int64, on connection: Connection
  ) throws -> [TurnEvent] {
    try connection.rows(
      """
      SELECT seq, type, data FROM turn_event
      WHERE conversation_id = ?1 AND seq > ?2 AND (?3 IS NULL OR turn_id = ?3) ORDER BY seq
      """, [.blob(id.bytes), .int(seq), .optional(turn?.bytes)]
    ) { TurnEvent(seq: $0.int(0), type: $0.text(1), data: Array($0.text(2).utf8)) }
  }

  /// The turns with their inputs, oldest first, at most so many.
  static func turns(
    in id: ID<ConversationKind>, limit: Int, on connection: Connection
  ) throws -> [JSON] {
    try connection.rows(
      """
      SELECT id, client_message_id, input, mode, state, created_ms FROM turn
      WHERE conversation_id = ? ORDER BY id LIMIT ?
      """, [.blob(id.bytes), .int(Int64(limit))]
    ) { row in
      [
        "id": .string(ID<TurnKind>(bytes: row.blob(0))?.text ?? ""),
        "clientMessageId": .string(row.text(1)), "input": (try? JSON.parse(row.text(2))) ?? .null,
        "mode": .string(row.text(3)), "state": .string(row.text(4)),
        "createdAt": .string(Timestamp(milliseconds: row.int(5)).rfc3339),
      ]
    }
  }

  static func list(
    user: ID<UserKind>, before last: ID<ConversationKind>?, limit: Int, on connection: Connection
  ) throws -> [JSON] {
    try connection.rows(
      """
      SELECT id, title, created_ms, updated_ms FROM conversation
      WHERE user_id = ?1 AND (?2 IS NULL OR (updated_ms, id) <
      (SELECT updated_ms, id FROM conversation WHERE id = ?2 AND user_id = ?1))
      ORDER BY updated_ms DESC, id DESC LIMIT ?3
      """, [.blob(user.bytes), .optional(last?.bytes), .int(Int64(limit))]
    ) { row in
      [
        "id": .string(ID<ConversationKind>(bytes: row.blob(0))?.text ?? ""),
        "title": .string(row.text(1)),
        "createdAt": .string(Timestamp(milliseconds: row.int(2)).rfc3339),
        "updatedAt": .string(Timestamp(milliseconds: row.int(3)).rfc3339),
      ]
    }
  }

  static func ids(
    of user: ID<UserKind>, on connection: Connection
  ) throws -> [ID<ConversationKind>] {
    try connection.rows(
      "SELECT id FROM conversation WHERE user_id = ?", [.blob(user.bytes)]
    ) { ID<ConversationKind>(bytes: $0.blob(0)) }.compactMap { $0 }
  }

  static func delete(_ id: ID<ConversationKind>, on connection: Connection) throws {
    try connection.run("DELETE FROM conversation WHERE id = ?", [.blob(id.bytes)])
  }

  /// Turns that a stop cut off end as aborted, with an event that says so: every turn has one end.
  static func abortRunning(on connection: Connection) throws {
    let cut = try connection.rows(
      "SELECT id, conversation_id FROM turn WHERE state = 'running' ORDER BY id"
    ) { (turn: $0.blob(0), conversation: $0.blob(1)) }
    let ending: JSON = ["reason": .string(LiveTurn.Cancelled.shutdown.rawValue)]
    for row in cut {
      try connection.run(
        "UPDATE conversation SET seq = seq + 1 WHERE id = ?", [.blob(row.conversation)])
      try connection.run(
        """
        INSERT INTO turn_event(conversation_id, seq, turn_id, type, data)
        SELECT id, seq, ?2, 'aborted', ?3 FROM conversation WHERE id = ?1
        """, [.blob(row.conversation), .blob(row.turn), .text(ending.text)])
      try connection.run("UPDATE turn SET state = 'aborted' WHERE id = ?", [.blob(row.turn)])
    }
  }

  /// A conversation past its retention, as it was seen.
  struct Due: Sendable {
    let id: [UInt8]
    let updated: Int64
  }

  /// Some of what is past its retention: anonymous after a day, a person's after the days that the person has chosen;
  /// where those are none, an hour after the last turn. For a reading connection: it looks at all that are older
  /// than an hour.
  static func due(at now: Timestamp, limit: Int, on connection: Connection) throws -> [Due] {
    try connection.rows(
      """
      SELECT c.id, c.updated_ms FROM conversation c LEFT JOIN user u ON u.id = c.user_id
      WHERE c.updated_ms < ?1 - 3600000 AND c.updated_ms < ?1 - CASE
      WHEN c.user_id IS NULL THEN 86400000 WHEN u.conversation_days = 0 THEN 3600000
      ELSE coalesce(u.conversation_days, 30) * 86400000 END ORDER BY c.updated_ms LIMIT ?2
      """, [.int(now.milliseconds), .int(Int64(limit))]
    ) { Due(id: $0.blob(0), updated: $0.int(1)) }
  }

  /// Deletes those that nobody has gone on with meanwhile.
  static func delete(_ due: some Sequence<Due>, on connection: Connection) throws {
    for row in due {
      try connection.run(
        "DELETE FROM conversation WHERE id = ? AND updated_ms = ?",
        [.blob(row.id), .int(row.updated)])
    }
  }
}
