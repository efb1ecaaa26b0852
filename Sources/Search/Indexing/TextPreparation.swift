internal import Catalog
internal import Dispatch
package import Embedding

/// Turns texts into vectors; a closure, so that tests bring their own.
package struct TextEmbedder: Sendable {
  /// Vectors of 384 floats, in the order of the texts.
  let vectors: @Sendable ([String]) -> [[Float]]

  package init(vectors: @escaping @Sendable ([String]) -> [[Float]]) { self.vectors = vectors }

  package init(encoder: Encoder) { self.init { encoder.vectors(of: $0) } }

  /// Threads outside of Swift's pool, which an embedding would hold for long.
  private static let queue = DispatchQueue(
    label: "waypost.embedding", qos: .utility, attributes: .concurrent)

  /// Embeds on up to `threadCount` threads: every thread takes each so-many-th text, so that long texts spread.
  func vectors(of texts: [String], threadCount: Int) async -> [[Float]] {
    guard !texts.isEmpty else { return [] }
    let order = texts.indices.sorted {
      (texts[$1].utf8.count, $0) < (texts[$0].utf8.count, $1)
    }
    let count = min(max(threadCount, 1), texts.count)
    let vectors = vectors
    return await withTaskGroup(of: [(Int, [Float])].self) { group in
      for thread in 0..<count {
        let part = stride(from: thread, to: order.count, by: count).map { order[$0] }
        let partTexts = part.map { texts[$0] }
        group.addTask {
          await withCheckedContinuation { continuation in
            TextEmbedder.queue.async {
              continuation.resume(returning: Array(zip(part, vectors(partTexts))))
            }
          }
        }
      }
      var output = [[Float]](repeating: [], count: texts.count)
      for await part in group {
        for (index, vector) in part { output[index] = vector }
      }
      return output
    }
  }
}

/// Makes services ready for a segment: terms from their text, vectors from the cache.
struct TextPreparation {
  let analyzer: Analyzer
  private let learned: LearnedTerms

  /// - Parameter learned: The terms that a marketplace has learnt for services.
  init(_ configuration: RankingConfiguration, learned: LearnedTerms) throws {
    analyzer = try Analyzer(weights: configuration.fields)
    self.learned = learned
  }

  /// - Parameter embed: Embeds what the cache does not know; nil leaves it without a vector.
  func prepare(
    _ services: [StoredService], _ cache: EmbeddingCache,
    embed: (@Sendable ([String]) async -> [[Float]])? = nil,
    isolation: isolated (any Actor)? = #isolation
  ) async throws -> [PreparedService] {
    let texts = services.map { Analyzer.embeddingText(of: $0.service) }
    let keys = texts.map(EmbeddingCache.key(of:))
    var known = try await cache.vectors(of: keys)
    if let embed {
      let missing = keys.indices.filter { known[keys[$0]] == nil }
      let entries = zip(missing, await embed(missing.map { texts[$0] }))
        .map { (key: keys[$0], vector: $1) }
      for entry in entries { known[entry.key] = entry.vector }
      // A cache that cannot be written costs an embedding at the next start, and no listing.
      if !entries.isEmpty { try? await cache.store(entries) }
    }
    return zip(services, keys).map { service, key in
      var terms = analyzer.terms(of: service.service)
      terms.learned = learned.weights[service.service.id] ?? [:]
      return PreparedService(stored: service, terms: terms, vector: known[key])
    }
  }
}
