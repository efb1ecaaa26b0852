internal import COpenSSL
public import Primitives

/// A P-256 key pair for ES256. Immutable after init; OpenSSL's reads of one are thread-safe.
public final class SigningKey: @unchecked Sendable {
  // Safe to share: the handle is set once, freed once in deinit, and EVP_DigestSign only reads it.
  private let handle: OpaquePointer
  /// The public half.
  public let verifying: VerifyingKey

  /// A new key pair from the operating system's randomness.
  public convenience init() {
    guard let handle = copenssl_p256_generate() else { preconditionFailure("no P-256 in OpenSSL") }
    self.init(handle: handle)
  }

  /// Reads PKCS #8 DER as `der` writes it, or nil.
  public convenience init?(der: [UInt8]) {
    let handle = der.withUnsafeBufferPointer { buffer -> OpaquePointer? in
      var at = buffer.baseAddress
      return d2i_AutoPrivateKey(nil, &at, buffer.count)
    }
    guard let handle else { return nil }
    var point = [UInt8](repeating: 0, count: 65)
    guard copenssl_p256_public(handle, &point) == 1 else {
      EVP_PKEY_free(handle)
      return nil
    }
    self.init(handle: handle)
  }

  private init(handle: OpaquePointer) {
    self.handle = handle
    var point = [UInt8](repeating: 0, count: 65)
    let read = copenssl_p256_public(handle, &point) == 1
    precondition(read, "a P-256 key shows its point")
    guard let verifying = VerifyingKey(x: Array(point[1..<33]), y: Array(point[33...])) else {
      preconditionFailure("a P-256 key's own point lies on the curve")
    }
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

  /// ES256: 64 bytes, r then s (RFC 7518 section 3.4).
  public func sign(_ message: [UInt8]) -> [UInt8] {
    var signature = [UInt8](repeating: 0, count: 64)
    let done = copenssl_es256_sign(handle, message, message.count, &signature)
    precondition(done == 1, "signing cannot fail with a good key")
    return signature
  }
}

/// A P-256 public key.
public final class VerifyingKey: @unchecked Sendable {
  // Safe to share: set once, freed once, only read in between.
  private let handle: OpaquePointer
  /// The point's x, 32 bytes.
  public let x: [UInt8]
  /// The point's y, 32 bytes.
  public let y: [UInt8]

  /// The key of a point, or nil where it is not on the curve.
  public init?(x: [UInt8], y: [UInt8]) {
    guard x.count == 32, y.count == 32, let handle = copenssl_p256_from_public([4] + x + y) else {
      return nil
    }
    self.handle = handle
    self.x = x
    self.y = y
  }

  deinit { EVP_PKEY_free(handle) }

  /// Whether 64 bytes r || s sign the message. Zero and out-of-range halves are refused.
  public func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
    guard signature.count == 64 else { return false }
    return copenssl_es256_verify(handle, message, message.count, signature) == 1
  }

  /// The key's id: its RFC 7638 thumbprint.
  public var thumbprint: String {
    let members: JSON = [
      "crv": "P-256", "kty": "EC", "x": .string(BytesText.base64url(x)),
      "y": .string(BytesText.base64url(y)),
    ]
    return BytesText.base64url(Digest.sha256(members.canonicalBytes))
  }

  /// The public JWK (RFC 7517), ready for a key set.
  public var jwk: JSON {
    [
      "kty": "EC", "crv": "P-256", "x": .string(BytesText.base64url(x)),
      "y": .string(BytesText.base64url(y)), "alg": "ES256", "use": "sig",
      "kid": .string(thumbprint),
    ]
  }
}
