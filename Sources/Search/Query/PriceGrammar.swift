internal import Primitives

/// Prices in a query: "under $0.50 per 1M input tokens", "output at $5 per million or below", "$1 to $3 a call".
enum PriceGrammar {
  /// Above this amount of the currency a price without a unit is of something that is sold, not of a service.
  private static let bareMax: [String: Int64] = ["JPY": 15_000, "INR": 10_000, "CNY": 1_000]
  /// What falls and rises is no price of a service: "when bitcoin drops below $90".
  private static let movements: Set<String> = [
    "go", "goes", "going", "fall", "falls", "drop", "drops", "dropped", "rise", "rises", "dips",
    "is",
    "trades", "trading", "closes", "stays", "stocks", "shares", "worth", "valued", "laptops",
    "phones",
  ]
  private static let costs: Set<String> = [
    "price", "prices", "cost", "costs", "costing", "must", "should", "may", "can", "to", "be", "is",
    "at",
    "for", "tokens", "token", "priced", "of", ":",
  ]

  /// The price that starts at a word, or nil.
  static func find(_ words: [QueryWord], at start: Int, isEuropean: Bool) -> QueryFinding? {
    var reader = WordReader(words, at: start, isEuropean: isEuropean)
    let side = subject(&reader)
    let lead = reader.at
    let bound = reader.bound()
    let moneyStart = reader.at
    if bound == nil, let range = range(&reader, side) { return range }
    reader.go(to: moneyStart)
    guard let amount = reader.money() else { return nil }
    var chosen = bound ?? reader.boundBehind()
    let unit = PriceUnit.read(&reader)
    chosen = chosen ?? reader.boundBehind()
    // A price without a bound is a remark, not a condition.
    guard let chosen else { return nil }
    guard let unit else {
      guard lead == start, !isNamedUnit(reader) else { return nil }
      return bare(reader, amount, chosen)
    }
    return condition(reader, unit, side, amount, chosen)
  }

  private static func condition(
    _ reader: WordReader, _ unit: PriceUnit, _ side: PriceUnit.Thing?, _ amount: NumberText,
    _ bound: FilterExpression.Comparison
  ) -> QueryFinding? {
    let unit = unit.thing == .tokens ? PriceUnit(side, unit) : unit
    guard let field = unit.field else { return unknown(unit, reader) }
    guard let value = value(unit.nano(amount), amount.currency) else { return nil }
    return .match(
      QueryMatch(
        range: reader.range, expression: .compare(field: field.name, bound, value.value),
        label: "\(field.label) \(bound.words) \(value.text)", returnsWords: false))
  }

  private static func unknown(_ unit: PriceUnit, _ reader: WordReader) -> QueryFinding? {
    guard case .other(let word) = unit.thing else { return nil }
    return .note(
      "Prices per \(word) are not a filter yet: this price was not applied.", range: reader.range,
      takesWords: true)
  }

  /// A bound without a unit: an upper one, of an amount that a service may cost.
  private static func bare(
    _ reader: WordReader, _ amount: NumberText, _ bound: FilterExpression.Comparison
  ) -> QueryFinding? {
    guard bound.isUpperBound, let nano = amount.nano(), !movements.contains(reader.before ?? ""),
      nano <= (bareMax[amount.currency ?? ""] ?? 100) * 1_000_000_000,
      let value = value(nano, amount.currency)
    else { return nil }
    return .match(
      QueryMatch(
        range: reader.range, expression: .compare(field: "price", bound, value.value),
        label: "price \(bound.words) \(value.text)", returnsWords: false))
  }

  /// Whether a unit stands there that is none of ours: "a night", "per person".
  private static func isNamedUnit(_ reader: WordReader) -> Bool {
    ["per", "a", "an", "each", "/", "pro", "par", "por", "every"].contains(reader.word ?? "")
  }

  /// "between $1 and $3 per million", "$1-$3 a call", "from 1 to 3 dollars per image".
  private static func range(
    _ reader: inout WordReader, _ side: PriceUnit.Thing?
  ) -> QueryFinding? {
    let opens = reader.take(oneOf: ["between", "from", "zwischen", "entre", "de"])
    let place = reader.at
    let first = reader.money() ?? number(&reader, from: place)
    guard var low = first,
      reader.take(oneOf: opens ? ["and", "to", "-", "und", "et", "y", "a"] : ["to", "-", "–"]),
      var high = reader.money()
    else { return nil }
    low.currency = low.currency ?? high.currency
    // "1 to 3 cents": what stands behind the second holds for both.
    if first?.currency == nil, low.powerOfTen == 0 { low.powerOfTen = high.powerOfTen }
    high.currency = high.currency ?? low.currency
    guard
      let unit = PriceUnit.read(&reader).map({ $0.thing == .tokens ? PriceUnit(side, $0) : $0 }),
      low.currency == high.currency
    else { return nil }
    guard let field = unit.field else { return unknown(unit, reader) }
    guard let from = unit.nano(low), let to = unit.nano(high), from <= to,
      let lowValue = value(from, low.currency), let highValue = value(to, high.currency)
    else { return nil }
    return .match(
      QueryMatch(
        range: reader.range,
        expression: .between(field: field.name, lowValue.value, highValue.value),
        label: "\(field.label) \(DecimalText.format(nano: from)) to \(highValue.text)",
        returnsWords: false))
  }

  private static func number(_ reader: inout WordReader, from place: Int) -> NumberText? {
    reader.go(to: place)
    guard let number = reader.number(), number.suffix.isEmpty else { return nil }
    return number
  }

  /// "input must cost", "output price", "output at": which tokens a price without that word is of.
  private static func subject(_ reader: inout WordReader) -> PriceUnit.Thing? {
    // "image input under $1": that input is a modality.
    guard !ModalityGrammar.nouns.contains(reader.before ?? ""),
      !["structured", "json", "max", "maximum"].contains(reader.before ?? "")
    else { return nil }
    let side: PriceUnit.Thing
    if reader.take(oneOf: ["input", "prompt"]) {
      side = .inputTokens
    } else if reader.take(oneOf: ["output", "completion"]) {
      side = .outputTokens
    } else {
      return nil
    }
    // "at" leads to an amount, and opens "at most".
    for _ in 0..<5 where !reader.isAtBound { _ = reader.take(oneOf: costs) }
    return side
  }

  static func value(
    _ nano: Int64?, _ currency: String?
  ) -> (value: FilterExpression.Value, text: String)? {
    guard let nano, let currency, let code = IndexField.currencies.firstIndex(of: currency) else {
      return nil
    }
    let amount = DecimalText.format(nano: nano)
    return (.number(Double(nano), unit: Int8(code), text: amount), "\(amount) \(currency)")
  }
}

extension PriceUnit {
  /// A price of tokens with the side that the query named before it.
  fileprivate init(_ side: Thing?, _ unit: PriceUnit) {
    self.init(thing: side ?? .tokens, powerOfTen: unit.powerOfTen)
  }
}
