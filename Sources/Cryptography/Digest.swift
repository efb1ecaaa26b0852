internal import COpenSSL

/// SHA-256 and what is built on it.
public enum Digest {
  /// SHA-256 of the bytes: 32 bytes (FIPS 180-4).
  public static func sha256(_ bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBytes { sha256($0) } }

  /// The same of bytes that are lent.
  public static func sha256(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 32) { output, count in
      let done = EVP_Digest(bytes.baseAddress, bytes.count, output.baseAddress, nil, method, nil)
      precondition(done == 1, "SHA-256 is not available")
      count = 32
    }
  }

  // Safe: fetched once, never freed, and OpenSSL lets threads share it (openssl.org, EVP_MD_fetch and crypto(7)): a fetch
  // for each digest takes as long as the digest of a short text.
  private nonisolated(unsafe) static let method = EVP_MD_fetch(nil, "SHA256", nil)

  /// HMAC-SHA-256: 32 bytes (RFC 2104).
  public static func hmac(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
    var output = [UInt8](repeating: 0, count: 32)
    var count: UInt32 = 32
    HMAC(EVP_sha256(), key, Int32(key.count), message, message.count, &output, &count)
    return output
  }

  /// Whether two byte strings are equal, in time that depends on their length only.
  public static func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
  }
}

/// AES-256-GCM sealing of small values that the record keeps (NIST SP 800-38D).
public struct Sealer: Sendable {
  private let key: [UInt8]

  /// A sealer of a 32-byte key.
  public init(key: [UInt8]) {
    precondition(key.count == 32, "a sealing key has 32 bytes, not \(key.count)")
    self.key = key
  }

  /// The text sealed under a label that must be the same at opening: nonce (12), text, tag (16).
  public func seal(_ text: [UInt8], label: String, nonce: [UInt8]) -> [UInt8] {
    precondition(nonce.count == 12, "a nonce has 12 bytes, not \(nonce.count)")
    var output = [UInt8](repeating: 0, count: text.count + 16)
    let labelBytes = Array(label.utf8)
    let done = copenssl_seal(
      key, nonce, labelBytes, Int32(labelBytes.count), text, Int32(text.count), &output)
    precondition(done == 1, "AES-256-GCM is not available")
    return nonce + output
  }

  /// The text, or nil where anything was changed or the label differs.
  public func open(_ sealed: [UInt8], label: String) -> [UInt8]? {
    guard sealed.count >= 28 else { return nil }
    let count = sealed.count - 28
    var output = [UInt8](repeating: 0, count: max(count, 1))
    let labelBytes = Array(label.utf8)
    let body = Array(sealed[12...])
    let done = copenssl_open(
      key, Array(sealed[..<12]), labelBytes, Int32(labelBytes.count), body, Int32(count), &output)
    return done == 1 ? Array(output[..<count]) : nil
  }
}
