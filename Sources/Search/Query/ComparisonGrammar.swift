internal import Primitives

/// Comparisons with a service that the catalog has: "cheaper than gpt-4o", "like gpt-4o but faster", "bigger context
/// than X".
struct ComparisonGrammar {
  private enum Quality: Sendable {
    case cheaper, cheaperOutput, faster, context, output, newer, rated, reliable
  }

  private static let qualities = PhraseTable<Quality>(
    [
      (
        .cheaper,
        "cheaper;less expensive;lower price;lower cost;costs less;cost less;günstiger;billiger"
      ),
      (.cheaper, "moins cher;más barato;more affordable;cheaper input"),
      (.cheaperOutput, "cheaper output"),
      (.faster, "faster;quicker;lower latency;schneller;plus rapide;más rápido"),
      (.context, "bigger context;larger context;longer context;more context;bigger context window"),
      (.context, "larger context window;longer context window;context bigger;context larger"),
      (.output, "longer output;more output tokens;bigger output"),
      (.newer, "newer;more recent"), (.rated, "better rated;higher rated"),
      (.reliable, "more reliable;better uptime;higher uptime"),
    ].flatMap { quality, phrases in phrases.split(separator: ";").map { (String($0), quality) } })
  private static let likenesses = PhraseTable<Bool>(
    ["like", "same as", "similar to", "alternative to", "as good as", "replacement for"].map {
      ($0, true)
    })
  private static let links: Set<String> = [
    "but", "only", "that", "which", "is", "just", "and", "are", "with",
  ]
  private static let wordMax = 6

  let names: any CatalogNames
  let words: [QueryWord]

  /// The comparison that starts at a word, or nil.
  func find(at start: Int) -> QueryFinding? { than(at: start) ?? like(at: start) }

  /// "cheaper than X", "cheaper alternative to X".
  private func than(at start: Int) -> QueryFinding? {
    var reader = WordReader(words, at: start)
    guard let quality = reader.take(from: ComparisonGrammar.qualities) else { return nil }
    let isAlternative =
      reader.take(sequence: ["alternative", "to"]) || reader.take(sequence: ["replacement", "for"])
    guard isAlternative || reader.take(oneOf: ["than", "as", "que", "als"]) else { return nil }
    _ = reader.take(oneOf: ["the", "that", "of"])
    let isNumber = number(reader)
    guard let (service, end) = service(at: reader.at) else {
      // "newer than March": a day, and no name.
      return isNumber || quality == .newer ? nil : unknown(reader)
    }
    return finding(quality, service, start..<end, keeps: isAlternative)
  }

  private func number(_ reader: WordReader) -> Bool {
    if let first = reader.word?.first, QueryWord.isDigit(first) { return true }
    var copy = reader
    return copy.money() != nil || copy.number() != nil
  }

  /// "like X but cheaper": the name is searched, the rest is a condition.
  private func like(at start: Int) -> QueryFinding? {
    var reader = WordReader(words, at: start)
    guard reader.take(from: ComparisonGrammar.likenesses) != nil,
      let (service, end) = service(at: reader.at)
    else { return nil }
    var tail = WordReader(words, at: end)
    while tail.take(oneOf: ComparisonGrammar.links) {}
    let first = tail.at
    guard let quality = tail.take(from: ComparisonGrammar.qualities), tail.word != "than" else {
      return nil
    }
    return finding(quality, service, first..<tail.at, keeps: false)
  }

  /// The service whose name starts at a word, the longest name first; numbers and everyday words are none.
  private func service(at start: Int) -> (NamedService, end: Int)? {
    var end = start
    while end < words.count, end - start < ComparisonGrammar.wordMax,
      !words[end].isTaken, words[end].mark != .exclusion
    {
      end += 1
      if words[end - 1].endsClause { break }
    }
    while end > start {
      var name = words[start..<end].map(\.folded).joined(separator: " ")
      if name.hasSuffix("'s") { name = String(name.dropLast(2)) }
      if let service = names.service(name) { return (service, end) }
      end -= 1
    }
    return nil
  }

