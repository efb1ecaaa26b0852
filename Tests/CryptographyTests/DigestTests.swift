import Cryptography
import Primitives
import Testing

// FIPS 180-4 and its examples.
private let hashes: [(String, String)] = [
  ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
  ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
  (
    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
  ),
  (
    "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlm"
      + "nopqrsmnopqrstnopqrstu",
    "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
  ),
]

/// One case of RFC 4231.
private struct MAC: Sendable {
  let key: [UInt8]
  let message: [UInt8]
  let expected: String

  init(_ key: [UInt8], _ message: String, _ expected: String) {
    self.init(key, Array(message.utf8), expected)
  }

  init(_ key: [UInt8], _ message: [UInt8], _ expected: String) {
    self.key = key
    self.message = message
    self.expected = expected
  }
}

private func times(_ count: Int, _ byte: UInt8) -> [UInt8] {
  [UInt8](repeating: byte, count: count)
}

// RFC 4231, section 4; case 5 is the whole value whose first 16 bytes stand there.
private let macs: [MAC] = [
  MAC(
    times(20, 0x0B), "Hi There",
    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
  MAC(
    Array("Jefe".utf8), "what do ya want for nothing?",
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
  MAC(
    times(20, 0xAA), times(50, 0xDD),
    "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
  MAC(
    Array(1...25), times(50, 0xCD),
    "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
  MAC(
    times(20, 0x0C), "Test With Truncation",
    "a3b6167473100ee06e0c796c2955552bfa6f7c0a6a8aef8b93f860aab0cd20c5"),
  MAC(
    times(131, 0xAA), "Test Using Larger Than Block-Size Key - Hash Key First",
    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
  MAC(
    times(131, 0xAA),
    "This is a test using a larger than block-size key and a larger than block-size data. The key "
      + "needs to be hashed before being used by the HMAC algorithm.",
    "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
]

private let pairs: [([UInt8], [UInt8])] = [
  ([], []), ([1, 2, 3], [1, 2, 3]), ([1, 2, 3], [1, 2, 4]), ([1, 2, 3], [0, 2, 3]),
  ([1, 2, 3], [1, 2]), ([], [0]), ([0], []), (times(1_000, 7), times(1_000, 7)),
]

@Suite("digests are those of the standards")
struct DigestTests {
  @Test("SHA-256 gives the published values", arguments: hashes)
  func sha256(text: String, expected: String) {
    #expect(BytesText.hex(Digest.sha256(Array(text.utf8))) == expected)
  }

  @Test("SHA-256 of a million letters is the published value")
  func sha256OfMillion() {
    let expected = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    #expect(BytesText.hex(Digest.sha256(times(1_000_000, 0x61))) == expected)
  }

  @Test("HMAC-SHA-256 gives the values of RFC 4231", arguments: macs.indices)
  func hmac(index: Int) {
    let mac = macs[index]
    #expect(BytesText.hex(Digest.hmac(key: mac.key, mac.message)) == mac.expected)
  }

  @Test("byte strings are equal only when all their bytes are", arguments: pairs)
  func equality(left: [UInt8], right: [UInt8]) {
    let areEqual = Digest.equal(left, right)
    #expect(areEqual == (left == right))
  }
}
