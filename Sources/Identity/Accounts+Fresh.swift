internal import Cryptography
public import Primitives
public import SQLite

/// What an account asks for a fresh proof of its person before.
public enum FreshPurpose: String, Sendable, CaseIterable {
  /// Erasing the account.
  case erase
  /// Changing its password, or setting the first one.
  case password
}

/// How somebody has shown just now to be the account's person.
public enum FreshProof: Sendable {
  /// By its password, with this request.
  case password
  /// By a fresh sign-in through another service, of this login; it counts once.
  case signIn(ID<LoginKind>, FreshPurpose)
}

/// Sensitive changes want more than an access token: the password, or a sign-in of the last five minutes through
/// another service, which is all that an account without a password has.
extension Accounts {
  /// How long a fresh sign-in counts, in milliseconds.
  public static let freshMilliseconds: Int64 = 300_000

  /// Makes sure that who asks is the account's person now.
  ///
  /// - Parameter login: The login of the access token that was sent: only its own fresh sign-in counts.
  /// - Returns: The proof, to be spent in the transaction of what it is for.
  /// - Throws: `Refusal` `reauth_required`, `rate_limited`.
  public func requireFresh(
    _ password: String?, for purpose: FreshPurpose, of user: ID<UserKind>,
    login: ID<LoginKind>?, from address: String
  ) async throws -> FreshProof {
    guard password == nil, let login else {
      try await requirePassword(password, of: user, from: address)
      return .password
    }
    let proof = FreshProof.signIn(login, purpose)
    let now = clock.now
    let isFresh = try await database.read {
      try Accounts.isFresh(login, purpose, of: user, at: now, on: $0)
    }
    guard isFresh else { throw Accounts.reauthentication }
    return proof
  }

  /// Uses a proof up, in the running transaction: where that is undone, it still counts.
  /// - Throws: `Refusal` `reauth_required` where it was used meanwhile.
  public static func spend(
    _ proof: FreshProof, of user: ID<UserKind>, at now: Timestamp, on connection: Connection
  ) throws {
    guard case .signIn(let login, let purpose) = proof else { return }
    guard try isFresh(login, purpose, of: user, at: now, on: connection) else {
      throw reauthentication
    }
    try connection.run(
      "DELETE FROM fresh_sign_in WHERE user_id = ? AND purpose = ?",
      [.blob(user.bytes), .text(purpose.rawValue)])
  }

  private static func isFresh(
    _ login: ID<LoginKind>, _ purpose: FreshPurpose, of user: ID<UserKind>, at now: Timestamp,
    on connection: Connection
  ) throws -> Bool {
    try connection.first(
      """
      SELECT 1 FROM fresh_sign_in
      WHERE user_id = ? AND purpose = ? AND login_id = ? AND at_ms > ? AND at_ms <= ?
      """,
      [
        .blob(user.bytes), .text(purpose.rawValue), .blob(login.bytes),
        .int(now.milliseconds - freshMilliseconds), .int(now.milliseconds),
      ]
    ) { _ in true } ?? false
  }

  /// Notes that the person of a login has signed in again through another service.
  ///
  /// - Parameter moment: When the other service saw the person; never after now.
  /// - Throws: `Refusal` `unauthenticated` where the login has ended meanwhile.
  public func signedInAgain(
    _ user: ID<UserKind>, login: ID<LoginKind>, for purpose: FreshPurpose, at moment: Timestamp,
    by author: AuditLog.Author, on connection: Connection
  ) throws {
    let now = clock.now
    let count = try connection.run(
      """
      INSERT OR REPLACE INTO fresh_sign_in(user_id, purpose, login_id, at_ms)
      SELECT f.user_id, ?1, f.id, ?2 FROM refresh_family f JOIN user u ON u.id = f.user_id
      WHERE f.id = ?3 AND f.user_id = ?4 AND f.revoked_ms IS NULL AND u.frozen_ms IS NULL
      """,
      [
        .text(purpose.rawValue), .int(min(moment, now).milliseconds), .blob(login.bytes),
        .blob(user.bytes),
      ])
    guard count == 1 else {
      throw Refusal(.unauthenticated, "The login that asked for this has ended; sign in.")
    }
    try AuditLog.record(
      "user.signed_in_again", on: "user:" + user.text, detail: purpose.rawValue, by: author,
      at: now, on: connection)
  }

  /// Whether an account has a password: one made by another service has none until it sets one.
  public func hasPassword(_ user: ID<UserKind>) async throws -> Bool {
    try await database.read { connection in
      try connection.first(
        "SELECT password_hash <> '' FROM user WHERE id = ?", [.blob(user.bytes)]
      ) { $0.int(0) == 1 } ?? false
    }
  }

  /// Deletes fresh sign-ins that count no more.
  public func pruneFreshSignIns() async throws {
    try await database.deleteInParts(
      """
      DELETE FROM fresh_sign_in WHERE (user_id, purpose) IN
      (SELECT user_id, purpose FROM fresh_sign_in WHERE at_ms <= ? LIMIT 500)
      """, before: clock.now.milliseconds - Accounts.freshMilliseconds)
  }

  static var reauthentication: Refusal {
    Refusal(.reauthRequired, "Show that it is you: send the account's password with this request.")
  }
}

extension Database {
  /// Runs a statement that deletes at most 500 rows until there are no more: the writing lane is everybody's.
  func deleteInParts(_ sql: String, before moment: Int64) async throws {
    while try await write({ try $0.run(sql, [.int(moment)]) }) == 500 {
      try Task.checkCancellation()
    }
  }
}
