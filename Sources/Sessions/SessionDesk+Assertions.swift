internal import Catalog
internal import Cryptography
public import Identity
public import Primitives
internal import SQLite

/// `private_key_jwt`: a provider's server proves who it is by a token that it signs itself, with a key whose
/// public half it has registered (RFC 7523, sections 2.2 and 3).
extension SessionDesk {
  /// What `clientAssertionType` must say.
  public static let assertionType = ClientAssertion.type

  /// Registers the public keys of a provider in place of those before: a key set of 1 to 10 keys (P-256,
  /// Ed25519 or RSA), each with a `kid` of its own. None takes the proof by assertion away.
  ///
  /// - Throws: `Refusal` `validation_failed`, also where a private part was sent; `not_found` for an unknown provider.
  public func register(
    keySet: JSON, of provider: String, by author: AuditLog.Author = .system
  ) async throws {
    let (keys, faults) = ClientAssertion.publicKeys(keySet)
    guard faults.isEmpty else {
      throw Refusal(.validationFailed, "The key set is not valid.", fields: faults)
    }
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
    guard let provider = ClientAssertion.issuer(of: assertion), Slug.isValid(provider) else {
      throw SessionDesk.invalidAssertion
    }
    let keys = VerifyingKey.set(try await keySet(of: provider)) ?? [:]
    let proof: ClientAssertion
    do throws(JWTError) {
      proof = try ClientAssertion(
        verifying: assertion, of: provider, keys: keys, audiences: [publicURL], at: now)
    } catch {
      throw error == .expired
        ? Refusal(.tokenExpired, "The client assertion has expired.")
        : SessionDesk.invalidAssertion
    }
    try await database.write { connection in
      do {
        try connection.run(
          "INSERT INTO provider_assertion(provider_id, jti, expires_ms) VALUES (?, ?, ?)",
          [.text(provider), .text(proof.id), .int(proof.rememberedUntil.milliseconds)])
      } catch let error as SQLiteError where error.isUnique {
        throw Refusal(.tokenInvalid, "This assertion was used already; sign a new one.")
      }
    }
    return provider
  }

  private static var invalidAssertion: Refusal {
    Refusal(.tokenInvalid, "The client assertion is not valid.")
  }
}
