/// Figures of a service in a query: context windows, output limits, speed, latency, uptime, ratings.
struct FactGrammar {
  private enum Subject { case context, output, latency, firstToken, uptime, rating, rated }

  private var reader: WordReader
  private let words: [QueryWord]
  private let topic: QueryTopic

  /// The figure that starts at a word, or nil.
  static func find(
    _ words: [QueryWord], at start: Int, topic: QueryTopic, isEuropean: Bool
  ) -> QueryMatch? {
    var grammar = FactGrammar(
      reader: WordReader(words, at: start, isEuropean: isEuropean), words: words, topic: topic)
    return grammar.find()
  }

  private static let subjects = PhraseTable<Subject>(
    [
      (.context, "context window;context length;context size;context;kontextfenster;kontext"),
      (.output, "max output tokens;maximum output tokens;max output;maximum output;output length"),
      (.output, "output limit"),
      (.latency, "p95 latency;latency;response time;response times;latenz;latence;latencia"),
      (.firstToken, "time to first token;first token;ttft"),
      (.uptime, "uptime;availability;verfügbarkeit;disponibilité;disponibilidad"),
      (.rating, "average rating;rating;user rating"), (.rated, "rated"),
    ].flatMap { subject, phrases in phrases.split(separator: ";").map { (String($0), subject) } })

  /// A number after these is the count of a unit: "$5 per 1M tokens".
  private static let counting = PriceUnit.perWords.subtracting([
    "a", "an", "for", "le", "el", "al", "im",
  ])

  private mutating func find() -> QueryMatch? {
    guard !FactGrammar.counting.contains(reader.before ?? "") else { return nil }
    if let nines = nines() { return nines }
    let subject = reader.take(from: FactGrammar.subjects)
    var bound = reader.bound()
    if subject != nil {
      let fillers: Set<String> = ["of", "is", "with", "at", "must", "be", "should", "von"]
      while bound == nil, reader.take(oneOf: fillers) { bound = reader.bound() }
    }
    guard let number = reader.number(), number.currency == nil, number.powerOfTen >= 0 else {
      return nil
    }
    if number.isOpen { bound = bound ?? .greaterOrEqual }
    bound = bound ?? reader.boundBehind()
    if let subject { return said(subject, number, bound) }
    return unsaid(number, bound)
  }

  /// A figure whose subject came first: "context of 1M", "latency under 300 ms".
  private mutating func said(
    _ subject: Subject, _ number: NumberText, _ bound: FilterExpression.Comparison?
  ) -> QueryMatch? {
    switch subject {
    case .context:
      _ = reader.take(oneOf: ["tokens", "token"])
      return context(number, bound ?? reader.boundBehind())
    case .output:
      _ = reader.take(oneOf: ["tokens", "token"])
      return output(number, bound ?? reader.boundBehind())
    case .latency, .firstToken:
      guard let milliseconds = milliseconds(number) else { return nil }
      return latency(subject, milliseconds, bound ?? reader.boundBehind())
    case .uptime:
      guard isPercent(number) else { return nil }
      return uptime(number, bound ?? reader.boundBehind())
    case .rating, .rated:
      _ = reader.take(oneOf: ["stars", "star"])
      return rating(number, bound ?? reader.boundBehind())
    }
  }

  /// A figure whose subject follows or must be guessed from its unit.
  private mutating func unsaid(
    _ number: NumberText, _ bound: FilterExpression.Comparison?
  ) -> QueryMatch? {
    if isPercent(number) {
      let names: Set<String> = [
        "uptime", "availability", "available", "sla", "verfügbarkeit", "disponibilité",
        "disponibilidad",
      ]
      return reader.take(oneOf: names) ? uptime(number, bound) : nil
    }
    if let match = stars(number, bound) { return match }
    if let match = speed(number, bound) { return match }
    if let match = counted(number, bound) { return match }
    return unsaidLatency(number, bound)
  }

  private mutating func stars(
    _ number: NumberText, _ bound: FilterExpression.Comparison?
  ) -> QueryMatch? {
    guard reader.take(oneOf: ["stars", "star"]) else { return nil }
    return rating(number, bound ?? reader.boundBehind())
  }

