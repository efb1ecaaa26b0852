/// The words of the catalog: completions of the last one, corrections of each.
extension SuggestionLook {
  /// The commonest words that start with some letters, the letters themselves left out.
  func completions(of start: [UInt8], limit: Int) -> [String] {
    var counts: [String: Int] = [:]
    for table in tables {
      let words = table.words
      var place = SuggestionLook.firstPlace(atLeast: start, in: words)
      var budget = Suggester.wordMax
      while place < words.count, budget > 0 {
        let word = words.span(place)
        guard word.starts(with: start) else { break }
        if word.count > start.count {
          counts[words.text(place), default: 0] += table.frequency(ofWordAt: place)
        }
        place += 1
        budget -= 1
      }
    }
    return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(limit).map(\.key)
  }

  /// Up to three texts that the typed one may mean; none where every word of it is one of the catalog's.
  func corrections(of folded: [UInt8]) -> [String] {
    let typed = folded.split(separator: 0x20).map(Array.init)
    var heads: [String] = []
    var isChanged = false
    for word in typed.dropLast() {
      if isKnown(word, isPrefix: false) {
        heads.append(String(decoding: word, as: UTF8.self))
      } else {
        guard let better = nearest(word, isPrefix: false).first else { return [] }
        heads.append(better)
        isChanged = true
      }
    }
    guard let last = typed.last else { return [] }
    var tails = [String(decoding: last, as: UTF8.self)]
    // A rare word that nothing is called by may be a typo itself: then only a much commoner one is meant.
    let better = nearest(
      last, isPrefix: true, countMin: 10 * count(ofWordsWithStart: last) + 1)
    if !better.isEmpty || !isKnown(last, isPrefix: true) {
      tails = Array(better.prefix(3))
      isChanged = true
    }
    return isChanged ? tails.map { (heads + [$0]).joined(separator: " ") } : []
  }

  /// How many services have words with a start: of its first hundred words, which is enough to call it common.
  private func count(ofWordsWithStart start: [UInt8]) -> Int {
    tables.reduce(0) { sum, table in
      let words = table.words
      let first = SuggestionLook.firstPlace(atLeast: start, in: words)
      let places = (first..<words.count).prefix(100).prefix { words.span($0).starts(with: start) }
      return sum + places.reduce(0) { $0 + table.frequency(ofWordAt: $1) }
    }
  }

  private func isKnown(_ word: [UInt8], isPrefix: Bool) -> Bool {
    tables.contains { table in
      let words = table.words
      let place = SuggestionLook.firstPlace(atLeast: word, in: words)
      guard place < words.count else { return false }
      let found = words.span(place)
      return isPrefix ? found.starts(with: word) : found.elementsEqual(word)
    }
  }

  /// Words within the edits that the length allows: the fewest edits first, then the commonest.
  private func nearest(_ typed: [UInt8], isPrefix: Bool, countMin: Int = 1) -> [String] {
    let allowed = Spelling.editsAllowed(String(decoding: typed, as: UTF8.self))
    guard allowed > 0 else { return [] }
    var found: [String: (edits: Int, count: Int)] = [:]
    for table in tables {
      let words = table.words
      let spelling = PrefixSpelling(
        count: words.count, word: { words.span($0) },
        firstIndex: { SuggestionLook.firstPlace(atLeast: $0, in: words) })
      for candidate in spelling.candidates(for: typed, edits: allowed, isPrefix: isPrefix) {
        let word = words.text(candidate.place)
        let known = found[word]
        found[word] = (
          min(known?.edits ?? .max, candidate.edits),
          (known?.count ?? 0) + table.frequency(ofWordAt: candidate.place)
        )
      }
    }
    return found.filter { $0.value.edits > 0 && $0.value.count >= countMin }.sorted {
      ($0.value.edits, -$0.value.count, $0.key) < ($1.value.edits, -$1.value.count, $1.key)
    }.map(\.key)
  }

  /// The first word that is not below some bytes, which need not be whole characters.
  private static func firstPlace(atLeast key: [UInt8], in words: TextTable) -> Int {
    key.withUnsafeBufferPointer { words.firstIndex(atLeast: $0) }
  }
}
