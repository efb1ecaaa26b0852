internal import Catalog
internal import Primitives
internal import SQLite

// Bases, merges, vectors and generations: work that runs beside the live changes, and what it ends in.
extension Indexer {
  /// Builds a new base from the record beside the running one, then swaps.
  func rebuildBase() async throws { try await alone { try await self.rebuildAlone() } }

  /// Takes the tuned model over that is named as the one in use, or the shipped ranking where none is: a new base
  /// out of vectors that are known, then a swap. Searches go on meanwhile.
  ///
  /// - Returns: Whether anything changed.
  /// - Throws: `Refusal` while another rebuild runs.
  @discardableResult
  package func retune() async throws -> Bool {
    let fresh = BaseBuilder(record: record, tuning: IndexTuning(reading: generations.tuned))
    guard fresh.fingerprint != builder.fingerprint else { return false }
    guard !isReindexing else {
      throw Refusal(.invalidTransition, "Another rebuild of the index is running.")
    }
    isReindexing = true
    defer { isReindexing = false }
    try await alone { try await self.retuneAlone(fresh) }
    return true
  }

  private func retuneAlone(_ fresh: BaseBuilder) async throws {
    let path = generations.nextBase(of: generation)
    let average = base.count >= 1_000 ? base.averageLength : nil
    let segment = try await fresh.build(cache, path: path, averageLength: average)
    try await inOrder { try await self.adopt(segment, with: fresh) }
    generations.pruneBases(of: generation, keeping: path)
  }

  /// The live catalog for tuning, with the vectors that are known by now.
  ///
  /// - Parameters:
  ///   - ids: Services that must be in it.
  ///   - countMax: Of more services a part is taken, by a sum of their ids, so that it is the same every time.
  package func tuningBench(
    including ids: Set<String>, countMax: Int
  ) async throws -> EngineTuningBench {
    let total = try await record.read { try CatalogStore.publicCount($0) }
    var entries: [EngineTuningBench.Entry] = []
    var pages = CatalogPages(of: record, count: BaseBuilder.pageCount)
    while let page = try await pages.next() {
      let taken = page.filter { stored in
        let id = stored.service.id
        let sum = id.utf8.reduce(UInt32(7)) { $0 &* 0x0100_0193 ^ UInt32($1) } >> 8
        return stored.service.isPublic
          && (total <= countMax || ids.contains(id) || Int(sum) % total < countMax)
      }
      let keys = taken.map { EmbeddingCache.key(of: Analyzer.embeddingText(of: $0.service)) }
      let known = try await cache.vectors(of: keys)
      entries += zip(taken, keys).map { .init(stored: $0, vector: known[$1]) }
    }
    let embedder = entries.contains { $0.vector != nil } ? self.embedder : nil
    let all = entries
    return try await Offload.run { try EngineTuningBench(all, embedder: embedder) }
  }

  /// The tuned models of this data folder.
  package nonisolated var tunedModels: TunedModels { generations.tuned }

  private func rebuildAlone() async throws {
    let path = generations.nextBase(of: generation)
    let average = base.count >= 1_000 ? base.averageLength : nil
    let name = generation
    let segment = try await builder.build(cache, path: path, averageLength: average)
    // A reindex that ended meanwhile has a newer one.
    guard name == generation else { return }
    try await inOrder { try await self.adopt([Part(segment)], from: segment.revision) }
    generations.pruneBases(of: name, keeping: path)
  }

  /// Merges sealed segments: into one, or, where they have grown large, into a new base.
  func merge() async throws {
    guard !isMerging, parts.count > 2 else { return }
    isMerging = true
    defer { isMerging = false }
    let sealed = Array(parts.dropFirst())
    let count = sealed.reduce(0) { $0 + $1.live.population }
    guard count <= max(5_000, base.count / 10), !outgrows(sealed) else {
      return try await rebuildBase()
    }
    let ids = sealed.flatMap { part in part.live.integers.map { part.segment.id(Int($0)) } }
    let before = base
    let merged = try await Indexer.merged(ids, cache, builder, beside: before)
    try await inOrder {
      try await self.adopt(merged, replacing: sealed.count, ifBaseIs: before)
    }
  }

  /// Whether most vectors lie outside of the base, which says where vectors are compared: the mean of few, or of
  /// none, is no mean of the catalog.
  private func outgrows(_ sealed: [Part]) -> Bool {
    let fresh = sealed.reduce(0) { $0 + $1.segment.hasVector.intersection($1.live).population }
    return fresh > base.hasVector.population
  }

  private func adopt(_ merged: Segment, replacing count: Int, ifBaseIs before: Segment) async throws
  {
    // A new base that came meanwhile has all of it.
    guard base === before, parts.count > count else { return }
    try await adopt(merged: merged, replacing: count)
  }

