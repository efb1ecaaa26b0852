import Payments
import Primitives
import Testing

private let secret = "whsec_test_secret"
private let body = Array(#"{"id": "evt_1", "name": "Zoë"}"#.utf8)
private let signedAt = Timestamp(milliseconds: 1_800_000_000_000)
/// What stripe 16.1.0's `WebhookSignature.generate_signature_header` gives for the body, the secret and the time.
private let signature = "bfe89479b0926873ffec35b9b7b03d5caa8e022280f930a98813faff9b7f3a86"
private let other = String(repeating: "0", count: 64)

/// A header and whether it is right.
private struct Case: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let header: String?
  let isRight: Bool

  init(_ testDescription: String, _ header: String?, _ isRight: Bool) {
    self.testDescription = testDescription
    self.header = header
    self.isRight = isRight
  }
}

private let cases: [Case] = [
  Case("as stripe makes it", "t=1800000000,v1=\(signature)", true),
  Case("the right one last", "t=1800000000,v1=\(other),v1=\(signature)", true),
  Case("the right one first", "t=1800000000,v1=\(signature),v1=\(other)", true),
  Case("the time last", "v1=\(signature),t=1800000000", true),
  Case("an older version beside", "t=1800000000,v0=\(other),v1=\(signature)", true),
  Case("a version to come", "v2=x,t=1800000000,v1=\(signature)", true),
  Case("no header", nil, false),
  Case("an empty header", "", false),
  Case("no time", "v1=\(signature)", false),
  Case("no signature", "t=1800000000", false),
  Case("the right signature as an older version", "t=1800000000,v0=\(signature)", false),
  Case("two times", "t=1800000000,t=1800000000,v1=\(signature)", false),
  Case("another time than was signed", "t=1800000001,v1=\(signature)", false),
  Case("the time with a sign", "t=+1800000000,v1=\(signature)", false),
  Case("the time below zero", "t=-1800000000,v1=\(signature)", false),
  Case("the time with a leading zero", "t=01800000000,v1=\(signature)", false),
  Case("the time in other digits", "t=１８０００００００００,v1=\(signature)", false),
  Case("the time beyond 64 bits", "t=99999999999999999999,v1=\(signature)", false),
  Case("an empty time", "t=,v1=\(signature)", false),
  Case("an empty signature", "t=1800000000,v1=", false),
  Case("another signature", "t=1800000000,v1=\(other)", false),
  Case("capital letters", "t=1800000000,v1=\(signature.uppercased())", false),
  Case("a shortened signature", "t=1800000000,v1=\(signature.dropLast())", false),
  Case("a lengthened signature", "t=1800000000,v1=\(signature)0", false),
  Case("white space", "t=1800000000, v1=\(signature)", false),
  Case("a part without a sign", "t=1800000000,v1,v1=\(signature)", false),
  Case("other separators", "t=1800000000;v1=\(signature)", false),
  Case("only commas", ",,,,", false),
  Case(
    "too many parts",
    "t=1800000000," + String(repeating: "v1=\(other),", count: 31) + "v1=\(signature)", false),
  Case(
    "too long", "t=1800000000,v0=" + String(repeating: "a", count: 4_096) + ",v1=\(signature)",
    false),
]

@Suite("an inbound event's signature")
struct SignatureTests {
  private func code(
    _ header: String?, _ body: [UInt8] = body, secret: String = secret, at now: Timestamp = signedAt
  ) -> ProblemCode? {
    do throws(Refusal) {
      try StripeSignature.verify(header: header, body: body, secret: secret, at: now)
      return nil
    } catch {
      return error.code
    }
  }

  @Test("is taken in stripe's form alone", arguments: cases)
  private func forms(one: Case) {
    #expect(code(one.header) == (one.isRight ? nil : .signatureInvalid))
  }

  @Test(
    "has a time within 300 s on both sides",
    arguments: [
      (0, true), (299, true), (300, true), (301, false), (-299, true), (-300, true), (-301, false),
      (100_000, false), (-100_000, false),
    ])
  func tolerance(seconds: Int64, isRight: Bool) {
    let now = signedAt + seconds * 1_000
    #expect(code("t=1800000000,v1=\(signature)", at: now) == (isRight ? nil : .signatureInvalid))
  }

  @Test("is of every byte of the body and of the secret")
  func forged() {
    let header = "t=1800000000,v1=\(signature)"
    for index in body.indices {
      var changed = body
      changed[index] ^= 1
      #expect(code(header, changed) == .signatureInvalid)
    }
    #expect(code(header, body + [0x20]) == .signatureInvalid)
    #expect(code(header, Array(body.dropLast())) == .signatureInvalid)
    #expect(code(header, []) == .signatureInvalid)
    #expect(code(header, secret: secret + " ") == .signatureInvalid)
    #expect(code(header, secret: "") == .signatureInvalid)
  }

  @Test("that the tests make is the one of the vector")
  func made() {
    let header = StripeSignature.header(body: body, secret: secret, at: signedAt)
    #expect(header == "t=1800000000,v1=\(signature)")
  }
}
