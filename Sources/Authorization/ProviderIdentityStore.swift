internal import Identity
internal import Primitives
internal import SQLite

/// Which providers have met which people. Every function runs in the caller's transaction.
enum ProviderIdentityStore {
  /// Notes that a provider asks for a person: one statement, so that however many ask at once, one row is made.
  static func meet(
    _ user: ID<UserKind>, at provider: String, as pairwiseID: String, _ now: Timestamp,
    on connection: Connection
  ) throws {
    try connection.run(
      """
      INSERT INTO provider_identity(provider_id, user_id, pairwise_id, first_seen_ms, last_seen_ms)
      VALUES (?1, ?2, ?3, ?4, ?4)
      ON CONFLICT(provider_id, user_id) DO UPDATE SET last_seen_ms = max(last_seen_ms, ?4)
      """,
      [.text(provider), .blob(user.bytes), .text(pairwiseID), .int(now.milliseconds)])
  }

  /// The person of a provider's own id, or nil.
  static func user(
    _ pairwiseID: String, at provider: String, on connection: Connection
  ) throws -> ID<UserKind>? {
    try connection.first(
      "SELECT user_id FROM provider_identity WHERE provider_id = ? AND pairwise_id = ?",
      [.text(provider), .text(pairwiseID)]
    ) { ID<UserKind>(bytes: $0.blob(0)) } ?? nil
  }

  /// When a provider asked for a person first and last, or nil where it never did.
  static func seen(
    _ user: ID<UserKind>, at provider: String, on connection: Connection
  ) throws -> (first: Timestamp, last: Timestamp)? {
    try connection.first(
      """
      SELECT first_seen_ms, last_seen_ms FROM provider_identity
      WHERE provider_id = ? AND user_id = ?
      """, [.text(provider), .blob(user.bytes)]
    ) { (first: Timestamp(milliseconds: $0.int(0)), last: Timestamp(milliseconds: $0.int(1))) }
  }

  /// What there is to know of a person.
  static func person(
    _ user: ID<UserKind>, on connection: Connection
  ) throws -> (name: String?, email: String, isVerified: Bool)? {
    try connection.first(
      "SELECT name, email, verified_ms IS NOT NULL FROM user WHERE id = ?", [.blob(user.bytes)]
    ) { (name: $0.optionalText(0), email: $0.text(1), isVerified: $0.int(2) == 1) }
  }

  /// Every provider that a person has met or given a consent to that is in force.
  static func providers(of user: ID<UserKind>, on connection: Connection) throws -> [String] {
    try connection.rows(
      """
      SELECT provider_id FROM provider_identity WHERE user_id = ?1 UNION
      SELECT provider_id FROM provider_consent WHERE user_id = ?1 AND withdrawn_ms IS NULL
      """, [.blob(user.bytes)]
    ) { $0.text(0) }
  }

  /// Deletes who a person is elsewhere.
  static func forget(_ user: ID<UserKind>, on connection: Connection) throws {
    for table in ["provider_identity", "provider_consent", "external_identity"] {
      try connection.run("DELETE FROM \(table) WHERE user_id = ?", [.blob(user.bytes)])
    }
  }

  /// Puts an event in the outbox.
  static func emit(
    _ type: String, id: String, _ body: JSON, at now: Timestamp, on connection: Connection
  ) throws {
    try connection.run(
      "INSERT INTO outbox(event_id, type, occurred_ms, payload) VALUES (?, ?, ?, ?)",
      [.text(id), .text(type), .int(now.milliseconds), .text(body.text)])
  }
}
