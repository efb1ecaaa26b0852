internal import Cryptography
public import Primitives

/// A token that the holder of an API key makes alone, without asking us, for a browser or a customer: it can only
/// search, within a filter, a rate and a time, and ends with its key. We keep nothing of it.
///
/// Its text is `wps_` + base64url(payload) + `.` + base64url(HMAC-SHA-256(k, base64url(payload))), where k is
/// SHA-256 of `waypost-scoped:` and the key's secret, and the payload is the JSON object
/// `{"key": id, "filter"?, "maxPerMinute"?, "expiresAt"?}` with `expiresAt` in seconds since 1970.
public struct ScopedToken: Sendable, Equatable {
  /// How every such token begins.
  public static let prefix = "wps_"
  /// The most bytes of one.
  public static let byteCountMax = 6_000

  /// The key that it was made from.
  public let keyID: ID<APIKeyKind>
  /// What every search is narrowed by, or nil.
  public let filter: String?
  /// Requests a minute, or nil.
  public let perMinute: Int?
  /// When it ends, or nil for with its key.
  public let expiresAt: Timestamp?
  private let signed: String
  private let proof: [UInt8]

  /// Reads a token; says nothing of whether it is genuine.
  public init?(_ text: String) {
    guard text.hasPrefix(ScopedToken.prefix), text.utf8.count <= ScopedToken.byteCountMax else {
      return nil
    }
    let halves = text.dropFirst(ScopedToken.prefix.count).split(
      separator: ".", omittingEmptySubsequences: false)
    guard halves.count == 2, let payload = BytesText.bytes(base64url: halves[0]),
      let proof = BytesText.bytes(base64url: halves[1]), proof.count == 32,
      let members = JWS.object(payload),
      Set(members.keys).isSubset(of: ["key", "filter", "maxPerMinute", "expiresAt"]),
      let id = members["key"]?.string.flatMap({ ID<APIKeyKind>($0) })
    else { return nil }
    func isSound(_ name: String, _ body: (JSON) -> Bool) -> Bool {
      members[name].map(body) ?? true
    }
    guard isSound("filter", { $0.string != nil }),
      isSound("maxPerMinute", { $0.int.map { (1...1_000_000).contains($0) } ?? false }),
      isSound("expiresAt", { $0.int.map { (0...253_402_300_799).contains($0) } ?? false })
    else { return nil }
    keyID = id
    filter = members["filter"]?.string
    perMinute = members["maxPerMinute"]?.int.map(Int.init)
    expiresAt = members["expiresAt"]?.int.map { Timestamp(milliseconds: $0 * 1_000) }
    signed = String(halves[0])
    self.proof = proof
  }

  /// Whether the holder of a key's secret made it.
  public func isSigned(by secret: String) -> Bool {
    Digest.equal(proof, Digest.hmac(key: ScopedToken.key(of: secret), Array(signed.utf8)))
  }

  /// What names it in limits: the key and what it was bound to, not the token itself.
  var name: String {
    "key:" + keyID.text + ":" + BytesText.hex(Digest.sha256(Array(signed.utf8)).prefix(8))
  }

  private static func key(of secret: String) -> [UInt8] {
    Digest.sha256(Array(("waypost-scoped:" + secret).utf8))
  }
}
