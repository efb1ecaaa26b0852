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
  let word: (Int) -> UnsafeBufferPointer<UInt8>
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

  /// The rows of the distance (insert, delete, replace, swap of neighbours) for the letters read so far, one
  /// behind the other: no look-up allocates.
  private struct Rows {
    private let typed: [UInt8]
    private let bound: Int
    private let width: Int
    private var letters: [UInt8] = []
    private var cells: [Int]

    init(typed: [UInt8], bound: Int) {
      self.typed = typed
      self.bound = bound
      width = typed.count + 1
      cells = [Int](repeating: 0, count: (PrefixSpelling.byteMax + 1) * width)
      for place in 0..<width { cells[place] = place }
      letters.reserveCapacity(PrefixSpelling.byteMax)
    }

    /// - Returns: After how many letters nothing can be in reach any more, and else the distance of the whole
    ///   word and the least of all its starts, where they are within the bound.
    mutating func read(
      _ word: UnsafeBufferPointer<UInt8>
    ) -> (deadEnd: Int?, ofWhole: Int?, ofPrefix: Int?) {
      let count = min(word.count, PrefixSpelling.byteMax)
      var shared = 0
      while shared < letters.count, shared < count, letters[shared] == word[shared] { shared += 1 }
      letters.removeLast(letters.count - shared)
      var best = bound + 1
      for row in 0...shared { best = min(best, cells[row * width + width - 1]) }
      while letters.count < count {
        let least = append(word[letters.count])
        best = min(best, cells[letters.count * width + width - 1])
        if least > bound {
          return best <= bound ? (nil, nil, best) : (letters.count, nil, nil)
        }
      }
      let whole = cells[letters.count * width + width - 1]
      let isWhole = whole <= bound && count == word.count
      return (nil, isWhole ? whole : nil, best <= bound ? best : nil)
    }

    /// Adds the row of one more letter and gives its least cell.
    private mutating func append(_ letter: UInt8) -> Int {
      let row = (letters.count + 1) * width
      let previous = row - width
      cells[row] = cells[previous] + 1
      var least = cells[row]
      for place in 0..<typed.count {
        var cost = min(
          cells[previous + place] + (typed[place] == letter ? 0 : 1),
          cells[previous + place + 1] + 1, cells[row + place] + 1)
        if place > 0, let last = letters.last, typed[place] == last, typed[place - 1] == letter {
          cost = min(cost, cells[previous - width + place - 1] + 1)
        }
        cells[row + place + 1] = cost
        least = min(least, cost)
      }
      letters.append(letter)
      return least
    }
  }
}
