import Catalog
import Primitives
import Search
import Testing

// Properties, over seeded catalogs, queries and filters:
// 1. The entries of a field with one value, its other and its unknown add up to the total of the
//    search without the field's own conditions.
// 2. The count of each entry is the total of the search with the field's own conditions replaced
//    by that value.
// 3. The buckets of a number and its unknown add up to the same total.
// 4. The pages hold each service of the set once, and the total does not depend on the limit.

private let single = [
  "kind", "status", "authType", "https", "providerId", "provider", "verified", "trialOffered",
]
private let several = ["tags", "regions", "inputModalities", "features", "plan", "currency"]
private let numeric = [
  "contextWindow", "rating", "stars", "latencyP95", "price", "inputPrice", "monthlyFee",
]

/// A search of a seed: a query of up to two words, and up to three conditions.
private struct RandomSearch {
  var query = ""
  var filter: FilterExpression?

  init(_ random: inout SplitMix64, _ conditions: inout RandomConditions) throws {
    if random.chance(60) { query = random.pick(RandomCatalog.words) }
    if random.chance(30) { query += " " + random.pick(RandomCatalog.words) }
    var parts: [Condition] = []
    for _ in 0..<random.below(4) {
      parts.append(random.chance(60) ? conditions.word() : conditions.leaf())
    }
    if !parts.isEmpty { filter = try FilterParser.parse(Condition.every(parts).text) }
  }

  /// The filter without the conditions on one field alone.
  func filter(without field: String) -> FilterExpression? {
    let rest = (filter?.conjuncts ?? []).filter { $0.fields != [field] }
    return rest.isEmpty ? nil : FilterExpression.and(rest)
  }
}

@Suite("Facets, totals and pages come from one set")
struct FacetTests {
  @Test("single values add up to the total", arguments: 0..<12 as Range<UInt64>)
  func sums(seed: UInt64) async throws {
    var catalog = RandomCatalog(seed: seed)
    let services = try catalog.services(40)
    let world = try await World(Array(services.prefix(25)), later: Array(services.dropFirst(25)))
    var random = SplitMix64(seed: seed)
    var conditions = RandomConditions(seed: seed)
    for _ in 0..<12 {
      let search = try RandomSearch(&random, &conditions)
      let facetLimit = 1 + random.below(4)
      let answer = try world.search(search.query) {
        $0.filter = search.filter
        $0.facets = single
        $0.facetLimit = facetLimit
      }
      #expect(answer.facets.map(\.field) == single)
      for facet in answer.facets {
        let rest = try world.search(search.query) {
          $0.filter = search.filter(without: facet.field)
        }
        let sum = facet.entries.reduce(0) { $0 + $1.count }
        #expect(sum + facet.otherCount + facet.unknownCount == rest.total, "\(facet.field)")
      }
    }
  }

  @Test("every count is what a search for the value finds", arguments: 20..<26 as Range<UInt64>)
  func counts(seed: UInt64) async throws {
    var catalog = RandomCatalog(seed: seed)
    let services = try catalog.services(40)
    let world = try await World(Array(services.prefix(20)), later: Array(services.dropFirst(20)))
    var random = SplitMix64(seed: seed)
    var conditions = RandomConditions(seed: seed)
    for _ in 0..<6 {
      let search = try RandomSearch(&random, &conditions)
      let answer = try world.search(search.query) {
        $0.filter = search.filter
        $0.facets = single + several
        $0.facetLimit = 100
      }
      for facet in answer.facets {
        let others = search.filter(without: facet.field)
        for entry in facet.entries {
          let value = FilterExpression.compare(
            field: facet.field, .equal, .word(entry.value))
          let found = try world.search(search.query) {
            $0.filter = others.map { FilterExpression.and([$0, value]) } ?? value
          }
          #expect(found.total == entry.count, "\(facet.field) \(entry.value)")
        }
      }
    }
  }

  @Test("an unknown count is what a search for unknown finds", arguments: [30, 31, 32] as [UInt64])
  func unknown(seed: UInt64) async throws {
    var catalog = RandomCatalog(seed: seed)
    let world = try await World(try catalog.services(40))
    let answer = try world.search { $0.facets = single }
    for facet in answer.facets {
      let found = try world.search(filter: "\(facet.field) IS UNKNOWN")
      #expect(facet.unknownCount == found.total, "\(facet.field)")
    }
  }

  @Test("the ranges of numbers add up to the total", arguments: 40..<46 as Range<UInt64>)
  func ranges(seed: UInt64) async throws {
    var catalog = RandomCatalog(seed: seed)
    let world = try await World(try catalog.services(40))
    var random = SplitMix64(seed: seed)
    var conditions = RandomConditions(seed: seed)
    for _ in 0..<10 {
      let search = try RandomSearch(&random, &conditions)
      let answer = try world.search(search.query) {
        $0.filter = search.filter
        $0.facets = numeric
      }
      for facet in answer.facets {
        let rest = try world.search(search.query) {
          $0.filter = search.filter(without: facet.field)
        }
        let sum = facet.buckets.reduce(0) { $0 + $1.count }
        #expect(sum + facet.unknownCount == rest.total, "\(facet.field)")
        guard let statistics = facet.statistics else {
          #expect(facet.buckets.isEmpty)
          continue
        }
        #expect(statistics.min <= statistics.average)
        #expect(statistics.average <= statistics.max)
        #expect(facet.buckets.first?.from == statistics.min)
        #expect(facet.buckets.last?.to == statistics.max)
      }
    }
  }

