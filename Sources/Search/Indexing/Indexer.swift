internal import Catalog
package import Embedding
internal import Primitives
package import SQLite

/// Keeps the index in step with the record: holds a base, follows the change log, publishes snapshots.
///
/// A snapshot is the base (mapped from a file), sealed segments of earlier changes, and a small delta. Live changes
/// go into the delta; a full delta is sealed; many sealed segments are merged, and a large merge builds a new base.
/// Steps that change what is published run one after the other; building and embedding run beside them.
package actor Indexer {
  /// How far an embedding run is.
  package struct Progress: Sendable {
    package let done: Int
    package let total: Int
  }

  /// A segment and which of its services are up to date.
  struct Part {
    let segment: Segment
    var live: Bitset

    init(_ segment: Segment) {
      self.segment = segment
      live = Bitset(count: segment.count, filled: true)
    }
  }

  /// Services in the delta from which it is sealed.
  static let deltaCountMax = 128
  /// Sealed segments from which they are merged,
  static let sealedCountMax = 8
  /// and from which a change waits for the merge.
  static let sealedCountLimit = 32
  /// Changes that are embedded before they are published; more at once are bulk, and get their vectors later.
  static let liveCountMax = 32
  static let embedCount = 32

  let record: Database
  let embedder: TextEmbedder?
  let generations: Generations
  /// Makes bases, with the tuned model in use.
  private(set) var builder: BaseBuilder
  let threadCount: Int
  private var preparation: TextPreparation
  var cache: EmbeddingCache
  var generation: String
  /// The base first, then sealed segments from old to new.
  var parts: [Part]
  private var delta: [String: PreparedService] = [:]
  private var revision: Int64 = 0
  /// Rises whenever scores may change without a change of the catalog: a new base, new vectors.
  private var build = 0
  private var tail: Task<Void, any Error>?
  private var buildTail: Task<Void, any Error>?
  var isMerging = false
  var isReindexing = false
  /// What searches read.
  package nonisolated let index: SearchIndex

  /// Opens the newest generation, or starts one.
  ///
  /// - Parameters:
  ///   - threadCount: Threads that bulk embedding may use.
  ///   - microseconds: A rising clock, for the age of cursors.
  package init(
    record: Database, embedder: TextEmbedder?, dataFolder: String, threadCount: Int,
    microseconds: @escaping @Sendable () -> Int64 = { 0 }
  ) throws {
    self.record = record
    self.embedder = embedder
    self.threadCount = threadCount
    let generations = try Generations(dataFolder: dataFolder)
    let builder = BaseBuilder(record: record, tuning: IndexTuning(reading: generations.tuned))
    let configuration = builder.configuration
    let generation = try generations.newest() ?? generations.create()
    let empty = try Segment.inMemory([], configuration: configuration)
    self.generations = generations
    self.generation = generation
    self.builder = builder
    preparation = try builder.preparation()
    cache = try EmbeddingCache(path: generations.path(generation) + "/index.db")
    parts = [Part(empty)]
    index = SearchIndex(
      Snapshot(
        segments: [empty], live: [Bitset(count: 0)], revision: 0, generation: generation,
        configuration: configuration, tuning: builder.tuning), microseconds: microseconds)
  }

  /// An indexer with the embedding model, or without vectors where there is none.
  package init(record: Database, encoder: Encoder?, dataFolder: String, threadCount: Int) throws {
    try self.init(
      record: record, embedder: encoder.map(TextEmbedder.init(encoder:)), dataFolder: dataFolder,
      threadCount: threadCount)
  }

  var base: Segment { parts[0].segment }

  /// Live services that are not in the base.
  private var countBesideBase: Int {
    delta.count + parts.dropFirst().reduce(0) { $0 + $1.live.population }
  }

  /// Opens the base that is there, or builds one, catches up with the log, and publishes. After it, searches work.
  package func load() async throws {
    let newest = try await record.read { try CatalogStore.revision($0) }
    if let found = builder.open(generations.bases(of: generation)),
      newest - found.revision <= max(2_000, Int64(found.count / 10)), newest >= found.revision
    {
      try await inOrder { try await self.adopt([Part(found)], from: found.revision) }
    } else {
      try await rebuildBase()
    }
  }

  /// Brings the snapshot up to the record's newest revision; returns when it is searchable.
  package func catchUp() async throws {
    try await inOrder { try await self.applyChanges(publishingFrom: 0) }
    if parts.count > Indexer.sealedCountLimit { try await merge() }
  }

  /// What a server does every second: catch up with changes that nobody announced, merge, embed what has no
  /// vector. Cancelled with its task.
  package func tend(_ report: @Sendable (Progress) -> Void = { _ in }) async throws {
    let newest = try await record.read { try CatalogStore.revision($0) }
    if revision < newest { try await catchUp() }
    if parts.count > Indexer.sealedCountMax { try await merge() }
    try await embedMissing(report)
    if countBesideBase > base.count / 2 + 64 { try await rebuildBase() }
  }

  /// Chains the steps, so that none sees another's half.
  func inOrder(_ step: @escaping @Sendable () async throws -> Void) async throws {
    let previous = tail
    let task = Task {
      _ = await previous?.result
      try await step()
    }
    tail = task
    try await task.value
  }

  /// Builds bases one after the other: each takes a core, and they share a folder.
  func alone(_ build: @escaping @Sendable () async throws -> Void) async throws {
    let previous = buildTail
    let task = Task {
      _ = await previous?.result
      try await build()
    }
    buildTail = task
    try await withTaskCancellationHandler {
      try await task.value
    } onCancel: {
      task.cancel()
    }
  }

  /// Takes a base over that was made with another tuned model; nothing changes where that fails.
  func adopt(_ base: Segment, with fresh: BaseBuilder) async throws {
    let before = (builder, preparation)
    (builder, preparation) = (fresh, try fresh.preparation())
    do {
      try await adopt([Part(base)], from: base.revision)
    } catch {
      (builder, preparation) = before
      throw error
    }
  }

  /// Takes segments over and catches up with the log before anybody sees them: the revision never falls.
  ///
  /// - Parameter start: The log is followed from here. Nothing changes where that fails.
  func adopt(_ fresh: [Part], from start: Int64) async throws {
    let before = (parts, delta, revision, build)
    parts = fresh
    delta = [:]
    revision = start
    build += 1
    do {
      let newest = try await record.read { try CatalogStore.revision($0) }
      try await applyChanges(publishingFrom: newest)
      publish()
    } catch {
      (parts, delta, revision, build) = before
      throw error
    }
  }

  /// Takes a merged segment in place of the sealed ones that it was made from.
  func adopt(merged: Segment, replacing count: Int) async throws {
    var part = Part(merged)
    for place in 0..<merged.count {
      // Superseded or removed since: then none of the replaced segments holds it any more.
      let id = merged.id(place)
      part.live[place] = parts[1...count].contains { old in
        old.segment.index(of: id).map { old.live[$0] } ?? false
      }
    }
    parts.replaceSubrange(1...count, with: [part])
    let newest = try await record.read { try CatalogStore.revision($0) }
    try await applyChanges(publishingFrom: newest)
    publish()
  }

  /// Reads services anew, with the vectors that are known by now.
  func refresh(_ ids: [String]) async throws {
    let stored = try await stored(ids)
    let ready = try await preparation.prepare(stored.filter(\.service.isPublic), cache)
    let newest = try await record.read { try CatalogStore.revision($0) }
    for service in ready where isLive(service.stored.service.id) { put(service) }
    build += 1
    try await applyChanges(publishingFrom: newest)
    publish()
  }

  /// Follows the log to its end, a page at a time; each page is seen whole or not at all.
  private func applyChanges(publishingFrom least: Int64) async throws {
    while true {
      let since = revision
      let changes = try await record.read {
        try CatalogStore.changes(after: since, limit: BaseBuilder.pageCount, on: $0)
      }
      guard let last = changes.last else { return }
      let ids = Array(Set(changes.map(\.serviceID))).sorted()
      let stored = try await stored(ids).filter(\.service.isPublic)
      let isLive = changes.count <= Indexer.liveCountMax
      // Whatever can fail comes before the first change of what is published.
      let ready = try await preparation.prepare(stored, cache, embed: isLive ? liveEmbed : nil)
      for id in ids { take(out: id) }
      for service in ready { put(service) }
      revision = last.revision
      if revision >= least { publish() }
    }
  }

  /// Embeds a live change on one thread.
  private var liveEmbed: (@Sendable ([String]) async -> [[Float]])? {
    guard let embedder else { return nil }
    return { texts in await embedder.vectors(of: texts, threadCount: 1) }
  }

  private func stored(_ ids: [String]) async throws -> [StoredService] {
    try await record.read { connection in
      try ids.compactMap { try CatalogStore.service(id: $0, on: connection) }
    }
  }

  private func isLive(_ id: String) -> Bool {
    delta[id] != nil
      || parts.contains { part in part.segment.index(of: id).map { part.live[$0] } ?? false }
  }

  private func take(out id: String) {
    delta[id] = nil
    for number in parts.indices {
      if let place = parts[number].segment.index(of: id) { parts[number].live[place] = false }
    }
  }

  private func put(_ service: PreparedService) {
    take(out: service.stored.service.id)
    delta[service.stored.service.id] = service
    guard delta.count >= Indexer.deltaCountMax, let sealed = deltaSegment() else { return }
    parts.append(Part(sealed))
    delta = [:]
  }

  private func deltaSegment() -> Segment? {
    // Sections in memory always have the sizes that the builder gave them.
    try? Segment.inMemory(
      Array(delta.values), beside: base, configuration: builder.configuration)
  }

  private func publish() {
    var segments = parts.map(\.segment)
    var live = parts.map(\.live)
    if !delta.isEmpty, let fresh = deltaSegment() {
      segments.append(fresh)
      live.append(Bitset(count: fresh.count, filled: true))
    }
    index.publish(
      Snapshot(
        segments: segments, live: live, revision: revision, generation: "\(generation)+\(build)",
        configuration: builder.configuration, tuning: builder.tuning))
  }

  /// Live services without a vector.
  func missingVectors() -> [String] {
    var ids = delta.values.filter { $0.vector == nil }.map(\.stored.service.id)
    for part in parts {
      var missing = part.live
      missing.subtract(part.segment.hasVector)
      missing.forEach { ids.append(part.segment.id($0)) }
    }
    return ids.sorted()
  }
}

extension Segment {
  /// The catalog revision that the builder noted.
  var revision: Int64 { facts["revision"]?.int ?? 0 }
}
