internal import Primitives

/// Numbers with units in a query: price caps, context windows, latency, uptime.
enum QuantityGrammar {
  struct Match {
    let range: Range<Int>
    let expression: FilterExpression
    let label: String
  }

  /// The quantity that starts at a word, or nil.
  static func match(_ words: [QueryWord], at start: Int) -> Match? {
    guard !words[start].isTaken else { return nil }
    var reader = Reader(words: words, at: start)
    let named = reader.contextWords()
    let comparison = reader.comparison()
    guard let number = reader.number() else { return nil }
    if number.currency != nil || reader.peekCurrency() {
      return price(&reader, number, comparison, start)
    }
    let trailing = reader.trailing()
    if named || reader.contextAfter() {
      let chosen = comparison ?? trailing ?? reader.trailing() ?? .greaterOrEqual
      return build("contextWindow", chosen, number, reader.at, start, label: "context window")
    }
    if reader.take("ms") || reader.take("milliseconds") || number.suffix == "ms" {
      _ = reader.take("latency")
      return build(
        "latencyP95", comparison ?? .lessOrEqual, number, reader.at, start,
        label: "p95 latency (ms)")
    }
    if number.suffix == "%" || reader.take("percent"), reader.take("uptime") {
      return build(
        "uptime", comparison ?? .greaterOrEqual, number, reader.at, start, label: "uptime (%)")
    }
    if comparison != nil, reader.take("output"), reader.take("tokens") {
      return build(
        "maxOutputTokens", comparison ?? .greaterOrEqual, number, reader.at, start,
        label: "output tokens")
    }
    return nil
  }

  private static func build(
    _ field: String, _ comparison: FilterExpression.Comparison, _ number: Reader.Number, _ end: Int,
    _ start: Int, label: String
  ) -> Match? {
    // Beyond 2^53 a number is no longer exact, and no field is as large.
    guard let value = number.value, value < 0x1p53 else { return nil }
    let text = value == value.rounded() ? String(Int64(value)) : "\(value)"
    return Match(
      range: start..<end,
      expression: .compare(field: field, comparison, .number(value, unit: -1, text: text)),
      label:
        "\(label) \(words(comparison)) \(value == value.rounded() ? grouped(Int64(value)) : text)")
  }

  private static func price(
    _ reader: inout Reader, _ number: Reader.Number, _ comparison: FilterExpression.Comparison?,
    _ start: Int
  ) -> Match? {
    let currency = number.currency ?? reader.takeCurrency() ?? "USD"
    let unit = reader.priceUnit()
    let chosen = comparison ?? reader.trailing()
    // A price without a bound is a remark, not a condition.
    guard let chosen, var nano = DecimalText.nano(number.digits),
      let code = IndexField.currencies.firstIndex(of: currency)
    else { return nil }
    for _ in 0..<(unit.powerOfTen + number.powerOfTen) {
      let (product, overflow) = nano.multipliedReportingOverflow(by: 10)
      guard !overflow, product < 1 << 53 else { return nil }
      nano = product
    }
    let amount = DecimalText.format(nano: nano)
    return Match(
      range: start..<reader.at,
      expression: .compare(
        field: unit.field, chosen, .number(Double(nano), unit: Int8(code), text: amount)),
      label: "\(unit.label) \(words(chosen)) \(amount) \(currency)")
  }

  private static func words(_ comparison: FilterExpression.Comparison) -> String {
    switch comparison {
    case .equal: "exactly"
    case .notEqual: "not"
    case .less: "under"
    case .lessOrEqual: "at most"
    case .greater: "over"
    case .greaterOrEqual: "at least"
    }
  }

  static func grouped(_ value: Int64) -> String {
    var digits = Array(String(value))
    var place = digits.count - 3
    while place > 0 {
      digits.insert(",", at: place)
      place -= 3
    }
    return String(digits)
  }
}

extension QuantityGrammar {
  /// Walks over the words of a query.
  struct Reader {
    struct Number {
      /// The digits as written, with a point.
      let digits: String
      /// The value with its suffix applied, or nil where it is no plain number.
      let value: Double?
      let suffix: String
      let currency: String?
      /// 3 for thousands and 6 for millions, written or spoken.
      var powerOfTen = 0
    }

