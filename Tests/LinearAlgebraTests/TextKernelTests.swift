import LinearAlgebra
import Primitives
import Testing

@Suite("ranked text equals a plain loop")
struct TextKernelTests {
  /// Postings that own their memory.
  struct List {
    var documents: [UInt32] = []
    var impacts: [Float] = []
    var weight: Float
    var term: UInt32
  }

  struct Case: CustomStringConvertible, Sendable {
    let documentCount: Int
    let listCount: Int
    let density: Double
    let floor: Int
    let shareLeast: Float
    var description: String {
      "\(documentCount) documents, \(listCount) lists, density \(density), floor \(floor)"
    }
  }

  static let cases: [Case] = [0, 1, 63, 64, 65, 1000, 8191, 8192, 8193, 20_001].flatMap { count in
    [
      Case(documentCount: count, listCount: 1, density: 0.3, floor: 0, shareLeast: 1),
      Case(documentCount: count, listCount: 3, density: 0.2, floor: 10, shareLeast: 2),
      Case(documentCount: count, listCount: 7, density: 0.1, floor: 200, shareLeast: 3),
      Case(documentCount: count, listCount: 4, density: 0.001, floor: 3, shareLeast: 2),
      Case(documentCount: count, listCount: 5, density: 0.3, floor: 1024, shareLeast: 99),
    ]
  }

  private func lists(_ one: Case, _ random: inout SplitMix64) -> [List] {
    (0..<one.listCount).map { number in
      // Every third list is another form of the term before it. Few values, so that scores tie.
      var list = List(
        weight: Float(1 + number % 3), term: UInt32(number % 3 == 2 ? number - 1 : number))
      for document in 0..<one.documentCount
      where Double.random(in: 0..<1, using: &random) < one.density {
        list.documents.append(UInt32(document))
        list.impacts.append(Float(Int.random(in: 1...4, using: &random)) / 4)
      }
      return list
    }
  }

  private func expected(_ lists: [List], _ one: Case, mask: [UInt64]?) -> TextKernel.Matches {
    var scores = [Float](repeating: 0, count: one.documentCount)
    var shares = scores
    for term in Set(lists.map(\.term)).sorted() {
      var best: [UInt32: Float] = [:]
      for list in lists where list.term == term {
        for (document, impact) in zip(list.documents, list.impacts) {
          best[document] = max(best[document] ?? 0, list.weight * impact)
        }
      }
      for (document, gain) in best {
        scores[Int(document)] += gain
        shares[Int(document)] += 1
      }
    }
    let scored = scores.indices.filter { index in
      scores[index] > 0 && (mask.map { $0[index / 64] >> UInt64(index % 64) & 1 == 1 } ?? true)
    }
    let leaders = scored.sorted { (-scores[$0], $0) < (-scores[$1], $1) }.prefix(one.floor)
    let belonging = Set(leaders).union(scored.filter { shares[$0] >= one.shareLeast }).sorted()
    return TextKernel.Matches(
      documents: belonging.map { UInt32($0) }, scores: belonging.map { scores[$0] },
      shares: belonging.map { shares[$0] })
  }

  private func found(
    _ lists: [List], _ one: Case, mask: [UInt64]?, kernel: TextKernel
  ) -> TextKernel.Matches {
    // The kernel borrows the postings: one buffer of each kind lends them all.
    let documents = lists.flatMap(\.documents)
    let impacts = lists.flatMap(\.impacts)
    return documents.withUnsafeBufferPointer { documents in
      impacts.withUnsafeBufferPointer { impacts in
        var start = 0
        var borrowed: [PostingList] = []
        for list in lists {
          if let documents = documents.baseAddress, let impacts = impacts.baseAddress {
            borrowed.append(
              PostingList(
                documents: documents + start, impacts: impacts + start,
                count: list.documents.count, weight: list.weight, share: 1, term: list.term))
          }
          start += list.documents.count
        }
        return kernel.matches(
          borrowed, documentCount: one.documentCount, allowed: mask, shareLeast: one.shareLeast,
          floor: one.floor)
      }
    }
  }

  @Test("the same documents, scores and shares at every level", arguments: cases)
  func matches(one: Case) {
    defer { SearchKernels.limit(.avx512) }
    var random = SplitMix64(seed: UInt64(one.documentCount * 10 + one.listCount))
    let kernel = TextKernel()
    let lists = lists(one, &random)
    let mask = (0..<(one.documentCount + 63) / 64).map { _ in random.next() | random.next() }
    for mask in [nil, mask] {
      let expected = expected(lists, one, mask: mask)
      for level in SearchKernels.Level.allCases {
        SearchKernels.limit(level)
        // Twice with one kernel: the first call must leave nothing behind.
        #expect(found(lists, one, mask: mask, kernel: kernel) == expected, "\(level)")
        #expect(found(lists, one, mask: mask, kernel: kernel) == expected, "\(level) again")
      }
    }
  }

  @Test("among equal scores the lower documents belong")
  func ties() {
    let list = List(
      documents: Array(0..<5000), impacts: [Float](repeating: 1, count: 5000), weight: 1, term: 0)
    let one = Case(documentCount: 5000, listCount: 1, density: 1, floor: 7, shareLeast: 2)
    let found = found([list], one, mask: nil, kernel: TextKernel())
    #expect(found.documents == [0, 1, 2, 3, 4, 5, 6])
  }

  @Test("a floor above the limit is our bug, not an answer")
  func floorLimit() async {
    await #expect(processExitsWith: .failure) {
      _ = TextKernel().matches(
        [], documentCount: 1, allowed: nil, shareLeast: 0, floor: TextKernel.floorMax + 1)
    }
  }
}
