import Cryptography
import Primitives
import Testing

private let rawFile = "wycheproof-ecdsa_secp256r1_sha256_p1363_test.json"
private let tokenFile = "wycheproof-json_web_signature_test.json"

/// Runs the published vectors of C2SP/wycheproof where they lie beside the package.
@Suite("published attacks are refused")
struct WycheproofTests {
  @Test(
    "every raw P-256 signature gets the published verdict",
    .enabled(if: Vectors.exists(rawFile), "skipped: ../shared/data/vectors is not here"))
  func rawSignatures() throws {
    var counts = (valid: 0, invalid: 0)
    for group in try Vectors.groups(rawFile) {
      let point = bytes(hex: group["publicKey"]?["uncompressed"]?.string ?? "")
      try #require(point.count == 65)
      let key = try #require(VerifyingKey(x: Array(point[1..<33]), y: Array(point[33...])))
      for test in group["tests"]?.array ?? [] {
        let signature = bytes(hex: test["sig"]?.string ?? "")
        let message = bytes(hex: test["msg"]?.string ?? "")
        let isValid = test["result"] == "valid"
        if isValid { counts.valid += 1 } else { counts.invalid += 1 }
        let isAccepted = key.verifies(signature, of: message)
        #expect(isAccepted == isValid, "\(name(of: test))")
      }
    }
    #expect(counts.valid == 173)
    #expect(counts.invalid == 89)
  }

  @Test(
    "every published ES256 token gets the published verdict on its signature",
    .enabled(if: Vectors.exists(tokenFile), "skipped: ../shared/data/vectors is not here"))
  func tokenSignatures() throws {
    var counts = (valid: 0, invalid: 0)
    for group in try es256Groups() {
      let key = try #require(verifyingKey(of: group))
      for test in group["tests"]?.array ?? [] {
        let isValid = test["result"] == "valid"
        if isValid { counts.valid += 1 } else { counts.invalid += 1 }
        let isAccepted = accepts(test["jws"]?.string ?? "", key: key)
        #expect(isAccepted == isValid, "\(name(of: test))")
      }
    }
    #expect(counts.valid == 2)
    #expect(counts.invalid == 37)
  }

  // Their payloads are no claims and their headers have no `typ`: none is a token of ours.
  @Test(
    "no published token, of whatever algorithm, passes as one of ours",
    .enabled(if: Vectors.exists(tokenFile), "skipped: ../shared/data/vectors is not here"))
  func tokens() throws {
    let group = try #require(try es256Groups().first)
    let key = try #require(verifyingKey(of: group))
    let expectation = JWT.Expectation(type: "JWT", issuer: "joe", audience: nil)
    let moment = Timestamp(milliseconds: 0)
    var count = 0
    for group in try Vectors.groups(tokenFile) {
      for test in group["tests"]?.array ?? [] {
        guard let token = test["jws"]?.string else { continue }
        count += 1
        #expect(throws: JWTError.self, "\(name(of: test))") {
          try JWT.verify(token, expecting: expectation, at: moment) { _ in key }
        }
      }
    }
    #expect(count == 401)
  }

  /// The groups whose key is a P-256 key for ES256 signatures: our keys carry no other use.
  private func es256Groups() throws -> [JSON] {
    try Vectors.groups(tokenFile).filter { group in
      let key = group["public"]
      return key?["crv"] == "P-256" && key?["alg"] == "ES256" && key?["use"] == "sig"
    }
  }

  private func name(of test: JSON) -> String {
    "\(test["tcId"]?.int ?? 0): \(test["comment"]?.string ?? "")"
  }

  private func verifyingKey(of group: JSON) -> VerifyingKey? {
    guard let x = BytesText.bytes(base64url: group["public"]?["x"]?.string ?? ""),
      let y = BytesText.bytes(base64url: group["public"]?["y"]?.string ?? "")
    else { return nil }
    return VerifyingKey(x: x, y: y)
  }

  private func accepts(_ token: String, key: VerifyingKey) -> Bool {
    let segments = token.split(separator: ".", omittingEmptySubsequences: false)
    guard segments.count == 3, let head = BytesText.bytes(base64url: segments[0]),
      let header = try? JSON.parse(head), header["alg"] == "ES256",
      let signature = BytesText.bytes(base64url: segments[2])
    else { return false }
    return key.verifies(signature, of: Array((segments[0] + "." + segments[1]).utf8))
  }
}
