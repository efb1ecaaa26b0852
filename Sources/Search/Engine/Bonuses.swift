internal import LinearAlgebra

/// Pairs of neighbouring words of a need, which say more than each alone: "image generation", "credit card".
///
/// A service gains, for each pair that stands side by side and in the same order in one of its fields, the lesser
/// idf of the two; stop words are skipped on both sides.
struct PairBonus {
  private struct Pair: Hashable {
    let first: Int
    let second: Int
  }

  private let weights: [Pair: Float]
  private let terms: [String]
  private let stopTerms: [String]

  /// - Parameter sequence: The need's words in order, as places in `terms`.
  init(_ terms: [QueryTerm], sequence: [Int], stopTerms: [String]) {
    var weights: [Pair: Float] = [:]
    for (first, second) in zip(sequence, sequence.dropFirst()) where first != second {
      weights[Pair(first: first, second: second)] = min(terms[first].idf, terms[second].idf)
    }
    self.weights = weights
    self.terms = terms.map { $0.alternatives[0].text }
    self.stopTerms = stopTerms
  }

  var isEmpty: Bool { weights.isEmpty }

  /// The pairs in a segment's own numbers.
  func reader(of segment: Segment) -> Reader {
    let places = terms.map { segment.place(ofTerm: $0).map(Int32.init) }
    var pairs: [Int64: Float] = [:]
    for (pair, weight) in weights {
      if let first = places[pair.first], let second = places[pair.second] {
        pairs[Reader.key(first, second)] = weight
      }
    }
    let asked = Set(places.compactMap { $0 })
    let skipped = Set(stopTerms.compactMap { segment.place(ofTerm: $0).map(Int32.init) })
    return Reader(segment: segment, pairs: pairs, skipped: skipped.subtracting(asked))
  }

  /// Finds the pairs in the services of one segment.
  struct Reader {
    let segment: Segment
    let pairs: [Int64: Float]
    let skipped: Set<Int32>

    static func key(_ first: Int32, _ second: Int32) -> Int64 { Int64(first) << 32 | Int64(second) }

    /// The sum over the distinct pairs that a service has.
    func bonus(_ index: Int) -> Float {
      guard !pairs.isEmpty else { return 0 }
      var found: [Int64] = []
      var sum: Float = 0
      var last: Int32 = -1
      for term in segment.sequence(index) {
        if term >= 0, skipped.contains(term) { continue }
        if term >= 0, last >= 0 {
          let key = Reader.key(last, term)
          if let weight = pairs[key], !found.contains(key) {
            found.append(key)
            sum += weight
          }
        }
        last = term
      }
      return sum
    }
  }
}

/// What the best services of a set gain by sentences and pairs; never below 0, so that they stay the best.
struct Rescoring {
  let snapshot: Snapshot
  let relevance: Relevance
  private let readers: [PairBonus.Reader?]

  struct Gain {
    /// By the best sentence, in the score's unit.
    var sentence: Float = 0
    /// By pairs of words, in the score's unit.
    var pair: Float = 0
  }

  init(_ snapshot: Snapshot, _ relevance: Relevance) {
    self.snapshot = snapshot
    self.relevance = relevance
    let pairs =
      relevance.textWeight > 0 && relevance.pairs?.isEmpty == false ? relevance.pairs : nil
    readers = snapshot.segments.map { segment in pairs?.reader(of: segment) }
  }

  var isNeeded: Bool {
    (relevance.vectorWeight > 0 && !relevance.sentences.isEmpty) || readers.contains { $0 != nil }
  }

  func gain(_ place: Place) -> Gain {
    var gain = Gain()
    if let reader = readers[place.segment] {
      gain.pair =
        relevance.textWeight * snapshot.configuration.pairWeight * reader.bonus(place.index)
    }
    if relevance.vectorWeight > 0, !relevance.sentences.isEmpty {
      let whole = relevance.scores(place).vector
      let segment = snapshot.segments[place.segment]
      let best = relevance.sentences.map { Rescoring.product($0, segment, place.index) }.max() ?? 0
      gain.sentence = relevance.vectorWeight * max(0, best - whole)
    }
    return gain
  }

  private static func product(_ query: [Float], _ segment: Segment, _ index: Int) -> Float {
    var output: Float = 0
    var row = UInt32(index)
    SearchKernels.dot(
      query, rows: segment.vectors.base, indexes: &row, count: 1, dimension: query.count,
      into: &output)
    return output
  }
}

/// The sentences of a need. A need of several often asks in one of them, and tells of other things in the rest.
enum Sentences {
  static let countMax = 8
  /// Fewer words are no need of their own.
  private static let wordMin = 3
  private static let abbreviations: Set<String> = [
    "e.g.", "i.e.", "etc.", "vs.", "mr.", "mrs.", "dr.", "st.", "no.",
  ]

  /// The sentences with at least three words, at most eight; empty where the text is one.
  static func of(_ text: String) -> [String] {
    var sentences: [String] = []
    var current: [Substring] = []
    func end() {
      let words = current.count { $0.contains { $0.isLetter || $0.isNumber } }
      if words >= wordMin { sentences.append(current.joined(separator: " ")) }
      current = []
    }
    for line in text.split(whereSeparator: \.isNewline) {
      for word in line.split(separator: " ") {
        current.append(word)
        if let last = word.last, ".!?;".contains(last), !abbreviations.contains(word.lowercased()) {
          end()
        }
      }
      end()
    }
    return sentences.count > 1 ? Array(sentences.prefix(countMax)) : []
  }
}
