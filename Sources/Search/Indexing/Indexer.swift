internal import Catalog
internal import Dispatch
package import Embedding
package import SQLite

/// Keeps the index in step with the record: builds a base, follows the change log, publishes snapshots.
///
/// Its steps run one after the other; embedding runs on a thread of its own, so that searches keep theirs.
package actor Indexer {
  /// How far an embedding run is.
  package struct Progress: Sendable {
    package let done: Int
    package let total: Int
  }

  /// Changes in the delta from which the base is built anew in the background.
  static let deltaCountMax = 1_000
  private static let pageCount = 500
  private static let embedCount = 32

  private let record: Database
  private let encoder: Encoder?
  private let generations: Generations
  private let configuration: RankingConfiguration
  private let analyzer: Analyzer
  private let threadCount: Int
  private var cache: EmbeddingCache
  private var generation: String
  private var base: Segment
  private var averageLength: Float = 100
  private var delta: [String: PreparedService?] = [:]
  private var revision: Int64 = 0
  private var tail: Task<Void, any Error>?
  private var isRebuilding = false
  /// What searches read.
  package nonisolated let index: SearchIndex

  /// Opens the newest generation, or starts one.
  ///
  /// - Parameter threadCount: Threads that bulk embedding may use.
  package init(record: Database, encoder: Encoder?, dataFolder: String, threadCount: Int) throws {
    self.record = record
    self.encoder = encoder
    self.threadCount = threadCount
    let configuration = RankingConfiguration.shipped
    let generations = try Generations(dataFolder: dataFolder)
    let generation = try generations.newest() ?? generations.create()
    let empty = Segment([], averageLength: 100, configuration: configuration)
    self.configuration = configuration
    self.generations = generations
    self.generation = generation
    analyzer = try Analyzer(weights: configuration.fields)
    cache = try EmbeddingCache(path: generations.path(generation) + "/index.db")
    base = empty
    index = SearchIndex(
      Snapshot(
        segments: [empty], live: [Bitset(count: 0)], revision: 0, generation: generation,
        configuration: configuration))
  }

  /// Loads every service, with the vectors that are known, and publishes. After it, searches work.
  package func load() async throws {
    let built = try await build(with: cache)
    try await inOrder { try await self.adopt(built) }
  }

  /// Embeds what has no vector yet, publishing as it goes.
  package func embedMissing(_ report: @Sendable (Progress) -> Void) async throws {
    guard encoder != nil else { return }
    let missing = base.ids.indices.filter { !base.hasVector[$0] }.map { base.ids[$0] }
    guard !missing.isEmpty else {
      generations.markWhole(generation)
      return
    }
    for start in stride(from: 0, to: missing.count, by: Indexer.embedCount * threadCount) {
      let end = min(start + Indexer.embedCount * threadCount, missing.count)
      try Task.checkCancellation()
      try await embed(ids: Array(missing[start..<end]))
      report(Progress(done: end, total: missing.count))
    }
    try await load()
    generations.markWhole(generation)
  }

  /// Brings the snapshot up to the record's newest revision; returns when it is searchable.
  package func catchUp() async throws {
    try await inOrder { try await self.applyChanges() }
    if delta.count > Indexer.deltaCountMax, !isRebuilding {
      isRebuilding = true
      defer { isRebuilding = false }
      try await load()
    }
  }

  /// Builds a new generation beside the old one, then swaps; the old one serves until then.
  package func reindex(_ report: @Sendable (Progress) -> Void) async throws -> String {
    let name = try generations.create()
    let fresh = try EmbeddingCache(path: generations.path(name) + "/index.db")
    var after = ""
    var done = 0
    let total = try await record.read { try CatalogStore.publicCount($0) }
    while true {
      let page = try await page(after: after)
      guard let last = page.last else { break }
      after = last.service.id
      let texts = page.filter(\.service.isPublic).map { Analyzer.embeddingText(of: $0.service) }
      let vectors = await vectors(of: texts)
      if !vectors.isEmpty {
        try await fresh.store(zip(texts, vectors).map { (EmbeddingCache.key(of: $0), $1) })
      }
      done += texts.count
      report(Progress(done: done, total: max(total, done)))
    }
    let built = try await build(with: fresh)
    try await inOrder { try await self.adopt(built, generation: name, fresh) }
    generations.markWhole(name)
    generations.prune(keeping: name)
    return name
  }

  /// Chains the steps, so that none sees another's half.
  private func inOrder(_ step: @escaping @Sendable () async throws -> Void) async throws {
    let previous = tail
    let task = Task {
      _ = await previous?.result
      try await step()
    }
    tail = task
    try await task.value
  }

  private func page(after id: String) async throws -> [StoredService] {
    try await record.read {
      try CatalogStore.services(after: id, limit: Indexer.pageCount, on: $0)
    }
  }

  /// A base that was built beside the running one.
  private struct Built: Sendable {
    let base: Segment
    let averageLength: Float
    let revision: Int64
  }

  /// Builds a base from the record. Changes go on landing meanwhile; they are in the log.
  private func build(with cache: EmbeddingCache) async throws -> Built {
    let seen = try await record.read { try CatalogStore.revision($0) }
    var prepared: [PreparedService] = []
    var after = ""
    while true {
      let page = try await page(after: after)
      guard let last = page.last else { break }
      after = last.service.id
      prepared += try await prepare(page.filter(\.service.isPublic), embeds: false, cache)
    }
    let tokens = prepared.reduce(0) { $0 + $1.terms.length }
    let average = prepared.isEmpty ? 100 : Float(tokens) / Float(prepared.count)
    let base = await Indexer.segment(of: prepared, average, configuration)
    return Built(base: base, averageLength: average, revision: seen)
  }

  /// Off the actor: a large base takes seconds, and live changes must not wait for it.
  private nonisolated static func segment(
    of prepared: [PreparedService], _ average: Float, _ configuration: RankingConfiguration
  ) async -> Segment {
    Segment(prepared, averageLength: average, configuration: configuration)
  }

  /// Takes a new base over and catches up with the log before anybody sees it: the revision never falls.
  private func adopt(
    _ built: Built, generation name: String? = nil, _ fresh: EmbeddingCache? = nil
  ) async throws {
    if let name, let fresh {
      generation = name
      cache = fresh
    }
    base = built.base
    averageLength = built.averageLength
    delta = [:]
    revision = built.revision
    try await applyChanges()
  }

  /// Follows the log to its end, then publishes once.
  private func applyChanges() async throws {
    defer { publish() }
    while true {
      let since = revision
      let changes = try await record.read {
        try CatalogStore.changes(after: since, limit: Indexer.pageCount, on: $0)
      }
      guard let last = changes.last else { return }
      let ids = Array(Set(changes.map(\.serviceID))).sorted()
      let stored = try await record.read { connection in
        try ids.compactMap { try CatalogStore.service(id: $0, on: connection) }
      }
      for id in ids { delta.updateValue(nil, forKey: id) }
      for ready in try await prepare(stored.filter(\.service.isPublic), embeds: true, cache) {
        delta.updateValue(ready, forKey: ready.stored.service.id)
      }
      revision = last.revision
    }
  }

  private func publish() {
    let fresh = Segment(
      delta.values.compactMap { $0 }, averageLength: averageLength, configuration: configuration)
    var live = Bitset(count: base.count, filled: true)
    for id in delta.keys {
      if let place = base.index(of: id) { live[place] = false }
    }
    index.publish(
      Snapshot(
        segments: [base, fresh], live: [live, Bitset(count: fresh.count, filled: true)],
        revision: revision, generation: generation, configuration: configuration))
  }

  /// Terms and vectors of services; a vector that is not known is embedded now, or left out.
  private func prepare(
    _ services: [StoredService], embeds: Bool, _ cache: EmbeddingCache
  ) async throws -> [PreparedService] {
    let texts = services.map { Analyzer.embeddingText(of: $0.service) }
    let keys = texts.map(EmbeddingCache.key(of:))
    var known = try await cache.vectors(of: keys)
    if embeds, encoder != nil {
      let missing = keys.indices.filter { known[keys[$0]] == nil }
      let vectors = await vectors(of: missing.map { texts[$0] })
      let entries = zip(missing, vectors).map { (key: keys[$0], vector: $1) }
      if !entries.isEmpty { try await cache.store(entries) }
      for entry in entries { known[entry.key] = entry.vector }
    }
    return zip(services, keys).map { service, key in
      PreparedService(
        stored: service, terms: analyzer.terms(of: service.service), vector: known[key])
    }
  }

  private func embed(ids: [String]) async throws {
    let stored = try await record.read { connection in
      try ids.compactMap { try CatalogStore.service(id: $0, on: connection) }
    }
    let texts = stored.map { Analyzer.embeddingText(of: $0.service) }
    let vectors = await vectors(of: texts)
    try await cache.store(zip(texts, vectors).map { (EmbeddingCache.key(of: $0), $1) })
  }

  /// Embeds on threads outside of Swift's pool.
  private func vectors(of texts: [String]) async -> [[Float]] {
    guard let encoder, !texts.isEmpty else { return [] }
    let share = (texts.count + threadCount - 1) / threadCount
    return await withTaskGroup(of: (Int, [[Float]]).self) { group in
      for start in stride(from: 0, to: texts.count, by: share) {
        let part = Array(texts[start..<min(start + share, texts.count)])
        group.addTask {
          await withCheckedContinuation { continuation in
            DispatchQueue.global(qos: .utility).async {
              continuation.resume(returning: (start, encoder.vectors(of: part)))
            }
          }
        }
      }
      var parts: [(Int, [[Float]])] = []
      for await part in group { parts.append(part) }
      return parts.sorted { $0.0 < $1.0 }.flatMap(\.1)
    }
  }
}
