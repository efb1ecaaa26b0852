import Catalog
import Primitives
import SQLite
import Search
import Testing

@Suite("From a change of the catalog to the index")
struct LiveUpdateTests {
  @Test("an empty catalog has an index, and finds nothing")
  func empty() async throws {
    let world = try await World()
    let answer = try world.search("weather", filter: "kind = api") { $0.facets = ["kind"] }
    #expect(answer.total == 0)
    #expect(answer.revision == 0)
    #expect(world.snapshot.liveCount == 0)
  }

  @Test("a new listing is found after the index caught up")
  func added() async throws {
    let world = try await World(try Shop.listings())
    let before = world.snapshot
    try await world.put([try listing("lantern", ["name": "Lantern", "kind": "tool"])])
    #expect(try world.search("lantern").ids == ["lantern"])
    #expect(try world.search(filter: "kind = tool").ids == ["lantern"])
    #expect(world.snapshot.revision == before.revision + 1)
    #expect(world.snapshot.liveCount == before.liveCount + 1)
    #expect(try world.search("lantern", on: before).total == 0)
  }

  @Test("a changed listing is found by its new words and fields, and not by the old ones")
  func changed() async throws {
    let world = try await World([try listing("a", ["name": "Lantern", "tags": ["old"]])])
    let before = world.snapshot
    try await world.put([try listing("a", ["name": "Compass", "tags": ["new"]])])
    #expect(try world.search("compass").ids == ["a"])
    #expect(try world.search("lantern").total == 0)
    #expect(try world.search(filter: "tags = new").ids == ["a"])
    #expect(try world.search(filter: "tags = old").total == 0)
    let all = try world.search { $0.facets = ["tags"] }
    #expect(all.total == 1)
    #expect(all.counts("tags") == ["new": 1])
    #expect(all.hits.first?.name == "Compass")
    #expect(try world.search("lantern", on: before).ids == ["a"])
    #expect(try world.search("compass", on: before).total == 0)
  }

  @Test("a removed listing is gone from search at once, and stays in the old snapshot")
  func removed() async throws {
    let world = try await World(try Shop.listings())
    let before = world.snapshot
    try await world.remove("storm-alert")
    #expect(try world.search("weather").ids == ["weather-now"])
    #expect(try world.search("storm").total == 0)
    #expect(try world.search(filter: "id = storm-alert").total == 0)
    #expect(world.snapshot.revision == before.revision + 1)
    #expect(world.snapshot.place(of: "storm-alert") == nil)
    #expect(before.place(of: "storm-alert") != nil)
    #expect(try world.search("storm", on: before).ids == ["storm-alert"])
  }

  @Test("a changed price is in the filter, the sort and the hit")
  func price() async throws {
    let world = try await World([
      try listing("a", ["offers": [offer(milli: 5_000)]]),
      try listing("b", ["offers": [offer(milli: 2_000)]]),
    ])
    try await world.put([try listing("a", ["offers": [offer(milli: 1_000)]])])
    let sort = [try SortKey.read("price")]
    #expect(try world.search { $0.sort = sort }.ids == ["a", "b"])
    #expect(try world.search(filter: "price = 1").ids == ["a"])
    #expect(try world.search(filter: "price = 5").total == 0)
    let hit = try #require(try world.search(filter: "price = 1").hits.first)
    let stored = try JSON.parse(hit.offer)
    #expect(stored["prices"]?.array?.first?["amountNano"]?.int == Int64(1_000_000_000))
  }

  @Test("a draft is found once it is published, and not after it is withdrawn")
  func published() async throws {
    let world = try await World([try listing("a", ["status": "draft"])])
    #expect(try world.search().total == 0)
    try await world.put([try listing("a", ["status": "active"])])
    #expect(try world.search().ids == ["a"])
    try await world.put([try listing("a", ["status": "draft"])])
    #expect(try world.search().total == 0)
    try await world.put([try listing("a", ["status": "maintenance"])])
    #expect(try world.search().ids == ["a"])
  }

  @Test("a write that changes nothing leaves the snapshot as it is")
  func same() async throws {
    let world = try await World(try Shop.listings())
    let before = world.snapshot
    try await world.put(try Shop.listings())
    #expect(world.snapshot.revision == before.revision)
    #expect(world.snapshot.liveCount == before.liveCount)
  }

