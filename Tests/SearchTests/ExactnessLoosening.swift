import Primitives
import Search

/// A condition as a range of numbers of one field, in one currency where it is a price.
struct NumberRange {
  let field: String
  /// nil where the field is no price.
  let currency: String?
  let low: Double
  let high: Double

  var text: String {
    let unit = currency.map { " " + $0 } ?? ""
    if low == -.infinity { return "\(field) <= \(high)\(unit)" }
    if high == .infinity { return "\(field) >= \(low)\(unit)" }
    return "\(field) \(low) TO \(high)\(unit)"
  }

  /// Whether a filter can say it: an amount of money is below a billion.
  var isSayable: Bool { currency == nil || high == .infinity || high < 1e18 }

  func contains(_ value: Double) -> Bool { low <= value && value <= high }

  /// The ranges that reach to a figure beyond, the nearest figure first; a strict bound is itself beyond.
  func wider(_ figures: [Double?]) -> [NumberRange] {
    guard low <= high else { return [] }
    let values = Set(figures.compactMap(\.self))
    let below = values.filter { $0 <= low }
      .map { (low - $0, 0, NumberRange(field, currency, $0, high)) }
    let above = values.filter { $0 >= high }
      .map { ($0 - high, 1, NumberRange(field, currency, low, $0)) }
    return (below + above).sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map(\.2)
  }

  init(_ field: String, _ currency: String?, _ low: Double, _ high: Double) {
    self.field = field
    self.currency = currency
    self.low = low
    self.high = high
  }

  /// nil for what is no single comparison of numbers by their order.
  init?(_ condition: Condition) {
    switch condition {
    case .number(let field, let sign, let bound): self.init(field, nil, sign, bound)
    case .price(let field, let sign, let milli, let currency):
      self.init(field, currency, sign, Double(milli) * 1e6)
    case .date(let field, let sign, let day): self.init(field, nil, sign, Self.milliseconds(day))
    case .range(let field, let low, let high): self.init(field, nil, low, high)
    case .priceRange(let field, let low, let high, let currency):
      self.init(field, currency, Double(low) * 1e6, Double(high) * 1e6)
    case .dateRange(let field, let low, let high):
      self.init(field, nil, Self.milliseconds(low), Self.milliseconds(high))
    default: return nil
    }
  }

  private init?(_ field: String, _ currency: String?, _ sign: String, _ bound: Double) {
    switch sign {
    case "<", "<=": self.init(field, currency, -.infinity, bound)
    case ">", ">=": self.init(field, currency, bound, .infinity)
    default: return nil
    }
  }

  static func milliseconds(_ day: String) -> Double {
    Timestamp.parse(date: day).map { Double($0.milliseconds) } ?? .nan
  }
}

extension FactTable {
  /// The figure of each row in a range's field and currency.
  func figures(_ range: NumberRange) -> [Double?] {
    if let currency = range.currency {
      return (prices[range.field] ?? []).map { $0?.currency == currency ? $0?.value : nil }
    }
    if let days = dates[range.field] { return days.map { $0.map(NumberRange.milliseconds) } }
    return numbers[range.field] ?? []
  }
}

extension FilterExpression {
  /// A comparison by its numbers, whatever they are written like.
  var range: String {
    func number(_ value: Value) -> (Double, Int8) {
      if case .number(let number, let unit, _) = value { (number, unit) } else { (.nan, -1) }
    }
    func range(_ field: String, _ low: Value?, _ high: Value?) -> NumberRange {
      let code = (low ?? high).map { Int(number($0).1) } ?? -1
      return NumberRange(
        field, FactTable.currencies.indices.contains(code) ? FactTable.currencies[code] : nil,
        low.map { number($0).0 } ?? -.infinity, high.map { number($0).0 } ?? .infinity)
    }
    switch self {
    case .compare(let field, .lessOrEqual, let value): return range(field, nil, value).text
    case .compare(let field, .greaterOrEqual, let value): return range(field, value, nil).text
    case .between(let field, let low, let high): return range(field, low, high).text
    default: return canonical
    }
  }
}
