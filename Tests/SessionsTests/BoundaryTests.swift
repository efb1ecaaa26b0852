import Primitives
import Sessions
import Testing

/// Specification core, 3.1: the numbers, a second before, at and after each.
@Suite("Sessions: boundaries of time")
struct BoundaryTests {
  // MARK: Redemption

  static let redemptions: [(Int64, Bool)] = [
    (299_000, true), (299_999, true), (300_000, true), (300_001, false), (301_000, false),
  ]

  @Test("a launch token is redeemed within 300 s", arguments: BoundaryTests.redemptions)
  func redemption(moment: Int64, isInTime: Bool) throws {
    var state = SessionState.fresh()
    let effects = state.advance(to: moment)
    if isInTime {
      #expect(effects.isEmpty)
      try state.take(.validate, at: moment)
      #expect(state.phase == .active)
    } else {
      #expect(effects == [SessionState.Effect.release, .emit("session.expired", at: 300_000)])
      #expect(state.phase == .expired)
      #expect(state.reason == "not_redeemed")
      #expect(state.endedAt == Int64(300_000))
      #expect(state.charge == 0)
    }
  }

  // MARK: Idle and abandoned

  static let idles: [(Int64, Bool)] = [
    (119_000, false), (120_000, false), (120_001, true), (121_000, true),
  ]

  @Test("more than 120 s without activity pause", arguments: BoundaryTests.idles)
  func idle(gap: Int64, isPaused: Bool) throws {
    var state = try SessionState.redeemed()
    try state.take(.heartbeat(seq: 1, isActive: true), at: 60_000)
    let effects = state.advance(to: 60_000 + gap)
    let phase: SessionState.Phase = isPaused ? .paused : .active
    let names: [String] = isPaused ? ["session.paused"] : []
    #expect(state.phase == phase)
    #expect(effects.map(\.name) == names)
    #expect(state.active == 60_000)
    if isPaused {
      #expect(state.reason == "idle")
      #expect(state.pausedAt == Int64(60_000))
    }
  }

  @Test("a heartbeat that is not active is no activity")
  func idleHeartbeats() throws {
    var state = try SessionState.redeemed()
    for seq in Int64(1)...4 {
      try state.take(.heartbeat(seq: seq, isActive: false), at: seq * 30_000)
    }
    #expect(state.phase == .active)
    _ = state.advance(to: 120_001)
    #expect(state.phase == .paused)
    #expect(state.active == 0)
    #expect(state.charge == 0)
  }

  static let abandonments: [(Int64, Bool)] = [
    (1_799_000, false), (1_800_000, false), (1_800_001, true), (1_801_000, true),
  ]

  @Test(
    "more than 1800 s without activity end an idle pause", arguments: BoundaryTests.abandonments)
  func abandonedIdle(gap: Int64, isOver: Bool) throws {
    var state = try SessionState.redeemed()
    try state.take(.heartbeat(seq: 1, isActive: true), at: 60_000)
    let effects = state.advance(to: 60_000 + gap)
    let phase: SessionState.Phase = isOver ? .expired : .paused
    let reason: String = isOver ? "abandoned" : "idle"
    #expect(state.phase == phase)
    #expect(state.reason == reason)
    #expect(state.charge == 8_333_333)
    if isOver {
      #expect(effects.map(\.name) == ["session.paused", "settle", "session.expired"])
      #expect(state.endedAt == Int64(1_860_000))
    }
  }

  @Test("a manual pause counts as activity: 1800 s from it", arguments: BoundaryTests.abandonments)
  func abandonedPause(gap: Int64, isOver: Bool) throws {
    var state = try SessionState.redeemed()
    try state.take(.pause, at: 90_000)
    _ = state.advance(to: 90_000 + gap)
    let phase: SessionState.Phase = isOver ? .expired : .paused
    #expect(state.phase == phase)
    #expect(state.charge == 12_500_000)
  }

  @Test(
    "a late heartbeat resumes until the session is abandoned", arguments: BoundaryTests.abandonments
  )
  func lateHeartbeat(gap: Int64, isOver: Bool) throws {
    var state = try SessionState.redeemed()
    _ = state.advance(to: gap)
    let code: ProblemCode?
    do throws(Refusal) {
      _ = try state.apply(.heartbeat(seq: 1, isActive: true), at: gap)
      code = nil
    } catch {
      code = error.code
    }
    let isTaken = code == nil
    #expect(isTaken != isOver)
    let phase: SessionState.Phase = isOver ? .expired : .active
    #expect(state.phase == phase)
    #expect(state.active == 0)
  }

  // MARK: End and warning

  static let warnings: [(Int64, Bool)] = [
    (1_499_000, false), (1_499_999, false), (1_500_000, true), (1_501_000, true),
  ]

  @Test("the warning comes 300 s before the end", arguments: BoundaryTests.warnings)
  func warning(moment: Int64, isWarned: Bool) throws {
    var state = try SessionState.redeemed()
    try state.beats(from: 100_000, through: 1_400_000)
    let effects = state.advance(to: moment)
    #expect(state.isWarned == isWarned)
    let warning = SessionState.Effect.emit("session.expiring", at: 1_500_000)
    let expected: [SessionState.Effect] = isWarned ? [warning] : []
    #expect(effects == expected)
  }

