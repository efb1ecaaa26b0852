import Catalog
import Primitives
import Search
import Testing

/// A sort key as a client writes it, and the value of a service that it goes by; less comes first.
private struct Key: Sendable {
  let text: String
  let isDescending: Bool
  let value: @Sendable (Service) -> Double?
}

private let keys: [Key] = [
  Key(text: "contextWindow", isDescending: false) { $0.fields["contextWindow"]?.double },
  Key(text: "contextWindow:desc", isDescending: true) { $0.fields["contextWindow"]?.double },
  Key(text: "rating", isDescending: true) { $0.fields["rating"]?.double },
  Key(text: "rating:asc", isDescending: false) { $0.fields["rating"]?.double },
  Key(text: "stars", isDescending: true) { $0.fields["usage"]?["stars"]?.double },
  Key(text: "latency", isDescending: false) { latency($0) },
  Key(text: "latency:desc", isDescending: true) { latency($0) },
  Key(text: "newest", isDescending: true) { day($0) },
  Key(text: "newest:asc", isDescending: false) { day($0) },
]

private func latency(_ service: Service) -> Double? {
  let metrics = service.fields["metrics"]?.array ?? []
  let metric = metrics.first { $0["name"]?.string == "latencyP95Ms" }
  return metric?["value"]?.double
}

private func day(_ service: Service) -> Double? {
  let date = service.text("releasedAt").flatMap { Timestamp.parse(date: $0) }
  return date.map { Double($0.milliseconds) }
}

/// The ids in the order of the keys: unknown last, then by id.
private func ordered(_ services: [Service], by keys: [Key]) -> [String] {
  let ranked = services.filter(\.isPublic).map { service in
    (
      id: service.id,
      values: keys.map { key -> Double in
        guard let value = key.value(service) else { return .infinity }
        return key.isDescending ? -value : value
      }
    )
  }
  return ranked.sorted { left, right in
    for (one, other) in zip(left.values, right.values) where one != other { return one < other }
    return left.id < right.id
  }.map(\.id)
}

@Suite("The order of a sort")
struct SortTests {
  @Test("a sort goes by its keys, unknown last, id at the end", arguments: 0..<8 as Range<UInt64>)
  func order(seed: UInt64) async throws {
    var catalog = RandomCatalog(seed: seed)
    let services = try catalog.services(40)
    let world = try await World(Array(services.prefix(25)), later: Array(services.dropFirst(25)))
    var random = SplitMix64(seed: seed)
    for key in keys {
      for chosen in [[key], [key, random.pick(keys)], [key, random.pick(keys), keys[0]]] {
        let sort = try chosen.map { try SortKey.read($0.text) }
        let answer = try world.search { $0.sort = sort }
        #expect(answer.ids == ordered(services, by: chosen), "\(chosen.map(\.text))")
      }
    }
  }

  @Test("a page of a sort is a part of the whole order", arguments: [1, 5, 13])
  func pages(limit: Int) async throws {
    var catalog = RandomCatalog(seed: 77)
    let services = try catalog.services(40)
    let world = try await World(services)
    let sort = [try SortKey.read("rating"), try SortKey.read("contextWindow")]
    let whole = try world.search { $0.sort = sort }.ids
    for offset in [0, 3, 20] {
      let page = try world.search {
        $0.sort = sort
        $0.limit = limit
        $0.offset = offset
      }
      #expect(page.ids == Array(whole.dropFirst(offset).prefix(limit)))
    }
  }

