internal import Cryptography

extension Idempotency.Key {
  /// What tells the key from every other in its scope of caller and route: 32 bytes, from which neither can be read.
  ///
  /// For effects that take longer than one transaction: they keep it with what they have begun, so that a retry
  /// goes on with that.
  package var fingerprint: [UInt8] {
    Digest.sha256(principal + [0] + Array(route.utf8) + [0] + Array(key.utf8))
  }

  /// SHA-256 of the body's canonical form: 32 bytes, the same for bodies that count as the same.
  package var bodyDigest: [UInt8] { bodyHash }
}
