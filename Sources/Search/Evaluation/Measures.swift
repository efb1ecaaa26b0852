internal import Primitives

/// Measures of a ranking against judgements (Jarvelin and Kekalainen, 2002, for nDCG).
package enum Measures {
  /// nDCG of the first ten, with gains 2^grade - 1.
  package static func ndcg10(_ ranking: [String], _ grades: [String: Int]) -> Double {
    func gain(_ grade: Int) -> Double { Double((1 << max(grade, 0)) - 1) }
    func discounted(_ gains: [Double]) -> Double {
      gains.prefix(10).enumerated().reduce(0) { $0 + $1.element / log2(Double($1.offset + 2)) }
    }
    let ideal = discounted(grades.values.map(gain).sorted(by: >))
    guard ideal > 0 else { return 0 }
    return discounted(ranking.prefix(10).map { gain(grades[$0] ?? 0) }) / ideal
  }

  /// The share of relevant services among the first so many.
  package static func recall(_ ranking: [String], _ grades: [String: Int], at count: Int) -> Double
  {
    let relevant = grades.filter { $0.value > 0 }
    guard !relevant.isEmpty else { return 0 }
    return Double(ranking.prefix(count).filter { relevant[$0] != nil }.count)
      / Double(relevant.count)
  }

  /// The share of the first ten that is relevant; of fewer hits, of those.
  package static func precision10(_ ranking: [String], _ grades: [String: Int]) -> Double {
    guard !ranking.isEmpty else { return 0 }
    let head = ranking.prefix(10)
    return Double(head.filter { (grades[$0] ?? 0) > 0 }.count) / Double(head.count)
  }

  /// One over the rank of the first relevant service, 0 where there is none.
  package static func reciprocalRank(_ ranking: [String], _ grades: [String: Int]) -> Double {
    ranking.firstIndex { (grades[$0] ?? 0) > 0 }.map { 1 / Double($0 + 1) } ?? 0
  }

  /// The 95 % bootstrap interval of a mean: 1,000 seeded resamples.
  package static func interval(_ values: [Double], seed: UInt64 = 7) -> (low: Double, high: Double)
  {
    guard values.count > 1 else { return (values.first ?? 0, values.first ?? 0) }
    var random = SplitMix64(seed: seed)
    var means = (0..<1_000).map { _ in
      (0..<values.count).reduce(0.0) { sum, _ in
        sum + values[Int.random(in: 0..<values.count, using: &random)]
      }
        / Double(values.count)
    }
    means.sort()
    return (means[25], means[974])
  }
}
