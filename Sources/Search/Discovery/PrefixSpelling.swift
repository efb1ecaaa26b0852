/// Corrections of a word that is still being typed, over a sorted list of words.
///
/// The rows of the edit distance are kept by letter, so that words with a common start share them, and a start
/// that is already too far away is jumped over as a whole. The first letter is taken as right: a wrong one
/// would count two, and would mean reading the whole list at each keystroke.
struct PrefixSpelling {
  /// The most words that one look-up reads.
  static let wordMax = 4_000
  /// The most bytes of a word that are looked at.
  static let byteMax = 40

  /// A word within reach.
  struct Candidate: Equatable {
    let place: Int
    let edits: Int
  }

  /// The sorted words: how many, one of them, and the first that is not below a key.
  let count: Int
  let word: (Int) -> [UInt8]
  let firstIndex: (_ atLeast: [UInt8]) -> Int

  /// The words that a typed one may mean, in their order.
  ///
  /// - Parameters:
  ///   - typed: Folded bytes.
  ///   - edits: How many edits are allowed, 1 or 2.
  ///   - isPrefix: Whether the start of a word is enough.
  func candidates(for typed: [UInt8], edits: Int, isPrefix: Bool) -> [Candidate] {
    guard let first = typed.first, edits > 0, typed.count <= PrefixSpelling.byteMax else {
      return []
    }
    var found: [Candidate] = []
    var rows = Rows(typed: typed, bound: edits)
    var place = firstIndex([first])
    var budget = PrefixSpelling.wordMax
    while place < count, budget > 0 {
      budget -= 1
      let letters = word(place)
      guard letters.first == first else { break }
      let reach = rows.read(letters)
      if let tooFar = reach.deadEnd {
        // Every word with this start is out of reach: go to the first one behind it.
        place = max(place + 1, behind(Array(letters.prefix(tooFar))))
        continue
      }
      let distance = isPrefix ? reach.ofPrefix : reach.ofWhole
      if let distance { found.append(Candidate(place: place, edits: distance)) }
      place += 1
    }
    return found
  }

  /// The place of the first word that does not start with a prefix and comes after those that do.
  private func behind(_ prefix: [UInt8]) -> Int {
    var next = prefix
    while let last = next.popLast() {
      if last < 255 {
        next.append(last + 1)
        return firstIndex(next)
      }
    }
    return count
  }

  /// The rows of the distance (insert, delete, replace, swap of neighbours) for the letters read so far.
  private struct Rows {
    let typed: [UInt8]
    let bound: Int
    private var letters: [UInt8] = []
    private var rows: [[Int]]

    init(typed: [UInt8], bound: Int) {
      self.typed = typed
      self.bound = bound
      rows = [Array(0...typed.count)]
    }

    /// - Returns: After how many letters nothing can be in reach any more, and else the distance of the whole
    ///   word and the least of all its starts, where they are within the bound.
    mutating func read(_ word: [UInt8]) -> (deadEnd: Int?, ofWhole: Int?, ofPrefix: Int?) {
      let shared = zip(letters, word).prefix { $0 == $1 }.count
      letters.removeLast(letters.count - shared)
      rows.removeLast(rows.count - shared - 1)
      var best = rows.map { $0[typed.count] }.min() ?? bound + 1
      // Letters beyond the typed ones and the bound change no start that could be nearer.
      for letter in word.prefix(PrefixSpelling.byteMax).dropFirst(shared) {
        let row = next(letter)
        letters.append(letter)
        rows.append(row)
        best = min(best, row[typed.count])
        if row.min() ?? 0 > bound {
          return best <= bound ? (nil, nil, best) : (letters.count, nil, nil)
        }
      }
      let whole = rows[rows.count - 1][typed.count]
      let isWhole = whole <= bound && letters.count == word.count
      return (nil, isWhole ? whole : nil, best <= bound ? best : nil)
    }

    private func next(_ letter: UInt8) -> [Int] {
      let previous = rows[rows.count - 1]
      var row = previous
      row[0] = previous[0] + 1
      for place in typed.indices {
        var cost = min(
          previous[place] + (typed[place] == letter ? 0 : 1), previous[place + 1] + 1,
          row[place] + 1)
        if rows.count > 1, place > 0, typed[place] == letters[letters.count - 1],
          typed[place - 1] == letter
        {
          cost = min(cost, rows[rows.count - 2][place - 1] + 1)
        }
        row[place + 1] = cost
      }
      return row
    }
  }
}
