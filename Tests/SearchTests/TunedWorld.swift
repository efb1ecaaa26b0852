import Catalog
import Index
import LinearAlgebra
import Primitives
import SQLite
import Search
import TestSupport

/// A marketplace with made vectors, a record and a running index.
///
/// Services of a group resemble each other; eight numbers of every vector are noise, which a map can learn to leave
/// out. A need names its service by a word that stands in another one's listing, which learnt terms can know.
struct TunedWorld: Sendable {
  static let serviceCount = 40
  static let userCount = 40
  let record: Database
  let indexer: Indexer
  let engine: SearchEngine
  let tuner: MarketplaceTuner
  let services: [Service]
  let embedder: TextEmbedder
  private let folder: TemporaryFolder

  var dataFolder: String { folder.path }
  var snapshot: Snapshot { indexer.index.snapshot }

  init(seed: UInt64 = 1) async throws {
    let folder = try TemporaryFolder()
    let vectors = TunedWorld.vectors(seed)
    let embedder = TextEmbedder { texts in
      texts.map { text in
        for word in text.lowercased().split(whereSeparator: { !$0.isLetter }) {
          if let vector = vectors[String(word)] { return vector }
        }
        return [Float](repeating: 0, count: 383) + [1]
      }
    }
    services = try (0..<TunedWorld.serviceCount).map { number in
      try listing(
        "item-\(number)",
        [
          "name": .string("Svc" + TunedWorld.word(number)),
          "tagline": .string("thing " + TunedWorld.clue((number + 1) % TunedWorld.serviceCount)),
          "providerName": .string("Maker \(number)"),
        ])
    }
    record = try Database(
      path: folder.path + "/record.db",
      migrations: IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) },
      options: Database.Options(readerCount: 1))
    let all = services
    try await record.write { connection -> Void in
      for service in all { _ = try CatalogStore.put(service, at: Moment.first, on: connection) }
    }
    indexer = try Indexer(
      record: record, embedder: embedder, dataFolder: folder.path, threadCount: 1)
    try await indexer.load()
    try await indexer.embedMissing { _ in }
    engine = SearchEngine(encoder: .init(embedder: embedder), microseconds: { 0 })
    tuner = MarketplaceTuner(record: record, indexer: indexer) { [] }
    self.embedder = embedder
    self.folder = folder
  }

  /// A made-up word without digits, another for each number below 400.
  static func word(_ number: Int) -> String {
    let letters = Array("bcdfghjklmnpqrtvwxzs")
    return "qu\(letters[number / 20 % 20])o\(letters[number % 20])ak"
  }

  /// The word that needs for a service use.
  static func clue(_ number: Int) -> String { "zi" + word(number + 100) }

  static func need(_ service: Int, by user: Int) -> String {
    "ask" + word(service) + word(user) + " " + clue(service)
  }

  /// Vectors of every service's and every need's word.
  private static func vectors(_ seed: UInt64) -> [String: [Float]] {
    var random = SplitMix64(seed: seed)
    func direction(_ range: Range<Int>) -> [Float] {
      var vector = [Float](repeating: 0, count: 384)
      for index in range { vector[index] = random.normal() }
      return LearningWorld.unit(vector)
    }
    let groups = (0..<5).map { _ in direction(8..<383) }
    var vectors: [String: [Float]] = [:]
    for service in 0..<serviceCount {
      let own = direction(8..<383)
      func made() -> [Float] {
        let noise = direction(0..<8)
        return LearningWorld.unit(
          (0..<384).map { groups[service % 5][$0] + 0.5 * own[$0] + noise[$0] })
      }
      vectors["svc" + word(service)] = made()
      for user in 0..<userCount { vectors["ask" + word(service) + word(user)] = made() }
    }
    return vectors
  }

  /// The answers to some needs as bytes: ids in order, scores to the last bit, totals.
  func answers(_ needs: [String]? = nil) throws -> [String] {
    try (needs ?? (0..<TunedWorld.serviceCount).map { TunedWorld.need($0, by: 39) }).map { need in
      var request = SearchRequest()
      request.query = need
      request.limit = 40
      let answer = try engine.search(request, on: snapshot)
      let hits = answer.hits.map { "\($0.id) \($0.score.bitPattern)" }
      return "\(answer.total): " + hits.joined(separator: ", ")
    }
  }

  /// Ids of the first ten for each need.
  func ranks() throws -> [[String]] {
    try (0..<TunedWorld.serviceCount).map { service in
      var request = SearchRequest()
      request.query = TunedWorld.need(service, by: 39)
      request.limit = 10
      return try engine.search(request, on: snapshot).hits.map(\.id)
    }
  }

  /// What people honestly choose: each of thirty users ten services.
  func putHonestFeedback() async throws {
    for user in 0..<30 {
      let choices = (0..<10).map { (service: ($0 * 4 + user) % TunedWorld.serviceCount, count: 1) }
      try await put(choices, by: user)
    }
  }

  /// Writes events as the server would have seen them: so many for each service.
  func put(
    _ choices: [(service: Int, count: Int)], by user: Int, salt: UInt8 = 1,
    needs: (@Sendable (Int) -> String)? = nil
  ) async throws {
    let services = services
    try await record.write { connection -> Void in
      for (service, count) in choices {
        for number in 0..<count {
          let id = (0..<16).map { place -> UInt8 in
            switch place {
            case 0..<4: UInt8(truncatingIfNeeded: user >> (8 * place))
            case 4..<8: UInt8(truncatingIfNeeded: service >> (8 * (place - 4)))
            case 8..<12: UInt8(truncatingIfNeeded: number >> (8 * (place - 8)))
            default: salt
            }
          }
          let record = FeedbackRecord(
            searchID: id, need: needs?(service) ?? TunedWorld.need(service, by: user % 39),
            serviceID: "item-\(service)", providerID: services[service].providerID, kind: .kept,
            isSeenByServer: false, position: 5, actor: .user(TunedWorld.user(user)),
            at: Moment.first)
          _ = try FeedbackStore.insert(record, searchedAt: Moment.first, on: connection)
        }
      }
    }
  }

  static func user(_ number: Int) -> [UInt8] {
    (0..<16).map { $0 < 4 ? UInt8(truncatingIfNeeded: number >> (8 * $0)) : 7 }
  }

  /// Makes an account that acts for a provider.
  func putProviderUser(_ number: Int, of providerID: String) async throws {
    try await record.write { connection -> Void in
      try connection.run(
        """
        INSERT INTO user(id, email, password_hash, role, provider_id, created_ms)
        VALUES (?, ?, 'x', 'provider', ?, 0)
        """, [.blob(TunedWorld.user(number)), .text("u\(number)@maker"), .text(providerID)])
    }
  }

  /// Learns from the feedback that is there.
  func tune(isDryRun: Bool = false) async throws -> MarketplaceTuner.Result {
    try await tuner.tune(nil, .quick, isDryRun: isDryRun, at: Moment.first + 1_000)
  }
}

extension TuningRun.Settings {
  /// Few and large steps, for a small world.
  static var quick: TuningRun.Settings {
    var settings = TuningRun.Settings()
    settings.foldCount = 3
    settings.adapter.rate = 0.004
    settings.adapter.stepCount = 12
    settings.feedback.actorCountMax = 3
    settings.feedback.roundCountMax = 12
    settings.feedback.probeCountMax = 60
    return settings
  }
}
