import Catalog
import Primitives
import Search
import Testing

// Properties, over seeded worlds in base and delta:
// 1. At fewer than three hits the sets to drop and the moved bounds are those of brute force: every subset of
//    the conditions, and every value of a field as the bound, the nearest first.
// 2. The filter of a moved bound, sent in place of the search's own, finds as many as was said.

@Suite("What a search with few hits may let go of")
struct RelaxationTests {
  private static let bounds = [
    "contextWindow >= 100000", "contextWindow < 8000", "rating > 4.25", "stars >= 500",
    "latencyP95 < 100", "uptime > 99.9", "releasedAt > 2024-12-31", "price < 0.1",
    #"inputPrice <= "0.2 EUR""#, "pricePerCall < 0.5", "monthlyFee < 0.1", "runs 3 TO 4",
    "price 0.2 TO 0.3", "releasedAt 2023-01-01 TO 2023-04-30",
  ]
  private static let others = [
    "kind = model", "features.vision = yes", "regions = eu", "https = true", "plan = usage",
    "compliance.gdpr = yes", "tags = alpha",
  ]
  private static let spoken = ["", "", "within 50 ms", "under $0.1 per call", "200k context"]

  @Test("sets and bounds are those of brute force", arguments: 9_100..<9_106 as Range<UInt64>)
  func bruteForce(seed: UInt64) async throws {
    let made = try await RandomWorld(seed: seed, counts: [40, 60, 100])
    var requests = RandomRequests(seed: seed, world: made)
    var conditions = RandomConditions(seed: seed)
    var random = SplitMix64(seed: seed)
    var check = SearchCheck(made)
    var (few, moved) = (0, 0)
    for number in 0..<150 {
      var request = requests.next()
      request.query.text = request.query.words
      request.query.phrases = []
      request.query.exclusions = []
      request.query.spoken = []
      request.conditions = (0..<(1 + random.below(4))).map { _ in conditions.leaf() }
      let faults = try check.faults(of: request)
      #expect(faults == [], "seed \(seed), request \(number): \(request)")
      if !faults.isEmpty { return }
      let answer = try made.world.engine.search(try request.made(), on: made.world.snapshot)
      if (1...2).contains(answer.total), !answer.relaxations.isEmpty { few += 1 }
      moved += answer.relaxations.count { $0.loosened != nil }
    }
    #expect(few > 0)
    #expect(moved > 10)
  }

  @Test("a moved bound finds what it says", arguments: 9_200..<9_206 as Range<UInt64>)
  func sentBack(seed: UInt64) async throws {
    let made = try await RandomWorld(seed: seed, counts: [60, 100])
    var random = SplitMix64(seed: seed)
    var count = 0
    for _ in 0..<200 {
      let parts =
        (0..<random.below(3)).map { _ in random.pick(RelaxationTests.bounds) }
        + (0..<random.below(2)).map { _ in random.pick(RelaxationTests.others) }
      let query = random.pick(RelaxationTests.spoken)
      let filter = parts.joined(separator: " AND ")
      let answer = try made.world.search(query, filter: filter)
      #expect(answer.relaxations.count <= 5)
      #expect(answer.total < 3 || answer.relaxations.count == answer.unapplied.count)
      // A condition that was not applied may be again where more is left.
      for relaxation in answer.relaxations where answer.unapplied.isEmpty {
        #expect(relaxation.total > answer.total)
        guard let loosened = relaxation.loosened else { continue }
        count += 1
        let again = try made.world.search(query, filter: loosened.filter)
        #expect(again.total == loosened.total, "\(query) | \(filter) | \(loosened.filter)")
        #expect(again.filter?.canonical == loosened.filter)
        #expect(loosened.total > answer.total && loosened.total <= relaxation.total)
      }
    }
    #expect(count > 10)
  }

  private func models() throws -> [Service] {
    let rows: [(String, Int64, Int64)] = [
      ("a", 100, 8_000), ("b", 300, 8_000), ("c", 700, 64_000), ("d", 900, 200_000),
    ]
    return try rows.map { id, milli, context in
      let price: JSON = [
        "meter": "inputToken", "per": 1_000_000, "amountNano": .int(milli * 1_000_000),
        "currency": "USD",
      ]
      return try listing(id, ["contextWindow": .int(context), "offers": [["prices": [price]]]])
    }
  }

  @Test("a price goes up to the next one, in people's words")
  func words() async throws {
    let world = try await World(try models())
    let answer = try world.search(filter: "inputPrice < 0.05 AND contextWindow > 10k")
    #expect(answer.total == 0)
    let one = try #require(answer.relaxations.first)
    #expect(one.keys == ["inputPrice < 0.05"])
    #expect(one.total == 2)
    #expect(one.loosened?.label == "input price per 1M tokens up to 0.70 USD")
    #expect(one.loosened?.filter == "inputPrice <= 0.70 AND contextWindow > 10k")
    #expect(one.loosened?.total == 1)
  }

  @Test("one or two hits are few, three are not")
  func few() async throws {
    let world = try await World(try models())
    let two = try world.search(filter: "contextWindow >= 64000")
    #expect(two.total == 2)
    #expect(two.relaxations.map(\.total) == [4])
    #expect(two.relaxations.first?.loosened?.label == "context window at least 8,000")
    #expect(two.relaxations.first?.loosened?.total == 4)
    let three = try world.search(filter: "inputPrice <= 0.7")
    #expect(three.total == 3)
    #expect(three.relaxations.isEmpty)
  }

  @Test("a condition of the words that was not applied says the nearest bound")
  func demoted() async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search("weather under $1")
    let loosened = try #require(answer.relaxations.first?.loosened)
    let again = try world.search("weather under $1", filter: loosened.filter)
    #expect(again.total == loosened.total)
    #expect(again.unapplied.isEmpty && again.total > 0)
  }

  @Test("a condition on the same subject stays, written beside the moved one")
  func sameSubject() async throws {
    let world = try await World(try models())
    let query = "over $0.20 per 1M input tokens, under $0.50 per 1M input tokens"
    let answer = try world.search(query)
    try #require(answer.understood.count == 2)
    #expect(answer.ids == ["b"])
    let moved = answer.relaxations.compactMap(\.loosened)
    #expect(
      moved.map(\.filter) == [
        "inputPrice <= 0.70 AND inputPrice > 0.20", "inputPrice >= 0.10 AND inputPrice < 0.50",
      ])
    for one in moved {
      #expect(one.total == 2)
      #expect(try world.search(query, filter: one.filter).total == 2)
    }
  }

  @Test("two conditions with one label are told apart")
  func oneLabel() async throws {
    let world = try await World(try models())
    let answer = try world.search {
      $0.constraints = try ["inputPrice < 0.05", "contextWindow > 1m"].compactMap { text throws in
        try FilterParser.parse(text).map { Constraint(expression: $0, label: "x", span: 0..<0) }
      }
    }
    #expect(answer.relaxations.map(\.keys) == [["inputPrice < 0.05", "contextWindow > 1m"]])
    #expect(answer.relaxations.map(\.total) == [4])
    #expect(answer.relaxations.first?.loosened == nil)
  }

  @Test("more than ten conditions are no limit")
  func many() async throws {
    let world = try await World(try models())
    let kept = (0..<60).map { "id != nothing-\($0)" }.joined(separator: " AND ")
    let wrong = "contextWindow > 1m AND inputPrice < 0.05 AND rating > 1"
    let answer = try world.search(filter: kept + " AND " + wrong)
    #expect(answer.relaxations.map(\.dropped.count) == [3])
    #expect(answer.relaxations.map(\.total) == [4])
  }
}
