import Catalog
import Primitives
import Search
import Testing

@Suite("Suggestions")
struct DiscoverySuggestTests {
  private func suggest(_ typed: String, _ world: World, limit: Int = 10) -> Suggestions {
    Suggester().suggestions(for: typed, limit: limit, on: world.snapshot)
  }

  @Test("names come first that start so, then those with such a word")
  func names() async throws {
    let world = try await World(try Shop.listings())
    #expect(suggest("wea", world).services.map(\.id) == ["weather-now"])
    #expect(suggest("alert", world).services.map(\.match) == [.word])
    #expect(suggest("gpt-4o", world).services.map(\.id) == ["gpt-4o", "gpt-4o-mini"])
    #expect(suggest("gpt-4o", world).services.map(\.match) == [.name, .start])
    #expect(suggest("GPT4o m", world).services.map(\.id) == ["gpt-4o-mini"])
    #expect(suggest("speech k", world).services.first?.provider == "Acme")
  }

  @Test(
    "a typo finds its name, and what is right is left alone",
    arguments: [
      ("wether", "weather-now"), ("trnaslate", "translate-hub"), ("calandar", "calendar-sync"),
      ("pcture stu", "picture-studio"),
    ])
  func typos(typed: String, id: String) async throws {
    let world = try await World(try Shop.listings())
    let found = suggest(typed, world)
    #expect(found.services.map(\.id) == [id])
    #expect(found.services.map(\.match) == [.typo])
  }

  @Test(
    "numbers, short words and a wrong first letter are not corrected",
    arguments: ["gpt-5o", "spe3ch", "xweather", "rbo"])
  func noTypos(typed: String) async throws {
    let world = try await World(try Shop.listings())
    #expect(suggest(typed, world).services.isEmpty)
  }

  @Test("a draft, a removed and a replaced listing are never suggested")
  func hidden() async throws {
    let world = try await World(try Shop.listings())
    #expect(suggest("quiet", world).services.isEmpty)
    #expect(suggest("quiet", world).queries.isEmpty)
    try await world.remove("robot-desk")
    #expect(suggest("robot", world).services.isEmpty)
    try await world.put([try listing("storm-alert", ["name": "Gale Alert", "tags": ["gales"]])])
    #expect(suggest("storm", world).services.isEmpty)
    #expect(suggest("gale", world).services.map(\.id) == ["storm-alert"])
    #expect(suggest("alerts", world).values.isEmpty)
    #expect(suggest("gales", world).values.map(\.value) == ["gales"])
  }

  @Test(
    "values carry their field, an exact count and the filter that asks for them",
    arguments: 0..<5 as Range<UInt64>)
  func values(seed: UInt64) async throws {
    var catalog = RandomCatalog(seed: seed)
    let world = try await World(
      try catalog.services(30), later: Array(try catalog.services(34).suffix(10)))
    var checked = 0
    for typed in ["a", "m", "s", "t", "to", "ac"] {
      for value in suggest(typed, world).values {
        let total = try world.search("", filter: value.filter).total
        #expect(total == value.count, "\(value)")
        checked += 1
      }
    }
    #expect(checked > 0)
  }

  @Test("queries complete a phrase or the last word, and say what a typo meant")
  func queries() async throws {
    let world = try await World(try Shop.listings())
    #expect(suggest("speech to te", world).queries.contains { $0.text == "speech to text" })
    #expect(suggest("weath", world).queries.contains { $0.text == "weather" })
    #expect(suggest("weath", world).queries.allSatisfy { $0.text != "weath" })
    let corrected = suggest("storn warnings", world).queries
    #expect(corrected.contains { $0.text == "storm warnings" && $0.kind == .correction })
  }

  @Test(
    "any text is answered, in order, within the limit",
    arguments: [
      "", " ", "<b>", "\"", "%", "é", "日本", "a\u{0301}", "😀", "((((", "- - -",
    ])
  func odd(typed: String) async throws {
    let world = try await World(try Shop.listings())
    let once = suggest(typed, world, limit: 3)
    let again = suggest(typed, world, limit: 3)
    #expect(once.services == again.services)
    #expect(once.queries == again.queries)
    #expect(once.values == again.values)
    #expect(max(once.services.count, once.queries.count, once.values.count) <= 3)
    let long = suggest(String(repeating: typed + "x ", count: 2_000), world)
    #expect(long.services.count <= 10)
  }

  @Test(
    "every service is found by its whole name and by each start of it",
    arguments: 0..<5 as Range<UInt64>)
  func whole(seed: UInt64) async throws {
    var catalog = RandomCatalog(seed: seed)
    let services = try catalog.services(40)
    let world = try await World(services)
    for service in services where service.isPublic {
      let same = services.filter {
        $0.isPublic && $0.name.lowercased() == service.name.lowercased()
      }
      guard same.count <= 10, service.name.contains(where: \.isLetter) else { continue }
      #expect(
        suggest(service.name, world).services.contains { $0.id == service.id }, "\(service.name)")
    }
  }
}
