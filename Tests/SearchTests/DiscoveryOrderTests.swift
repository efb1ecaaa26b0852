import Catalog
import Primitives
import SQLite
import Search
import Testing

@Suite("Spreading, placing and naming of hits")
struct DiscoveryOrderTests {
  @Test(
    "spreading keeps every hit, and lets nobody be overtaken by a much worse one",
    arguments: 0..<100 as Range<UInt64>)
  func spread(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let count = random.below(150)
    let scores = (0..<count).map { _ in Double(random.below(1_000)) / 1_000 }.sorted(by: >)
    let providers = (0..<count).map { _ in random.below(5) }
    let order = Diversifier.order(scores: scores, providers: providers)
    #expect(order.sorted() == Array(0..<count))
    #expect(
      Array(order.dropFirst(Diversifier.window))
        == Array(Array(0..<count).dropFirst(Diversifier.window)))
    for (place, index) in order.enumerated() {
      let best = order[place...].map { scores[$0] }.max() ?? 0
      if place < Diversifier.window {
        #expect(scores[index] >= best * (1 - Diversifier.tolerance))
      }
    }
  }

  @Test("among equals one a provider goes first")
  func oneEach() {
    let order = Diversifier.order(
      scores: [1, 1, 1, 1, 0.1], providers: ["a", "a", "b", "a", "c"])
    #expect(order == [0, 2, 1, 3, 4])
  }

  private func placement(
    _ id: String, _ service: String, at position: Int, _ label: Placement.Label = .pinned,
    _ target: Placement.Target = .everything
  ) -> Placement {
    Placement(id: id, label: label, serviceID: service, target: target, position: position)
  }

  @Test("at most two placements show: those in the set, one a place, pins first")
  func chosen() {
    let request = SearchRequest()
    let all = [
      placement("p1", "x", at: 1, .sponsored), placement("p2", "y", at: 1),
      placement("p3", "gone", at: 2), placement("p4", "z", at: 3, .sponsored),
      placement("p5", "w", at: 4, .sponsored),
    ]
    let chosen = Placements.chosen(for: request, from: all) { $0 != "gone" }
    #expect(chosen.map(\.serviceID) == ["y", "z"])
    #expect(chosen.map(\.label) == [.pinned, .sponsored])
    #expect(chosen.map(\.index) == [0, 2])
  }

  @Test("a placement belongs to its words or its filter, and to no sort of the caller's own")
  func targets() throws {
    let words = [placement("p", "x", at: 1, .pinned, .terms(["speech", "text"]))]
    var request = SearchRequest()
    request.query = "Speech-to-Text under $1"
    #expect(Placements.chosen(for: request, from: words) { _ in true }.count == 1)
    request.sort = [try SortKey.read("price")]
    #expect(Placements.chosen(for: request, from: words) { _ in true }.isEmpty)
    request.sort = [try SortKey.read("relevance")]
    request.query = "speech"
    #expect(Placements.chosen(for: request, from: words) { _ in true }.isEmpty)
    let condition = try #require(try FilterParser.parse("kind = model"))
    let filtered = [placement("p", "x", at: 1, .pinned, .filter([condition.canonical]))]
    #expect(Placements.chosen(for: request, from: filtered) { _ in true }.isEmpty)
    request.filter = try FilterParser.parse("rating > 3 AND kind = model")
    #expect(Placements.chosen(for: request, from: filtered) { _ in true }.count == 1)
  }

  @Test(
    "every page is a part of one order, wherever the placed hits stand",
    arguments: 0..<60 as Range<UInt64>)
  func pages(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let total = 1 + random.below(30)
    let placed = Array(
      Set((0..<random.below(3)).map { _ in random.below(total) }).sorted()
    ).enumerated().map { (item: $0.element, index: $0.offset * 4 + random.below(4)) }
    let organic = (0..<total).filter { one in !placed.contains { $0.item == one } }
    let whole = Placements.merge(organic: organic, placed: placed)
    #expect(whole.sorted() == Array(0..<total))
    let size = 1 + random.below(7)
    var walked: [Int] = []
    for offset in stride(from: 0, to: total, by: size) {
      let end = min(offset + size, total)
      let head = Placements.merge(organic: Array(organic.prefix(end)), placed: placed)
      walked += head.prefix(end).dropFirst(offset)
    }
    #expect(walked == whole)
    for (item, index) in placed where index < total { #expect(whole.firstIndex(of: item) == index) }
  }

  @Test("the record keeps placements, and an edition holds those in force")
  func store() async throws {
    let world = try await World([try listing("a"), try listing("b", ["status": "draft"])])
    @Sendable func stored(_ id: String, _ service: String, ends: Timestamp? = nil)
      -> StoredPlacement
    {
      StoredPlacement(
        id: id, kind: "sponsored", serviceID: service, terms: ["Speech Text"], filter: nil,
        position: 3, startsAt: Moment.first, endsAt: ends, isPaid: true)
    }
    let one = stored("one", "a", ends: Moment.first + 1_000)
    let isNew = try await world.record.write {
      try PlacementStore.put(one, at: Moment.first, on: $0)
    }
    #expect(isNew)
    let again = try await world.record.write {
      try PlacementStore.put(one, at: Moment.first, on: $0)
    }
    #expect(!again)
    let read = try await world.record.read { try PlacementStore.all($0) }
    #expect(read == [one])
    for service in ["b", "nowhere"] {
      let refusal = await #expect(throws: Refusal.self) {
        try await world.record.write {
          try PlacementStore.put(stored("two", service), at: Moment.first, on: $0)
        }
      }
      #expect(refusal?.fields.map(\.pointer) == ["/serviceId"])
    }
    let book = PlacementBook()
    let edition = try await book.edition(at: Moment.first, from: world.record)
    #expect(edition.placements.first?.target == .terms(["speech", "text"]))
    #expect(edition.placements.first?.label == .sponsored)
    #expect(book.edition(version: edition.version) == edition)
    let late = try await book.edition(at: Moment.first + 1_000, from: world.record)
    #expect(late == .empty)
    // A walk that began before goes on with what it saw.
    #expect(book.edition(version: edition.version) == edition)
    #expect(book.edition(version: "other") == nil)
    let isGone = try await world.record.write { try PlacementStore.remove(id: "one", on: $0) }
    #expect(isGone)
    book.reload()
    #expect(try await book.edition(at: Moment.first, from: world.record) == .empty)
  }

  @Test("price ranges hold every price once, with round bounds", arguments: 0..<80 as Range<UInt64>)
  func ranges(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let prices = (0..<random.below(200)).map { _ -> Double in
      random.chance(10) ? 0 : Double(1 + random.below(random.pick([9, 1_000, 1_000_000_000])))
    }
    let ranges = PriceRanges.ranges(prices)
    #expect(ranges.reduce(0) { $0 + $1.count } == prices.count)
    #expect(ranges.count <= PriceRanges.countMax + 1)
    for range in ranges {
      let inside = prices.filter { price in
        price >= Double(range.fromNano ?? 0) && (range.toNano.map { price < Double($0) } ?? true)
      }
      #expect(inside.count == range.count, "\(range.label)")
    }
    #expect(Set(ranges.map(\.label)).count == ranges.count)
  }

  @Test("values of a facet are found by the start of any word, else by a typo")
  func facetValues() async throws {
    var services: [Service] = []
    for (place, word) in ["Speech to text", "Text to speech", "Texture packs", "Maps"].enumerated()
    {
      for copy in 0..<(4 - place) {
        services.append(try listing("s\(place)-\(copy)", ["categories": [.string(word)]]))
      }
    }
    let answer = try await World(services).search { $0.facets = ["categories"] }
    let entries = try #require(answer.facets.first).entries
    func found(_ typed: String) -> [String] {
      FacetSearch.matches(entries, typed: typed).map(\.value)
    }
    #expect(found("text") == ["Text to speech", "Texture packs", "Speech to text"])
    #expect(found("speech to t") == ["Speech to text"])
    #expect(found("speehc") == ["Speech to text", "Text to speech"])
    #expect(found("mpas") == ["Maps"])
    #expect(found("zz") == [])
    #expect(found("") == ["Speech to text", "Text to speech", "Texture packs", "Maps"])
  }
}
