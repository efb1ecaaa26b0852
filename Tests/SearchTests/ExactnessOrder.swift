import Search

/// A sort key as a client writes it, and what it goes by.
struct OrderKey: Sendable {
  enum Source: Sendable {
    case score
    case name
    case number(String)
    case date(String)
    /// An amount. Currencies stay apart, in the order of `FactTable.currencies`: nothing is converted.
    case price(String)
  }

  let text: String
  let source: Source
  let isDescending: Bool

  static let all: [OrderKey] = [
    .init(text: "relevance", source: .score, isDescending: true),
    .init(text: "name", source: .name, isDescending: false),
    .init(text: "name:desc", source: .name, isDescending: true),
    .init(text: "rating", source: .number("rating"), isDescending: true),
    .init(text: "rating:asc", source: .number("rating"), isDescending: false),
    .init(text: "contextWindow", source: .number("contextWindow"), isDescending: false),
    .init(text: "maxOutputTokens:desc", source: .number("maxOutputTokens"), isDescending: true),
    .init(text: "stars", source: .number("stars"), isDescending: true),
    .init(text: "popularity", source: .number("runs"), isDescending: true),
    .init(text: "latency", source: .number("latencyP95"), isDescending: false),
    .init(text: "latency:desc", source: .number("latencyP95"), isDescending: true),
    .init(text: "uptime", source: .number("uptime"), isDescending: true),
    .init(text: "newest", source: .date("releasedAt"), isDescending: true),
    .init(text: "newest:asc", source: .date("releasedAt"), isDescending: false),
    .init(text: "price", source: .price("price"), isDescending: false),
    .init(text: "price:desc", source: .price("price"), isDescending: true),
    .init(text: "inputPrice", source: .price("inputPrice"), isDescending: false),
    .init(text: "monthlyFee", source: .price("monthlyFee"), isDescending: false),
  ]

  /// What a service sorts by: less comes first, unknown comes last either way.
  enum Value: Equatable {
    case number(Double)
    case amount(currency: Int, Double)
    case name(String)
  }

  /// - Parameters:
  ///   - rows: The service's rows that match.
  ///   - score: Its score as the answer states it; the order by relevance is judged by it.
  func value(_ facts: FactTable, _ rows: [Int], score: Double) -> Value {
    switch source {
    case .score: return .number(-score)
    case .name: return .name((facts.folded["name"]?[rows[0]] ?? []).joined())
    case .number(let field): return least(rows.compactMap { facts.numbers[field]?[$0] })
    case .date(let field):
      let days = rows.compactMap { facts.dates[field]?[$0] }
      return least(days.compactMap { Double($0.filter { $0 != "-" }) })
    case .price(let field): return first(rows.compactMap { facts.prices[field]?[$0] })
    }
  }

  private func least(_ values: [Double]) -> Value {
    .number(values.map { isDescending ? -$0 : $0 }.min() ?? .infinity)
  }

  /// Of the matching offers the one that sorts first stands for its service.
  private func first(_ amounts: [FactTable.Amount]) -> Value {
    let keys = amounts.map { amount in
      (
        FactTable.currencies.firstIndex(of: amount.currency) ?? .max,
        isDescending ? -amount.value : amount.value
      )
    }
    let best = keys.min { $0 < $1 } ?? (.max, .infinity)
    return .amount(currency: best.0, best.1)
  }

  /// Whether one value must come before the other.
  func precedes(_ left: Value, _ right: Value) -> Bool {
    switch (left, right) {
    case (.number(let one), .number(let other)): one < other
    case (.amount(let currency, let one), .amount(let second, let other)):
      (currency, one) < (second, other)
    case (.name(let one), .name(let other)): isDescending ? one > other : one < other
    default: false
    }
  }
}
