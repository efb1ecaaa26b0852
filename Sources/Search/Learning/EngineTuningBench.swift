package import Catalog
package import Embedding
package import LinearAlgebra
package import Primitives
internal import Index
internal import Synchronization

/// A catalog in memory behind the real engine: what tuning is learnt from and measured on.
///
/// Services are cut and embedded once; each tuned model gets a segment of its own out of them. Needs are embedded
/// once and kept. Memory: about 5 KB a service, and again as much for the segment.
package final class EngineTuningBench: TuningBench {
  /// A service with its vector as the model gives it, where it has one.
  package struct Entry: Sendable {
    package let stored: StoredService
    package let vector: [Float]?

    package init(stored: StoredService, vector: [Float]?) {
      self.stored = stored
      self.vector = vector
    }
  }

  private struct Built {
    let adapter: Adapter?
    let terms: LearnedTerms
    let segment: Segment
  }

  package let modelID: String
  package let serviceIDs: [String]
  package let weights: FusionTrainer.Weights
  private let configuration: RankingConfiguration
  private let prepared: [PreparedService]
  private let embedder: TextEmbedder?
  private let engine: SearchEngine
  private let plain: Snapshot
  private let scratches = ScratchPool()
  /// The segment of the last model: what is measured twice is built once.
  private let built = Mutex<Built?>(nil)

  /// - Parameters:
  ///   - embedder: Embeds needs; nil where there is no model, then only terms are learnt.
  ///   - ranking: A configuration in place of the shipped one.
  package init(_ entries: [Entry], embedder: TextEmbedder?, ranking: String? = nil) throws {
    modelID = (try JSON.parse(IndexFiles.model))["id"]?.string ?? "none"
    configuration = ranking.map { RankingConfiguration(text: $0) } ?? .shipped
    weights = FusionTrainer.Weights(vectorShare: configuration.vectorShare)
    let analyzer = try Analyzer(weights: configuration.fields)
    let sorted = entries.sorted {
      TextTableBuilder.precedes($0.stored.service.id, $1.stored.service.id)
    }
    prepared = sorted.map { entry in
      PreparedService(
        stored: entry.stored, terms: analyzer.terms(of: entry.stored.service),
        vector: embedder == nil ? nil : entry.vector)
    }
    serviceIDs = sorted.map(\.stored.service.id)
    let memory = embedder.map { VectorMemory(embedder: $0) }
    self.embedder = memory.map { memory in TextEmbedder { memory.vectors(of: $0) } }
    engine = SearchEngine(encoder: .init(embedder: self.embedder), microseconds: { 0 })
    plain = EngineTuningBench.snapshot(
      of: try Segment.inMemory(prepared, configuration: configuration), configuration)
  }

  /// A catalog of files, embedded here.
  package convenience init(
    services: [Service], encoder: Encoder?, at now: Timestamp, ranking: String? = nil
  ) throws {
    try self.init(
      EngineTuningBench.entries(services, encoder: encoder, at: now),
      embedder: encoder.map(TextEmbedder.init(encoder:)), ranking: ranking)
  }

  /// Services of files with their vectors, for benches that share them.
  package static func entries(
    _ services: [Service], encoder: Encoder?, at now: Timestamp
  ) -> [Entry] {
    let vectors = encoder?.vectors(of: services.map(Analyzer.embeddingText(of:)))
    return services.enumerated().map { index, service in
      Entry(
        stored: StoredService(
          service: service, revision: 1, createdAt: now, updatedAt: now, isProviderVerified: false),
        vector: vectors?[index])
    }
  }

  package func terms(of text: String) -> [String] {
    // Without a tokenizer nothing could be searched either.
    (try? scratches.with { $0.analyzer.queryTerms(text) }) ?? []
  }

  package func idf(_ term: String) -> Float? {
    let frequency = plain.documentFrequency(term)
    return frequency > 0 ? plain.idf(documentFrequency: frequency) : nil
  }

  package func serviceVectors() async throws -> Matrix? {
    guard embedder != nil, !serviceIDs.isEmpty else { return nil }
    // The segment has them centred at unit length, and rows of zeros where there is none.
    return Matrix(columnCount: Encoder.dimension, elements: Array(plain.base.vectors.buffer))
  }

  package func needVectors(of texts: [String]) async throws -> Matrix? {
    guard let embedder else { return nil }
    return try await Offload.run {
      var rows: [Float] = []
      rows.reserveCapacity(texts.count * Encoder.dimension)
      for vector in embedder.vectors(texts) {
        rows += zip(vector, VectorSpace.needMean).map { $0 - $1 }
      }
      _ = UnitRows.normalize(&rows, columnCount: Encoder.dimension)
      return Matrix(columnCount: Encoder.dimension, elements: rows)
    }
  }

  package func rankings(
    of needs: [TuningNeed], under model: TunedModel?, count: Int
  ) async throws -> [[String]] {
    try await Offload.run {
      let snapshot = try self.snapshot(under: model)
      return try needs.map { need in
        var request = SearchRequest()
        request.query = need.text
        request.limit = count
        return try self.engine.search(request, on: snapshot).hits.map(\.id)
      }
    }
  }

  package func legs(
    of needs: [TuningNeed], under model: TunedModel?
  ) async throws -> [TuningLegs] {
    try await Offload.run {
      let snapshot = try self.snapshot(under: model)
      return try needs.map { need in
        var request = SearchRequest()
        request.query = need.text
        request.limit = 100
        // Both legs whole, so that the parts of a score are what any other balance is made of.
        request.semantic = 0.5
        request.explains = true
        let answer = try self.engine.search(request, on: snapshot)
        let candidates = answer.hits.map { hit in
          func part(_ name: String) -> Float { Float(hit.explanation?[name]?.double ?? 0) }
          let name = part("name")
          return FusionTrainer.Candidate(
            serviceID: hit.id, text: part("text") + part("pairs") + name,
            vector: part("vector") + part("sentence") + name)
        }
        return TuningLegs(queryClass: answer.queryClass, candidates: candidates)
      }
    }
  }

  private func snapshot(under model: TunedModel?) throws -> Snapshot {
    guard let model else { return plain }
    let known = built.withLock { $0 }
    let segment: Segment
    if let known, known.adapter == model.adapter, known.terms == model.terms {
      segment = known.segment
    } else {
      let services = prepared.map { service in
        var terms = service.terms
        terms.learned = model.terms.weights[service.stored.service.id] ?? [:]
        return PreparedService(stored: service.stored, terms: terms, vector: service.vector)
      }
      segment = try Segment.inMemory(
        services, adapter: model.adapter, configuration: configuration)
      built.withLock {
        $0 = Built(adapter: model.adapter, terms: model.terms, segment: segment)
      }
    }
    return EngineTuningBench.snapshot(of: segment, configuration.tuned(by: model.weights))
  }

  private static func snapshot(
    of segment: Segment, _ configuration: RankingConfiguration
  ) -> Snapshot {
    Snapshot(
      segments: [segment], live: [Bitset(count: segment.count, filled: true)], revision: 1,
      generation: "tuning", configuration: configuration)
  }
}

/// The vectors of every text that was asked for.
private final class VectorMemory: Sendable {
  private let embedder: TextEmbedder
  private let known = Mutex<[String: [Float]]>([:])

  init(embedder: TextEmbedder) { self.embedder = embedder }

  func vectors(of texts: [String]) -> [[Float]] {
    let found = known.withLock { known in texts.map { known[$0] } }
    let missing = texts.indices.filter { found[$0] == nil }
    let fresh = missing.isEmpty ? [] : embedder.vectors(missing.map { texts[$0] })
    var vectors = found.map { $0 ?? [] }
    known.withLock { known in
      for (place, vector) in zip(missing, fresh) {
        vectors[place] = vector
        known[texts[place]] = vector
      }
    }
    return vectors
  }
}
