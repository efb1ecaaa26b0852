/// The use at which the cheaper of two offers changes, exactly.
///
/// Costs are compared before rounding, as integers over the common multiple of every `per`; where that does
/// not fit 128 bits there is no answer rather than a rounded one.
package struct BreakEven: Sendable, Equatable {
  package let meter: String
  /// The count of a month that was asked for.
  package let count: Int64
  /// The largest count below it at which the other offer is cheaper, or nil.
  package let below: Int64?
  /// The least count above it at which the other offer is cheaper, or nil up to `UsageProfile.countMax`.
  package let above: Int64?

  /// Where the order of two offers turns as one meter changes and the others stay; nil where the two cost
  /// the same now, are in different currencies, are unknown, or never change places.
  package static func of(
    _ meter: String, _ left: OfferTerms, _ right: OfferTerms, usage: UsageProfile
  ) -> BreakEven? {
    guard left.currency == right.currency || left.isFree || right.isFree,
      let pair = Pair(left, right, meter: meter, usage: usage)
    else { return nil }
    let count = usage.counts[meter] ?? 0
    guard let now = pair.order(count), now != 0 else { return nil }
    let above = pair.turn(from: count, to: UsageProfile.countMax, away: now)
    let below = pair.turn(from: count, to: 0, away: now)
    guard above != nil || below != nil else { return nil }
    return BreakEven(meter: meter, count: count, below: below, above: above)
  }

  /// Two offers over one denominator.
  private struct Pair {
    let left: Curve
    let right: Curve
    /// Counts between which both costs are linear, rising.
    let bends: [Int64]

    init?(_ left: OfferTerms, _ right: OfferTerms, meter: String, usage: UsageProfile) {
      var denominator: Int128 = 1
      for rate in Array(left.rates.values) + Array(right.rates.values) {
        guard let multiple = Pair.commonMultiple(denominator, Int128(rate.per)) else { return nil }
        denominator = multiple
      }
      guard let a = Curve(left, meter: meter, usage: usage, denominator),
        let b = Curve(right, meter: meter, usage: usage, denominator)
      else { return nil }
      self.left = a
      self.right = b
      var bends: Set<Int64> = [0, UsageProfile.countMax]
      for curve in [a, b] {
        let ends = [curve.included, max(0, curve.minimumEnd - 1), curve.minimumEnd]
        bends.formUnion(ends.map { min($0, UsageProfile.countMax) })
      }
      self.bends = bends.sorted()
    }

    /// -1 where the left one is cheaper, 1 where the right one is, 0 where they cost the same.
    func order(_ count: Int64) -> Int? {
      guard let a = left.cost(count), let b = right.cost(count) else { return nil }
      return a < b ? -1 : a > b ? 1 : 0
    }

    /// The count nearest to `start`, on the way to `end`, at which the order is the opposite of `away`.
    func turn(from start: Int64, to end: Int64, away: Int) -> Int64? {
      let isRising = end > start
      let inside = bends.filter { isRising ? $0 > start : $0 < start }
      for stop in isRising ? inside : inside.reversed() {
        guard let order = order(stop) else { return nil }
        if order == -away { return nearest(from: start, to: stop, away: away) }
      }
      return nil
    }

    /// Between the last bend and `stop` the difference is linear, and before that bend it had not turned, so
    /// that "has turned" is monotone on the way and can be found by halving.
    private func nearest(from start: Int64, to stop: Int64, away: Int) -> Int64? {
      var outside = start
      for bend in stop > start ? bends : bends.reversed()
      where stop > start ? bend > start && bend < stop : bend < start && bend > stop {
        outside = bend
      }
      var inside = stop
      while abs(inside - outside) > 1 {
        let middle = outside + (inside - outside) / 2
        guard let order = order(middle) else { return nil }
        if order == -away { inside = middle } else { outside = middle }
      }
      return inside
    }

    private static func commonMultiple(_ a: Int128, _ b: Int128) -> Int128? {
      var (x, y) = (a, b)
      while y != 0 { (x, y) = (y, x % y) }
      let (product, overflow) = (a / x).multipliedReportingOverflow(by: b)
      return overflow ? nil : product
    }
  }

  /// A month's cost as a function of one meter, times the denominator.
  private struct Curve {
    let included: Int64
    /// The count from which the minimum no longer decides.
    let minimumEnd: Int64
    private let slope: Int128
    private let others: Int128
    private let minimum: Int128
    private let fee: Int128

    init?(_ offer: OfferTerms, meter: String, usage: UsageProfile, _ denominator: Int128) {
      guard offer.faults.isEmpty, offer.currency != nil || offer.isFree else { return nil }
      func scaled(_ meter: String, _ count: Int64) -> Int128? {
        let free = offer.included[meter] ?? 0
        guard let rate = offer.rates[meter] else { return offer.isFree || count <= free ? 0 : nil }
        let unit = denominator / Int128(rate.per)
        let (each, overflow) = Int128(rate.amountNano).multipliedReportingOverflow(by: unit)
        let (all, overflows) = each.multipliedReportingOverflow(by: Int128(max(0, count - free)))
        return overflow || overflows ? nil : all
      }
      var others: Int128 = 0
      for (other, count) in usage.used where other != meter {
        guard let part = scaled(other, count) else { return nil }
        let (sum, overflow) = others.addingReportingOverflow(part)
        guard !overflow else { return nil }
        others = sum
      }
      included = offer.included[meter] ?? 0
      guard included < UsageProfile.countMax, let slope = scaled(meter, included + 1) else {
        return nil
      }
      let (fee, overflow) = Int128(offer.feeNano ?? 0).multipliedReportingOverflow(by: denominator)
      let (least, overflows) = Int128(offer.minimumNano).multipliedReportingOverflow(
        by: denominator)
      guard !overflow, !overflows else { return nil }
      self.slope = slope
      self.others = others
      self.fee = fee
      minimum = least
      let missing = max(0, least - others)
      let steps = slope == 0 ? 0 : (missing + slope - 1) / slope
      minimumEnd = Int64(clamping: steps + Int128(included))
    }

    func cost(_ count: Int64) -> Int128? {
      let (use, overflow) = slope.multipliedReportingOverflow(by: Int128(max(0, count - included)))
      let (sum, overflows) = use.addingReportingOverflow(others)
      guard !overflow, !overflows else { return nil }
      let (all, tooLarge) = max(sum, minimum).addingReportingOverflow(fee)
      return tooLarge ? nil : all
    }
  }
}
