import Primitives
import Search
import Testing

// Properties, over seeded worlds (20 of 150 filters: 3,000 cases):
// 1. A filter finds what brute force finds: the same services, counted and listed.
// 2. The canonical text reads back as the same expression, and finds the same.
// 3. Of a condition and its opposite at most one is true for a row; the rest is unknown: a service
//    of one row is found by the filter, by its opposite, or by neither.

@Suite("Exactness: filters")
struct ExactnessFilterTests {
  @Test("a filter finds what brute force finds", arguments: 7_000..<7_020 as Range<UInt64>)
  func filters(seed: UInt64) async throws {
    let made = try await RandomWorld(seed: seed)
    var filters = RandomFilters(seed: seed)
    var faultCount = 0
    for number in 0..<150 where faultCount < 3 {
      let condition = filters.condition(levels: 1 + number % 5)
      let faults = try faults(of: condition, in: made)
      if !faults.isEmpty { faultCount += 1 }
      #expect(faults == [], "seed \(seed), filter \(number): \(condition.text)")
    }
  }

  private func faults(of condition: Condition, in made: RandomWorld) throws -> [String] {
    let text = condition.text
    guard let expression = try FilterParser.parse(text) else { return ["read as no filter"] }
    var faults: [String] = []
    let canonical = expression.canonical
    let again = try FilterParser.parse(canonical)
    if again != expression { faults.append("canonical is another expression: \(canonical)") }
    if again?.canonical != canonical { faults.append("canonical is not its own: \(canonical)") }
    if expression.fields != condition.fields { faults.append("names \(expression.fields)") }

    let truth = made.facts.truth(of: condition)
    let expected = made.facts.ids(matching: condition)
    let opposite = made.facts.ids { rows in rows.contains { truth[$0] == false } }
    let found = try made.walk(filter: expression)
    faults += found.faults(expecting: expected)
    let denied = try made.walk(filter: .not(expression))
    faults += denied.faults(expecting: opposite).map { "under NOT: " + $0 }
    return faults
  }
}
