package import Catalog
internal import LinearAlgebra
internal import Primitives

/// A segment on disk, mapped, and the measurements over it. One caller at a time.
package final class SearchBench {
  /// What building a segment took.
  package struct Build: Sendable {
    package let seconds: Double
    package let byteCount: Int
    /// Mapping and checking it, as a server does when it starts.
    package let openSeconds: Double
  }

  package let snapshot: Snapshot
  /// What building and opening took.
  package let build: Build
  let scratch: SearchScratch
  let clock: BenchClock

  /// Builds a segment of `count` services in a file, as the indexer builds a base, and maps it.
  ///
  /// - Parameters:
  ///   - path: The file; the caller deletes it.
  ///   - service: Services by number, in rising order of id.
  ///   - vector: Their unit vectors.
  /// - Throws: `SegmentError`, and what `service` throws.
  /// - Complexity: About 100 microseconds a service; memory of the finished segment while it is built.
  package init(
    count: Int, path: String, clock: @escaping BenchClock, service: (Int) throws -> Service,
    vector: (Int) -> [Float]
  ) throws {
    let configuration = RankingConfiguration.shipped
    let start = clock()
    try SearchBench.write(count, to: path, configuration, service, vector)
    Memory.giveBack()
    let built = clock()
    guard let blob = Blob(path: path), let contents = SegmentContents(of: blob) else {
      throw SegmentError.damaged(section: path)
    }
    let segment = try Segment(SegmentReader(blob: blob, contents: contents))
    build = Build(
      seconds: Double(built - start) / 1e9, byteCount: blob.byteCount,
      openSeconds: Double(clock() - built) / 1e9)
    snapshot = Snapshot(
      segments: [segment], live: [Bitset(count: segment.count, filled: true)], revision: 1,
      generation: "bench", configuration: configuration)
    scratch = try SearchScratch()
    self.clock = clock
  }

  /// A bench over a corpus.
  package convenience init(
    _ corpus: BenchCorpus, _ vectors: BenchVectors, count: Int, path: String,
    clock: @escaping BenchClock
  ) throws {
    try self.init(
      count: count, path: path, clock: clock, service: { try corpus.service($0) },
      vector: { vectors.vector($0) })
  }

  private static func write(
    _ count: Int, to path: String, _ configuration: RankingConfiguration,
    _ service: (Int) throws -> Service, _ vector: (Int) -> [Float]
  ) throws {
    let analyzer = try Analyzer(weights: configuration.fields)
    let moment = Timestamp(milliseconds: 0)
    var builder = SegmentBuilder()
    for index in 0..<count {
      let service = try service(index)
      let stored = StoredService(
        service: service, revision: Int64(index + 1), createdAt: moment, updatedAt: moment,
        isProviderVerified: false)
      builder.add(
        PreparedService(
          stored: stored, terms: analyzer.terms(of: service), vector: vector(index)))
    }
    var sink = try FileSink(path: path)
    let average = builder.averageLength
    try builder.write(
      to: &sink, averageLength: average, beside: nil, adapter: nil, configuration)
    try sink.finish(["revision": 1, "averageLength": .double(Double(average))])
  }

  var segment: Segment { snapshot.base }
}

@available(*, unavailable)
extension SearchBench: Sendable {}