  private mutating func speed(
    _ number: NumberText, _ bound: FilterExpression.Comparison?
  ) -> QueryMatch? {
    let place = reader.at
    let isGlued =
      number.suffix == "tps"
      || reader.take(oneOf: ["tokens/s", "tok/s", "t/s", "tps", "tokens/sec", "tokens/second"])
    if !isGlued {
      guard reader.take(oneOf: ["tokens", "token", "tok"]),
        reader.take(oneOf: ["per", "a", "/", "pro", "par"]),
        reader.take(oneOf: ["second", "sec", "s", "sekunde", "seconde"])
      else {
        reader.go(to: place)
        return nil
      }
    }
    return match(
      "tokensPerSecond", bound ?? reader.boundBehind() ?? .greaterOrEqual, number,
      "tokens per second")
  }

  /// "128k tokens of context", "8k output tokens", "contracts of about 600k tokens".
  private mutating func counted(
    _ number: NumberText, _ bound: FilterExpression.Comparison?
  ) -> QueryMatch? {
    guard number.suffix.isEmpty else { return nil }
    let place = reader.at
    let hasTokens = reader.take(oneOf: ["token", "tokens"])
    let isMost =
      reader.take(sequence: ["max", "output"]) || reader.take(sequence: ["maximum", "output"])
    let trailing = isMost ? bound : bound ?? reader.boundBehind()
    _ = reader.take(oneOf: ["of", "de", "an"])
    if isMost || reader.take("output") {
      let isNamed = reader.take(oneOf: ["tokens", "token"]) || hasTokens || isMost || bound != nil
      return isNamed ? output(number, trailing ?? reader.boundBehind()) : nil
    }
    _ = reader.take("long")
    if reader.take(oneOf: [
      "context", "ctx", "kontext", "contexte", "contexto", "上下文", "kontextfenster",
    ]) {
      _ = reader.take(oneOf: ["window", "windows", "length", "size"])
      return context(number, trailing ?? reader.boundBehind())
    }
    reader.go(to: place)
    return hasTokens ? documentSize(number, bound) : nil
  }

  private static let documents: Set<String> = [
    "contracts", "contract", "documents", "document", "books", "book", "texts", "text", "prompts",
    "prompt", "inputs", "transcripts", "transcript", "files", "pages", "codebase", "codebases",
    "reports", "papers", "repository", "repo", "manuals",
  ]

  /// What is to be read at once must fit: "books of 300k tokens".
  private mutating func documentSize(
    _ number: NumberText, _ bound: FilterExpression.Comparison?
  ) -> QueryMatch? {
    guard let value = number.value, value >= 4_000, bound?.isUpperBound != true,
      reader.take(oneOf: ["token", "tokens"])
    else { return nil }
    let first = max(reader.range.lowerBound - 4, 0)
    let isOfDocuments = words[first..<reader.range.lowerBound]
      .contains { FactGrammar.documents.contains($0.folded) }
    let after = reader.word ?? ""
    guard isOfDocuments, !PriceUnit.perWords.contains(after), after != "daily", after != "monthly"
    else { return nil }
    return context(number, bound ?? reader.boundBehind())
  }

  /// Milliseconds, or seconds in words that are about an answer and not about a recording.
  private mutating func unsaidLatency(
    _ number: NumberText, _ bound: FilterExpression.Comparison?
  ) -> QueryMatch? {
    let before = reader.before ?? ""
    guard let milliseconds = milliseconds(number) else { return nil }
    if reader.take(sequence: ["to", "first", "token"]) {
      return latency(.firstToken, milliseconds, bound)
    }
    if reader.take(oneOf: ["latency", "response", "p95"]) {
      _ = reader.take(oneOf: ["time", "times", "latency"])
      return latency(.latency, milliseconds, bound)
    }
    guard let bound, bound.isUpperBound, milliseconds.value <= 2_000 else { return nil }
    let things: Set<String> = [
      "long", "clip", "clips", "of", "audio", "video", "window", "videos", "apart",
    ]
    guard !things.contains(before), !things.contains(reader.word ?? "") else { return nil }
    return latency(.latency, milliseconds, bound)
  }
}

