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
  private let names: PairwiseNames
  private let database: Database

  /// A hub over a record.
  public init(database: Database, clock: Clock, random: RandomSource, keys: KeyRing) {
    self.database = database
    self.clock = clock
    self.random = random
    names = PairwiseNames(keys: keys)
  }

  /// A person's id at a provider: the `sub` of its launch tokens too.
  public func pairwiseID(of user: ID<UserKind>, at provider: String) -> String {
    names.name(of: user, atProvider: provider)
  }

  /// The person as the provider knows it; the mapping is made where this is the first time.
  /// - Throws: `Refusal` `forbidden` where the person has withdrawn its consent; `not_found`.
  public func provision(_ user: ID<UserKind>, at provider: String) async throws -> ProviderUser {
    let now = clock.now
    return try await database.write { connection in
      try requireConsent(of: user, to: provider, on: connection)
      try ProviderIdentityStore.meet(
        user, at: provider, as: pairwiseID(of: user, at: provider), now, on: connection)
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
      let found = try ProviderIdentityStore.user(providerUserID, at: provider, on: connection)
      guard let user = found else { throw Refusal(.notFound, "There is no such user.") }
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
      guard
        try known != nil
          || ProviderIdentityStore.seen(user, at: provider, on: connection) != nil
      else {
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
    for provider in try ProviderIdentityStore.providers(of: user, on: connection) {
      try emit(user, at: provider, reason: "account_erased", now, on: connection)
    }
    try ProviderIdentityStore.forget(user, on: connection)
  }

  private func requireConsent(
    of user: ID<UserKind>, to provider: String, on connection: Connection
  ) throws {
    let consent = try ProviderConsentStore.consent(of: user, to: provider, on: connection)
    guard consent?.withdrawnAt == nil else {
      throw Refusal(.forbidden, "The person has withdrawn its consent.")
    }
  }

  private func view(
    _ user: ID<UserKind>, at provider: String, on connection: Connection
  ) throws -> ProviderUser {
    let consent = try ProviderConsentStore.consent(of: user, to: provider, on: connection)
    let scopes = consent?.scopes ?? []
    let now = clock.now
    let seen = try ProviderIdentityStore.seen(user, at: provider, on: connection)
    guard let person = try ProviderIdentityStore.person(user, on: connection) else {
      throw Refusal(.notFound, "There is no such user.")
    }
    let showsEmail = scopes.contains(.email)
    return ProviderUser(
      providerUserID: pairwiseID(of: user, at: provider),
      name: scopes.contains(.profile) ? person.name : nil,
      email: showsEmail ? person.email : nil, isVerified: showsEmail ? person.isVerified : nil,
      scopes: scopes, firstSeenAt: seen?.first ?? now, lastSeenAt: seen?.last ?? now)
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
    try ProviderIdentityStore.emit(
      "user.deprovisioned", id: "evt_" + BytesText.base64url(random.bytes(16)), body, at: now,
      on: connection)
  }
}
