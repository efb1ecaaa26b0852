import Catalog
import Primitives
import Search
import Testing

@Suite("Conditions of a search and what to drop")
struct ConstraintTests {
  @Test("a condition in the words holds, and is said with its span")
  func understood() async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search("a model with 128k context")
    #expect(answer.ids == ["gpt-4o"])
    #expect(answer.understood.map(\.expression.canonical) == ["contextWindow >= 128000"])
    #expect(answer.unapplied.isEmpty)
    #expect(answer.relaxations.isEmpty)
  }

  @Test("a search without words but with conditions finds everything that passes")
  func onlyConditions() async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search("image input")
    #expect(answer.ids == ["gpt-4o"])
    let off = try world.search("image input") { $0.understands = false }
    #expect(off.understood.isEmpty)
  }

  @Test("a provider in the words is known from the catalog")
  func provider() async throws {
    let world = try await World(try Shop.listings())
    let by = try world.search("model by Mistral AI")
    #expect(by.ids == ["old-oracle"])
    let without = try world.search("model not OpenAI")
    #expect(without.ids == ["old-oracle"])
    let unknown = try world.search("stories by candlelight")
    #expect(unknown.understood.isEmpty)
  }

  @Test("an explicit filter wins over a condition in the words on the same field")
  func explicitWins() async throws {
    let world = try await World(try Shop.listings())
    let words = "a model with at least 128k context"
    let answer = try world.search(words, filter: "contextWindow < 10k")
    #expect(answer.understood.isEmpty)
    #expect(answer.ids == ["old-oracle"])
    let other = try world.search(words, filter: "kind = model")
    #expect(other.understood.count == 1)
    #expect(other.ids == ["gpt-4o"])
  }

  @Test("an explicit filter on one scheme leaves a condition on another in force")
  func otherScheme() async throws {
    let schemes: JSON = [
      ["scheme": "gdpr", "state": "yes"], ["scheme": "hipaa", "state": "yes"],
    ]
    let world = try await World([
      try listing("both", ["name": "Vault", "compliance": schemes]),
      try listing(
        "one",
        [
          "name": "Drawer", "compliance": [["scheme": "gdpr", "state": "yes"]],
        ]),
    ])
    let answer = try world.search("hipaa compliant", filter: "compliance.gdpr = yes")
    #expect(answer.understood.count == 1)
    #expect(answer.ids == ["both"])
  }

  @Test("a condition of the words that leaves nothing is said, and not applied")
  func demoted() async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search("weather under $1")
    #expect(answer.total == 2)
    #expect(answer.understood.count == 1)
    #expect(answer.unapplied == answer.understood)
    let label = try #require(answer.understood.first?.label)
    #expect(answer.relaxations.map(\.dropped) == [[label]])
    #expect(answer.relaxations.map(\.total) == [2])
  }

  @Test("of two conditions of the words only the one that leaves nothing is dropped")
  func oneDemoted() async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search("weather under $6 with image input")
    #expect(answer.ids == ["weather-now"])
    #expect(answer.understood.count == 2)
    #expect(answer.unapplied.map(\.expression.fields) == [Set(["inputModalities"])])
  }

  @Test("an explicit filter is never dropped, only named")
  func explicitStays() async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search("weather", filter: "price < 1")
    #expect(answer.total == 0)
    #expect(answer.hits.isEmpty)
    #expect(answer.relaxations.map(\.dropped) == [["price < 1"]])
    #expect(answer.relaxations.map(\.total) == [2])
  }

  @Test("the conditions to drop are the fewest there are", arguments: 0..<10 as Range<UInt64>)
  func relaxations(seed: UInt64) async throws {
    var catalog = RandomCatalog(seed: seed)
    let world = try await World(try catalog.services(40))
    var conditions = RandomConditions(seed: seed)
    var random = SplitMix64(seed: seed)
    var found = 0
    for _ in 0..<120 where found < 25 {
      let parts = (0..<(2 + random.below(3))).map { _ in conditions.leaf() }
      let filter = try #require(try FilterParser.parse(Condition.every(parts).text))
      let labels = filter.conjuncts.map(\.canonical)
      guard Set(labels).count == labels.count else { continue }
      let query = random.chance(30) ? random.pick(RandomCatalog.words) : ""
      let answer = try world.search(query) { $0.filter = filter }
      guard answer.total == 0 else { continue }
      found += 1
      let expected = try smallest(filter.conjuncts, query, world)
      let given = answer.relaxations.map { $0.dropped.joined(separator: " & ") + " \($0.total)" }
      #expect(given == expected, "\(filter.canonical)")
    }
    #expect(found > 0)
  }

  /// By brute force: the sets of the smallest size whose removal leaves something, most first.
  private func smallest(
    _ parts: [FilterExpression], _ query: String, _ world: World
  ) throws -> [String] {
    for size in 1...parts.count {
      var found: [(dropped: [String], total: Int)] = []
      for mask in 1..<(1 << parts.count) where mask.nonzeroBitCount == size {
        let kept = parts.indices.filter { mask >> $0 & 1 == 0 }.map { parts[$0] }
        let dropped = parts.indices.filter { mask >> $0 & 1 == 1 }.map { parts[$0].canonical }
        let total = try world.search(query) {
          $0.filter = kept.isEmpty ? nil : FilterExpression.and(kept)
        }.total
        if total > 0 { found.append((dropped, total)) }
      }
      if found.isEmpty { continue }
      let sorted = found.sorted { left, right in
        left.total == right.total
          ? left.dropped.joined() < right.dropped.joined() : left.total > right.total
      }
      return sorted.prefix(5).map { $0.dropped.joined(separator: " & ") + " \($0.total)" }
    }
    return []
  }

  @Test("a condition said twice is dropped once")
  func twice() async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search(filter: "kind = tool AND kind = tool")
    #expect(answer.total == 0)
    #expect(answer.relaxations.count <= 1)
  }

  @Test("with eleven conditions something to drop is still named")
  func many() async throws {
    let world = try await World(try Shop.listings())
    let ten = (0..<10).map { "kind != nothing-\($0)" }.joined(separator: " AND ")
    let answer = try world.search(filter: ten + " AND contextWindow > 1m")
    #expect(answer.total == 0)
    #expect(!answer.relaxations.isEmpty)
  }
}