extension FactGrammar {
  /// "three nines": 99.9.
  private mutating func nines() -> QueryMatch? {
    let values = ["two": "99", "three": "99.9", "four": "99.99", "five": "99.999"]
    guard let word = reader.word, let digits = values[word], reader.comes(word, "nines") else {
      return nil
    }
    _ = reader.take(sequence: [word, "nines"])
    _ = reader.take("of")
    _ = reader.take(oneOf: ["uptime", "availability", "reliability"])
    return uptime(NumberText(digits: digits), nil)
  }

  private mutating func isPercent(_ number: NumberText) -> Bool {
    number.suffix == "%" || reader.take(oneOf: ["%", "percent", "prozent"])
  }

  private mutating func milliseconds(_ number: NumberText) -> (value: Double, text: String)? {
    guard let value = number.value else { return nil }
    let inMilliseconds: Set<String> = ["ms", "milliseconds", "millisecond", "msec", "毫秒"]
    let inSeconds: Set<String> = [
      "s", "sec", "secs", "second", "seconds", "sekunden", "sekunde", "秒",
    ]
    var result = value
    if number.suffix == "ms" || number.suffix.isEmpty && reader.take(oneOf: inMilliseconds) {
      result = value
    } else if number.suffix == "s" || number.suffix == "sec"
      || number.suffix.isEmpty && reader.take(oneOf: inSeconds)
    {
      result = (value * 1_000_000).rounded() / 1_000
    } else {
      return nil
    }
    guard result <= 600_000 else { return nil }
    return (result, FactGrammar.plain(result))
  }

  private func latency(
    _ subject: Subject, _ time: (value: Double, text: String), _ bound: FilterExpression.Comparison?
  ) -> QueryMatch {
    let isFirst = subject == .firstToken
    let bound = bound ?? .lessOrEqual
    return QueryMatch(
      range: reader.range,
      expression: .compare(
        field: isFirst ? "timeToFirstToken" : "latencyP95", bound,
        .number(time.value, unit: -1, text: time.text)),
      label: (isFirst ? "time to first token" : "p95 latency") + " \(bound.words) \(time.text) ms",
      returnsWords: false)
  }

  private func uptime(_ number: NumberText, _ bound: FilterExpression.Comparison?) -> QueryMatch? {
    guard let value = number.value, (50...100).contains(value) else { return nil }
    return match("uptime", bound ?? .greaterOrEqual, number, "uptime in percent")
  }

  private func context(_ number: NumberText, _ bound: FilterExpression.Comparison?) -> QueryMatch? {
    // Smaller numbers are of something else: "5 context menus".
    guard number.suffix.isEmpty, let value = number.value, value >= 1_000, reader.word != "menu",
      reader.word != "menus"
    else { return nil }
    return match("contextWindow", bound ?? .greaterOrEqual, number, "context window")
  }

  private func output(_ number: NumberText, _ bound: FilterExpression.Comparison?) -> QueryMatch? {
    guard number.suffix.isEmpty, let value = number.value, value >= 100 else { return nil }
    return match("maxOutputTokens", bound ?? .greaterOrEqual, number, "output tokens")
  }

  /// A rating of what is looked for, and not of a hotel or a film.
  private func rating(_ number: NumberText, _ bound: FilterExpression.Comparison?) -> QueryMatch? {
    guard let bound, number.suffix.isEmpty, number.powerOfTen == 0, let value = number.value,
      (0...5).contains(value), topic.isNear(reader.range)
    else { return nil }
    return match("rating", bound, number, "rating")
  }

  private func match(
    _ field: String, _ bound: FilterExpression.Comparison, _ number: NumberText, _ label: String
  ) -> QueryMatch? {
    guard let value = number.value else { return nil }
    let text = FactGrammar.plain(value)
    let shown = value == value.rounded() ? FactGrammar.grouped(Int64(value)) : text
    return QueryMatch(
      range: reader.range,
      expression: .compare(field: field, bound, .number(value, unit: -1, text: text)),
      label: "\(label) \(bound.words) \(shown)", returnsWords: false)
  }

  /// As the filter grammar reads it back: no exponent, no needless point.
  static func plain(_ value: Double) -> String {
    value == value.rounded() && value.magnitude < 0x1p53 ? String(Int64(value)) : "\(value)"
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
