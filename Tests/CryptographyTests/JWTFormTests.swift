import Cryptography
import Primitives
import Testing

private let noTokens: [String] = [
  "", ".", "..", "...", "a", "a.b", "a.b.c", "a.b.c.d", "a.b.c.d.e", "null", "{}", "[]",
  "{\"payload\":\"e30\",\"protected\":\"e30\",\"signature\":\"\"}",
  "{\"payload\":\"e30\",\"signatures\":[]}", ".e30.e30", "e30..e30", "e30.e30.=",
]

private let noObjects: [String] = [
  "", " ", "null", "true", "1", "\"text\"", "[]", "[{}]", "{", "{} {}", "{}x", "{'a':1}",
  "{\"a\":1,}", "\u{FEFF}{}",
]

// Each stands in front of the good members.
private let twiceInClaims: [String] = [
  "\"exp\":2000,", "\"\\u0065xp\":9000,", "\"sub\":\"u2\",", "\"x\":1,\"x\":1,",
  "\"x\":{\"y\":1,\"y\":2},",
]

private let twiceInHeader: [String] = [
  "\"alg\":\"none\",", "\"alg\":\"ES256\",", "\"\\u0061lg\":\"none\",", "\"kid\":\"k2\",",
  "\"typ\":\"JWT\",",
]

@Suite("a token is three strict segments of JSON")
struct JWTFormTests {
  private let forge = Forge()

  @Test("the well-formed token that the others are made from is accepted")
  func isAccepted() {
    #expect(forge.verdict(forge.token()) == nil)
  }

  @Test("a text of another shape is malformed", arguments: noTokens)
  func otherShapes(token: String) {
    #expect(forge.verdict(token) == .malformed)
  }

  @Test("a token of two, four or five segments is malformed")
  func segments() {
    let token = forge.token()
    let parts = token.split(separator: ".").map(String.init)
    let others: [String] = [
      parts[0] + "." + parts[1],
      parts[1] + "." + parts[2],
      token + ".",
      "." + token,
      token + "." + parts[2],
      token + "." + parts[1] + "." + parts[2],
      parts.joined(separator: ".."),
      parts.joined(separator: " "),
    ]
    for other in others { #expect(forge.verdict(other) == .malformed, "\(other)") }
  }

  @Test("padding, white space and foreign letters are malformed in every segment", arguments: 0..<3)
  func strictSegments(place: Int) {
    let foreign: [String] = [
      "=", "==", " ", "\n", "\r\n", "\t", "+", "/", "%3D", "\u{0}", "\u{E9}", "\u{FF21}",
    ]
    for suffix in foreign {
      for isInFront in [false, true] {
        var parts = forge.token().split(separator: ".").map(String.init)
        parts[place] = isInFront ? suffix + parts[place] : parts[place] + suffix
        #expect(forge.verdict(parts.joined(separator: ".")) == .malformed)
      }
    }
  }

  @Test("a signature with stray bits in its last letter is malformed")
  func strayBits() throws {
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    let token = forge.token()
    let last = try #require(token.last)
    let index = try #require(letters.firstIndex(of: last))
    // 64 bytes end in a letter that carries 2 bits: the next 15 letters decode to the same bytes.
    #expect(index % 16 == 0)
    for step in 1..<16 {
      let other = String(token.dropLast()) + String(letters[index + step])
      #expect(forge.verdict(other) == .malformed)
    }
  }

  @Test("a header or claims that are no JSON object are malformed", arguments: noObjects)
  func noObject(text: String) {
    #expect(forge.verdict(forge.token(header: text)) == .malformed)
    #expect(forge.verdict(forge.token(claims: text)) == .malformed)
  }

  @Test("a header or claims that are no UTF-8 are malformed")
  func badUTF8() {
    let good = Array(Forge.claims.utf8)
    let bad: [UInt8] = Array("{\"a\":\"".utf8) + [0xFF] + Array("\"}".utf8)
    #expect(forge.verdict(forge.token(headerBytes: bad, claimsBytes: good)) == .malformed)
    let header = Array(Forge.header.utf8)
    #expect(forge.verdict(forge.token(headerBytes: header, claimsBytes: bad)) == .malformed)
  }

  @Test("JSON more than eight levels deep is malformed")
  func depth() {
    let eight = String(repeating: "[", count: 7) + String(repeating: "]", count: 7)
    let inside = claims(adding: "\"x\":" + eight)
    #expect(forge.verdict(forge.token(claims: inside)) == nil)
    let beyond = claims(adding: "\"x\":[" + eight + "]")
    #expect(forge.verdict(forge.token(claims: beyond)) == .malformed)
  }

  @Test("a token of more than 8 kB is malformed")
  func size() {
    let small = forge.token(claims: claims(adding: "\"x\":\"" + pad(5_500) + "\""))
    #expect(small.utf8.count <= 8_192)
    #expect(forge.verdict(small) == nil)
    for count in [6_200, 10_000, 1_000_000] {
      let large = forge.token(claims: claims(adding: "\"x\":\"" + pad(count) + "\""))
      #expect(large.utf8.count > 8_192)
      #expect(forge.verdict(large) == .malformed)
    }
  }

  @Test("a token inside a token is malformed")
  func nested() {
    let inner = Array(forge.token().utf8)
    let header = Array(Forge.header.utf8)
    #expect(forge.verdict(forge.token(headerBytes: header, claimsBytes: inner)) == .malformed)
    let quoted = "\"" + forge.token() + "\""
    #expect(forge.verdict(forge.token(claims: quoted)) == .malformed)
  }

  @Test("a claim that stands twice is malformed, escaped or not", arguments: twiceInClaims)
  func duplicateClaims(extra: String) {
    let claims: String = "{" + extra + String(Forge.claims.dropFirst())
    #expect(forge.verdict(forge.token(claims: claims)) == .malformed)
  }

  @Test("a header key that stands twice is malformed, escaped or not", arguments: twiceInHeader)
  func duplicateHeaders(extra: String) {
    let header: String = "{" + extra + String(Forge.header.dropFirst())
    #expect(forge.verdict(forge.token(header: header)) == .malformed)
  }

  @Test("no token with one other letter is accepted")
  func otherLetters() {
    let token = Array(forge.token().utf8)
    for place in token.indices where token[place] != UInt8(ascii: ".") {
      var changed = token
      changed[place] = changed[place] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
      let verdict = forge.verdict(String(decoding: changed, as: UTF8.self))
      if verdict == nil { Issue.record("letter \(place)") }
    }
  }

  @Test("a cut token is refused")
  func cut() {
    let token = forge.token()
    for count in 0..<token.utf8.count {
      if forge.verdict(String(token.prefix(count))) == nil { Issue.record("\(count) letters") }
    }
  }

  private func claims(adding member: String) -> String {
    String(Forge.claims.dropLast()) + "," + member + "}"
  }

  private func pad(_ count: Int) -> String { String(repeating: "x", count: count) }
}
