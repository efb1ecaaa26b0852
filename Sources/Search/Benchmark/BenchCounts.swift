package import Catalog
package import Primitives

/// What searches touch on a fixed catalog with fixed seeds: counts that repeat, on every machine, where times do not.
/// `Fixtures/bench-counts.json` holds a limit for each.
package struct BenchCounts: Sendable, Equatable {
  /// How many services the catalog is repeated to: enough that the vector leg scans.
  package static let serviceCount = 8_000

  /// Needs searched.
  package let needs: Int
  /// Postings that the text leg adds up, synonyms and corrections with them.
  package let postings: Int
  /// Bytes of vectors that the vector leg reads, before its first widening.
  package let vectorBytes: Int
  /// Services that either leg brought.
  package let candidates: Int
  /// Services in the answers, with every third search filtered.
  package let totals: Int
  /// Bytes of the segment.
  package let segmentBytes: Int
  /// Allocations of the whole searches; nil where nobody counts them.
  package let allocations: Int?

  /// Runs the needs, text and vectors, over `serviceCount` services made of the given ones.
  ///
  /// Vectors are seeded and mean nothing, so that no model is needed; ids, words and filters are real.
  /// - Parameters:
  ///   - path: A file for the segment; the caller deletes it.
  ///   - allocations: How many there were in the process so far, or nil.
  package init(
    _ services: [Service], needs: [String], path: String, allocations: (() -> Int)? = nil
  ) throws {
    let vectors = BenchVectors()
    let bench = try SearchBench(
      BenchCorpus(services), vectors, count: BenchCounts.serviceCount, path: path, clock: { 0 })
    let snapshot = bench.snapshot
    let all = snapshot.live[0]
    var (postings, vectorBytes, candidates, totals) = (0, 0, 0, 0)
    let encoder = SearchEngine.QueryEncoder(embedder: vectors.embedder)
    for need in needs {
      var expansion = TermExpansion(snapshot: snapshot, analyzer: bench.scratch.analyzer)
      let terms = expansion.terms(of: need, isPrefix: false)
      postings += bench.postings(of: terms)
      guard let query = encoder.vectors(of: [need])?.first else { continue }
      let vector = bench.segment.space.query(query)
      let leg = VectorLeg(segment: bench.segment, scratch: bench.scratch, query: vector)
      let near = leg.nearest(allowed: all, cut: 2)
      vectorBytes += bench.bytesScanned(allowed: all, rescored: near.services.count)
      let relevance = Scorer(snapshot: snapshot, scratch: bench.scratch).relevance(
        of: terms, query: vector, balance: 0.5)
      candidates += relevance.candidates.reduce(0) { $0 + $1.services.count }
    }
    let engine = SearchEngine(encoder: encoder, microseconds: { 0 })
    let requests = try SearchBench.requests(needs)
    for request in requests { totals += try engine.search(request, on: snapshot).total }
    // By now buffers have grown and vectors are known: what is left belongs to the searches.
    let before = allocations?()
    for request in requests { _ = try engine.search(request, on: snapshot) }
    self.allocations = allocations.flatMap { after in before.map { after() - $0 } }
    self.needs = needs.count
    self.postings = postings
    self.vectorBytes = vectorBytes
    self.candidates = candidates
    self.totals = totals
    segmentBytes = bench.build.byteCount
  }

  /// The counts by name, in order.
  package var all: [(name: String, count: Int)] {
    [
      ("needs", needs), ("postings", postings), ("vectorBytes", vectorBytes),
      ("candidates", candidates), ("totals", totals), ("segmentBytes", segmentBytes),
    ] + (allocations.map { [("allocations", $0)] } ?? [])
  }

  /// The counts as JSON.
  package var json: JSON {
    .object(all.reduce(into: JSONObject()) { $0[$1.name] = .number($1.count) })
  }
}
