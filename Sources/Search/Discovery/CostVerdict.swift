internal import Primitives

/// Which of two services costs less for a usage, and the use at which that turns.
struct CostVerdict {
  let json: JSON
  /// The reason for the first of the two, where it costs less.
  let reason: JSON?

  init(_ left: Comparison.Subject, _ right: Comparison.Subject, usage: UsageProfile) {
    let mine = CostTable.cheapest(left.offers, usage: usage)
    let theirs = CostTable.cheapest(right.offers, usage: usage)
    guard !mine.isEmpty, !theirs.isEmpty else {
      json = [
        "state": "unknown",
        "unknownFor": .strings(
          (mine.isEmpty ? [left.id] : []) + (theirs.isEmpty ? [right.id] : [])),
      ]
      reason = nil
      return
    }
    let pairs = mine.flatMap { a in theirs.map { (a, $0) } }
      .filter { $0.0.quote.isComparable(to: $0.1.quote) }
    // One pair a currency at most is left; with several, the first by currency speaks.
    guard let (a, b) = pairs.first else {
      json = ["state": "notComparable", "reason": "the prices are in different currencies"]
      reason = nil
      return
    }
    let (low, high) = (a.quote.amountNano, b.quote.amountNano)
    let meters = Set(left.offers[a.offer].rates.keys).union(right.offers[b.offer].rates.keys)
    let flips = meters.sorted().compactMap { meter in
      BreakEven.of(meter, left.offers[a.offer], right.offers[b.offer], usage: usage)
    }
    var object: JSONObject = [
      "state": "known", "cheaper": low == high ? .null : .string(low < high ? left.id : right.id),
      "currency": .optional(a.quote.currency ?? b.quote.currency),
      "amountNano": .int(low), "otherAmountNano": .int(high),
      "offerId": .string(left.offers[a.offer].id),
      "otherOfferId": .string(right.offers[b.offer].id),
      "flips": .array(flips.map(CostVerdict.flip)),
    ]
    if flips.isEmpty, low != high {
      object["note"] = "no amount of one meter alone, within the limits, turns it"
    }
    json = .object(object)
    reason =
      low < high
      ? [
        "field": "cost", "direction": "lower", "value": .int(low), "other": .int(high),
        "currency": .optional(a.quote.currency ?? b.quote.currency),
        "flip": ["other": "at most", "value": .int(low)],
      ] : nil
  }

  private static func flip(_ flip: BreakEven) -> JSON {
    var object: JSONObject = [
      "meter": .string(flip.meter),
      "usageName": .string(UsageProfile.requestName(of: flip.meter)), "count": .int(flip.count),
    ]
    if let below = flip.below { object["otherIsCheaperUpTo"] = .int(below) }
    if let above = flip.above { object["otherIsCheaperFrom"] = .int(above) }
    return .object(object)
  }
}

/// The lowest stated price of one meter over some offers, by currency.
struct LowestPrice {
  let byCurrency: [(currency: String, rate: OfferTerms.Rate, offerID: String)]

  init(of meter: String, in offers: [OfferTerms]) {
    var lowest: [String: (rate: OfferTerms.Rate, offerID: String)] = [:]
    for offer in offers {
      guard let rate = offer.rates[meter], let currency = offer.currency else { continue }
      if lowest[currency].map({ LowestPrice.isLess(rate, $0.rate) }) ?? true {
        lowest[currency] = (rate, offer.id)
      }
    }
    byCurrency = lowest.sorted { $0.key < $1.key }.map { ($0.key, $0.value.rate, $0.value.offerID) }
  }

  /// Amounts below 2^53 and at most 10^9 of a meter: the products fit 128 bits.
  static func isLess(_ a: OfferTerms.Rate, _ b: OfferTerms.Rate) -> Bool {
    Int128(a.amountNano) * Int128(b.per) < Int128(b.amountNano) * Int128(a.per)
  }

  /// Whether it is the least, and another is higher; only for prices of one currency.
  func isBest(among all: [LowestPrice]) -> Bool {
    guard let own = byCurrency.first?.rate else { return false }
    let others = all.compactMap { $0.byCurrency.first?.rate }
    return !others.contains { LowestPrice.isLess($0, own) }
      && others.contains { LowestPrice.isLess(own, $0) }
  }

  var json: JSON {
    guard !byCurrency.isEmpty else { return ["state": "unknown"] }
    return [
      "state": "known",
      "prices": .array(
        byCurrency.map { currency, rate, offerID in
          [
            "amountNano": .int(rate.amountNano), "per": .int(rate.per),
            "currency": .string(currency), "offerId": .string(offerID),
          ]
        }),
    ]
  }
}
