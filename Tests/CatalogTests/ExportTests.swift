import Catalog
import Primitives
import SQLite
import Testing
import TestSupport

/// Random listings of a seed, as documents of our own shape.
struct RandomListing {
  private var random: SplitMix64

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  mutating func document(id: String) -> JSONObject {
    var document: JSONObject = ["id": .string(id), "providerId": "acme", "name": .string(line())]
    if chance() { document["providerName"] = "Acme" }
    for field in Field.all where chance() {
      if let found = value(of: field) { document[field.name] = found }
    }
    if chance() { document["offers"] = offers() }
    if chance() { document["unknown-" + String(below(9))] = .array([.null, 1, .double(2.5)]) }
    return document
  }

  private mutating func value(of field: Field) -> JSON? {
    switch field.kind {
    case .text(let max): return .string(String(line().unicodeScalars.prefix(max)))
    case .prose(let max): return .string(String(text().unicodeScalars.prefix(max)))
    case .url: return .string("https://example.com/" + String(below(1_000)))
    case .choice(let words): return .string(words[below(words.count)])
    case .list(let countMax, _):
      if field.name == "redirectUris" { return ["https://example.com/back"] }
      return .strings((0..<below(min(countMax, 5))).map { "word \($0)" })
    case .choices(let words): return .strings([words[below(words.count)]])
    case .integer(let max): return .int(Int64(below(Int(max))))
    case .number: return .double(Double(below(40)) / 8)
    case .bool: return .bool(chance())
    case .date: return .string("202\(below(10))-0\(1 + below(9))-1\(below(10))")
    case .flags: return ["vision": .bool(chance()), "jsonMode": .bool(chance())]
    case .opaque:
      if field.name == "trial" { return ["offered": true, "minutes": 15] }
      return opaque()
    }
  }

  private mutating func opaque() -> JSON {
    ["deep": [["a": .string(text())], .null, .int(Int64(below(1_000)))], "b": .bool(chance())]
  }

  private mutating func offers() -> JSON {
    var offers: [JSON] = []
    for number in 0..<below(4) {
      let price: JSON = [
        "meter": "call", "per": 1, "amountNano": .int(Int64(below(1_000_000_000))),
        "currency": "EUR",
      ]
      offers.append([
        "id": .string("offer-\(number)"), "plan": .string(Offer.plans[below(6)]),
        "prices": [price], "limits": ["daily": .int(Int64(below(100)))],
      ])
    }
    return .array(offers)
  }

  private static let parts = [
    "plain", "Ünïcödé", "日本語", "👩‍👩‍👧", "\"quoted\"", "back\\slash", "</script>", "\u{200D}",
    "e\u{301}", "a, b", "'",
  ]

  private mutating func text() -> String {
    text(of: RandomListing.parts + ["tab\t", "line\n", "\u{202E}", "\u{7F}"])
  }

  /// A text of one line, with something to be seen.
  private mutating func line() -> String { "a" + text(of: RandomListing.parts) }

  private mutating func text(of parts: [String]) -> String {
    (0...below(4)).map { _ in parts[below(parts.count)] }.joined(separator: " ")
  }

  private mutating func below(_ limit: Int) -> Int { Int(random.next() % UInt64(max(limit, 1))) }
  private mutating func chance() -> Bool { random.next() & 1 == 0 }
}

@Suite("Documents that go out and come in again")
struct ExportTests {
  @Test("a document read again is the same document", arguments: 0..<40 as Range<UInt64>)
  func identity(seed: UInt64) throws {
    var random = RandomListing(seed: seed)
    for number in 0..<10 {
      let service = try Service.read(random.document(id: "service-\(number)"))
      let text = JSON.object(service.document).text
      let again = try Service.read(try object(text))
      #expect(JSON.object(again.document).text == text)
      #expect(again.id == service.id)
      #expect(again.providerID == service.providerID)
      #expect(again.offers.map(\.terms) == service.offers.map(\.terms))
      #expect(JSON.object(again.extra).text == JSON.object(service.extra).text)
    }
  }

  @Test("documents of a record imported again are all the same", arguments: [1, 2, 3] as [UInt64])
  func importAgain(seed: UInt64) async throws {
    var random = RandomListing(seed: seed)
    let record = try Record()
    for number in 0..<30 {
      let service = try Service.read(random.document(id: "service-\(number)"))
      _ = try await record.put(service)
    }
    let stored = try await record.database.read {
      try CatalogStore.services(after: "", limit: 100, on: $0)
    }
    let lines = stored.map { JSON.object($0.service.document).text }
    let file = try record.folder.file("export.jsonl", lines: lines)
    let (same, said) = try await record.imported([file])
    #expect(said.isEmpty)
    #expect(same.same == 30)
    let other = try Record()
    let (fresh, _) = try await other.imported([file])
    #expect(fresh.created == 30)
    let copied = try await other.database.read {
      try CatalogStore.services(after: "", limit: 100, on: $0)
    }
    let copies = copied.map { JSON.object($0.service.document).text }
    #expect(copies == lines)
  }

  @Test("a document has its id first and its offers after its fields")
  func order() throws {
    let service = try listing(["tags": ["a"], "offers": [[:]], "later": 1])
    let head = service.document.keys.prefix(4).joined(separator: " ")
    #expect(head == "id providerId name kind")
    let tail = service.document.keys.dropFirst(4).joined(separator: " ")
    #expect(tail == "tags status categories offers extra")
  }
}
