import Cryptography
import Foundation
import Primitives
import Testing

// Each stands where `"alg":"ES256"` would stand.
private let algorithms: [String] = [
  "\"alg\":\"none\"", "\"alg\":\"None\"", "\"alg\":\"NONE\"", "\"alg\":\"nOnE\"", "\"alg\":\"\"",
  "\"alg\":null", "\"alg\":0", "\"alg\":true", "\"alg\":[\"ES256\"]", "\"alg\":{}",
  "\"alg\":\"HS256\"", "\"alg\":\"HS512\"", "\"alg\":\"RS256\"", "\"alg\":\"PS256\"",
  "\"alg\":\"ES384\"", "\"alg\":\"ES512\"", "\"alg\":\"ES256K\"", "\"alg\":\"EdDSA\"",
  "\"alg\":\"es256\"", "\"alg\":\"ES256 \"", "\"alg\":\" ES256\"", "\"alg\":\"ES256\\u0000\"",
  "\"Alg\":\"ES256\"", "\"x\":0",
]

private let types: [String] = [
  "\"typ\":\"JWT\"", "\"typ\":\"jwt\"", "\"typ\":\"at+JWT\"", "\"typ\":\"AT+JWT\"",
  "\"typ\":\"application/at+jwt\"", "\"typ\":\"at\"", "\"typ\":\"at+jwt \"", "\"typ\":\"\"",
  "\"typ\":\"launch+jwt\"", "\"typ\":null", "\"typ\":1", "\"typ\":[\"at+jwt\"]",
  "\"Typ\":\"at+jwt\"", "\"x\":0",
]

private let keyIDs: [String] = [
  "\"kid\":\"\"", "\"kid\":null", "\"kid\":1", "\"kid\":[\"k1\"]", "\"kid\":{}", "\"x\":0",
  "\"kid\":\"../../../etc/passwd\"", "\"kid\":\"/dev/null\"", "\"kid\":\"..\"",
  "\"kid\":\"k1' OR '1'='1\"", "\"kid\":\"k1;--\"", "\"kid\":\"k1\\u0000\"", "\"kid\":\"\\u0000\"",
  "\"kid\":\"https://attacker.example/key\"", "\"kid\":\"bilbo@hobbiton.example\"",
  "\"kid\":\"k 1\"", "\"kid\":\" k1\"", "\"kid\":\"k1\\n\"", "\"kid\":\"k.1\"", "\"kid\":\"k+1\"",
  "\"kid\":\"k1=\"", "\"kid\":\"\u{43A}1\"", "\"kid\":\"\u{FF4B}1\"", "\"kid\":\"k\u{301}\"",
]

private let extras: [String] = [
  "\"crit\":[]", "\"crit\":[\"exp\"]", "\"crit\":[\"b64\"]", "\"crit\":null", "\"crit\":\"exp\"",
  "\"b64\":false", "\"b64\":true", "\"zip\":\"DEF\"", "\"zip\":null",
  "\"jwk\":null", "\"jwk\":{}", "\"jku\":\"https://attacker.example/jwks.json\"", "\"jku\":\"\"",
  "\"x5u\":\"https://attacker.example/cert\"", "\"x5c\":[]", "\"x5c\":[\"MIIB\"]",
  "\"\\u006awk\":{}", "\"\\u0063rit\":[\"exp\"]",
]

@Suite("a header is exactly what we write")
struct JWTHeaderTests {
  private let forge = Forge()

  private func join(_ members: String...) -> String {
    "{" + members.joined(separator: ",") + "}"
  }

  private let algorithm = "\"alg\":\"ES256\""
  private let keyID = "\"kid\":\"k1\""
  private let kind = "\"typ\":\"at+jwt\""

  @Test("another algorithm is refused, in any spelling", arguments: algorithms)
  func otherAlgorithms(member: String) {
    let header = join(member, keyID, kind)
    #expect(forge.verdict(forge.token(header: header)) == .header)
  }

  @Test("an unsigned token is refused in any spelling", arguments: ["none", "None", "nOnE"])
  func unsigned(spelling: String) {
    let header = join("\"alg\":\"\(spelling)\"", keyID, kind)
    #expect(forge.verdict(forge.token(header: header, signature: [])) == .header)
    #expect(forge.verdict(forge.token(signature: [])) == .signature)
  }

