internal import COpenSSL
public import Primitives

/// A public key: P-256, Ed25519 or RSA.
public final class VerifyingKey: @unchecked Sendable {
  // Safe to share: set once, freed once, only read in between.
  private let handle: OpaquePointer
  /// What its signatures are made with.
  public let algorithm: SigningAlgorithm
  /// The point's x for P-256, the whole key for Ed25519: 32 bytes; empty for RSA.
  public let x: [UInt8]
  /// The point's y for P-256, 32 bytes; else empty.
  public let y: [UInt8]
  /// RSA's modulus, big-endian, no leading zero; else empty.
  public let modulus: [UInt8]
  /// RSA's exponent, big-endian, no leading zero; else empty.
  public let exponent: [UInt8]

  /// Bits of an RSA modulus that are accepted; more would only cost time.
  static let modulusBytes = 256...1_024

  /// The P-256 key of a point, or nil where it is not on the curve.
  public convenience init?(x: [UInt8], y: [UInt8]) {
    guard x.count == 32, y.count == 32, let handle = copenssl_p256_from_public([4] + x + y) else {
      return nil
    }
    self.init(handle: handle, .es256, x: x, y: y)
  }

  /// The Ed25519 key of its 32 bytes, or nil.
  public convenience init?(ed25519 bytes: [UInt8]) {
    guard bytes.count == 32, let handle = copenssl_ed25519_from_public(bytes) else { return nil }
    self.init(handle: handle, .eddsa, x: bytes)
  }

  /// The RSA key of a modulus of 2,048 to 8,192 bits, none that is known to be weak, and an odd exponent above
  /// 2^16, or nil.
  public convenience init?(modulus: [UInt8], exponent: [UInt8]) {
    guard VerifyingKey.isSound(modulus: modulus, exponent: exponent),
      let handle = copenssl_rsa_from_public(
        modulus, Int32(modulus.count), exponent, Int32(exponent.count))
    else { return nil }
    self.init(handle: handle, .rs256, modulus: modulus, exponent: exponent)
  }

  private init(
    handle: OpaquePointer, _ algorithm: SigningAlgorithm, x: [UInt8] = [], y: [UInt8] = [],
    modulus: [UInt8] = [], exponent: [UInt8] = []
  ) {
    self.handle = handle
    self.algorithm = algorithm
    self.x = x
    self.y = y
    self.modulus = modulus
    self.exponent = exponent
  }

  /// The public half of a key pair, or nil where it is of no kind of ours.
  convenience init?(publicHalfOf pair: OpaquePointer) {
    switch copenssl_kind(pair) {
    case 1:
      var point = [UInt8](repeating: 0, count: 65)
      guard copenssl_p256_public(pair, &point) == 1 else { return nil }
      self.init(x: Array(point[1..<33]), y: Array(point[33...]))
    case 2:
      var point = [UInt8](repeating: 0, count: 32)
      guard copenssl_ed25519_public(pair, &point) == 1 else { return nil }
      self.init(ed25519: point)
    case 3:
      self.init(
        modulus: VerifyingKey.number(of: pair, isModulus: true),
        exponent: VerifyingKey.number(of: pair, isModulus: false))
    default: return nil
    }
  }

  deinit { EVP_PKEY_free(handle) }

  private static func number(of pair: OpaquePointer, isModulus: Bool) -> [UInt8] {
    var output = [UInt8](repeating: 0, count: modulusBytes.upperBound)
    let count = copenssl_rsa_number(pair, isModulus ? 1 : 0, &output, Int32(output.count))
    return Array(output[..<Int(count)])
  }

  private static func isSound(modulus: [UInt8], exponent: [UInt8]) -> Bool {
    guard let top = modulus.first, let first = exponent.first, let last = exponent.last else {
      return false
    }
    // 2,048 bits are 256 bytes whose first has its top bit set; an exponent above 2^16 has 3 bytes or more.
    let isLong = modulus.count > modulusBytes.lowerBound || top >= 0x80
    return modulusBytes.contains(modulus.count) && top != 0 && isLong
      && modulus[modulus.count - 1] & 1 == 1 && first != 0 && (3...8).contains(exponent.count)
      && last & 1 == 1 && !isFingerprinted(modulus)
  }

  /// Primes modulo which the powers of 65,537 are few.
  private static let tellingPrimes = [
    11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
  ]

