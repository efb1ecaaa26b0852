public import Primitives
public import SQLite

/// What a person has agreed to the use of their data for.
public enum ConsentPurpose: String, Sendable, CaseIterable {
  /// Learning from how the service is used.
  case analytics
  /// News by e-mail.
  case marketing
  /// Passing data to providers beyond what a session needs.
  case sharing
}

/// A consent that was given or withdrawn.
public struct Consent: Sendable {
  /// For what.
  public let purpose: ConsentPurpose
  /// Given, or withdrawn.
  public let isGranted: Bool
  /// When.
  public let at: Timestamp
}

extension Accounts {
  /// Days that conversations may be kept; 0 keeps one only while it goes on.
  public static let conversationDays = [0, 30, 60, 90]

  /// Every change of consent of a person, oldest first.
  public func consents(of user: ID<UserKind>) async throws -> [Consent] {
    try await database.read { try Accounts.consents(of: user, on: $0) }
  }

  static func consents(of user: ID<UserKind>, on connection: Connection) throws -> [Consent] {
    try connection.rows(
      "SELECT purpose, granted, at_ms FROM consent WHERE user_id = ? ORDER BY seq",
      [.blob(user.bytes)]
    ) { row in
      ConsentPurpose(rawValue: row.text(0)).map {
        Consent(purpose: $0, isGranted: row.int(1) == 1, at: Timestamp(milliseconds: row.int(2)))
      }
    }.compactMap { $0 }
  }

  /// Gives or withdraws a consent; saying the same again changes nothing.
  public func setConsent(
    _ isGranted: Bool, for purpose: ConsentPurpose, of user: ID<UserKind>
  ) async throws -> Consent {
    let now = clock.now
    return try await database.write { connection in
      let known = try Accounts.consents(of: user, on: connection).last { $0.purpose == purpose }
      if let known, known.isGranted == isGranted { return known }
      guard try Accounts.user(user, on: connection) != nil else {
        throw Refusal(.tokenInvalid, "The account is gone.")
      }
      try connection.run(
        "INSERT INTO consent(user_id, purpose, granted, at_ms) VALUES (?, ?, ?, ?)",
        [
          .blob(user.bytes), .text(purpose.rawValue), .int(isGranted ? 1 : 0),
          .int(now.milliseconds),
        ]
      )
      return Consent(purpose: purpose, isGranted: isGranted, at: now)
    }
  }

  /// Says how long a person's conversations are kept.
  /// - Throws: `Refusal` `validation_failed`.
  public func setConversationDays(_ days: Int, of user: ID<UserKind>) async throws {
    guard Accounts.conversationDays.contains(days) else {
      throw Refusal(
        .validationFailed, "The retention is not valid.",
        fields: [.init("/conversationDays", "must be 0, 30, 60 or 90")])
    }
    try await database.write { connection -> Void in
      try connection.run(
        "UPDATE user SET conversation_days = ? WHERE id = ?",
        [.int(Int64(days)), .blob(user.bytes)])
    }
  }

  /// Deletes the account in the running transaction: profile, logins, keys, consents, codes and kept answers.
  /// What other modules know of the person is theirs to delete, before this.
  ///
  /// - Returns: The logins that ended, for `loginsEnded` once the transaction has committed.
  /// - Throws: `Refusal` `not_found`.
  public func erase(
    _ user: ID<UserKind>, by author: AuditLog.Author, at now: Timestamp, on connection: Connection
  ) throws -> [ID<LoginKind>] {
    guard let known = try Accounts.user(user, on: connection) else {
      throw Refusal(.notFound, "There is no such account.")
    }
    // Those that rest too: an access token may be younger than the family's end.
    let families = try connection.rows(
      "SELECT id FROM refresh_family WHERE user_id = ?", [.blob(user.bytes)]
    ) { $0.blob(0) }
    let ended = try LoginStore.end(families, at: now, on: connection)
    try connection.run("DELETE FROM refresh_family WHERE user_id = ?", [.blob(user.bytes)])
    try APIKeyStore.erase(of: user, on: connection)
    try connection.run("DELETE FROM mail_token WHERE email = ?", [.text(known.email)])
    try Idempotency.erase(
      of: .user(user, known.role, providerID: known.providerID), on: connection)
    try Accounts.delete(user, at: now, on: connection)
    try AuditLog.record(
      "user.erased", on: "user:" + user.text, by: author, at: now, on: connection)
    return ended
  }

  /// Deletes the row; its consents and codes go with it. Where another table still needs the id, which tells
  /// nobody anything, the row stays without anything else in it.
  private static func delete(
    _ user: ID<UserKind>, at now: Timestamp, on connection: Connection
  ) throws {
    do {
      _ = try connection.savepoint {
        try connection.run("DELETE FROM user WHERE id = ?", [.blob(user.bytes)])
      }
    } catch let error as SQLiteError where error.isConstraint {
      for table in ["consent", "mail_token"] {
        try connection.run("DELETE FROM \(table) WHERE user_id = ?", [.blob(user.bytes)])
      }
      try connection.run(
        """
        UPDATE user SET email = 'erased-' || lower(hex(id)), name = NULL, password_hash = '',
        role = 'user', provider_id = NULL, verified_ms = NULL, frozen_ms = ? WHERE id = ?
        """, [.int(now.milliseconds), .blob(user.bytes)])
    }
  }

  /// Whether a login has ended, also where a token of it has not expired: what it has opened is to be closed.
  public func hasEnded(_ login: ID<LoginKind>) -> Bool { logins.contains(login) }

  /// Refuses the access tokens of logins that an erasure has ended.
  public func loginsEnded(_ ended: [ID<LoginKind>]) { logins.add(ended, at: clock.now) }
}
