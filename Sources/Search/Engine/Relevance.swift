internal import LinearAlgebra

/// The services of a segment that may be answers, rising, with both scores.
struct Candidates {
  var services: [UInt32] = []
  /// BM25, 0 where no term is there.
  var text: [Float] = []
  /// Product with the need in the vector space, about -0.3...0.8.
  var vector: [Float] = []

  /// The place of a service in the lists.
  func place(of service: Int) -> Int? {
    let wanted = UInt32(service)
    var low = 0
    var high = services.count
    while low < high {
      let middle = (low + high) / 2
      if services[middle] < wanted { low = middle + 1 } else { high = middle }
    }
    return low < services.count && services[low] == wanted ? low : nil
  }
}

/// The scores of a query over a snapshot, before any filter: what matches, and how well.
///
/// The set is fixed here, once: totals, facets and pages only ever intersect it.
struct Relevance {
  /// By segment; empty where there is no query.
  var candidates: [Candidates] = []
  /// The set by segment.
  var matching: [Bitset] = []
  /// What a point of BM25 and what a cosine is worth.
  var textWeight: Float = 0
  var vectorWeight: Float = 0
  /// The sentences of the need, as `VectorSpace.query` gives them; the best of the set are compared with each.
  var sentences: [[Float]] = []
  /// Neighbouring words of the need.
  var pairs: PairBonus?
  /// Services whose very name is asked for.
  var named: Set<Place> = []

  /// Both scores of a service: 0 where it is no candidate.
  func scores(_ place: Place) -> (text: Float, vector: Float) {
    guard !candidates.isEmpty, let at = candidates[place.segment].place(of: place.index) else {
      return (0, 0)
    }
    return (candidates[place.segment].text[at], candidates[place.segment].vector[at])
  }

  /// Makes a service part of the set; one that neither leg found has no score but its name's.
  mutating func add(_ place: Place) {
    guard !matching[place.segment][place.index] else { return }
    matching[place.segment].insert(place.index)
    guard candidates[place.segment].place(of: place.index) == nil else { return }
    let wanted = UInt32(place.index)
    let services = candidates[place.segment].services
    let at = services.firstIndex { $0 > wanted } ?? services.count
    candidates[place.segment].services.insert(wanted, at: at)
    candidates[place.segment].text.insert(0, at: at)
    candidates[place.segment].vector.insert(0, at: at)
  }

  func mixed(_ text: Float, _ vector: Float) -> Float {
    textWeight * text + vectorWeight * vector
  }
}

/// Scores a query: BM25 from the postings, cosines from the vectors, and the set of what matches.
struct Scorer {
  let snapshot: Snapshot
  let scratch: SearchScratch

  /// A service in one leg's list, for choosing the best over all segments.
  private struct Entry {
    let value: Float
    let place: Place
  }

  /// - Parameters:
  ///   - terms: The query's distinct terms; each has its alternatives with a factor.
  ///   - query: The need's vector in the base's space, or nil for text only.
  ///   - balance: 0 is text alone, 1 vectors alone; at 0.5 both count whole.
  func relevance(of terms: [QueryTerm], query: [Float]?, balance: Float) -> Relevance {
    var relevance = Relevance()
    let nearby = query.map { near($0) }
    let weight = terms.reduce(Float(0)) { $0 + $1.idf }
    let texts = textMatches(terms, weight, also: nearby)
    let factor = snapshot.configuration.textFactor(termCount: terms.count)
    relevance.textWeight = query == nil ? factor : factor * min(1, 2 * (1 - balance))
    relevance.vectorWeight = query == nil ? 0 : min(1, 2 * balance)
    for (number, segment) in snapshot.segments.enumerated() {
      var set = nearby?[number] ?? Bitset(count: segment.count)
      for service in texts[number].documents { set.insert(Int(service)) }
      var candidates = Candidates()
      candidates.services = set.integers
      candidates.text = Scorer.spread(
        texts[number].scores, of: texts[number].documents, over: candidates.services)
      if let query {
        candidates.vector =
          VectorLeg(segment: segment, scratch: scratch, query: query)
          .rescored(candidates.services).cosines
      } else {
        candidates.vector = [Float](repeating: 0, count: candidates.services.count)
      }
      relevance.candidates.append(candidates)
      relevance.matching.append(set)
    }
    return relevance
  }

