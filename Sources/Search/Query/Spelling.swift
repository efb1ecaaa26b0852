/// Distances between words, for corrections.
package enum Spelling {
  /// How many edits a word may be away: none in short words, numbers and versions, one from 4 letters, two from 8.
  package static func editsAllowed(_ word: String) -> Int {
    let letters = word.unicodeScalars
    if letters.contains(where: { $0.properties.numericType != nil }) { return 0 }
    return letters.count >= 8 ? 2 : letters.count >= 4 ? 1 : 0
  }

  /// The edits between two words (insert, delete, replace, swap of neighbours), or nil above the bound.
  /// A wrong first letter counts two.
  package static func distance<Letter: Equatable>(
    _ left: [Letter], _ right: [Letter], atMost bound: Int
  ) -> Int? {
    guard abs(left.count - right.count) <= bound else { return nil }
    let penalty = left.first == right.first ? 0 : 1
    var beforePrevious = [Int](repeating: 0, count: right.count + 1)
    var previous = Array(0...right.count)
    var current = previous
    for i in left.indices {
      current[0] = i + 1
      var least = current[0]
      for j in right.indices {
        var cost = min(
          previous[j] + (left[i] == right[j] ? 0 : 1), previous[j + 1] + 1, current[j] + 1)
        if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
          cost = min(cost, beforePrevious[j - 1] + 1)
        }
        current[j + 1] = cost
        least = min(least, cost)
      }
      if least > bound { return nil }
      (beforePrevious, previous, current) = (previous, current, beforePrevious)
    }
    let total = previous[right.count] + penalty
    return total <= bound ? total : nil
  }

  /// The nearest of some names, at most three edits away, or nil.
  package static func nearest(to name: String, in names: [String]) -> String? {
    let wanted = Array(name.lowercased().utf8.prefix(64))
    return names.compactMap { candidate in
      distance(wanted, Array(candidate.lowercased().utf8), atMost: 3).map { (candidate, $0) }
    }.min { $0.1 < $1.1 }?.0
  }
}
