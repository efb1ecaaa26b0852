internal import Cryptography
public import Primitives
public import SQLite

/// Registration with a proof of the address, and passwords that were forgotten. Each token works once, for 30
/// minutes, and is kept as its hash.
extension Accounts {
  /// How long a token by e-mail works, in milliseconds.
  public static let mailTokenMilliseconds: Int64 = 1_800_000

  /// What a token by e-mail did.
  public enum Proved: Sendable {
    /// It made this account.
    case registered(User)
    /// It proved the address of this one.
    case verified(User)
  }

  /// The desk that sends e-mail.
  /// - Throws: `Refusal` `mail_not_configured`.
  public func requireMail() throws(Refusal) -> MailDesk {
    guard let mail else {
      throw Refusal(.mailNotConfigured, "This server sends no e-mail; ask the operator.")
    }
    return mail
  }

  /// Makes an account once for a key, where the server sends no e-mail.
  ///
  /// - Returns: 201 with `userId`, or a business refusal; the account's tokens are the caller's to add, as no
  ///   stored answer holds any.
  public func register(
    _ form: Registration, key: Idempotency.Key, _ idempotency: Idempotency,
    by author: AuditLog.Author, refused: @escaping @Sendable (Refusal) -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    let (user, hash) = try await prepare(form)
    let now = clock.now
    return try await database.write { connection in
      try idempotency.once(key, at: now, on: connection, refused: refused) {
        try Accounts.insert(user, hash: hash, by: author, at: now, on: connection)
        let body: JSON = ["userId": .string(user.id.text)]
        return Idempotency.Answer(status: 201, body: body.bytes)
      }
    }
  }

  /// Asks the owner of an address to confirm a registration. It takes the same time and says the same, whether or
  /// not there is an account.
  public func requestRegistration(
    _ form: Registration, key: Idempotency.Key, _ idempotency: Idempotency,
    from address: String = "", refused: @escaping @Sendable (Refusal) -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    let mail = try requireMail()
    let (user, hash) = try await prepare(form)
    let now = clock.now
    let answer = try await database.write { connection in
      try idempotency.once(key, at: now, on: connection, refused: refused) {
        let body: JSON = ["state": "verification_sent"]
        return Idempotency.Answer(status: 202, body: body.bytes)
      }
    }
    if answer.isReplayed { return answer }
    do throws(Refusal) {
      try mail.submit(to: form.email, for: .registration(from: address)) {
        try await invite(user, hash: hash)
      }
    } catch {
      // A failure of ours is not kept: with the answer in place a retry would say that an e-mail is on its way.
      try await database.write { try idempotency.forget(key, on: $0) }
      throw error
    }
    return answer
  }

  private func invite(_ user: User, hash: String) async throws -> Mail? {
    let (token, now) = (random.bytes(32), clock.now)
    let isTaken = try await database.write { connection -> Bool in
      let isTaken = try connection.first("SELECT 1 FROM user WHERE email = ?", [.text(user.email)])
      {
        _ in true
      }
      if isTaken == true { return true }
      try connection.run(
        """
        INSERT INTO mail_token(hash, purpose, email, name, password_hash, created_ms, expires_ms)
        VALUES (?, 'register', ?, ?, ?, ?, ?)
        """,
        [
          .blob(Digest.sha256(token)), .text(user.email), .optional(user.name), .text(hash),
          .int(now.milliseconds), .int(now.milliseconds + Accounts.mailTokenMilliseconds),
        ])
      return false
    }
    if isTaken { return MailTexts.taken(to: user.email, at: issuer) }
    return MailTexts.register(
      to: user.email, token: BytesText.base64url(token), at: issuer)
  }