    let words: [QueryWord]
    var at: Int

    private var word: String? { at < words.count && !words[at].isTaken ? words[at].folded : nil }

    mutating func take(_ wanted: String...) -> Bool {
      guard let word, wanted.contains(word) else { return false }
      at += 1
      return true
    }

    private mutating func take(sequence: [String]) -> Bool {
      guard at + sequence.count <= words.count,
        zip(words[at...], sequence).allSatisfy({ $0.folded == $1 && !$0.isTaken })
      else { return false }
      at += sequence.count
      return true
    }

    /// "context", "context window of", "context length": named before the number.
    mutating func contextWords() -> Bool {
      let start = at
      guard take("context") else { return false }
      _ = take("window", "length", "size")
      _ = take("of", "is", "with")
      if comparison(peek: true) || isNumber { return true }
      at = start
      return false
    }

    private var isNumber: Bool { word.map { Reader.parse($0) != nil } ?? false }

    private static let comparisons: [([String], FilterExpression.Comparison)] = [
      (["no", "more", "than"], .lessOrEqual), (["not", "more", "than"], .lessOrEqual),
      (["no", "less", "than"], .greaterOrEqual), (["less", "than"], .less),
      (["lower", "than"], .less), (["cheaper", "than"], .less), (["more", "than"], .greater),
      (["greater", "than"], .greater), (["larger", "than"], .greater),
      (["at", "least"], .greaterOrEqual),
      (["at", "most"], .lessOrEqual), (["up", "to"], .lessOrEqual),
      (["minimum", "of"], .greaterOrEqual),
      (["maximum", "of"], .lessOrEqual), (["under"], .less), (["below"], .less), (["<"], .less),
      (["<="], .lessOrEqual), (["max"], .lessOrEqual), (["maximum"], .lessOrEqual),
      (["over"], .greater),
      (["above"], .greater), ([">"], .greater), ([">="], .greaterOrEqual),
      (["min"], .greaterOrEqual),
      (["minimum"], .greaterOrEqual), (["within"], .lessOrEqual),
    ]

    private mutating func comparison(peek: Bool) -> Bool {
      let start = at
      let found = comparison() != nil
      at = start
      return found
    }

    mutating func comparison() -> FilterExpression.Comparison? {
      for (sequence, comparison) in Reader.comparisons where take(sequence: sequence) {
        return comparison
      }
      return nil
    }

    /// "or more", "or less", "minimum".
    mutating func trailing() -> FilterExpression.Comparison? {
      let endings: [([String], FilterExpression.Comparison)] = [
        (["or", "more"], .greaterOrEqual), (["or", "larger"], .greaterOrEqual),
        (["or", "longer"], .greaterOrEqual), (["and", "up"], .greaterOrEqual),
        (["or", "less"], .lessOrEqual), (["or", "cheaper"], .lessOrEqual),
        (["or", "lower"], .lessOrEqual), (["minimum"], .greaterOrEqual),
        (["maximum"], .lessOrEqual),
        (["max"], .lessOrEqual), (["min"], .greaterOrEqual),
      ]
      for (sequence, comparison) in endings where take(sequence: sequence) { return comparison }
      return nil
    }

    mutating func number() -> Number? {
      guard let word, let number = Reader.parse(word) else { return nil }
      at += 1
      guard number.suffix.isEmpty, number.currency == nil else { return number }
      let power = take("million", "m", "mio") ? 6 : take("thousand", "k") ? 3 : 0
      let factor = power == 6 ? 1e6 : power == 3 ? 1e3 : 1
      return Number(
        digits: number.digits, value: number.value.map { $0 * factor }, suffix: "", currency: nil,
        powerOfTen: power)
    }

