import Primitives
import Testing
import TestSupport

// RFC 4648, section 10, without padding; then the two letters that differ from plain base 64.
private let encoded: [([UInt8], String)] = [
  ([], ""),
  (Array("f".utf8), "Zg"),
  (Array("fo".utf8), "Zm8"),
  (Array("foo".utf8), "Zm9v"),
  (Array("foob".utf8), "Zm9vYg"),
  (Array("fooba".utf8), "Zm9vYmE"),
  (Array("foobar".utf8), "Zm9vYmFy"),
  ([0xFB, 0xFF, 0xFE], "-__-"),
  ([0], "AA"),
  ([0xFF], "_w"),
]

private let refused: [String] = [
  "A", "AAAAA", "Zm9vY", "Zg=", "Zg==", "Zm8=", "=", "Zh", "Z_", "Zm9", "Zm-", "Zm+v", "Zm/v",
  "Zm v", " Zm9v", "Zm9v ", "Zm9v\n", "Zm9v\r\n", "Zm9v\u{0}", "Zm9\u{E9}", "Zm9v.", "Zm\u{FF19}v",
]

@Suite("bytes have one text")
struct BytesTextTests {
  @Test("bytes are written in base64url without padding and read back", arguments: encoded)
  func writesAndReads(bytes: [UInt8], text: String) {
    #expect(BytesText.base64url(bytes) == text)
    #expect(BytesText.bytes(base64url: text) == bytes)
  }

  @Test("padding, white space, other letters and stray bits are refused", arguments: refused)
  func refuses(text: String) {
    #expect(BytesText.bytes(base64url: text) == nil)
  }

  @Test("no two texts of two or three letters give the same bytes")
  func isCanonical() {
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    var readable = 0
    for first in letters {
      for second in letters {
        let pair: [Character] = [first, second]
        for text in [String(pair), "x" + String(pair)] {
          guard let bytes = BytesText.bytes(base64url: text) else { continue }
          readable += 1
          if BytesText.base64url(bytes) != text { Issue.record("\(text) is a second text") }
        }
      }
    }
    // One byte has 256 texts; two bytes that begin with the letter x have 1,024.
    #expect(readable == 256 + 1_024)
  }

  @Test("any bytes read back from their text", arguments: 0..<100 as Range<UInt64>)
  func roundTrips(seed: UInt64) {
    let bytes = RandomSource.seeded(seed).bytes(Int(seed))
    let text = BytesText.base64url(bytes)
    #expect(text.utf8.count == (bytes.count * 4 + 2) / 3)
    #expect(BytesText.bytes(base64url: text) == bytes)
    #expect(BytesText.bytes(base64url: text[...]) == bytes)
  }

  @Test("bytes are written in lower-case hexadecimal")
  func hex() {
    let bytes: [UInt8] = [0x00, 0x0F, 0xA0, 0xFF]
    #expect(BytesText.hex(bytes) == "000fa0ff")
    #expect(BytesText.hex(bytes.prefix(0)) == "")
  }
}
