package import Primitives

/// Two rankings on the same needs, and whether the difference may be chance.
package struct PairedTest: Sendable, Equatable {
  package let needCount: Int
  package let before: Double
  package let after: Double
  /// 95 % of bootstrap resamples of the mean difference.
  package let low: Double
  package let high: Double
  /// Chance of a difference at least as large were the two alike: signs of the needs' differences flipped at
  /// random (Smucker, Allan and Carterette, 2007), two-sided; never below one over the count of flips.
  package let pValue: Double
  /// Needs that rise, and that fall.
  package let risen: Int
  package let fallen: Int

  /// Flips of all signs.
  static let flipCount = 10_000

  /// - Parameters:
  ///   - before: A measure of each need.
  ///   - after: The same needs in the same order.
  ///   - seed: The same seed gives the same interval and chance.
  package init(before: [Double], after: [Double], seed: UInt64 = 7) {
    precondition(before.count == after.count, "\(before.count) needs against \(after.count)")
    let differences = zip(before, after).map { $1 - $0 }
    let count = Double(max(before.count, 1))
    needCount = before.count
    self.before = before.reduce(0, +) / count
    self.after = after.reduce(0, +) / count
    (low, high) = Measures.interval(differences, seed: seed)
    risen = differences.count { $0 > 0 }
    fallen = differences.count { $0 < 0 }
    let moved = differences.filter { $0 != 0 }
    let sum = abs(moved.reduce(0, +))
    var random = SplitMix64(seed: seed)
    var least = 0
    for _ in 0..<PairedTest.flipCount {
      var flipped = 0.0
      var bits: UInt64 = 0
      for (place, difference) in moved.enumerated() {
        if place % 64 == 0 { bits = random.next() }
        flipped += bits & 1 == 0 ? difference : -difference
        bits >>= 1
      }
      if abs(flipped) >= sum - 1e-12 { least += 1 }
    }
    pValue = Double(least + 1) / Double(PairedTest.flipCount + 1)
  }

  /// The figures for programs.
  package var json: JSON {
    [
      "needs": .number(needCount), "before": .double(TuningReport.rounded(before)),
      "after": .double(TuningReport.rounded(after)),
      "difference": .double(TuningReport.rounded(after - before)),
      "low": .double(TuningReport.rounded(low)), "high": .double(TuningReport.rounded(high)),
      "p": .double(TuningReport.rounded(pValue)), "risen": .number(risen),
      "fallen": .number(fallen),
    ]
  }

  /// The figures for people.
  package var line: String {
    let text = TuningReport.text
    return "nDCG@10 \(text(before)) -> \(text(after)), difference \(text(after - before)) "
      + "[\(text(low)), \(text(high))], p \(text(pValue)), \(risen) needs rise, \(fallen) fall"
  }
}
