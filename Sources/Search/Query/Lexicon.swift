internal import Index
internal import Primitives

/// Words that mean a condition, and names of places, from `Index/lexicon.json`.
struct Lexicon: Sendable {
  struct Entry: Sendable {
    let expression: FilterExpression
    let label: String
    /// Whether the words are searched as well.
    let keepsWords: Bool
    /// Words behind and before which it is no condition: "free parking", "sugar free".
    let notBefore: Set<String>
    let notAfter: Set<String>
    /// Whether it must stand by itself: at the end, at a comma, or between words such as "and" and "with".
    let needsEdges: Bool
    /// Whether another condition must be in the query.
    let needsOther: Bool
    /// In how many words behind or before it, in a long query, a kind of service must be named; 0 and 0: nowhere.
    let kindAfter: Int
    let kindBefore: Int
  }

  /// A region or country.
  struct Place: Sendable {
    /// For `regions`, in lower case.
    let codes: [String]
    let label: String
  }

  static let shipped = Lexicon(text: IndexFiles.lexicon)

  private let entries: PhraseTable<Entry>
  let places: PhraseTable<Place>
  /// Phrases of Chinese characters, which stand in a query without spaces around them.
  let hanPhrases: Set<String>

  /// Reads the lexicon; an entry whose filter does not parse is our own mistake and stops the program at start.
  init(text: String) {
    let document = try? JSON.parse(text)
    var entries: [(String, Entry)] = []
    for row in document?["entries"]?.array ?? [] {
      let entry = Lexicon.entry(row)
      entries += Lexicon.strings(row["phrases"]).map { ($0, entry) }
    }
    var places: [(String, Place)] = []
    for row in document?["places"]?.array ?? [] {
      let place = Place(codes: Lexicon.strings(row["codes"]), label: row["label"]?.string ?? "")
      places += Lexicon.strings(row["names"]).map { ($0, place) }
    }
    self.entries = PhraseTable(entries)
    self.places = PhraseTable(places)
    hanPhrases = Set(
      entries.map(\.0).filter { $0.unicodeScalars.allSatisfy(WordPieces.isHan) })
  }

  private static func strings(_ value: JSON?) -> [String] {
    (value?.array ?? []).compactMap(\.string)
  }

  private static func entry(_ row: JSON) -> Entry {
    let filter = row["filter"]?.string ?? ""
    guard let expression = try? FilterParser.parse(filter) else {
      preconditionFailure("Index/lexicon.json has a filter that does not parse: \(filter)")
    }
    return Entry(
      expression: expression, label: row["label"]?.string ?? "",
      keepsWords: row["keep"]?.bool ?? false, notBefore: Set(strings(row["notBefore"])),
      notAfter: Set(strings(row["notAfter"])), needsEdges: row["edges"]?.bool ?? false,
      needsOther: row["other"]?.bool ?? false, kindAfter: Int(row["kindAfter"]?.double ?? 0),
      kindBefore: Int(row["kindBefore"]?.double ?? 0))
  }

  /// The longest entry that starts at a word and holds there.
  func find(
    _ words: [QueryWord], at start: Int, topic: QueryTopic, hasOther: Bool
  ) -> (entry: Entry, range: Range<Int>)? {
    var reader = WordReader(words, at: start)
    guard let entry = reader.take(from: entries), hasOther || !entry.needsOther else { return nil }
    let range = reader.range
    let surroundings = Surroundings(words, range)
    guard surroundings.allows(entry) else { return nil }
    if entry.kindAfter + entry.kindBefore > 0, !topic.isShort(words) {
      let first = max(range.lowerBound - entry.kindBefore, 0)
      let isBefore = topic.isBefore(first, within: range.lowerBound - first)
      guard isBefore || topic.isBefore(range.upperBound, within: entry.kindAfter) else {
        return nil
      }
    }
    return (entry, range)
  }
}

/// The words around a phrase.
private struct Surroundings {
  private let before: String?
  private let after: String?
  private let afterThat: String?

  /// A comma between two words parts them: what is behind it is not around the phrase.
  init(_ words: [QueryWord], _ range: Range<Int>) {
    let first = range.lowerBound
    before = first > 0 && !words[first - 1].endsClause ? words[first - 1].folded : nil
    let end = range.upperBound
    let hasNext = end < words.count && !words[end - 1].endsClause
    after = hasNext ? words[end].folded : nil
    afterThat = hasNext && end + 1 < words.count ? words[end + 1].folded : nil
  }

  private static let openings: Set<String> = [
    "and", "or", "with", "but", "not", "no", "without", "&", "plus", "+", "is", "are", "be", "non",
    "also", "needs", "need", "requires", "except", "excluding", "und", "et", "y", "mit", "avec",
    "con",
    "must", "have", "has",
  ]
  private static let closings: Set<String> = [
    "and", "or", "but", "with", "at", "under", "for", "that", "which", "from", "by", "on", "in",
    "below", "over", "via", "plus", "&", "+", "if", "as", "within", "cheaper", "without", "no",
    "not",
    "only", "required", "needed", "please", "und", "et", "y", "too",
  ]

  func allows(_ entry: Lexicon.Entry) -> Bool {
    if let before, entry.notAfter.contains(before) { return false }
    // "free text" is one thing, "free text to speech" another.
    if let after, entry.notBefore.contains(after), afterThat != "to" { return false }
    guard entry.needsEdges else { return true }
    return (before.map(Surroundings.openings.contains) ?? true)
      && (after.map(Surroundings.closings.contains) ?? true)
  }
}
