public import Primitives
public import SQLite
internal import Synchronization

/// The kind of a login's id, for `ID`. One login is one sign-in on one device.
public enum LoginKind: Sendable {}

/// One login as its owner sees it.
public struct Login: Sendable {
  /// The id; it stands in the login's access tokens as `sid`.
  public let id: ID<LoginKind>
  /// What the device said it was.
  public let client: String
  /// When it began.
  public let startedAt: Timestamp
  /// When it was renewed last.
  public let usedAt: Timestamp
}

/// Logins that ended while access tokens of theirs may still live: those are refused at once, without a look at
/// the record. One for the process.
public final class RevokedLogins: Sendable {
  private let ends = Mutex<[ID<LoginKind>: Timestamp]>([:])

  /// None yet.
  public init() {}

  /// Whether a login has ended.
  public func contains(_ login: ID<LoginKind>) -> Bool { ends.withLock { $0[login] != nil } }

  /// Notes logins that have ended.
  public func add(_ logins: [ID<LoginKind>], at now: Timestamp) {
    ends.withLock { ends in
      for login in logins { ends[login] = now + LoginStore.rememberedMilliseconds }
    }
  }

  /// Reads what an earlier run of the server has noted.
  public func load(from database: Database, at now: Timestamp) async throws {
    let known = try await database.read { connection in
      try connection.rows(
        "SELECT id, until_ms FROM revoked_login WHERE until_ms > ?", [.int(now.milliseconds)]
      ) { (ID<LoginKind>(bytes: $0.blob(0)), Timestamp(milliseconds: $0.int(1))) }
    }
    ends.withLock { ends in
      for case (let id?, let end) in known { ends[id] = end }
    }
  }

  /// Forgets logins whose last access token has expired.
  func forget(at now: Timestamp) { ends.withLock { ends in ends = ends.filter { $0.value > now } } }
}

/// The tables of logins.
public enum LoginStore {
  /// The life of an access token, the leeway of its check and half a minute more.
  static let rememberedMilliseconds: Int64 = (Accounts.accessTokenSeconds + 60) * 1_000

  /// The live logins of a user, newest first.
  public static func logins(
    of user: ID<UserKind>, at now: Timestamp, on connection: Connection
  ) throws -> [Login] {
    try connection.rows(
      """
      SELECT id, client, created_ms, rotated_ms FROM refresh_family
      WHERE user_id = ? AND revoked_ms IS NULL AND rotated_ms >= ? AND created_ms >= ?
      ORDER BY created_ms DESC, id LIMIT 1000
      """,
      [
        .blob(user.bytes), .int(now.milliseconds - RefreshTokens.idleMilliseconds),
        .int(now.milliseconds - RefreshTokens.absoluteMilliseconds),
      ]
    ) { row in
      ID<LoginKind>(bytes: row.blob(0)).map { id in
        Login(
          id: id, client: row.text(1), startedAt: Timestamp(milliseconds: row.int(2)),
          usedAt: Timestamp(milliseconds: row.int(3)))
      }
    }.compactMap { $0 }
  }

  /// Ends every login of a user but one.
  ///
  /// - Returns: Those that ended, for `RevokedLogins.add` once the transaction has committed.
  public static func endAll(
    of user: ID<UserKind>, but kept: ID<LoginKind>? = nil, at now: Timestamp,
    on connection: Connection
  ) throws -> [ID<LoginKind>] {
    let families = try connection.rows(
      "SELECT id FROM refresh_family WHERE user_id = ?1 AND revoked_ms IS NULL AND id IS NOT ?2",
      [.blob(user.bytes), .optional(kept?.bytes)]
    ) { $0.blob(0) }
    return try end(families, at: now, on: connection)
  }

  /// Ends one login of a user.
  ///
  /// - Returns: It, or nothing where there is no such live login of that user.
  public static func end(
    _ login: ID<LoginKind>, of user: ID<UserKind>, at now: Timestamp, on connection: Connection
  ) throws -> [ID<LoginKind>] {
    let families = try connection.rows(
      "SELECT id FROM refresh_family WHERE id = ? AND user_id = ? AND revoked_ms IS NULL",
      [.blob(login.bytes), .blob(user.bytes)]
    ) { $0.blob(0) }
    return try end(families, at: now, on: connection)
  }

  static func end(
    _ families: [[UInt8]], at now: Timestamp, on connection: Connection
  ) throws -> [ID<LoginKind>] {
    for family in families {
      try connection.run(
        "UPDATE refresh_family SET revoked_ms = coalesce(revoked_ms, ?) WHERE id = ?",
        [.int(now.milliseconds), .blob(family)])
      try connection.run(
        "INSERT OR REPLACE INTO revoked_login(id, until_ms) VALUES (?, ?)",
        [.blob(family), .int(now.milliseconds + rememberedMilliseconds)])
    }
    return families.compactMap { ID<LoginKind>(bytes: $0) }
  }

  static func prune(in database: Database, at now: Timestamp) async throws {
    try await database.deleteInParts(
      """
      DELETE FROM revoked_login WHERE id IN
      (SELECT id FROM revoked_login WHERE until_ms <= ? LIMIT 500)
      """, before: now.milliseconds)
  }
}
