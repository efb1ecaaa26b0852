import Catalog
import Primitives
import Search
import Testing

@Suite("Placements, spreading and price ranges in a search")
struct DiscoverySearchTests {
  private func pin(
    _ service: String, at position: Int, _ label: Placement.Label = .pinned
  ) -> Placement {
    Placement(
      id: service, label: label, serviceID: service, target: .everything, position: position)
  }

  @Test(
    "placed hits are labelled, keep every total and facet, and every page is a part of one order",
    arguments: 0..<6 as Range<UInt64>)
  func placements(seed: UInt64) async throws {
    var catalog = RandomCatalog(seed: seed)
    var random = SplitMix64(seed: seed)
    let world = try await World(try catalog.services(40))
    for (query, filter) in [("", nil), ("weather", nil), ("", "NOT kind = tool")]
      as [(String, String?)]
    {
      let plain = try world.search(query, filter: filter) { $0.facets = ["kind", "tags"] }
      guard plain.total > 3 else { continue }
      let all = [
        pin(random.pick(plain.ids), at: 1 + random.below(4)),
        pin(random.pick(plain.ids), at: 1 + random.below(4), .sponsored), pin("nowhere", at: 1),
      ]
      let placed = try world.search(query, filter: filter) {
        $0.facets = ["kind", "tags"]
        $0.placements = all
      }
      #expect(placed.total == plain.total)
      #expect(placed.counts("kind") == plain.counts("kind"))
      #expect(placed.counts("tags") == plain.counts("tags"))
      #expect(Set(placed.ids) == Set(plain.ids))
      let labelled = placed.hits.enumerated().filter { $0.element.label != nil }
      #expect(!labelled.isEmpty)
      #expect(labelled.count <= Placement.shownMax)
      let moved = Set(labelled.map(\.element.id))
      #expect(placed.ids.filter { !moved.contains($0) } == plain.ids.filter { !moved.contains($0) })
      var walked: [String] = []
      for offset in stride(from: 0, to: plain.total, by: 3) {
        walked += try world.search(query, filter: filter) {
          $0.placements = all
          $0.offset = offset
          $0.limit = 3
        }.ids
      }
      #expect(walked == placed.ids)
    }
  }

  @Test("a placement that the filter leaves out is not shown")
  func filtered() async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search("", filter: "kind = model") {
      $0.placements = [pin("weather-now", at: 1)]
    }
    #expect(!answer.ids.contains("weather-now"))
    #expect(answer.hits.allSatisfy { $0.label == nil })
    let sorted = try world.search("") {
      $0.placements = [pin("weather-now", at: 1)]
      $0.sort = [try SortKey.read("name")]
    }
    #expect(sorted.hits.allSatisfy { $0.label == nil })
  }

  @Test("spreading providers keeps the set, and pages are parts of one order")
  func spread() async throws {
    let services = try (0..<30).map { number in
      try listing(
        "s\(10 + number)",
        ["name": "Harbour", "providerName": .string("P\(number / 10)"), "tagline": "boats"])
    }
    let world = try await World(services)
    let spread = try world.search("harbour boats") { $0.diversify = true }
    #expect(spread.ids.prefix(4) == ["s10", "s20", "s30", "s11"])
    #expect(Set(spread.ids) == Set(try world.search("harbour boats").ids))
    var walked: [String] = []
    for offset in stride(from: 0, to: 30, by: 7) {
      walked += try world.search("harbour boats") {
        $0.diversify = true
        $0.offset = offset
        $0.limit = 7
      }.ids
    }
    #expect(walked == spread.ids)
  }

  @Test("a price facet has labelled ranges that hold every known price once")
  func ranges() async throws {
    let world = try await World(try Shop.listings())
    let facet = try #require(try world.search { $0.facets = ["price"] }.facets.first)
    #expect(facet.ranges.reduce(0) { $0 + $1.count } == facet.buckets.reduce(0) { $0 + $1.count })
    #expect(!facet.ranges.isEmpty)
  }
}
