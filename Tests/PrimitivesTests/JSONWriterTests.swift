import Primitives
import Testing

private let written: [(JSON, String)] = [
  (.null, "null"),
  (.bool(true), "true"),
  (.bool(false), "false"),
  (.int(0), "0"),
  (.int(.max), "9223372036854775807"),
  (.int(.min), "-9223372036854775808"),
  (.double(0.5), "0.5"),
  (.double(-0.25), "-0.25"),
  (.double(3), "3"),
  (.double(-0.0), "0"),
  (.string(""), "\"\""),
  (.string("\"\\/"), "\"\\\"\\\\/\""),
  (.string("\u{8}\u{C}\n\r\t"), "\"\\b\\f\\n\\r\\t\""),
  (.string("\u{0}\u{1}\u{B}\u{1F}"), "\"\\u0000\\u0001\\u000b\\u001f\""),
  (.string("\u{7F}\u{E9}\u{20AC}\u{1F600}"), "\"\u{7F}\u{E9}\u{20AC}\u{1F600}\""),
  (.string("\u{2028}</script>"), "\"\u{2028}</script>\""),
  (.array([]), "[]"),
  (.array([.int(1), .null, .string("a")]), "[1,null,\"a\"]"),
  (.object(JSONObject()), "{}"),
  (["b": .int(1), "a": .array([.bool(true)])], "{\"b\":1,\"a\":[true]}"),
  (["k\"": .int(1)], "{\"k\\\"\":1}"),
  (["r": .raw(Array("[1, 2]".utf8))], "{\"r\":[1, 2]}"),
]

// RFC 8785, appendix B, and what ECMAScript prints for some more.
private let canonicalNumbers: [(UInt64, String)] = [
  (0x0000_0000_0000_0000, "0"),
  (0x8000_0000_0000_0000, "0"),
  (0x0000_0000_0000_0001, "5e-324"),
  (0x8000_0000_0000_0001, "-5e-324"),
  (0x7FEF_FFFF_FFFF_FFFF, "1.7976931348623157e+308"),
  (0xFFEF_FFFF_FFFF_FFFF, "-1.7976931348623157e+308"),
  (0x4340_0000_0000_0000, "9007199254740992"),
  (0xC340_0000_0000_0000, "-9007199254740992"),
  (0x4430_0000_0000_0000, "295147905179352830000"),
  (0x44B5_2D02_C7E1_4AF5, "9.999999999999997e+22"),
  (0x44B5_2D02_C7E1_4AF6, "1e+23"),
  (0x44B5_2D02_C7E1_4AF7, "1.0000000000000001e+23"),
  (0x444B_1AE4_D6E2_EF4E, "999999999999999700000"),
  (0x444B_1AE4_D6E2_EF4F, "999999999999999900000"),
  (0x444B_1AE4_D6E2_EF50, "1e+21"),
  (0x3EB0_C6F7_A0B5_ED8C, "9.999999999999997e-7"),
  (0x3EB0_C6F7_A0B5_ED8D, "0.000001"),
  (0x41B3_DE43_5555_5553, "333333333.3333332"),
  (0x41B3_DE43_5555_5554, "333333333.33333325"),
  (0x41B3_DE43_5555_5555, "333333333.3333333"),
  (0x41B3_DE43_5555_5556, "333333333.3333334"),
  (0x41B3_DE43_5555_5557, "333333333.33333343"),
  (0xBECB_F647_612F_3696, "-0.0000033333333333333333"),
  (0x4314_3FF3_C1CB_0959, "1424953923781206.2"),
  (0x3FB9_9999_9999_999A, "0.1"),
  (0x3E7A_D7F2_9ABC_AF48, "1e-7"),
  (0x430C_6BF5_2634_0000, "1000000000000000"),
  (0x43AB_C16D_674E_C800, "1000000000000000000"),
]

private let sameBody: [(String, String)] = [
  ("{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}"),
  ("{\"a\":1.0}", "{ \"a\" : 1 }"),
  ("[1e2,-0.0]", "[100,0]"),
  ("{\"a\":\"\\u0041\\/\"}", "{\"a\":\"A/\"}"),
  ("{\"x\":{\"b\":[],\"a\":{}}}", "{\"x\":{\"a\":{},\"b\":[]}}"),
]

private let otherBody: [(String, String)] = [
  ("{\"a\":null}", "{}"),
  ("[1,2]", "[2,1]"),
  ("{\"a\":1}", "{\"a\":\"1\"}"),
  ("{\"a\":true}", "{\"a\":1}"),
  ("\"\u{E9}\"", "\"e\u{301}\""),
  ("9007199254740993", "9007199254740992"),
]

@Suite("JSON is written compactly and canonically")
struct JSONWriterTests {
  @Test("a value is written as its shortest text, members in their order", arguments: written)
  func writes(value: JSON, text: String) {
    #expect(value.text == text)
    #expect(value.bytes == Array(text.utf8))
  }

  @Test("a number is written as ECMAScript prints it", arguments: canonicalNumbers)
  func writesNumbers(bits: UInt64, text: String) {
    #expect(JSON.double(Double(bitPattern: bits)).text == text)
    #expect(JSON.double(Double(bitPattern: bits)).canonicalBytes == Array(text.utf8))
  }

