package import Primitives

/// Why a service is shown beside another: what both say, and where they part.
package enum Similarity {
  /// The most words of one kind that are named.
  package static let wordMax = 10

  /// What two stored hits share, and how their prices differ. A field that one of them does not state is
  /// left out: nothing is claimed of it.
  package static func why(_ base: JSON, _ other: JSON) -> JSON {
    var object: JSONObject = [:]
    var shared: JSONObject = [:]
    for field in [
      "categories", "tags", "inputModalities", "outputModalities", "apiCompatibility", "regions",
    ] {
      let words = common(base[field], other[field])
      if !words.isEmpty { shared[field] = .strings(words) }
    }
    let features = sharedFeatures(base["features"], other["features"])
    if !features.isEmpty { shared["features"] = .strings(features) }
    for field in ["kind", "modelFamily", "baseModel"] {
      if let value = base[field]?.string, value == other[field]?.string {
        shared[field] = .string(value)
      }
    }
    object["shared"] = .object(shared)
    let provider = base["provider"]?["id"]?.string
    object["sameProvider"] = .bool(provider != nil && provider == other["provider"]?["id"]?.string)
    object["prices"] = .array(priceDifferences(base, other))
    return .object(object)
  }

  private static func common(_ left: JSON?, _ right: JSON?) -> [String] {
    let other = Set((right?.array ?? []).compactMap { $0.string?.lowercased() })
    let words = (left?.array ?? []).compactMap(\.string)
    return Array(words.filter { other.contains($0.lowercased()) }.prefix(wordMax))
  }

  private static func sharedFeatures(_ left: JSON?, _ right: JSON?) -> [String] {
    let names = (left?.object?.members ?? []).filter { $0.value.bool == true }.map(\.key)
    return Array(names.filter { right?[$0]?.bool == true }.prefix(wordMax))
  }

  /// The lowest prices of each meter that both state in one currency, and their difference per `per`.
  private static func priceDifferences(_ base: JSON, _ other: JSON) -> [JSON] {
    let mine = (base["offers"]?.array ?? []).map { OfferTerms($0) }
    let theirs = (other["offers"]?.array ?? []).map { OfferTerms($0) }
    let meters = Set(mine.flatMap { $0.rates.keys }).intersection(theirs.flatMap { $0.rates.keys })
    return meters.sorted().flatMap { meter -> [JSON] in
      let left = LowestPrice(of: meter, in: mine).byCurrency
      return LowestPrice(of: meter, in: theirs).byCurrency.compactMap { price -> JSON? in
        guard let own = left.first(where: { $0.currency == price.currency }) else { return nil }
        let (less, more) = (
          LowestPrice.isLess(price.rate, own.rate), LowestPrice.isLess(own.rate, price.rate)
        )
        var object: JSONObject = [
          "meter": .string(meter), "currency": .string(price.currency),
          "amountNano": .int(price.rate.amountNano), "per": .int(price.rate.per),
          "thanAmountNano": .int(own.rate.amountNano), "thanPer": .int(own.rate.per),
          "verdict": .string(less ? "cheaper" : more ? "dearer" : "same"),
        ]
        if price.rate.per == own.rate.per {
          object["differenceNano"] = .int(price.rate.amountNano - own.rate.amountNano)
        }
        return .object(object)
      }
    }
  }
}

/// Why one hit stands above the next, from the parts of both scores.
package enum PairwiseWhy {
  /// The parts of two explanations set against each other.
  ///
  /// - Returns: The difference of each part, their sum, and what decides: a part, or `quality` where both scores
  ///   lie in one range; nil where one of the two has no explanation, or where neither puts the upper one first:
  ///   then another sort decides.
  package static func why(_ upper: Hit, over lower: Hit) -> JSON? {
    guard let a = upper.explanation, let b = lower.explanation else { return nil }
    let isByQuality = isBetter(a["quality"], b["quality"])
    guard upper.score >= lower.score || isByQuality else { return nil }
    let names = (a.object?.members ?? []).filter { member in
      member.key != "sum" && member.key != "vectorShare" && member.value.double != nil
        && b[member.key]?.double != nil
    }.map(\.key)
    var parts = JSONObject()
    var deciding: (name: String, gain: Double)?
    for name in names {
      let gain = (a[name]?.double ?? 0) - (b[name]?.double ?? 0)
      parts[name] = .double((gain * 1e6).rounded() / 1e6)
      if gain > (deciding?.gain ?? 0) { deciding = (name, gain) }
    }
    return [
      "over": .string(lower.id),
      "by": .double(((upper.score - lower.score) * 1e6).rounded() / 1e6),
      "parts": .object(parts),
      "mostly": .string(
        isByQuality
          ? "quality" : upper.score == lower.score ? "id" : deciding?.name ?? "id"),
    ]
  }

  /// Whether the first of two in one range of scores has the higher prior.
  private static func isBetter(_ one: JSON?, _ other: JSON?) -> Bool {
    guard let bucket = one?["bucket"]?.double, bucket == other?["bucket"]?.double,
      let prior = one?["prior"]?.double, let second = other?["prior"]?.double
    else { return false }
    return prior > second
  }
}