  /// Services near enough, by segment. The best of a leg always belong, for a need in many words has few services
  /// above the cut.
  private func near(_ query: [Float]) -> [Bitset] {
    let configuration = snapshot.configuration
    let found = snapshot.segments.indices.map { number in
      VectorLeg(segment: snapshot.segments[number], scratch: scratch, query: query)
        .nearest(allowed: snapshot.live[number], cut: configuration.cosineCut)
    }
    var sets = snapshot.segments.map { Bitset(count: $0.count) }
    var rest: [Entry] = []
    var count = 0
    for (number, matches) in found.enumerated() {
      for (service, cosine) in zip(matches.services, matches.cosines) {
        if cosine >= configuration.cosineCut {
          sets[number].insert(Int(service))
          count += 1
        } else {
          rest.append(Entry(value: cosine, place: Place(segment: number, index: Int(service))))
        }
      }
    }
    for entry in best(rest, count: configuration.setFloor - count) {
      sets[entry.place.segment].insert(entry.place.index)
    }
    return sets
  }

  private func textMatches(
    _ terms: [QueryTerm], _ weight: Float, also: [Bitset]?
  ) -> [TextKernel.Matches] {
    let configuration = snapshot.configuration
    let bound = max(configuration.textShare * weight, .leastNonzeroMagnitude)
    let found = snapshot.segments.indices.map { number in
      TextLeg(
        segment: snapshot.segments[number], scratch: scratch,
        learnedWeight: configuration.learnedWeight
      ).matches(
        terms, live: snapshot.live[number], share: bound, best: configuration.setFloor,
        also: also?[number])
    }
    // Each segment gave its own best; of all of them only the best over all segments belong.
    var all: [Entry] = []
    for (number, matches) in found.enumerated() {
      for (service, score) in zip(matches.documents, matches.scores) {
        all.append(Entry(value: score, place: Place(segment: number, index: Int(service))))
      }
    }
    guard found.count(where: { !$0.documents.isEmpty }) > 1, all.count > configuration.setFloor
    else { return found }
    let kept = Set(best(all, count: configuration.setFloor).map(\.place))
    return found.enumerated().map { number, matches in
      let places = matches.documents.indices.filter { index in
        let service = Int(matches.documents[index])
        return matches.shares[index] >= bound || also?[number][service] == true
          || kept.contains(Place(segment: number, index: service))
      }
      return TextKernel.Matches(
        documents: places.map { matches.documents[$0] }, scores: places.map { matches.scores[$0] },
        shares: places.map { matches.shares[$0] })
    }
  }

  /// The greatest values, ties by id, so that the choice does not depend on how services lie in segments.
  private func best(_ entries: [Entry], count: Int) -> [Entry] {
    guard count > 0 else { return [] }
    guard entries.count > count else { return entries }
    let values = entries.map(\.value)
    let chosen = [UInt32](unsafeUninitializedCapacity: count) { buffer, filled in
      guard let base = buffer.baseAddress else { return }
      filled = SearchKernels.best(values, count: values.count, wanted: count, into: base)
    }
    guard let bound = chosen.map({ values[Int($0)] }).min() else { return [] }
    let above = entries.filter { $0.value > bound }
    let ties = entries.filter { $0.value == bound }.sorted { snapshot.precedes($0.place, $1.place) }
    return above + ties.prefix(count - above.count)
  }

  /// Values of some services laid out over more of them; both lists rise.
  private static func spread(
    _ values: [Float], of services: [UInt32], over all: [UInt32]
  ) -> [Float] {
    var output = [Float](repeating: 0, count: all.count)
    var next = 0
    for (place, service) in all.enumerated()
    where next < services.count && services[next] == service {
      output[place] = values[next]
      next += 1
    }
    return output
  }
}
