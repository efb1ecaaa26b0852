internal import Cryptography
public import Primitives
public import SQLite
internal import Synchronization

/// Passwords that are known: asked for again, and changed.
extension Accounts {
  /// Makes sure that who asks knows the account's password now. Guesses count as failed sign-ins.
  /// - Throws: `Refusal` `reauth_required`, `rate_limited`.
  public func requirePassword(
    _ password: String?, of user: ID<UserKind>, from address: String
  ) async throws {
    guard let password, password.utf8.count <= Accounts.passwordByteCountMax else {
      throw Accounts.reauthentication
    }
    // Apart from sign-ins: whoever guesses with a stolen token must not slow its owner's sign-in down.
    let isKnown = try await throttled(account: "user:" + user.text, address: address) {
      let hash = try await database.read { connection in
        try connection.first(
          "SELECT password_hash FROM user WHERE id = ?", [.blob(user.bytes)]
        ) { $0.text(0) }
      }
      guard let hash else { throw Refusal(.tokenInvalid, "The account is gone.") }
      return try await isRight(password, hash)
    }
    guard isKnown else {
      note(failureOf: user)
      throw Accounts.reauthentication
    }
  }

  /// Changes a password, or sets the first one, and ends every login but the one that asked.
  ///
  /// - Parameters:
  ///   - current: The present password; nil where the login that asks has signed in again just now.
  ///   - alsoEnded: What else was let in by whoever knew the old one, such as programs of third parties; it runs in
  ///     the same transaction and gives the logins that ended.
  /// - Throws: `Refusal` `reauth_required`, `validation_failed`.
  public func changePassword(
    of user: ID<UserKind>, from current: String?, to password: String,
    keeping login: ID<LoginKind>?,
    address: String, by author: AuditLog.Author,
    alsoEnded: @escaping @Sendable (Connection) throws -> [ID<LoginKind>] = { _ in [] }
  ) async throws {
    let proof = try await requireFresh(
      current, for: .password, of: user, login: login, from: address)
    guard let owner = try await self.user(user) else {
      throw Refusal(.tokenInvalid, "The account is gone.")
    }
    let hash = try await newHash(password, for: owner, pointer: "/newPassword")
    let now = clock.now
    let ended = try await database.write { connection -> [ID<LoginKind>] in
      try Accounts.spend(proof, of: user, at: now, on: connection)
      try connection.run(
        "UPDATE user SET password_hash = ? WHERE id = ?", [.text(hash), .blob(user.bytes)])
      try connection.run(
        "DELETE FROM mail_token WHERE user_id = ? AND purpose = 'reset'", [.blob(user.bytes)])
      try AuditLog.record(
        "password.changed", on: "user:" + user.text, by: author, at: now, on: connection)
      return try LoginStore.endAll(of: user, but: login, at: now, on: connection)
        + alsoEnded(connection)
    }
    logins.add(ended, at: now)
    tell(owner)
  }

  func newHash(_ password: String, for owner: User, pointer: String) async throws -> String {
    if let fault = Registration.fault(of: password, email: owner.email, list: passwords) {
      throw Refusal(
        .validationFailed, "The password is not valid.", fields: [.init(pointer, fault)])
    }
    let random = random
    return try await lane.run { PasswordHash.make(password, random: random) }
  }

  // MARK: Devices

  /// The devices where an account is signed in, newest first.
  public func devices(of user: ID<UserKind>) async throws -> [Login] {
    let now = clock.now
    return try await database.read { try LoginStore.logins(of: user, at: now, on: $0) }
  }

  /// Signs one device out.
  /// - Throws: `Refusal` `not_found`.
  public func endLogin(
    _ login: ID<LoginKind>, of user: ID<UserKind>, by author: AuditLog.Author
  ) async throws {
    let now = clock.now
    let ended = try await database.write { connection in
      let ended = try LoginStore.end(login, of: user, at: now, on: connection)
      guard !ended.isEmpty else { throw Refusal(.notFound, "There is no such device.") }
      try AuditLog.record(
        "login.ended", on: "user:" + user.text, by: author, at: now, on: connection)
      return ended
    }
    logins.add(ended, at: now)
  }

  /// Signs every device out but one.
  ///
  /// - Returns: How many were signed out.
  public func endLogins(
    of user: ID<UserKind>, but kept: ID<LoginKind>?, by author: AuditLog.Author
  ) async throws -> Int {
    let now = clock.now
    let ended = try await database.write { connection in
      let ended = try LoginStore.endAll(of: user, but: kept, at: now, on: connection)
      if !ended.isEmpty {
        try AuditLog.record(
          "login.ended", on: "user:" + user.text, detail: "count=\(ended.count)", by: author,
          at: now, on: connection)
      }
      return ended
    }
    logins.add(ended, at: now)
    return ended.count
  }

  // MARK: Failures

  /// Notes the failed sign-ins since the last call, a row an account; called each minute by the server, so that
  /// guessing cannot fill the record.
  public func noteFailures() async throws {
    let counts = guesses.failures.withLock { failures in
      defer { failures = [:] }
      return failures
    }
    if counts.isEmpty { return }
    let now = clock.now
    try await database.write { connection in
      for (subject, count) in counts.sorted(by: { $0.key < $1.key }) {
        try AuditLog.record(
          "sign_in.failed", on: subject, detail: "count=\(count)", by: .system, at: now,
          on: connection)
      }
    }
  }
}
