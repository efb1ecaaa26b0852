import Catalog
import Primitives
import Search
import Testing

@Suite("Measures of a ranking")
struct MeasureTests {
  @Test("nDCG of the first ten, by hand")
  func ndcg() {
    let grades = ["a": 2, "b": 0, "c": 1, "d": 1]
    // Gains 3, 0, 1 at discounts 1, log2 3, 2: 3.5. Ideal 3 + 1 / log2 3 + 1 / 2 = 4.13093.
    #expect(abs(Measures.ndcg10(["a", "b", "c"], grades) - 0.847_266_888_761) < 1e-9)
    #expect(abs(Measures.ndcg10(["a", "c", "d", "b"], grades) - 1) < 1e-12)
    #expect(abs(Measures.ndcg10(["a", "d", "c"], grades) - 1) < 1e-12)
    // One relevant service at rank 2: 1 / log2 3.
    #expect(abs(Measures.ndcg10(["x", "a"], ["a": 1]) - 0.630_929_753_571) < 1e-9)
    #expect(Measures.ndcg10(["b", "x"], grades) == 0)
    #expect(Measures.ndcg10([], grades) == 0)
    #expect(Measures.ndcg10(["a"], [:]) == 0)
    #expect(Measures.ndcg10(["a"], ["a": 0]) == 0)
  }

  @Test("only the first ten count, and twelve relevant ones fill them")
  func ten() {
    let ids = (0..<12).map { "s\($0)" }
    let grades = Dictionary(ids.map { ($0, 1) }, uniquingKeysWith: { one, _ in one })
    #expect(abs(Measures.ndcg10(ids, grades) - 1) < 1e-12)
    let late = (0..<10).map { "x\($0)" } + ids
    #expect(Measures.ndcg10(late, grades) == 0)
    #expect(Measures.precision10(late, grades) == 0)
    #expect(Measures.precision10(ids, grades) == 1)
  }

  @Test("recall, precision and reciprocal rank, by hand")
  func others() {
    let grades = ["a": 2, "b": 0, "c": 1, "d": 1]
    let ranking = ["b", "a", "x", "c"]
    #expect(abs(Measures.recall(ranking, grades, at: 2) - 1.0 / 3) < 1e-12)
    #expect(abs(Measures.recall(ranking, grades, at: 4) - 2.0 / 3) < 1e-12)
    #expect(abs(Measures.recall(ranking, grades, at: 50) - 2.0 / 3) < 1e-12)
    #expect(Measures.recall(ranking, ["b": 0], at: 10) == 0)
    #expect(abs(Measures.precision10(ranking, grades) - 0.5) < 1e-12)
    #expect(Measures.precision10([], grades) == 0)
    #expect(abs(Measures.reciprocalRank(ranking, grades) - 0.5) < 1e-12)
    #expect(abs(Measures.reciprocalRank(["x", "y", "d"], grades) - 1.0 / 3) < 1e-12)
    #expect(Measures.reciprocalRank(["x", "b"], grades) == 0)
  }

  @Test("an interval lies around the mean, and is the same each time")
  func interval() {
    let values = (0..<50).map { Double($0 % 5) / 4 }
    let first = Measures.interval(values)
    let second = Measures.interval(values)
    #expect(first.low == second.low)
    #expect(first.high == second.high)
    let mean = values.reduce(0, +) / 50
    #expect(first.low < mean)
    #expect(first.high > mean)
    // The standard error of this mean is 0.05: the interval is about four of them wide.
    #expect(abs(first.high - first.low - 0.196) < 0.04)
    let constant = Measures.interval([Double](repeating: 0.5, count: 9))
    #expect(constant.low == 0.5)
    #expect(constant.high == 0.5)
    #expect(Measures.interval([]).low == 0)
    #expect(Measures.interval([0.25]).high == 0.25)
  }

  @Test("an evaluation without a model ranks by text and counts its figures")
  func evaluation() throws {
    let evaluation = try Evaluation(
      services: try Shop.listings(), encoder: nil, at: Moment.first)
    let ranking = try evaluation.ranking("calendar", semantic: nil)
    #expect(ranking == ["calendar-sync"])
    let needs = [
      Evaluation.Need(id: "1", query: "calendar", queryClass: "keywords"),
      Evaluation.Need(id: "2", query: "zzzzzz", queryClass: "sentence"),
      Evaluation.Need(id: "3", query: "not judged", queryClass: "sentence"),
    ]
    let judgements = ["1": ["calendar-sync": 2], "2": ["weather-now": 1]]
    let figures = try evaluation.figures(needs, judgements)
    #expect(figures.map(\.leg) == ["text", "vectors", "fused"])
    let byClass: [String: Double] = ["keywords": 1, "sentence": 0]
    for leg in figures {
      #expect(abs(leg.ndcg10 - 0.5) < 1e-12)
      #expect(abs(leg.recall10 - 0.5) < 1e-12)
      #expect(abs(leg.reciprocalRank - 0.5) < 1e-12)
      #expect(abs(leg.zeroHitRate - 0.5) < 1e-12)
      #expect(leg.byClass == byClass)
    }
  }
}

