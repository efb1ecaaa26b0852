/// Walks over the words of a query that no condition was read from yet.
struct WordReader {
  let words: [QueryWord]
  /// Whether the query is of a language with a decimal comma.
  let isEuropean: Bool
  private(set) var at: Int
  private let start: Int

  init(_ words: [QueryWord], at start: Int, isEuropean: Bool = false) {
    self.words = words
    self.isEuropean = isEuropean
    self.start = start
    at = start
  }

  /// The next word; nil at the end, at a word that is used, and behind a comma or bracket.
  var word: String? {
    guard at < words.count, words[at].isOpen, at == start || !words[at - 1].endsClause else {
      return nil
    }
    return words[at].folded
  }

  /// The word before the place where the reader began.
  var before: String? { start > 0 ? words[start - 1].folded : nil }
  /// The words that were read.
  var range: Range<Int> { start..<at }
  /// Whether the sentence or a part of it ends here.
  var isAtEnd: Bool { at >= words.count || at > start && words[at - 1].endsClause }

  mutating func go(to place: Int) { at = min(max(place, start), words.count) }

  mutating func take(_ wanted: String) -> Bool {
    guard word == wanted else { return false }
    at += 1
    return true
  }

  mutating func take(oneOf wanted: Set<String>) -> Bool {
    guard let word, wanted.contains(word) else { return false }
    at += 1
    return true
  }

  mutating func take(sequence: [String]) -> Bool {
    let place = at
    for wanted in sequence where !take(wanted) {
      at = place
      return false
    }
    return true
  }

  /// Whether the following words are these, without taking them.
  func comes(_ sequence: String...) -> Bool {
    var copy = self
    return copy.take(sequence: sequence)
  }

  /// The value of the longest run of words that a table knows.
  mutating func take<Value>(from table: PhraseTable<Value>) -> Value? {
    guard let word, let candidates = table.byFirst[word] else { return nil }
    for (rest, value) in candidates {
      let place = at
      at += 1
      if take(sequence: rest) { return value }
      at = place
    }
    return nil
  }
}

/// Runs of words with what they mean, found by their first word, the longest first.
struct PhraseTable<Value: Sendable>: Sendable {
  let byFirst: [String: [(rest: [String], value: Value)]]

  /// Reads phrases, written with single spaces.
  init(_ rows: [(String, Value)]) {
    var byFirst: [String: [(rest: [String], value: Value)]] = [:]
    for (phrase, value) in rows {
      let words = phrase.split(separator: " ").map(String.init)
      guard let first = words.first else { continue }
      byFirst[first, default: []].append((Array(words.dropFirst()), value))
    }
    self.byFirst = byFirst.mapValues { $0.sorted { $0.rest.count > $1.rest.count } }
  }
}

extension WordReader {
  private static let spelled: [String: NumberText] = [
    "one": .init(digits: "1"), "two": .init(digits: "2"), "three": .init(digits: "3"),
    "four": .init(digits: "4"), "five": .init(digits: "5"), "six": .init(digits: "6"),
    "seven": .init(digits: "7"), "eight": .init(digits: "8"), "nine": .init(digits: "9"),
    "ten": .init(digits: "10"), "twenty": .init(digits: "20"), "fifty": .init(digits: "50"),
    "hundred": .init(digits: "100"), "half": .init(digits: "0.5"), "ein": .init(digits: "1"),
    "eine": .init(digits: "1"), "einer": .init(digits: "1"), "un": .init(digits: "1"),
    "une": .init(digits: "1"), "una": .init(digits: "1"),
  ]
  private static let scales: [String: Int] = [
    "million": 6, "millions": 6, "m": 6, "mio": 6, "mn": 6, "millionen": 6, "millón": 6,
    "millones": 6, "thousand": 3, "k": 3, "tausend": 3, "mille": 3, "mil": 3, "billion": 9,
    "百万": 6,
  ]

  /// A number in digits or words with its scale: "128k", "1.5 million", "half a million", "a million".
  mutating func number() -> NumberText? {
    let place = at
    guard let word else { return nil }
    var number: NumberText
    if let written = NumberText(word, isEuropean: isEuropean) {
      at += 1
      number = written
    } else if let spelled = WordReader.spelled[word] {
      at += 1
      if word == "half" { _ = take(oneOf: ["a", "an"]) }
      number = spelled
    } else if word == "a" || word == "an" {
      // Only "a million": "a minute" is a unit.
      at += 1
      number = NumberText(digits: "1")
      guard let next = self.word, ["million", "thousand", "billion"].contains(next) else {
        at = place
        return nil
      }
    } else {
      return nil
    }
    if number.suffix.isEmpty, number.powerOfTen == 0, let next = self.word,
      let power = WordReader.scales[next]
    {
      at += 1
      number.powerOfTen = power
    }
    if take("+") { number.isOpen = true }
    // "128k-token": the hyphen was cut out as a word.
    if self.word == nil || !comes("-") { return number }
    let hyphen = at
    at += 1
    if self.word.map({ ["token", "tokens", "context", "ctx"].contains($0) }) != true {
      at = hyphen
    }
    return number
  }

  private static let currencies: [String: (code: String, power: Int)] = [
    "$": ("USD", 0), "€": ("EUR", 0), "£": ("GBP", 0), "¥": ("JPY", 0), "₹": ("INR", 0),
    "dollar": ("USD", 0), "dollars": ("USD", 0), "usd": ("USD", 0), "bucks": ("USD", 0),
    "dólar": ("USD", 0), "dólares": ("USD", 0), "美元": ("USD", 0),
    "euro": ("EUR", 0), "euros": ("EUR", 0), "eur": ("EUR", 0), "欧元": ("EUR", 0),
    "pounds": ("GBP", 0), "gbp": ("GBP", 0), "francs": ("CHF", 0), "franken": ("CHF", 0),
    "chf": ("CHF", 0), "yen": ("JPY", 0), "jpy": ("JPY", 0), "cny": ("CNY", 0),
    "rmb": ("CNY", 0), "yuan": ("CNY", 0), "人民币": ("CNY", 0), "inr": ("INR", 0),
    "rupees": ("INR", 0), "cent": ("", -2), "cents": ("", -2), "ct": ("", -2), "cts": ("", -2),
    "¢": ("USD", -2), "pence": ("GBP", -2), "centimes": ("EUR", -2), "céntimos": ("EUR", -2),
    "eurocent": ("EUR", -2), "eurocents": ("EUR", -2),
  ]

  /// An amount of money, its currency before or behind it, or nil. Cents are of the dollar, and of the euro in
  /// the languages of its countries.
  mutating func money() -> NumberText? {
    let place = at
    let prefix = self.word.flatMap { WordReader.currencies[$0] }
    if let prefix, prefix.power == 0 { at += 1 }
    guard var number = number(), number.suffix.isEmpty else {
      at = place
      return nil
    }
    if let prefix, prefix.power == 0 { number.currency = number.currency ?? prefix.code }
    if number.currency == nil, let name = self.word, let found = WordReader.currencies[name] {
      at += 1
      var (code, power) = found
      if code == "EUR", power == 0, take(oneOf: ["cent", "cents"]) { power = -2 }
      if code.isEmpty { code = isEuropean ? "EUR" : "USD" }
      guard power == 0 || number.powerOfTen == 0 else {
        at = place
        return nil
      }
      number.currency = code
      if power != 0 { number.powerOfTen = power }
    }
    guard number.currency != nil else {
      at = place
      return nil
    }
    return number
  }
}
