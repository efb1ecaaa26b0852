import Catalog
import Primitives
import Search
import Testing

// Properties:
// 1. A service is found exactly where a plain evaluation in three-valued logic is true for one of
//    its offers, in the base and in the delta of the index.
// 2. The canonical text of a filter finds the same.
// 3. Unknown never passes: neither a condition nor its opposite.

@Suite("What a filter means")
struct FilterSemanticsTests {
  @Test("a filter finds what a plain evaluation finds", arguments: 0..<24 as Range<UInt64>)
  func reference(seed: UInt64) async throws {
    var catalog = RandomCatalog(seed: seed)
    let services = try catalog.services(40)
    // Every third world has its listings in the delta, every third in both.
    let baseCount = [40, 0, 20][Int(seed % 3)]
    let world = try await World(
      Array(services.prefix(baseCount)), later: Array(services.dropFirst(baseCount)))
    let facts = FactTable(services.filter(\.isPublic))
    var conditions = RandomConditions(seed: seed)
    for number in 0..<100 {
      let condition = number % 10 == 9 ? conditions.unknownFlag() : conditions.condition()
      let expected = facts.ids(matching: condition).sorted()
      let answer = try world.search(filter: condition.text)
      #expect(answer.total == expected.count, "\(condition.text)")
      #expect(answer.ids == expected, "\(condition.text)")
    }
  }

  @Test("the canonical text of a filter means the same", arguments: 100..<110 as Range<UInt64>)
  func canonical(seed: UInt64) async throws {
    var catalog = RandomCatalog(seed: seed)
    let world = try await World(try catalog.services(40))
    var conditions = RandomConditions(seed: seed)
    for _ in 0..<40 {
      let text = conditions.condition().text
      let expression = try #require(try FilterParser.parse(text))
      let canonical = expression.canonical
      let again = try #require(try FilterParser.parse(canonical))
      #expect(again.canonical == canonical, "\(text)")
      let one = try world.search(filter: text)
      let other = try world.search(filter: canonical)
      #expect(one.ids == other.ids, "\(text)")
    }
  }

  @Test("a condition and its opposite share no service", arguments: 200..<206 as Range<UInt64>)
  func opposite(seed: UInt64) async throws {
    var catalog = RandomCatalog(seed: seed)
    // One offer each at most: with several, one may hold and another not.
    let services = try catalog.services(40).filter { $0.offers.count <= 1 }
    let world = try await World(services)
    var conditions = RandomConditions(seed: seed)
    for _ in 0..<40 {
      let text = conditions.condition().text
      let yes = Set(try world.search(filter: text).ids)
      let no = Set(try world.search(filter: "NOT (\(text))").ids)
      #expect(yes.isDisjoint(with: no), "\(text)")
    }
  }

  @Test("a service without an offer has unknown prices, and a price passes no filter unseen")
  func withoutOffers() async throws {
    let world = try await World([
      try listing("priced", ["offers": [offer(milli: 5_000)]]), try listing("silent"),
    ])
    #expect(try world.search(filter: "price < 10").ids == ["priced"])
    #expect(try world.search(filter: "NOT price < 10").total == 0)
    #expect(try world.search(filter: "price >= 10").total == 0)
    #expect(try world.search(filter: "price != 1").ids == ["priced"])
    #expect(try world.search(filter: "price IS UNKNOWN").ids == ["silent"])
    #expect(try world.search(filter: "price < 10 OR price IS UNKNOWN").total == 2)
    #expect(try world.search(filter: "plan != free").ids == ["priced"])
  }

  @Test("all conditions must hold for one and the same offer")
  func sameOffer() async throws {
    let world = try await World([
      try listing(
        "mixed",
        [
          "offers": [
            offer("cheap", plan: "bundle", milli: 1_000),
            offer("dear", plan: "usage", milli: 9_000),
          ]
        ])
    ])
    #expect(try world.search(filter: "price < 2").total == 1)
    #expect(try world.search(filter: "plan = usage").total == 1)
    #expect(try world.search(filter: "price < 2 AND plan = usage").total == 0)
    #expect(try world.search(filter: "price < 2 AND plan = bundle").total == 1)
    #expect(try world.search(filter: "NOT (price < 2 AND plan = usage)").total == 1)
  }

