public import Primitives
public import SQLite

/// What operators do to accounts and keys.
extension Accounts {
  /// Accounts, newest first.
  ///
  /// - Parameters:
  ///   - email: Only the one with exactly this address.
  ///   - role: Only those of a role.
  public func users(
    email: String? = nil, role: Role? = nil, before last: ID<UserKind>? = nil, limit: Int
  ) async throws -> [User] {
    try await database.read { connection in
      try connection.rows(
        """
        SELECT \(Accounts.columns) FROM user WHERE (?1 IS NULL OR email = ?1)
        AND (?2 IS NULL OR role = ?2) AND (?3 IS NULL OR id < ?3) ORDER BY id DESC LIMIT ?4
        """,
        [
          .optional(email?.lowercased()), .optional(role?.rawValue), .optional(last?.bytes),
          .int(Int64(limit)),
        ]
      ) { Accounts.user($0) }.compactMap { $0 }
    }
  }

  /// Stops or allows an account's sign-in; stopping ends its logins and refuses its keys at once. Repeating it
  /// changes nothing.
  ///
  /// - Parameter alsoEnded: What else acts for the account and ends when it is stopped, such as programs of third
  ///   parties; it runs in the same transaction and gives the logins that ended.
  /// - Throws: `Refusal` `not_found`.
  public func setFrozen(
    _ isFrozen: Bool, _ user: ID<UserKind>, by author: AuditLog.Author,
    alsoEnded: @escaping @Sendable (Connection) throws -> [ID<LoginKind>] = { _ in [] }
  ) async throws -> User {
    let now = clock.now
    return try await change(user) { connection, known in
      guard (known.frozenAt != nil) != isFrozen else { return [] }
      try connection.run(
        "UPDATE user SET frozen_ms = ? WHERE id = ?",
        [.optional(isFrozen ? now.milliseconds : nil), .blob(user.bytes)])
      try AuditLog.record(
        isFrozen ? "user.frozen" : "user.unfrozen", on: "user:" + user.text, by: author, at: now,
        on: connection)
      guard isFrozen else { return [] }
      return try LoginStore.endAll(of: user, at: now, on: connection) + alsoEnded(connection)
    }
  }

  /// Gives an account another role; its logins end, as their tokens name the old one.
  /// - Throws: `Refusal` `not_found`, `validation_failed`.
  public func setRole(
    _ role: Role, providerID: String?, of user: ID<UserKind>, by author: AuditLog.Author
  ) async throws -> User {
    guard (role == .provider) == (providerID != nil) else {
      throw Refusal(
        .validationFailed, "The role is not valid.",
        fields: [.init("/providerId", "must be named for a provider's account, and only for one")])
    }
    let now = clock.now
    return try await change(user) { connection, known in
      guard known.role != role || known.providerID != providerID else { return [] }
      if let providerID {
        let exists = try connection.first(
          "SELECT 1 FROM provider WHERE id = ?", [.text(providerID)]
        ) { _ in true }
        guard exists == true else {
          throw Refusal(.notFound, "There is no provider \(providerID).")
        }
      }
      try connection.run(
        "UPDATE user SET role = ?, provider_id = ? WHERE id = ?",
        [.text(role.rawValue), .optional(providerID), .blob(user.bytes)])
      try AuditLog.record(
        "role.changed", on: "user:" + user.text,
        detail: [(known.role, known.providerID), (role, providerID)].map { role, provider in
          role.rawValue + (provider.map { "=" + $0 } ?? "")
        }.joined(separator: " to "), by: author, at: now, on: connection)
      return try LoginStore.endAll(of: user, at: now, on: connection)
    }
  }

  private func change(
    _ user: ID<UserKind>,
    _ body: @escaping @Sendable (Connection, User) throws -> [ID<LoginKind>]
  ) async throws -> User {
    let (changed, ended) = try await database.write { connection in
      guard let known = try Accounts.user(user, on: connection) else {
        throw Refusal(.notFound, "There is no such account.")
      }
      let ended = try body(connection, known)
      return (try Accounts.user(user, on: connection) ?? known, ended)
    }
    logins.add(ended, at: clock.now)
    return changed
  }

  // MARK: Keys at the operator's terminal

  /// Makes an API key of a provider with all that a provider's key may do; the secret is shown only here.
  public func makeAPIKey(providerID: String, name: String) async throws -> (
    id: String, secret: String
  ) {
    let (now, owner) = (clock.now, APIKeyOwner.provider(providerID))
    let id = try await database.write { connection in
      try apiKeyStore.make(
        APIKey.Draft(name: name), for: owner, by: .terminal, at: now, random: random,
        on: connection)
    }
    return (id.text, apiKeyStore.secret(of: id, owner: owner))
  }

  /// Every API key, oldest first.
  public func apiKeys() async throws -> [APIKey] {
    let newest = try await database.read {
      try apiKeyStore.keys(of: nil, limit: 100_000, on: $0)
    }
    return newest.reversed()
  }

  /// Ends an API key for good, from the next request on; repeating it changes nothing.
  /// - Throws: `Refusal` `not_found`.
  public func revokeAPIKey(_ id: String, by author: AuditLog.Author = .terminal) async throws {
    guard let key = ID<APIKeyKind>(id) else {
      throw Refusal(.notFound, "There is no such API key.")
    }
    let now = clock.now
    try await database.write { connection in
      try apiKeyStore.revoke(key, of: nil, by: author, at: now, on: connection)
    }
  }
}
