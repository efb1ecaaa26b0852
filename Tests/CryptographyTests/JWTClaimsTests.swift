import Cryptography
import Foundation
import Primitives
import Testing

/// What stands in a claim's place, and why that is refused.
private let otherClaims: [(String, JWTError)] = [
  ("\"iss\":\"https://waypost.example/\"", .claim("iss")),
  ("\"iss\":\"https://waypost.example \"", .claim("iss")),
  ("\"iss\":\"https://WAYPOST.example\"", .claim("iss")),
  ("\"iss\":\"http://waypost.example\"", .claim("iss")),
  ("\"iss\":\"https://waypost.example.attacker.example\"", .claim("iss")),
  ("\"iss\":[\"https://waypost.example\"]", .claim("iss")),
  ("\"iss\":\"\"", .claim("iss")),
  ("\"iss\":null", .claim("iss")),
  ("\"aud\":[\"waypost\"]", .claim("aud")),
  ("\"aud\":[\"waypost\",\"other\"]", .claim("aud")),
  ("\"aud\":\"way\"", .claim("aud")),
  ("\"aud\":\"waypost2\"", .claim("aud")),
  ("\"aud\":\"a waypost\"", .claim("aud")),
  ("\"aud\":\"Waypost\"", .claim("aud")),
  ("\"aud\":\"*\"", .claim("aud")),
  ("\"aud\":\"\"", .claim("aud")),
  ("\"aud\":null", .claim("aud")),
  ("\"sub\":\"\"", .claim("sub")),
  ("\"sub\":null", .claim("sub")),
  ("\"sub\":1", .claim("sub")),
  ("\"sub\":[\"u1\"]", .claim("sub")),
  ("\"exp\":\"2000\"", .claim("exp")),
  ("\"exp\":2000.0", .claim("exp")),
  ("\"exp\":2000.5", .claim("exp")),
  ("\"exp\":2e3", .claim("exp")),
  ("\"exp\":-1", .claim("exp")),
  ("\"exp\":-9223372036854775808", .claim("exp")),
  ("\"exp\":9223372036854775808", .claim("exp")),
  ("\"exp\":1e300", .claim("exp")),
  ("\"exp\":true", .claim("exp")),
  ("\"exp\":null", .claim("exp")),
  ("\"exp\":[2000]", .claim("exp")),
  ("\"exp\":1e400", .malformed),
  ("\"exp\":NaN", .malformed),
  ("\"exp\":0x7D0", .malformed),
  ("\"iat\":\"1000\"", .claim("iat")),
  ("\"iat\":1000.0", .claim("iat")),
  ("\"iat\":1561", .claim("iat")),
  ("\"iat\":9223372036854775807", .claim("iat")),
  ("\"iat\":null", .claim("iat")),
  ("\"nbf\":1531", .claim("nbf")),
  ("\"nbf\":9223372036854775807", .claim("nbf")),
  ("\"nbf\":\"1000\"", .claim("nbf")),
  ("\"nbf\":1000.0", .claim("nbf")),
  ("\"nbf\":null", .claim("nbf")),
]

private let goodClaims: [String] = [
  "\"exp\":9223372036854775807", "\"exp\":1471", "\"iat\":1560", "\"iat\":0", "\"iat\":-1",
  "\"nbf\":1530", "\"nbf\":0", "\"sub\":\"\u{43F}\"", "\"jti\":\"x\"", "\"scope\":[1,{}]",
]

@Suite("claims are checked to the letter and to the second")
struct JWTClaimsTests {
  private let forge = Forge()

  @Test("a claim of another value or type is refused", arguments: otherClaims)
  func refuses(member: String, reason: JWTError) {
    #expect(forge.verdict(forge.token(claims: claims(with: member))) == reason)
  }

  @Test("a claim within its bounds is accepted", arguments: goodClaims)
  func accepts(member: String) {
    #expect(forge.verdict(forge.token(claims: claims(with: member))) == nil)
  }

  @Test("a claim that is missing is refused", arguments: ["iss", "aud", "sub", "exp", "iat"])
  func missing(name: String) {
    #expect(forge.verdict(forge.token(claims: claims(without: name))) == .claim(name))
    let text = Forge.claims.replacingOccurrences(of: "\"\(name)\"", with: "\"X\(name)\"")
    #expect(forge.verdict(forge.token(claims: text)) == .claim(name))
  }

  @Test("a token replayed after its expiry and the leeway is expired, to the second")
  func expiry() {
    let token = forge.token()
    let expected: [(Int64, JWTError?)] = [
      (1_999_000, nil), (2_000_000, nil), (2_029_000, nil), (2_029_999, nil),
      (2_030_000, .expired), (2_030_001, .expired), (9_000_000_000, .expired),
    ]
    for (milliseconds, verdict) in expected {
      let now = Timestamp(milliseconds: milliseconds)
      #expect(forge.verdict(token, at: now) == verdict, "\(milliseconds)")
    }
  }

