import Catalog
import Primitives
import Testing
import TestSupport

/// A value of a field whose texts have one line, and the character at fault.
private let controls: [(String, JSON, String)] = [
  ("name", "a\nb", "U+000A"), ("name", "\u{1B}[31mred", "U+001B"), ("name", "a\u{7F}", "U+007F"),
  ("name", "a\u{85}b", "U+0085"), ("name", "evil\u{202E}gpj", "U+202E"),
  ("tagline", "one\r\ntwo", "U+000D"), ("tagline", "a\u{2066}b", "U+2066"),
  ("does", "a\tb", "U+0009"), ("license", "MIT\u{202A}", "U+202A"),
  ("tags", ["fine", "b\u{9F}"], "U+009F"), ("categories", ["a\u{2069}"], "U+2069"),
  ("regions", ["e\nu"], "U+000A"), ("features", ["vis\nion": true], "U+000A"),
]

@Suite("Texts of one line")
struct LineTextTests {
  @Test("a control character is refused by its number", arguments: controls)
  func control(field: String, value: JSON, code: String) throws {
    let found = faults(document([field: value]))
    #expect(found.map(\.pointer) == ["/" + field])
    let reason = try #require(found.first).reason
    #expect(reason.hasSuffix("must not hold the control character \(code)"))
  }

  @Test(
    "the neighbours of what is refused are taken",
    arguments: [
      "a b", "~\u{A0}x", "a\u{2029}b", "a\u{202F}b", "a\u{2065}b", "a\u{206A}b", "a\u{200E}b",
      "👩‍👩‍👧", "e\u{301}", "日本",
    ])
  func neighbours(text: String) {
    #expect(faults(document(["name": .string(text), "tagline": .string(text)])).isEmpty)
  }

  @Test("a description has lines", arguments: ["a\nb", "a\r\n\tb", "a\u{202E}b"])
  func description(text: String) throws {
    #expect(try listing(["description": .string(text)]).text("description") == text)
  }

  @Test(
    "a name that shows nothing is refused",
    arguments: [
      " ", "\u{A0}\u{3000}", "\u{200B}", "\u{FEFF}\u{200D}\u{2060}", "\u{AD}", "\u{3164}",
      "\u{2800}", "\u{2028}", "\u{E0041}",
    ])
  func blank(text: String) {
    for field in ["name", "providerName"] {
      let found = faults(document([field: .string(text)]))
      #expect(found == [Refusal.Field("/" + field, "must not be blank")])
    }
    #expect(faults(document(["name": .string(text + "x")])).isEmpty)
  }

  @Test("a figure of use is never below nothing")
  func figures() {
    for figure in [JSON.int(-1), .double(-0.5), .int(.min)] {
      let found = faults(document(["usage": ["stars": 5, "runs": figure]]))
      #expect(found == [Refusal.Field("/usage", "must have no figure below 0")])
    }
    #expect(faults(document(["usage": ["stars": 0, "runs": 2.5]])).isEmpty)
  }

  @Test(
    "an import brings a broken tagline on one line, of either shape",
    arguments: [
      #"{"id":"a","name":"A\tB","tagline":"one \r\n\n two  three\n","providerName":"X\nY"}"#,
      #"{"id":"a","name":"A\tB","tagline":"one \r\n\n two  three\n","providerName":"X\nY","#
        + #""source":"s","license":"l"}"#,
    ])
  func broken(line: String) async throws {
    let record = try Record()
    let file = try record.folder.file("catalog.jsonl", lines: [line])
    let (report, said) = try await record.imported([file])
    #expect(said.isEmpty)
    #expect(report.created == 1)
    let service = try #require(try await record.stored("a")?.service)
    #expect(service.name == "A B")
    #expect(service.text("tagline") == "one two three")
    #expect(service.providerName == "X Y")
    let again = try await record.imported([file])
    #expect(again.report.same == 1)
  }

  @Test("what was stored under wider limits stays readable")
  func stored() throws {
    let old: JSONObject = [
      "id": "a", "providerId": "acme", "name": "a\nb", "usage": ["stars": -1],
      "offers": [["name": .string(String(repeating: "x", count: 20_000)), "region": ""]],
    ]
    #expect(!faults(old).isEmpty)
    let service = try Service.read(old, isStored: true)
    #expect(service.name == "a\nb")
    #expect(service.offers.count == 1)
  }
}
