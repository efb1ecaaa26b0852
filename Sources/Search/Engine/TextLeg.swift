internal import LinearAlgebra

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

/// Services of a segment with their text scores, rising.
struct TextMatches {
  var services: [UInt32] = []
  var scores: [Float] = []
  /// The idf weight of the terms that a service has.
  var shares: [Float] = []
}

/// The ranked text score: BM25 from the postings' finished impacts, added up service by service. Every
/// candidate's score is exact; nothing is pruned.
struct TextLeg {
  let segment: Segment
  let scratch: SearchScratch

  /// Services that match by share, are among the best by score, or belong already and have a term.
  ///
  /// - Parameters:
  ///   - live: Services that there are.
  ///   - share: The matched idf weight from which a service belongs.
  ///   - best: So many of the best belong in any case.
  ///   - also: Services that belong for their meaning.
  /// - Complexity: One step a posting.
  func matches(
    _ terms: [QueryTerm], live: Bitset, share: Float, best: Int, also: Bitset?
  ) -> TextMatches {
    var lists: [SearchLoops.Postings] = []
    for (number, term) in terms.enumerated() {
      for alternative in term.alternatives {
        guard let postings = segment.postings(alternative.text) else { continue }
        lists.append(
          .init(
            services: postings.services, impacts: postings.impacts,
            weight: term.idf * alternative.factor, share: term.idf, term: number))
      }
    }
    var matches = TextMatches()
    guard !lists.isEmpty else { return matches }
    SearchLoops.text(
      lists, count: segment.count,
      .init(allowed: live.words, also: also?.words ?? [], share: share, best: best),
      scratch.workspace
    ) { services, scores, shares in
      matches.services = Array(services)
      matches.scores = Array(scores)
      matches.shares = Array(shares)
    }
    return matches
  }
}
