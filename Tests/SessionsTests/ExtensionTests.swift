import Identity
import Ledger
import Primitives
import Sessions
import Testing
import TestSupport

/// More minutes for a paid session: a hold of their own, a new end, the warning armed again.
@Suite("Sessions: extensions")
struct ExtensionTests {
  @Test("an extension holds the price of what is added and moves the end")
  func extends() async throws {
    let stage = try await Stage.shop()
    let session = try await stage.buy()
    try await stage.beat(session.id, times: 10)
    let view = try document(try await stage.extend(session.id, minutes: 15))
    #expect(view.text("state") == "active")
    #expect(view.int("durationMinutes") == 45)
    #expect(view.int("heldMicrotokens") == 375_000_000)
    #expect(view.int("remainingSeconds") == 35 * 60)
    #expect(view.text("endsAt") == (stage.clock.now + 35 * 60_000).rfc3339)
    #expect(try await stage.number("SELECT count(*) FROM hold WHERE state = 'open'") == 2)
    #expect(try await stage.balance(.anna).held == Microtokens(375_000_000))
    let events = try await stage.texts("SELECT type FROM outbox ORDER BY seq")
    #expect(events == ["session.started", "session.extended"])
  }

  @Test("the oldest hold is captured first, and the rest of all of them comes back")
  func settlesOldestFirst() async throws {
    let stage = try await Stage.shop()
    let session = try await stage.buy()
    try await stage.beat(session.id, times: 20)
    _ = try await stage.extend(session.id, minutes: 30)
    try await stage.beat(session.id, from: 100, times: 16)
    let done = try await stage.finish(session.id)
    // 36 minutes: all of the first hold, and six minutes of the second.
    #expect(done.int("chargedMicrotokens") == 300_000_000)
    #expect(done.int("releasedMicrotokens") == 200_000_000)
    #expect(done.int("feeMicrotokens") == 60_000_000)
    let captured = try await stage.texts("SELECT printf('%d', captured) FROM hold ORDER BY id")
    #expect(captured == ["250000000", "50000000"])
    #expect(try await stage.balance(.anna).available == Microtokens(700_000_000))
    #expect(try await stage.balance(.acme).balance == Microtokens(240_000_000))
    #expect(try await stage.faults() == [])
  }

  static let totals: [(Int64, Int64, Bool)] = [
    (30, 149, true), (30, 150, true), (30, 151, false), (179, 1, true), (179, 2, false),
    (180, 1, false), (5, 0, false), (5, -1, false), (5, Int64.max, false),
  ]

  @Test("a session lasts 180 minutes at most, extensions included", arguments: totals)
  func total(minutes: Int64, more: Int64, isAllowed: Bool) async throws {
    let stage = try await Stage.shop(tokens: 2_000)
    let session = try await stage.buy(Stage.wish(minutes))
    let code = try await awaitedRefusal { try await stage.extend(session.id, minutes: more) }
    #expect(code == (isAllowed ? nil : ProblemCode.validationFailed))
    let length = try await stage.number("SELECT duration_ms FROM session")
    #expect(length == (minutes + (isAllowed ? more : 0)) * 60_000)
    #expect(try await stage.faults() == [])
  }

  @Test("whatever the rate and the parts, all holds together are the price of the whole time")
  func parts() async throws {
    var listing = Listing()
    listing.rate = 7
    let stage = try await Stage.shop(listing)
    let session = try await stage.buy(Stage.wish(5))
    for (index, minutes) in [Int64(1), 2, 3, 7, 11].enumerated() {
      _ = try await stage.extend(session.id, minutes: minutes, key: "part-\(index)")
    }
    let whole = Metering.charge(ratePerHour: 7_000_000, milliseconds: 29 * 60_000)
    #expect(try await stage.balance(.anna).held == Microtokens(whole))
    try await stage.beat(session.id, times: 28)
    stage.clock.move(seconds: 60)
    let view = try await stage.view(session.id)
    #expect(view.text("reason") == "time_limit")
    #expect(view.int("chargedMicrotokens") == whole)
    #expect(try await stage.faults() == [])
  }