  @Test(
    "any sequence of changes ends in the index of a fresh start", arguments: [1, 2, 3, 4, 5, 6])
  func sequence(number: Int) async throws {
    let seed = UInt64(number)
    var catalog = RandomCatalog(seed: seed)
    var random = SplitMix64(seed: seed)
    let world = try await World(try catalog.services(15))
    var revision = world.snapshot.revision
    for _ in 0..<12 {
      var batch: [Service] = []
      for _ in 0..<(1 + random.below(4)) {
        batch.append(try catalog.service("service-\(random.below(25))"))
      }
      try await world.put(batch)
      if random.chance(40) { try await world.remove("service-\(random.below(25))") }
      #expect(world.snapshot.revision >= revision)
      revision = world.snapshot.revision
    }
    let stored = try await world.record.read { connection in
      try CatalogStore.services(after: "", limit: 100, on: connection)
    }
    let services = stored.map(\.service).filter(\.isPublic)
    let last = try await world.record.read { try CatalogStore.revision($0) }
    #expect(revision == last)
    #expect(try world.search().ids == services.map(\.id).sorted())
    let fresh = try await World(services)
    var conditions = RandomConditions(seed: seed)
    for _ in 0..<30 {
      let text = conditions.condition().text
      let one = try world.search(filter: text)
      let other = try fresh.search(filter: text)
      #expect(one.ids == other.ids, "\(text)")
    }
    for word in RandomCatalog.words {
      let one = Set(try world.search(word).ids)
      let other = Set(try fresh.search(word).ids)
      #expect(one == other, "\(word)")
    }
  }

  @Test("a thousand changes are folded into the base, and nothing is lost")
  func merge() async throws {
    let world = try await World([try listing("first", ["name": "First one"])])
    let many = try (0..<1_010).map { number in
      try listing("item-\(number)", ["name": .string("Item \(number)"), "contextWindow": 5])
    }
    try await world.put(many)
    #expect(try world.search { $0.limit = 1 }.total == 1_011)
    #expect(try world.search(filter: "contextWindow = 5") { $0.limit = 1 }.total == 1_010)
    #expect(try world.search("first").ids == ["first"])
    #expect(world.snapshot.revision == 1_011)
    try await world.remove("item-7")
    #expect(try world.search(filter: "id = item-7").total == 0)
    #expect(try world.search { $0.limit = 1 }.total == 1_010)
  }

  @Test("the index of a second start is that of the first")
  func restart() async throws {
    let world = try await World(try Shop.listings())
    try await world.put([try listing("lantern", ["name": "Lantern"])])
    try await world.remove("storm-alert")
    let second = try await World(over: world.record)
    #expect(second.snapshot.revision == world.snapshot.revision)
    let one = try world.search()
    let other = try second.search()
    #expect(one.ids == other.ids)
    #expect(try second.search("lantern").ids == ["lantern"])
    #expect(try second.search("storm").total == 0)
  }

  @Test("a snapshot that was pinned is found by its revision, and another is not")
  func pinned() async throws {
    let world = try await World(try Shop.listings())
    let index = world.indexer.index
    let first = world.snapshot
    index.pin(first)
    try await world.put([try listing("one")])
    let second = world.snapshot
    try await world.put([try listing("two")])
    let found = index.snapshot(revision: first.revision, generation: first.generation)
    let isFound = found === first
    #expect(isFound)
    let unpinned = index.snapshot(revision: second.revision, generation: second.generation)
    let isGone = unpinned == nil
    #expect(isGone)
    let other = index.snapshot(revision: first.revision, generation: "another")
    let isOther = other == nil
    #expect(isOther)
    let current = index.snapshot(
      revision: world.snapshot.revision, generation: world.snapshot.generation)
    let isCurrent = current === world.snapshot
    #expect(isCurrent)
  }

  @Test("the oldest of too many pinned snapshots is let go")
  func tooManyPinned() async throws {
    let world = try await World([try listing("start")])
    let index = world.indexer.index
    let first = world.snapshot
    index.pin(first)
    for number in 0..<SearchIndex.pinnedMax {
      try await world.put([try listing("listing-\(number)")])
      index.pin(world.snapshot)
    }
    let found = index.snapshot(revision: first.revision, generation: first.generation)
    let isGone = found == nil
    #expect(isGone)
  }
}
