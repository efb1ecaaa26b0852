internal import Cryptography
public import Identity
public import Primitives
public import SQLite

/// A person as one provider knows it.
public struct ProviderUser: Sendable, Equatable {
  /// The id at this provider: the `sub` of its launch tokens, and no other provider's.
  public let providerUserID: String
  /// The name, with the scope `profile`.
  public let name: String?
  /// The e-mail, with the scope `email`.
  public let email: String?
  /// Whether the e-mail was proved, with the scope `email`.
  public let isVerified: Bool?
  /// What the person lets the provider know.
  public let scopes: Set<ProviderScope>
  /// When the provider asked first.
  public let firstSeenAt: Timestamp
  /// When it asked last.
  public let lastSeenAt: Timestamp
}

/// One identity at every provider: pairwise ids, mapped when a provider first asks, and what each may know
/// (specification core, 14).
public struct ProviderHub: Sendable {
  private let clock: Clock
  private let random: RandomSource
  private let pairwiseKey: [UInt8]
  private let database: Database

  /// A hub over a record.
  public init(database: Database, clock: Clock, random: RandomSource, keys: KeyRing) {
    self.database = database
    self.clock = clock
    self.random = random
    // The same as for launch tokens: a provider joins both by it.
    pairwiseKey = keys.derived(for: "pairwise")
  }

  /// A person's id at a provider.
  public func pairwiseID(of user: ID<UserKind>, at provider: String) -> String {
    BytesText.base64url(Digest.hmac(key: pairwiseKey, user.bytes + Array(provider.utf8)))
  }

  /// The person as the provider knows it; the mapping is made where this is the first time.
  /// - Throws: `Refusal` `forbidden` where the person has withdrawn its consent; `not_found`.
  public func provision(_ user: ID<UserKind>, at provider: String) async throws -> ProviderUser {
    let now = clock.now
    return try await database.write { connection in
      try requireConsent(of: user, to: provider, on: connection)
      // One statement: however many ask at once, one row is made.
      try connection.run(
        """
        INSERT INTO provider_identity(provider_id, user_id, pairwise_id, first_seen_ms, last_seen_ms)
        VALUES (?1, ?2, ?3, ?4, ?4)
        ON CONFLICT(provider_id, user_id) DO UPDATE SET last_seen_ms = max(last_seen_ms, ?4)
        """,
        [
          .text(provider), .blob(user.bytes), .text(pairwiseID(of: user, at: provider)),
          .int(now.milliseconds),
        ])
      return try view(user, at: provider, on: connection)
    }
  }

  /// The person of a session as its provider knows it now; nothing is written.
  /// - Throws: `Refusal` `forbidden` where the person has withdrawn its consent; `not_found`.
  public func verified(_ user: ID<UserKind>, at provider: String) async throws -> ProviderUser {
    try await database.read { connection in
      try requireConsent(of: user, to: provider, on: connection)
      return try view(user, at: provider, on: connection)
    }
  }

  /// The person of an id that the provider was given before.
  ///
  /// - Returns: The account beside, for what other modules know of it; it is never shown to a provider.
  /// - Throws: `Refusal` `not_found` for an id that is not this provider's; `forbidden`.
  public func profile(
    _ providerUserID: String, at provider: String
  ) async throws -> (user: ID<UserKind>, view: ProviderUser) {
    try await database.read { connection in
      let found = try connection.first(
        "SELECT user_id FROM provider_identity WHERE provider_id = ? AND pairwise_id = ?",
        [.text(provider), .text(providerUserID)]
      ) { ID<UserKind>(bytes: $0.blob(0)) }
      guard case let user?? = found else { throw Refusal(.notFound, "There is no such user.") }
      try requireConsent(of: user, to: provider, on: connection)
      return (user, try view(user, at: provider, on: connection))
    }
  }

