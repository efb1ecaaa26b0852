import Catalog
import Primitives
import Search
import Testing

// Disagreements of the engine with the specification that reading found, one small case each. They are
// below what random worlds reach, or would be hard to read there.

@Suite("Exactness: findings")
struct ExactnessFindingTests {
  @Test("no range of a histogram runs backwards", arguments: [0, 99] as [Int64])
  func histogram(milli: Int64) async throws {
    // Free and one price: the least above nothing is the most.
    let world = try await World([
      try listing("a", ["offers": [offer(milli: milli)]]),
      try listing("b", ["offers": [offer(milli: 100)]]),
    ])
    let facet = try #require(try world.search { $0.facets = ["price"] }.facets.first)
    #expect(facet.buckets.reduce(0) { $0 + $1.count } == 2)
    for bucket in facet.buckets { #expect(bucket.from <= bucket.to) }
  }

  @Test("a histogram of parts of a billionth lies between its least and its most")
  func tinyHistogram() async throws {
    func character(_ id: String, nano: Int64) throws -> Service {
      let price: JSON = [
        "meter": "byte", "per": 1_000_000_000, "amountNano": .int(nano), "currency": "USD",
      ]
      return try listing(id, ["offers": [["id": "usage", "prices": [price]]]])
    }
    let world = try await World([
      try character("a", nano: 100_000_000), try character("b", nano: 1_600_000_000),
    ])
    let facet = try #require(try world.search { $0.facets = ["price"] }.facets.first)
    for bucket in facet.buckets { #expect(bucket.from <= bucket.to) }
    #expect(facet.buckets.last?.to == facet.statistics?.max)
  }

  @Test(
    "what is accepted has a canonical text that is",
    arguments: [
      // At the 64th level already: the canonical text of the condition has a NOT more.
      String(repeating: "NOT ", count: 63) + "license IS UNKNOWN",
      String(repeating: "(", count: 63) + "features.vision != yes"
        + String(repeating: ")", count: 63),
      String(repeating: "NOT ", count: 63) + "features.vision != yes",
      // A quote or backslash with a mark that combines with it is one character of Swift's.
      "tags = 'a\"\u{301}b'", "tags = \"a\\\\\u{301}\"",
    ])
  func canonical(text: String) throws {
    // Refused, or taken in both forms: what is refused names the canonical form as the reason.
    if let refusal = filterRefusal(text) {
      #expect(refusal.facts["expected"]?.string?.contains("canonical") == true)
      return
    }
    let expression = try #require(try FilterParser.parse(text))
    let again = try FilterParser.parse(expression.canonical)
    #expect(again == expression)
  }

  @Test("a field has no dot at its end or start", arguments: [".kind = api", "kind. = api"])
  func dots(text: String) {
    #expect(filterRefusal(text)?.code == ProblemCode.filterInvalid)
  }

  @Test("an explicit question whether a field is known wins over a condition in the words")
  func explicitUnknown() async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search("128k context", filter: "contextWindow IS UNKNOWN")
    #expect(answer.understood.isEmpty)
    #expect(answer.unapplied.isEmpty)
  }

  @Test("a price divides exactly")
  func division() async throws {
    let price: JSON = ["meter": "call", "per": 49, "amountNano": 49, "currency": "USD"]
    let world = try await World([
      try listing("a", ["offers": [["id": "usage", "prices": [price]]]])
    ])
    #expect(try world.search(filter: "pricePerCall = 0.000000001").ids == ["a"])
    #expect(try world.search(filter: "pricePerCall < 0.000000001").total == 0)
  }

  @Test("a page of nothing has no next page at the same place")
  func emptyPage() async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search { $0.limit = 0 }
    #expect(answer.nextOffset == nil)
  }

  @Test("the same request at the same revision of the same generation gives the same answer")
  func rebuiltBase() async throws {
    var listings = RandomListings(seed: 5)
    let world = try await World(try (0..<60).map { try listings.service("service-\($0)") })
    try await world.put(try (0..<30).map { try listings.service("service-\($0)") })
    let before = world.snapshot
    world.indexer.index.pin(before)
    let queries = ["weather storm", "storm voice robot", "speech invoice"]
    let first = try queries.map { try world.search($0) }
    try await world.indexer.load()
    #expect(world.snapshot.revision == before.revision)
    let named = try #require(
      world.indexer.index.snapshot(revision: before.revision, generation: before.generation))
    for (query, answer) in zip(queries, first) {
      // A cursor that was handed out before goes on in the order that it began in.
      let next = try world.search(query, on: named)
      #expect(next.ids == answer.ids, "\(query)")
      #expect(next.hits.map(\.score) == answer.hits.map(\.score), "\(query)")
    }
  }

  @Test("one wrong letter of six is a typo in every script")
  func cyrillicTypo() async throws {
    let world = try await World([try listing("a", ["name": "Погода"]), try listing("b")])
    #expect(try world.search("погода").ids == ["a"])
    #expect(try world.search("погота").ids == ["a"])
  }
}
