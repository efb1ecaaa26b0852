import Primitives
import Testing

private let accepted: [(String, JSON)] = [
  ("null", .null),
  (" \t\r\n true \n", .bool(true)),
  ("false", .bool(false)),
  ("0", .int(0)),
  ("-0", .int(0)),
  ("-1", .int(-1)),
  ("9223372036854775807", .int(.max)),
  ("-9223372036854775808", .int(.min)),
  ("9223372036854775808", .double(0x1p63)),
  ("-9223372036854775809", .double(-0x1p63)),
  ("1.0", .double(1)),
  ("1e3", .double(1_000)),
  ("1E+3", .double(1_000)),
  ("25e-2", .double(0.25)),
  ("0.1", .double(0.1)),
  ("-0.5", .double(-0.5)),
  ("1.7976931348623157e308", .double(.greatestFiniteMagnitude)),
  ("\"\"", .string("")),
  ("\"\\u0041\\u00e9\"", .string("A\u{E9}")),
  ("\"\\ud83d\\ude00\"", .string("\u{1F600}")),
  ("\"\\uD83D\\uDE00\"", .string("\u{1F600}")),
  ("\"\\uffff\"", .string("\u{FFFF}")),
  ("\"\\u0000\"", .string("\u{0}")),
  ("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", .string("\"\\/\u{8}\u{C}\n\r\t")),
  ("\"\u{7F}\u{20AC}\u{10FFFF}\"", .string("\u{7F}\u{20AC}\u{10FFFF}")),
  ("[]", .array([])),
  ("{}", .object(JSONObject())),
  ("[ 1 , [ ] , { } ]", .array([.int(1), .array([]), .object(JSONObject())])),
  ("{\"a\":null,\"b\":[1,2.5]}", ["a": .null, "b": .array([.int(1), .double(2.5)])]),
  ("{\"\":0,\" \":1}", ["": .int(0), " ": .int(1)]),
]

private let refusedStructure: [(String, JSONError.Reason)] = [
  ("", .unexpectedEnd),
  ("nul", .unexpectedEnd),
  ("nulL", .unexpectedCharacter),
  ("True", .unexpectedCharacter),
  ("undefined", .unexpectedCharacter),
  ("1 2", .trailingText),
  ("null,", .trailingText),
  ("{}{}", .trailingText),
  ("[1]//", .trailingText),
  ("[1]\u{0}", .trailingText),
  ("[", .unexpectedEnd),
  ("[1", .unexpectedEnd),
  ("[1,", .unexpectedEnd),
  ("[1,]", .unexpectedCharacter),
  ("[,1]", .unexpectedCharacter),
  ("[1 2]", .unexpectedCharacter),
  ("[1}", .unexpectedCharacter),
  ("]", .unexpectedCharacter),
  ("{", .unexpectedEnd),
  ("{\"a\"", .unexpectedEnd),
  ("{\"a\":", .unexpectedEnd),
  ("{\"a\":1", .unexpectedEnd),
  ("{\"a\":1,}", .unexpectedCharacter),
  ("{\"a\" 1}", .unexpectedCharacter),
  ("{\"a\":}", .unexpectedCharacter),
  ("{a:1}", .unexpectedCharacter),
  ("{'a':1}", .unexpectedCharacter),
  ("{1:1}", .unexpectedCharacter),
  ("// note\n1", .unexpectedCharacter),
  ("/* note */1", .unexpectedCharacter),
  ("\u{FEFF}1", .unexpectedCharacter),
  ("\u{A0}1", .unexpectedCharacter),
  ("\u{C}1", .unexpectedCharacter),
]

private let refusedNumbers: [(String, JSONError.Reason)] = [
  ("-", .unexpectedEnd),
  ("+1", .unexpectedCharacter),
  (".5", .unexpectedCharacter),
  ("--1", .unexpectedCharacter),
  ("01", .badNumber),
  ("-01", .badNumber),
  ("00", .badNumber),
  ("1.", .badNumber),
  ("1.e5", .badNumber),
  ("1e", .badNumber),
  ("1e+", .badNumber),
  ("1e+-1", .badNumber),
  ("1e400", .badNumber),
  ("-1e400", .badNumber),
  ("0x10", .trailingText),
  ("1_000", .trailingText),
  ("1,5", .trailingText),
  ("NaN", .unexpectedCharacter),
  ("Infinity", .unexpectedCharacter),
  ("-Infinity", .unexpectedCharacter),
  ("\u{0661}", .unexpectedCharacter),
]

