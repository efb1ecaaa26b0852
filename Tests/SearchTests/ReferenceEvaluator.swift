import Catalog
import Primitives

/// A condition as the test thinks of it, with its text in the filter grammar.
indirect enum Condition: Sendable {
  case every([Condition])
  case either([Condition])
  case not(Condition)
  /// A field of words, one of whose values is the word.
  case word(String, String, isEqual: Bool)
  case oneOf(String, [String])
  /// A field of numbers, compared.
  case number(String, String, Double)
  case numbers(String, [Double])
  case range(String, Double, Double)
  case date(String, String, String)
  /// A price, compared with thousandths of a currency.
  case price(String, String, Int64, String)
  case priceRange(String, Int64, Int64, String)
  /// A flag of `features`, wanted true or false.
  case flag(String, Bool)
  case unknownFlag(String)
  case known(String, form: Int)

  /// The text that asks for it.
  var text: String {
    switch self {
    case .every(let parts): parts.map(\.inner).joined(separator: " AND ")
    case .either(let parts): parts.map(\.inner).joined(separator: " OR ")
    case .not(let part): "NOT " + part.inner
    case .word(let field, let word, let isEqual):
      "\(field) \(isEqual ? "=" : "!=") \(Condition.quoted(word))"
    case .oneOf(let field, let words):
      "\(field) IN [" + words.map(Condition.quoted).joined(separator: ", ") + "]"
    case .number(let field, let sign, let value): "\(field) \(sign) \(Condition.plain(value))"
    case .numbers(let field, let values):
      "\(field) IN [" + values.map(Condition.plain).joined(separator: ",") + "]"
    case .range(let field, let low, let high):
      "\(field) \(Condition.plain(low)) TO \(Condition.plain(high))"
    case .date(let field, let sign, let day): "\(field) \(sign) \(day)"
    case .price(let field, let sign, let milli, let currency):
      "\(field) \(sign) \(Condition.amount(milli, currency))"
    case .priceRange(let field, let low, let high, let currency):
      "\(field) \(Condition.amount(low, currency)) TO \(Condition.amount(high, currency))"
    case .flag(let name, let wanted): "features.\(name) = \(wanted ? "yes" : "no")"
    case .unknownFlag(let name): "features.\(name) IS UNKNOWN"
    case .known(let field, let form):
      ["EXISTS \(field)", "\(field) EXISTS", "\(field) IS NOT UNKNOWN"][form % 3]
    }
  }

  /// The text as a part of another: in brackets where it has several parts.
  private var inner: String {
    switch self {
    case .every, .either, .not: "(\(text))"
    default: text
    }
  }

  private static func quoted(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy { $0 > 0x60 && $0 < 0x7B }
    if isPlain { return word }
    return "\"" + word.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }

  private static func plain(_ value: Double) -> String {
    value == value.rounded() ? String(Int64(value)) : "\(value)"
  }

  private static func amount(_ milli: Int64, _ currency: String) -> String {
    let rest = String(milli % 1_000 + 1_000).dropFirst()
    let text = "\(milli / 1_000).\(rest)"
    return currency == "USD" ? (milli % 7 == 0 ? "$" : "") + text : "\"\(text) \(currency)\""
  }
}

/// The truth of a condition for one offer of a service, in Kleene's three-valued logic: nil is
/// unknown. A plain reading of the specification over the service's values, with no index.
struct ReferenceEvaluator {
  let service: Service
  let offer: Offer?

  /// Whether the condition is true for at least one offer; without one, offer fields are unknown.
  static func matches(_ condition: Condition, _ service: Service) -> Bool {
    guard service.isPublic else { return false }
    var offers: [Offer?] = service.offers
    if offers.isEmpty { offers = [nil] }
    return offers.contains { offer in
      ReferenceEvaluator(service: service, offer: offer).truth(condition) == true
    }
  }

