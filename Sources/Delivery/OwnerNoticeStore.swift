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

  /// The e-mail of one who may sign in and, where the event is about a provider, still is one of its people; or nil.
  static func address(
    of user: [UInt8], for event: OutboxEvent, on connection: Connection
  ) throws -> String? {
    try connection.first(
      """
      SELECT email FROM user
      WHERE id = ?1 AND frozen_ms IS NULL AND (?2 IS NULL OR provider_id = ?2)
      """, [.blob(user), .optional(OwnerNotice.provider(of: event))]
    ) { $0.text(0) }
  }
}
