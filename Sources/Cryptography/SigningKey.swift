internal import COpenSSL

/// The algorithms that sign our tokens and that we accept (RFC 7518, RFC 8037). No others, in no context.
public enum SigningAlgorithm: String, Sendable, CaseIterable {
  /// ECDSA on P-256 with SHA-256.
  case es256 = "ES256"
  /// Ed25519.
  case eddsa = "EdDSA"
  /// RSA PKCS #1 v1.5 with SHA-256, keys of 2,048 bits and more.
  case rs256 = "RS256"

  /// Whether OpenSSL is to hash the message: Ed25519 does so itself.
  var hashes: Int32 { self == .eddsa ? 0 : 1 }
}

/// A key pair. Immutable after init; OpenSSL's reads of one are thread-safe.
public final class SigningKey: @unchecked Sendable {
  // Safe to share: the handle is set once, freed once in deinit, and EVP_DigestSign only reads it.
  private let handle: OpaquePointer
  /// The public half.
  public let verifying: VerifyingKey
  /// What it signs with.
  public var algorithm: SigningAlgorithm { verifying.algorithm }

  /// A new key pair from the operating system's randomness. RSA takes about a tenth of a second.
  public convenience init(_ algorithm: SigningAlgorithm = .es256) {
    let made =
      switch algorithm {
      case .es256: copenssl_p256_generate()
      case .eddsa: copenssl_ed25519_generate()
      case .rs256: copenssl_rsa_generate()
      }
    guard let made, let verifying = VerifyingKey(publicHalfOf: made) else {
      preconditionFailure("OpenSSL makes no \(algorithm.rawValue) key")
    }
    self.init(handle: made, verifying: verifying)
  }

  /// Reads a private key's DER as `der` writes it, or nil: P-256, Ed25519 or RSA of 2,048 bits and more.
  public convenience init?(der: [UInt8]) {
    let handle = der.withUnsafeBufferPointer { buffer -> OpaquePointer? in
      var at = buffer.baseAddress
      return d2i_AutoPrivateKey(nil, &at, buffer.count)
    }
    guard let handle else { return nil }
    guard let verifying = VerifyingKey(publicHalfOf: handle) else {
      EVP_PKEY_free(handle)
      return nil
    }
    self.init(handle: handle, verifying: verifying)
  }

  /// The Ed25519 key of its 32 raw private bytes (RFC 8032), or nil for another length.
  public convenience init?(ed25519 bytes: [UInt8]) {
    guard bytes.count == 32,
      let handle = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, bytes, bytes.count)
    else { return nil }
    guard let verifying = VerifyingKey(publicHalfOf: handle) else {
      EVP_PKEY_free(handle)
      return nil
    }
    self.init(handle: handle, verifying: verifying)
  }

  private init(handle: OpaquePointer, verifying: VerifyingKey) {
    self.handle = handle
    self.verifying = verifying
  }

  deinit { EVP_PKEY_free(handle) }

  /// The private key as DER. Secret.
  public var der: [UInt8] {
    let count = i2d_PrivateKey(handle, nil)
    precondition(count > 0, "a key can be written")
    var output = [UInt8](repeating: 0, count: Int(count))
    output.withUnsafeMutableBufferPointer { buffer in
      var at = buffer.baseAddress
      _ = i2d_PrivateKey(handle, &at)
    }
    return output
  }

  /// The signature as JWS has it: 64 bytes r, s for ES256 (RFC 7518 section 3.4), 64 for EdDSA, as many as the
  /// modulus for RS256.
  public func sign(_ message: [UInt8]) -> [UInt8] {
    if algorithm == .es256 {
      var signature = [UInt8](repeating: 0, count: 64)
      let done = copenssl_es256_sign(handle, message, message.count, &signature)
      precondition(done == 1, "signing cannot fail with a good key")
      return signature
    }
    var signature = [UInt8](repeating: 0, count: 1_024)
    var count = signature.count
    let done = copenssl_sign(
      handle, algorithm.hashes, message, message.count, &signature, &count)
    precondition(done == 1, "signing cannot fail with a good key")
    return Array(signature[..<count])
  }
}
