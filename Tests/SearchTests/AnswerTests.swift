import Catalog
import Primitives
import Search
import Testing

private let queries = [
  "weather", "speech to text", "gpt-4o", "model for chat", "storm warnings -wind",
  "\"for calls\" speech", "weather under $6", "wether", "a model with 128k context", "",
]

@Suite("The answer to a search")
struct AnswerTests {
  @Test("the parts of an explanation add up to the score", arguments: queries)
  func explanation(query: String) async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search(query) { $0.explains = true }
    #expect(!answer.hits.isEmpty)
    for hit in answer.hits {
      let explanation = try #require(hit.explanation)
      let parts = try ["text", "vector", "sentence", "pairs", "name"].map { name in
        try #require(explanation[name]?.double)
      }
      let sum = try #require(explanation["sum"]?.double)
      #expect(abs(parts.reduce(0, +) - sum) < 1e-5)
      #expect(abs(sum - hit.score) < 1e-9)
      #expect(explanation["queryClass"]?.string == answer.queryClass.rawValue)
      #expect(hit.textScore >= 0)
    }
  }

  @Test("the same request twice gives the same answer", arguments: queries)
  func deterministic(query: String) async throws {
    let world = try await World(try Shop.listings())
    let snapshot = world.snapshot
    var texts: Set<String> = []
    for _ in 0..<5 {
      let answer = try world.search(query, filter: "NOT kind = tool", on: snapshot) {
        $0.explains = true
        $0.highlights = true
        $0.facets = ["kind", "provider", "price", "tags"]
      }
      texts.insert(summary(answer))
    }
    #expect(texts.count == 1)
  }

  @Test("an index built from the same record gives the same answer", arguments: [1, 2] as [UInt64])
  func rebuilt(seed: UInt64) async throws {
    var catalog = RandomCatalog(seed: seed)
    let services = try catalog.services(40)
    let one = try await World(services)
    let other = try await World(Array(services.reversed()))
    for query in ["", "weather", "storm voice", "picture -robot"] {
      let left = try one.search(query) { $0.facets = ["kind", "tags", "contextWindow"] }
      let right = try other.search(query) { $0.facets = ["kind", "tags", "contextWindow"] }
      #expect(left.ids == right.ids, "\(query)")
      #expect(left.hits.map(\.score) == right.hits.map(\.score), "\(query)")
      #expect(left.counts("kind") == right.counts("kind"))
      #expect(left.counts("tags") == right.counts("tags"))
    }
  }

  /// Everything of an answer that a client can see, as text.
  private func summary(_ answer: SearchAnswer) -> String {
    var lines: [String] = []
    for hit in answer.hits {
      lines += [hit.id, "\(hit.score)", "\(hit.textScore)", hit.offerReason ?? ""]
      lines.append(String(decoding: hit.service, as: UTF8.self))
      lines.append(String(decoding: hit.offer, as: UTF8.self))
      lines.append(hit.highlights?.text ?? "")
      lines.append(hit.explanation?.text ?? "")
    }
    for facet in answer.facets {
      lines.append("\(facet.field) \(facet.entries) \(facet.buckets)")
      lines.append("\(facet.otherCount) \(facet.unknownCount)")
    }
    lines += answer.understood.map(\.label)
    lines.append("\(answer.total)")
    return lines.joined(separator: "\n")
  }

  @Test("a hit holds its service as the catalog has it")
  func document() async throws {
    let world = try await World(try Shop.listings())
    let hit = try #require(try world.search("gpt-4o").hits.first)
    let service = try JSON.parse(hit.service)
    #expect(service["id"]?.string == "gpt-4o")
    #expect(service["name"]?.string == hit.name)
    #expect(service["provider"]?["name"]?.string == "OpenAI")
    #expect(service["contextWindow"]?.int == Int64(128_000))
    let offer = try JSON.parse(hit.offer)
    #expect(offer["id"]?.string == "usage")
    #expect(hit.offerReason == "the only matching offer")
  }

  @Test("highlights are ranges of the words in the texts, in the units of a browser")
  func highlights() async throws {
    let world = try await World([
      try listing("a", ["name": "😀 Weather", "tagline": "All weathers, é weather"])
    ])
    let answer = try world.search("weather") { $0.highlights = true }
    let highlights = try #require(answer.hits.first?.highlights)
    for (field, text) in [("name", "😀 Weather"), ("tagline", "All weathers, é weather")] {
      let units = Array(text.utf16)
      let ranges = try #require(highlights[field]?.array)
      #expect(!ranges.isEmpty)
      for range in ranges {
        let start = Int(try #require(range["start"]?.int))
        let end = Int(try #require(range["end"]?.int))
        let word = String(decoding: units[start..<end], as: UTF16.self).lowercased()
        #expect(word.hasPrefix("weather"))
      }
    }
    let none = try world.search("weather")
    let isAbsent = none.hits.first?.highlights == nil
    #expect(isAbsent)
  }

  @Test("the answer names the revision, the generation and the time of each stage")
  func facts() async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search("weather")
    #expect(answer.revision == 12)
    #expect(answer.revision == world.snapshot.revision)
    #expect(answer.generation == world.snapshot.generation)
    #expect(!answer.generation.isEmpty)
    let stages = answer.took.map(\.stage)
    #expect(Set(stages).count == stages.count)
    #expect(!stages.isEmpty)
  }

  @Test("a long query is cut, and the answer says so")
  func cut() async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search("weather " + String(repeating: "x", count: 1_000))
    #expect(answer.isCut)
    let short = try world.search("weather")
    #expect(!short.isCut)
  }
}
