import Ledger
import Primitives
import SQLite
import Testing

@Suite("Ledger: spending limits")
struct SpendingLimitTests {
  static let day: Int64 = 86_400_000
  /// 2026-11-30, 12:00 UTC: the last day of a month.
  static let noon: Int64 = 1_796_040_000_000

  private static func limit(
    _ till: Till, day: Int64? = nil, month: Int64? = nil, low: Int64? = nil
  ) throws {
    func amount(_ count: Int64?) -> Microtokens? { count.map { Microtokens($0) } }
    try SpendingLimits(dayMax: amount(day), monthMax: amount(month), lowBalance: amount(low))
      .write(for: .anna, at: till.now, on: till.connection)
  }

  private static func allows(_ till: Till, _ amount: Int64) throws -> Bool {
    try refusal {
      try SpendingLimits.require(.anna, Microtokens(amount), at: till.now, on: till.connection)
    } == nil
  }

  @Test("open holds count whole, resolved ones with what was captured")
  func counts() async throws {
    let book = try Book()
    try await book.write { till throws in
      let now = till.at(Self.noon)
      try now.post(1, 10_000, from: .bank, to: .anna)
      #expect(try Self.allows(now, 1_000_000))
      try Self.limit(now, day: 1_000)
      #expect(try Self.allows(now, 1_000))
      #expect(try !Self.allows(now, 1_001))
      try now.hold(10, 600, until: Self.noon + 60_000)
      #expect(try Self.allows(now, 400))
      #expect(try !Self.allows(now, 401))
      try now.capture(20, of: 10, 100, keepsOpen: true)
      #expect(try !Self.allows(now, 401))
      try now.capture(21, of: 10, 50)
      #expect(try Self.allows(now, 850))
      #expect(try !Self.allows(now, 851))
      try now.hold(11, 500, until: Self.noon + 60_000)
      try now.void(22, of: 11)
      #expect(try Self.allows(now, 850))
      try now.hold(12, 500, until: Self.noon + 1)
      try till.at(Self.noon + 1).expire()
      #expect(try Self.allows(now, 850))
      try now.refund(30, of: 20, 100)
      #expect(try !Self.allows(now, 851))
    }
  }

  @Test("a day ends at midnight, a month with its last day, in UTC")
  func periods() async throws {
    let book = try Book()
    try await book.write { till throws in
      let midnight = Self.noon + Self.day / 2
      let now = till.at(Self.noon)
      try now.post(1, 10_000, from: .bank, to: .anna)
      try Self.limit(now, day: 1_000, month: 1_500)
      try till.at(Self.noon - 2 * Self.day).hold(10, 800, until: Self.noon + 9 * Self.day)
      try now.hold(11, 600, until: Self.noon + 9 * Self.day)
      #expect(try Self.allows(now, 100))
      let refused = #expect(throws: Refusal.self) {
        try SpendingLimits.require(.anna, Microtokens(101), at: now.now, on: till.connection)
      }
      #expect(refused?.code == .spendingLimitReached)
      #expect(refused?.facts["period"] == "month")
      #expect(refused?.facts["usedMicrotokens"] == 1_400)
      #expect(refused?.facts["resetsAt"] == "2026-12-01T00:00:00Z")
      #expect(try !Self.allows(till.at(midnight - 1), 101))
      #expect(try Self.allows(till.at(midnight), 1_000))
      #expect(try !Self.allows(till.at(midnight), 1_001))
      let month = SpendingLimits.Period.month
      #expect(month.start(of: now.now).rfc3339 == "2026-11-01T00:00:00Z")
      #expect(month.end(of: Timestamp(milliseconds: midnight)).rfc3339 == "2027-01-01T00:00:00Z")
    }
  }

  @Test("a hold of before midnight that is written after one of after it hides none")
  func disorder() async throws {
    let book = try Book()
    try await book.write { till throws in
      let midnight = Self.noon + Self.day / 2
      let (late, early) = (till.at(midnight + 5_000), till.at(midnight - 5_000))
      try early.post(1, 10_000, from: .bank, to: .anna)
      try late.hold(10, 600, until: midnight + Self.day)
      // It had waited for its turn, or the clock was set back.
      try early.hold(11, 100, until: midnight + Self.day)
      try late.hold(12, 30, until: midnight + Self.day)
      let used = try SpendingLimits.used(
        by: .anna, since: Timestamp(milliseconds: midnight), on: till.connection)
      #expect(used == Microtokens(630))
    }
  }

  @Test("limits can be lifted, and are within their range")
  func changes() async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.limit(till, day: 0)
      #expect(try !Self.allows(till, 1))
      try Self.limit(till)
      #expect(try Self.allows(till, 1_000_000))
      for (day, low) in [(-1, nil), (1_000_000_000_000_001, nil), (nil, 0)] as [(Int64?, Int64?)] {
        #expect(try refusal { try Self.limit(till, day: day, low: low) } == .amountOutOfRange)
      }
      let none = try SpendingLimits.read(.bert, on: till.connection)
      #expect(none == SpendingLimits(dayMax: nil, monthMax: nil, lowBalance: nil))
    }
  }

  @Test("tokens.low comes once each time the available balance falls under the alert")
  func low() async throws {
    let book = try Book()
    try await book.write { till throws in
      func count() throws -> Int64 {
        try till.number("SELECT count(*) FROM outbox WHERE type = 'tokens.low'")
      }
      try till.post(1, 1_000, from: .bank, to: .anna)
      try Self.limit(till, low: 500)
      try till.hold(10, 500)
      #expect(try count() == 0)
      try till.hold(11, 1)
      #expect(try count() == 1)
      try till.hold(12, 100)
      try till.void(20, of: 12)
      #expect(try count() == 1)
      try till.void(21, of: 11)
      try till.post(2, 1, from: .anna, to: .bert)
      #expect(try count() == 2)
      try till.post(3, 1_000, from: .bank, to: .anna)
      try till.capture(22, of: 10, 500)
      #expect(try count() == 2)
      let payload = try JSON.parse(
        try till.texts("SELECT payload FROM outbox ORDER BY seq").first ?? "")
      #expect(payload["type"] == "tokens.low")
      #expect(payload["data"]?["availableMicrotokens"] == 499)
      #expect(payload["data"]?["alertMicrotokens"] == 500)
      // A balance that is low already when the alert is set has not fallen.
      try Self.limit(till, low: 100_000)
      try till.hold(13, 1)
      #expect(try count() == 2)
    }
  }
}