  @Test("a price in another currency is unknown")
  func currencies() async throws {
    let world = try await World([
      try listing("dollar", ["offers": [offer(milli: 1_000, currency: "USD")]]),
      try listing("euro", ["offers": [offer(milli: 1_000, currency: "EUR")]]),
    ])
    #expect(try world.search(filter: "price <= 1").ids == ["dollar"])
    #expect(try world.search(filter: "price <= \"1 EUR\"").ids == ["euro"])
    #expect(try world.search(filter: "NOT price <= 1").total == 0)
    #expect(try world.search(filter: "price <= 1 GBP").total == 0)
    #expect(try world.search(filter: "EXISTS price").total == 2)
    #expect(try world.search(filter: "price IN [1, \"1 EUR\"]").total == 2)
  }

  @Test("words are compared without regard to case, and lists by any of their values")
  func words() async throws {
    let world = try await World([
      try listing("one", ["tags": ["Chat", "Code"]]), try listing("two", ["tags": ["Code"]]),
      try listing("three"),
    ])
    #expect(try world.search(filter: "tags = chat").ids == ["one"])
    #expect(try world.search(filter: "tags = CODE").total == 2)
    #expect(try world.search(filter: "tags != chat").ids == ["two"])
    #expect(try world.search(filter: "tags IN [chat, nothing]").ids == ["one"])
    #expect(try world.search(filter: "NOT tags IN [chat, nothing]").ids == ["two"])
    #expect(try world.search(filter: "tags IS UNKNOWN").ids == ["three"])
  }

  @Test("a flag is true, false or unknown, each on its own")
  func flags() async throws {
    let world = try await World([
      try listing("yes", ["features": ["vision": true, "tools": false]]),
      try listing("no", ["features": ["vision": false]]), try listing("silent"),
      try listing("other", ["compliance": [["scheme": "gdpr", "state": "yes"]]]),
      try listing(
        "open",
        [
          "compliance": [
            ["scheme": "gdpr", "state": "unknown"], ["scheme": "hipaa", "state": "no"],
          ]
        ]),
    ])
    #expect(try world.search(filter: "features.vision = yes").ids == ["yes"])
    #expect(try world.search(filter: "features.vision = no").ids == ["no"])
    #expect(try world.search(filter: "features.vision != yes").ids == ["no"])
    #expect(try world.search(filter: "features.vision IS UNKNOWN").total == 3)
    #expect(try world.search(filter: "features = vision").ids == ["yes"])
    #expect(try world.search(filter: "compliance.gdpr = yes").ids == ["other"])
    #expect(try world.search(filter: "compliance.gdpr = no").total == 0)
    #expect(try world.search(filter: "compliance.hipaa = no").ids == ["open"])
  }

  @Test("a flag that nobody has is unknown beside one that is false")
  func unheardFlag() async throws {
    let world = try await World([
      try listing("no", ["features": ["vision": false]]),
      try listing("yes", ["features": ["vision": true]]),
    ])
    #expect(try world.search(filter: "features IN [vision, unheard]").ids == ["yes"])
    #expect(try world.search(filter: "NOT features IN [vision, unheard]").total == 0)
  }

  @Test("whether a flag is known is asked of the flag, not of the field")
  func knownFlag() async throws {
    let world = try await World([
      try listing("asked", ["features": ["vision": false]]),
      try listing("other", ["features": ["tools": true]]), try listing("silent"),
    ])
    #expect(try world.search(filter: "EXISTS features.vision").ids == ["asked"])
    #expect(try world.search(filter: "EXISTS features").ids == ["asked", "other"])
  }

  @Test("a draft and a removed listing are found by no filter")
  func hidden() async throws {
    let world = try await World([
      try listing("draft", ["status": "draft"]), try listing("removed", ["status": "removed"]),
      try listing("active"),
    ])
    #expect(try world.search().ids == ["active"])
    #expect(try world.search(filter: "status IN [draft, removed]").total == 0)
    #expect(try world.search(filter: "NOT status = active").total == 0)
  }
}