private let refusedStrings: [(String, JSONError.Reason)] = [
  ("\"abc", .unexpectedEnd),
  ("\"a\\", .unexpectedEnd),
  ("\"a\\\"", .unexpectedEnd),
  ("\"\\u12\"", .unexpectedEnd),
  ("\"\\x41\"", .badEscape),
  ("\"\\U0041\"", .badEscape),
  ("\"\\'\"", .badEscape),
  ("\"\\u12G4\"", .badEscape),
  ("\"\\u+041\"", .badEscape),
  ("\"\\u\u{FF11}00\"", .badEscape),
  ("\"\\ud800\"", .badEscape),
  ("\"\\ud800x\"", .badEscape),
  ("\"\\ud800\\n\"", .badEscape),
  ("\"\\ud800\\u0041\"", .badEscape),
  ("\"\\ud800\\ud800\"", .badEscape),
  ("\"\\udc00\"", .badEscape),
  ("\"\\ude00\\ud83d\"", .badEscape),
  ("\"a\nb\"", .controlCharacter),
  ("\"a\tb\"", .controlCharacter),
  ("\"a\u{0}b\"", .controlCharacter),
  ("\"\\n\u{1F}\"", .controlCharacter),
]

private let duplicateKeys: [String] = [
  "{\"a\":1,\"a\":1}",
  "{\"a\":1,\"b\":2,\"a\":3}",
  "{\"a\":1,\"\\u0061\":2}",
  "{\"\":1,\"\":2}",
  "[{\"b\":{\"a\":1,\"a\":2}}]",
]

private let badUTF8: [[UInt8]] = [
  [0x80], [0xBF], [0xC0, 0xAF], [0xC1, 0xBF], [0xE0, 0x80, 0xAF], [0xED, 0xA0, 0x80],
  [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0xAF], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80],
  [0xE2, 0x82], [0xC3], [0xFE], [0xFF], [0x61, 0xCC],
]

private let offsets: [(String, Int)] = [
  ("", 0), ("   ", 3), ("[1 2]", 3), ("[1,]", 3), ("{\"a\" 1}", 5), ("{\"a\":1,}", 7),
  ("true false", 5), ("[1", 2), ("\u{FEFF}1", 0), ("[\"\u{20AC}\" x]", 7), ("nulL", 0),
]

@Suite("JSON is read strictly")
struct JSONParserTests {
  @Test("a text of RFC 8259 is read as what it says", arguments: accepted)
  func accepts(text: String, expected: JSON) throws {
    let value = try JSON.parse(text)
    #expect(value == expected)
  }

  @Test("a text of another structure is refused", arguments: refusedStructure)
  func refusesStructure(text: String, reason: JSONError.Reason) {
    #expect(parseError(Array(text.utf8))?.reason == reason)
  }

  @Test("a number of another grammar is refused", arguments: refusedNumbers)
  func refusesNumbers(text: String, reason: JSONError.Reason) {
    #expect(parseError(Array(text.utf8))?.reason == reason)
  }

  @Test("a string of another grammar is refused", arguments: refusedStrings)
  func refusesStrings(text: String, reason: JSONError.Reason) {
    #expect(parseError(Array(text.utf8))?.reason == reason)
  }

  @Test("a key may stand once in its object, however it is escaped", arguments: duplicateKeys)
  func refusesDuplicateKeys(text: String) {
    #expect(parseError(Array(text.utf8))?.reason == .duplicateKey)
  }

  @Test("the same key may stand in different objects")
  func keysAreUniquePerObject() throws {
    let value = try JSON.parse("{\"a\":{\"a\":1},\"b\":[{\"a\":2},{\"a\":3}]}")
    #expect(value["a"]?["a"] == .int(1))
    #expect(value["b"]?.array?.count == 2)
  }

