import Catalog
import Index
import Primitives
import SQLite
import Search
import Testing
import TestSupport

// Properties, over seeded worlds of 300 listings with made vectors (3 worlds of 60 requests):
// 1. By meaning alone, the first k hits under a filter of any selectivity are the k nearest of the
//    listings that match it, by exact cosines; none is missing and the total counts all of them.

/// Vectors of a seed: a query, and listings at known cosines to it. A text has the vector of the one
/// made-up word in it; a text without one lies at a right angle to everything.
private struct MadeVectors: Sendable {
  static let dimension = 384
  let queryWord: String
  /// The made-up word of each listing.
  let words: [String]
  /// The exact product of each listing with the query, both centred (Pages/ranking.md).
  let cosines: [Double]
  private let vectors: [String: [Float]]
  private let elsewhere: [Float]

  init(count: Int, random: inout SplitMix64) throws {
    let letters = Array("bcdfghjklmnpqrtvwxz")
    var made = Set<String>()
    while made.count <= count {
      made.insert(String((0..<14).map { _ in random.pick(letters) }))
    }
    let all = made.sorted()
    queryWord = all[count]
    words = Array(all[..<count])
    let query = MadeVectors.direction(&random)
    var vectors = [queryWord: query]
    for word in words {
      let share = 0.6 + 0.39 * Double(random.below(1_000_000)) / 1_000_000
      let noise = MadeVectors.direction(&random)
      let along = MadeVectors.dot(noise, query)
      let rest = zip(noise, query).map { Double($0) - along * Double($1) }
      let length = rest.reduce(0) { $0 + $1 * $1 }.squareRoot()
      let side = (1 - share * share).squareRoot() / length
      vectors[word] = zip(query, rest).map { Float(share * Double($0) + side * $1) }
    }
    self.vectors = vectors
    cosines = try MadeVectors.centred(words.map { vectors[$0] ?? [] }, query)
    elsewhere = (0..<MadeVectors.dimension).map { $0 == MadeVectors.dimension - 1 ? 1 : 0 }
  }

  func vector(of text: String) -> [Float] {
    for word in text.lowercased().split(whereSeparator: { !$0.isLetter }) {
      if let vector = vectors[String(word)] { return vector }
    }
    return elsewhere
  }

  /// The query less the mean of needs, times each listing less the mean of the catalog, at unit length.
  private static func centred(_ listings: [[Float]], _ query: [Float]) throws -> [Double] {
    let needMean = try #require(try JSON.parse(IndexFiles.needMean).array).compactMap(\.double)
    let need = zip(query, needMean).map { Double($0) - $1 }
    let mean = (0..<dimension).map { place in
      listings.reduce(0) { $0 + Double($1[place]) } / Double(listings.count + 50)
    }
    return listings.map { listing in
      let rest = zip(listing, mean).map { Double($0) - $1 }
      let length = rest.reduce(0) { $0 + $1 * $1 }.squareRoot()
      return zip(need, rest).reduce(0) { $0 + $1.0 * $1.1 } / length
    }
  }

  /// A unit vector whose last number is zero.
  private static func direction(_ random: inout SplitMix64) -> [Float] {
    let raw = (0..<(dimension - 1)).map { _ in Double(random.below(2_000_001)) / 1_000_000 - 1 }
    let length = raw.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return raw.map { Float($0 / length) } + [0]
  }

  private static func dot(_ left: [Float], _ right: [Float]) -> Double {
    zip(left, right).reduce(0) { $0 + Double($1.0) * Double($1.1) }
  }
}

/// A record, its index and an engine over made vectors: the one place that needs to give vectors in
/// place of the model's.
private struct VectorWorld {
  private let folder: TemporaryFolder
  let engine: SearchEngine
  let snapshot: Snapshot

