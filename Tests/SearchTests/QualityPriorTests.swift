import Catalog
import Primitives
import Search
import Testing

// Properties:
// 1. The prior is 0.5 where nothing is known, and each known part moves it by its weight at most.
// 2. The best hundred by score are scored again, where there are two words; those, and the others behind them,
//    each stand in the order of bucket, prior, score and id. Where no prior is known that is the order of score and id.
// 3. Pages of any size are parts of one order.

/// A hit as its explanation tells it.
private struct Explained {
  let id: String
  /// The score before it was scored again.
  let base: Float
  let score: Float
  let bucket: Double
  let prior: Double

  init?(_ hit: Hit) {
    guard let parts = hit.explanation, let text = parts["text"]?.double,
      let name = parts["name"]?.double, let bucket = parts["quality"]?["bucket"]?.double,
      let prior = parts["quality"]?["prior"]?.double
    else { return nil }
    id = hit.id
    base = Float(text) + Float(name)
    score = Float(hit.score)
    self.bucket = bucket
    self.prior = prior
  }

  static func precedes(_ left: Explained, _ right: Explained) -> Bool {
    let (one, other) = (
      (left.bucket, left.prior, left.score), (right.bucket, right.prior, right.score)
    )
    return one == other ? left.id < right.id : one > other
  }
}

@Suite("The quality prior")
struct QualityPriorTests {
  private static func uptime(_ value: Double, _ provenance: String) -> JSONObject {
    [
      "metrics": [
        ["name": "uptime30d", "value": .double(value), "provenance": .string(provenance)]
      ]
    ]
  }

  @Test(
    "it is made of what others say, and half where they say nothing",
    arguments: [
      ([:], 0.5), (["rating": 5], 0.5), (["reviewCount": 900], 0.5),
      (["rating": 5, "reviewCount": 0], 0.5), (["rating": 4, "reviewCount": 900], 0.5),
      (["rating": 5, "reviewCount": 10], 0.65), (["rating": 1, "reviewCount": 30], 0.33125),
      (["rating": 5, "reviewCount": 1_000_000_000_000], 0.8),
      (["rating": 0, "reviewCount": 1_000_000_000_000], 0.2), (uptime(100, "measured"), 0.7),
      (uptime(99.5, "measured"), 0.6), (uptime(99, "measured"), 0.5),
      (uptime(90, "measured"), 0.3), (uptime(12, "measured"), 0.3),
      (uptime(100, "declared"), 0.5), (uptime(-1, "measured"), 0.5),
      (uptime(101, "measured"), 0.5),
    ] as [(JSONObject, Double)])
  func value(facts: JSONObject, expected: Double) async throws {
    let world = try await World([try listing("one", facts)])
    let answer = try world.search { $0.explains = true }
    let prior = try #require(answer.hits.first?.explanation?["quality"]?["prior"]?.double)
    #expect(abs(prior - expected) < 1e-6)
  }

  @Test("a declared figure before the measured one does not hide it")
  func bothFigures() async throws {
    let metrics: JSON = [
      ["name": "uptime30d", "value": 100, "provenance": "declared"],
      ["name": "uptime30d", "value": 90, "provenance": "measured"],
    ]
    let world = try await World([try listing("one", ["metrics": metrics])])
    let hit = try #require(try world.search { $0.explains = true }.hits.first)
    let prior = try #require(hit.explanation?["quality"]?["prior"]?.double)
    #expect(abs(prior - 0.3) < 1e-6)
  }

  private func services(_ seed: UInt64, isRated: Bool) throws -> [Service] {
    var catalog = RandomCatalog(seed: seed)
    var random = SplitMix64(seed: seed ^ 0x9A11)
    return try catalog.services(320).map { service in
      var document = service.document
      document["status"] = "active"
      if isRated, random.chance(50) {
        document["rating"] = .double(random.pick([1, 3.5, 4, 4.75, 5]))
        document["reviewCount"] = .int(Int64(random.pick([0, 1, 20, 20, 4_000])))
      }
      if isRated, random.chance(30) {
        let figure = QualityPriorTests.uptime(random.pick([80, 98, 99, 99.9, 100]), "measured")
        document["metrics"] = figure["metrics"]
      }
      return try Service.read(document)
    }
  }

  @Test("it acts inside a range of scores only", arguments: 0..<6 as Range<UInt64>, [true, false])
  func order(seed: UInt64, isRated: Bool) async throws {
    let all = try services(seed, isRated: isRated)
    let world = try await World(Array(all.prefix(250)), later: Array(all.dropFirst(250)))
    for query in ["storm voice", "speech", "robot ledger calendar"] {
      var request = SearchRequest()
      request.query = query
      request.explains = true
      request.limit = SearchRequest.limitMax
      let hits = try world.walk(request).hits.compactMap { Explained($0) }
      let byScore = hits.sorted { ($1.base, $0.id) < ($0.base, $1.id) }
      // As `rescored.count` of Index/ranking.json says; one word has no pairs to be scored again by.
      let count = query.contains(" ") ? 100 : 0
      let (best, others) = (byScore.prefix(count), byScore.dropFirst(count))
      let expected =
        best.sorted(by: Explained.precedes) + others.sorted(by: Explained.precedes)
      #expect(hits.map(\.id) == expected.map(\.id), "\(query)")
      #expect(hits.allSatisfy { $0.bucket == Double(($0.score / 0.02).rounded(.down)) })
      if !isRated {
        #expect(hits.allSatisfy { $0.prior == 0.5 })
        let plain = hits.prefix(100).sorted { ($1.score, $0.id) < ($0.score, $1.id) }
        #expect(hits.prefix(100).map(\.id) == plain.map(\.id), "\(query)")
      }
      for limit in [3, 41, 99] {
        request.limit = limit
        #expect(try world.walk(request).ids == hits.map(\.id), "\(query), pages of \(limit)")
      }
    }
  }

  @Test("of two alike the better one stands first, and its explanation says so")
  func why() async throws {
    let better: JSONObject = ["name": "Harbour", "rating": 5, "reviewCount": 400]
    let world = try await World([
      try listing("a", ["name": "Harbour"]), try listing("b", better),
      try listing("c", ["name": "Harbour", "rating": 2, "reviewCount": 400]),
    ])
    let answer = try world.search("harbour") { $0.explains = true }
    #expect(answer.ids == ["b", "a", "c"])
    #expect(PairwiseWhy.why(answer.hits[0], over: answer.hits[1])?["mostly"] == "quality")
    // A sort of the caller's own knows no quality.
    let sorted = try world.search("harbour") {
      $0.explains = true
      $0.sort = [try SortKey.read("name")]
    }
    #expect(sorted.ids == ["a", "b", "c"])
    #expect(sorted.hits.allSatisfy { $0.explanation?["quality"] == nil })
  }
}
