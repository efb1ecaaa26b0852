internal import Index
internal import Primitives

/// Words that mean a condition, from `Index/lexicon.json`.
struct Lexicon: Sendable {
  struct Entry: Sendable {
    let expression: FilterExpression
    let label: String
    /// Whether the words are searched as well.
    let keepsWords: Bool
  }

  static let shipped = Lexicon(text: IndexFiles.lexicon)

  private let entries: [[String]: Entry]
  private let longest: Int

  /// Reads the lexicon; an entry whose filter does not parse is our own mistake and stops the program at start.
  init(text: String) {
    var entries: [[String]: Entry] = [:]
    for row in (try? JSON.parse(text))?["entries"]?.array ?? [] {
      let filter = row["filter"]?.string ?? ""
      guard let expression = try? FilterParser.parse(filter) else {
        preconditionFailure("Index/lexicon.json has a filter that does not parse: \(filter)")
      }
      let entry = Entry(
        expression: expression, label: row["label"]?.string ?? "",
        keepsWords: row["keep"]?.bool ?? false)
      for phrase in row["phrases"]?.array ?? [] {
        let words = (phrase.string ?? "").split(separator: " ").map(String.init)
        if !words.isEmpty { entries[words] = entry }
      }
    }
    self.entries = entries
    longest = entries.keys.map(\.count).max() ?? 0
  }

  /// The longest entry that starts at a word, with how many words it has.
  func match(_ words: [QueryWord], at start: Int) -> (Entry, Int)? {
    for count in stride(from: min(longest, words.count - start), to: 0, by: -1) {
      let part = words[start..<start + count]
      if part.contains(where: { $0.isTaken || $0.mark != .none }) { continue }
      if let entry = entries[part.map(\.folded)] { return (entry, count) }
    }
    return nil
  }
}
