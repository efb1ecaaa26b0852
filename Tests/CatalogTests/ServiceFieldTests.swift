import Catalog
import Primitives
import Testing

private let textLimits: [(String, Int)] = [
  ("name", 200), ("tagline", 400), ("description", 20_000), ("does", 400), ("useWhen", 400),
  ("limitations", 400), ("appId", 128), ("modelFamily", 80), ("baseModel", 80), ("authType", 80),
  ("cors", 20), ("country", 10), ("license", 80), ("source", 400), ("sourceLicense", 200),
]

private let listLimits: [(String, Int, Int)] = [
  ("draftedFields", 20, 80), ("categories", 20, 80), ("tags", 50, 80),
  ("apiCompatibility", 20, 80), ("regions", 60, 10), ("dataCenters", 60, 80),
]

private let opaqueLimits: [(String, Int)] = [
  ("compliance", 16_384), ("availability", 8_192), ("trial", 4_096), ("usage", 2_048),
  ("metrics", 8_192),
]

private let allowed: [(String, JSON)] = [
  ("kind", "api"), ("kind", "model"), ("kind", "app"), ("kind", "tool"),
  ("status", "draft"), ("status", "active"), ("status", "maintenance"), ("status", "deprecated"),
  ("status", "removed"),
  ("contextWindow", 0), ("contextWindow", 1_000_000_000), ("maxOutputTokens", 4_096),
  ("reviewCount", 1_000_000_000_000),
  ("rating", 0), ("rating", 4.5), ("rating", 5),
  ("https", true), ("https", false), ("openWeights", true),
  ("releasedAt", "2024-02-29"), ("lastUpdatedAt", "1999-12-31"),
  ("features", [:]), ("features", ["vision": true, "jsonMode": false]),
  ("inputModalities", ["text", "image", "audio", "video", "file", "embedding"]),
  ("outputModalities", ["text"]),
  ("websiteUrl", "https://example.com"), ("docsUrl", "https://example.com/a?b=c#d"),
  ("logoUrl", "https://a.b/c.png"), ("supportUrl", "https://example.com/h%20elp"),
  ("appUrl", "https://app.example.com/start"),
  ("redirectUris", ["https://app.example.com/back"]),
  ("compliance", [["scheme": "gdpr", "state": "yes"]]), ("availability", ["schedule": "always"]),
  ("description", "naïve 日本 \u{202E}odd\u{202C} 👩‍👩‍👧"), ("tagline", ""), ("tags", []),
  ("kind", .null), ("contextWindow", .null), ("offers", .null), ("trial", .null),
]

private let refused: [(String, JSON)] = [
  ("kind", "service"), ("kind", "API"), ("kind", ""), ("kind", 1), ("kind", ["api"]),
  ("status", "live"), ("status", true),
  ("tagline", 5), ("tagline", ["x"]), ("description", true), ("name", "a\u{0}b"),
  ("tags", "one"), ("tags", [1]), ("tags", [""]), ("tags", ["a\u{0}"]), ("categories", [:]),
  ("contextWindow", -1), ("contextWindow", 1_000_000_001), ("contextWindow", 1.5),
  ("contextWindow", "8k"), ("maxOutputTokens", true), ("reviewCount", -1),
  ("rating", 5.1), ("rating", -0.1), ("rating", "5"),
  ("https", "yes"), ("https", 1), ("openWeights", "true"),
  ("releasedAt", "2023-02-29"), ("releasedAt", "2024-13-01"), ("releasedAt", "2024-1-1"),
  ("releasedAt", "01-02-2024"), ("releasedAt", "2024-02-29T00:00:00Z"),
  ("releasedAt", 20_240_101), ("lastUpdatedAt", ""), ("lastUpdatedAt", "today"),
  ("features", []), ("features", ["vision": "yes"]), ("features", ["vision": 1]),
  ("features", ["": true]), ("features", "vision"),
  ("inputModalities", ["smell"]), ("inputModalities", ["Text"]), ("outputModalities", "text"),
  ("websiteUrl", "http://example.com"), ("websiteUrl", "https://"), ("websiteUrl", ""),
  ("docsUrl", "ftp://example.com"), ("docsUrl", "javascript:alert(1)"), ("docsUrl", 5),
  ("logoUrl", "https://exa mple.com"), ("supportUrl", "https://example.com/\u{7F}"),
  ("appUrl", "example.com/start"), ("appUrl", "https://example.com/\n"),
  ("compliance", "gdpr"), ("availability", 24), ("trial", true), ("usage", "many"),
  ("metrics", 3.5),
]

@Suite("The fields of a service")
struct ServiceFieldTests {
  @Test("a text takes exactly its limit of characters", arguments: textLimits)
  func text(field: String, max: Int) throws {
    for character in ["x", "é", "😀"] {
      let full = String(repeating: character, count: max)
      let service = try listing([field: .string(full)])
      #expect(service.text(field) == full)
      let fault = faults(document([field: .string(full + character)])).first
      #expect(fault == Refusal.Field("/" + field, "must be at most \(max) characters"))
    }
  }

