/// What one search sees: a large base, a small delta of recent changes, and which services are out of date.
/// Immutable; a writer publishes a new one by swapping a reference.
package final class Snapshot: Sendable {
  let segments: [Segment]
  /// The large segment.
  var base: Segment { segments[0] }
  /// Live services of each segment.
  let live: [Bitset]
  /// The catalog revision that the snapshot contains.
  package let revision: Int64
  /// The generation that it belongs to.
  package let generation: String
  /// Whether every live service has a vector.
  package let hasVectors: Bool
  package let liveCount: Int
  /// Whether every service of a segment is live.
  let isFullyLive: [Bool]
  let configuration: RankingConfiguration
  /// The tuned model that it was made with.
  let tuning: IndexTuning

  init(
    segments: [Segment], live: [Bitset], revision: Int64, generation: String,
    configuration: RankingConfiguration, tuning: IndexTuning = .none
  ) {
    self.segments = segments
    self.live = live
    self.revision = revision
    self.generation = generation
    self.configuration = configuration
    self.tuning = tuning
    liveCount = live.reduce(0) { $0 + $1.population }
    isFullyLive = zip(segments, live).map { $0.count == $1.population }
    hasVectors =
      liveCount > 0
      && zip(segments, live).allSatisfy { segment, live in
        segment.hasVector.intersection(live) == live
      }
  }

  /// How many live services have a term.
  func documentFrequency(_ term: String) -> Int {
    var count = 0
    for (number, segment) in segments.enumerated() {
      guard let services = segment.postings(term)?.services else { continue }
      let live = live[number]
      count += isFullyLive[number] ? services.count : services.count { live[Int($0)] }
    }
    return count
  }

  /// Inverse document frequency, never negative (Robertson and Zaragoza, 2009, with the +1 of Lucene).
  func idf(_ term: String) -> Float {
    idf(documentFrequency: documentFrequency(term))
  }

  func idf(documentFrequency: Int) -> Float {
    let frequency = Float(documentFrequency)
    return Float.log1p(max(Float(liveCount) - frequency + 0.5, 0) / (frequency + 0.5))
  }

  /// Why the tuned model that is named as the one in use is not used, in words; nil where all is well.
  package var tuningFault: String? { tuning.fault?.words }

  /// The order of ids, by bytes: it breaks every tie.
  func precedes(_ left: Place, _ right: Place) -> Bool {
    if left.segment == right.segment { return left.index < right.index }
    return TextTable.precedes(
      segments[left.segment].ids.span(left.index), segments[right.segment].ids.span(right.index))
  }

  /// How good a service is said to be, 0...1.
  func prior(_ place: Place) -> Float { segments[place.segment].quality[place.index] }

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
      if let column = segment.column("provider"), let code = column.code(of: folded) {
        return column.word(Int(code))
      }
    }
    return nil
  }
}