  init(_ services: [Service], _ vectors: MadeVectors) async throws {
    folder = try TemporaryFolder()
    let record = try Database(
      path: folder.path + "/record.db",
      migrations: IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) },
      options: Database.Options(readerCount: 1))
    try await record.write { connection -> Void in
      for service in services {
        _ = try CatalogStore.put(service, at: Moment.first, on: connection)
      }
    }
    let embedder = TextEmbedder { texts in texts.map { vectors.vector(of: $0) } }
    let indexer = try Indexer(
      record: record, embedder: embedder, dataFolder: folder.path, threadCount: 1)
    try await indexer.load()
    try await indexer.embedMissing { _ in }
    engine = SearchEngine(encoder: .init(embedder: embedder), microseconds: { 0 })
    snapshot = indexer.index.snapshot
  }
}

@Suite("Exactness: vectors")
struct ExactnessVectorTests {
  @Test("the nearest under a filter are the nearest there are", arguments: [1, 2, 3] as [UInt64])
  func nearest(seed: UInt64) async throws {
    var random = SplitMix64(seed: seed ^ 0x7EC70)
    let count = 300
    let vectors = try MadeVectors(count: count, random: &random)
    let services = try listings(vectors, seed: seed, &random)
    let facts = FactTable(services)
    let world = try await VectorWorld(services, vectors)
    // The set by meaning alone: those above the cut, and the best 200 in any case.
    let ranked = vectors.cosines.indices.sorted { vectors.cosines[$0] > vectors.cosines[$1] }
    let members = Set(
      ranked.enumerated().filter { $0 < 200 || vectors.cosines[$1] >= 0.3 }.map(\.1))
    var filters = RandomFilters(seed: seed)
    for number in 0..<60 {
      // From none to all by the rank, sometimes with a condition of another kind.
      let bound = random.pick([0, 1, 2, 5, 30, 150, 270, 299, 300])
      var parts = [Condition.number("contextWindow", "<", Double(bound))]
      if random.chance(40) { parts.append(filters.leaf()) }
      let condition = Condition.every(parts)
      let limit = random.pick([1, 10, 50, 100])
      let truth = facts.truth(of: condition)
      let expected = facts.rowsOfService.indices.filter { service in
        members.contains(service)
          && facts.rowsOfService[service].contains { truth[$0] == true }
      }.sorted { vectors.cosines[$0] > vectors.cosines[$1] }

      var request = SearchRequest()
      request.query = vectors.queryWord
      request.understands = false
      request.semantic = 1
      request.filter = try FilterParser.parse(condition.text)
      request.limit = limit
      let answer = try world.engine.search(request, on: world.snapshot)
      let label = "seed \(seed), request \(number): limit \(limit), \(condition.text)"
      #expect(answer.degraded == [], "\(label)")
      #expect(answer.total == expected.count, "\(label)")
      let places = answer.ids.compactMap { id in services.firstIndex { $0.id == id } }
      #expect(Set(places).count == min(limit, expected.count), "\(label)")
      #expect(Set(places).isSubset(of: expected), "\(label)")
      // By cosines and not by ids: equal ones may stand in either order.
      for (place, right) in zip(places, expected) {
        let gap = abs(vectors.cosines[place] - vectors.cosines[right])
        #expect(gap <= 1e-5, "\(label): \(services[place].id) in place of \(services[right].id)")
      }
    }
  }

  /// Random listings, public, named by their made-up words, with a rank from 0 as context window.
  private func listings(
    _ vectors: MadeVectors, seed: UInt64, _ random: inout SplitMix64
  ) throws -> [Service] {
    var listings = RandomListings(seed: seed)
    let ranks = vectors.words.indices.shuffled(using: &random)
    return try vectors.words.enumerated().map { number, word in
      // In order of id, as the facts count them.
      let id = "service-\(String(1_000 + number))"
      var document = try listings.service(id).document
      document["name"] = .string(word)
      document["status"] = "active"
      document["contextWindow"] = .number(ranks[number])
      return try Service.read(document)
    }
  }
}
