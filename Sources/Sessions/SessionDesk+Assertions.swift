internal import Catalog
internal import Cryptography
public import Identity
public import Primitives
internal import SQLite

/// `private_key_jwt`: a provider's server proves who it is by a token that it signs itself, with a key whose
/// public half it has registered (RFC 7523, sections 2.2 and 3).
extension SessionDesk {
  /// What `clientAssertionType` must say.
  public static let assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
  /// Keys of a provider, at most.
  public static let assertionKeysMax = 10
  /// How far ahead an assertion's end may lie, in seconds: what was signed long before may have leaked.
  static let assertionSecondsMax: Int64 = 600

  /// Registers the public keys of a provider in place of those before: a key set of 1 to 10 keys (P-256,
  /// Ed25519 or RSA), each with a `kid` of its own. None takes the proof by assertion away.
  ///
  /// - Throws: `Refusal` `validation_failed`, also where a private part was sent; `not_found` for an unknown provider.
  public func register(
    keySet: JSON, of provider: String, by author: AuditLog.Author = .system
  ) async throws {
    let keys = try SessionDesk.publicKeys(keySet)
    let now = clock.now
    let text = JSON.object(["keys": .array(keys)]).text
    try await database.write { connection in
      guard try CatalogStore.provider(id: provider, on: connection) != nil else {
        throw Refusal(.notFound, "There is no such provider.")
      }
      try connection.run(
        """
        INSERT INTO provider_key_set(provider_id, key_set, changed_ms) VALUES (?, ?, ?)
        ON CONFLICT(provider_id) DO UPDATE SET key_set = excluded.key_set,
        changed_ms = excluded.changed_ms
        """, [.text(provider), .text(text), .int(now.milliseconds)])
      // Whoever registers a key acts for the provider from then on.
      try AuditLog.record(
        "provider.key_set", on: "provider:" + provider, detail: "count=\(keys.count)", by: author,
        at: now, on: connection)
    }
  }

  /// The key set of a provider; an empty one where none was registered.
  public func keySet(of provider: String) async throws -> JSON {
    let text = try await database.read { connection in
      try connection.first(
        "SELECT key_set FROM provider_key_set WHERE provider_id = ?", [.text(provider)]
      ) { $0.text(0) }
    }
    return try text.map { try JSON.parse(Array($0.utf8)) } ?? ["keys": []]
  }

  /// The provider that an assertion proves: signed by one of its keys, from and about itself, to us, short-lived,
  /// and never seen before.
  ///
  /// - Throws: `Refusal` `token_invalid` or `token_expired`.
  public func provider(assertion: String) async throws -> String {
    let now = clock.now
    // Whose it says it is decides only which keys may verify it.
    guard let provider = SessionDesk.issuer(of: assertion) else {
      throw SessionDesk.invalidAssertion
    }
    let keys = VerifyingKey.set(try await keySet(of: provider)) ?? [:]
    let claims = try verified(assertion, by: provider, keys, at: now)
    guard claims["sub"] == .string(provider), let end = claims["exp"]?.int,
      end <= now.seconds + SessionDesk.assertionSecondsMax,
      let jti = claims["jti"]?.string, (8...128).contains(jti.utf8.count)
    else { throw SessionDesk.invalidAssertion }
    try await database.write { connection in
      do {
        // A minute longer than its leeway lets it be used.
        try connection.run(
          "INSERT INTO provider_assertion(provider_id, jti, expires_ms) VALUES (?, ?, ?)",
          [.text(provider), .text(jti), .int((end + 90) * 1_000)])
      } catch let error as SQLiteError where error.isUnique {
        throw Refusal(.tokenInvalid, "This assertion was used already; sign a new one.")
      }
    }
    return provider
  }

  private static var invalidAssertion: Refusal {
    Refusal(.tokenInvalid, "The client assertion is not valid.")
  }

  private func verified(
    _ assertion: String, by provider: String, _ keys: [String: VerifyingKey], at now: Timestamp
  ) throws(Refusal) -> JSONObject {
    // The plain type, and the one of the draft that follows RFC 7523.
    for type in ["JWT", "client-authentication+jwt"] {
      do throws(JWTError) {
        return try JWT.verify(
          assertion,
          expecting: .init(
            type: type, issuer: provider, audience: publicURL,
            algorithms: Set(SigningAlgorithm.allCases)), at: now
        ) { keys[$0] }
      } catch {
        if error == .expired {
          throw Refusal(.tokenExpired, "The client assertion has expired.")
        }
        if error != .header { throw SessionDesk.invalidAssertion }
      }
    }
    throw SessionDesk.invalidAssertion
  }

  private static func issuer(of assertion: String) -> String? {
    guard assertion.utf8.count <= 8_192 else { return nil }
    let segments = assertion.split(separator: ".", omittingEmptySubsequences: false)
    guard segments.count == 3, let body = BytesText.bytes(base64url: segments[1]),
      let issuer = (try? JSON.parse(body, depthMax: 8))?["iss"]?.string, Slug.isValid(issuer)
    else { return nil }
    return issuer
  }

  /// The members of a set that may be stored: what verifies, and nothing else.
  private static func publicKeys(_ keySet: JSON) throws(Refusal) -> [JSON] {
    var faults: [Refusal.Field] = []
    let rows = keySet["keys"]?.array ?? []
    if keySet["keys"]?.array == nil || rows.count > assertionKeysMax {
      faults.append(.init("/keys", "must be a list of at most \(assertionKeysMax) keys"))
    }
    var keys: [JSON] = []
    var names: Set<String> = []
    for (index, row) in rows.prefix(assertionKeysMax).enumerated() {
      let place = "/keys/\(index)"
      if row["d"] != nil { faults.append(.init(place + "/d", "is a private part; send none")) }
      guard let kid = row["kid"]?.string, JWT.isKeyID(kid), names.insert(kid).inserted else {
        faults.append(.init(place + "/kid", "must be 1 to 64 of A-Z a-z 0-9 - _, once in the set"))
        continue
      }
      guard let key = VerifyingKey(jwk: row), var jwk = key.jwk.object else {
        faults.append(
          .init(place, "must be a public P-256, Ed25519 or RSA key for signatures"))
        continue
      }
      jwk["kid"] = .string(kid)
      keys.append(.object(jwk))
    }
    guard faults.isEmpty else {
      throw Refusal(.validationFailed, "The key set is not valid.", fields: faults)
    }
    return keys
  }
}
