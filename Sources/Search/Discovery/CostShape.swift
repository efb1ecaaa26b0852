package import Primitives

/// Costs as JSON: known with its lines, or unknown with the reasons.
package enum CostShape {
  package static func money(_ quote: CostTable.Quote) -> JSONObject {
    ["amountNano": .int(quote.amountNano), "currency": .optional(quote.currency)]
  }

  /// One answer.
  package static func json(_ answer: CostTable.Answer) -> JSON {
    switch answer {
    case .unknown(let reasons): return ["state": "unknown", "reasons": .strings(reasons)]
    case .known(let quote):
      var object: JSONObject = ["state": "known"]
      for member in money(quote).members { object[member.key] = member.value }
      object["lines"] = .array(
        quote.lines.map { line in
          [
            "meter": .string(line.meter), "count": .int(line.count),
            "included": .int(line.included), "amountNano": .int(line.amountNano),
          ]
        })
      return .object(object)
    }
  }

  /// An offer with its cost.
  package static func object(_ offer: OfferTerms, _ answer: CostTable.Answer) -> JSONObject {
    [
      "offerId": .string(offer.id), "name": .string(offer.name), "plan": .string(offer.plan),
      "region": .optional(offer.region), "cost": json(answer),
    ]
  }

  /// An offer with what it costs for the lowest, the expected and the highest use.
  package static func range(
    _ offer: OfferTerms, low: UsageProfile, expected: UsageProfile, high: UsageProfile
  ) -> JSON {
    var object = object(offer, CostTable.answer(offer, usage: expected))
    object["cost"] = [
      "low": json(CostTable.answer(offer, usage: low)),
      "expected": json(CostTable.answer(offer, usage: expected)),
      "high": json(CostTable.answer(offer, usage: high)),
    ]
    return .object(object)
  }
}