  @Test("every finite number reads back as itself", arguments: 0..<100 as Range<UInt64>)
  func numbersReadBack(seed: UInt64) throws {
    var random = RandomJSON(seed: seed)
    for _ in 0..<50 {
      let number = random.decimal()
      let again = try JSON.parse(JSON.double(number).text)
      #expect(again.double == number)
    }
  }

  @Test("canonical keys stand in the order of their UTF-16 units")
  func sortsKeys() throws {
    let text = """
      {"\\u20ac":"Euro Sign","\\r":"Carriage Return","\\ufb33":"Hebrew Letter Dalet With Dagesh",\
      "1":"One","\\ud83d\\ude00":"Emoji: Grinning Face","\\u0080":"Control",\
      "\\u00f6":"Latin Small Letter O With Diaeresis"}
      """
    let canonical = try JSON.parse(try JSON.parse(text).canonicalBytes)
    let words = try #require(canonical.object).members.map { $0.value.string ?? "" }
    let expected = [
      "Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign",
      "Emoji: Grinning Face", "Hebrew Letter Dalet With Dagesh",
    ]
    #expect(words == expected)
  }

  @Test("the example of RFC 8785 has the canonical form of RFC 8785")
  func canonicalExample() throws {
    let text = """
      {"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
       "string":"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\"\\/",
       "literals":[null,true,false]}
      """
    let expected =
      "{\"literals\":[null,true,false],"
      + "\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
      + "\"string\":\"\u{20AC}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
    let canonical = try JSON.parse(text).canonicalBytes
    #expect(String(decoding: canonical, as: UTF8.self) == expected)
  }

  @Test("members are sorted at every level, elements keep their places")
  func sortsEveryLevel() throws {
    let value = try JSON.parse("{\"b\":[{\"d\":1,\"c\":2},0],\"a\":{\"z\":1,\"y\":2}}")
    let canonical = String(decoding: value.canonicalBytes, as: UTF8.self)
    #expect(canonical == "{\"a\":{\"y\":2,\"z\":1},\"b\":[{\"c\":2,\"d\":1},0]}")
  }

  @Test("equal JSON has one canonical form", arguments: sameBody)
  func canonicalFormsMeet(left: String, right: String) throws {
    let forms = [try JSON.parse(left).canonicalBytes, try JSON.parse(right).canonicalBytes]
    #expect(forms[0] == forms[1])
  }

  @Test("other JSON has another canonical form", arguments: otherBody)
  func canonicalFormsDiffer(left: String, right: String) throws {
    let forms = [try JSON.parse(left).canonicalBytes, try JSON.parse(right).canonicalBytes]
    #expect(forms[0] != forms[1])
  }

  @Test(
    "the order of members never shows in the canonical form",
    arguments: 0..<100 as Range<UInt64>)
  func canonicalOrder(seed: UInt64) throws {
    var random = RandomJSON(seed: seed)
    let value = JSON.array([random.value(depth: 5), random.value(depth: 5)])
    let canonical = value.canonicalBytes
    #expect(withMembersReversed(value).canonicalBytes == canonical)
    let again = try JSON.parse(canonical)
    #expect(again.canonicalBytes == canonical)
  }
}

@Suite("a JSON value gives what it holds")
struct JSONValueTests {
  @Test("setting a member keeps its place, setting nil removes it")
  func members() {
    var object = JSONObject(dictionaryLiteral: ("a", .int(1)), ("b", .int(2)), ("a", .int(3)))
    #expect(object.keys == ["a", "b"])
    #expect(object["a"] == .int(3))
    object["b"] = .null
    object["c"] = .bool(true)
    object["a"] = nil
    #expect(object.keys == ["b", "c"])
    #expect(object["b"] == .null)
    #expect(object["a"] == nil)
    object["b"] = nil
    object["c"] = nil
    #expect(object.isEmpty)
  }

  @Test("a decimal without fraction below 2^53 counts as an integer, another does not")
  func integers() {
    #expect(JSON.double(2).int == 2)
    #expect(JSON.double(-2).int == -2)
    #expect(JSON.double(2.5).int == nil)
    #expect(JSON.double(0x1p53).int == nil)
    #expect(JSON.double(1e300).int == nil)
    #expect(JSON.string("2").int == nil)
    #expect(JSON.int(2).double == 2)
  }

  @Test("what is not there is nil, and null is there")
  func accessors() {
    let value: JSON = ["text": .string("a"), "nothing": .null, "list": .array([.int(1)])]
    #expect(value["text"]?.string == "a")
    #expect(value["text"]?.int == nil)
    #expect(value["nothing"] == .null)
    #expect(value["absent"] == nil)
    #expect(value["list"]?.array == [.int(1)])
    #expect(value["list"]?["text"] == nil)
    #expect(JSON.bool(true).bool == true)
    #expect(JSON.int(1).bool == nil)
  }

  @Test("nil is written as null")
  func optionals() {
    #expect(JSON.optional(nil as String?) == .null)
    #expect(JSON.optional("a") == .string("a"))
    #expect(JSON.optional(nil as Int?) == .null)
    #expect(JSON.optional(5) == .int(5))
    #expect(JSON.strings(["a", "b"]).text == "[\"a\",\"b\"]")
    #expect(JSON.number(-7) == .int(-7))
  }
}
