internal import Primitives
public import SQLite

extension Accounts {
  /// Makes an account for somebody whom a sign-in service knows, with an e-mail that it has verified. It has no
  /// password: a fresh sign-in there stands for one, and lets it set one; so does a reset by e-mail.
  ///
  /// - Parameter link: Runs in the same transaction, so that no account is left without its way in.
  /// - Throws: `Refusal` `email_taken`, `validation_failed`.
  public func registerExternal(
    email: String, name: String?, by author: AuditLog.Author,
    link: @escaping @Sendable (User, Connection) throws -> Void
  ) async throws -> User {
    // The form's other fields are checked with a password that nobody gets.
    let form = Registration(
      email: email, password: BytesText.base64url(random.bytes(32)), name: name)
    try form.check(against: passwords)
    let now = clock.now
    var user = User(
      id: ID(at: now, random: random), email: form.email, name: name, role: .user, providerID: nil)
    user.verifiedAt = now
    user.createdAt = now
    let made = user
    try await database.write { connection in
      try Accounts.insert(made, hash: "", by: author, at: now, on: connection)
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
