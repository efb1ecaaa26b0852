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

/// The ranked text score: BM25 from the postings' finished impacts, added up service by service. Every
/// candidate's score is exact; nothing is pruned.
struct TextLeg {
  let segment: Segment
  let scratch: SearchScratch
  /// What a learnt impact is worth beside one of the listing's own words.
  var learnedWeight: Float = 0

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
  ) -> TextKernel.Matches {
    var lists: [PostingList] = []
    for (number, term) in terms.enumerated() {
      for alternative in term.alternatives {
        guard let postings = segment.postings(alternative.text),
          let services = postings.services.baseAddress, let impacts = postings.impacts.baseAddress
        else { continue }
        lists.append(
          PostingList(
            documents: services, impacts: impacts, count: postings.services.count,
            weight: term.idf * alternative.factor, share: term.idf, term: UInt32(number)))
      }
    }
    if learnedWeight > 0, segment.learnedTerms.count > 0 { lists += learnedLists(terms) }
    guard !lists.isEmpty else { return TextKernel.Matches() }
    return live.words.withUnsafeBufferPointer { live in
      (also?.words ?? []).withUnsafeBufferPointer { also in
        scratch.text.matches(
          lists, documentCount: segment.count, allowed: live.baseAddress,
          also: also.isEmpty ? nil : also.baseAddress, shareLeast: share,
          floor: min(best, TextKernel.floorMax))
      }
    }
  }

  /// The learnt postings of each term as it is written: they add to its own, and give no share, so that a learnt
  /// word alone makes nobody belong but among the best.
  private func learnedLists(_ terms: [QueryTerm]) -> [PostingList] {
    terms.enumerated().compactMap { number, term in
      guard term.idf > 0, let form = term.alternatives.first,
        let postings = segment.learnedPostings(form.text),
        let services = postings.services.baseAddress, let impacts = postings.impacts.baseAddress
      else { return nil }
      return PostingList(
        documents: services, impacts: impacts, count: postings.services.count,
        weight: learnedWeight * term.idf * form.factor, share: 0,
        term: UInt32(terms.count + number))
    }
  }
}
