internal import LinearAlgebra

/// The scores of a query over a snapshot, before any filter: what matches, and how well.
///
/// The set is fixed here, once: totals, facets and pages only ever intersect it.
struct Relevance {
  /// Text score of each service by segment, 0...1 of the best; empty where there is no query.
  var text: [[Float]] = []
  /// Vector score by segment, 0...1 between the worst and best cosine.
  var vector: [[Float]] = []
  /// The set by segment.
  var matching: [Bitset] = []
  var vectorShare: Float = 0
  /// Services whose very name is asked for.
  var named: Set<Place> = []

  func score(_ place: Place, bonus: Float) -> Float {
    guard !text.isEmpty else { return 0 }
    let mix =
      (1 - vectorShare) * text[place.segment][place.index]
      + vectorShare * (vector.isEmpty ? 0 : vector[place.segment][place.index])
    return named.contains(place) ? mix + bonus : mix
  }
}

/// Scores a query: BM25 from the postings, cosines from the vectors, and the set of what matches.
struct Scorer {
  let snapshot: Snapshot
  let analyzer: Analyzer

  /// - Parameters:
  ///   - terms: The query's distinct terms; each has its alternatives with a factor.
  ///   - vector: The query's unit vector, or nil for text only.
  func relevance(
    of terms: [QueryTerm], vector: [Float]?, vectorShare: Float
  ) -> Relevance {
    var relevance = Relevance()
    let configuration = snapshot.configuration
    let weight = terms.reduce(Float(0)) { $0 + $1.idf }
    var best: Float = 0
    var shares: [[Float]] = []
    for (number, segment) in snapshot.segments.enumerated() {
      let (scores, matched) = textScores(segment, terms)
      snapshot.live[number].forEach { best = max(best, scores[$0]) }
      relevance.text.append(scores)
      shares.append(matched)
    }
    if best > 0 {
      for number in relevance.text.indices {
        for index in relevance.text[number].indices { relevance.text[number][index] /= best }
      }
    }
    var cosines: [[Float]] = []
    if let vector {
      cosines = snapshot.segments.map { $0.vectors.products(with: vector) }
      relevance.vector = normalized(cosines)
    }
    // Without vectors the text leg stands alone, so that scores keep their range.
    relevance.vectorShare = vector == nil ? 0 : terms.isEmpty ? 1 : vectorShare
    // The best of each leg always belong: a need in many words has no service with half of them.
    let textFloor = floor(relevance.text)
    let cosineFloor = min(configuration.cosineCut, floor(cosines))
    for (number, segment) in snapshot.segments.enumerated() {
      var matching = Bitset(count: segment.count)
      for index in 0..<segment.count where snapshot.live[number][index] {
        let byShare = weight > 0 && shares[number][index] >= configuration.textShare * weight
        let byText = byShare || (best > 0 && relevance.text[number][index] >= textFloor)
        let byMeaning = vector != nil && cosines[number][index] >= cosineFloor
        if byText || byMeaning { matching.insert(index) }
      }
      relevance.matching.append(matching)
    }
    return relevance
  }

  /// The value that the best `setFloor` live services reach; above zero.
  private func floor(_ values: [[Float]]) -> Float {
    var all: [Float] = []
    for (number, list) in values.enumerated() {
      for index in list.indices where list[index] > 0 && snapshot.live[number][index] {
        all.append(list[index])
      }
    }
    guard all.count > snapshot.configuration.setFloor else { return .leastNonzeroMagnitude }
    all.sort(by: >)
    return all[snapshot.configuration.setFloor - 1]
  }

  /// BM25 of every service, and the idf weight of the terms it has.
  private func textScores(_ segment: Segment, _ terms: [QueryTerm]) -> ([Float], [Float]) {
    var scores = [Float](repeating: 0, count: segment.count)
    var matched = scores
    for term in terms {
      // A service that has both a term and its synonym counts the better one only.
      var contributions: [Int32: Float] = [:]
      let isSingle = term.alternatives.count == 1
      for alternative in term.alternatives {
        guard let postings = segment.postings(alternative.text) else { continue }
        let factor = term.idf * alternative.factor
        if isSingle {
          for (service, impact) in zip(postings.services, postings.impacts) {
            scores[Int(service)] += factor * impact
            matched[Int(service)] += term.idf
          }
        } else {
          for (service, impact) in zip(postings.services, postings.impacts) {
            contributions[service] = max(contributions[service] ?? 0, factor * impact)
          }
        }
      }
      for (service, contribution) in contributions {
        scores[Int(service)] += contribution
        matched[Int(service)] += term.idf
      }
    }
    return (scores, matched)
  }

  private func normalized(_ cosines: [[Float]]) -> [[Float]] {
    var low = Float.infinity
    var high = -Float.infinity
    for (number, values) in cosines.enumerated() {
      for index in values.indices where snapshot.live[number][index] {
        low = min(low, values[index])
        high = max(high, values[index])
      }
    }
    guard high > low else { return cosines.map { $0.map { _ in 0 } } }
    let scale = 1 / (high - low)
    return cosines.map { $0.map { ($0 - low) * scale } }
  }
}

/// One term of a query with what else means it.
struct QueryTerm: Sendable {
  struct Alternative: Sendable {
    let text: String
    let factor: Float
  }

  let alternatives: [Alternative]
  /// The weight of the term: the idf of its rarest written form.
  let idf: Float
}
