internal import Catalog
internal import Embedding
internal import LinearAlgebra
internal import Primitives

/// Unit vectors for a benchmark's services and queries: real ones with seeded noise on the copies, a file's, or
/// seeded ones around 2,000 centres, which is how the peer makes them.
package struct BenchVectors: Sendable {
  private enum Source: Sendable {
    case clustered(centres: [Float])
    case real(by: [[Float]], centres: [Float])
    case file([Float])
  }

  /// Floats of a vector.
  package static let dimension = Encoder.dimension
  private static let centreCount = 2_000
  /// The noise of one component around its centre, and on a copy of a real vector of unit length.
  private static let spread: Float = 0.6
  private static let copySpread: Float = 0.015

  private let source: Source
  private let seed: UInt64
  /// How many of the templates have a real vector.
  package private(set) var realCount = 0

  /// Seeded vectors in clusters.
  package init(seed: UInt64 = 7) {
    self.seed = seed
    source = .clustered(centres: BenchVectors.centres(seed))
  }

  /// The rows of a file of little-endian floats, as `peers/vectors.py --write` makes it.
  package init(rows: [Float]) {
    precondition(rows.count % BenchVectors.dimension == 0, "no whole rows")
    seed = 7
    source = .file(rows)
  }

  /// The vectors that a data folder's newest generation knows of a corpus; clustered ones for the rest.
  /// - Throws: Where the folder has no index or it cannot be read.
  package init(dataFolder: String, corpus: BenchCorpus, seed: UInt64 = 7) async throws {
    let generations = try Generations(dataFolder: dataFolder)
    guard let name = generations.newest() else {
      throw Refusal(.validationFailed, "\(dataFolder) has no index; waypost import makes it.")
    }
    let cache = try EmbeddingCache(path: generations.path(name) + "/index.db")
    var rows: [[Float]] = []
    rows.reserveCapacity(corpus.templates.count)
    for start in stride(from: 0, to: corpus.templates.count, by: BaseBuilder.pageCount) {
      let page = corpus.templates[
        start..<min(start + BaseBuilder.pageCount, corpus.templates.count)]
      let keys = page.map { EmbeddingCache.key(of: Analyzer.embeddingText(of: $0)) }
      let known = try await cache.vectors(of: keys)
      rows += keys.map { known[$0] ?? [] }
    }
    self.seed = seed
    source = .real(by: rows, centres: BenchVectors.centres(seed))
    realCount = rows.count { !$0.isEmpty }
  }

  /// The unit vector of a service by its number.
  package func vector(_ index: Int) -> [Float] {
    var random = SplitMix64(seed: seed &+ UInt64(index) &* 0xD134_2543_DE82_EF95)
    switch source {
    case .file(let rows):
      let start = index * BenchVectors.dimension
      return Array(rows[start..<start + BenchVectors.dimension])
    case .clustered(let centres): return BenchVectors.clustered(centres, &random)
    case .real(let known, let centres):
      let row = known[index % known.count]
      guard !row.isEmpty else { return BenchVectors.clustered(centres, &random) }
      guard index >= known.count else { return row }
      return BenchVectors.unit(row, noise: BenchVectors.copySpread, &random)
    }
  }

  /// Queries of the same making that are no service's vector.
  package func queries(_ count: Int) -> [[Float]] { (0..<count).map { query(UInt64($0)) } }

  /// In place of a model: the same text has the same vector, which means nothing.
  package var embedder: TextEmbedder {
    TextEmbedder { texts in
      // FNV-1a of the text is its number.
      texts.map { text in
        query(text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
      }
    }
  }

  private func query(_ number: UInt64) -> [Float] {
    var random = SplitMix64(seed: (seed ^ 0x51ED_270B) &+ number)
    switch source {
    case .clustered(let centres): return BenchVectors.clustered(centres, &random)
    case .real(let known, _): return near(known.count, &random)
    case .file(let rows): return near(rows.count / BenchVectors.dimension, &random)
    }
  }

  /// A vector at a cosine of about 0.86 to one of the first so many services.
  private func near(_ count: Int, _ random: inout SplitMix64) -> [Float] {
    let row = vector(Int(random.next() % UInt64(count)))
    return BenchVectors.unit(row, noise: 0.03, &random)
  }

  private static func centres(_ seed: UInt64) -> [Float] {
    var random = SplitMix64(seed: seed)
    return (0..<centreCount * dimension).map { _ in noise(&random) }
  }

  private static func clustered(_ centres: [Float], _ random: inout SplitMix64) -> [Float] {
    let start = Int(random.next() % UInt64(centreCount)) * dimension
    return unit(Array(centres[start..<start + dimension]), noise: spread, &random)
  }

  private static func unit(
    _ row: [Float], noise spread: Float, _ random: inout SplitMix64
  ) -> [Float] {
    var row = row
    var sum: Float = 0
    for place in row.indices {
      row[place] += spread * noise(&random)
      sum += row[place] * row[place]
    }
    let scale = 1 / max(sum.squareRoot(), .leastNormalMagnitude)
    for place in row.indices { row[place] *= scale }
    return row
  }

  /// Nearly normal, mean 0, deviation 1: the sum of four evenly spread numbers, from one draw.
  private static func noise(_ random: inout SplitMix64) -> Float {
    let bits = random.next()
    let sum = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48)
    return (Float(sum) - 131_070) * (1.732_050_8 / 65_536)
  }
}
