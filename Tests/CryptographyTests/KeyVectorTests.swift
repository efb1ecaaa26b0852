import Cryptography
import Primitives
import Testing

private let keyFile = "wycheproof-json_web_key_test.json"
private let cryptoFile = "wycheproof-json_web_crypto_test.json"

/// Published keys, good and bad, each with tokens: what is accepted is what a good key of ours signed.
@Suite("published keys are taken or refused as they should be")
struct KeyVectorTests {
  // Of the five valid ones four are of HS256, HS384 and HS512, which we accept nowhere. Among the others: keys for
  // another use, of another curve, off their curve, too short, with exponent 1, of a broken library, and named twice.
  @Test(
    "of 26 tokens with key sets exactly the one of RS256 is accepted",
    .enabled(if: Vectors.exists(keyFile), "skipped: ../shared/data/vectors is not here"))
  func keySets() throws {
    let verdicts = try verdicts(keyFile)
    #expect(verdicts.count == 26)
    #expect(verdicts.count { !$0.isValid } == 21)
    #expect(verdicts.filter(\.isAccepted).map(\.id) == [5])
  }

  // Encrypted tokens are refused whole: four of the six valid ones are of HS256 or encrypted.
  @Test(
    "of 83 tokens, signed and encrypted, exactly the two of ES256 and RS256 are accepted",
    .enabled(if: Vectors.exists(cryptoFile), "skipped: ../shared/data/vectors is not here"))
  func signedAndEncrypted() throws {
    let verdicts = try verdicts(cryptoFile)
    #expect(verdicts.count == 83)
    #expect(verdicts.count { !$0.isValid } == 77)
    #expect(verdicts.filter(\.isAccepted).map(\.id) == [18, 33])
  }

  private struct Verdict {
    let id: Int64
    let isValid: Bool
    let isAccepted: Bool
  }

  /// What becomes of each token of a file, with the keys of its group found by their ids.
  private func verdicts(_ file: String) throws -> [Verdict] {
    var all: [Verdict] = []
    for group in try Vectors.groups(file) {
      let stated = try #require(group["public"] ?? group["private"])
      let set = stated["keys"] == nil ? ["keys": [stated]] : stated
      let keys = VerifyingKey.set(set) ?? [:]
      for test in group["tests"]?.array ?? [] {
        // The JSON serialisation is no text: it is refused as it stands.
        let token = try #require(test["jws"] ?? test["jwe"])
        let payload = try? JWS.open(
          token.string ?? token.text, algorithms: Set(SigningAlgorithm.allCases), type: nil
        ) { keys[$0] }
        all.append(
          Verdict(
            id: test["tcId"]?.int ?? 0, isValid: test["result"] == "valid",
            isAccepted: payload != nil))
      }
    }
    return all
  }
}
