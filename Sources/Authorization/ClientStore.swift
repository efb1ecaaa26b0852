internal import Cryptography
public import Identity
public import Primitives
public import SQLite

/// Clients that the operator has registered. Their secrets are made from the id: nothing stored proves a client.
public struct ClientStore: Sendable {
  /// How every client's secret begins.
  public static let secretPrefix = "wpc_"
  /// Clients that may be registered.
  public static let countMax = 10_000

  private enum ClientKind {}

  private let key: [UInt8]

  /// - Parameter key: A 32-byte key of the server.
  public init(key: [UInt8]) { self.key = key }

  /// Registers a client; its secret is `secret(of:)`.
  /// - Throws: `Refusal` `validation_failed`.
  public func add(
    _ draft: OAuthClient.Draft, by author: AuditLog.Author, at now: Timestamp,
    random: RandomSource, on connection: Connection
  ) throws -> OAuthClient {
    let keySet = try draft.check()
    let count = try connection.first("SELECT count(*) FROM oauth_client") { $0.int(0) } ?? 0
    guard count < ClientStore.countMax else {
      throw Refusal(.validationFailed, "There are \(ClientStore.countMax) clients already.")
    }
    let client = OAuthClient(
      id: ID<ClientKind>(at: now, random: random).text, name: draft.name,
      redirectURIs: draft.redirectURIs, scopes: draft.scopes,
      isConfidential: draft.isConfidential, keySet: keySet, createdAt: now)
    try connection.run(
      """
      INSERT INTO oauth_client(id, name, redirect_uris, scopes, confidential, created_ms, key_set)
      VALUES (?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .text(client.id), .text(client.name), .text(JSON.strings(client.redirectURIs).text),
        .text(ScopeWords.text(client.scopes)), .int(client.isConfidential ? 1 : 0),
        .int(now.milliseconds), .optional(keySet?.text),
      ])
    try AuditLog.record(
      "client.added", on: "client:" + client.id, by: author, at: now, on: connection)
    return client
  }

  /// Registered clients after one of them, oldest first.
  public func list(
    after id: String? = nil, limit: Int, on connection: Connection
  ) throws -> [OAuthClient] {
    try connection.rows(
      "SELECT \(ClientStore.columns) FROM oauth_client WHERE id > ? ORDER BY id LIMIT ?",
      [.text(id ?? ""), .int(Int64(limit))]
    ) { ClientStore.read($0) }
  }

  /// The registered client of an id, or nil.
  public func client(_ id: String, on connection: Connection) throws -> OAuthClient? {
    try connection.first(
      "SELECT \(ClientStore.columns) FROM oauth_client WHERE id = ?", [.text(id)]
    ) { ClientStore.read($0) }
  }

  /// Gives a confidential client other public keys to prove itself by: 1 to 10, in place of those before. From then
  /// on its secret is worth nothing.
  /// - Throws: `Refusal` `not_found`, `validation_failed`.
  public func setKeys(
    _ keySet: JSON, of id: String, by author: AuditLog.Author, at now: Timestamp,
    on connection: Connection
  ) throws -> OAuthClient {
    guard let known = try client(id, on: connection) else {
      throw Refusal(.notFound, "There is no such client.")
    }
    let (set, faults) = OAuthClient.keys(keySet, at: "")
    guard faults.isEmpty, known.isConfidential else {
      throw Refusal(
        .validationFailed,
        known.isConfidential
          ? "The key set is not valid." : "A client that is not confidential proves nothing.",
        fields: faults)
    }
    try connection.run(
      "UPDATE oauth_client SET key_set = ? WHERE id = ?", [.text(set.text), .text(id)])
    try AuditLog.record(
      "client.key_set", on: "client:" + id, detail: "count=\(set["keys"]?.array?.count ?? 0)",
      by: author, at: now, on: connection)
    return try client(id, on: connection) ?? known
  }

  /// Uses up an assertion of a client's.
  ///
  /// - Returns: false where it was used before, or the client has gone meanwhile.
  func use(_ assertion: ClientAssertion, on connection: Connection) throws -> Bool {
    try connection.run(
      """
      INSERT INTO oauth_assertion(client_id, jti, expires_ms)
      SELECT id, ?2, ?3 FROM oauth_client WHERE id = ?1 ON CONFLICT DO NOTHING
      """,
      [
        .text(assertion.client), .text(assertion.id),
        .int(assertion.rememberedUntil.milliseconds),
      ]) == 1
  }

  /// Forgets assertions that have expired, up to 500.
  ///
  /// - Returns: Whether there may be more.
  static func prune(at now: Timestamp, on connection: Connection) throws -> Bool {
    try connection.run(
      """
      DELETE FROM oauth_assertion WHERE (client_id, jti) IN
      (SELECT client_id, jti FROM oauth_assertion WHERE expires_ms < ? LIMIT 500)
      """, [.int(now.milliseconds)]) == 500
  }

  /// Removes a client and all that people have let it do.
  ///
  /// - Returns: What ended, for `Accounts.loginsEnded` once the transaction has committed.
  /// - Throws: `Refusal` `not_found`.
  public func remove(
    _ id: String, by author: AuditLog.Author, at now: Timestamp, on connection: Connection
  ) throws -> [ID<LoginKind>] {
    guard try connection.run("DELETE FROM oauth_client WHERE id = ?", [.text(id)]) == 1 else {
      throw Refusal(.notFound, "There is no such client.")
    }
    try connection.run(
      "DELETE FROM oauth_code WHERE client_id = ? AND grant_id IS NULL", [.text(id)])
    let ended = try GrantStore.endAll(ofClient: id, at: now, on: connection)
    try AuditLog.record("client.removed", on: "client:" + id, by: author, at: now, on: connection)
    return ended
  }

  /// The secret of a confidential client.
  public func secret(of id: String) -> String {
    ClientStore.secretPrefix + BytesText.base64url(Digest.hmac(key: key, Array(id.utf8)))
  }

  private static let columns =
    "id, name, redirect_uris, scopes, confidential, created_ms, key_set"

  private static func read(_ row: borrowing Row) -> OAuthClient {
    let uris = (try? JSON.parse(row.text(2)))?.array?.compactMap(\.string) ?? []
    return OAuthClient(
      id: row.text(0), name: row.text(1), redirectURIs: uris,
      scopes: ScopeWords.known(row.text(3)), isConfidential: row.int(4) == 1,
      // What cannot be read proves nothing: it must not bring the secret back.
      keySet: row.optionalText(6).map { (try? JSON.parse($0)) ?? ["keys": []] },
      createdAt: Timestamp(milliseconds: row.int(5)))
  }
}

/// Scopes as words separated by spaces.
enum ScopeWords {
  /// The words, in an order of their own.
  static func text(_ scopes: Set<Scope>) -> String {
    scopes.map(\.rawValue).sorted().joined(separator: " ")
  }

  /// Those of a stored text.
  static func known(_ text: String) -> Set<Scope> {
    Set(text.split(separator: " ").compactMap { Scope(rawValue: String($0)) })
  }

  /// Those of a request, or nil where a word is none that a person can give.
  static func asked(_ text: String) -> Set<Scope>? {
    let words = text.split(separator: " ")
    let scopes = words.compactMap { Scope(rawValue: String($0)) }
    guard !words.isEmpty, scopes.count == words.count, Scope.ofPeople.isSuperset(of: scopes)
    else { return nil }
    return Set(scopes)
  }
}
