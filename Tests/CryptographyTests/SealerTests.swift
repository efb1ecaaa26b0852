import Cryptography
import Primitives
import Testing

@Suite("what is sealed opens only unchanged and under its label")
struct SealerTests {
  private let sealer = Sealer(key: Array(0..<32))
  private let nonce: [UInt8] = Array(0..<12)

  @Test("sealing gives nonce, AES-256-GCM and tag")
  func knownAnswer() {
    let sealed = sealer.seal(Array("a secret".utf8), label: "label", nonce: nonce)
    #expect(Array(sealed.prefix(12)) == nonce)
    let rest = BytesText.hex(sealed.dropFirst(12))
    #expect(rest == "2622a57ea697a76fba4f596a4257f0b1d335366c5a3cb48f")
  }

  @Test("a sealed text opens again", arguments: [0, 1, 15, 16, 17, 1_000, 100_000])
  func opens(count: Int) {
    let text = randomBytes(count, seed: UInt64(count))
    for label in ["", "a", "POST /v1/sessions"] {
      let sealed = sealer.seal(text, label: label, nonce: nonce)
      #expect(sealed.count == count + 28)
      #expect(sealer.open(sealed, label: label) == text)
    }
  }

  @Test("any changed bit keeps it closed")
  func tampered() {
    let sealed = sealer.seal(Array("launch".utf8), label: "a", nonce: nonce)
    for place in sealed.indices {
      for bit in 0..<8 {
        var changed = sealed
        changed[place] ^= 1 << UInt8(bit)
        if sealer.open(changed, label: "a") != nil { Issue.record("byte \(place), bit \(bit)") }
      }
    }
  }

  @Test("cut or lengthened bytes stay closed")
  func cut() {
    let sealed = sealer.seal(Array("launch".utf8), label: "a", nonce: nonce)
    for count in 0..<sealed.count {
      #expect(sealer.open(Array(sealed[..<count]), label: "a") == nil)
    }
    #expect(sealer.open(sealed + [0], label: "a") == nil)
    #expect(sealer.open(Array(sealed.dropFirst()), label: "a") == nil)
  }

  @Test("another label or another key keeps it closed")
  func labels() {
    let sealed = sealer.seal(Array("launch".utf8), label: "a", nonce: nonce)
    for label in ["", "b", "A", "aa", "a\u{0}"] {
      #expect(sealer.open(sealed, label: label) == nil)
    }
    #expect(Sealer(key: Array(1..<33)).open(sealed, label: "a") == nil)
  }

  @Test("a key of another length ends the process")
  func keyLength() async {
    await #expect(processExitsWith: .failure) { _ = Sealer(key: [1, 2, 3]) }
  }
}
