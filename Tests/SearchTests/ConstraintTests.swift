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
    #expect(answer.relaxations.map(\.keys) == [["contextWindow >= 128000"]])
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
