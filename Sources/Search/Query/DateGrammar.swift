internal import Primitives

/// When a service was released: "released after 2025", "newer than 2024-06", "models since March 2025".
enum DateGrammar {
  /// Days from the first one up to, and without, the second.
  private struct Period {
    let start: (year: Int, month: Int, day: Int)
    let end: (year: Int, month: Int, day: Int)
    let text: String
  }

  private enum Relation { case after, since, before, during }

  private static let openings = PhraseTable<Relation>(
    [
      (.after, "released after;launched after;newer than;more recent than;released later than"),
      (.since, "released since;launched since;not older than;no older than;released from"),
      (.before, "released before;launched before;older than"),
      (.during, "released in;launched in"),
    ].flatMap { relation, phrases in phrases.split(separator: ";").map { (String($0), relation) } })

  static func find(_ words: [QueryWord], at start: Int, topic: QueryTopic) -> QueryMatch? {
    var reader = WordReader(words, at: start)
    var relation = reader.take(from: openings)
    if relation == nil, QueryTopic.kinds.contains(reader.before ?? ""), reader.take("since") {
      relation = .since
    }
    guard let relation, let period = period(&reader), topic.isNear(reader.range) else { return nil }
    switch relation {
    case .after: return match(reader, .greaterOrEqual, period.end, "released after \(period.text)")
    case .since:
      return match(reader, .greaterOrEqual, period.start, "released since \(period.text)")
    case .before: return match(reader, .less, period.start, "released before \(period.text)")
    case .during:
      guard let first = value(period.start), let last = value(period.end, daysBefore: 1) else {
        return nil
      }
      return QueryMatch(
        range: reader.range, expression: .between(field: "releasedAt", first, last),
        label: "released in \(period.text)", returnsWords: false)
    }
  }

  private static func match(
    _ reader: WordReader, _ bound: FilterExpression.Comparison,
    _ day: (year: Int, month: Int, day: Int), _ label: String
  ) -> QueryMatch? {
    guard let value = value(day) else { return nil }
    return QueryMatch(
      range: reader.range, expression: .compare(field: "releasedAt", bound, value), label: label,
      returnsWords: false)
  }

  private static func value(
    _ day: (year: Int, month: Int, day: Int), daysBefore: Int64 = 0
  ) -> FilterExpression.Value? {
    func pad(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    guard let written = Timestamp.parse(date: "\(day.year)-\(pad(day.month))-\(pad(day.day))")
    else {
      return nil
    }
    let moment = written + -daysBefore * 86_400_000
    return .number(Double(moment.milliseconds), unit: -1, text: moment.date)
  }

  private static let months = [
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october",
    "november", "december",
  ]

  /// "2025", "2025-03", "2025-03-01", "March 2025".
  private static func period(_ reader: inout WordReader) -> Period? {
    guard let word = reader.word else { return nil }
    if let month = months.firstIndex(where: { $0 == word || word.count == 3 && $0.hasPrefix(word) })
    {
      _ = reader.take(word)
      guard let next = reader.word, let year = year(next), reader.take(next) else { return nil }
      return period(year, month + 1)
    }
    let parts = word.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
    guard parts.count <= 3, let year = year(parts[0]), reader.take(word) else { return nil }
    if parts.count == 1 { return Period(start: (year, 1, 1), end: (year + 1, 1, 1), text: word) }
    guard let month = Int(parts[1]), (1...12).contains(month), parts[1].utf8.count == 2 else {
      return nil
    }
    if parts.count == 2 { return period(year, month) }
    guard let day = Timestamp.parse(date: word) else { return nil }
    let next = (day + 86_400_000).date.split(separator: "-").compactMap { Int($0) }
    let own = word.split(separator: "-").compactMap { Int($0) }
    guard next.count == 3, own.count == 3 else { return nil }
    return Period(start: (own[0], own[1], own[2]), end: (next[0], next[1], next[2]), text: word)
  }

  private static func period(_ year: Int, _ month: Int) -> Period {
    let isLast = month == 12
    let text = "\(year)-" + (month < 10 ? "0" : "") + "\(month)"
    return Period(
      start: (year, month, 1), end: isLast ? (year + 1, 1, 1) : (year, month + 1, 1), text: text)
  }

  private static func year(_ text: String) -> Int? {
    guard text.utf8.count == 4, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let year = Int(text), (1990...2100).contains(year)
    else { return nil }
    return year
  }
}
