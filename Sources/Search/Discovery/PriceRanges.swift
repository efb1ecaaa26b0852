internal import Primitives

/// Prices in ranges that people read: free, then decades in thirds (1, 2, 5), so that a cent and a thousand
/// each have their place.
package enum PriceRanges {
  /// One range: from its lower bound up to, and without, its upper one, in whole units of the currency.
  package struct Range: Sendable, Equatable {
    /// For people, without the currency: `free`, `under 0.01`, `0.01 to 0.05`, `10 or more`.
    package let label: String
    /// Billionths; nil for no bound.
    package let fromNano: Int64?
    package let toNano: Int64?
    package let count: Int
  }

  /// The most ranges of one facet.
  package static let countMax = 8

  /// The ranges of some prices, in billionths of one currency, with how many lie in each; empty ones between
  /// two that hold something stay, so that a slider has no hole.
  /// - Complexity: n log(bounds).
  package static func ranges(_ prices: [Double]) -> [Range] {
    let free = prices.reduce(0) { $0 + ($1 <= 0 ? 1 : 0) }
    let paid = prices.filter { $0 > 0 }
    var output: [Range] = []
    if free > 0 { output.append(Range(label: "free", fromNano: 0, toNano: 1, count: free)) }
    guard let low = paid.min(), let high = paid.max() else { return output }
    let bounds = bounds(low: low, high: high)
    var counts = [Int](repeating: 0, count: bounds.count + 1)
    for price in paid { counts[bounds.partitionIndex { Double($0) > price }] += 1 }
    for place in 0...bounds.count {
      let from = place == 0 ? nil : bounds[place - 1]
      let to = place == bounds.count ? nil : bounds[place]
      let isEdge = from == nil || to == nil
      if isEdge, counts[place] == 0 { continue }
      output.append(
        Range(label: label(from, to), fromNano: from ?? 1, toNano: to, count: counts[place]))
    }
    return output
  }

  /// Round bounds between the lowest and the highest price, as fine as `countMax` allows.
  private static func bounds(low: Double, high: Double) -> [Int64] {
    for steps in [[1, 2, 5], [1, 3], [1]] as [[Int64]] {
      let found = grid(steps).filter { Double($0) > low && Double($0) <= high }
      if found.count < countMax - 1 { return found }
    }
    // More decades than ranges: every so many of them.
    let decades = grid([1]).filter { Double($0) > low && Double($0) <= high }
    let step = (decades.count + countMax - 3) / (countMax - 2)
    return decades.enumerated().filter { $0.offset % step == 0 }.map(\.element)
  }

  /// 1 billionth to 10^18 of them: a billion units.
  private static func grid(_ steps: [Int64]) -> [Int64] {
    var output: [Int64] = []
    var decade: Int64 = 1
    for _ in 0..<18 {
      output += steps.map { $0 * decade }
      decade *= 10
    }
    return output
  }

  private static func label(_ from: Int64?, _ to: Int64?) -> String {
    switch (from, to) {
    case (nil, nil): "any price"
    case (nil, let to?): "under \(DecimalText.format(nano: to))"
    case (let from?, nil): "\(DecimalText.format(nano: from)) or more"
    case (let from?, let to?):
      "\(DecimalText.format(nano: from)) to \(DecimalText.format(nano: to))"
    }
  }
}

extension [Int64] {
  /// The first place from which the condition holds, in a list where it holds from some place on.
  fileprivate func partitionIndex(_ holds: (Int64) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if holds(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
