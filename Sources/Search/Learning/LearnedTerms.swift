/// Words of needs attached to the services that were chosen for them: a field of the text index that nobody
/// writes by hand (document expansion by the queries that led there).
package struct LearnedTerms: Sendable, Equatable {
  /// The limits.
  package struct Settings: Sendable {
    /// What a term can weigh.
    package var weightMax = 1.0
    /// The sum of pair weights at which a term has half of that. Measured with idf x weight added to BM25, by
    /// needs kept apart: metatool .733 -> .759, bfcl-live .781 -> .841, apibench-hf .305 -> .380.
    package var half = 1.0
    /// Terms of one service, the heaviest.
    package var termCountMax = 48
    /// Share of a service's needs that a term must be in, so that chance words stay out.
    package var shareMin = 0.02

    package init() {}
  }

  /// By service, by term: 0...weightMax.
  package let weights: [String: [String: Float]]

  package init(weights: [String: [String: Float]]) { self.weights = weights }

  /// - Parameters:
  ///   - needs: Each need's distinct terms, and the services chosen for it with their weights.
  /// - Returns: Weights that grow with the number of needs and end at the limit: w x max / (w + half).
  package static func learn(
    from needs: [(terms: [String], services: [String: Double])], settings: Settings = Settings()
  ) -> LearnedTerms {
    var sums: [String: [String: Double]] = [:]
    var totals: [String: Double] = [:]
    // Sums of doubles depend on their order: by content, so that the same needs give the same weights.
    let ordered = needs.map { (terms: Set($0.terms).sorted(), services: $0.services) }
      .sorted { $0.terms.lexicographicallyPrecedes($1.terms) }
    for need in ordered {
      for (service, weight) in need.services where weight > 0 {
        totals[service, default: 0] += weight
        for term in need.terms { sums[service, default: [:]][term, default: 0] += weight }
      }
    }
    var weights: [String: [String: Float]] = [:]
    for (service, terms) in sums {
      let least = settings.shareMin * (totals[service] ?? 0)
      let kept = terms.filter { $0.value >= least }
        .sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(settings.termCountMax)
      weights[service] = Dictionary(
        uniqueKeysWithValues: kept.map { term, sum in
          (term, Float(settings.weightMax * sum / (sum + settings.half)))
        })
    }
    return LearnedTerms(weights: weights)
  }

  /// Services that have terms.
  package var serviceCount: Int { weights.count }
  /// All terms of all services.
  package var termCount: Int { weights.values.reduce(0) { $0 + $1.count } }
}
