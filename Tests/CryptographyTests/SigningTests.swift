import Cryptography
import Primitives
import Testing

// The example key of RFC 7515, appendix A.3.
private let exampleX = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
private let exampleY = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
private let exampleInput =
  "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
  + "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
private let exampleSignature =
  "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"

// A fresh P-384 key as DER, and what is no key.
private let otherKeys: [String] = [
  "",
  "00",
  "3000",
  "3081a40201010430ed8404abbd80460a2d78c5e8191a46e192c3fe4056b598ca7da80d92d9aa89d3bfe5052e0d5a"
    + "f2ec58a4607b59311f62a00706052b81040022a164036200046e3e11a88287a14e037138b824c332399c9e677050"
    + "545d7980bdc02d3fb9f8629d00929f08f57cbf965ec83a02bf30634123af1a531c7e9945649baa0e92338b77ad97"
    + "4e74b45f6bb8241743c3477adf6871f0a522c10248ac3bb57099e02fc3",
]

private let zeros = [UInt8](repeating: 0, count: 32)
private let ones = [UInt8](repeating: 0xFF, count: 32)

@Suite("ES256 accepts its own signatures and nothing else")
struct SigningTests {
  private let key = SigningKey()
  private let message = Array("a message".utf8)

  @Test("what was signed verifies", arguments: [0, 1, 31, 64, 1_000, 100_000])
  func roundTrips(count: Int) {
    let message = randomBytes(count, seed: UInt64(count) + 1)
    let signature = key.sign(message)
    #expect(signature.count == 64)
    #expect(key.verifying.verifies(signature, of: message))
    #expect(!key.verifying.verifies(signature, of: message + [0]))
    #expect(!SigningKey().verifying.verifies(signature, of: message))
  }

  @Test("many signatures all have 64 bytes, short numbers padded")
  func padding() {
    for round in 0..<300 {
      let message = Array("message \(round)".utf8)
      let signature = key.sign(message)
      if signature.count != 64 || !key.verifying.verifies(signature, of: message) {
        Issue.record("round \(round)")
      }
    }
  }

  @Test("the example of RFC 7515 verifies, and its key has its thumbprint")
  func example() throws {
    let x = try #require(BytesText.bytes(base64url: exampleX))
    let y = try #require(BytesText.bytes(base64url: exampleY))
    let signature = try #require(BytesText.bytes(base64url: exampleSignature))
    let key = try #require(VerifyingKey(x: x, y: y))
    #expect(key.verifies(signature, of: Array(exampleInput.utf8)))
    #expect(!key.verifies(signature, of: Array((exampleInput + "A").utf8)))
    #expect(key.thumbprint == "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U")
  }

  @Test("any flipped bit of a signature is refused")
  func flippedSignature() {
    let signature = key.sign(message)
    for place in signature.indices {
      for bit in 0..<8 {
        var changed = signature
        changed[place] ^= 1 << UInt8(bit)
        if key.verifying.verifies(changed, of: message) {
          Issue.record("byte \(place), bit \(bit)")
        }
      }
    }
  }

  @Test("any flipped bit of the message is refused")
  func flippedMessage() {
    let signature = key.sign(message)
    for place in message.indices {
      for bit in 0..<8 {
        var changed = message
        changed[place] ^= 1 << UInt8(bit)
        if key.verifying.verifies(signature, of: changed) {
          Issue.record("byte \(place), bit \(bit)")
        }
      }
    }
  }

  @Test("a half that is zero or not below the order is refused")
  func halves() {
    let signature = key.sign(message)
    let r = Array(signature[..<32])
    let s = Array(signature[32...])
    for bad in [zeros, curveOrder, ones] {
      #expect(!key.verifying.verifies(bad + s, of: message))
      #expect(!key.verifying.verifies(r + bad, of: message))
      #expect(!key.verifying.verifies(bad + bad, of: message))
      #expect(!key.verifying.verifies(number32(1) + bad, of: message))
      #expect(!key.verifying.verifies(bad + number32(1), of: message))
    }
    #expect(!key.verifying.verifies(number32(1) + number32(1), of: message))
    #expect(!key.verifying.verifies(s + r, of: message))
  }