  @Test("the warning is given once")
  func warnsOnce() throws {
    var state = try SessionState.redeemed()
    try state.beats(from: 100_000, through: 1_500_000)
    #expect(state.isWarned)
    let effects = state.advance(to: 1_600_000)
    #expect(effects.isEmpty)
  }

  @Test("a session of 300 s is warned at once, a longer one is not", arguments: [5, 6] as [Int64])
  func warnsAtOnce(minutes: Int64) throws {
    var state = SessionState.fresh(minutes: minutes)
    let effects = try state.take(.validate, at: 7_000)
    let expected = minutes == 5 ? ["session.started", "session.expiring"] : ["session.started"]
    #expect(effects.map(\.name) == expected)
    #expect(state.isWarned == (minutes == 5))
  }

  static let ends: [(Int64, Bool)] = [
    (1_799_000, false), (1_799_999, false), (1_800_000, true), (1_801_000, true),
  ]

  @Test("the paid time ends the session, fully charged", arguments: BoundaryTests.ends)
  func timeLimit(moment: Int64, isOver: Bool) throws {
    var state = try SessionState.redeemed()
    try state.beats(from: 100_000, through: 1_700_000)
    let effects = state.advance(to: moment)
    let phase: SessionState.Phase = isOver ? .completed : .active
    #expect(state.phase == phase)
    if isOver {
      #expect(
        effects == [SessionState.Effect.settle, .emit("session.completed", at: 1_800_000)])
      #expect(state.reason == "time_limit")
      #expect(state.charge == 250_000_000)
      #expect(state.endedAt == Int64(1_800_000))
    }
  }

  // MARK: The cap of 24 hours

  /// Active since the given moment, after a day of long pauses with a second of use between them.
  private static func afterPauses(_ count: Int64) throws -> (state: SessionState, since: Int64) {
    var state = try SessionState.redeemed()
    for index in 0..<count {
      try state.take(.pause, at: 1_000 + index * 1_700_000)
      try state.take(.resume, at: (index + 1) * 1_700_000)
    }
    return (state, count * 1_700_000)
  }

  static let caps: [(Int64, Bool)] = [
    (86_399_000, false), (86_399_999, false), (86_400_000, true), (86_401_000, true),
  ]

  @Test("a paused session ends 24 h after its start", arguments: BoundaryTests.caps)
  func capPaused(moment: Int64, isOver: Bool) throws {
    var (state, since) = try BoundaryTests.afterPauses(50)
    since += 1_000
    try state.take(.pause, at: since)
    let effects = state.advance(to: moment)
    let phase: SessionState.Phase = isOver ? .expired : .paused
    #expect(state.phase == phase)
    #expect(effects.contains(.settle) == isOver)
    // 51 seconds of use
    #expect(state.charge == 7_083_333)
    if isOver {
      #expect(state.reason == "wall_clock_cap")
      #expect(state.endedAt == Int64(86_400_000))
    }
  }

  @Test(
    "an active session ends 24 h after its start, charged up to then", arguments: BoundaryTests.caps
  )
  func capActive(moment: Int64, isOver: Bool) throws {
    var (state, since) = try BoundaryTests.afterPauses(50)
    since += 100_000
    try state.beats(from: since, through: 86_300_000)
    #expect(state.end(at: 86_300_000) == Int64(86_400_000))
    _ = state.advance(to: moment)
    let phase: SessionState.Phase = isOver ? .expired : .active
    #expect(state.phase == phase)
    if isOver {
      #expect(state.reason == "wall_clock_cap")
      #expect(state.active == 50_000 + 1_400_000)
    }
  }

  @Test("the warning comes 300 s before the cap where the cap ends the session")
  func capWarning() throws {
    var (state, since) = try BoundaryTests.afterPauses(50)
    since += 100_000
    try state.beats(from: since, through: 86_000_000)
    #expect(!state.isWarned)
    let effects = state.advance(to: 86_100_000)
    #expect(effects == [SessionState.Effect.emit("session.expiring", at: 86_100_000)])
    #expect(state.isWarned)
  }

  // MARK: Ties (3.3)

  @Test("the time limit goes before an idle pause of the same moment")
  func limitBeforeIdle() throws {
    var state = try SessionState.redeemed(minutes: 5)
    try state.take(.heartbeat(seq: 1, isActive: true), at: 100_000)
    try state.take(.heartbeat(seq: 2, isActive: true), at: 179_999)
    _ = state.advance(to: 300_000)
    #expect(state.phase == .completed)
    #expect(state.reason == "time_limit")
  }

  @Test("the cap goes before an abandonment of the same moment")
  func capBeforeAbandoned() throws {
    var (state, since) = try BoundaryTests.afterPauses(49)
    since += 99_999
    try state.beats(from: since, through: 84_599_999)
    try state.take(.pause, at: 84_599_999)
    _ = state.advance(to: 86_400_000)
    #expect(state.phase == .expired)
    #expect(state.reason == "wall_clock_cap")
  }
}