  private nonisolated static func merged(
    _ ids: [String], _ cache: EmbeddingCache, _ builder: BaseBuilder, beside base: Segment
  ) async throws -> Segment {
    let preparation = try builder.preparation()
    var ready: [PreparedService] = []
    for start in stride(from: 0, to: ids.count, by: BaseBuilder.pageCount) {
      let page = ids[start..<min(start + BaseBuilder.pageCount, ids.count)]
      let stored = try await builder.record.read { connection in
        try page.compactMap { try CatalogStore.service(id: $0, on: connection) }
      }
      ready += try await preparation.prepare(stored.filter(\.service.isPublic), cache)
    }
    return try Segment.inMemory(ready, beside: base, configuration: builder.configuration)
  }

  /// Embeds what has no vector yet and publishes: at the end, and every 10,000 services on the way.
  package func embedMissing(_ report: @Sendable (Progress) -> Void) async throws {
    guard let embedder else { return }
    var last: [String] = []
    while true {
      let missing = missingVectors()
      // What could not be embedded once is not tried for ever.
      guard !missing.isEmpty, missing != last else { break }
      last = missing
      let step = Indexer.embedCount * threadCount
      let round = Array(missing.prefix(10_000))
      for start in stride(from: 0, to: round.count, by: step) {
        try Task.checkCancellation()
        let ids = Array(round[start..<min(start + step, round.count)])
        try await embed(ids, with: embedder)
        report(Progress(done: min(start + step, round.count), total: missing.count))
      }
      // The centre of the vector space is the base's: one that most vectors joined later has none to speak of.
      if round.count > 500 || round.count * 4 > base.count {
        try await rebuildBase()
      } else {
        try await inOrder { try await self.refresh(round) }
      }
    }
    if missingVectors().isEmpty { generations.markWhole(generation) }
  }

  private func embed(_ ids: [String], with embedder: TextEmbedder) async throws {
    let stored = try await record.read { connection in
      try ids.compactMap { try CatalogStore.service(id: $0, on: connection) }
    }
    let texts = stored.map { Analyzer.embeddingText(of: $0.service) }
    let vectors = await embedder.vectors(of: texts, threadCount: threadCount)
    try await cache.store(zip(texts, vectors).map { (EmbeddingCache.key(of: $0), $1) })
  }

  /// Builds a new generation beside the old one, then swaps; the old one serves until then.
  /// - Throws: `Refusal` while another rebuild runs.
  package func reindex(_ report: @Sendable (Progress) -> Void) async throws -> String {
    guard !isReindexing else {
      throw Refusal(.invalidTransition, "Another rebuild of the index is running.")
    }
    isReindexing = true
    defer { isReindexing = false }
    let name = try generations.create()
    let fresh = try EmbeddingCache(path: generations.path(name) + "/index.db")
    var pages = CatalogPages(of: record, count: BaseBuilder.pageCount)
    var done = 0
    let total = try await record.read { try CatalogStore.publicCount($0) }
    while let embedder, let page = try await pages.next() {
      let texts = page.filter(\.service.isPublic).map { Analyzer.embeddingText(of: $0.service) }
      let vectors = await embedder.vectors(of: texts, threadCount: threadCount)
      try await fresh.store(zip(texts, vectors).map { (EmbeddingCache.key(of: $0), $1) })
      done += texts.count
      report(Progress(done: done, total: max(total, done)))
    }
    let path = generations.nextBase(of: name)
    let built = try await builder.build(fresh, path: path, averageLength: nil)
    try await inOrder { try await self.adopt(built, of: name, fresh) }
    if missingVectors().isEmpty { generations.markWhole(name) }
    generations.prune(keeping: name)
    return name
  }

  /// Takes a generation over; nothing changes where that fails.
  private func adopt(_ base: Segment, of name: String, _ fresh: EmbeddingCache) async throws {
    let before = (generation, cache)
    (generation, cache) = (name, fresh)
    do {
      try await adopt([Part(base)], from: base.revision)
    } catch {
      (generation, cache) = before
      throw error
    }
  }

  /// Goes back to the generation before this one; searches go on meanwhile.
  /// - Returns: Its name.
  /// - Throws: `Refusal` where there is none, or while a rebuild runs.
  package func rollBack() async throws -> String {
    guard !isReindexing else {
      throw Refusal(.invalidTransition, "Another rebuild of the index is running.")
    }
    guard let name = generations.previous(of: generation) else {
      throw Refusal(.notFound, "There is no whole generation before this one.")
    }
    isReindexing = true
    defer { isReindexing = false }
    let left = generation
    let fresh = try EmbeddingCache(path: generations.path(name) + "/index.db")
    let path = generations.nextBase(of: name)
    let built = try await builder.build(fresh, path: path, averageLength: nil)
    try await inOrder { try await self.adopt(built, of: name, fresh) }
    generations.discard(left)
    return name
  }
}
