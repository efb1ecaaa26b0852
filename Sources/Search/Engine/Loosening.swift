internal import Primitives

/// One comparison of numbers, prices or dates, and where its bound may be moved to.
struct Loosening {
  /// The values beyond a bound that lie nearest to it.
  struct Nearest {
    fileprivate let low: Double
    fileprivate let high: Double
    fileprivate var below: Double?
    fileprivate var above: Double?

    /// Takes a value for which the comparison is not true.
    mutating func take(_ value: Double) {
      // A strict bound is itself beyond: "under 5" moves to "up to 5".
      if value >= high { above = min(above ?? value, value) }
      if value <= low { below = max(below ?? value, value) }
    }
  }

  let field: String
  /// The currency's code, or -1.
  let unit: Int8
  private let kind: IndexField.Kind
  /// What must be reached, and what must not be passed; nil for no such bound.
  private let low: FilterExpression.Value?
  private let high: FilterExpression.Value?

  /// - Returns: nil for what is no single range of numbers: another condition, or a comparison with one value.
  init?(_ expression: FilterExpression) {
    switch expression {
    case .compare(let field, .less, let value), .compare(let field, .lessOrEqual, let value):
      self.init(field, low: nil, high: value)
    case .compare(let field, .greater, let value), .compare(let field, .greaterOrEqual, let value):
      self.init(field, low: value, high: nil)
    case .between(let field, let low, let high):
      self.init(field, low: low, high: high)
    default: return nil
    }
  }

  private init?(_ field: String, low: FilterExpression.Value?, high: FilterExpression.Value?) {
    guard let kind = IndexField.named[field]?.kind, [.number, .price, .date].contains(kind),
      let unit = (low ?? high)?.unit
    else { return nil }
    // A range that nothing can lie in has no nearest value.
    if let low = low?.number, let high = high?.number, low > high { return nil }
    self.field = field
    self.kind = kind
    self.unit = unit
    self.low = low
    self.high = high
  }

  /// To be filled with the values of rows that the comparison keeps out.
  var nearest: Nearest {
    Nearest(low: low?.number ?? -.infinity, high: high?.number ?? .infinity)
  }

  /// The comparison with its bound at the nearest value, and that for people; nil where there is none, or none
  /// that a filter can say.
  func moved(to nearest: Nearest) -> (FilterExpression, label: String)? {
    let down = nearest.below.map { nearest.low - $0 } ?? .infinity
    let up = nearest.above.map { $0 - nearest.high } ?? .infinity
    guard let value = down <= up ? nearest.below : nearest.above,
      let moved = self.value(value, isUpper: down > up)
    else { return nil }
    let expression: FilterExpression
    let label: String
    if let low, let high {
      let (from, to) = down <= up ? (moved, high) : (low, moved)
      expression = .between(field: field, from, to)
      label = "\(name) \(shown(from, withCurrency: false)) to \(shown(to))"
    } else {
      let isUpper = high != nil
      expression = .compare(field: field, isUpper ? .lessOrEqual : .greaterOrEqual, moved)
      label = "\(name) \(isUpper ? "up to" : "at least") \(shown(moved))"
    }
    // What is offered must be what a filter says when it is sent back.
    guard let read = try? FilterParser.parse(expression.canonical), read == expression else {
      return nil
    }
    return (expression, label)
  }

  /// A value as filters write it. Prices have whole billionths: a fraction goes outwards, so that it is reached.
  private func value(_ number: Double, isUpper: Bool) -> FilterExpression.Value? {
    switch kind {
    case .price:
      let whole = number.rounded(isUpper ? .up : .down)
      guard whole >= 0, whole < 0x1p62 else { return nil }
      return .number(whole, unit: unit, text: DecimalText.format(nano: Int64(whole)))
    case .date:
      guard number.magnitude < 0x1p62 else { return nil }
      let day = Timestamp(milliseconds: Int64(number)).date
      return .number(number, unit: unit, text: day)
    default: return .number(number, unit: unit, text: FactGrammar.plain(number))
    }
  }

  private var name: String { Loosening.names[field] ?? field }

  private func shown(_ value: FilterExpression.Value, withCurrency: Bool = true) -> String {
    guard case .number(let number, let unit, let text) = value else { return "" }
    if kind == .price, withCurrency { return "\(text) \(IndexField.currencies[Int(unit)])" }
    guard kind == .number, number == number.rounded(), number.magnitude < 0x1p53 else {
      return text
    }
    return FactGrammar.grouped(Int64(number))
  }

  /// Fields as people call them, in the words of understood conditions.
  private static let names: [String: String] = [
    "contextWindow": "context window", "maxOutputTokens": "output tokens", "rating": "rating",
    "reviewCount": "reviews", "latencyP50": "median latency in ms",
    "latencyP95": "p95 latency in ms", "latencyP99": "p99 latency in ms",
    "timeToFirstToken": "time to first token in ms", "tokensPerSecond": "tokens per second",
    "uptime": "uptime in percent", "stars": "stars", "runs": "runs", "releasedAt": "release date",
    "lastUpdatedAt": "last update", "price": "price", "inputPrice": "input price per 1M tokens",
    "outputPrice": "output price per 1M tokens", "pricePerCall": "price per call",
    "pricePerMinute": "price per minute", "pricePerImage": "price per image",
    "monthlyFee": "monthly fee",
  ]
}

extension FilterExpression.Value {
  /// The number, or nil for a word.
  fileprivate var number: Double? {
    if case .number(let number, _, _) = self { number } else { nil }
  }
}
