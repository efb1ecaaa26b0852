/// One look at the tables for one text that is typed.
struct SuggestionLook {
  let tables: [SuggestionTables]
  let snapshot: Snapshot
  let limit: Int

  // MARK: Services

  /// A service that fits, with what orders it.
  private struct Found {
    let match: Suggestions.Service.Match
    let length: Int32
    let table: Int
    let index: Int

    /// By how it was found, then the shorter name.
    var rank: (Int, Int32) { (match.rawValue, length) }
  }

  /// Services whose name, or a word of it, starts with the text.
  func services(_ folded: [UInt8], isCorrected: Bool) -> [Suggestions.Service] {
    var best: [Found] = []
    // "gpt 4o m" is also looked for as "gpt4om", at the start of names written together.
    let squeezed = folded.filter { $0 != 0x20 }
    for (number, table) in tables.enumerated() {
      for text in squeezed.count == folded.count ? [folded] : [folded, squeezed] {
        var budget = Suggester.matchMax
        table.names.forEachMatch(text) { match in
          budget -= 1
          guard snapshot.live[number][match.text], match.isStart || text.count == folded.count
          else { return budget > 0 }
          let kind: Suggestions.Service.Match =
            isCorrected ? .typo : match.isWhole ? .name : match.isStart ? .start : .word
          let length = table.nameLengths[match.text]
          insert(Found(match: kind, length: length, table: number, index: match.text), into: &best)
          return budget > 0
        }
      }
    }
    return best.map { found in
      let segment = tables[found.table].segment
      let row = segment.rows(of: found.index).first ?? 0
      return Suggestions.Service(
        id: segment.id(found.index), name: segment.name(found.index),
        provider: segment.column("provider")?.words(row).first, match: found.match)
    }
  }

  /// Keeps the best few in order; a service that is found twice stays once, at its better place.
  private func insert(_ found: Found, into best: inout [Found]) {
    if let worst = best.last, best.count == limit, worst.rank < found.rank { return }
    if let place = best.firstIndex(where: { $0.table == found.table && $0.index == found.index }) {
      guard found.rank < best[place].rank else { return }
      best.remove(at: place)
    }
    let place = best.firstIndex { precedes(found, $0) } ?? best.count
    best.insert(found, at: place)
    if best.count > limit { best.removeLast() }
  }

  private func precedes(_ left: Found, _ right: Found) -> Bool {
    if left.rank != right.rank { return left.rank < right.rank }
    return tables[left.table].segment.id(left.index)
      < tables[right.table].segment.id(right.index)
  }

  // MARK: Facet values

  /// A value with what orders it.
  struct FoundValue {
    var word: String
    let field: Int32
    let isStart: Bool
    /// Where it stands in each table.
    var parts: [(table: Int, value: SuggestionTables.Value)]
    var count: Int { parts.reduce(0) { $0 + Int($1.value.count) } }
  }

  /// Values with a word that starts with the text, those of most services first.
  func values(_ found: [FoundValue]) -> [Suggestions.Value] {
    // A few more than asked for: their counts fall by what was replaced since the segment was made.
    let candidates = found.prefix(limit + 4)
    let counted = candidates.map { found -> (FoundValue, Int) in
      let count = found.parts.reduce(0) { sum, part in
        sum + tables[part.table].liveCount(of: part.value, live: snapshot.live[part.table])
      }
      return (found, count)
    }
    let shown = counted.filter { $0.1 > 0 }.sorted { left, right in
      if left.0.isStart != right.0.isStart { return left.0.isStart }
      if left.1 != right.1 { return left.1 > right.1 }
      return (left.0.field, left.0.word) < (right.0.field, right.0.word)
    }
    return shown.prefix(limit).map { found, count in
      let field = SuggestionTables.fields[Int(found.field)].name
      let filter = FilterExpression.compare(field: field, .equal, .word(found.word))
      return Suggestions.Value(
        field: field, value: found.word, count: count, filter: filter.canonical)
    }
  }

