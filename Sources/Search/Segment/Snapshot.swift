/// What one search sees: a large base, a small delta of recent changes, and which services are out of date.
/// Immutable; a writer publishes a new one by swapping a reference.
package final class Snapshot: Sendable {
  let segments: [Segment]
  /// Live services of each segment.
  let live: [Bitset]
  /// The catalog revision that the snapshot contains.
  package let revision: Int64
  /// The generation that it belongs to.
  package let generation: String
  /// Whether every live service has a vector.
  package let hasVectors: Bool
  package let liveCount: Int
  let configuration: RankingConfiguration

  init(
    segments: [Segment], live: [Bitset], revision: Int64, generation: String,
    configuration: RankingConfiguration
  ) {
    self.segments = segments
    self.live = live
    self.revision = revision
    self.generation = generation
    self.configuration = configuration
    liveCount = live.reduce(0) { $0 + $1.population }
    hasVectors =
      liveCount > 0
      && zip(segments, live).allSatisfy { segment, live in
        segment.hasVector.intersection(live) == live
      }
  }

  /// How many services have a term; those that were replaced count until the next merge.
  func documentFrequency(_ term: String) -> Int {
    segments.reduce(0) { $0 + ($1.postings(term)?.services.count ?? 0) }
  }

  /// Inverse document frequency, never negative (Robertson and Zaragoza, 2009, with the +1 of Lucene).
  func idf(_ term: String) -> Float {
    idf(documentFrequency: documentFrequency(term))
  }

  func idf(documentFrequency: Int) -> Float {
    let total = Float(segments.reduce(0) { $0 + $1.count })
    let frequency = Float(documentFrequency)
    return Float.log1p((total - frequency + 0.5) / (frequency + 0.5))
  }

  /// Where a live service is.
  package func place(of id: String) -> Place? {
    for (number, segment) in segments.enumerated() {
      if let index = segment.index(of: id), live[number][index] {
        return Place(segment: number, index: index)
      }
    }
    return nil
  }
}

/// A service in a snapshot.
package struct Place: Hashable, Sendable {
  package let segment: Int
  package let index: Int
}

extension Snapshot {
  /// The name of a provider as the catalog writes it, from its folded form, or nil.
  func providerName(_ folded: String) -> String? {
    for segment in segments {
      if let column = segment.columns["provider"], let code = column.code(of: folded) {
        return column.dictionary[Int(code)]
      }
    }
    return nil
  }
}