  @Test("a list takes exactly its limits of entries and characters", arguments: listLimits)
  func list(row: (String, Int, Int)) throws {
    let (field, countMax, max) = row
    let entry = String(repeating: "é", count: max)
    let full = [String](repeating: entry, count: countMax)
    let service = try listing([field: .strings(full)])
    #expect(service.list(field) == full)
    let tooMany = faults(document([field: .strings(full + ["x"])]))
    #expect(tooMany == [Refusal.Field("/" + field, "must have at most \(countMax) entries")])
    let tooLong = faults(document([field: .strings([entry + "x"])]))
    let reason = "each entry must be at most \(max) characters"
    #expect(tooLong == [Refusal.Field("/" + field, reason)])
  }

  @Test("an opaque value takes exactly its limit of bytes", arguments: opaqueLimits)
  func opaque(field: String, byteMax: Int) throws {
    // The object {"a":"…"} has eight bytes beside the text.
    let fits = String(repeating: "x", count: byteMax - 8)
    let service = try listing([field: ["a": .string(fits)]])
    #expect(service.fields[field]?["a"]?.string == fits)
    let found = faults(document([field: ["a": .string(fits + "x")]]))
    #expect(found == [Refusal.Field("/" + field, "must be at most \(byteMax) bytes")])
  }

  @Test("an allowed value is taken", arguments: allowed)
  func takes(field: String, value: JSON) {
    let found = faults(document([field: value]))
    #expect(found.isEmpty)
  }

  @Test("a value that does not fit is refused at its field", arguments: refused)
  func refuses(field: String, value: JSON) throws {
    let found = faults(document([field: value]))
    let first = try #require(found.first)
    #expect(first.pointer == "/" + field)
    #expect(!first.reason.isEmpty)
  }

  @Test("a link takes 2,000 bytes and no more", arguments: ["websiteUrl", "appUrl"])
  func link(field: String) {
    let full = "https://example.com/" + String(repeating: "x", count: 1_980)
    #expect(faults(document([field: .string(full)])).isEmpty)
    #expect(faults(document([field: .string(full + "x")])).map(\.pointer) == ["/" + field])
  }

  @Test("ten addresses to return to are taken, each an https link")
  func redirects() {
    let link = "https://app.example.com/back"
    let ten = [String](repeating: link, count: 10)
    #expect(faults(document(["redirectUris": .strings(ten)])).isEmpty)
    let eleven = faults(document(["redirectUris": .strings(ten + [link])]))
    #expect(eleven.map(\.pointer) == ["/redirectUris"])
    let mixed = faults(document(["redirectUris": .strings([link, "http://example.com/back"])]))
    #expect(mixed.map(\.pointer) == ["/redirectUris/1"])
  }

  @Test("features are at most sixty names of at most forty bytes")
  func features() {
    var flags = JSONObject()
    for number in 0..<60 { flags["flag\(number)"] = .bool(number % 2 == 0) }
    #expect(faults(document(["features": .object(flags)])).isEmpty)
    flags["flag60"] = true
    #expect(faults(document(["features": .object(flags)])).map(\.pointer) == ["/features"])
    let name = String(repeating: "n", count: 40)
    #expect(faults(document(["features": .object([name: true])])).isEmpty)
    let longer: JSONObject = [name + "n": true]
    #expect(faults(document(["features": .object(longer)])).map(\.pointer) == ["/features"])
  }

  @Test("every fault is said at once, at its own pointer")
  func together() {
    let found = faults([
      "id": "Not a slug", "name": "Alpha", "kind": "thing", "rating": 9,
      "offers": [["plan": "gold"]], "trial": ["minutes": 1],
    ])
    let pointers = found.map(\.pointer).sorted()
    #expect(pointers == ["/id", "/kind", "/offers/0/plan", "/rating", "/trial/minutes"])
  }

  @Test("an absent field stays absent, and nothing but kind and status is filled in")
  func absent() throws {
    let service = try listing()
    #expect(service.fields.keys.sorted() == ["kind", "name", "status"])
    #expect(service.text("kind") == "api")
    #expect(service.status == "active")
    #expect(service.isPublic)
    #expect(service.offers.isEmpty)
    #expect(service.extra.isEmpty)
    #expect(service.list("tags") == nil)
  }

  @Test(
    "a draft and a removed listing are not public",
    arguments: [
      ("draft", false), ("removed", false), ("active", true), ("maintenance", true),
      ("deprecated", true),
    ])
  func visibility(status: String, isPublic: Bool) throws {
    let service = try listing(["status": .string(status)])
    #expect(service.isPublic == isPublic)
  }

  @Test("a name that is too long is not also called missing")
  func once() {
    let found = faults(document(["name": .string(String(repeating: "x", count: 201))]))
    #expect(found == [Refusal.Field("/name", "must be at most 200 characters")])
  }

  @Test(
    "a listing without a name is refused",
    arguments: [#"{"id":"a"}"#, #"{"id":"a","name":""}"#, #"{"id":"a","name":null}"#])
  func nameless(text: String) throws {
    let found = faults(try object(text))
    #expect(found == [Refusal.Field("/name", "is missing")])
  }

  @Test("the table of fields has no name twice and knows every one by name")
  func table() {
    #expect(Set(Field.all.map(\.name)).count == Field.all.count)
    #expect(Field.named.count == Field.all.count)
    let silent = Field.all.filter(\.help.isEmpty).map(\.name)
    #expect(silent.isEmpty)
    let onlyFacets = Field.all.filter { $0.isFacet && !$0.isFilterable }.map(\.name)
    #expect(onlyFacets.isEmpty)
  }
}
