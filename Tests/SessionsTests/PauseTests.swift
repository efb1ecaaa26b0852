import Primitives
import Sessions
import Testing

/// Specification core, 3.3: pauses, sequence numbers, and what the last activity decides.
@Suite("Sessions: pauses and activity")
struct PauseTests {
  @Test("the meter of an idle pause stops at the last activity, not at its detection")
  func stopsAtActivity() throws {
    var state = try SessionState.redeemed()
    try state.take(.heartbeat(seq: 1, isActive: true), at: 60_000)
    try state.take(.complete(by: "user"), at: 500_000)
    #expect(state.active == 60_000)
    #expect(state.charge == 8_333_333)
  }

  static let completions: [(Int64, Int64)] = [
    (60_000, 60_000), (60_001, 60_001), (179_999, 179_999), (180_000, 180_000), (180_001, 60_000),
    (400_000, 60_000),
  ]

  @Test(
    "an end is charged up to now within 120 s of the last activity, else up to it",
    arguments: PauseTests.completions)
  func completes(moment: Int64, active: Int64) throws {
    var completed = try SessionState.redeemed()
    try completed.take(.heartbeat(seq: 1, isActive: true), at: 60_000)
    var failed = completed
    var revoked = completed
    try completed.take(.complete(by: "provider"), at: moment)
    try failed.take(.fail, at: moment)
    try revoked.take(.revoke, at: moment)
    #expect(completed.active == active)
    #expect(failed.active == active)
    #expect(revoked.active == active)
    #expect(completed.endedAt == moment)
  }

  @Test("a manual pause moves the end and stands the remaining time still")
  func manualPauseMovesTheEnd() throws {
    var state = try SessionState.redeemed()
    #expect(state.end(at: 60_000) == Int64(1_800_000))
    try state.take(.pause, at: 60_000)
    #expect(state.remaining(at: 60_000) == 1_740_000)
    #expect(state.remaining(at: 300_000) == 1_740_000)
    #expect(state.end(at: 300_000) == Int64(2_040_000))
    try state.take(.resume, at: 360_000)
    #expect(state.end(at: 360_000) == Int64(2_100_000))
    #expect(state.remaining(at: 360_000) == 1_740_000)
    try state.beats(from: 400_000, through: 2_000_000)
    _ = state.advance(to: 2_099_999)
    #expect(state.phase == .active)
    _ = state.advance(to: 2_100_000)
    #expect(state.phase == .completed)
    #expect(state.active == 1_800_000)
  }

  @Test("an idle pause moves the end by the time since the last activity")
  func idlePauseMovesTheEnd() throws {
    var state = try SessionState.redeemed()
    try state.take(.heartbeat(seq: 1, isActive: true), at: 60_000)
    try state.take(.heartbeat(seq: 2, isActive: true), at: 660_000)
    #expect(state.phase == .active)
    #expect(state.pausedTotal == 600_000)
    #expect(state.end(at: 660_000) == Int64(2_400_000))
    #expect(state.remaining(at: 660_000) == 1_740_000)
    #expect(state.active == 60_000)
  }

  @Test("pauses add up, and only used time is metered")
  func manyPauses() throws {
    var state = try SessionState.redeemed()
    for index in Int64(0)..<10 {
      try state.take(.pause, at: index * 1_000_000 + 50_000)
      try state.take(.resume, at: (index + 1) * 1_000_000)
    }
    #expect(state.active == 500_000)
    #expect(state.pausedTotal == 9_500_000)
    #expect(state.end(at: 10_000_000) == Int64(11_300_000))
  }

  @Test("an end while paused is charged up to the pause")
  func endsWhilePaused() throws {
    var state = try SessionState.redeemed()
    try state.take(.pause, at: 90_000)
    try state.take(.complete(by: "user"), at: 1_000_000)
    #expect(state.active == 90_000)
    #expect(state.charge == 12_500_000)
  }

  @Test("a clock that is set back has no time metered twice")
  func clockSetBack() throws {
    var beating = try SessionState.redeemed()
    for (seq, moment) in [(Int64(1), Int64(100_000)), (2, 40_000), (3, 110_000)] {
      try beating.take(.heartbeat(seq: seq, isActive: true), at: moment)
    }
    #expect(beating.active == 110_000)
    var pausing = try SessionState.redeemed()
    try pausing.take(.heartbeat(seq: 1, isActive: true), at: 100_000)
    try pausing.take(.pause, at: 90_000)
    try pausing.take(.resume, at: 95_000)
    try pausing.take(.complete(by: "user"), at: 110_000)
    #expect(pausing.active == 110_000)
    #expect(pausing.pausedTotal == 0)
  }

  @Test("a resume counts as activity")
  func resumeIsActivity() throws {
    var state = try SessionState.redeemed()
    try state.take(.pause, at: 10_000)
    try state.take(.resume, at: 1_000_000)
    _ = state.advance(to: 1_120_000)
    #expect(state.phase == .active)
    _ = state.advance(to: 1_120_001)
    #expect(state.phase == .paused)
    #expect(state.active == 10_000)
  }

  static let oldNumbers: [Int64] = [5, 4, 1, 0, -1]

  @Test("an old or repeated number has no effect", arguments: PauseTests.oldNumbers)
  func oldNumber(seq: Int64) throws {
    var state = try SessionState.redeemed()
    try state.take(.heartbeat(seq: 5, isActive: true), at: 10_000)
    let before = state
    let effects = try state.take(.heartbeat(seq: seq, isActive: true), at: 20_000)
    #expect(effects.isEmpty)
    #expect(state == before)
  }

  @Test("an old number does not resume a paused session", arguments: PauseTests.oldNumbers)
  func oldNumberPaused(seq: Int64) throws {
    var state = try SessionState.redeemed()
    try state.take(.heartbeat(seq: 5, isActive: true), at: 10_000)
    try state.take(.pause, at: 20_000)
    let before = state
    let effects = try state.take(.heartbeat(seq: seq, isActive: true), at: 30_000)
    #expect(effects.isEmpty)
    #expect(state == before)
  }

  @Test("numbers may leave gaps")
  func gaps() throws {
    var state = try SessionState.redeemed()
    try state.take(.heartbeat(seq: 3, isActive: true), at: 10_000)
    try state.take(.heartbeat(seq: 900, isActive: true), at: 20_000)
    #expect(state.lastSeq == 900)
    #expect(state.active == 20_000)
  }

  @Test("the deadline is the next thing that happens by itself")
  func deadlines() throws {
    var state = SessionState.fresh()
    #expect(state.deadline == Int64(300_001))
    try state.take(.validate, at: 0)
    #expect(state.deadline == Int64(120_001))
    try state.take(.pause, at: 60_000)
    #expect(state.deadline == Int64(1_860_001))
    try state.take(.revoke, at: 70_000)
    #expect(state.deadline == nil)
  }
}