  private static let vague: Set<String> = [
    "a", "an", "any", "ever", "before", "my", "our", "your", "this", "these", "other", "others",
    "all",
    "most", "normal", "usual", "expected", "average", "human", "humans", "light", "it", "them",
    "possible",
  ]

  /// A name that the catalog does not know is said to be unknown; everyday words are left alone.
  private func unknown(_ reader: WordReader) -> QueryFinding? {
    guard let word = reader.word, !ComparisonGrammar.vague.contains(word) else { return nil }
    let name = words[reader.at].text
    return .note(
      "No service named “\(name)” is known here: the comparison was not applied.",
      range: reader.range, takesWords: false)
  }

  private struct Comparable {
    let field: String
    let bound: FilterExpression.Comparison
    let label: String
  }

  private static func fields(_ quality: Quality) -> [Comparable] {
    switch quality {
    case .cheaper:
      [
        ("inputPrice", "input price"), ("pricePerMinute", "price per minute"),
        ("pricePerCall", "price per call"), ("pricePerImage", "price per image"),
        ("price", "price"),
        ("monthlyFee", "monthly fee"),
      ].map { Comparable(field: $0.0, bound: .less, label: $0.1) }
    case .cheaperOutput: [Comparable(field: "outputPrice", bound: .less, label: "output price")]
    case .faster:
      [
        Comparable(field: "latencyP95", bound: .less, label: "p95 latency in ms"),
        Comparable(field: "tokensPerSecond", bound: .greater, label: "tokens per second"),
        Comparable(field: "timeToFirstToken", bound: .less, label: "time to first token in ms"),
      ]
    case .context: [Comparable(field: "contextWindow", bound: .greater, label: "context window")]
    case .output: [Comparable(field: "maxOutputTokens", bound: .greater, label: "output tokens")]
    case .newer: [Comparable(field: "releasedAt", bound: .greater, label: "released")]
    case .rated: [Comparable(field: "rating", bound: .greater, label: "rating")]
    case .reliable: [Comparable(field: "uptime", bound: .greater, label: "uptime in percent")]
    }
  }

  private func finding(
    _ quality: Quality, _ service: NamedService, _ range: Range<Int>, keeps: Bool
  ) -> QueryFinding {
    let fields = ComparisonGrammar.fields(quality)
    for comparable in fields {
      guard let figure = service.figures[comparable.field],
        let (value, shown) = ComparisonGrammar.value(figure, comparable.field)
      else { continue }
      let verb = comparable.field == "releasedAt" ? "after" : comparable.bound.words
      return .match(
        QueryMatch(
          range: range, expression: .compare(field: comparable.field, comparable.bound, value),
          label: "\(comparable.label) \(verb) \(shown) (\(service.name)’s)", keepsWords: keeps,
          returnsWords: keeps))
    }
    let what = fields.first?.label ?? ""
    return .note(
      "The \(what) of \(service.name) is not known: the comparison was not applied.", range: range,
      takesWords: false)
  }

  /// The figure as the filter grammar writes it and as people read it; nil where it is no number of its field.
  private static func value(
    _ figure: NamedService.Figure, _ field: String
  ) -> (FilterExpression.Value, String)? {
    let number = figure.value
    guard number.isFinite, number >= 0, number < 0x1p53 else { return nil }
    switch IndexField.named[field]?.kind {
    case .price:
      guard IndexField.currencies.indices.contains(Int(figure.unit)), number == number.rounded()
      else {
        return nil
      }
      let amount = DecimalText.format(nano: Int64(number))
      return (
        .number(number, unit: figure.unit, text: amount),
        "\(amount) \(IndexField.currencies[Int(figure.unit)])"
      )
    case .date:
      let day = Timestamp(milliseconds: Int64(number)).date
      guard let start = Timestamp.parse(date: day) else { return nil }
      return (.number(Double(start.milliseconds), unit: -1, text: day), day)
    case .number:
      let text = FactGrammar.plain(number)
      let shown = number == number.rounded() ? FactGrammar.grouped(Int64(number)) : text
      return (.number(number, unit: -1, text: text), shown)
    default: return nil
    }
  }
}
