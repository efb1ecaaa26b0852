package import Primitives

/// Reads the filter grammar of specification search: `AND OR NOT ( )`, comparisons, `IN`, `TO`, `EXISTS`, `IS UNKNOWN`.
package struct FilterParser {
  private static let depthMax = 64
  private let tokens: [FilterToken]
  private var at = 0
  private var depth = 0

  /// The expression of a text, or nil for an empty one.
  /// - Throws: `Refusal` `filter_invalid` with `position` and `expected`.
  package static func parse(_ text: String) throws(Refusal) -> FilterExpression? {
    guard let expression = try read(text) else { return nil }
    // The canonical text comes back in links, chips and cursors: it must be a filter, too.
    do {
      _ = try read(expression.canonical)
    } catch {
      throw filterRefusal(
        at: 0, expected: "a filter whose canonical form has at most 4000 characters and 64 levels")
    }
    return expression
  }

  private static func read(_ text: String) throws(Refusal) -> FilterExpression? {
    var parser = FilterParser(tokens: try FilterLexer.tokens(text))
    if parser.tokens.count == 1 { return nil }
    let expression = try parser.disjunction()
    guard parser.token.kind == .end else {
      throw filterRefusal(at: parser.token.position, expected: "AND, OR or the end")
    }
    return expression
  }

  private init(tokens: [FilterToken]) { self.tokens = tokens }

  private var token: FilterToken { tokens[at] }

  private mutating func take(keyword: String) -> Bool {
    guard token.keyword == keyword else { return false }
    at += 1
    return true
  }

  private mutating func take(symbol: String) -> Bool {
    guard token.kind == .symbol(symbol) else { return false }
    at += 1
    return true
  }

  private mutating func disjunction() throws(Refusal) -> FilterExpression {
    var parts = [try conjunction()]
    while take(keyword: "OR") { parts.append(try conjunction()) }
    return parts.count == 1 ? parts[0] : .or(parts.flatMap(FilterParser.alternatives))
  }

  private mutating func conjunction() throws(Refusal) -> FilterExpression {
    var parts = [try negation()]
    while take(keyword: "AND") { parts.append(try negation()) }
    return parts.count == 1 ? parts[0] : .and(parts.flatMap(\.conjuncts))
  }

  private static func alternatives(_ expression: FilterExpression) -> [FilterExpression] {
    if case .or(let parts) = expression { parts } else { [expression] }
  }

  private mutating func negation() throws(Refusal) -> FilterExpression {
    depth += 1
    defer { depth -= 1 }
    guard depth <= FilterParser.depthMax else {
      throw filterRefusal(at: token.position, expected: "at most 64 levels")
    }
    if take(keyword: "NOT") { return .not(try negation()) }
    if take(symbol: "(") {
      let inner = try disjunction()
      guard take(symbol: ")") else { throw filterRefusal(at: token.position, expected: ")") }
      return inner
    }
    return try condition()
  }

  private mutating func condition() throws(Refusal) -> FilterExpression {
    if take(keyword: "EXISTS") {
      let (field, flag) = try fieldName()
      return .known(field: field.name + (flag.map { "." + $0 } ?? ""))
    }
    let (field, flag) = try fieldName()
    if let flag { return try flagCondition(field, flag) }
    if take(keyword: "EXISTS") { return .known(field: field.name) }
    if take(keyword: "IS") {
      let negated = take(keyword: "NOT")
      guard take(keyword: "UNKNOWN") else {
        throw filterRefusal(at: token.position, expected: "UNKNOWN")
      }
      return negated ? .known(field: field.name) : .not(.known(field: field.name))
    }
    if take(keyword: "IN") { return .oneOf(field: field.name, try list(of: field)) }
    if case .symbol(let symbol) = token.kind,
      let comparison = FilterExpression.Comparison(rawValue: symbol)
    {
      let isOrder = comparison != .equal && comparison != .notEqual
      guard !isOrder || (field.kind != .words && field.kind != .flags) else {
        throw filterRefusal(at: token.position, expected: "=, != or IN: \(field.name) has no order")
      }
      at += 1
      return .compare(field: field.name, comparison, try value(of: field))
    }
    if field.kind != .words, field.kind != .flags {
      let low = try value(of: field)
      guard take(keyword: "TO") else { throw filterRefusal(at: token.position, expected: "TO") }
      let position = token.position
      let high = try value(of: field)
      guard low.unit == high.unit else {
        throw filterRefusal(at: position, expected: "one currency")
      }
      return .between(field: field.name, low, high)
    }
    throw filterRefusal(at: token.position, expected: "=, !=, IN, EXISTS or IS UNKNOWN")
  }

  private mutating func fieldName() throws(Refusal) -> (IndexField, flag: String?) {
    guard case .word(let word) = token.kind else {
      throw filterRefusal(at: token.position, expected: "a field")
    }
    let halves = word.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(halves.first ?? "")
    guard let field = IndexField.named[name] else {
      let nearest = Spelling.nearest(to: name, in: IndexField.all.map(\.name))
      throw filterRefusal(
        at: token.position, expected: "a field" + (nearest.map { ", perhaps \($0)" } ?? ""))
    }
    guard halves.count == 1 || (field.kind == .flags && halves[1] != "") else {
      throw filterRefusal(
        at: token.position,
        expected: field.kind == .flags ? "a name after the dot" : "\(name) without a dot")
    }
    at += 1
    return (field, halves.count == 2 ? String(halves[1]) : nil)
  }

  private mutating func flagCondition(
    _ field: IndexField, _ flag: String
  ) throws(Refusal) -> FilterExpression {
    if take(keyword: "EXISTS") { return .not(unknownFlag(field, flag)) }
    if take(keyword: "IS") {
      let negated = take(keyword: "NOT")
      guard take(keyword: "UNKNOWN") else {
        throw filterRefusal(at: token.position, expected: "UNKNOWN")
      }
      return negated ? .not(unknownFlag(field, flag)) : unknownFlag(field, flag)
    }
    let isEqual = take(symbol: "=")
    guard isEqual || take(symbol: "!=") else {
      throw filterRefusal(at: token.position, expected: "= or !=")
    }
    let answer = token.keyword?.lowercased()
    let wanted: Bool
    switch answer {
    case "true", "yes": wanted = true
    case "false", "no": wanted = false
    case "unknown":
      at += 1
      return isEqual ? unknownFlag(field, flag) : .not(unknownFlag(field, flag))
    default: throw filterRefusal(at: token.position, expected: "yes, no or unknown")
    }
    at += 1
    let condition = FilterExpression.flag(field: field.name, name: flag, wanted)
    return isEqual ? condition : .not(condition)
  }

  /// A flag is unknown where it is neither; `flag OR NOT flag` is unknown exactly there, so this asks the column.
  private func unknownFlag(_ field: IndexField, _ flag: String) -> FilterExpression {
    .not(.known(field: field.name + "." + flag))
  }

  private mutating func list(of field: IndexField) throws(Refusal) -> [FilterExpression.Value] {
    guard take(symbol: "[") else { throw filterRefusal(at: token.position, expected: "[") }
    var values = [try value(of: field)]
    while take(symbol: ",") { values.append(try value(of: field)) }
    guard take(symbol: "]") else { throw filterRefusal(at: token.position, expected: ", or ]") }
    return values
  }

  private mutating func value(of field: IndexField) throws(Refusal) -> FilterExpression.Value {
    let text: String
    switch token.kind {
    case .word(let word): text = word
    case .quoted(let quoted): text = quoted
    default: throw filterRefusal(at: token.position, expected: "a value")
    }
    let position = token.position
    switch field.kind {
    case .words, .flags:
      at += 1
      return .word(text)
    case .number:
      guard let number = FilterParser.number(text) else {
        throw filterRefusal(at: position, expected: "a number")
      }
      at += 1
      return .number(number, unit: -1, text: text)
    case .date:
      guard let day = Timestamp.parse(date: text) else {
        throw filterRefusal(at: position, expected: "a date, YYYY-MM-DD")
      }
      at += 1
      return .number(Double(day.milliseconds), unit: -1, text: text)
    case .price:
      at += 1
      return try price(text, at: position)
    }
  }

  /// An amount with its currency: `0.5`, `"0.5 EUR"`, `0.5 EUR`, `$0.5`.
  private mutating func price(_ text: String, at position: Int) throws(Refusal)
    -> FilterExpression.Value
  {
    let parts = text.split(separator: " ")
    var amount = String(parts.first ?? "")
    var currency = parts.count > 1 ? parts[1].uppercased() : nil
    if amount.hasPrefix("$") {
      amount.removeFirst()
      currency = currency ?? "USD"
    }
    if currency == nil, let word = token.keyword, IndexField.currencies.contains(word) {
      currency = word
      at += 1
    }
    guard let nano = DecimalText.nano(amount), parts.count <= 2 else {
      throw filterRefusal(at: position, expected: "an amount such as 0.5 or \"0.5 EUR\"")
    }
    guard let unit = IndexField.currencies.firstIndex(of: currency ?? "USD") else {
      throw filterRefusal(
        at: position, expected: "a currency of " + IndexField.currencies.joined(separator: ", "))
    }
    return .number(Double(nano), unit: Int8(unit), text: amount)
  }

  /// A finite number, with `k` and `m` for thousands and millions.
  static func number(_ text: String) -> Double? {
    let lower = text.lowercased()
    let factor = lower.hasSuffix("k") ? 1_000.0 : lower.hasSuffix("m") ? 1_000_000.0 : 1
    let digits = factor == 1 ? lower : String(lower.dropLast())
    guard let number = Double(digits), number.isFinite,
      digits.utf8.allSatisfy({ $0 < 0x3A || $0 == 0x65 })
    else { return nil }
    return (number * factor).isFinite ? number * factor : nil
  }
}
