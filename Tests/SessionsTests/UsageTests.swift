import Identity
import Ledger
import Primitives
import SQLite
import Sessions
import Testing
import TestSupport

/// Offers that are paid by what their provider reports.
@Suite("Sessions: use by report")
struct UsageTests {
  private static func shop(_ price: Int64 = 1_000_000, tokens: Int64 = 1_000) async throws -> Stage
  {
    try await Stage.shop(.metered(price), tokens: tokens)
  }

  @Test("the user's cap is held, and time costs nothing")
  func holds() async throws {
    let stage = try await UsageTests.shop()
    let terms = try await stage.desk.terms(of: Stage.wish(maxTokens: 100))
    #expect(terms.plan == .usage)
    #expect(terms.amount == 100_000_000)
    let isSaid = terms.consent.contains("1 tokens for each unit")
    #expect(isSaid, "\(terms.consent)")
    let uncapped = try await awaitedRefusal { try await stage.desk.terms(of: Stage.wish()) }
    #expect(uncapped == ProblemCode.validationFailed)
    let session = try await stage.buy(Stage.wish(maxTokens: 100))
    try await stage.beat(session.id, times: 10)
    let done = try await stage.finish(session.id)
    #expect(done.int("chargedMicrotokens") == 0)
    #expect(try await stage.balance(.anna).available == Microtokens(1_000_000_000))
    #expect(try await stage.faults() == [])
  }

