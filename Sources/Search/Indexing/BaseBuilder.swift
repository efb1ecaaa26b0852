internal import Catalog
internal import Cryptography
internal import Index
internal import LinearAlgebra
internal import Primitives
internal import SQLite

/// Builds the large segment from the record, and finds the one that is there already.
struct BaseBuilder: Sendable {
  let record: Database
  /// The shipped configuration with the class weights of the tuned model.
  let configuration: RankingConfiguration
  let tuning: IndexTuning

  init(record: Database, tuning: IndexTuning) {
    self.record = record
    self.tuning = tuning
    configuration = RankingConfiguration.shipped.tuned(by: tuning.model?.weights)
  }

  static let pageCount = 500
  /// What a segment's bytes mean; a change makes every base be built again.
  private static let version = "8"

  /// What a base was made with: another fingerprint makes it useless.
  var fingerprint: String {
    let fields = IndexField.all.map { "\($0.name):\($0.kind.rawValue)" }.joined(separator: ",")
    let text = [BaseBuilder.version, configuration.buildText, fields, tuning.identity]
      .joined(separator: "\n")
    return Digest.sha256(Array(text.utf8)).prefix(16).map { byte in
      String(UInt16(byte) + 256, radix: 16).dropFirst()
    }.joined()
  }

  /// What makes services ready for a base or a delta.
  func preparation() throws -> TextPreparation {
    try TextPreparation(
      configuration, learned: tuning.model?.terms ?? LearnedTerms(weights: [:]))
  }

  /// The newest usable base of a generation, mapped; nil where there is none.
  func open(_ paths: [String]) -> Segment? {
    for path in paths {
      guard let blob = Blob(path: path), let contents = SegmentContents(of: blob),
        contents.facts["fingerprint"]?.string == fingerprint,
        let segment = try? Segment(SegmentReader(blob: blob, contents: contents))
      else { continue }
      return segment
    }
    return nil
  }

  /// Builds a base from the record into a file and maps it. Changes go on landing meanwhile; they are in the log.
  ///
  /// - Parameter averageLength: The average of the base before, which stays as long as it is about right: so a
  ///   rebuild moves no score.
  /// - Complexity: About 100 microseconds a service; memory of the finished segment while it is built.
  func build(
    _ cache: EmbeddingCache, path: String, averageLength: Float?
  ) async throws -> Segment {
    let revision = try await record.read { try CatalogStore.revision($0) }
    let preparation = try self.preparation()
    var builder = SegmentBuilder()
    var pages = CatalogPages(of: record, count: BaseBuilder.pageCount)
    while let page = try await pages.next() {
      for service in try await preparation.prepare(page.filter(\.service.isPublic), cache) {
        builder.add(service)
      }
    }
    let own = builder.averageLength
    let kept = averageLength.flatMap { abs($0 - own) <= 0.1 * own ? $0 : nil } ?? own
    var sink = try FileSink(path: path)
    try builder.write(
      to: &sink, averageLength: kept, beside: nil, adapter: tuning.model?.adapter, configuration)
    try sink.finish([
      "revision": .int(revision), "averageLength": .double(Double(kept)),
      "fingerprint": .string(fingerprint),
    ])
    builder = SegmentBuilder()
    // What building took goes back to the system at once: a server keeps only the mapping.
    Memory.giveBack()
    guard let segment = open([path]) else { throw SegmentError.damaged(section: path) }
    return segment
  }
}