  /// Sends a new password's token to the account of an address, if there is one; nobody is told which.
  /// - Throws: `Refusal` `mail_not_configured`, `validation_failed`.
  public func requestReset(email: String) throws(Refusal) {
    let mail = try requireMail()
    let email = email.lowercased()
    guard Registration.isEmail(email) else {
      throw Refusal(
        .validationFailed, "The address is not valid.",
        fields: [.init("/email", "must be an e-mail address")])
    }
    try mail.submit(to: email, for: .reset) {
      let found = try await database.read { connection in
        try connection.first(
          "SELECT \(Accounts.columns) FROM user WHERE email = ? AND frozen_ms IS NULL",
          [.text(email)]
        ) { Accounts.user($0) } ?? nil
      }
      guard let found else { return nil }
      let token = try await issue("reset", to: found.id)
      return MailTexts.reset(to: found.email, token: token, at: issuer)
    }
  }

  /// Sends a token that proves the address of an account.
  /// - Throws: `Refusal` `mail_not_configured`.
  public func requestProof(of user: User) throws(Refusal) {
    try requireMail().submit(to: user.email, for: .proof) {
      let token = try await issue("verify", to: user.id)
      return MailTexts.verify(to: user.email, token: token, at: issuer)
    }
  }

  private func issue(_ purpose: String, to user: ID<UserKind>) async throws -> String {
    let (token, now) = (random.bytes(32), clock.now)
    try await database.write { connection -> Void in
      try connection.run(
        """
        INSERT INTO mail_token(hash, purpose, user_id, created_ms, expires_ms)
        VALUES (?, ?, ?, ?, ?)
        """,
        [
          .blob(Digest.sha256(token)), .text(purpose), .blob(user.bytes), .int(now.milliseconds),
          .int(now.milliseconds + Accounts.mailTokenMilliseconds),
        ])
    }
    return BytesText.base64url(token)
  }

  /// Uses up a token of a registration or of a proof.
  ///
  /// - Parameter password: That of the registration: whoever reads the e-mail must be who chose it. Else somebody
  ///   could register another's address, wait for its owner to follow the link, and then sign in to that account.
  /// - Throws: `Refusal` `token_invalid`, `email_taken`; `reauth_required` for another password, which costs the
  ///   token nothing.
  public func prove(
    _ token: String, password: String?, by author: AuditLog.Author
  ) async throws -> Proved {
    let (now, id) = (clock.now, ID<UserKind>(at: clock.now, random: random))
    let waiting = try await database.read {
      try look(token, ["register", "verify"], at: now, on: $0)
    }
    guard let waiting else { throw Accounts.badToken }
    if waiting.user == nil { try await requireChosen(password, waiting.passwordHash) }
    return try await database.write { connection in
      let row = try redeem(token, ["register", "verify"], at: now, on: connection)
      if let known = row.user {
        try connection.run(
          "UPDATE user SET verified_ms = coalesce(verified_ms, ?) WHERE id = ?",
          [.int(now.milliseconds), .blob(known.bytes)])
        try AuditLog.record(
          "user.verified", on: "user:" + known.text, by: author, at: now, on: connection)
        guard let user = try Accounts.user(known, on: connection) else { throw Accounts.badToken }
        return .verified(user)
      }
      var user = User(id: id, email: row.email, name: row.name, role: .user, providerID: nil)
      user.verifiedAt = now
      user.createdAt = now
      try Accounts.insert(user, hash: row.passwordHash, by: author, at: now, on: connection)
      // Others that wait for the same address can make no account any more.
      try connection.run(
        "DELETE FROM mail_token WHERE purpose = 'register' AND email = ?", [.text(user.email)])
      return .registered(user)
    }
  }

  private func requireChosen(_ password: String?, _ hash: String) async throws {
    let isRight: Bool
    if let password, password.utf8.count <= Accounts.passwordByteCountMax {
      isRight = try await lane.run { PasswordHash.verify(password, against: hash) }
    } else {
      isRight = false
    }
    guard isRight else {
      throw Refusal(.reauthRequired, "Send the password that the account was asked for with.")
    }
  }

