internal import Cryptography
public import Identity
public import Primitives
public import SQLite

/// What a person has let a program do, as the person sees it.
public struct ConnectedApp: Sendable {
  /// The id; access tokens made from it carry it as `sid`.
  public let id: ID<LoginKind>
  /// The program.
  public let clientID: String
  /// Its name when it was let in.
  public let clientName: String
  /// What it may do.
  public let scopes: Set<Scope>
  /// When it was let in.
  public let createdAt: Timestamp
  /// When it renewed its tokens last.
  public let usedAt: Timestamp
}

/// Authorization codes and the grants they turn into.
public enum GrantStore {
  struct Code {
    let userID: ID<UserKind>
    let clientID: String
    let clientName: String
    let redirectURI: String
    let challenge: String
    let scopes: Set<Scope>
    let resource: String
    let expires: Timestamp
    var grantID: ID<LoginKind>?
  }

  struct Grant {
    let id: ID<LoginKind>
    let userID: ID<UserKind>
    let clientID: String
    let scopes: Set<Scope>
    let resource: String
    let seed: [UInt8]
    let generation: Int64
    let rotated: Timestamp
    let created: Timestamp
    let isRevoked: Bool
  }

  static func insert(_ code: Code, hash: [UInt8], on connection: Connection) throws {
    try connection.run(
      """
      INSERT INTO oauth_code(hash, user_id, client_id, client_name, redirect_uri, challenge, scopes,
      resource, expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .blob(hash), .blob(code.userID.bytes), .text(code.clientID), .text(code.clientName),
        .text(code.redirectURI), .text(code.challenge), .text(ScopeWords.text(code.scopes)),
        .text(code.resource), .int(code.expires.milliseconds),
      ])
  }

  static func code(hash: [UInt8], on connection: Connection) throws -> Code? {
    let found = try connection.first(
      """
      SELECT user_id, client_id, client_name, redirect_uri, challenge, scopes, resource, expires_ms,
      grant_id FROM oauth_code WHERE hash = ?
      """, [.blob(hash)]
    ) { row -> Code? in
      guard let user = ID<UserKind>(bytes: row.blob(0)) else { return nil }
      return Code(
        userID: user, clientID: row.text(1), clientName: row.text(2), redirectURI: row.text(3),
        challenge: row.text(4), scopes: ScopeWords.known(row.text(5)), resource: row.text(6),
        expires: Timestamp(milliseconds: row.int(7)),
        grantID: row.isNull(8) ? nil : ID(bytes: row.blob(8)))
    }
    return found ?? nil
  }

  /// Turns a code into a grant with its first refresh token.
  static func redeem(
    _ code: Code, hash: [UInt8], as id: ID<LoginKind>, seed: [UInt8], at now: Timestamp,
    on connection: Connection
  ) throws {
    try connection.run(
      """
      INSERT INTO oauth_grant(id, user_id, client_id, client_name, scopes, resource, seed,
      generation, rotated_ms, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?)
      """,
      [
        .blob(id.bytes), .blob(code.userID.bytes), .text(code.clientID), .text(code.clientName),
        .text(ScopeWords.text(code.scopes)), .text(code.resource), .blob(seed),
        .int(now.milliseconds), .int(now.milliseconds),
      ])
    try connection.run(
      "UPDATE oauth_code SET grant_id = ? WHERE hash = ?", [.blob(id.bytes), .blob(hash)])
  }

  static func grant(_ id: ID<LoginKind>, on connection: Connection) throws -> Grant? {
    let found = try connection.first(
      """
      SELECT user_id, client_id, scopes, resource, seed, generation, rotated_ms, created_ms,
      revoked_ms IS NOT NULL FROM oauth_grant WHERE id = ?
      """, [.blob(id.bytes)]
    ) { row -> Grant? in
      guard let user = ID<UserKind>(bytes: row.blob(0)) else { return nil }
      return Grant(
        id: id, userID: user, clientID: row.text(1), scopes: ScopeWords.known(row.text(2)),
        resource: row.text(3), seed: row.blob(4), generation: row.int(5),
        rotated: Timestamp(milliseconds: row.int(6)), created: Timestamp(milliseconds: row.int(7)),
        isRevoked: row.int(8) == 1)
    }
    return found ?? nil
  }

  /// Whether somebody lets a client act.
  static func isUsed(client: String, on connection: Connection) throws -> Bool {
    try connection.first(
      "SELECT 1 FROM oauth_grant WHERE client_id = ? AND revoked_ms IS NULL LIMIT 1",
      [.text(client)]
    ) { _ in true } ?? false
  }

  static func rotate(_ id: ID<LoginKind>, at now: Timestamp, on connection: Connection) throws {
    try connection.run(
      "UPDATE oauth_grant SET generation = generation + 1, rotated_ms = ? WHERE id = ?",
      [.int(now.milliseconds), .blob(id.bytes)])
  }

  /// Ends grants: their refresh tokens, and the access tokens that were made from them.
  static func end(
    _ grants: [ID<LoginKind>], at now: Timestamp, on connection: Connection
  ) throws -> [ID<LoginKind>] {
    for grant in grants {
      try connection.run(
        "UPDATE oauth_grant SET revoked_ms = coalesce(revoked_ms, ?) WHERE id = ?",
        [.int(now.milliseconds), .blob(grant.bytes)])
    }
    try LoginStore.refuse(grants, at: now, on: connection)
    return grants
  }

  static func endAll(
    ofClient client: String, at now: Timestamp, on connection: Connection
  ) throws -> [ID<LoginKind>] {
    let grants = try connection.rows(
      "SELECT id FROM oauth_grant WHERE client_id = ? AND revoked_ms IS NULL", [.text(client)]
    ) { ID<LoginKind>(bytes: $0.blob(0)) }.compactMap { $0 }
    return try end(grants, at: now, on: connection)
  }

  /// Ends every grant of a person in the running transaction, and the codes that none has come of yet: before the
  /// account is erased, and where whoever allowed them may not have been the person.
  ///
  /// - Returns: What ended, for `Accounts.loginsEnded` once the transaction has committed.
  public static func endAll(
    of user: ID<UserKind>, at now: Timestamp, on connection: Connection
  ) throws -> [ID<LoginKind>] {
    try connection.run(
      "DELETE FROM oauth_code WHERE user_id = ? AND grant_id IS NULL", [.blob(user.bytes)])
    // Those that rest too: an access token may be younger than its grant's end.
    let grants = try connection.rows(
      "SELECT id FROM oauth_grant WHERE user_id = ?", [.blob(user.bytes)]
    ) { ID<LoginKind>(bytes: $0.blob(0)) }.compactMap { $0 }
    return try end(grants, at: now, on: connection)
  }

  /// The programs that a person lets act, newest first, at most 200.
  public static func apps(
    of user: ID<UserKind>, at now: Timestamp, on connection: Connection
  ) throws -> [ConnectedApp] {
    try connection.rows(
      """
      SELECT id, client_id, client_name, scopes, created_ms, rotated_ms FROM oauth_grant
      WHERE user_id = ? AND revoked_ms IS NULL AND rotated_ms >= ? AND created_ms >= ?
      ORDER BY created_ms DESC, id LIMIT 200
      """,
      [
        .blob(user.bytes), .int(now.milliseconds - RefreshTokens.idleMilliseconds),
        .int(now.milliseconds - RefreshTokens.absoluteMilliseconds),
      ]
    ) { row in
      ID<LoginKind>(bytes: row.blob(0)).map { id in
        ConnectedApp(
          id: id, clientID: row.text(1), clientName: row.text(2),
          scopes: ScopeWords.known(row.text(3)), createdAt: Timestamp(milliseconds: row.int(4)),
          usedAt: Timestamp(milliseconds: row.int(5)))
      }
    }.compactMap { $0 }
  }

  /// Takes back what a person has let a program do.
  ///
  /// - Returns: What ended, for `Accounts.loginsEnded` once the transaction has committed.
  /// - Throws: `Refusal` `not_found`.
  public static func end(
    _ id: ID<LoginKind>, of user: ID<UserKind>, by author: AuditLog.Author, at now: Timestamp,
    on connection: Connection
  ) throws -> [ID<LoginKind>] {
    guard let grant = try grant(id, on: connection), grant.userID == user, !grant.isRevoked else {
      throw Refusal(.notFound, "There is no such app.")
    }
    try AuditLog.record(
      "grant.revoked", on: "grant:" + id.text, by: author, at: now, on: connection)
    return try end([id], at: now, on: connection)
  }

  /// Deletes codes that nobody used and grants past their time, up to 500 of each.
  /// - Returns: Whether there may be more.
  static func prune(at now: Timestamp, on connection: Connection) throws -> Bool {
    let codes = try connection.run(
      """
      DELETE FROM oauth_code WHERE hash IN
      (SELECT hash FROM oauth_code WHERE grant_id IS NULL AND expires_ms < ? LIMIT 500)
      """, [.int(now.milliseconds - 3_600_000)])
    let grants = try connection.run(
      """
      DELETE FROM oauth_grant WHERE id IN
      (SELECT id FROM oauth_grant WHERE rotated_ms < ? OR created_ms < ? LIMIT 500)
      """,
      [
        .int(now.milliseconds - RefreshTokens.idleMilliseconds),
        .int(now.milliseconds - RefreshTokens.absoluteMilliseconds),
      ])
    return codes == 500 || grants == 500
  }
}
