/// The class weights of the fusion, learnt on leg scores that were computed once. Pure: no randomness at all.
package struct FusionTrainer: Sendable {
  /// A service that a leg has found for a need.
  package struct Candidate: Sendable, Equatable {
    package let serviceID: String
    /// Calibrated scores of the legs, as the fusion adds them up.
    package let text: Float
    package let vector: Float

    package init(serviceID: String, text: Float, vector: Float) {
      self.serviceID = serviceID
      self.text = text
      self.vector = vector
    }
  }

  /// One judged need with its candidates.
  package struct Need: Sendable {
    /// The set that it belongs to: sets count alike, however many needs they have.
    package let set: String
    package let queryClass: RankingConfiguration.QueryClass
    package let candidates: [Candidate]
    /// Every judged service, found or not.
    package let grades: [String: Int]

    package init(
      set: String, queryClass: RankingConfiguration.QueryClass, candidates: [Candidate],
      grades: [String: Int]
    ) {
      self.set = set
      self.queryClass = queryClass
      self.candidates = candidates
      self.grades = grades
    }
  }

  /// What is learnt.
  package struct Weights: Sendable, Equatable {
    /// Share of the vector leg by class, 0...1.
    package var vectorShare: [RankingConfiguration.QueryClass: Float]

    package init(vectorShare: [RankingConfiguration.QueryClass: Float]) {
      self.vectorShare = vectorShare
    }
  }

  /// Needs of a class from which its weight is learnt; below, it stays.
  static let classNeedMin = 30
  /// How far a set may fall below the better of its legs before it costs.
  static let legSlack = 0.005
  private static let shares: [Float] = (0...20).map { Float($0) / 20 }
  private static let roundCountMax = 4

  package init() {}

  /// The weights with the best mean over sets of nDCG@10, where no set falls below its better leg.
  ///
  /// One weight after the other is moved over its whole grid, several rounds long. A value is judged by itself
  /// and its neighbours, so that a plateau beats a spike; the old value wins ties.
  ///
  /// - Complexity: needs x candidates x grid values x rounds.
  package func train(_ needs: [Need], from start: Weights) -> Weights {
    var weights = start
    guard !needs.isEmpty else { return weights }
    let legs = legs(needs)
    for _ in 0..<FusionTrainer.roundCountMax {
      let before = weights
      for name in RankingConfiguration.QueryClass.allCases
      where needs.count(where: { $0.queryClass == name }) >= FusionTrainer.classNeedMin {
        let old = weights.vectorShare[name] ?? 0.5
        weights.vectorShare[name] = best(
          of: FusionTrainer.shares, old: old, needs, weights, legs, touching: name)
      }
      if weights == before { break }
    }
    return weights
  }

  /// What both legs are multiplied with at a share of the vectors: at 0.5 both count whole, as in a search.
  package static func factors(_ share: Float) -> (text: Float, vector: Float) {
    (min(1, 2 * (1 - share)), min(1, 2 * share))
  }

  /// nDCG@10 of one need under weights.
  package func ndcg(_ need: Need, _ weights: Weights) -> Double {
    let share = weights.vectorShare[need.queryClass] ?? 0.5
    let legs = FusionTrainer.factors(share)
    return ndcg(need) { legs.text * $0.text + legs.vector * $0.vector }
  }

  /// The mean over sets of the sets' mean nDCG@10.
  package func mean(_ needs: [Need], _ weights: Weights) -> Double {
    FusionTrainer.meanOfSets(needs, needs.map { ndcg($0, weights) }).mean
  }

  private func ndcg(_ need: Need, by score: (Candidate) -> Float) -> Double {
    // The ten best, by insertion: a sort of all candidates is what most of the time would go to.
    var top: [(id: String, score: Float)] = []
    top.reserveCapacity(11)
    for candidate in need.candidates {
      let entry = (id: candidate.serviceID, score: score(candidate))
      func precedes(_ other: (id: String, score: Float)) -> Bool {
        entry.score > other.score || (entry.score == other.score && entry.id < other.id)
      }
      if let last = top.last, top.count == 10, !precedes(last) { continue }
      top.insert(entry, at: top.firstIndex(where: precedes) ?? top.count)
      if top.count > 10 { top.removeLast() }
    }
    return Measures.ndcg10(top.map(\.id), need.grades)
  }

  private func best(
    of grid: [Float], old: Float, _ needs: [Need], _ weights: Weights,
    _ legs: [String: Double], touching name: RankingConfiguration.QueryClass
  ) -> Float {
    // Needs of other classes do not move: they are counted once.
    let fixed = needs.map { need in
      need.queryClass == name ? nil : ndcg(need, weights)
    }
    func value(_ candidate: Float) -> Double {
      var trial = weights
      trial.vectorShare[name] = candidate
      let values = zip(needs, fixed).map { $1 ?? ndcg($0, trial) }
      return objective(needs, values, legs)
    }
    let values = grid.map(value)
    func smooth(_ index: Int) -> Double {
      let range = max(index - 1, 0)...min(index + 1, grid.count - 1)
      let around = range.map { values[$0] }
      return (values[index] + around.reduce(0, +) / Double(around.count)) / 2
    }
    guard let nearest = grid.indices.min(by: { abs(grid[$0] - old) < abs(grid[$1] - old) }) else {
      return old
    }
    let top = grid.indices.max {
      (smooth($0), -abs(grid[$0] - old)) < (smooth($1), -abs(grid[$1] - old))
    }
    guard let top, smooth(top) > smooth(nearest) + 1e-6 else { return old }
    return grid[top]
  }

  /// The mean over sets, less what a set falls below its better leg, twice.
  private func objective(
    _ needs: [Need], _ values: [Double], _ legs: [String: Double]
  ) -> Double {
    let (mean, bySet) = FusionTrainer.meanOfSets(needs, values)
    let lost = bySet.keys.sorted().reduce(0.0) { sum, name in
      sum + max(0, (legs[name] ?? 0) - FusionTrainer.legSlack - (bySet[name] ?? 0))
    }
    return mean - 2 * lost / Double(max(bySet.count, 1))
  }

  /// The better leg's mean nDCG@10 of each set.
  private func legs(_ needs: [Need]) -> [String: Double] {
    let text = FusionTrainer.meanOfSets(needs, needs.map { need in ndcg(need) { $0.text } }).bySet
    let vector = FusionTrainer.meanOfSets(
      needs, needs.map { need in ndcg(need) { $0.vector } }
    ).bySet
    return text.merging(vector, uniquingKeysWith: max)
  }

  static func meanOfSets(
    _ needs: [Need], _ values: [Double]
  ) -> (mean: Double, bySet: [String: Double]) {
    var sums: [String: (sum: Double, count: Double)] = [:]
    for (need, value) in zip(needs, values) {
      let old = sums[need.set] ?? (0, 0)
      sums[need.set] = (old.sum + value, old.count + 1)
    }
    let bySet = sums.mapValues { $0.sum / $0.count }
    let mean = bySet.keys.sorted().reduce(0) { $0 + (bySet[$1] ?? 0) }
    return (mean / Double(max(bySet.count, 1)), bySet)
  }
}