  @Test("the same key extends once")
  func keyed() async throws {
    let stage = try await Stage.shop()
    let session = try await stage.buy()
    let first = try await stage.extend(session.id, minutes: 10)
    stage.clock.move(seconds: 60)
    let second = try await stage.extend(session.id, minutes: 10)
    #expect(second.isReplayed)
    #expect(second.body == first.body)
    #expect(try await stage.number("SELECT count(*) FROM hold") == 2)
    let other = try await awaitedRefusal { try await stage.extend(session.id, minutes: 11) }
    #expect(other == ProblemCode.idempotencyConflict)
  }

  @Test("a trial, a pending and an ended session cannot be extended, another's is not found")
  func refused() async throws {
    let stage = try await Stage.shop()
    let (trial, _) = try await stage.startActive()
    #expect(
      try code(try await stage.extend(trial.id, minutes: 5, key: "a")) == "invalid_transition")
    let session = try await stage.pending()
    #expect(
      try code(try await stage.extend(session.id, minutes: 5, key: "b")) == "invalid_transition")
    _ = try await stage.desk.validate(token: session.token, provider: "acme", origin: nil)
    let foreign = try await awaitedRefusal {
      try await stage.extend(session.id, minutes: 5, by: .bert)
    }
    #expect(foreign == ProblemCode.notFound)
    _ = try await stage.finish(session.id)
    #expect(
      try code(try await stage.extend(session.id, minutes: 5, key: "c")) == "invalid_transition")
    #expect(try await stage.faults() == [])
  }

  @Test("without funds the session goes on as it was")
  func insufficient() async throws {
    let stage = try await Stage.shop(tokens: 300)
    let session = try await stage.buy()
    let answer = try await stage.extend(session.id, minutes: 7)
    #expect(answer.status == 402)
    let view = try await stage.view(session.id)
    #expect(view.int("durationMinutes") == 30)
    #expect(view.int("heldMicrotokens") == 250_000_000)
    let enough = try await stage.extend(session.id, minutes: 6, key: "less")
    #expect(enough.status == 200)
    #expect(try await stage.balance(.anna).available == Microtokens(0))
  }

  @Test("a paused session can be extended, and its time still stands")
  func paused() async throws {
    let stage = try await Stage.shop()
    let session = try await stage.buy()
    stage.clock.move(seconds: 60)
    _ = try await stage.desk.transition(session.id, by: .user(.anna), .pause)
    stage.clock.move(seconds: 600)
    let view = try document(try await stage.extend(session.id, minutes: 10))
    #expect(view.text("state") == "paused")
    #expect(view.int("remainingSeconds") == 39 * 60)
  }

  // MARK: The warning

  /// When it is extended, by how many minutes, and when the next warning comes; nil for none.
  static let warnings: [(Int64, Int64, Int64?)] = [
    (1_400_000, 10, 2_100_000), (1_500_000, 10, 2_100_000), (1_700_000, 10, 2_100_000),
    (1_700_000, 4, 1_740_000), (1_700_000, 3, nil), (1_700_000, 1, nil),
  ]

  @Test("the warning is armed again where the new one lies ahead", arguments: warnings)
  func warning(moment: Int64, minutes: Int64, next: Int64?) throws {
    var state = try SessionState.redeemed(plan: .hourly)
    try state.beats(from: 100_000, through: moment)
    let effects = try state.take(.extend(by: minutes * 60_000), at: moment)
    #expect(effects.map(\.name) == ["session.extended"])
    var moments: [Int64] = []
    for beat in stride(from: moment, through: 2_000_000 + minutes * 60_000, by: 60_000) {
      for case .emit("session.expiring", let at) in state.advance(to: beat) { moments.append(at) }
      if state.phase == .active {
        try state.take(.heartbeat(seq: beat + 1, isActive: true), at: beat)
      }
    }
    #expect(moments == [next].compactMap { $0 })
    #expect(state.phase == .completed)
    #expect(state.endedAt == 1_800_000 + minutes * 60_000)
    #expect(state.active == state.duration)
  }
}
