import Cryptography
import Primitives
import Testing

private let keys: [SigningAlgorithm: SigningKey] = [
  .es256: SigningKey(.es256), .eddsa: SigningKey(.eddsa), .rs256: SigningKey(.rs256),
]

private func pair(_ algorithm: SigningAlgorithm) throws -> SigningKey {
  try #require(keys[algorithm])
}

private let claims: JSONObject = [
  "iss": "https://waypost.example", "aud": "waypost", "sub": "u1", "iat": 1_000, "exp": 2_000,
]

@Suite("ES256, EdDSA and RS256 sign alike, and none is taken for another")
struct AlgorithmTests {
  private let message = Array("a message".utf8)
  private let now = Timestamp(milliseconds: 1_500_000)

  private func verdict(
    _ token: String, _ key: VerifyingKey, _ algorithms: Set<SigningAlgorithm>
  ) -> JWTError? {
    let expectation = JWT.Expectation(
      type: "launch+jwt", issuer: "https://waypost.example", audience: "waypost",
      algorithms: algorithms)
    do throws(JWTError) {
      _ = try JWT.verify(token, expecting: expectation, at: now) { _ in key }
      return nil
    } catch {
      return error
    }
  }

  private func token(header: String, by signer: SigningKey) -> String {
    let input =
      BytesText.base64url(Array(header.utf8)) + "." + BytesText.base64url(JSON.object(claims).bytes)
    return input + "." + BytesText.base64url(signer.sign(Array(input.utf8)))
  }

  @Test("what was signed verifies, and nothing else does", arguments: SigningAlgorithm.allCases)
  func roundTrip(algorithm: SigningAlgorithm) throws {
    let key = try pair(algorithm)
    let signature = key.sign(message)
    #expect(signature.count == (algorithm == .rs256 ? 256 : 64))
    #expect(key.verifying.verifies(signature, of: message))
    #expect(!key.verifying.verifies(signature, of: message + [0]))
    #expect(!key.verifying.verifies(signature, of: []))
    #expect(!key.verifying.verifies(Array(signature.dropLast()), of: message))
    #expect(!key.verifying.verifies(signature + [0], of: message))
    #expect(!key.verifying.verifies([], of: message))
    #expect(!SigningKey(algorithm).verifying.verifies(signature, of: message))
    for place in signature.indices {
      var changed = signature
      changed[place] ^= 1
      if key.verifying.verifies(changed, of: message) { Issue.record("byte \(place)") }
    }
  }

  @Test("a key survives its DER and its JWK", arguments: SigningAlgorithm.allCases)
  func forms(algorithm: SigningAlgorithm) throws {
    let key = try pair(algorithm)
    let again = try #require(SigningKey(der: key.der))
    #expect(again.algorithm == algorithm)
    #expect(again.verifying.thumbprint == key.verifying.thumbprint)
    let read = try #require(VerifyingKey(jwk: key.verifying.jwk))
    #expect(read.algorithm == algorithm)
    #expect(read.verifies(again.sign(message), of: message))
    let secret = BytesText.base64url(key.der)
    #expect(!key.verifying.jwk.text.contains(secret))
    let members = try #require(key.verifying.jwk.object?.keys)
    #expect(Set(members).isDisjoint(with: ["d", "p", "q", "dp", "dq", "qi", "k"]))
  }

