internal import Identity
internal import Primitives
internal import SQLite

/// Whom a provider's notices go to.
enum OwnerNoticeStore {
  /// A provider's people who may sign in, at most `OwnerNotice.ownersMax`.
  static func owners(
    of provider: String, on connection: Connection
  ) throws -> [ID<UserKind>] {
    try connection.rows(
      "SELECT id FROM user WHERE provider_id = ? AND frozen_ms IS NULL ORDER BY id LIMIT ?",
      [.text(provider), .int(OwnerNotice.ownersMax)]
    ) { ID<UserKind>(bytes: $0.blob(0)) }.compactMap { $0 }
  }

  /// The e-mail of one who may sign in, or nil.
  static func address(of user: [UInt8], on connection: Connection) throws -> String? {
    try connection.first(
      "SELECT email FROM user WHERE id = ? AND frozen_ms IS NULL", [.blob(user)]
    ) { $0.text(0) }
  }

  /// Events of the same type to a person, up to this one, counted to just above the bound of e-mails.
  static func count(
    of event: OutboxEvent, to user: [UInt8], since moment: Timestamp, on connection: Connection
  ) throws -> Int64 {
    try connection.first(
      """
      SELECT count(*) FROM (SELECT 1 FROM outbox_route r JOIN outbox o ON o.seq = r.seq
      WHERE r.user_id = ? AND r.seq <= ? AND o.type = ? AND o.occurred_ms > ? LIMIT ?)
      """,
      [
        .blob(user), .int(event.seq), .text(event.type), .int(moment.milliseconds),
        .int(OwnerNotice.mailsPerHourMax + 1),
      ]
    ) { $0.int(0) } ?? 0
  }
}
