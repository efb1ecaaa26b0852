public import Identity
public import Primitives
public import SQLite

/// Who a person is elsewhere: at an OpenID provider now, in an enterprise's directory later.
public struct ExternalIdentity: Sendable, Equatable {
  /// The organisation whose people they are; empty for the platform itself.
  public let tenant: String
  /// Who says so, such as `oidc:https://accounts.example`.
  public let source: String
  /// The id there; it never changes and is given to nobody else.
  public let externalID: String

  /// An identity.
  public init(tenant: String = "", source: String, externalID: String) {
    self.tenant = tenant
    self.source = source
    self.externalID = externalID
  }
}

/// The table of who is who elsewhere. Every function runs in the caller's transaction.
public enum ExternalIdentityStore {
  /// The account that an identity is linked with, or nil.
  public static func user(
    of identity: ExternalIdentity, on connection: Connection
  ) throws -> ID<UserKind>? {
    try connection.first(
      """
      SELECT user_id FROM external_identity WHERE tenant = ? AND source = ? AND external_id = ?
      """, values(identity)
    ) { ID<UserKind>(bytes: $0.blob(0)) } ?? nil
  }

  /// Links an identity with an account.
  ///
  /// - Returns: The account that it is linked with now: an earlier link stays.
  public static func link(
    _ identity: ExternalIdentity, to user: ID<UserKind>, by author: AuditLog.Author,
    at now: Timestamp, on connection: Connection
  ) throws -> ID<UserKind> {
    if let known = try self.user(of: identity, on: connection) { return known }
    try connection.run(
      """
      INSERT INTO external_identity(tenant, source, external_id, user_id, linked_ms, used_ms)
      VALUES (?, ?, ?, ?, ?, ?)
      """,
      values(identity) + [.blob(user.bytes), .int(now.milliseconds), .int(now.milliseconds)])
    try AuditLog.record(
      "identity.linked", on: "user:" + user.text, by: author, at: now, on: connection)
    return user
  }

  /// Notes that an identity was used to sign in.
  public static func used(
    _ identity: ExternalIdentity, at now: Timestamp, on connection: Connection
  ) throws {
    try connection.run(
      """
      UPDATE external_identity SET used_ms = ?
      WHERE tenant = ? AND source = ? AND external_id = ?
      """, [.int(now.milliseconds)] + values(identity))
  }

  /// The identities of a person.
  public static func identities(
    of user: ID<UserKind>, on connection: Connection
  ) throws -> [(identity: ExternalIdentity, linkedAt: Timestamp)] {
    try connection.rows(
      """
      SELECT tenant, source, external_id, linked_ms FROM external_identity WHERE user_id = ?
      ORDER BY linked_ms, source LIMIT 100
      """, [.blob(user.bytes)]
    ) { row in
      (
        ExternalIdentity(
          tenant: row.text(0), source: row.text(1), externalID: row.text(2)),
        Timestamp(milliseconds: row.int(3))
      )
    }
  }

  private static func values(_ identity: ExternalIdentity) -> [SQLValue] {
    [.text(identity.tenant), .text(identity.source), .text(identity.externalID)]
  }
}
