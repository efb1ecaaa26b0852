import Search
import Testing

// Properties, over seeded worlds (40 of 150 requests: 6,000 cases), each request with words, phrases,
// exclusions, conditions in words, a filter, conditions of a chat, facets and sort keys:
// 1. The set is the services that match the words, less what marks and conditions leave out: the total
//    counts it, and the pages hold each of it once, by offset and by cursor.
// 2. A facet counts that set without the facet's own conditions; the values of a single-valued field,
//    those beyond the limit and the unknown add up to it; a chosen value is shown with 0 too. Figures
//    and ranges of numbers are those of the services.
// 3. The order is by the sort keys, unknown last, id at the end.
// 4. Every hit's offer matches, an explanation adds up to the score, and highlights lie in the texts.
// 5. What is said to be dropped is the least that can be, with what that gives.

@Suite("Exactness: searches")
struct ExactnessSearchTests {
  @Test("an answer is what brute force says", arguments: 8_000..<8_040 as Range<UInt64>)
  func answers(seed: UInt64) async throws {
    let made = try await RandomWorld(seed: seed)
    var requests = RandomRequests(seed: seed, world: made)
    var check = SearchCheck(made)
    var faultCount = 0
    for number in 0..<150 where faultCount < 3 {
      let request = requests.next()
      let faults = try check.faults(of: request)
      if !faults.isEmpty { faultCount += 1 }
      #expect(faults == [], "seed \(seed), request \(number): \(request)")
    }
  }

  @Test("the fewest conditions are dropped", arguments: 9_000..<9_008 as Range<UInt64>)
  func relaxations(seed: UInt64) async throws {
    // 8 worlds of 100 searches that find nothing by their filter: 800 cases.
    let made = try await RandomWorld(seed: seed, counts: [40, 60, 80])
    var requests = RandomRequests(seed: seed, world: made)
    var filters = RandomFilters(seed: seed)
    var check = SearchCheck(made)
    var found = 0
    for number in 0..<2_000 where found < 100 {
      var request = requests.next()
      request.conditions = (0..<(2 + number % 4)).map { _ in filters.leaf() }
      request.query.text = request.query.words
      request.query.phrases = []
      request.query.exclusions = []
      request.query.spoken = []
      let truths = request.conditions.map { made.facts.truth(of: $0) }
      let isEmpty = (0..<made.facts.rowCount).allSatisfy { row in
        truths.contains { $0[row] != true }
      }
      guard isEmpty else { continue }
      found += 1
      let faults = try check.faults(of: request)
      #expect(faults == [], "seed \(seed), request \(number): \(request)")
      if !faults.isEmpty { return }
    }
    #expect(found == 100)
  }
}