  /// Uses up a token to choose a new password: every login ends, and the address counts as proved.
  ///
  /// - Parameter alsoEnded: What else was let in by whoever had the account, such as programs of third parties; it
  ///   runs in the same transaction and gives the logins that ended.
  /// - Throws: `Refusal` `token_invalid`, `validation_failed`.
  public func reset(
    token: String, password: String, by author: AuditLog.Author,
    alsoEnded: @escaping @Sendable (ID<UserKind>, Connection) throws -> [ID<LoginKind>] = { _, _ in
      []
    }
  ) async throws {
    // Looked at first without being used up: a password that may not be chosen must not cost the token.
    let (now, moment) = (clock.now, clock.now)
    let owner = try await database.read { connection -> User? in
      let row = try look(token, ["reset"], at: moment, on: connection)
      return try row?.user.flatMap { try Accounts.user($0, on: connection) }
    }
    guard let owner else { throw Accounts.badToken }
    let hash = try await newHash(password, for: owner, pointer: "/password")
    let ended = try await database.write { connection -> [ID<LoginKind>] in
      let row = try redeem(token, ["reset"], at: now, on: connection)
      guard row.user == owner.id else { throw Accounts.badToken }
      try connection.run(
        "UPDATE user SET password_hash = ?, verified_ms = coalesce(verified_ms, ?) WHERE id = ?",
        [.text(hash), .int(now.milliseconds), .blob(owner.id.bytes)])
      try connection.run(
        "DELETE FROM mail_token WHERE user_id = ? AND purpose = 'reset'", [.blob(owner.id.bytes)])
      try AuditLog.record(
        "password.reset", on: "user:" + owner.id.text, by: author, at: now, on: connection)
      return try LoginStore.endAll(of: owner.id, at: now, on: connection)
        + alsoEnded(owner.id, connection)
    }
    logins.add(ended, at: now)
    tell(owner)
  }

  /// Tells an account that its password has changed, where the server sends e-mail.
  func tell(_ owner: User) {
    // What cannot be told must not undo the change.
    try? mail?.submit(to: owner.email, isNotice: true) {
      MailTexts.passwordChanged(to: owner.email)
    }
  }

  /// Deletes tokens past their time, and what waited with them.
  public func pruneMailTokens() async throws {
    try await database.deleteInParts(
      """
      DELETE FROM mail_token WHERE hash IN
      (SELECT hash FROM mail_token WHERE expires_ms <= ? LIMIT 500)
      """, before: clock.now.milliseconds)
  }

  static var badToken: Refusal {
    Refusal(.tokenInvalid, "The code is not valid, was used already, or is older than 30 minutes.")
  }

  private struct TokenRow {
    let user: ID<UserKind>?
    let email: String
    let name: String?
    let passwordHash: String
  }

  private func look(
    _ token: String, _ purposes: [String], at now: Timestamp, on connection: Connection
  ) throws -> TokenRow? {
    guard let bytes = BytesText.bytes(base64url: token), bytes.count == 32 else { return nil }
    let found = try connection.first(
      """
      SELECT purpose, user_id, email, name, password_hash FROM mail_token
      WHERE hash = ? AND expires_ms > ?
      """, [.blob(Digest.sha256(bytes)), .int(now.milliseconds)]
    ) { row in
      (
        purpose: row.text(0),
        row: TokenRow(
          user: row.isNull(1) ? nil : ID<UserKind>(bytes: row.blob(1)), email: row.text(2),
          name: row.optionalText(3), passwordHash: row.text(4))
      )
    }
    return found.flatMap { purposes.contains($0.purpose) ? $0.row : nil }
  }

  private func redeem(
    _ token: String, _ purposes: [String], at now: Timestamp, on connection: Connection
  ) throws -> TokenRow {
    guard let row = try look(token, purposes, at: now, on: connection),
      let bytes = BytesText.bytes(base64url: token)
    else { throw Accounts.badToken }
    try connection.run("DELETE FROM mail_token WHERE hash = ?", [.blob(Digest.sha256(bytes))])
    return row
  }
}