    /// "128k", "1.5m", "$0.50", "0.5€", "300ms", "99.9%", "200,000", "128k+".
    static func parse(_ text: String) -> Number? {
      var rest = text[...]
      var currency: String?
      let marks: [Character: String] = ["$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR"]
      if let first = rest.first, let code = marks[first] {
        currency = code
        rest = rest.dropFirst()
      }
      let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == "." || $0 == ",") }
      rest = rest[digits.endIndex...]
      let clean = digits.replacing(",", with: "")
      guard !clean.isEmpty, let plain = Double(clean) else { return nil }
      if let last = rest.first, let code = marks[last] {
        currency = code
        rest = rest.dropFirst()
      }
      var suffix = rest.hasSuffix("+") ? String(rest.dropLast()) : String(rest)
      if currency != nil, suffix.hasPrefix("/") { suffix = "" }
      let factors = ["": 1.0, "k": 1_000, "m": 1_000_000, "ms": 1, "%": 1, "b": 1_000_000_000]
      guard let factor = factors[suffix] else { return nil }
      let power = suffix == "k" ? 3 : suffix == "m" ? 6 : 0
      return Number(
        digits: String(clean), value: plain * factor, suffix: suffix, currency: currency,
        powerOfTen: power)
    }

    /// "tokens of context", "token context window", "context": named after the number.
    mutating func contextAfter() -> Bool {
      let start = at
      _ = take("token", "tokens")
      _ = take("of")
      if take("context") {
        _ = take("window", "length", "size")
        return true
      }
      at = start
      return false
    }

    func peekCurrency() -> Bool { word.map { Reader.currencyWords[$0] != nil } ?? false }

    mutating func takeCurrency() -> String? {
      guard let word, let code = Reader.currencyWords[word] else { return nil }
      at += 1
      return code
    }

    private static let currencyWords = [
      "dollar": "USD", "dollars": "USD", "usd": "USD", "bucks": "USD", "euro": "EUR",
      "euros": "EUR", "eur": "EUR", "pounds": "GBP", "gbp": "GBP", "yen": "JPY", "cny": "CNY",
    ]

    /// "per 1M input tokens", "a minute", "/1k tokens", "a month".
    mutating func priceUnit() -> (field: String, powerOfTen: Int, label: String) {
      if at > 0, let glued = Reader.gluedUnit(words[at - 1].folded) { return continued(glued) }
      let start = at
      guard take("per", "a", "an", "each", "/") else { return ("price", 0, "price") }
      var power: Int?
      if take("1m", "million", "1,000,000", "mtok", "mio") { power = 0 }
      if power == nil, take("1k", "thousand", "1,000", "1000") { power = 3 }
      if power == nil, take("1") { power = take("million") ? 0 : take("thousand") ? 3 : nil }
      let kind = tokenKind()
      if take("token", "tokens") || power != nil {
        return (kind, power ?? 6, Reader.label(kind))
      }
      if take("minute", "min") { return ("pricePerMinute", 0, "price per minute") }
      if take("call", "request", "query") { return ("pricePerCall", 0, "price per call") }
      if take("image", "picture") { return ("pricePerImage", 0, "price per image") }
      if take("month") { return ("monthlyFee", 0, "monthly fee") }
      at = start
      return ("price", 0, "price")
    }

    /// "$0.50/1m" and "$5/month" in one word.
    private static func gluedUnit(_ word: String) -> (field: String, powerOfTen: Int)? {
      guard let slash = word.firstIndex(of: "/") else { return nil }
      switch word[word.index(after: slash)...] {
      case "1m", "m", "mtok", "million": return ("price", 0)
      case "1k", "k": return ("price", 3)
      case "min", "minute": return ("pricePerMinute", 0)
      case "month", "mo": return ("monthlyFee", 0)
      case "call", "request": return ("pricePerCall", 0)
      case "image": return ("pricePerImage", 0)
      default: return nil
      }
    }

    private mutating func continued(
      _ glued: (field: String, powerOfTen: Int)
    ) -> (field: String, powerOfTen: Int, label: String) {
      guard glued.field == "price" else { return (glued.field, 0, "price") }
      let kind = tokenKind()
      _ = take("token", "tokens")
      return (kind, glued.powerOfTen, Reader.label(kind))
    }

    private mutating func tokenKind() -> String {
      if take("input", "prompt") { return "inputPrice" }
      if take("output", "completion") { return "outputPrice" }
      return "inputPrice"
    }

    private static func label(_ field: String) -> String {
      (field == "outputPrice" ? "output" : "input") + " price per 1M tokens"
    }
  }
}
