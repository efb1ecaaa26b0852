/// One understood condition of a query, with the text it came from.
package struct Constraint: Sendable, Equatable {
  /// The condition in the filter grammar's terms.
  package let expression: FilterExpression
  /// For people: "image input", "input price under $0.50 per 1M tokens".
  package let label: String
  /// Where it stands in the query, in UTF-16 units, as a browser counts.
  package let span: Range<Int>

  package init(expression: FilterExpression, label: String, span: Range<Int>) {
    self.expression = expression
    self.label = label
    self.span = span
  }
}

/// What a query says: conditions, words, phrases, and what must not be there.
package struct Understanding: Sendable, Equatable {
  package var constraints: [Constraint] = []
  /// The free text that is left to be searched.
  package var text = ""
  package var phrases: [String] = []
  package var exclusions: [String] = []
  /// Whether the query was longer than 1,000 characters and was cut.
  package var isCut = false
}

/// Reads constraints out of a query by a deterministic grammar and the lexicon of `Index/lexicon.json`.
package struct QueryReader: Sendable {
  package static let characterCountMax = 1_000

  private let isProvider: @Sendable (String) -> String?

  /// A reader that knows providers' names through the closure (folded name to the name as it is).
  package init(isProvider: @escaping @Sendable (String) -> String? = { _ in nil }) {
    self.isProvider = isProvider
  }

  /// A reader that knows the providers of a snapshot.
  package init(snapshot: Snapshot) {
    self.init { folded in snapshot.providerName(folded) }
  }

  /// The words of a text that carry a need, in lower case.
  package static func contentWords(_ text: String) -> [String] {
    text.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init)
      .filter { !Analyzer.stopWords.contains($0) && !asking.contains($0) }
  }

  /// A need without the words that only ask for one: "I need a tool to", "looking for".
  package static func withoutAsking(_ text: String) -> String {
    let words = text.split(separator: " ")
    let start = words.firstIndex { word in
      let folded = word.lowercased().filter { $0.isLetter || $0.isNumber }
      return !Analyzer.stopWords.contains(folded) && !asking.contains(folded)
    }
    guard let start else { return text }
    return words[start...].joined(separator: " ")
  }

  private static let asking: Set<String> = [
    "need", "want", "looking", "search", "searching", "tool", "tools", "service", "services", "app",
    "im", "something", "anything",
  ]

  /// What a query says.
  /// - Parameter understanding: false leaves constraints to explicit filters; phrases and exclusions stay.
  package func read(_ query: String, understanding: Bool = true) -> Understanding {
    var result = Understanding()
    let cut = query.prefix(QueryReader.characterCountMax)
    result.isCut = cut.endIndex != query.endIndex
    var words = QueryWord.split(String(cut))
    takeMarks(&words, into: &result)
    if understanding {
      takeQuantities(&words, into: &result)
      takeLexicon(&words, into: &result)
      takeProviders(&words, into: &result)
      takeNegations(&words, into: &result)
    }
    result.text = words.filter { !$0.isTaken }.map(\.text).joined(separator: " ")
    result.constraints.sort { $0.span.lowerBound < $1.span.lowerBound }
    return result
  }

  /// `"phrases"` and `-exclusions`.
  private func takeMarks(_ words: inout [QueryWord], into result: inout Understanding) {
    for index in words.indices {
      switch words[index].mark {
      case .phrase:
        // A phrase is searched as words too; that it stands as written is checked on top.
        result.phrases.append(words[index].text)
      case .exclusion:
        result.exclusions.append(words[index].text)
        words[index].isTaken = true
      case .none: break
      }
    }
  }

  private func takeQuantities(_ words: inout [QueryWord], into result: inout Understanding) {
    var index = 0
    while index < words.count {
      if let match = QuantityGrammar.match(words, at: index) {
        result.constraints.append(
          Constraint(
            expression: match.expression, label: match.label,
            span: words[match.range.lowerBound].span
              .lowerBound..<words[match.range.upperBound - 1]
              .span.upperBound))
        for taken in match.range { words[taken].isTaken = true }
        index = match.range.upperBound
      } else {
        index += 1
      }
    }
  }

  private func takeLexicon(_ words: inout [QueryWord], into result: inout Understanding) {
    var index = 0
    while index < words.count {
      guard !words[index].isTaken, let (entry, count) = Lexicon.shipped.match(words, at: index)
      else {
        index += 1
        continue
      }
      // "not free", "without function calling": the opposite, said so.
      let isDenied =
        index > 0 && !words[index - 1].isTaken
        && ["not", "without", "no", "non"].contains(words[index - 1].folded)
      let start = isDenied ? index - 1 : index
      result.constraints.append(
        Constraint(
          expression: isDenied ? .not(entry.expression) : entry.expression,
          label: (isDenied ? "not " : "") + entry.label,
          span: words[start].span.lowerBound..<words[index + count - 1].span.upperBound))
      if isDenied { words[start].isTaken = true }
      if !entry.keepsWords || isDenied {
        for taken in index..<(index + count) { words[taken].isTaken = true }
      }
      index += count
    }
  }

  /// "by OpenAI", "from Mistral AI": a preposition and a provider's name, the longest first.
  private func takeProviders(_ words: inout [QueryWord], into result: inout Understanding) {
    for index in words.indices
    where ["by", "from", "via", "provider"].contains(words[index].folded) {
      for count in stride(from: min(4, words.count - index - 1), to: 0, by: -1) {
        let range = (index + 1)..<(index + 1 + count)
        guard range.allSatisfy({ !words[$0].isTaken }),
          let name = isProvider(words[range].map(\.folded).joined(separator: " "))
        else { continue }
        result.constraints.append(
          Constraint(
            expression: .compare(field: "provider", .equal, .word(name)), label: "by \(name)",
            span: words[index].span.lowerBound..<words[index + count].span.upperBound))
        for taken in index...(index + count) { words[taken].isTaken = true }
        break
      }
    }
  }

  /// "not X", "without X", "except X" leave the provider X out.
  private func takeNegations(_ words: inout [QueryWord], into result: inout Understanding) {
    for index in words.indices.dropLast()
    where ["not", "without", "except", "excluding"].contains(words[index].folded)
      && !words[index].isTaken && !words[index + 1].isTaken
    {
      let next = words[index + 1]
      guard next.folded.count > 2, !Analyzer.stopWords.contains(next.folded) else { continue }
      // Only a provider is left out so: "without leaving home" is no condition on the catalog.
      guard let name = isProvider(next.folded) else { continue }
      result.constraints.append(
        Constraint(
          expression: .compare(field: "provider", .notEqual, .word(name)), label: "not \(name)",
          span: words[index].span.lowerBound..<next.span.upperBound))
      words[index].isTaken = true
      words[index + 1].isTaken = true
    }
  }
}