  @Test("a signature of another length is refused")
  func lengths() {
    let signature = key.sign(message)
    for count in [0, 1, 32, 63] {
      #expect(!key.verifying.verifies(Array(signature[..<count]), of: message))
    }
    #expect(!key.verifying.verifies(signature + [0], of: message))
    let longer: [UInt8] = [0] + signature
    #expect(!key.verifying.verifies(longer, of: message))
    #expect(!key.verifying.verifies(signature + signature, of: message))
    #expect(!key.verifying.verifies(asDER(signature), of: message))
  }

  @Test("a key survives its DER, and signs as before")
  func keyAsDER() throws {
    let again = try #require(SigningKey(der: key.der))
    #expect(again.verifying.thumbprint == key.verifying.thumbprint)
    #expect(key.verifying.verifies(again.sign(message), of: message))
    #expect(again.verifying.verifies(key.sign(message), of: message))
  }

  @Test("DER of no key or of another curve is refused", arguments: otherKeys)
  func otherDER(hex: String) {
    let isRefused = SigningKey(der: bytes(hex: hex)) == nil
    #expect(isRefused)
  }

  @Test("a cut DER is refused")
  func cutDER() {
    let der = key.der
    for count in stride(from: 0, to: der.count, by: 7) {
      let isRefused = SigningKey(der: Array(der[..<count])) == nil
      #expect(isRefused, "\(count) bytes")
    }
  }

  @Test("a point that is not on the curve is no key")
  func points() {
    let x = key.verifying.x
    let y = key.verifying.y
    var moved = y
    moved[31] ^= 1
    let others: [([UInt8], [UInt8])] = [
      (x, moved), (zeros, zeros), (ones, ones), (x, ones), ([], []), (x, Array(y.dropLast())),
      (x + [0], y), ([0] + x, y),
    ]
    for (index, point) in others.enumerated() {
      let isRefused = VerifyingKey(x: point.0, y: point.1) == nil
      #expect(isRefused, "point \(index)")
    }
    let isAccepted = VerifyingKey(x: x, y: y) != nil
    #expect(isAccepted)
  }

  @Test("a thumbprint is the hash of the four members in their order (RFC 7638)")
  func thumbprint() {
    let x = BytesText.base64url(key.verifying.x)
    let y = BytesText.base64url(key.verifying.y)
    let text = "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"\(x)\",\"y\":\"\(y)\"}"
    #expect(key.verifying.thumbprint == BytesText.base64url(Digest.sha256(Array(text.utf8))))
    #expect(key.verifying.thumbprint.utf8.count == 43)
    #expect(SigningKey().verifying.thumbprint != key.verifying.thumbprint)
  }

  @Test("the public JWK holds no private part")
  func publicKey() throws {
    let jwk = try #require(key.verifying.jwk.object)
    #expect(jwk.keys.sorted() == ["alg", "crv", "kid", "kty", "use", "x", "y"])
    #expect(jwk["kid"] == .string(key.verifying.thumbprint))
    #expect(jwk["alg"] == .string("ES256"))
    #expect(jwk["use"] == .string("sig"))
    let text = key.verifying.jwk.text
    #expect(!text.contains(BytesText.base64url(key.der)))
  }
}

/// A raw signature as ASN.1 writes it.
func asDER(_ signature: [UInt8]) -> [UInt8] {
  func integer(_ bytes: [UInt8]) -> [UInt8] {
    var digits = Array(bytes.drop { $0 == 0 })
    if digits.isEmpty || digits[0] >= 0x80 { digits.insert(0, at: 0) }
    return [2, UInt8(digits.count)] + digits
  }
  let body = integer(Array(signature.prefix(32))) + integer(Array(signature.suffix(32)))
  return [0x30, UInt8(body.count)] + body
}
