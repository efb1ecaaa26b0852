internal import Catalog
internal import Primitives

// Vectors put where an index looks for them, so that a folder for a benchmark needs no embedding.
extension BenchVectors {
  /// Stores the vectors of a corpus's first so many services in a data folder's newest generation, or a new one.
  ///
  /// Services with the same text share a vector, as they do when a model makes it: the first one's stays.
  /// - Throws: Where the folder cannot be written.
  package func store(_ corpus: BenchCorpus, count: Int, dataFolder: String) async throws {
    let generations = try Generations(dataFolder: dataFolder)
    let name = try generations.newest() ?? generations.create()
    let cache = try EmbeddingCache(path: generations.path(name) + "/index.db")
    for start in stride(from: 0, to: count, by: BaseBuilder.pageCount) {
      let entries = try (start..<min(start + BaseBuilder.pageCount, count)).map { index in
        let text = Analyzer.embeddingText(of: try corpus.service(index))
        return (key: EmbeddingCache.key(of: text), vector: vector(index))
      }
      try await cache.store(entries)
    }
  }
}

extension Generations {
  /// Removes the base segments of the newest generation, so that the next start builds one.
  package func removeBases() {
    if let name = newest() { pruneBases(of: name, keeping: "") }
  }

  /// Bytes of the newest generation's base segment; 0 where there is none.
  package func baseByteCount() -> Int {
    guard let name = newest(), let path = bases(of: name).first, let blob = Blob(path: path) else {
      return 0
    }
    return blob.byteCount
  }
}
