internal import Cryptography
public import Primitives

/// What the deliveries of one endpoint are signed with (Standard Webhooks 1.0.0, "Signature scheme").
public struct WebhookSecret: Sendable, Equatable {
  /// How it signs.
  public enum Algorithm: String, Sendable, CaseIterable {
    /// A shared secret, `whsec_`; signatures begin with `v1,`.
    case hmac = "hmac-sha256"
    /// A key pair of which the receiver has the public half, `whpk_`; signatures begin with `v1a,`.
    case ed25519
  }

  /// Bytes of a shared secret.
  public static let byteCounts = 24...64

  /// How it signs.
  public let algorithm: Algorithm
  /// The shared secret, or the private half. Secret.
  let key: [UInt8]

  /// A new secret of 32 random bytes.
  public init(_ algorithm: Algorithm, random: RandomSource) {
    self.algorithm = algorithm
    key = random.bytes(32)
  }

  /// Reads a shared secret, `whsec_` and base64 of 24 to 64 bytes; else nil.
  public init?(text: String) {
    guard text.hasPrefix("whsec_"), let key = Base64.bytes(text.dropFirst(6)),
      WebhookSecret.byteCounts.contains(key.count)
    else { return nil }
    self.init(algorithm: .hmac, key: key)
  }

  init(algorithm: Algorithm, key: [UInt8]) {
    self.algorithm = algorithm
    self.key = key
  }

  private var pair: SigningKey {
    guard let pair = SigningKey(ed25519: key) else {
      preconditionFailure("an Ed25519 secret has 32 bytes: both ways to one give no other")
    }
    return pair
  }

  /// What the receiver verifies with: the shared secret itself (`whsec_`), or the public key (`whpk_`).
  public var verifier: String {
    switch algorithm {
    case .hmac: "whsec_" + Base64.text(key)
    case .ed25519: "whpk_" + Base64.text(pair.verifying.x)
    }
  }

  /// The signature of `id.timestamp.body`, with its version in front.
  ///
  /// - Parameter seconds: The attempt's moment since the epoch.
  public func signature(id: String, seconds: Int64, body: [UInt8]) -> String {
    let message = Array("\(id).\(seconds).".utf8) + body
    switch algorithm {
    case .hmac: return "v1," + Base64.text(Digest.hmac(key: key, message))
    case .ed25519: return "v1a," + Base64.text(pair.sign(message))
    }
  }

  /// The three headers of a delivery; several secrets give as many signatures.
  public static func headers(
    id: String, seconds: Int64, body: [UInt8], secrets: [WebhookSecret]
  ) -> [(name: String, value: String)] {
    let signatures = secrets.map { $0.signature(id: id, seconds: seconds, body: body) }
    return [
      (name: "webhook-id", value: id), (name: "webhook-timestamp", value: String(seconds)),
      (name: "webhook-signature", value: signatures.joined(separator: " ")),
    ]
  }
}

/// Seals the secrets that the record keeps, each under its endpoint's id.
struct WebhookVault: Sendable {
  private let sealer: Sealer

  /// A vault of a 32-byte key.
  init(key: [UInt8]) { sealer = Sealer(key: key) }

  func seal(
    _ secret: WebhookSecret, of id: ID<WebhookEndpointKind>, random: RandomSource
  ) -> [UInt8] {
    sealer.seal(secret.key, label: "webhook:" + id.text, nonce: random.bytes(12))
  }

  /// The secret, or nil where the sealed bytes are not this endpoint's.
  func open(
    _ sealed: [UInt8], of id: ID<WebhookEndpointKind>, _ algorithm: WebhookSecret.Algorithm
  ) -> WebhookSecret? {
    sealer.open(sealed, label: "webhook:" + id.text).map {
      WebhookSecret(algorithm: algorithm, key: $0)
    }
  }
}

/// Standard base64 with padding (RFC 4648 section 4), as webhooks write their secrets and signatures.
enum Base64 {
  static func text(_ bytes: [UInt8]) -> String {
    let bare = BytesText.base64url(bytes).map { character -> Character in
      character == "-" ? "+" : character == "_" ? "/" : character
    }
    return String(bare) + String(repeating: "=", count: (4 - bare.count % 4) % 4)
  }

  /// Reads base64 with its padding or without; else nil.
  static func bytes(_ text: Substring) -> [UInt8]? {
    var bare = text
    if text.utf8.count % 4 == 0 {
      for _ in 0..<2 where bare.hasSuffix("=") { bare = bare.dropLast() }
    }
    guard !bare.contains(where: { $0 == "-" || $0 == "_" }) else { return nil }
    let url = bare.map { character -> Character in
      character == "+" ? "-" : character == "/" ? "_" : character
    }
    return BytesText.bytes(base64url: String(url))
  }
}
