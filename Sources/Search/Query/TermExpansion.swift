/// Turns the words of a query into terms: synonyms beside, typos corrected, the last word open at its end.
struct TermExpansion {
  let snapshot: Snapshot
  let analyzer: Analyzer
  /// Corrections made, from the word in lower case to the one searched instead.
  private(set) var corrections: [String: String] = [:]

  init(snapshot: Snapshot, analyzer: Analyzer) {
    self.snapshot = snapshot
    self.analyzer = analyzer
  }

  /// The terms of a text in their order, each as its place in `terms`; known after `terms(of:)`.
  private(set) var sequence: [Int] = []

  mutating func terms(of text: String, isPrefix: Bool) -> [QueryTerm] {
    var terms: [Analyzer.Word] = []
    for word in analyzer.queryWords(Analyzer.splittingIdentifiers(text)) {
      let place = terms.firstIndex { $0.term == word.term } ?? terms.count
      if place == terms.count { terms.append(word) }
      sequence.append(place)
    }
    let synonyms = Synonyms.shipped.alternatives(in: text, analyzer: analyzer)
    return terms.enumerated().map { index, word in
      var alternatives = [QueryTerm.Alternative(text: word.term, factor: 1)]
      var frequency = snapshot.documentFrequency(word.term)
      let isOpen = isPrefix && index == terms.count - 1
      if isOpen {
        for other in completions(of: word) { alternatives.append(.init(text: other, factor: 0.8)) }
      }
      if frequency == 0, alternatives.count == 1,
        let corrected = SpellingCorrection(snapshot: snapshot).correction(of: word.written),
        let term = analyzer.queryWords(corrected).first?.term
      {
        corrections[word.written] = corrected
        alternatives = [.init(text: term, factor: 0.9)]
        frequency = snapshot.documentFrequency(term)
      }
      for other in synonyms[word.term] ?? [] where other != word.term {
        alternatives.append(.init(text: other, factor: 0.6))
      }
      return QueryTerm(
        alternatives: alternatives, idf: snapshot.idf(documentFrequency: max(frequency, 1)))
    }
  }

  /// The terms of up to 20 words that start with the last word, the most frequent first.
  private func completions(of word: Analyzer.Word) -> [String] {
    guard word.written.utf8.count >= 2 else { return [] }
    var found: [String: UInt32] = [:]
    for segment in snapshot.segments {
      for place in segment.words.range(prefix: word.written) {
        found[segment.words.text(place), default: 0] += segment.wordCounts[place]
      }
    }
    let best = found.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(20)
    var terms: [String] = []
    for (candidate, _) in best {
      guard let term = analyzer.queryWords(candidate).first?.term else { continue }
      if term != word.term, !terms.contains(term) { terms.append(term) }
    }
    return terms
  }
}

/// Finds the word of the catalog that a mistyped one was meant to be.
struct SpellingCorrection {
  let snapshot: Snapshot

  private struct Best {
    var word: String
    var edits: Int
    var count: UInt32

    func precedes(_ other: Best) -> Bool {
      (edits, other.count, word) < (other.edits, count, other.word)
    }
  }

  /// The nearest word within the edits that the length allows, of equals the most frequent; nil where there is none.
  ///
  /// - Complexity: The words with the same first letter, and a look-up for each other first letter: about 1 ms.
  func correction(of word: String) -> String? {
    let allowed = Spelling.editsAllowed(word)
    guard allowed > 0, let first = word.first else { return nil }
    let wanted = word.unicodeScalars.map(\.value)
    var best: Best?
    func consider(_ segment: Segment, _ place: Int, _ edits: Int) {
      let candidate = Best(
        word: segment.words.text(place), edits: edits, count: segment.wordCounts[place])
      if best.map(candidate.precedes) ?? true { best = candidate }
    }
    for segment in snapshot.segments {
      for place in segment.words.range(prefix: String(first)) {
        let span = segment.words.span(place)
        // Letters are counted, not bytes; in words of plain letters they are the same.
        let isNear = abs(span.count - wanted.count) <= allowed
        guard isNear || span.contains(where: { $0 >= 0x80 }) else { continue }
        let letters = SpellingCorrection.letters(span)
        if let edits = Spelling.distance(wanted, letters, atMost: allowed) {
          consider(segment, place, edits)
        }
      }
      // A wrong first letter counts two, so nothing else may be wrong.
      guard allowed >= 2 else { continue }
      for variant in SpellingCorrection.otherFirstLetters(word) {
        if let place = segment.words.index(of: variant) { consider(segment, place, 2) }
      }
    }
    return best?.word
  }

  private static func letters(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt32] {
    if bytes.allSatisfy({ $0 < 0x80 }) { return bytes.map { UInt32($0) } }
    return String(decoding: bytes, as: UTF8.self).unicodeScalars.map(\.value)
  }

  /// The word with its first letter missing, doubled by another, replaced, or swapped with the second.
  private static func otherFirstLetters(_ word: String) -> [String] {
    let rest = word.dropFirst()
    var variants = [String(rest)]
    if let second = rest.first, let first = word.first {
      variants.append("\(second)\(first)\(rest.dropFirst())")
    }
    for letter in "abcdefghijklmnopqrstuvwxyz" {
      variants.append("\(letter)\(rest)")
      variants.append("\(letter)\(word)")
    }
    return variants
  }
}