  func truth(_ condition: Condition) -> Bool? {
    switch condition {
    case .every(let parts): return ReferenceEvaluator.all(parts.map { truth($0) })
    case .either(let parts):
      return negated(ReferenceEvaluator.all(parts.map { negated(truth($0)) }))
    case .not(let part): return negated(truth(part))
    case .word(let field, let word, let isEqual):
      let found = words(field).map { has($0, word) }
      return isEqual ? found : negated(found)
    case .oneOf(let field, let wanted):
      return words(field).map { values in wanted.contains { has(values, $0) } }
    case .number(let field, let sign, let bound):
      return number(field).map { holds($0, sign, bound) }
    case .numbers(let field, let wanted): return number(field).map { wanted.contains($0) }
    case .range(let field, let low, let high):
      return number(field).map { low <= $0 && $0 <= high }
    case .date(let field, let sign, let day):
      // Days of four, two and two digits sort as text.
      return service.text(field).map { holds($0, sign, day) }
    case .price(let field, let sign, let milli, let currency):
      return price(field, in: currency).map { holds($0, sign, Double(milli) * 1_000_000) }
    case .priceRange(let field, let low, let high, let currency):
      return price(field, in: currency).map {
        Double(low) * 1_000_000 <= $0 && $0 <= Double(high) * 1_000_000
      }
    case .flag(let name, let wanted):
      return flag(name).map { $0 == wanted }
    case .unknownFlag(let name): return flag(name) == nil
    case .known(let field, _): return isKnown(field)
    }
  }

  private static func all(_ truths: [Bool?]) -> Bool? {
    if truths.contains(where: { $0 == false }) { return false }
    return truths.contains(where: { $0 == nil }) ? nil : true
  }

  private func negated(_ truth: Bool?) -> Bool? { truth.map { !$0 } }

  private func has(_ values: [String], _ word: String) -> Bool {
    values.contains { $0.lowercased() == word.lowercased() }
  }

  private func holds<T: Comparable>(_ value: T, _ sign: String, _ bound: T) -> Bool {
    switch sign {
    case "=": value == bound
    case "!=": value != bound
    case "<": value < bound
    case "<=": value <= bound
    case ">": value > bound
    default: value >= bound
    }
  }

  private func isKnown(_ field: String) -> Bool {
    switch field {
    case "features": return service.fields["features"]?.object?.isEmpty == false
    case "releasedAt": return service.text(field) != nil
    default:
      return words(field) != nil || number(field) != nil || price(field) != nil
    }
  }

  private func words(_ field: String) -> [String]? {
    switch field {
    case "https": (service.fields["https"]?.bool).map { [String($0)] }
    case "providerId": [service.providerID]
    case "trialOffered": service.trial.map { [String($0.isOffered)] }
    case "plan": offer.map { [$0.plan] }
    case "currency": (offer?.prices.first).map { [$0.money.currency] }
    case "offerRegion": (offer?.region).map { [$0] }
    case "kind", "status", "authType": service.text(field).map { [$0] }
    case "tags", "regions", "inputModalities": service.list(field)
    default: nil
    }
  }

  private func number(_ field: String) -> Double? {
    switch field {
    case "contextWindow", "rating": service.fields[field]?.double
    case "stars": service.fields["usage"]?["stars"]?.double
    case "latencyP95": latency
    default: nil
    }
  }

  private var latency: Double? {
    let metrics = service.fields["metrics"]?.array ?? []
    let metric = metrics.first { $0["name"]?.string == "latencyP95Ms" }
    return metric?["value"]?.double
  }

  private func flag(_ name: String) -> Bool? { service.fields["features"]?[name]?.bool }

  private func price(_ field: String) -> Price? {
    guard let offer else { return nil }
    switch field {
    case "price":
      return offer.price("inputToken") ?? (offer.prices.count == 1 ? offer.prices[0] : nil)
    case "inputPrice": return offer.price("inputToken")
    case "outputPrice": return offer.price("outputToken")
    case "pricePerCall": return offer.price("call")
    case "monthlyFee":
      return offer.monthlyFee.map { Price(meter: "month", per: 1, money: $0) }
    default: return nil
    }
  }

  /// Billionths, where the price is in that currency; tokens are counted by the million.
  private func price(_ field: String, in currency: String) -> Double? {
    guard let found = price(field), found.money.currency == currency else { return nil }
    let factor = found.meter.hasSuffix("Token") ? 1_000_000 / Double(found.per) : 1
    return Double(found.money.amountNano) * factor
  }
}
