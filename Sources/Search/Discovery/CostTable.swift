/// What use costs under an offer, in integers only.
///
/// A line is (count - included) x months x amount / per, rounded half up to a billionth; the lines and the
/// fee add up to the total. Products are 128 bits wide: the largest, 10^12 x 120 x 2^53, has 100.
package enum CostTable {
  /// One part of a cost.
  package struct Line: Sendable, Equatable {
    /// The meter, or `monthlyFee`, or `minimum` for what lifts the sum to the offer's minimum.
    package let meter: String
    /// What is used over all months.
    package let count: Int64
    /// How much of that is included.
    package let included: Int64
    package let amountNano: Int64
  }

  /// A cost that is known.
  package struct Quote: Sendable, Equatable {
    package let amountNano: Int64
    /// nil only for a free plan that states no currency: nothing costs the same in every currency.
    package let currency: String?
    package let lines: [Line]

    /// Whether two quotes can be set side by side: no currency is ever converted.
    package func isComparable(to other: Quote) -> Bool {
      currency == nil || other.currency == nil || currency == other.currency
    }
  }

  /// The answer for one offer.
  package enum Answer: Sendable, Equatable {
    case known(Quote)
    /// What keeps the cost from being known, in words.
    case unknown(reasons: [String])

    package var quote: Quote? { if case .known(let quote) = self { quote } else { nil } }
  }

  /// The cost of a usage under an offer; a price that is needed and not stated makes it unknown.
  package static func answer(_ offer: OfferTerms, usage: UsageProfile) -> Answer {
    if offer.isFree { return .known(Quote(amountNano: 0, currency: offer.currency, lines: [])) }
    var reasons = offer.faults
    guard let currency = offer.currency else { return .unknown(reasons: ["no price is stated"]) }
    var lines: [Line] = []
    for (meter, count) in usage.used {
      let free = min(count, offer.included[meter] ?? 0)
      guard let rate = offer.rates[meter] ?? (free == count ? OfferTerms.Rate.nothing : nil) else {
        reasons.append("no price is stated for \(UsageProfile.requestName(of: meter))")
        continue
      }
      guard let amount = amount(of: count - free, months: usage.months, at: rate) else {
        return .unknown(reasons: [tooLarge])
      }
      lines.append(
        Line(
          meter: meter, count: count * usage.months, included: free * usage.months,
          amountNano: amount))
    }
    guard reasons.isEmpty else { return .unknown(reasons: reasons) }
    return sum(lines, of: offer, months: usage.months, currency)
  }

  /// Adds the minimum and the fee.
  private static func sum(
    _ lines: [Line], of offer: OfferTerms, months: Int64, _ currency: String
  ) -> Answer {
    var lines = lines
    let used = lines.reduce(Int128(0)) { $0 + Int128($1.amountNano) }
    let least = Int128(offer.minimumNano) * Int128(months)
    let fee = Int128(offer.feeNano ?? 0) * Int128(months)
    guard let missing = Int64(exactly: max(0, least - used)), let fee64 = Int64(exactly: fee),
      let total = Int64(exactly: max(used, least) + fee)
    else { return .unknown(reasons: [tooLarge]) }
    if missing > 0 {
      lines.append(Line(meter: "minimum", count: months, included: 0, amountNano: missing))
    }
    if fee > 0 {
      lines.append(Line(meter: "monthlyFee", count: months, included: 0, amountNano: fee64))
    }
    return .known(Quote(amountNano: total, currency: currency, lines: lines))
  }

  /// count x months x amount / per, rounded half up; nil where it exceeds 64 bits.
  static func amount(of count: Int64, months: Int64, at rate: OfferTerms.Rate) -> Int64? {
    let (all, overflow) = (count * months).multipliedReportingOverflow(by: rate.amountNano)
    if !overflow {
      // Nearly always 64 bits are enough, and many times faster.
      let (quotient, rest) = all.quotientAndRemainder(dividingBy: rate.per)
      return quotient + (rest >= rate.per - rest ? 1 : 0)
    }
    let product = Int128(count) * Int128(months) * Int128(rate.amountNano)
    let (quotient, remainder) = product.quotientAndRemainder(dividingBy: Int128(rate.per))
    return Int64(exactly: quotient + (remainder * 2 >= Int128(rate.per) ? 1 : 0))
  }

  /// The cheapest known quote of each currency, with its offer's place; ties go to the first.
  package static func cheapest(
    _ offers: [OfferTerms], usage: UsageProfile
  ) -> [(offer: Int, quote: Quote)] {
    var best: [String: (offer: Int, quote: Quote)] = [:]
    for (index, offer) in offers.enumerated() {
      guard let quote = answer(offer, usage: usage).quote else { continue }
      let key = quote.currency ?? ""
      if best[key].map({ quote.amountNano < $0.quote.amountNano }) ?? true {
        best[key] = (index, quote)
      }
    }
    return best.sorted { $0.key < $1.key }.map(\.value)
  }

  static let tooLarge = "the sum is above \(Int64.max) billionths"
}

extension OfferTerms.Rate {
  /// The rate of units that are all included.
  fileprivate static let nothing = OfferTerms.Rate(amountNano: 0, per: 1)
}