  /// Takes back what a person lets a provider know, and tells the provider; repeating it changes nothing.
  /// - Throws: `Refusal` `not_found` where the two have nothing to do with each other.
  public func withdraw(
    from provider: String, of user: ID<UserKind>, by author: AuditLog.Author
  ) async throws {
    let now = clock.now
    try await database.write { connection in
      let known = try ProviderConsentStore.consent(of: user, to: provider, on: connection)
      guard try known != nil || isMapped(user, at: provider, on: connection) else {
        throw Refusal(.notFound, "There is no consent to this provider.")
      }
      guard
        try ProviderConsentStore.withdraw(
          from: provider, of: user, by: author, at: now, on: connection)
      else { return }
      try emit(user, at: provider, reason: "consent_withdrawn", now, on: connection)
    }
  }

  /// Tells every provider that knows a person that the account goes, in the running transaction.
  public func erase(_ user: ID<UserKind>, at now: Timestamp, on connection: Connection) throws {
    let providers = try connection.rows(
      """
      SELECT provider_id FROM provider_identity WHERE user_id = ?1 UNION
      SELECT provider_id FROM provider_consent WHERE user_id = ?1 AND withdrawn_ms IS NULL
      """, [.blob(user.bytes)]
    ) { $0.text(0) }
    for provider in providers {
      try emit(user, at: provider, reason: "account_erased", now, on: connection)
    }
    try connection.run("DELETE FROM provider_identity WHERE user_id = ?", [.blob(user.bytes)])
    try connection.run("DELETE FROM provider_consent WHERE user_id = ?", [.blob(user.bytes)])
    try connection.run("DELETE FROM external_identity WHERE user_id = ?", [.blob(user.bytes)])
  }

  private func requireConsent(
    of user: ID<UserKind>, to provider: String, on connection: Connection
  ) throws {
    let consent = try ProviderConsentStore.consent(of: user, to: provider, on: connection)
    guard consent?.withdrawnAt == nil else {
      throw Refusal(.forbidden, "The person has withdrawn its consent.")
    }
  }

  private func isMapped(
    _ user: ID<UserKind>, at provider: String, on connection: Connection
  ) throws -> Bool {
    try connection.first(
      "SELECT 1 FROM provider_identity WHERE provider_id = ? AND user_id = ?",
      [.text(provider), .blob(user.bytes)]
    ) { _ in true } ?? false
  }

  private func view(
    _ user: ID<UserKind>, at provider: String, on connection: Connection
  ) throws -> ProviderUser {
    let consent = try ProviderConsentStore.consent(of: user, to: provider, on: connection)
    let scopes = consent?.scopes ?? []
    let now = clock.now
    let seen = try connection.first(
      """
      SELECT first_seen_ms, last_seen_ms FROM provider_identity
      WHERE provider_id = ? AND user_id = ?
      """, [.text(provider), .blob(user.bytes)]
    ) { (Timestamp(milliseconds: $0.int(0)), Timestamp(milliseconds: $0.int(1))) }
    let person = try connection.first(
      "SELECT name, email, verified_ms IS NOT NULL FROM user WHERE id = ?", [.blob(user.bytes)]
    ) { (name: $0.optionalText(0), email: $0.text(1), isVerified: $0.int(2) == 1) }
    guard let person else { throw Refusal(.notFound, "There is no such user.") }
    let showsEmail = scopes.contains(.email)
    return ProviderUser(
      providerUserID: pairwiseID(of: user, at: provider),
      name: scopes.contains(.profile) ? person.name : nil,
      email: showsEmail ? person.email : nil, isVerified: showsEmail ? person.isVerified : nil,
      scopes: scopes, firstSeenAt: seen?.0 ?? now, lastSeenAt: seen?.1 ?? now)
  }

  /// The event names the person by the provider's own id for it, and by no other.
  private func emit(
    _ user: ID<UserKind>, at provider: String, reason: String, _ now: Timestamp,
    on connection: Connection
  ) throws {
    let body: JSON = [
      "type": "user.deprovisioned", "timestamp": .string(now.rfc3339),
      "data": [
        "providerId": .string(provider),
        "providerUserId": .string(pairwiseID(of: user, at: provider)), "reason": .string(reason),
      ],
    ]
    try connection.run(
      "INSERT INTO outbox(event_id, type, occurred_ms, payload) VALUES (?, ?, ?, ?)",
      [
        .text("evt_" + BytesText.base64url(random.bytes(16))), .text("user.deprovisioned"),
        .int(now.milliseconds), .text(body.text),
      ])
  }
}