  @Test("without leeway a token ends at its second")
  func noLeeway() {
    let token = forge.token()
    let last = Timestamp(milliseconds: 1_999_999)
    #expect(forge.verdict(token, at: last, leewaySeconds: 0) == nil)
    #expect(forge.verdict(token, at: last + 1, leewaySeconds: 0) == .expired)
  }

  @Test("the leeway is 60 seconds at most, whatever is asked for")
  func leeway() {
    let expectation = JWT.Expectation(
      type: Forge.type, issuer: Forge.issuer, audience: nil, leewaySeconds: 3_600)
    #expect(expectation.leewaySeconds == 60)
    let token = forge.token()
    let last = Timestamp(milliseconds: 2_059_999)
    #expect(forge.verdict(token, at: last, leewaySeconds: 3_600) == nil)
    #expect(forge.verdict(token, at: last + 1, leewaySeconds: 3_600) == .expired)
  }

  @Test("the audience is left to the caller only where the caller says so")
  func audience() {
    let token = forge.token(claims: claims(with: "\"aud\":\"other\""))
    #expect(forge.verdict(token) == .claim("aud"))
    #expect(forge.verdict(token, audience: nil) == nil)
    #expect(forge.verdict(token, audience: "other") == nil)
  }

  @Test("the signature is checked before any claim")
  func order() {
    let other = Forge().token(claims: claims(with: "\"exp\":0"))
    #expect(forge.verdict(other) == .signature)
    #expect(forge.verdict(forge.token(claims: claims(with: "\"exp\":0"))) == .expired)
  }

  @Test("what we sign we accept, with the header alg, kid, typ and nothing else")
  func signs() throws {
    let claims: JSONObject = [
      "iss": .string(Forge.issuer), "aud": .string(Forge.audience), "sub": "u1", "iat": .int(1_000),
      "exp": .int(2_000), "jti": .string("caf\u{E9} \u{1F600} \"quoted\""),
    ]
    let token = JWT.sign(type: Forge.type, claims: claims, with: forge.key)
    let segment = token.prefix { $0 != "." }
    let head = try #require(BytesText.bytes(base64url: segment))
    let header = try #require(try JSON.parse(head).object)
    #expect(header.keys.sorted() == ["alg", "kid", "typ"])
    #expect(header["alg"] == .string("ES256"))
    #expect(header["typ"] == .string(Forge.type))
    #expect(header["kid"] == .string(forge.key.verifying.thumbprint))
    let expectation = JWT.Expectation(
      type: Forge.type, issuer: Forge.issuer, audience: Forge.audience)
    let read = try JWT.verify(token, expecting: expectation, at: Forge.now) { id in
      id == forge.key.verifying.thumbprint ? forge.key.verifying : nil
    }
    #expect(read == claims)
  }

  @Test("a key's removal ends its tokens, a key that is not published yet has none")
  func keys() {
    let old = SigningKey()
    let token = JWT.sign(
      type: Forge.type,
      claims: [
        "iss": .string(Forge.issuer), "aud": .string(Forge.audience), "sub": "u1",
        "iat": .int(1_000), "exp": .int(2_000),
      ], with: old)
    #expect(verdict(token, published: [old.verifying]) == nil)
    #expect(verdict(token, published: [SigningKey().verifying, old.verifying]) == nil)
    #expect(verdict(token, published: [SigningKey().verifying]) == .signature)
    #expect(verdict(token, published: []) == .signature)
  }

  private func verdict(_ token: String, published: [VerifyingKey]) -> JWTError? {
    let expectation = JWT.Expectation(
      type: Forge.type, issuer: Forge.issuer, audience: Forge.audience)
    do throws(JWTError) {
      _ = try JWT.verify(token, expecting: expectation, at: Forge.now) { id in
        published.first { $0.thumbprint == id }
      }
      return nil
    } catch {
      return error
    }
  }

  private static let members: [(String, String)] = [
    ("iss", "\"iss\":\"https://waypost.example\""), ("aud", "\"aud\":\"waypost\""),
    ("sub", "\"sub\":\"u1\""), ("iat", "\"iat\":1000"), ("exp", "\"exp\":2000"),
  ]

  /// The good claims without one.
  private func claims(without name: String) -> String {
    let rest = JWTClaimsTests.members.filter { $0.0 != name }.map { $0.1 }
    return "{" + rest.joined(separator: ",") + "}"
  }

  /// The good claims with one member in the place of its namesake.
  private func claims(with member: String) -> String {
    let rest = JWTClaimsTests.members.filter { !member.hasPrefix("\"\($0.0)\"") }.map { $0.1 }
    return "{" + (rest + [member]).joined(separator: ",") + "}"
  }
}
