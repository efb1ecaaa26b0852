internal import Index
internal import Primitives

/// What suggestions read of one segment: its names and facet values by the start of any word.
///
/// Made once a segment and kept beside it; the segment itself never changes.
final class SuggestionTables: Sendable {
  /// One value of a facet.
  struct Value: Sendable {
    /// Place in `fields`.
    let field: Int32
    /// Its code in the segment's column.
    let code: Int32
    /// Services of the segment that have it, the replaced ones too.
    let count: Int32
  }

  /// The facets whose values are suggested, in order of preference.
  static let fields: [IndexField] = {
    let first = ["categories", "provider", "modelFamily", "tags", "kind"]
    let words = IndexField.all.filter { $0.isFacet && ($0.kind == .words || $0.kind == .flags) }
    return first.compactMap { name in words.first { $0.name == name } }
      + words.filter { !first.contains($0.name) && $0.name != "providerId" }
  }()

  let segment: Segment
  let names: PrefixTable
  /// Bytes of each name.
  let nameLengths: [Int32]
  let values: PrefixTable
  /// By the number of the text in `values`.
  let entries: [Value]

  /// - Complexity: Reads every name and every facet value of the segment, then sorts their words: about
  ///   half a second for 60,000 services.
  init(_ segment: Segment) {
    self.segment = segment
    let all = (0..<segment.count).lazy.map { segment.name($0) }
    names = PrefixTable(all)
    nameLengths = all.map { Int32(clamping: $0.utf8.count) }
    var entries: [Value] = []
    var texts: [String] = []
    for (number, field) in SuggestionTables.fields.enumerated() {
      guard let column = segment.column(field.name) else { continue }
      let counts = SuggestionTables.counts(column, of: segment)
      for code in 0..<column.wordCount where counts[code] > 0 {
        let word = column.word(code)
        // "true" says nothing without its field.
        if word == "true" || word == "false" { continue }
        texts.append(word)
        entries.append(Value(field: Int32(number), code: Int32(code), count: counts[code]))
      }
    }
    values = PrefixTable(texts)
    self.entries = entries
  }

  /// The words of the segment's texts as they are written, in lower case, sorted by bytes.
  var words: TextTable { segment.words }

  /// How many services have a word.
  func frequency(ofWordAt place: Int) -> Int { Int(segment.wordCounts[place]) }

  /// Services by code; one that says a word in several offers counts once.
  private static func counts(_ column: Column, of segment: Segment) -> [Int32] {
    var counts = [Int32](repeating: 0, count: column.wordCount)
    guard case .words(let starts, let codes, _, _) = column.values else { return counts }
    var last = [Int32](repeating: -1, count: column.wordCount)
    for service in 0..<segment.count {
      for row in segment.rows(of: service) {
        for place in Int(starts[row])..<Int(starts[row + 1]) {
          let code = Int(codes[place])
          if last[code] != Int32(service) {
            last[code] = Int32(service)
            counts[code] += 1
          }
        }
      }
    }
    return counts
  }

  /// How many live services have a value: the segment's count without those that were replaced.
  func liveCount(of value: Value, live: Bitset) -> Int {
    var count = Int(value.count)
    let field = SuggestionTables.fields[Int(value.field)].name
    guard live.population < segment.count, let column = segment.column(field),
      case .words(let starts, let codes, _, _) = column.values
    else { return count }
    for service in 0..<segment.count where !live[service] {
      let hasValue = segment.rows(of: service).contains { row in
        (Int(starts[row])..<Int(starts[row + 1])).contains { codes[$0] == value.code }
      }
      if hasValue { count -= 1 }
    }
    return count
  }

  func word(of value: Value) -> String {
    segment.column(SuggestionTables.fields[Int(value.field)].name)?.word(Int(value.code)) ?? ""
  }
}

/// The phrases that Waypost itself understands, ready to be completed.
enum KnownPhrases {
  static let all: [String] = {
    var phrases: Set<String> = []
    for entry in (try? JSON.parse(IndexFiles.lexicon))?["entries"]?.array ?? [] {
      for phrase in entry["phrases"]?.array ?? [] { phrases.insert(phrase.string ?? "") }
    }
    for line in IndexFiles.synonyms.split(separator: "\n") where !line.hasPrefix("#") {
      for part in line.replacing("=>", with: ",").split(separator: ",") {
        phrases.insert(String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()))
      }
    }
    return phrases.filter { $0.utf8.count > 2 }.sorted()
  }()

  static let table = PrefixTable(all)
}