  @Test("of several offers the one that sorts first stands for its service")
  func offers() async throws {
    let world = try await World([
      try listing("a", ["offers": [offer("x", milli: 5_000), offer("y", milli: 1_000)]]),
      try listing("b", ["offers": [offer("x", milli: 2_000), offer("y", milli: 9_000)]]),
      try listing("c", ["offers": [offer("x", milli: 3_000)]]), try listing("d"),
    ])
    let rising = [try SortKey.read("price")]
    #expect(try world.search { $0.sort = rising }.ids == ["a", "b", "c", "d"])
    let falling = [try SortKey.read("price:desc")]
    #expect(try world.search { $0.sort = falling }.ids == ["b", "a", "c", "d"])
    // Only the offers that match count: without its offer for 1, a comes after the others.
    let filtered = try world.search(filter: "price >= 2") { $0.sort = rising }
    #expect(filtered.ids == ["b", "c", "a"])
  }

  @Test("the best offer is the cheapest that matches")
  func bestOffer() async throws {
    let world = try await World([
      try listing("a", ["offers": [offer("x", milli: 5_000), offer("y", milli: 1_000)]]),
      try listing("b", ["offers": [["id": "free", "plan": "free"]]]), try listing("c"),
    ])
    let answer = try world.search()
    let offers = try answer.hits.map { hit -> String in
      guard !hit.offer.isEmpty else { return "" }
      return try JSON.parse(hit.offer)["id"]?.string ?? ""
    }
    #expect(offers == ["y", "free", ""])
    let filtered = try world.search(filter: "price >= 2")
    let best = try #require(filtered.hits.first)
    #expect(try JSON.parse(best.offer)["id"]?.string == "x")
    #expect(best.offerReason?.isEmpty == false)
  }

  @Test("a sort by name ignores case, and id breaks ties")
  func names() async throws {
    let world = try await World([
      try listing("1", ["name": "beta"]), try listing("2", ["name": "Alpha"]),
      try listing("4", ["name": "alpha"]), try listing("3", ["name": "Gamma"]),
    ])
    let sort = [try SortKey.read("name")]
    #expect(try world.search { $0.sort = sort }.ids == ["2", "4", "1", "3"])
  }

  @Test("a sort by name can fall")
  func namesFalling() async throws {
    let world = try await World([
      try listing("1", ["name": "beta"]), try listing("2", ["name": "Alpha"]),
      try listing("3", ["name": "Gamma"]),
    ])
    let sort = [try SortKey.read("name:desc")]
    #expect(try world.search { $0.sort = sort }.ids == ["3", "1", "2"])
  }

  @Test("a name that is the first key goes before a number that is the second")
  func nameFirst() async throws {
    let world = try await World([
      try listing("1", ["name": "beta", "rating": 5]),
      try listing("2", ["name": "alpha", "rating": 1]),
      try listing("3", ["name": "alpha", "rating": 3]),
    ])
    let sort = [try SortKey.read("name"), try SortKey.read("rating")]
    #expect(try world.search { $0.sort = sort }.ids == ["3", "2", "1"])
  }

  @Test("without a sort the best match comes first, and equal ones by id")
  func relevance() async throws {
    let world = try await World([
      try listing("c", ["name": "Harbour"]), try listing("b", ["name": "Harbour"]),
      try listing("a", ["name": "Boat", "description": "Moored in a harbour."]),
    ])
    let answer = try world.search("harbour")
    #expect(answer.ids == ["b", "c", "a"])
    let scores = answer.hits.map(\.score)
    #expect(scores == scores.sorted(by: >))
  }

  @Test(
    "a sort key that is none is refused at /sort",
    arguments: [
      "", ":", ":asc", "kind", "features", "price:up", "prize", "tagline", "nothing",
    ])
  func refused(text: String) {
    let refusal = #expect(throws: Refusal.self) { try SortKey.read(text) }
    #expect(refusal?.code == ProblemCode.validationFailed)
    #expect(refusal?.fields.map(\.pointer) == ["/sort"])
  }

  @Test("a sort key near to a right one names it")
  func nearest() {
    let refusal = #expect(throws: Refusal.self) { try SortKey.read("prize") }
    let reason = refusal?.fields.first?.reason ?? ""
    #expect(reason.contains("price"))
  }
}