  @Test("an HMAC keyed with a form of the public key is refused")
  func keyConfusion() {
    let point = [4] + forge.key.verifying.x + forge.key.verifying.y
    let der = bytes(hex: "3059301306072a8648ce3d020106082a8648ce3d030107034200") + point
    let base64 = Data(der).base64EncodedString()
    let pem = "-----BEGIN PUBLIC KEY-----\n" + base64 + "\n-----END PUBLIC KEY-----\n"
    let jwk = forge.key.verifying.jwk
    let secrets: [[UInt8]] = [
      point, der, Array(pem.utf8), jwk.bytes, jwk.canonicalBytes, forge.key.verifying.x,
      Array(forge.key.verifying.thumbprint.utf8), [],
    ]
    let hmacHeader = join("\"alg\":\"HS256\"", keyID, kind)
    for secret in secrets {
      let mac = Digest.hmac(key: secret, Array(forge.input(header: hmacHeader).utf8))
      #expect(forge.verdict(forge.token(header: hmacHeader, signature: mac)) == .header)
      let other = Digest.hmac(key: secret, Array(forge.input().utf8))
      #expect(forge.verdict(forge.token(signature: other)) == .signature)
      #expect(forge.verdict(forge.token(signature: other + other)) == .signature)
    }
  }

  @Test("another type is refused: one kind of token is never another", arguments: types)
  func otherTypes(member: String) {
    let header = join(algorithm, keyID, member)
    #expect(forge.verdict(forge.token(header: header)) == .header)
  }

  @Test("an access token is no launch token, and a launch token no access token")
  func kinds() {
    let launch = join(algorithm, keyID, "\"typ\":\"launch+jwt\"")
    #expect(forge.verdict(forge.token(header: launch), type: "launch+jwt") == nil)
    #expect(forge.verdict(forge.token(header: launch)) == .header)
    #expect(forge.verdict(forge.token(), type: "launch+jwt") == .header)
  }

  @Test("a key id with other letters than A-Z a-z 0-9 - _ is refused", arguments: keyIDs)
  func otherKeyIDs(member: String) {
    let header = join(algorithm, member, kind)
    #expect(forge.verdict(forge.token(header: header)) == .header)
  }

  @Test("a key id has at most 64 letters")
  func longKeyIDs() {
    let id = String(repeating: "aZ09-_xy", count: 8)
    #expect(forge.verdict(forge.token(header: join(algorithm, "\"kid\":\"\(id)\"", kind))) == nil)
    let long = join(algorithm, "\"kid\":\"\(id)a\"", kind)
    #expect(forge.verdict(forge.token(header: long)) == .header)
  }

  @Test("crit, b64, zip and keys or addresses of keys in the header are refused", arguments: extras)
  func extraMembers(member: String) {
    let header = join(algorithm, keyID, kind, member)
    #expect(forge.verdict(forge.token(header: header)) == .header)
  }

  @Test("the attacker's own key in the header is refused, though it signs truly")
  func embeddedKey() {
    let attacker = Forge()
    let jwk = "\"jwk\":" + attacker.key.verifying.jwk.text
    let token = attacker.token(header: join(algorithm, keyID, kind, jwk))
    #expect(forge.verdict(token) == .header)
    #expect(attacker.verdict(token) == .header)
  }

  @Test("a signature of another key is refused")
  func otherKey() {
    #expect(forge.verdict(Forge().token()) == .signature)
  }

  @Test("an id that names no key is refused, and only the look-up sees it")
  func unknownKey() {
    let expectation = JWT.Expectation(
      type: Forge.type, issuer: Forge.issuer, audience: Forge.audience)
    var asked: [String] = []
    #expect(throws: JWTError.signature) {
      try JWT.verify(forge.token(), expecting: expectation, at: Forge.now) { id in
        asked.append(id)
        return nil
      }
    }
    #expect(asked == ["k1"])
  }

  @Test("ES256 with zeros, r = 0, s = 0, numbers past the order or DER is refused")
  func badSignatures() {
    let good = forge.key.sign(Array(forge.input().utf8))
    let zero = number32(0)
    let one = number32(1)
    let r = Array(good.prefix(32))
    let s = Array(good.suffix(32))
    let bad: [[UInt8]] = [
      [], zero, zero + zero, zero + s, r + zero, zero + one, one + zero, curveOrder + s,
      r + curveOrder, curveOrder + curveOrder, Array(good.dropLast()), good + [0], good + good,
      asDER(good), s + r,
    ]
    #expect(forge.verdict(forge.token(signature: good)) == nil)
    for signature in bad {
      #expect(forge.verdict(forge.token(signature: signature)) == .signature)
    }
  }

  @Test("the signature covers header and claims")
  func covers() {
    let signature = forge.key.sign(Array(forge.input().utf8))
    let other = join(algorithm, "\"kid\":\"k2\"", kind)
    #expect(forge.verdict(forge.token(header: other, signature: signature)) == .signature)
    let parts = forge.token().split(separator: ".").map(String.init)
    let admin = Forge.claims.replacingOccurrences(of: "u1", with: "u2")
    let body = BytesText.base64url(Array(admin.utf8))
    #expect(forge.verdict(parts[0] + "." + body + "." + parts[2]) == .signature)
  }
}