  @Test("each report captures units x price with the share, and the end releases the rest")
  func reports() async throws {
    let stage = try await UsageTests.shop()
    let session = try await stage.buy(Stage.wish(maxTokens: 100))
    let first = try document(try await stage.report(session.id, 1, units: 7))
    #expect(first.int("amountMicrotokens") == 7_000_000)
    #expect(first["session"]?["chargedMicrotokens"]?.int == 7_000_000)
    _ = try await stage.report(session.id, 2, units: 3)
    #expect(try await stage.balance(.acme).balance == Microtokens(8_000_000))
    #expect(try await stage.balance(.fees).balance == Microtokens(2_000_000))
    #expect(try await stage.balance(.anna).held == Microtokens(90_000_000))
    let done = try await stage.finish(session.id)
    #expect(done.int("chargedMicrotokens") == 10_000_000)
    #expect(done.int("units") == 10)
    #expect(done.int("releasedMicrotokens") == 90_000_000)
    #expect(try await stage.balance(.anna).available == Microtokens(990_000_000))
    let events = try await stage.texts("SELECT type FROM outbox ORDER BY seq")
    #expect(
      events == ["session.started", "tokens.consumed", "tokens.consumed", "session.completed"])
    #expect(try await stage.faults() == [])
  }

  @Test("a number is reported once: again it is the same, with other units it is refused")
  func naturalID() async throws {
    let stage = try await UsageTests.shop()
    let session = try await stage.buy(Stage.wish(maxTokens: 100))
    _ = try await stage.report(session.id, 1, units: 7, key: "a")
    let again = try await stage.report(session.id, 1, units: 7, key: "b")
    #expect(again.status == 200)
    #expect(!again.isReplayed)
    #expect(try document(again).int("amountMicrotokens") == 7_000_000)
    let replayed = try await stage.report(session.id, 1, units: 7, key: "a")
    #expect(replayed.isReplayed)
    let other = try await awaitedRefusal {
      try await stage.report(session.id, 1, units: 8, key: "c")
    }
    #expect(other == ProblemCode.idExistsDifferent)
    #expect(try await stage.number("SELECT charged FROM session") == 7_000_000)
    #expect(
      try await stage.number("SELECT count(*) FROM outbox WHERE type = 'tokens.consumed'") == 1)
    _ = try await stage.finish(session.id)
    // Also after the end: a provider that lost the answer must be able to learn it.
    let late = try await stage.report(session.id, 1, units: 7, key: "d")
    #expect(late.status == 200)
    #expect(try await stage.faults() == [])
  }

  static let depletions: [(Int64, Int64)] = [(99, 1), (99, 2), (0, 100), (0, 1_000_000), (50, 50)]

  @Test(
    "use that reaches the hold ends the session; what is beyond is not charged",
    arguments: depletions)
  func depletes(before: Int64, units: Int64) async throws {
    let stage = try await UsageTests.shop()
    let session = try await stage.buy(Stage.wish(maxTokens: 100))
    if before > 0 { _ = try await stage.report(session.id, 1, units: before) }
    let last = try document(try await stage.report(session.id, 2, units: units))
    #expect(last.int("amountMicrotokens") == (100 - before) * 1_000_000)
    #expect(last["session"]?["state"]?.string == "failed")
    #expect(last["session"]?["reason"]?.string == "tokens_depleted")
    #expect(try await stage.balance(.anna).available == Microtokens(900_000_000))
    #expect(try await stage.balance(.acme).balance == Microtokens(80_000_000))
    let events = try await stage.texts("SELECT type FROM outbox ORDER BY seq DESC LIMIT 3")
    #expect(events == ["session.failed", "tokens.depleted", "tokens.consumed"])
    #expect(try await stage.texts("SELECT state FROM hold") == ["captured"])
    let more = try await stage.report(session.id, 3, units: 1)
    #expect(try code(more) == "invalid_transition")
    let failed = try await awaitedRefusal {
      try await stage.desk.transition(session.id, by: .provider("acme"), .fail)
    }
    #expect(failed == ProblemCode.invalidTransition)
    #expect(try await stage.faults() == [])
  }

  @Test("an extension's hold follows on from the first in the middle of a report")
  func acrossHolds() async throws {
    let stage = try await UsageTests.shop()
    let session = try await stage.buy(Stage.wish(maxTokens: 10))
    _ = try await stage.report(session.id, 1, units: 8)
    let missing = try await awaitedRefusal { try await stage.extend(session.id, minutes: 5) }
    #expect(missing == ProblemCode.validationFailed)
    let longer = try await stage.extend(session.id, minutes: 5, maxTokens: 10)
    #expect(longer.status == 200)
    _ = try await stage.report(session.id, 2, units: 5)
    let captured = try await stage.texts("SELECT printf('%d', captured) FROM hold ORDER BY id")
    #expect(captured == ["10000000", "3000000"])
    let done = try await stage.finish(session.id)
    #expect(done.int("chargedMicrotokens") == 13_000_000)
    #expect(done.int("feeMicrotokens") == 2_600_000)
    #expect(try await stage.balance(.anna).available == Microtokens(987_000_000))
    #expect(try await stage.faults() == [])
  }

  @Test("what was given back is told with a report and at a deadline, and of its own session only")
  func refunded() async throws {
    let stage = try await UsageTests.shop()
    let other = try await stage.buy(Stage.wish(maxTokens: 100))
    let session = try await stage.buy(Stage.wish(maxTokens: 100))
    _ = try await stage.report(other.id, 1, units: 5, key: "other")
    _ = try await stage.report(session.id, 1, units: 7)
    let now = stage.clock.now
    try await stage.database.write { connection throws in
      let capture = try connection.first(
        "SELECT id FROM transfer WHERE kind = 'capture' AND amount = 7000000"
      ) { row in ID<TransferKind>(bytes: row.blob(0)) }
      _ = try LedgerStore.refund(
        ID(high: 5, low: 1), capture: try #require(capture ?? nil), Microtokens(2_000_000),
        reason: "refund", at: now, on: connection)
    }
    let next = try document(try await stage.report(session.id, 2, units: 1))
    #expect(next["session"]?["refundedMicrotokens"]?.int == 2_000_000)
    stage.clock.move(seconds: 2_000)
    try await stage.desk.sweep()
    let ends = try await stage.texts("SELECT payload FROM outbox WHERE type = 'session.expired'")
    let told = try ends.map { text -> Int64? in
      let data = try JSON.parse(text)["data"]
      return data?["sessionId"]?.string == session.id.text
        ? data?["refundedMicrotokens"]?.int : nil
    }
    #expect(told.compactMap { $0 } == [2_000_000])
    #expect(try await stage.view(other.id).int("refundedMicrotokens") == 0)
    #expect(try await stage.faults() == [])
  }

  @Test("a report counts while the session is active, for its own provider, where use is sold")
  func refused() async throws {
    let stage = try await UsageTests.shop()
    let session = try await stage.pending(Stage.wish(maxTokens: 10))
    let early = try await stage.report(session.id, 1, units: 1, key: "a")
    #expect(try code(early) == "invalid_transition")
    _ = try await stage.desk.validate(token: session.token, provider: "acme", origin: nil)
    let foreign = try await stage.report(session.id, 1, units: 1, key: "b", by: "other")
    #expect(foreign.status == 404)
    _ = try await stage.desk.transition(session.id, by: .user(.anna), .pause)
    let paused = try await stage.report(session.id, 1, units: 1, key: "c")
    #expect(try code(paused) == "invalid_transition")
    let hourly = try await Stage.shop()
    let other = try await hourly.buy()
    let time = try await awaitedRefusal { try await hourly.report(other.id, 1, units: 1) }
    #expect(time == ProblemCode.validationFailed)
  }

  @Test("a report worth more than a movement may be is refused, however large its factors")
  func outOfRange() async throws {
    let stage = try await UsageTests.shop(1_000_000_000_000)
    let session = try await stage.buy(Stage.wish(maxTokens: 10))
    for units in [Int64(1_001), 1_000_000_000_000] {
      let code = try await awaitedRefusal { try await stage.report(session.id, 1, units: units) }
      #expect(code == ProblemCode.amountOutOfRange)
    }
    #expect(try await stage.number("SELECT charged FROM session") == 0)
    #expect(try await stage.texts("SELECT state FROM session") == ["active"])
  }

  @Test(
    "whatever is reported in whatever parts, the charge is units x price within the holds",
    arguments: 0..<6 as Range<UInt64>)
  func anyParts(seed: UInt64) async throws {
    var random = SplitMix64(seed: seed)
    let price = Int64.random(in: 1...3_000_000, using: &random)
    let stage = try await UsageTests.shop(price)
    let cap = Int64.random(in: 5...40, using: &random)
    let session = try await stage.buy(Stage.wish(maxTokens: cap))
    var sum: Int64 = 0
    var number: Int64 = 0
    while number < 15, sum * price < cap * 1_000_000 {
      number += 1
      let units = Int64.random(in: 1...6, using: &random)
      _ = try await stage.report(session.id, number, units: units)
      sum += units
    }
    let charged = try await stage.number("SELECT charged FROM session")
    #expect(charged == min(sum * price, cap * 1_000_000))
    let captured = try await stage.number("SELECT sum(captured) FROM hold")
    #expect(captured == charged)
    let earned = try await stage.balance(.acme).balance.count
    let fees = try await stage.balance(.fees).balance.count
    #expect(earned + fees == charged)
    #expect(fees == (try await stage.number("SELECT fee FROM session")))
    #expect(try await stage.faults() == [])
  }
}
