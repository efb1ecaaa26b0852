import Primitives
import Search
import Testing

/// A filter and its canonical text.
private let valid: [(String, String)] = [
  ("kind = api", #"kind = "api""#),
  ("kind=api", #"kind = "api""#),
  ("  kind \t=\n api  ", #"kind = "api""#),
  ("kind != 'model'", #"kind != "model""#),
  ("kind IN [api, model]", #"kind IN ["api", "model"]"#),
  ("kind in [ api ]", #"kind IN ["api"]"#),
  (#"kind = "AND""#, #"kind = "AND""#),
  ("contextWindow >= 128k", "contextWindow >= 128k"),
  ("contextWindow > 1.5M", "contextWindow > 1.5M"),
  ("contextWindow 8000 TO 128000", "contextWindow 8000 TO 128000"),
  ("contextWindow = -5", "contextWindow = -5"),
  ("contextWindow IN [1, 2e3]", "contextWindow IN [1, 2e3]"),
  ("rating >= 4.5", "rating >= 4.5"),
  ("rating >= '4.5'", "rating >= 4.5"),
  ("latencyP95<300", "latencyP95 < 300"),
  ("EXISTS license", "EXISTS license"),
  ("license EXISTS", "EXISTS license"),
  ("license IS UNKNOWN", "NOT EXISTS license"),
  ("license is not unknown", "EXISTS license"),
  ("NOT status = deprecated", #"NOT status = "deprecated""#),
  ("NOT NOT kind = api", #"NOT NOT kind = "api""#),
  ("((kind = api))", #"kind = "api""#),
  ("kind = api AND https = true", #"kind = "api" AND https = "true""#),
  ("kind = api and not https = true", #"kind = "api" AND NOT https = "true""#),
  (
    "kind = api OR kind = app AND https = true",
    #"kind = "api" OR kind = "app" AND https = "true""#
  ),
  (
    "(kind = api OR kind = app) AND https = true",
    #"(kind = "api" OR kind = "app") AND https = "true""#
  ),
  ("NOT (kind = api OR kind = app)", #"NOT (kind = "api" OR kind = "app")"#),
  ("NOT (kind = api AND cors = yes)", #"NOT (kind = "api" AND cors = "yes")"#),
  ("features.vision = true", "features.vision = true"),
  ("features.vision = yes", "features.vision = true"),
  ("features.vision = NO", "features.vision = false"),
  ("features.vision != yes", "NOT features.vision = true"),
  ("compliance.gdpr = yes", "compliance.gdpr = true"),
  ("features = vision", #"features = "vision""#),
  ("features IS UNKNOWN", "NOT EXISTS features"),
  ("price < 0.5", "price < 0.5"),
  ("price < $0.5", "price < 0.5"),
  ("price <= '2 usd'", "price <= 2"),
  (#"price < "0.5 EUR""#, #"price < "0.5 EUR""#),
  ("price < 0.5 eur", #"price < "0.5 EUR""#),
  ("price 0.1 TO 0.5", "price 0.1 TO 0.5"),
  ("price IN [0, 0.5 EUR]", #"price IN [0, "0.5 EUR"]"#),
  ("releasedAt >= 2024-01-01", "releasedAt >= 2024-01-01"),
  ("releasedAt 2024-01-01 TO 2024-12-31", "releasedAt 2024-01-01 TO 2024-12-31"),
  (#"name = "He said \"hi\"""#, #"name = "He said \"hi\"""#),
  (#"tags = 'it\'s'"#, #"tags = "it's""#),
  (#"tags = "a\\b""#, #"tags = "a\\b""#),
  ("tags = 日本", #"tags = "日本""#),
  ("tags = '👩‍👩‍👧 (x) [y], =!<>'", #"tags = "👩‍👩‍👧 (x) [y], =!<>""#),
  ("verified = true", #"verified = "true""#),
  (
    "kind = api AND (regions IN [eu, uk] OR compliance.gdpr = yes) AND latencyP95 < 300"
      + " AND NOT status = deprecated",
    #"kind = "api" AND (regions IN ["eu", "uk"] OR compliance.gdpr = true)"#
      + #" AND latencyP95 < 300 AND NOT status = "deprecated""#
  ),
]

/// Text that is no filter, and the character from 0 where that is seen.
private let invalid: [(String, Int)] = [
  ("kind", 4), ("kind =", 6), ("= api", 0), ("kind api", 5), ("kind < api", 5),
  ("kind >= api", 5), ("features > 1", 9), ("kind = api AND", 14), ("kind = api OR", 13),
  ("kind = api https = true", 11), ("(kind = api", 11), ("kind = api)", 10), ("()", 1), ("(", 1),
  (")", 0), ("kind IN api", 8), ("kind IN [", 9), ("kind IN []", 9), ("kind IN [api", 12),
  ("kind IN [api,]", 13), ("kind IN [api app]", 13), ("kind IN [,api]", 9),
  ("kinds = api", 0), ("KIND = api", 0), ("tagline = x", 0), ("🙂 = 1", 0), ("'kind' = api", 0),
  ("contextWindow > many", 16), ("contextWindow > 1e999", 16), ("contextWindow > 0x10", 16),
  ("contextWindow > nan", 16), ("contextWindow > 5kk", 16), ("contextWindow > ''", 16),
  ("contextWindow 5", 15), ("contextWindow 5 TO", 18), ("contextWindow TO 5", 14),
  ("contextWindow >> 5", 15), ("contextWindow IN [1, x]", 21),
  ("releasedAt > yesterday", 13), ("releasedAt > 2024-02-30", 13), ("releasedAt > 20240101", 13),
  ("price < cheap", 8), ("price < '1 XYZ'", 8), ("price < '1 2 EUR'", 8), ("price < -1", 8),
  ("price < ''", 8), ("price < $", 8), ("price < 1e30", 8), ("price < 1 XYZ", 10),
  ("name = \"open", 7), ("name = 'open\"", 7), ("kind ! api", 5), ("kind =! api", 6),
  ("kind == api", 6), ("https = ", 8), ("features.vision", 15), ("features.vision > true", 16),
  ("features.vision = maybe", 18), ("features.vision IN [yes]", 16), ("features.vision IS", 18),
  ("kind.api = true", 0), ("kind IS", 7), ("kind IS api", 8), ("kind IS NOT", 11),
  ("kind IS NOT api", 12), ("NOT", 3), ("AND kind = api", 0), ("EXISTS", 6),
  ("EXISTS nothing", 7), ("EXISTS (kind)", 7), ("kind = api OR OR kind = app", 14),
  ("kind = api; DROP TABLE service", 12), ("kind = api, https = true", 10),
]

@Suite("The filter grammar")
struct FilterParserTests {
  @Test("a filter has a canonical text, which reads back as the same", arguments: valid)
  func canonical(text: String, canonical: String) throws {
    let expression = try #require(try FilterParser.parse(text))
    #expect(expression.canonical == canonical)
    let again = try #require(try FilterParser.parse(canonical))
    #expect(again == expression)
    #expect(again.canonical == canonical)
  }

  @Test("what is no filter is refused where it goes wrong", arguments: invalid)
  func refusal(text: String, position: Int) throws {
    let refusal = try #require(filterRefusal(text))
    #expect(refusal.code == ProblemCode.filterInvalid)
    #expect(refusal.facts["position"]?.int == Int64(position))
    #expect(refusal.facts["expected"]?.string?.isEmpty == false)
    #expect(!refusal.detail.isEmpty)
  }

  @Test("an empty filter is none", arguments: ["", " ", "\n\t "])
  func empty(text: String) throws {
    let expression = try FilterParser.parse(text)
    #expect(expression == nil)
  }

  @Test(
    "an unknown field names the nearest one",
    arguments: [
      ("kinds", "kind"), ("knd", "kind"), ("regoins", "regions"), ("licence", "license"),
      ("contextWindw", "contextWindow"), ("contextwindow", "contextWindow"),
      ("latencyp95", "latencyP95"), ("inputprice", "inputPrice"), ("provder", "provider"),
      ("complience", "compliance"), ("TAGS", "tags"),
    ])
  func nearest(field: String, expected: String) throws {
    let refusal = try #require(filterRefusal(field + " = 1"))
    let words = refusal.facts["expected"]?.string ?? ""
    #expect(words.hasSuffix("perhaps " + expected))
  }

  @Test("a field like no other is refused without a guess")
  func noGuess() throws {
    let refusal = try #require(filterRefusal("zzzzzzzzzzzz = 1"))
    #expect(refusal.facts["expected"]?.string == "a field")
  }

  @Test("63 brackets or negations are read, 65 are refused")
  func depth() throws {
    for (open, close) in [("(", ")"), ("NOT ", "")] {
      let fits =
        String(repeating: open, count: 63) + "kind = api" + String(repeating: close, count: 63)
      #expect(filterRefusal(fits) == nil)
      let over =
        String(repeating: open, count: 65) + "kind = api" + String(repeating: close, count: 65)
      let refusal = try #require(filterRefusal(over))
      #expect(refusal.code == ProblemCode.filterInvalid)
      #expect(refusal.facts["expected"]?.string?.contains("64") == true)
    }
    let flat = [String](repeating: "(kind = api)", count: 100).joined(separator: " OR ")
    #expect(filterRefusal(flat) == nil)
  }

  @Test("a thousand open brackets are refused, not followed")
  func deep() throws {
    let refusal = try #require(filterRefusal(String(repeating: "(", count: 1_000)))
    #expect(refusal.facts["position"]?.int == Int64(64))
  }

  @Test("4,000 characters are read, 4,001 are refused")
  func length() throws {
    // The quoted value stands between eight characters and one.
    let fits = "name = \"" + String(repeating: "é", count: 3_991) + "\""
    #expect(filterRefusal(fits) == nil)
    let refusal = try #require(filterRefusal(fits + " "))
    #expect(refusal.facts["position"]?.int == Int64(4_000))
    #expect(refusal.facts["expected"]?.string?.contains("4000") == true)
    let huge = try #require(filterRefusal(String(repeating: "kind = api OR ", count: 100_000)))
    #expect(huge.code == ProblemCode.filterInvalid)
  }

  @Test("a list whose canonical form is too long is refused")
  func longCanonical() throws {
    let text = "tags IN [" + [String](repeating: "a", count: 1_995).joined(separator: ",") + "]"
    // Its canonical form has quotes and spaces, and would be longer than a filter may be.
    let refusal = try #require(filterRefusal(text))
    #expect(refusal.facts["expected"]?.string?.contains("canonical") == true)
  }

  @Test(
    "the canonical text of an unknown flag asks for the flag",
    arguments: [
      "features.vision = unknown", "features.vision IS UNKNOWN", "features.vision != unknown",
      "NOT compliance.gdpr IS UNKNOWN",
    ])
  func unknownFlag(text: String) throws {
    let expression = try #require(try FilterParser.parse(text))
    let again = try #require(try FilterParser.parse(expression.canonical))
    #expect(again == expression)
  }

  @Test(
    "a conjunction inside a conjunction reads back as the same expression",
    arguments: [
      "kind = api AND (https = true AND cors = yes)",
      "(kind = api AND https = true) AND cors = yes",
      "kind = api OR (kind = app OR kind = tool)",
    ])
  func nested(text: String) throws {
    let expression = try #require(try FilterParser.parse(text))
    let again = try #require(try FilterParser.parse(expression.canonical))
    #expect(again == expression)
  }

  @Test(
    "a range of prices has one currency",
    arguments: ["price 1 TO '2 EUR'", "price 1 TO 2 GBP"])
  func mixedRange(text: String) {
    let isRefused = filterRefusal(text) != nil
    #expect(isRefused)
  }

  @Test("every field can be asked whether it is known, and every facet is a field")
  func fields() throws {
    for field in IndexField.all {
      let expression = try #require(try FilterParser.parse("EXISTS \(field.name)"))
      #expect(expression.fields == Set([field.name]))
      #expect(!field.help.isEmpty)
    }
    #expect(IndexField.named.count == IndexField.all.count)
  }

  @Test("random text is a filter or is refused as one", arguments: 0..<40 as Range<UInt64>)
  func noise(seed: UInt64) {
    let pieces = [
      "kind", "=", "!=", "<", ">=", "IN", "[", "]", "(", ")", ",", "AND", "OR", "NOT", "EXISTS",
      "IS", "UNKNOWN", "TO", "api", "128k", "price", "0.5", "EUR", "features.vision", "yes", "'",
      "\"", "\\", ".", "releasedAt", "2024-01-01", "日本", "\u{0}", "-", "$", "tags",
    ]
    var random = SplitMix64(seed: seed)
    for _ in 0..<200 {
      let count = 1 + random.below(9)
      let text = (0..<count).map { _ in random.pick(pieces) }
        .joined(separator: random.chance(80) ? " " : "")
      guard let refusal = filterRefusal(text) else { continue }
      #expect(refusal.code == ProblemCode.filterInvalid, "\(text)")
      let position = refusal.facts["position"]?.int ?? -1
      let isInside = position >= 0 && position <= Int64(text.unicodeScalars.count)
      #expect(isInside, "\(text)")
      #expect(refusal.facts["expected"]?.string?.isEmpty == false, "\(text)")
    }
  }
}
