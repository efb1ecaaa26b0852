package import Primitives

/// What an offer states of its price, read from the stored offer. What is absent is unknown and never 0.
package struct OfferTerms: Sendable {
  /// A price of one meter.
  package struct Rate: Sendable, Equatable {
    package let amountNano: Int64
    package let per: Int64
  }

  package let id: String
  package let name: String
  package let plan: String
  package let region: String?
  /// ISO 4217; nil where the offer states no amount at all.
  package let currency: String?
  package let rates: [String: Rate]
  /// The fixed fee of a month, or nil where none is stated.
  package let feeNano: Int64?
  /// Units of a month that cost nothing.
  package let included: [String: Int64]
  /// The least that a month's use costs beside the fee.
  package let minimumNano: Int64
  /// Why no cost can be worked out from the offer, in words; empty where one can.
  package let faults: [String]

  /// A plan that is free and states no price costs nothing.
  package var isFree: Bool { plan == "free" && rates.isEmpty && feeNano == nil }

  /// Reads a stored offer.
  package init(_ offer: JSON) {
    var faults: [String] = []
    var rates: [String: Rate] = [:]
    var currencies: Set<String> = []
    for price in offer["prices"]?.array ?? [] {
      guard let meter = price["meter"]?.string, let amount = price["amountNano"]?.int,
        let per = price["per"]?.int, let currency = price["currency"]?.string, amount >= 0, per > 0
      else { continue }
      let rate = Rate(amountNano: amount, per: per)
      if let other = rates[meter], other != rate {
        faults.append("two prices are stated for \(meter)")
      }
      rates[meter] = rate
      currencies.insert(currency)
    }
    if currencies.count > 1 {
      faults.append("its prices are in \(currencies.sorted().joined(separator: " and "))")
    }
    if let tiers = offer["tiers"], tiers != .null, tiers != .array([]) {
      faults.append("its prices change with the amount used (tiers)")
    }
    feeNano = offer["monthlyFeeNano"]?.int
    minimumNano = max(0, offer["minimumNano"]?.int ?? 0)
    let included = OfferTerms.units(offer["includedUnits"], meters: rates.keys.sorted())
    if included == nil { faults.append("its included units are not stated by meter") }
    self.included = included ?? [:]
    // The fee is in the currency of the prices, as the catalog reads it.
    let stated = currencies.sorted().first ?? offer["currency"]?.string
    currency = stated ?? (feeNano == nil ? nil : "USD")
    id = offer["id"]?.string ?? "default"
    plan = offer["plan"]?.string ?? "usage"
    name = offer["name"]?.string ?? plan
    region = offer["region"]?.string
    self.rates = rates
    self.faults = faults
  }

  /// Free units by meter: an object, a list of `{meter, count}`, or a number where there is one meter only.
  private static func units(_ value: JSON?, meters: [String]) -> [String: Int64]? {
    guard let value, value != .null else { return [:] }
    if let count = value.int {
      guard meters.count == 1, count >= 0 else { return nil }
      return [meters[0]: count]
    }
    var units: [String: Int64] = [:]
    for member in value.object?.members ?? [] {
      guard let count = member.value.int, count >= 0 else { return nil }
      units[member.key] = count
    }
    for entry in value.array ?? [] {
      guard let meter = entry["meter"]?.string, let count = entry["count"]?.int, count >= 0 else {
        return nil
      }
      units[meter] = count
    }
    return value.object == nil && value.array == nil ? nil : units
  }
}