  @Test(
    "bytes that are no UTF-8 are refused in a string, behind an escape and in a key",
    arguments: badUTF8)
  func refusesBadUTF8(bytes: [UInt8]) {
    let quote: [UInt8] = [0x22]
    let escape: [UInt8] = [0x5C, 0x6E]
    #expect(parseError(quote + bytes + quote)?.reason == .badUTF8)
    #expect(parseError(quote + escape + bytes + quote)?.reason == .badUTF8)
    let key: [UInt8] = [0x7B, 0x22] + bytes + [0x22, 0x3A, 0x31, 0x7D]
    #expect(parseError(key)?.reason == .badUTF8)
  }

  @Test("bytes that are no UTF-8 are refused outside of strings", arguments: badUTF8)
  func refusesBadUTF8Outside(bytes: [UInt8]) {
    #expect(parseError(bytes) != nil)
    #expect(parseError([0x31] + bytes)?.reason == .trailingText)
  }

  @Test("an error names the byte where it was seen", arguments: offsets)
  func namesTheOffset(text: String, offset: Int) {
    #expect(parseError(Array(text.utf8))?.offset == offset)
  }

  @Test("64 levels are read, the 65th is refused where it opens")
  func boundsTheDepth() throws {
    let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
    let value = try JSON.parse(deep)
    #expect(value.text == deep)
    let error = try #require(parseError(Array(("[" + deep + "]").utf8)))
    #expect(error.reason == .tooDeep)
    #expect(error.offset == 64)
  }

  @Test("objects and arrays count alike towards the depth")
  func mixesTheDepth() {
    let text = Array("{\"a\":[{\"b\":[]}]}".utf8)
    #expect(parseError(text, depthMax: 4) == nil)
    #expect(parseError(text, depthMax: 3)?.reason == .tooDeep)
    #expect(parseError(Array("1".utf8), depthMax: 0) == nil)
    #expect(parseError(Array("[]".utf8), depthMax: 0)?.reason == .tooDeep)
  }

  @Test(
    "a hundred thousand opening brackets are refused, not a full stack",
    arguments: ["[", "{\"a\":"])
  func survivesDepth(opening: String) {
    let bytes = Array(String(repeating: opening, count: 100_000).utf8)
    #expect(parseError(bytes)?.reason == .tooDeep)
  }

  @Test(
    "what was written reads back as the same value and the same bytes",
    arguments: 0..<200 as Range<UInt64>)
  func roundTrips(seed: UInt64) throws {
    var random = RandomJSON(seed: seed)
    for _ in 0..<20 {
      let value = random.value()
      let bytes = value.bytes
      let again = try JSON.parse(bytes)
      #expect(again == value)
      #expect(again.bytes == bytes)
    }
  }

  @Test("white space between tokens changes nothing", arguments: 0..<50 as Range<UInt64>)
  func ignoresSpace(seed: UInt64) throws {
    var random = RandomJSON(seed: seed)
    let value = JSON.array([random.value(), random.value()])
    let inner = Array(value.bytes.dropFirst().dropLast())
    let spaced: [UInt8] = Array("\n\t [ ".utf8) + inner + Array("\r\n ]  ".utf8)
    let read = try JSON.parse(spaced)
    #expect(read == value)
  }

  @Test(
    "a cut or flipped text is refused or read, with an offset inside",
    arguments: 0..<200 as Range<UInt64>)
  func survivesDamage(seed: UInt64) throws {
    var random = RandomJSON(seed: seed)
    var bytes = JSON.array([random.value(), random.value(), random.value()]).bytes
    for _ in 0..<50 where !bytes.isEmpty {
      let place = random.number(below: bytes.count)
      if random.number(below: 10) == 0 {
        bytes = Array(bytes[..<place])
      } else {
        bytes[place] ^= UInt8(1 << random.number(below: 8))
      }
      if let error = parseError(bytes) {
        #expect((0...bytes.count).contains(error.offset))
      } else {
        let value = try JSON.parse(bytes)
        let again = try JSON.parse(value.bytes)
        #expect(again.bytes == value.bytes)
      }
    }
  }
}