  @Test("the statistics of a number are those of the services that state it")
  func statistics() async throws {
    let world = try await World([
      try listing("a", ["contextWindow": 1_000]), try listing("b", ["contextWindow": 5_000]),
      try listing("c", ["contextWindow": 9_000]), try listing("d"),
    ])
    let answer = try world.search { $0.facets = ["contextWindow"] }
    let facet = try #require(answer.facets.first)
    let statistics = try #require(facet.statistics)
    #expect(statistics.min == 1_000)
    #expect(statistics.max == 9_000)
    #expect(abs(statistics.average - 5_000) < 1e-9)
    #expect(facet.unknownCount == 1)
  }

  @Test("pages hold every service of the set once", arguments: 50..<60 as Range<UInt64>)
  func pages(seed: UInt64) async throws {
    var catalog = RandomCatalog(seed: seed)
    let services = try catalog.services(60)
    let world = try await World(Array(services.prefix(40)), later: Array(services.dropFirst(40)))
    var random = SplitMix64(seed: seed)
    var conditions = RandomConditions(seed: seed)
    let sorts = [[], ["relevance"], ["rating"], ["price", "newest"], ["name"]]
    for _ in 0..<8 {
      let search = try RandomSearch(&random, &conditions)
      let sort = try random.pick(sorts).map { try SortKey.read($0) }
      let limit = 1 + random.below(15)
      var ids: [String] = []
      var totals: Set<Int> = []
      var offset: Int? = 0
      while let start = offset {
        let answer = try world.search(search.query) {
          $0.filter = search.filter
          $0.sort = sort
          $0.limit = limit
          $0.offset = start
        }
        #expect(answer.ids.count <= limit)
        ids += answer.ids
        totals.insert(answer.total)
        offset = answer.nextOffset
      }
      let whole = try world.search(search.query) {
        $0.filter = search.filter
        $0.sort = sort
      }
      #expect(Array(totals) == [whole.total])
      #expect(Set(ids).count == ids.count)
      #expect(ids == whole.ids)
      #expect(ids.count == whole.total)
    }
  }

  @Test("the total is the same under any limit", arguments: [0, 1, 7, 40, 100])
  func limits(limit: Int) async throws {
    var catalog = RandomCatalog(seed: 61)
    let world = try await World(try catalog.services(40))
    let queries = ["", "weather", "storm robot", "picture -voice"]
    for query in queries {
      let one = try world.search(query) { $0.limit = limit }
      let other = try world.search(query)
      #expect(one.total == other.total, "\(query)")
      #expect(one.ids == Array(other.ids.prefix(limit)), "\(query)")
    }
  }

  @Test("a page beyond the end is empty, with the same total")
  func beyond() async throws {
    var catalog = RandomCatalog(seed: 62)
    let world = try await World(try catalog.services(20))
    let whole = try world.search()
    let answer = try world.search { $0.offset = 1_000 }
    #expect(answer.hits.isEmpty)
    #expect(answer.total == whole.total)
    #expect(answer.nextOffset == nil)
  }

  @Test("a chosen value is shown, with nothing too and beyond the limit")
  func selected() async throws {
    let world = try await World([
      try listing("a"), try listing("b"), try listing("c", ["kind": "model"]),
    ])
    let none = try world.search(filter: "kind = tool") { $0.facets = ["kind"] }
    #expect(none.total == 0)
    #expect(none.counts("kind") == ["api": 2, "model": 1, "tool": 0])
    let marked = none.facets.first?.entries.filter(\.isSelected).map(\.value)
    #expect(marked == ["tool"])
    let limited = try world.search(filter: "kind IN [model]") {
      $0.facets = ["kind"]
      $0.facetLimit = 1
    }
    #expect(limited.counts("kind") == ["api": 2, "model": 1])
    #expect(limited.total == 1)
  }

  @Test("a condition on an unknown flag is left out of its own facet")
  func unknownFlag() async throws {
    let world = try await World([
      try listing("tools", ["features": ["tools": true]]),
      try listing("vision", ["features": ["vision": true]]),
    ])
    let answer = try world.search(filter: "features.vision IS UNKNOWN") {
      $0.facets = ["features"]
    }
    #expect(answer.total == 1)
    #expect(answer.counts("features") == ["tools": 1, "vision": 1])
  }

  @Test(
    "a facet that is none is refused, and the nearest is named",
    arguments: [("kinds", "kind"), ("region", "regions"), ("nothing-like-it", ""), ("id", "")])
  func noFacet(name: String, nearest: String) async throws {
    let world = try await World()
    let refusal = #expect(throws: Refusal.self) {
      try world.search { $0.facets = [name] }
    }
    #expect(refusal?.code == ProblemCode.validationFailed)
    #expect(refusal?.fields.first?.pointer == "/facets")
    let reason = refusal?.fields.first?.reason ?? ""
    let isNamed = nearest.isEmpty || reason.contains(nearest)
    #expect(isNamed)
  }
}
