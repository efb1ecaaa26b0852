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
}