@Suite("Distances between words")
struct SpellingTests {
  @Test(
    "no edit in short words, numbers and versions, one from 4 letters, two from 8",
    arguments: [
      ("", 0), ("abc", 0), ("abcd", 1), ("abcdefg", 1), ("abcdefgh", 2), ("abcdefghijkl", 2),
      ("gpt4", 0), ("v2beta1release", 0), ("2024", 0), ("größer", 1), ("x²abcdef", 0),
    ])
  func allowed(word: String, edits: Int) {
    #expect(Spelling.editsAllowed(word) == edits)
  }

  @Test(
    "edits are inserted, left out, replaced or swapped letters; a wrong first letter counts two",
    arguments: [
      ("weather", "weather", 0), ("weather", "wether", 1), ("weather", "weatherr", 1),
      ("weather", "weahter", 1), ("weather", "weathar", 1), ("weather", "beather", 2),
      ("weather", "eather", 2), ("weather", "ewather", 2), ("weather", "wthr", 3), ("", "", 0),
      ("ab", "ba", 2), ("", "a", 2),
    ] as [(String, String, Int)])
  func distance(row: (String, String, Int)) {
    let (left, right, expected) = row
    for bound in 0...4 {
      let found = Spelling.distance(Array(left.utf8), Array(right.utf8), atMost: bound)
      let wanted = expected <= bound ? expected : nil
      #expect(found == wanted)
    }
  }

  @Test("a distance is that of the plain recurrence", arguments: 0..<10 as Range<UInt64>)
  func reference(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<200 {
      let left = (0..<random.below(8)).map { _ in UInt8(97 + random.below(3)) }
      let right = (0..<random.below(8)).map { _ in UInt8(97 + random.below(3)) }
      let whole = plainDistance(left, right)
      for bound in 0...3 {
        let found = Spelling.distance(left, right, atMost: bound)
        let wanted = whole <= bound ? whole : nil
        #expect(found == wanted, "\(left) \(right) \(bound)")
      }
    }
  }

  /// Optimal string alignment over the full table, and one more for a wrong first letter.
  private func plainDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var table = [[Int]](
      repeating: [Int](repeating: 0, count: right.count + 1), count: left.count + 1)
    for i in 0...left.count {
      for j in 0...right.count {
        guard i > 0, j > 0 else {
          table[i][j] = i + j
          continue
        }
        let replaced = table[i - 1][j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1)
        var least = min(replaced, table[i - 1][j] + 1, table[i][j - 1] + 1)
        if i > 1, j > 1, left[i - 1] == right[j - 2], left[i - 2] == right[j - 1] {
          least = min(least, table[i - 2][j - 2] + 1)
        }
        table[i][j] = least
      }
    }
    return table[left.count][right.count] + (left.first == right.first ? 0 : 1)
  }

  @Test("the nearest name is at most three edits away")
  func nearest() {
    let names = ["price", "inputPrice", "rating", "regions"]
    #expect(Spelling.nearest(to: "prize", in: names) == "price")
    #expect(Spelling.nearest(to: "INPUTPRICE", in: names) == "inputPrice")
    #expect(Spelling.nearest(to: "something", in: names) == nil)
    #expect(Spelling.nearest(to: "rating", in: []) == nil)
    let long = String(repeating: "x", count: 100_000)
    #expect(Spelling.nearest(to: long, in: names) == nil)
  }
}

@Suite("Sets of bits")
struct BitsetTests {
  @Test("a set is what a plain set is", arguments: [0, 1, 63, 64, 65, 127, 128, 130, 1_000])
  func reference(count: Int) {
    var random = SplitMix64(seed: UInt64(count))
    var one = Bitset(count: count)
    var other = Bitset(count: count)
    var plain: Set<Int> = []
    var otherPlain: Set<Int> = []
    if count > 0 {
      for _ in 0..<(2 * count) {
        let index = random.below(count)
        one.insert(index)
        plain.insert(index)
        let second = random.below(count)
        let isIn = random.chance(50)
        other[second] = isIn
        if isIn { otherPlain.insert(second) } else { otherPlain.remove(second) }
      }
    }
    #expect(members(one) == plain.sorted())
    #expect(members(other) == otherPlain.sorted())
    #expect(one.population == plain.count)
    let isSame = (0..<count).allSatisfy { other[$0] == otherPlain.contains($0) }
    #expect(isSame)
    #expect(members(one.union(other)) == plain.union(otherPlain).sorted())
    #expect(members(one.intersection(other)) == plain.intersection(otherPlain).sorted())
    var less = one
    less.subtract(other)
    #expect(members(less) == plain.subtracting(otherPlain).sorted())
    #expect(less.union(one.intersection(other)) == one)
  }

  @Test("a full set has every number and no other", arguments: [0, 1, 63, 64, 65, 128, 200])
  func filled(count: Int) {
    let full = Bitset(count: count, filled: true)
    #expect(full.population == count)
    #expect(members(full) == Array(0..<count))
    var empty = full
    empty.subtract(full)
    #expect(empty == Bitset(count: count))
  }

  private func members(_ set: Bitset) -> [Int] {
    var members: [Int] = []
    set.forEach { members.append($0) }
    return members
  }
}
