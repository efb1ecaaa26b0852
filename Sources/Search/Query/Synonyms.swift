internal import Index

/// Words that mean the same, from `Index/synonyms.txt`: a group a line, each for the others, or `a => b` where only the
/// left one stands for the right.
struct Synonyms: Sendable {
  static let shipped = Synonyms(text: IndexFiles.synonyms)

  /// What stands for a run of words, by the run.
  private let others: [String: [String]]
  private let longest: Int

  init(text: String) {
    var others: [String: [String]] = [:]
    var longest = 0
    func add(_ phrase: String, _ other: String) {
      guard phrase != other, !phrase.isEmpty, !other.isEmpty else { return }
      longest = max(longest, phrase.split(separator: " ").count)
      if others[phrase]?.contains(other) != true { others[phrase, default: []].append(other) }
    }
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let sides = line.split(separator: "=>").map { side in
        side.split(separator: ",").map { Synonyms.fold($0) }
      }
      if sides.count == 2 {
        for left in sides[0] { for right in sides[1] { add(left, right) } }
      } else if let group = sides.first {
        for member in group { for other in group { add(member, other) } }
      }
    }
    self.others = others
    self.longest = longest
  }

  /// Lower case, single spaces, letters, digits and hyphens.
  private static func fold(_ text: some StringProtocol) -> String {
    words(text).joined(separator: " ")
  }

  private static func words(_ text: some StringProtocol) -> [Substring] {
    Substring(text.lowercased()).split { !$0.isLetter && !$0.isNumber && $0 != "-" }
  }

  /// For each term of the text that stands for a group, the terms of the other members.
  ///
  /// Only a term that is a member by itself, or the last of a member's words, carries the others, so that
  /// "text" alone never stands for "text to speech".
  /// - Complexity: A look-up for each run of words up to the longest member.
  func alternatives(in text: String, analyzer: Analyzer) -> [String: [String]] {
    let words = Synonyms.words(text)
    var output: [String: [String]] = [:]
    var done: Set<String> = []
    for start in words.indices {
      var run = ""
      for end in start..<min(start + longest, words.count) {
        run += (run.isEmpty ? "" : " ") + words[end]
        guard let alternatives = others[run], done.insert(run).inserted,
          let carrier = analyzer.queryTerms(run).last
        else { continue }
        for other in alternatives {
          for term in analyzer.queryTerms(other) where output[carrier]?.contains(term) != true {
            output[carrier, default: []].append(term)
          }
        }
      }
    }
    return output
  }
}
