/// Words of needs attached to the services that were chosen for them: a field of the text index that nobody
/// writes by hand (document expansion by the queries that led there).
package struct LearnedTerms: Sendable, Equatable {
  /// A need as terms are learnt from it.
  package struct Need: Sendable {
    /// Search terms; repetitions count once.
    package let terms: [String]
    /// The services chosen for it, each with a weight of 0...1.
    package let services: [String: Double]

    package init(terms: [String], services: [String: Double]) {
      self.terms = terms
      self.services = services
    }
  }

  /// The constants, by needs kept apart (Pages/ranking.md).
  package struct Settings: Sendable, Equatable {
    /// Needs that a term of a service must be in before it counts: the first so many say nothing.
    package var less = 1.0
    /// Further needs at which a service with the usual number of them has half of the impact.
    package var half = 1.0
    /// Terms of one service, the heaviest.
    package var termCountMax = 256

    /// For judged needs.
    package static let judged = Settings()
    /// For feedback: two actors say nothing, the third a little.
    package static let feedback = Settings(less: 2, half: 3)

    package init(less: Double = 1, half: Double = 1) {
      self.less = less
      self.half = half
    }
  }

  /// By service, by term: impacts of 0...1, as they are weighed against those of a listing's own words.
  package let weights: [String: [String: Float]]

  package init(weights: [String: [String: Float]]) { self.weights = weights }

  /// - Parameters:
  ///   - idf: A term's inverse document frequency in the catalog, nil where no listing has it: such terms are
  ///     left out. A word that is commoner among needs than in the catalog counts no more than there.
  /// - Returns: Impacts x / (x + half (0.5 + 0.5 n / mean n)), for a term in y of a service's n needs, x = y - less.
  package static func learn(
    from needs: [Need], settings: Settings = .judged, idf: (String) -> Float?
  ) -> LearnedTerms {
    var sums: [String: [String: Double]] = [:]
    var totals: [String: Double] = [:]
    var frequencies: [String: Int] = [:]
    // Sums of doubles depend on their order: by content, so that the same needs give the same weights.
    let ordered = needs.map { (terms: Set($0.terms).sorted(), services: $0.services) }
      .sorted { $0.terms.lexicographicallyPrecedes($1.terms) }
    for need in ordered {
      for term in need.terms { frequencies[term, default: 0] += 1 }
      for (service, weight) in need.services where weight > 0 {
        totals[service, default: 0] += weight
        for term in need.terms { sums[service, default: [:]][term, default: 0] += weight }
      }
    }
    let ratios = frequencies.reduce(into: [String: Double]()) { ratios, entry in
      guard let own = idf(entry.key) else { return }
      let rare = rarity(of: entry.value, among: ordered.count)
      ratios[entry.key] = own > rare ? Double(rare / own) : 1
    }
    let mean =
      totals.keys.sorted().reduce(0) { $0 + (totals[$1] ?? 0) } / Double(max(totals.count, 1))
    var weights: [String: [String: Float]] = [:]
    for (service, terms) in sums {
      let half = settings.half * (0.5 + 0.5 * (totals[service] ?? 0) / mean)
      let impacts = terms.compactMap { term, sum -> (term: String, impact: Double)? in
        let rest = sum - settings.less
        guard rest > 0, let ratio = ratios[term] else { return nil }
        return (term, ratio * rest / (rest + half))
      }
      let kept = impacts.sorted { ($1.impact, $0.term) < ($0.impact, $1.term) }
        .prefix(settings.termCountMax)
      guard !kept.isEmpty else { continue }
      weights[service] = Dictionary(
        uniqueKeysWithValues: kept.map { ($0.term, Float($0.impact)) })
    }
    return LearnedTerms(weights: weights)
  }

  /// The inverse frequency of a term among needs.
  private static func rarity(of count: Int, among all: Int) -> Float {
    let frequency = Float(count)
    return naturalLog(1 + (Float(all) - frequency + 0.5) / (frequency + 0.5))
  }

  /// Services that have terms.
  package var serviceCount: Int { weights.count }
  /// All terms of all services.
  package var termCount: Int { weights.values.reduce(0) { $0 + $1.count } }
}