  @Test("the thumbprint of RFC 7638's RSA key and of RFC 8037's Ed25519 key are theirs")
  func thumbprints() throws {
    let rsa: JSON = [
      "kty": "RSA", "e": "AQAB",
      "n": .string(
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJE"
          + "CPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FD"
          + "W2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4"
          + "vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"),
    ]
    #expect(
      VerifyingKey(jwk: rsa)?.thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
    let edwards: JSON = [
      "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    ]
    #expect(
      VerifyingKey(jwk: edwards)?.thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")
  }

  @Test("a token is accepted only where its algorithm is", arguments: SigningAlgorithm.allCases)
  func contexts(algorithm: SigningAlgorithm) throws {
    let key = try pair(algorithm)
    let token = JWT.sign(type: "launch+jwt", claims: claims, with: key)
    #expect(verdict(token, key.verifying, Set(SigningAlgorithm.allCases)) == nil)
    #expect(verdict(token, key.verifying, [algorithm]) == nil)
    let others = Set(SigningAlgorithm.allCases).subtracting([algorithm])
    #expect(verdict(token, key.verifying, others) == .header)
  }

  @Test("the key decides the algorithm, never the header", arguments: SigningAlgorithm.allCases)
  func confusion(algorithm: SigningAlgorithm) throws {
    let key = try pair(algorithm)
    let all = Set(SigningAlgorithm.allCases)
    for other in SigningAlgorithm.allCases where other != algorithm {
      let header = "{\"alg\":\"\(other.rawValue)\",\"kid\":\"k1\",\"typ\":\"launch+jwt\"}"
      #expect(verdict(token(header: header, by: key), key.verifying, all) == .header)
      let foreign = try pair(other)
      let signed = JWT.sign(type: "launch+jwt", claims: claims, with: foreign)
      #expect(verdict(signed, key.verifying, all) == .header)
    }
    for name in ["PS256", "RS384", "RS512", "RS1", "Ed25519", "Ed448", "none", "HS256", "rs256"] {
      let header = "{\"alg\":\"\(name)\",\"kid\":\"k1\",\"typ\":\"launch+jwt\"}"
      #expect(verdict(token(header: header, by: key), key.verifying, all) == .header)
    }
  }

  @Test("an S of Ed25519 that is not below the order is refused")
  func malleable() throws {
    let key = try pair(.eddsa)
    let signature = key.sign(message)
    let order = bytes(hex: "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
    var sum = Array(signature[32...])
    var carry = 0
    for index in 0..<32 {
      let value = Int(sum[index]) + Int(order[index]) + carry
      sum[index] = UInt8(value & 0xFF)
      carry = value >> 8
    }
    #expect(carry == 0)
    #expect(!key.verifying.verifies(Array(signature[..<32]) + sum, of: message))
  }
}

private func rsa(_ members: (String, JSON?)...) -> JSON {
  let good = keys[.rs256]?.verifying.jwk.object ?? [:]
  var object = good
  for (name, value) in members { object[name] = value }
  return .object(object)
}

private let modulus = keys[.rs256]?.verifying.modulus ?? []

private let badKeys: [(String, JSON)] = [
  ("no key type", ["n": "AQAB"]), ("a symmetric key", ["kty": "oct", "k": "AAAA"]),
  ("a short modulus", rsa(("n", .string(BytesText.base64url(Array(modulus.dropLast())))))),
  ("an even modulus", rsa(("n", .string(BytesText.base64url(modulus.dropLast() + [0xFE]))))),
  ("a modulus with a zero in front", rsa(("n", .string(BytesText.base64url([0] + modulus))))),
  ("exponent 1", rsa(("e", "AQ"))), ("exponent 3", rsa(("e", "Aw"))),
  ("an even exponent", rsa(("e", "AQAA"))), ("a long exponent", rsa(("e", "AQAAAAAAAAAB"))),
  (
    "a huge modulus",
    rsa(("n", .string(BytesText.base64url(modulus + [UInt8](repeating: 1, count: 800)))))
  ),
  ("padded base64", rsa(("e", "AQAB="))), ("another algorithm", rsa(("alg", "PS256"))),
  ("an HMAC", rsa(("alg", "HS256"))), ("for encryption", rsa(("use", "enc"))),
  ("with a private part", rsa(("d", "AQAB"))), ("with a prime", rsa(("p", "AQAB"))),
  ("operations that sign", rsa(("key_ops", ["sign"]))),
  ("both operations", rsa(("key_ops", ["sign", "verify"]))),
  ("no operation", rsa(("key_ops", []))), ("a curve for RSA", rsa(("crv", "P-256"))),
  ("another curve", ["kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"]),
  ("X25519", ["kty": "OKP", "crv": "X25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"]),
  ("a short Ed25519 key", ["kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg"]),
]

@Suite("keys of others are taken only where they are sound and for signatures")
struct ForeignKeyTests {
  @Test("a key that is not for us is no key", arguments: badKeys.indices)
  func refuses(index: Int) {
    let (name, jwk) = badKeys[index]
    let isRefused = VerifyingKey(jwk: jwk) == nil
    #expect(isRefused, "\(name)")
  }

  @Test("members that say the same in other words are accepted")
  func accepts() {
    for jwk in [
      rsa(("alg", nil)), rsa(("use", nil)), rsa(("kid", nil)), rsa(("key_ops", ["verify"])),
      rsa(("x5t", "AAAA")),
    ] {
      let isAccepted = VerifyingKey(jwk: jwk) != nil
      #expect(isAccepted)
    }
  }

  @Test("a set with a key id twice is refused as a whole; strangers in it are left out")
  func sets() throws {
    let first = SigningKey().verifying
    let second = SigningKey(.eddsa).verifying
    let good: JSON = ["keys": [first.jwk, second.jwk, ["kty": "oct", "kid": "x", "k": "AAAA"]]]
    let set = try #require(VerifyingKey.set(good))
    #expect(Set(set.keys) == [first.thumbprint, second.thumbprint])
    var twin = second.jwk.object ?? [:]
    twin["kid"] = .string(first.thumbprint)
    let isRefused = VerifyingKey.set(["keys": [first.jwk, .object(twin)]]) == nil
    #expect(isRefused)
    let many = JSON.array((0..<65).map { ["kty": "oct", "kid": .string("k\($0)")] })
    let isTooMany = VerifyingKey.set(["keys": many]) == nil
    #expect(isTooMany)
    let isNoSet = VerifyingKey.set([first.jwk]) == nil
    #expect(isNoSet)
    let nasty = first.jwk.object.map { object -> JSON in
      var object = object
      object["kid"] = "../etc"
      return .object(object)
    }
    let none = try #require(VerifyingKey.set(["keys": [nasty ?? .null]]))
    #expect(none.isEmpty)
  }
}

private let tokenFile = "wycheproof-json_web_signature_test.json"
private let edwardsFile = "wycheproof-ed25519_test.json"

@Suite("published vectors of all three algorithms")
struct AlgorithmVectorTests {
  // 46 are valid in the file: 10 of ES256 and RS256, which we accept, and 36 of algorithms that we do not.
  @Test(
    "of 401 published tokens exactly the ten are accepted",
    .enabled(if: Vectors.exists(tokenFile), "skipped: ../shared/data/vectors is not here"))
  func tokens() throws {
    var accepted: [Int64] = []
    var (invalid, count) = (0, 0)
    for group in try Vectors.groups(tokenFile) {
      let key = group["public"].flatMap { VerifyingKey(jwk: $0) }
      for test in group["tests"]?.array ?? [] {
        count += 1
        if test["result"] == "invalid" { invalid += 1 }
        let token = test["jws"]?.string ?? ""
        let payload = try? JWS.open(
          token, algorithms: Set(SigningAlgorithm.allCases), type: nil, needsKeyID: false
        ) { _ in key }
        guard payload != nil else { continue }
        accepted.append(test["tcId"]?.int ?? 0)
        #expect(test["result"] == "valid", "\(test["tcId"]?.int ?? 0)")
      }
    }
    #expect(count == 401)
    #expect(invalid == 355)
    #expect(accepted.sorted() == [18, 33, 259, 260, 261, 262, 263, 345, 349, 378])
  }

  @Test(
    "every published Ed25519 signature gets the published verdict",
    .enabled(if: Vectors.exists(edwardsFile), "skipped: ../shared/data/vectors is not here"))
  func edwards() throws {
    var counts = (valid: 0, invalid: 0)
    for group in try Vectors.groups(edwardsFile) {
      let point = bytes(hex: group["publicKey"]?["pk"]?.string ?? "")
      let key = try #require(VerifyingKey(ed25519: point))
      for test in group["tests"]?.array ?? [] {
        let isValid = test["result"] == "valid"
        if isValid { counts.valid += 1 } else { counts.invalid += 1 }
        let isAccepted = key.verifies(
          bytes(hex: test["sig"]?.string ?? ""), of: bytes(hex: test["msg"]?.string ?? ""))
        #expect(isAccepted == isValid, "\(test["tcId"]?.int ?? 0)")
      }
    }
    #expect(counts.valid == 88)
    #expect(counts.invalid == 63)
  }
}
