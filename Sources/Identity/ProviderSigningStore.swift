public import Cryptography
public import Primitives
public import SQLite

/// What the launch tokens of a provider's services are signed with.
public enum ProviderSigningStore {
  /// The provider's choice, ES256 where there is none.
  public static func algorithm(
    of providerID: String, on connection: Connection
  ) throws -> SigningAlgorithm {
    try connection.first(
      "SELECT algorithm FROM provider_signing WHERE provider_id = ?", [.text(providerID)]
    ) { SigningAlgorithm(rawValue: $0.text(0)) ?? .es256 } ?? .es256
  }

  /// Stores the provider's choice.
  /// - Throws: `Refusal` `not_found` for a provider that is not there.
  public static func set(
    _ algorithm: SigningAlgorithm, of providerID: String, by author: AuditLog.Author,
    at now: Timestamp, on connection: Connection
  ) throws {
    let exists = try connection.first(
      "SELECT 1 FROM provider WHERE id = ?", [.text(providerID)]
    ) { _ in true }
    guard exists == true else { throw Refusal(.notFound, "There is no provider \(providerID).") }
    try connection.run(
      """
      INSERT INTO provider_signing(provider_id, algorithm, updated_ms) VALUES (?1, ?2, ?3)
      ON CONFLICT(provider_id) DO UPDATE SET algorithm = ?2, updated_ms = ?3
      """, [.text(providerID), .text(algorithm.rawValue), .int(now.milliseconds)])
    try AuditLog.record(
      "provider.signing", on: "provider:" + providerID, detail: algorithm.rawValue, by: author,
      at: now, on: connection)
  }
}
