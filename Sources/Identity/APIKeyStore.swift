internal import Cryptography
public import Primitives
public import SQLite
internal import Synchronization

/// The kind of an API key's id, for `ID`.
public enum APIKeyKind: Sendable {}

/// Whose an API key is.
public enum APIKeyOwner: Sendable, Equatable {
  /// A person's: it acts as that person, within its scopes.
  case user(ID<UserKind>)
  /// A provider's.
  case provider(String)

  var allowed: Set<Scope> {
    switch self {
    case .user: Scope.ofPeople
    case .provider: Scope.ofProviders
    }
  }

  /// As the audit log names it.
  var name: String {
    switch self {
    case .user(let id): "user:" + id.text
    case .provider(let id): "provider:" + id
    }
  }
}

/// An API key as its owner sees it; never the secret.
public struct APIKey: Sendable {
  /// The id.
  public let id: ID<APIKeyKind>
  /// Whose it is.
  public let owner: APIKeyOwner
  /// The name.
  public let name: String
  /// What it may do; nil where it is from before there were scopes.
  public let scopes: Set<Scope>?
  /// What narrows its searches, or nil.
  public let filter: String?
  /// Requests a minute, or nil for the server's own limit.
  public let perMinute: Int?
  /// When it was made.
  public let createdAt: Timestamp
  /// When it ends by itself, or nil.
  public let expiresAt: Timestamp?
  /// When it was used last, to about ten seconds, or nil.
  public let usedAt: Timestamp?
  /// When it was revoked, or nil.
  public let revokedAt: Timestamp?

  /// What is asked for when a key is made.
  public struct Draft: Sendable {
    /// 1 to 100 characters.
    public var name: String
    /// At least one; nil for all that the owner may have.
    public var scopes: [String]?
    /// A filter expression in canonical form, or nil; the caller has parsed it.
    public var filter: String?
    /// 1 to 1,000,000, or nil.
    public var perMinute: Int?
    /// After now, or nil.
    public var expiresAt: Timestamp?

    /// A key of a name with all that its owner may have.
    public init(name: String) { self.name = name }
  }
}

/// API keys: made, listed, revoked, and looked up by their secret.
///
/// A secret is an HMAC of the key's id under a key of the server, so that a repeated request can be given it again
/// though the record holds its SHA-256 alone.
public struct APIKeyStore: Sendable {
  /// Live keys of one owner.
  public static let perOwnerMax = 50

  private let key: [UInt8]
  private let uses = Uses()

  private final class Uses: Sendable {
    let last = Mutex<[ID<APIKeyKind>: Timestamp]>([:])
  }

  init(key: [UInt8]) { self.key = key }

  /// The secret of a key's id.
  public func secret(of id: ID<APIKeyKind>, owner: APIKeyOwner) -> String {
    let prefix = if case .user = owner { Accounts.userKeyPrefix } else { Accounts.keyPrefix }
    return prefix + BytesText.base64url(Digest.hmac(key: key, id.bytes))
  }