  /// Whether a modulus looks like those of a library whose keys can be factored (CVE-2017-15361, "ROCA"): modulo
  /// each of the primes it is a power of 65,537. One sound modulus in 200 million looks so too.
  private static func isFingerprinted(_ modulus: [UInt8]) -> Bool {
    tellingPrimes.allSatisfy { prime in
      let rest = modulus.reduce(0) { rest, byte in (rest << 8 | Int(byte)) % prime }
      var power = 1
      repeat {
        if power == rest { return true }
        power = power * 65_537 % prime
      } while power != 1
      return false
    }
  }

  /// Whether a signature in JWS form signs the message. For ES256 halves of zero or past the order are refused,
  /// for EdDSA an S past the order, for RS256 any length but the modulus's.
  public func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
    switch algorithm {
    case .es256:
      guard signature.count == 64 else { return false }
      return copenssl_es256_verify(handle, message, message.count, signature) == 1
    case .eddsa:
      guard signature.count == 64 else { return false }
    case .rs256:
      guard signature.count == modulus.count else { return false }
    }
    let isValid = copenssl_verify(
      handle, algorithm.hashes, message, message.count, signature, signature.count)
    return isValid == 1
  }

  /// The key's id: its RFC 7638 thumbprint.
  public var thumbprint: String {
    BytesText.base64url(Digest.sha256(JSON.object(members).canonicalBytes))
  }

  /// The public JWK (RFC 7517), ready for a key set.
  public var jwk: JSON {
    var object = members
    object["alg"] = .string(algorithm.rawValue)
    object["use"] = "sig"
    object["kid"] = .string(thumbprint)
    return .object(object)
  }

  /// The members that make the key what it is (RFC 7638 section 3.2, RFC 8037 section 2).
  private var members: JSONObject {
    switch algorithm {
    case .es256:
      [
        "kty": "EC", "crv": "P-256", "x": .string(BytesText.base64url(x)),
        "y": .string(BytesText.base64url(y)),
      ]
    case .eddsa: ["kty": "OKP", "crv": "Ed25519", "x": .string(BytesText.base64url(x))]
    case .rs256:
      [
        "kty": "RSA", "n": .string(BytesText.base64url(modulus)),
        "e": .string(BytesText.base64url(exponent)),
      ]
    }
  }
}

extension VerifyingKey {
  /// The key of somebody else's public JWK, or nil: of another kind or curve, for another use or algorithm, with
  /// a private part, or unsound (specification core, 6.1).
  public convenience init?(jwk: JSON) {
    let isPrivate = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].contains { jwk[$0] != nil }
    guard !isPrivate, VerifyingKey.isForSignatures(jwk) else { return nil }
    func bytes(_ name: String) -> [UInt8] {
      jwk[name]?.string.flatMap { BytesText.bytes(base64url: $0) } ?? []
    }
    let stated = jwk["alg"]
    switch (jwk["kty"]?.string, jwk["crv"]?.string) {
    case ("EC", "P-256") where stated == nil || stated == "ES256":
      self.init(x: bytes("x"), y: bytes("y"))
    case ("OKP", "Ed25519") where stated == nil || stated == "EdDSA" || stated == "Ed25519":
      self.init(ed25519: bytes("x"))
    case ("RSA", nil) where stated == nil || stated == "RS256":
      self.init(modulus: bytes("n"), exponent: bytes("e"))
    default: return nil
    }
  }

  private static func isForSignatures(_ jwk: JSON) -> Bool {
    if let use = jwk["use"], use != "sig" { return false }
    guard let operations = jwk["key_ops"] else { return true }
    let names = operations.array?.compactMap(\.string) ?? []
    return names == ["verify"]
  }

  /// The keys of somebody else's key set by their ids, or nil where it is no set, holds a key id twice, or more
  /// than 64 keys. Keys that are not ours to use are left out, as RFC 7517 section 5 asks.
  public static func set(_ document: JSON) -> [String: VerifyingKey]? {
    guard let rows = document["keys"]?.array, rows.count <= 64 else { return nil }
    var keys: [String: VerifyingKey] = [:]
    var ids: Set<String> = []
    for row in rows {
      guard let id = row["kid"]?.string else { continue }
      guard ids.insert(id).inserted else { return nil }
      if JWT.isKeyID(id), let key = VerifyingKey(jwk: row) { keys[id] = key }
    }
    return keys
  }
}
