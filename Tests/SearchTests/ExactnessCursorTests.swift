import Catalog
import Primitives
import SQLite
import Search
import Testing

// Properties, over seeded worlds in which 1,000 changes land (4 worlds of 50 walks: 200 cases):
// 1. The pages of a walk hold each service that matched at its first page's revision once, in the order
//    of that revision, whatever lands meanwhile, a rebuilt base included.
// 2. Every page has the total, the revision and the generation of the first.

/// A page walk as a client holds it: the request, and where the cursor points.
private struct CursorWalk {
  let name: String
  var request: SearchRequest
  let revision: Int64
  let generation: String
  let total: Int
  let expected: [String]
  var ids: [String]
  var isDone = false

  /// The first page, which pins its snapshot, with the whole list as it is at that moment.
  init(_ request: SearchRequest, name: String, in world: World) throws {
    let snapshot = world.snapshot
    var whole = request
    whole.limit = SearchRequest.limitMax
    var expected: [String] = []
    var next: Int? = 0
    while let offset = next {
      whole.offset = offset
      let page = try world.engine.search(whole, on: snapshot)
      expected += page.ids
      next = page.nextOffset
    }
    let page = try world.engine.search(request, on: snapshot)
    world.indexer.index.pin(snapshot)
    self.name = name
    self.request = request
    revision = snapshot.revision
    generation = snapshot.generation
    total = page.total
    self.expected = expected
    ids = page.ids
    advance(by: page)
  }

  /// The next page of the snapshot that the cursor names.
  mutating func step(in world: World) throws {
    guard !isDone else { return }
    let snapshot = try #require(
      world.indexer.index.snapshot(revision: revision, generation: generation), "\(name) expired")
    let page = try world.engine.search(request, on: snapshot)
    #expect(page.total == total, "\(name)")
    #expect(page.revision == revision, "\(name)")
    #expect(page.generation == generation, "\(name)")
    ids += page.ids
    advance(by: page)
  }

  private mutating func advance(by page: SearchAnswer) {
    if let next = page.nextOffset { request.offset = next } else { isDone = true }
  }
}

@Suite("Exactness: cursors")
struct ExactnessCursorTests {
  @Test("a walk sees one revision while 1,000 changes land", arguments: [1, 2, 3, 4] as [UInt64])
  func walks(seed: UInt64) async throws {
    var made = try await RandomWorld(seed: seed, counts: [150])
    let world = made.world
    var random = SplitMix64(seed: seed ^ 0xC0450)
    var walks: [CursorWalk] = []
    for round in 0..<50 {
      walks.append(try start(number: round, made, &random))
      // 50 rounds of 20 changes, which land while the walks go on.
      let steps = try made.changes(20, ids: 220)
      async let landing: Void = world.land(steps)
      for index in walks.indices where random.chance(30) { try walks[index].step(in: world) }
      try await landing
      made.note(steps)
      // Once: a cursor may expire where two bases have come after its own.
      if round == 25 { try await world.indexer.load() }
    }
    for index in walks.indices {
      while !walks[index].isDone { try walks[index].step(in: world) }
      let walk = walks[index]
      #expect(walk.ids == walk.expected, "seed \(seed), \(walk.name)")
      #expect(walk.ids.count == walk.total, "seed \(seed), \(walk.name)")
      #expect(Set(walk.ids).count == walk.ids.count, "seed \(seed), \(walk.name)")
    }
    let revision = try await world.record.read { try CatalogStore.revision($0) }
    #expect(world.snapshot.revision == revision)
  }

  /// A walk whose first page brute force has checked: its filter finds what it should at this moment.
  private func start(
    number: Int, _ made: RandomWorld, _ random: inout SplitMix64
  ) throws -> CursorWalk {
    var filters = RandomFilters(seed: random.next())
    let condition = filters.leaf()
    let query = random.chance(50) ? "" : random.pick(RandomCatalog.words)
    let keys = (0..<random.below(3)).map { _ in random.pick(OrderKey.all) }
    var request = SearchRequest()
    request.query = query
    if random.chance(50) { request.filter = try FilterParser.parse(condition.text) }
    request.sort = try keys.map { key throws in try SortKey.read(key.text) }
    request.limit = 1 + random.below(30)
    let filter = request.filter?.canonical ?? ""
    let name = "walk \(number): q=[\(query)] filter=[\(filter)] sort=\(keys.map(\.text))"
    let walk = try CursorWalk(request, name: name, in: made.world)
    if query.isEmpty {
      let all = made.facts.services.map(\.id)
      let expected = filter.isEmpty ? all : made.facts.ids(matching: condition)
      #expect(walk.expected.sorted() == expected.sorted(), "\(name)")
    }
    return walk
  }
}
