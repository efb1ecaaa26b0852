internal import Cryptography
public import Primitives

/// The signature of an inbound payment event (specification core, 9.2): `t=…,v1=…[,v1=…]`, HMAC-SHA-256 in
/// lower-case hex over `t`, a dot and the raw body.
///
/// Several `v1` come while a secret is rolled. Unlike stripe's own library, which takes any time ahead, a timestamp
/// may be 300 s off on either side.
public enum StripeSignature {
  /// How far the timestamp may be from now, on both sides.
  public static let toleranceSeconds: Int64 = 300
  /// The longest header that is looked at, and the most parts of it.
  static let byteCountMax = 4_096
  static let partCountMax = 32

  /// Checks that the body was signed with the secret, just now.
  ///
  /// - Throws: `Refusal` `signature_invalid`, the same for every cause but the clock's.
  public static func verify(
    header: String?, body: [UInt8], secret: String, at now: Timestamp
  ) throws(Refusal) {
    guard let header, let (time, candidates) = parts(of: header), let seconds = Int64(time) else {
      throw Refusal(.signatureInvalid, "Send one Stripe-Signature header with t and v1.")
    }
    let text = hex(time: time, body: body, secret: secret)
    // Every candidate is compared in full: which one fits must not show in the time it takes.
    var isSigned = false
    for candidate in candidates {
      let isSame = Digest.equal(text, candidate)
      isSigned = isSigned || isSame
    }
    guard isSigned else { throw Refusal(.signatureInvalid, "The signature does not fit the body.") }
    let age = now.seconds - seconds
    guard age.magnitude <= UInt64(toleranceSeconds) else {
      throw Refusal(.signatureInvalid, "The signature's time is not within 300 s of now.")
    }
  }

  private static func hex(time: String, body: [UInt8], secret: String) -> [UInt8] {
    let mac = Digest.hmac(key: Array(secret.utf8), Array((time + ".").utf8) + body)
    return Array(BytesText.hex(mac).utf8)
  }

  /// The one `t` in digits, and every `v1`; nil where the header is malformed. Other names are left aside.
  private static func parts(of header: String) -> (time: String, signatures: [[UInt8]])? {
    guard header.utf8.count <= byteCountMax else { return nil }
    let parts = header.split(separator: ",", omittingEmptySubsequences: false)
    guard parts.count <= partCountMax else { return nil }
    var times: [String] = []
    var signatures: [[UInt8]] = []
    for part in parts {
      let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard sides.count == 2 else { return nil }
      if sides[0] == "t" { times.append(String(sides[1])) }
      if sides[0] == "v1" { signatures.append(Array(sides[1].utf8)) }
    }
    // Two times would leave open which of them was signed.
    guard times.count == 1, let time = times.first, (1...12).contains(time.utf8.count),
      time.utf8.allSatisfy({ (0x30...0x39).contains($0) }), !signatures.isEmpty
    else { return nil }
    return (time, signatures)
  }
}
