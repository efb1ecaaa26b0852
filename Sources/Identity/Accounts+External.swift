internal import Primitives
public import SQLite

extension Accounts {
  /// Makes an account for somebody whom a sign-in service knows, with an e-mail that it has verified. It has a
  /// password that nobody knows: a reset by e-mail gives it one.
  ///
  /// - Parameter link: Runs in the same transaction, so that no account is left without its way in.
  /// - Throws: `Refusal` `email_taken`, `validation_failed`.
  public func registerExternal(
    email: String, name: String?, by author: AuditLog.Author,
    link: @escaping @Sendable (User, Connection) throws -> Void
  ) async throws -> User {
    let password = BytesText.base64url(random.bytes(32))
    let (prepared, hash) = try await prepare(
      Registration(email: email, password: password, name: name))
    let now = clock.now
    var user = prepared
    user.verifiedAt = now
    let made = user
    try await database.write { connection in
      try Accounts.insert(made, hash: hash, by: author, at: now, on: connection)
      try link(made, connection)
    }
    return made
  }

  /// The account of an e-mail, or nil.
  public func user(email: String) async throws -> User? {
    try await database.read { connection in
      try connection.first(
        "SELECT \(Accounts.columns) FROM user WHERE email = ?", [.text(email.lowercased())]
      ) { Accounts.user($0) } ?? nil
    }
  }
}
