/// Reads constraints out of a query by a deterministic grammar and the lexicon of `Index/lexicon.json`.
package struct QueryReader: Sendable {
  package static let characterCountMax = 1_000
  /// A character may be made of many scalars: this many are read at most.
  private static let scalarCountMax = 4_000

  private let names: any CatalogNames

  /// A reader that knows the names of a catalog.
  package init(names: any CatalogNames) { self.names = names }

  /// A reader that knows providers' names through the closure (folded name to the name as it is).
  package init(isProvider: @escaping @Sendable (String) -> String? = { _ in nil }) {
    self.init(names: ProviderNames(find: isProvider))
  }

  /// A reader that knows the names of a snapshot.
  package init(snapshot: Snapshot) {
    self.init(names: SnapshotNames(snapshot: snapshot))
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

  static let asking: Set<String> = [
    "need", "want", "looking", "search", "searching", "tool", "tools", "service", "services", "app",
    "im", "something", "anything",
  ]

  /// What a query says.
  /// - Parameters:
  ///   - understanding: false leaves constraints to explicit filters; phrases and exclusions stay.
  ///   - ignored: Keys or labels of constraints that were removed. Words of one that tell a need too are
  ///     searched again; those of a bare figure are not.
  /// - Complexity: Linear in the words, with some look-ups for each.
  package func read(
    _ query: String, understanding: Bool = true, ignoring ignored: Set<String> = []
  ) -> Understanding {
    var result = Understanding()
    let scalars = String(query.unicodeScalars.prefix(QueryReader.scalarCountMax))
    let cut = String(scalars.prefix(QueryReader.characterCountMax))
    result.isCut = cut.utf8.count != query.utf8.count
    var draft = QueryDraft(QueryWord.split(cut), ignored: ignored)
    draft.takeMarks()
    if understanding { draft.understand(names) }
    result.constraints = draft.constraints
    result.phrases = draft.phrases
    result.exclusions = draft.exclusions
    result.notes = draft.notes
    result.text = draft.text
    result.need = result.text.isEmpty ? "" : draft.need(of: cut)
    return result
  }
}

/// A query while it is read: each grammar takes its words and leaves the rest.
struct QueryDraft {
  private static let noteMax = 10

  private var words: [QueryWord]
  private let ignored: Set<String>
  private let topic: QueryTopic
  private var found: [(constraint: Constraint, order: Int)] = []
  private(set) var phrases: [String] = []
  private(set) var exclusions: [String] = []
  private(set) var notes: [String] = []
  /// Whether anything was understood, removed or not.
  private var hasMatch = false

  init(_ words: [QueryWord], ignored: Set<String>) {
    self.words = words
    self.ignored = ignored
    topic = QueryTopic(words)
  }

  /// In the order of the query; a condition that is said twice stands once.
  var constraints: [Constraint] {
    let sorted = found.sorted {
      ($0.constraint.span.lowerBound, $0.order) < ($1.constraint.span.lowerBound, $1.order)
    }
    var seen: Set<String> = []
    return sorted.map(\.constraint).filter { seen.insert($0.key).inserted }
  }

  /// What is left; nothing where only words that ask are.
  var text: String {
    let text = QueryWord.text(of: words)
    guard hasMatch else { return text }
    let isEmpty = words.allSatisfy { word in
      word.isTaken
        || Analyzer.stopWords.contains(word.folded) || QueryReader.asking.contains(word.folded)
        || QueryDraft.leads.contains(word.folded)
    }
    return isEmpty ? "" : text
  }

  /// The query without the words that were taken.
  func need(of query: String) -> String {
    let units = query.utf16
    var need = ""
    var start = 0
    func add(upTo end: Int) {
      guard start < end else { return }
      let from = units.index(units.startIndex, offsetBy: start)
      let to = units.index(units.startIndex, offsetBy: end)
      need += String(decoding: Array(units[from..<to]), as: UTF16.self)
    }
    for word in words where word.isTaken {
      add(upTo: word.span.lowerBound)
      start = max(start, word.span.upperBound)
    }
    add(upTo: units.count)
    return need.split(separator: " ").joined(separator: " ")
  }

  /// `"phrases"` and `-exclusions`.
  mutating func takeMarks() {
    for index in words.indices {
      switch words[index].mark {
      case .phrase:
        // A phrase is searched as words too; that it stands as written is checked on top.
        phrases.append(words[index].text)
      case .exclusion:
        exclusions.append(words[index].text)
        words[index].isTaken = true
      case .none: break
      }
    }
  }

  /// Every grammar in turn, those with the most context first: a word belongs to the first that takes it.
  mutating func understand(_ names: any CatalogNames) {
    let isEuropean = words.contains { QueryDraft.european.contains($0.folded) }
    let topic = topic
    each { words, at in
      ComparisonGrammar(names: names, words: words).find(at: at).map { [$0] } ?? []
    }
    each { words, at in
      NameGrammar(names: names, words: words).exclusions(at: at).map { .match($0) }
    }
    each { words, at in
      if let price = PriceGrammar.find(words, at: at, isEuropean: isEuropean) { return [price] }
      let fact = FactGrammar.find(words, at: at, topic: topic, isEuropean: isEuropean)
      let match = fact ?? DateGrammar.find(words, at: at, topic: topic)
      return match.map { [.match($0)] } ?? []
    }
    each { words, at in ModalityGrammar.find(words, at: at, topic: topic).map { .match($0) } }
    each { words, at in
      PlaceGrammar.find(words, at: at, topic: topic).map { [.match($0)] } ?? []
    }
    each { words, at in QueryDraft.lexicon(words, at, topic, hasOther: false) }
    each { words, at in
      let grammar = NameGrammar(names: names, words: words)
      let match = grammar.provider(at: at) ?? grammar.family(at: at) ?? grammar.maker(at: at)
      return match.map { [.match($0)] } ?? []
    }
    if hasMatch { each { words, at in QueryDraft.lexicon(words, at, topic, hasOther: true) } }
    takeLeads()
  }

  private static func lexicon(
    _ words: [QueryWord], _ at: Int, _ topic: QueryTopic, hasOther: Bool
  ) -> [QueryFinding] {
    guard
      let (entry, range) = Lexicon.shipped.find(words, at: at, topic: topic, hasOther: hasOther)
    else { return [] }
    return [
      .match(
        QueryMatch(
          range: range, expression: entry.expression, label: entry.label,
          keepsWords: entry.keepsWords))
    ]
  }

  /// Offers each word that is open to a grammar, from left to right.
  private mutating func each(_ find: ([QueryWord], Int) -> [QueryFinding]) {
    var index = 0
    while index < words.count {
      let findings = words[index].isOpen ? find(words, index) : []
      var end = index + 1
      // Before any is settled: "no image and audio input" denies both.
      let denials = findings.map { deniedStart($0) }
      for (finding, denial) in zip(findings, denials) {
        end = max(end, settle(finding, deniedFrom: denial))
      }
      index = end
    }
  }

  /// Writes a finding down.
  /// - Returns: Where its words end.
  private mutating func settle(_ finding: QueryFinding, deniedFrom denial: Int?) -> Int {
    switch finding {
    case .note(let text, let range, let takesWords):
      if notes.count < QueryDraft.noteMax, !notes.contains(text) { notes.append(text) }
      for index in range {
        words[index].isUsed = true
        if takesWords { words[index].isTaken = true }
      }
      return range.upperBound
    case .match(let match): return settle(match, deniedFrom: denial)
    }
  }

  private mutating func settle(_ match: QueryMatch, deniedFrom denial: Int?) -> Int {
    let isDenied = denial != nil
    let start = denial ?? match.range.lowerBound
    let constraint = Constraint(
      expression: isDenied ? QueryDraft.denied(match.expression) : match.expression,
      label: (isDenied ? "not " : "") + match.label,
      span: words[start].span.lowerBound..<words[match.range.upperBound - 1].span.upperBound)
    hasMatch = true
    let isIgnored = ignored.contains(constraint.key) || ignored.contains(constraint.label)
    if !isIgnored { found.append((constraint, found.count)) }
    let isTaken = isIgnored ? !match.returnsWords : !match.keepsWords || isDenied
    for index in start..<match.range.upperBound {
      words[index].isUsed = true
      if isTaken { words[index].isTaken = true }
    }
    return match.range.upperBound
  }

  private static let denials: Set<String> = [
    "not", "without", "no", "non", "isn't", "aren't", "doesn't", "don't", "except", "excluding",
    "nicht",
    "ohne", "sans", "sin", "never",
  ]

  /// "not free", "without function calling", "no US servers": where the denial of a condition starts, or nil.
  /// A figure has its own words for that.
  private func deniedStart(_ finding: QueryFinding) -> Int? {
    guard case .match(let match) = finding else { return nil }
    let first = match.range.lowerBound
    guard match.returnsWords, first > 0, words[first - 1].isOpen, !words[first - 1].endsClause,
      QueryDraft.denials.contains(words[first - 1].folded)
    else { return nil }
    return first - 1
  }

  private static func denied(_ expression: FilterExpression) -> FilterExpression {
    if case .not(let inner) = expression { return inner }
    return .not(expression)
  }

  /// Words that only lead to a condition: once it is taken they say nothing.
  static let leads: Set<String> = [
    "with", "and", "that", "which", "has", "have", "having", "costs", "cost", "costing", "priced",
    "for",
    "a", "an", "the", "but", "plus", "at", "of", "must", "should", "can", "it", "be", "to",
    "offers",
    "offering", "supports", "supporting", "support", "less", "avec", "mit", "con", "und", "et", "y",
  ]

  private mutating func takeLeads() {
    for index in words.indices where words[index].isTaken && words[index].mark == .none {
      var before = index - 1
      while before >= 0, words[before].isOpen, QueryDraft.leads.contains(words[before].folded) {
        words[before].isTaken = true
        before -= 1
      }
    }
  }

  /// Words by which a query is of a language with a decimal comma.
  private static let european: Set<String> = [
    "unter", "pro", "höchstens", "weniger", "günstiger", "mindestens", "für", "mit", "oder", "und",
    "moins", "par", "pour", "avec", "jusqu'à", "menos", "por", "hasta", "para", "con", "máximo",
    "im",
  ]
}
