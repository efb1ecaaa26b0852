/// Finds values of a facet by what is typed: the start of any word, or within the edits of a typo.
package enum FacetSearch {
  /// How well a value fits; less is better.
  package enum Fit: Int, Comparable, Sendable {
    case whole, start, word, typo
    package static func < (left: Fit, right: Fit) -> Bool { left.rawValue < right.rawValue }
  }

  /// The entries that fit, best first: by fit, then by count, then by value. All where nothing is typed.
  ///
  /// - Complexity: The length of all values; typos are looked for only where nothing fits without one.
  package static func matches(
    _ entries: [FacetCounts.Entry], typed: String
  ) -> [FacetCounts.Entry] {
    let wanted = PrefixTable.fold(typed)
    guard !wanted.isEmpty else { return entries.sorted(by: precedes) }
    var found = entries.compactMap { entry in fit(entry.value, wanted).map { (entry, $0) } }
    if found.isEmpty {
      found = entries.filter { isNear($0.value, wanted) }.map { ($0, .typo) }
    }
    return found.sorted { a, b in a.1 == b.1 ? precedes(a.0, b.0) : a.1 < b.1 }.map(\.0)
  }

  static func fit(_ value: String, _ wanted: [UInt8]) -> Fit? {
    let folded = PrefixTable.fold(value)
    if folded == wanted { return .whole }
    if folded.starts(with: wanted) { return .start }
    // A value that is written together is found by its parts' words, and one in parts by what is together.
    for (index, byte) in folded.enumerated() where byte == 0x20 {
      if folded[(index + 1)...].starts(with: wanted) { return .word }
    }
    return folded.filter { $0 != 0x20 }.starts(with: wanted) ? .word : nil
  }

  /// Whether every typed word is the start of a word of the value, but for typos.
  static func isNear(_ value: String, _ wanted: [UInt8]) -> Bool {
    let words = PrefixTable.fold(value).split(separator: 0x20)
    return wanted.split(separator: 0x20).allSatisfy { typed in
      let allowed = Spelling.editsAllowed(String(decoding: typed, as: UTF8.self))
      return words.contains { word in
        if word.starts(with: typed) { return true }
        guard allowed > 0 else { return false }
        // A start may be longer or shorter than what was typed by as much as was inserted or left out.
        return (max(1, typed.count - allowed)...(typed.count + allowed)).contains { length in
          length <= word.count
            && Spelling.distance(Array(typed), Array(word.prefix(length)), atMost: allowed) != nil
        }
      }
    }
  }

  private static func precedes(_ left: FacetCounts.Entry, _ right: FacetCounts.Entry) -> Bool {
    (right.count, left.value) < (left.count, right.value)
  }
}
