import Cryptography
import Foundation
import Primitives
import Testing
import Delivery
import TestSupport

/// Specification core, 9.1: the vector, both schemes, and verification as a receiver does it.
@Suite("Webhooks: signatures")
struct SignatureTests {
  @Test("the vector of the specification")
  func vector() throws {
    let secret = try #require(WebhookSecret(text: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    let signature = secret.signature(
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek", seconds: 1_614_265_330,
      body: Array(#"{"test": 2432232314}"#.utf8))
    #expect(signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    #expect(secret.verifier == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
  }

  /// What a receiver does: any signature of a version that it knows is enough.
  private func verifies(
    _ headers: [(name: String, value: String)], _ body: [UInt8], _ verifier: String
  ) -> Bool {
    func header(_ name: String) -> String { headers.first { $0.name == name }?.value ?? "" }
    let message =
      Array((header("webhook-id") + "." + header("webhook-timestamp") + ".").utf8) + body
    guard let key = base64(verifier.drop { $0 != "_" }.dropFirst()) else { return false }
    return header("webhook-signature").split(separator: " ").contains { part in
      let sides = part.split(separator: ",", maxSplits: 1)
      guard sides.count == 2, let signature = base64(sides[1]) else { return false }
      switch (String(sides[0]), verifier.hasPrefix("whsec_")) {
      case ("v1", true): return Digest.equal(signature, Digest.hmac(key: key, message))
      case ("v1a", false):
        return VerifyingKey(ed25519: key)?.verifies(signature, of: message) == true
      default: return false
      }
    }
  }

  @Test(
    "a receiver verifies what was signed, and nothing else",
    arguments: WebhookSecret.Algorithm.allCases, 0..<8 as Range<UInt64>)
  func roundTrip(algorithm: WebhookSecret.Algorithm, seed: UInt64) throws {
    let random = RandomSource.seeded(seed)
    let secret = WebhookSecret(algorithm, random: random)
    let body = random.bytes(Int(seed) * 37)
    let headers = WebhookSecret.headers(id: "evt_1", seconds: 1_800, body: body, secrets: [secret])
    #expect(verifies(headers, body, secret.verifier))
    #expect(!verifies(headers, body + [0], secret.verifier))
    #expect(!verifies(headers, body, WebhookSecret(algorithm, random: random).verifier))
    let later = WebhookSecret.headers(id: "evt_1", seconds: 1_801, body: body, secrets: [secret])
    #expect(later[2].value != headers[2].value)
    #expect(verifier(secret).hasPrefix(algorithm == .hmac ? "whsec_" : "whpk_"))
  }

  private func verifier(_ secret: WebhookSecret) -> String { secret.verifier }

  /// Made by standardwebhooks 1.1.0: secret, body, signature; the id and the time count with the place.
  static let theirs: [(String, String, String)] = [
    (
      "whsec_uNAd+FX3B1iCxjb23erPQeXeC78wBC7w", "",
      "v1,xlSWiL+4w91Vw/hsND+nsNrKTKj45lFYhxl0KnK9vbY="
    ),
    (
      "whsec_lNpigLJA6moqss/fD7MB/XcVPVt0i695YZCFaAPZd7o=",
      #"{"type":"session.started","data":{"name":"Zoë"}}"#,
      "v1,pH0Ukx2NMGgRaRm0hrG+IBHJhgbzJr5118QpdRwQD0g="
    ),
    (
      "whsec_iXNpiuIFRFIc0iyzHobjM5qbW318tK2yyllxa16s+FGDGWUhCX++zGjAN8eA1WYrp2zS+sEriIvmGx73JyTXRw==",
      String(repeating: "x", count: 200), "v1,uKlyOaIWm3kw2nlhZ+OFHTxM92yds+BPhnXJcY7VosE="
    ),
  ]

  @Test("what the reference library signs verifies here, and is what we sign", arguments: 0..<3)
  func reference(place: Int) throws {
    let (text, message, signature) = SignatureTests.theirs[place]
    let (id, seconds, body) = ("evt_\(place)", 1_700_000_000 + Int64(place), Array(message.utf8))
    let headers = [
      (name: "webhook-id", value: id), (name: "webhook-timestamp", value: String(seconds)),
      (name: "webhook-signature", value: "v2,AAAA " + signature),
    ]
    #expect(verifies(headers, body, text))
    #expect(!verifies(headers, body + [0x20], text))
    let secret = try #require(WebhookSecret(text: text))
    #expect(secret.signature(id: id, seconds: seconds, body: body) == signature)
  }

  @Test("two secrets give two signatures, and each verifies")
  func rotation() {
    let random = RandomSource.seeded(3)
    let secrets = [WebhookSecret(.hmac, random: random), WebhookSecret(.hmac, random: random)]
    let body = Array("{}".utf8)
    let headers = WebhookSecret.headers(id: "evt_1", seconds: 5, body: body, secrets: secrets)
    #expect(headers[2].value.split(separator: " ").count == 2)
    #expect(secrets.allSatisfy { verifies(headers, body, $0.verifier) })
  }

  @Test("a verifier of Ed25519 knows RFC 8032, section 7.1, test 2")
  func edwards() throws {
    func bytes(_ hex: String) -> [UInt8] {
      stride(from: 0, to: hex.count, by: 2).compactMap { at in
        let start = hex.index(hex.startIndex, offsetBy: at)
        return UInt8(hex[start..<hex.index(start, offsetBy: 2)], radix: 16)
      }
    }
    let key = bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    let point = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    let pair = try #require(SigningKey(ed25519: key))
    #expect(pair.verifying.x == point && SigningKey(ed25519: Array(key.dropLast())) == nil)
    let signature = pair.sign([0x72])
    #expect(BytesText.hex(signature).hasPrefix("92a009a9f0d4cab8720e820b5f642540"))
    let known = try #require(VerifyingKey(ed25519: point))
    #expect(known.verifies(signature, of: [0x72]))
    #expect(!known.verifies(signature, of: [0x73]))
    #expect(!known.verifies(Array(signature.dropLast()), of: [0x72]))
  }

  @Test("a shared secret has 24 to 64 bytes", arguments: [0, 1, 23, 24, 32, 64, 65])
  func secretLength(count: Int) {
    let text = "whsec_" + Data(RandomSource.seeded(9).bytes(count)).base64EncodedString()
    let secret = WebhookSecret(text: text)
    #expect((secret != nil) == (24...64).contains(count))
    if let secret { #expect(secret.verifier == text) }
  }

  @Test(
    "what is no secret is not read as one",
    arguments: [
      "", "whsec_", "whsec_????", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
      "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS ",
      "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-w", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw===",
    ])
  func badSecrets(text: String) {
    #expect(WebhookSecret(text: text) == nil)
  }
}