  /// Makes a key.
  /// - Throws: `Refusal` `validation_failed`, `not_found` for a provider that is not there.
  public func make(
    _ draft: APIKey.Draft, for owner: APIKeyOwner, by author: AuditLog.Author, at now: Timestamp,
    random: RandomSource, on connection: Connection
  ) throws -> ID<APIKeyKind> {
    let scopes = try APIKeyStore.check(draft, owner, at: now)
    try requireRoom(owner, at: now, on: connection)
    let id = ID<APIKeyKind>(at: now, random: random)
    let (provider, user) = APIKeyStore.columns(of: owner)
    try connection.run(
      """
      INSERT INTO api_key(id, secret_hash, provider_id, user_id, name, scopes, filter, per_minute,
      created_ms, expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .blob(id.bytes), .blob(Digest.sha256(Array(secret(of: id, owner: owner).utf8))), provider,
        user, .text(draft.name), .text(scopes.map(\.rawValue).sorted().joined(separator: " ")),
        .optional(draft.filter), .optional(draft.perMinute.map(Int64.init)),
        .int(now.milliseconds), .optional(draft.expiresAt?.milliseconds),
      ])
    try AuditLog.record(
      "key.made", on: "key:" + id.text, detail: owner.name, by: author, at: now, on: connection)
    return id
  }

  /// The keys of an owner, or of everybody, newest first.
  public func keys(
    of owner: APIKeyOwner?, before last: ID<APIKeyKind>? = nil, limit: Int,
    on connection: Connection
  ) throws -> [APIKey] {
    let (provider, user) = owner.map(APIKeyStore.columns) ?? (.null, .null)
    return try connection.rows(
      """
      SELECT \(APIKeyStore.columns) FROM api_key WHERE (?1 IS NULL OR provider_id = ?1)
      AND (?2 IS NULL OR user_id = ?2) AND (?3 IS NULL OR id < ?3) ORDER BY id DESC LIMIT ?4
      """, [provider, user, .optional(last?.bytes), .int(Int64(limit))]
    ) { read($0) }.compactMap { $0 }
  }

  /// Ends a key for good; repeating it changes nothing.
  ///
  /// - Parameter owner: Whose it must be; nil for an admin.
  /// - Throws: `Refusal` `not_found`.
  public func revoke(
    _ id: ID<APIKeyKind>, of owner: APIKeyOwner?, by author: AuditLog.Author, at now: Timestamp,
    on connection: Connection
  ) throws {
    let (provider, user) = owner.map(APIKeyStore.columns) ?? (.null, .null)
    let isRevoked = try connection.first(
      """
      SELECT revoked_ms FROM api_key WHERE id = ?1 AND (?2 IS NULL OR provider_id = ?2)
      AND (?3 IS NULL OR user_id = ?3)
      """, [.blob(id.bytes), provider, user]
    ) { !$0.isNull(0) }
    guard let isRevoked else { throw Refusal(.notFound, "There is no such API key.") }
    if isRevoked { return }
    try connection.run(
      "UPDATE api_key SET revoked_ms = ? WHERE id = ?", [.int(now.milliseconds), .blob(id.bytes)])
    try AuditLog.record(
      "key.revoked", on: "key:" + id.text, by: author, at: now, on: connection)
  }

  /// Deletes the keys of a person who is erased.
  static func erase(of user: ID<UserKind>, on connection: Connection) throws {
    try connection.run("DELETE FROM api_key WHERE user_id = ?", [.blob(user.bytes)])
  }

  // MARK: Use

  /// The live key of a secret, or nil: unknown, revoked, expired, or of an account that may not sign in.
  func live(secret: String, at now: Timestamp, on connection: Connection) throws -> APIKey? {
    try live(
      "secret_hash = ?1", .blob(Digest.sha256(Array(secret.utf8))), at: now, on: connection)
  }

  /// The live key of an id.
  func live(id: ID<APIKeyKind>, at now: Timestamp, on connection: Connection) throws -> APIKey? {
    let found = try live("id = ?1", .blob(id.bytes), at: now, on: connection)
    guard let found else { return nil }
    // A key from before secrets were derived signs no tokens: its secret cannot be made again here.
    let hash = Digest.sha256(Array(secret(of: found.id, owner: found.owner).utf8))
    let isDerived = try connection.first(
      "SELECT secret_hash = ? FROM api_key WHERE id = ?", [.blob(hash), .blob(id.bytes)]
    ) { $0.int(0) == 1 }
    return isDerived == true ? found : nil
  }

  private func live(
    _ condition: String, _ value: SQLValue, at now: Timestamp, on connection: Connection
  ) throws -> APIKey? {
    let found = try connection.first(
      """
      SELECT \(APIKeyStore.columns) FROM api_key WHERE \(condition) AND revoked_ms IS NULL
      AND (expires_ms IS NULL OR expires_ms > ?2) AND NOT EXISTS
      (SELECT 1 FROM user WHERE user.id = api_key.user_id AND user.frozen_ms IS NOT NULL)
      """, [value, .int(now.milliseconds)]
    ) { read($0) }
    return found ?? nil
  }

  /// Notes that a key was used; written down by `flush`.
  func used(_ id: ID<APIKeyKind>, at now: Timestamp) { uses.last.withLock { $0[id] = now } }

  /// Writes down when keys were used last; called now and then by the server.
  public func flush(to database: Database) async throws {
    let known = uses.last.withLock { last in
      defer { last = [:] }
      return last
    }
    if known.isEmpty { return }
    try await database.write { connection in
      for (id, moment) in known {
        try connection.run(
          "UPDATE api_key SET used_ms = max(coalesce(used_ms, 0), ?) WHERE id = ?",
          [.int(moment.milliseconds), .blob(id.bytes)])
      }
    }
  }

  // MARK: Rows and checks

  private static let columns = """
    id, provider_id, user_id, name, scopes, filter, per_minute, created_ms, expires_ms, used_ms,
    revoked_ms
    """

  private static func columns(of owner: APIKeyOwner) -> (provider: SQLValue, user: SQLValue) {
    switch owner {
    case .user(let id): (.null, .blob(id.bytes))
    case .provider(let id): (.text(id), .null)
    }
  }

  private func read(_ row: borrowing Row) -> APIKey? {
    guard let id = ID<APIKeyKind>(bytes: row.blob(0)) else { return nil }
    let user = row.isNull(2) ? nil : ID<UserKind>(bytes: row.blob(2))
    let words = row.text(4)
    let written = row.optionalInt(9).map(Timestamp.init(milliseconds:))
    let noted = uses.last.withLock { $0[id] }
    return APIKey(
      id: id, owner: user.map(APIKeyOwner.user) ?? .provider(row.text(1)), name: row.text(3),
      scopes: words == "*"
        ? nil : Set(words.split(separator: " ").compactMap { Scope(rawValue: String($0)) }),
      filter: row.optionalText(5), perMinute: row.optionalInt(6).map(Int.init),
      createdAt: Timestamp(milliseconds: row.int(7)),
      expiresAt: row.optionalInt(8).map(Timestamp.init(milliseconds:)),
      usedAt: noted ?? written,
      revokedAt: row.optionalInt(10).map(Timestamp.init(milliseconds:)))
  }

  private func requireRoom(
    _ owner: APIKeyOwner, at now: Timestamp, on connection: Connection
  ) throws {
    let (provider, user) = APIKeyStore.columns(of: owner)
    if case .provider(let id) = owner {
      let exists = try connection.first("SELECT 1 FROM provider WHERE id = ?", [provider]) { _ in
        true
      }
      guard exists == true else { throw Refusal(.notFound, "There is no provider \(id).") }
    }
    let count = try connection.first(
      """
      SELECT count(*) FROM api_key WHERE (provider_id = ?1 OR user_id = ?2) AND revoked_ms IS NULL
      AND (expires_ms IS NULL OR expires_ms > ?3)
      """, [provider, user, .int(now.milliseconds)]
    ) { $0.int(0) }
    guard (count ?? 0) < APIKeyStore.perOwnerMax else {
      throw Refusal(
        .validationFailed, "There are \(APIKeyStore.perOwnerMax) live keys; revoke one first.")
    }
  }

  private static func check(
    _ draft: APIKey.Draft, _ owner: APIKeyOwner, at now: Timestamp
  ) throws(Refusal) -> Set<Scope> {
    var faults: [Refusal.Field] = []
    if !(1...100).contains(draft.name.unicodeScalars.count) {
      faults.append(.init("/name", "must have 1 to 100 characters"))
    }
    let scopes = draft.scopes.map { Set($0.compactMap(Scope.init(rawValue:))) } ?? owner.allowed
    let isKnown = draft.scopes.map { Set($0).count == scopes.count } ?? true
    if scopes.isEmpty || !isKnown || !scopes.isSubset(of: owner.allowed) {
      let words = owner.allowed.map(\.rawValue).sorted().joined(separator: ", ")
      faults.append(.init("/scopes", "must be some of \(words)"))
    }
    if let limit = draft.perMinute, !(1...1_000_000).contains(limit) {
      faults.append(.init("/maxPerMinute", "must be a whole number from 1 to 1000000"))
    }
    if let end = draft.expiresAt, end <= now {
      faults.append(.init("/expiresAt", "must be after now"))
    }
    if let filter = draft.filter, filter.unicodeScalars.count > 2_000 {
      faults.append(.init("/filter", "must have at most 2000 characters"))
    }
    guard faults.isEmpty else {
      throw Refusal(.validationFailed, "The key is not valid.", fields: faults)
    }
    return scopes
  }
}