  func foundValues(_ folded: [UInt8]) -> [FoundValue] {
    var byKey: [String: FoundValue] = [:]
    for (number, table) in tables.enumerated() {
      for head in commonest(folded, in: table) {
        let value = table.entries[head.place]
        let word = table.word(of: value)
        let key = "\(value.field) \(word.lowercased())"
        if byKey[key]?.parts.contains(where: { $0.table == number }) == true { continue }
        byKey[
          key, default: FoundValue(word: word, field: value.field, isStart: head.isStart, parts: [])
        ].parts.append((number, value))
      }
    }
    return byKey.values.sorted { left, right in
      if left.isStart != right.isStart { return left.isStart }
      if left.count != right.count { return left.count > right.count }
      return (left.field, left.word) < (right.field, right.word)
    }
  }

  /// A place in a table's values.
  private struct Head {
    let place: Int
    let isStart: Bool
    let count: Int32

    func precedes(_ other: Head) -> Bool {
      if isStart != other.isStart { return isStart }
      return count == other.count ? place < other.place : count > other.count
    }
  }

  /// The values of one table that fit and that most services have: only they need a look at their words.
  private func commonest(_ folded: [UInt8], in table: SuggestionTables) -> [Head] {
    let countMax = limit * 6
    var heads: [Head] = []
    var budget = Suggester.matchMax
    table.values.forEachMatch(folded) { match in
      budget -= 1
      let head = Head(
        place: match.text, isStart: match.isStart, count: table.entries[match.text].count)
      if heads.count == countMax, let last = heads.last, !head.precedes(last) {
        return budget > 0
      }
      // A value of two words that both fit comes twice; the better one stays.
      if let same = heads.firstIndex(where: { $0.place == head.place }) {
        guard head.precedes(heads[same]) else { return budget > 0 }
        heads.remove(at: same)
      }
      heads.insert(head, at: heads.firstIndex { head.precedes($0) } ?? heads.count)
      if heads.count > countMax { heads.removeLast() }
      return budget > 0
    }
    return heads
  }

  // MARK: Queries

  /// Phrases that start with the text, then the text with its last word completed.
  func queries(
    _ folded: [UInt8], _ found: [FoundValue], isWordDone: Bool
  ) -> [Suggestions.Query] {
    let typed = String(decoding: folded, as: UTF8.self)
    var output: [Suggestions.Query] = []
    func add(_ text: String, _ kind: Suggestions.Query.Kind) {
      guard output.count < limit, text != typed, !output.contains(where: { $0.text == text })
      else { return }
      output.append(.init(text: text, kind: kind))
    }
    for phrase in phrases(folded, found) { add(phrase, .phrase) }
    guard !isWordDone else { return output }
    let (head, last) = SuggestionLook.split(folded)
    guard last.count >= 2 else { return output }
    for word in completions(of: last, limit: head.isEmpty ? limit : 5) {
      add(head.isEmpty ? word : String(decoding: head, as: UTF8.self) + " " + word, .word)
    }
    return output
  }

  /// Categories, tags and phrases of the lexicon that start with the text; those of most services first.
  private func phrases(_ folded: [UInt8], _ found: [FoundValue]) -> [String] {
    var counts: [String: Int] = [:]
    let fields = Set(
      SuggestionTables.fields.indices.filter {
        ["categories", "tags"].contains(SuggestionTables.fields[$0].name)
      })
    for value in found where value.isStart && fields.contains(Int(value.field)) {
      let text = String(decoding: PrefixTable.fold(value.word), as: UTF8.self)
      counts[text, default: 0] += value.count
    }
    KnownPhrases.table.forEachMatch(folded) { match in
      if match.isStart {
        let text = String(decoding: PrefixTable.fold(KnownPhrases.all[match.text]), as: UTF8.self)
        counts[text, default: 0] += 1
      }
      return true
    }
    return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(limit).map(\.key)
  }

  private static func split(_ folded: [UInt8]) -> (head: [UInt8], last: [UInt8]) {
    guard let space = folded.lastIndex(of: 0x20) else { return ([], folded) }
    return (Array(folded[..<space]), Array(folded[(space + 1)...]))
  }
}
