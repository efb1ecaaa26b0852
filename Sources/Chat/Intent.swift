/// What a message asks for beside a need.
enum Intent: Equatable {
  case need
  case greeting
  case trial(Reference?)
  case compare([Reference])
  case cheaper(Reference)
  case notThis(Reference)
  case undo
  case reset

  /// Which of the cards is meant.
  enum Reference: Equatable {
    /// Counted from 0.
    case place(Int)
    case name(String)
  }

  /// Reads a message. `names` are the names of the cards shown last, in order.
  static func read(_ text: String, names: [String]) -> Intent {
    let folded = text.lowercased()
    let words = folded.split { !$0.isLetter && !$0.isNumber && $0 != "'" }.map(String.init)
    guard let first = words.first else { return .need }
    let greetings: Set<String> = [
      "hello", "hi", "hey", "thanks", "thank", "hallo", "hola", "bonjour",
    ]
    if words.count <= 3, greetings.contains(first) { return .greeting }
    if ["undo", "go back"].contains(folded.trimmed) { return .undo }
    if ["start over", "reset", "new search", "begin again"].contains(folded.trimmed) {
      return .reset
    }
    let reference = reference(in: words, folded, names: names)
    if !names.isEmpty {
      if isCompare(words) { return .compare(comparison(words, reference)) }
      if words.contains("cheaper"), words.count <= 8 { return .cheaper(reference ?? .place(0)) }
      if folded.hasPrefix("not "), let reference, words.count <= 7 { return .notThis(reference) }
    }
    if isTrial(words, folded) { return .trial(reference ?? (names.count == 1 ? .place(0) : nil)) }
    return .need
  }

  private static func isCompare(_ words: [String]) -> Bool {
    (words.first == "compare" || words.contains("versus") || words.contains("vs"))
      && words.count <= 12
  }

  private static func comparison(_ words: [String], _ reference: Reference?) -> [Reference] {
    let places = words.compactMap { ordinals[$0] }
    if places.count >= 2 { return places.map(Reference.place) }
    return [.place(0), .place(1)]
  }

  private static func isTrial(_ words: [String], _ folded: String) -> Bool {
    guard words.count <= 14 else { return false }
    let starts = [
      "try ", "let me try", "start a trial", "start trial", "i want to try", "i'd like to try",
      "can i try", "trial of", "test the", "start the trial",
    ]
    return starts.contains { folded.hasPrefix($0) || folded.contains(" " + $0) }
      || folded.trimmed == "try it"
  }

  private static let ordinals: [String: Int] = [
    "first": 0, "1st": 0, "1": 0, "one": 0, "second": 1, "2nd": 1, "2": 1, "third": 2, "3rd": 2,
    "3": 2,
    "fourth": 3, "fifth": 4,
  ]

  private static func reference(
    in words: [String], _ folded: String, names: [String]
  ) -> Reference? {
    for (index, name) in names.enumerated()
    where name.count > 2 && folded.contains(name.lowercased()) {
      return .place(index)
    }
    // "one" counts only where nothing better is there: "the second one".
    for word in words where word != "one" {
      if let place = ordinals[word] { return .place(place) }
    }
    if words.contains("it") || words.contains("this") || words.contains("that") { return .place(0) }
    for marker in ["try ", "trial of "] {
      if let range = folded.range(of: marker) {
        let rest = folded[range.upperBound...].trimmed
        if rest.count > 2 { return .name(rest) }
      }
    }
    return nil
  }
}

extension StringProtocol {
  /// Without white space and marks at the ends.
  var trimmed: String {
    var part = self[...]
    while let last = part.last, last.isWhitespace || ".!?,".contains(last) {
      part = part.dropLast()
    }
    while let head = part.first, head.isWhitespace { part = part.dropFirst() }
    return String(part)
  }

  /// The first place of a text, by characters; small texts only.
  fileprivate func range(of other: String) -> Range<Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(other) { return start..<index(start, offsetBy: other.count) }
      start = index(after: start)
    }
    return nil
  }
}