/// A word of a query.
struct QueryWord {
  enum Mark { case none, phrase, exclusion }

  let text: String
  /// In lower case, without marks around it.
  let folded: String
  let span: Range<Int>
  let mark: Mark
  var isTaken = false

  /// Cuts a query at white space, commas and brackets; keeps `$0.50/1M`, `gpt-4o`, `json-mode` whole.
  static func split(_ query: String) -> [QueryWord] {
    var words: [QueryWord] = []
    var rest = query[...]
    var offset = 0
    func advance(_ part: Substring) {
      offset += part.utf16.count
      rest = rest[part.endIndex...]
    }
    while let first = rest.first {
      if first.isWhitespace || ",;()[]{}!?:".contains(first) {
        advance(rest.prefix(1))
      } else if first == "\"", let end = rest.dropFirst().firstIndex(of: "\""),
        end > rest.index(after: rest.startIndex)
      {
        let inner = rest[rest.index(after: rest.startIndex)..<end]
        let whole = rest[...end]
        words.append(
          QueryWord(
            text: String(inner), folded: inner.lowercased(),
            span: offset..<offset + whole.utf16.count, mark: .phrase))
        advance(whole)
      } else {
        let part = word(of: rest)
        append(part, offset, to: &words)
        advance(part)
      }
    }
    return words
  }

  /// Up to white space or a mark; a comma inside a number (`1,000`) is no mark.
  private static func word(of rest: Substring) -> Substring {
    var end = rest.startIndex
    while end < rest.endIndex {
      let character = rest[end]
      let next = rest.index(after: end)
      let isInNumber =
        character == "," && end > rest.startIndex && rest[rest.index(before: end)].isNumber
        && next < rest.endIndex && rest[next].isNumber
      if character.isWhitespace || (",;()[]{}!?".contains(character) && !isInNumber) { break }
      end = next
    }
    return rest[..<end]
  }

  private static func append(_ part: Substring, _ offset: Int, to words: inout [QueryWord]) {
    let isExclusion =
      part.hasPrefix("-") && part.count > 2 && part.dropFirst().first?.isLetter == true
    var text = isExclusion ? part.dropFirst() : part
    while let last = text.last, ".:'\"".contains(last), text.count > 1 { text = text.dropLast() }
    words.append(
      QueryWord(
        text: String(text), folded: text.lowercased(), span: offset..<offset + part.utf16.count,
        mark: isExclusion ? .exclusion : .none))
  }
}
