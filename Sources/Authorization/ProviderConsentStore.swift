public import Identity
public import Primitives
public import SQLite

/// What a provider may know of a person beyond an id that is this provider's alone.
public enum ProviderScope: String, Sendable, CaseIterable {
  /// The name.
  case profile
  /// The e-mail, and whether it was proved.
  case email
  /// Which of the person's sessions with the provider are open, whenever it asks.
  case sessionAccess = "session_access"
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
      "consent.given", on: "user:" + user.text, detail: "provider=" + provider, by: author, at: now,
      on: connection)
    return ProviderConsent(
      providerID: provider, scopes: scopes, givenAt: now, withdrawnAt: nil)
  }

  /// - Returns: Whether it was in force until now.
  static func withdraw(
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
        .text(scopes.map(\.rawValue).sorted().joined(separator: " ")), .int(given.milliseconds),
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
}
