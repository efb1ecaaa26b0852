/// Turns the words of a query into terms: synonyms beside, typos corrected, the last word open at its end.
struct TermExpansion {
  let snapshot: Snapshot
  let analyzer: Analyzer
  /// Corrections made, from the term to the one searched instead.
  private(set) var corrections: [String: String] = [:]

  init(snapshot: Snapshot, analyzer: Analyzer) {
    self.snapshot = snapshot
    self.analyzer = analyzer
  }

  mutating func terms(of text: String, isPrefix: Bool) -> [QueryTerm] {
    let terms = analyzer.queryTerms(Analyzer.splittingIdentifiers(text))
    let synonyms = Synonyms.shipped.alternatives(in: text, analyzer: analyzer)
    return terms.enumerated().map { index, term in
      var alternatives = [QueryTerm.Alternative(text: term, factor: 1)]
      var frequency = snapshot.documentFrequency(term)
      if frequency == 0, let corrected = correction(of: term) {
        corrections[term] = corrected
        alternatives = [.init(text: corrected, factor: 0.9)]
        frequency = snapshot.documentFrequency(corrected)
      }
      for other in synonyms[term] ?? [] where other != term {
        alternatives.append(.init(text: other, factor: 0.6))
      }
      if isPrefix, index == terms.count - 1 {
        for other in completions(of: term) { alternatives.append(.init(text: other, factor: 0.8)) }
      }
      return QueryTerm(
        alternatives: alternatives, idf: snapshot.idf(documentFrequency: max(frequency, 1)))
    }
  }

  /// The most frequent term within the edits that its length allows.
  private func correction(of term: String) -> String? {
    let allowed = Spelling.editsAllowed(term)
    guard allowed > 0 else { return nil }
    let wanted = Array(term.utf8)
    var best: (term: String, edits: Int, count: Int)?
    for segment in snapshot.segments {
      segment.forEachTerm { candidate, count in
        guard abs(candidate.utf8.count - wanted.count) <= allowed,
          let edits = Spelling.distance(wanted, Array(candidate.utf8), atMost: allowed)
        else { return }
        let isBetter =
          best.map { (edits, -count, candidate) < ($0.edits, -$0.count, $0.term) } ?? true
        if isBetter { best = (candidate, edits, count) }
      }
    }
    return best?.term
  }

  /// Up to 20 terms that start with the last word, the most frequent first.
  private func completions(of term: String) -> [String] {
    guard term.utf8.count >= 2 else { return [] }
    var found: [String: Int] = [:]
    for segment in snapshot.segments {
      segment.forEachTerm { candidate, count in
        if candidate.hasPrefix(term), candidate != term { found[candidate, default: 0] += count }
      }
    }
    return found.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(20).map(\.key)
  }
}
