public import Primitives
public import SQLite

/// What a provider may know of a person beyond an id that is this provider's alone.
///
/// The order is that in which people are asked.
public enum ProviderScope: String, Sendable, CaseIterable {
  /// The name.
  case profile
  /// The e-mail, and whether it was proved.
  case email
  /// Which of the person's sessions with the provider are open, whenever it asks.
  case sessionAccess = "session_access"

  /// Without which no session starts.
  public var isRequired: Bool { self == .sessionAccess }
}

/// What a person has said to a provider.
public struct ProviderConsent: Sendable, Equatable {
  /// The provider.
  public let providerID: String
  /// What it may know.
  public let scopes: Set<ProviderScope>
  /// When the person said so.
  public let givenAt: Timestamp
  /// When the person took it back, or nil.
  public let withdrawnAt: Timestamp?
}

/// Consents of people to providers. Every function runs in the caller's transaction.
public enum ProviderConsentStore {
  /// The newest word of a person to a provider, or nil where there is none.
  public static func consent(
    of user: ID<UserKind>, to provider: String, on connection: Connection
  ) throws -> ProviderConsent? {
    try connection.first(
      """
      SELECT provider_id, scopes, given_ms, withdrawn_ms FROM provider_consent
      WHERE user_id = ? AND provider_id = ?
      """, [.blob(user.bytes), .text(provider)]
    ) { read($0) }
  }

  /// All of a person's, at most 1,000.
  public static func consents(
    of user: ID<UserKind>, on connection: Connection
  ) throws -> [ProviderConsent] {
    try connection.rows(
      """
      SELECT provider_id, scopes, given_ms, withdrawn_ms FROM provider_consent
      WHERE user_id = ? ORDER BY provider_id LIMIT 1000
      """, [.blob(user.bytes)]
    ) { read($0) }
  }

  /// - Throws: `Refusal` `not_found` where there is no such provider.
  public static func requireProvider(_ id: String, on connection: Connection) throws {
    let exists = try connection.first(
      "SELECT 1 FROM provider WHERE id = ?", [.text(id)]
    ) { _ in true }
    guard exists == true else { throw Refusal(.notFound, "There is no such provider.") }
  }

  /// Writes a consent in place of what was said before; the same again keeps its time.
  /// - Throws: `Refusal` `not_found` where there is no such provider.
  public static func give(
    _ scopes: Set<ProviderScope>, to provider: String, of user: ID<UserKind>,
    by author: AuditLog.Author, at now: Timestamp, on connection: Connection
  ) throws -> ProviderConsent {
    try requireProvider(provider, on: connection)
    if let known = try consent(of: user, to: provider, on: connection), known.scopes == scopes,
      known.withdrawnAt == nil
    {
      return known
    }
    try write(scopes, provider, user, at: now, withdrawn: nil, connection)
    try AuditLog.record(
      "consent.given", on: "user:" + user.text,
      detail: "provider=\(provider) scopes=\(words(scopes, separator: ","))", by: author, at: now,
      on: connection)
    return ProviderConsent(
      providerID: provider, scopes: scopes, givenAt: now, withdrawnAt: nil)
  }

  /// Takes a consent back; where there was none, that nothing may be known is written down.
  /// - Returns: Whether it was not withdrawn before.
  public static func withdraw(
    from provider: String, of user: ID<UserKind>, by author: AuditLog.Author, at now: Timestamp,
    on connection: Connection
  ) throws -> Bool {
    let known = try consent(of: user, to: provider, on: connection)
    if known?.withdrawnAt != nil { return false }
    try write([], provider, user, at: known?.givenAt ?? now, withdrawn: now, connection)
    try AuditLog.record(
      "consent.withdrawn", on: "user:" + user.text, detail: "provider=" + provider, by: author,
      at: now, on: connection)
    return true
  }

  private static func write(
    _ scopes: Set<ProviderScope>, _ provider: String, _ user: ID<UserKind>, at given: Timestamp,
    withdrawn: Timestamp?, _ connection: Connection
  ) throws {
    try connection.run(
      """
      INSERT OR REPLACE INTO provider_consent(user_id, provider_id, scopes, given_ms, withdrawn_ms)
      VALUES (?, ?, ?, ?, ?)
      """,
      [
        .blob(user.bytes), .text(provider),
        .text(words(scopes)), .int(given.milliseconds),
        .optional(withdrawn?.milliseconds),
      ])
  }

  private static func read(_ row: borrowing Row) -> ProviderConsent {
    let words = row.text(1).split(separator: " ")
    return ProviderConsent(
      providerID: row.text(0),
      scopes: Set(words.compactMap { ProviderScope(rawValue: String($0)) }),
      givenAt: Timestamp(milliseconds: row.int(2)),
      withdrawnAt: row.optionalInt(3).map(Timestamp.init(milliseconds:)))
  }

  private static func words(_ scopes: Set<ProviderScope>, separator: String = " ") -> String {
    scopes.map(\.rawValue).sorted().joined(separator: separator)
  }

  // MARK: What is asked

  /// What a provider asks people for, in their order; all of it where it has not said.
  public static func asked(
    by provider: String, on connection: Connection
  ) throws -> [ProviderScope] {
    guard let stored = try request(of: provider, on: connection) else {
      return ProviderScope.allCases
    }
    let words = Set(stored.split(separator: " ").map(String.init))
    return ProviderScope.allCases.filter { $0.isRequired || words.contains($0.rawValue) }
  }

  private static func request(
    of provider: String, on connection: Connection
  ) throws -> String? {
    try connection.first(
      "SELECT scopes FROM provider_consent_request WHERE provider_id = ?", [.text(provider)]
    ) { $0.text(0) }
  }

  /// Says what a provider asks people for from now on. What they have allowed before stays as they said it.
  /// - Throws: `Refusal` `not_found` where there is no such provider.
  public static func ask(
    for scopes: Set<ProviderScope>, by provider: String, author: AuditLog.Author,
    at now: Timestamp, on connection: Connection
  ) throws {
    try requireProvider(provider, on: connection)
    // The same again changes nothing, and leaves no row in the log for ever.
    guard try request(of: provider, on: connection) != words(scopes) else { return }
    try connection.run(
      """
      INSERT INTO provider_consent_request(provider_id, scopes, updated_ms) VALUES (?1, ?2, ?3)
      ON CONFLICT(provider_id) DO UPDATE SET scopes = ?2, updated_ms = ?3
      """, [.text(provider), .text(words(scopes)), .int(now.milliseconds)])
    try AuditLog.record(
      "provider.consent_scopes", on: "provider:" + provider,
      detail: words(scopes, separator: ","), by: author, at: now, on: connection)
  }
}
