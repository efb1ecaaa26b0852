import Primitives
import Sessions
import Testing

/// A random life of a session: events at rising moments, dense around every boundary.
struct Script: Sendable {
  private let duration: Int64
  private let plan: SessionState.Plan
  private let steps: [(event: SessionState.Event, at: Int64)]

  init(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    duration = [300_000, 1_800_000, 10_800_000].randomElement(using: &random) ?? 300_000
    plan = SessionState.Plan.allCases.randomElement(using: &random) ?? .trial
    var moment = Int64.random(in: 1...300_010, using: &random)
    var steps: [(event: SessionState.Event, at: Int64)] = [(.validate, moment)]
    for seq in 1...Int64.random(in: 5...60, using: &random) {
      moment += Script.gap(&random)
      steps.append((Script.event(seq, &random), moment))
    }
    self.steps = steps
  }

  private static func gap(_ random: inout SplitMix64) -> Int64 {
    switch Int.random(in: 0..<100, using: &random) {
    case ..<65: Int64.random(in: 0...100_000, using: &random)
    case ..<80: Int64.random(in: 119_998...120_003, using: &random)
    case ..<92: Int64.random(in: 120_000...1_700_000, using: &random)
    case ..<97: Int64.random(in: 1_799_998...1_800_003, using: &random)
    default: Int64.random(in: 0...20_000_000, using: &random)
    }
  }

  private static func event(_ seq: Int64, _ random: inout SplitMix64) -> SessionState.Event {
    switch Int.random(in: 0..<100, using: &random) {
    case ..<50: .heartbeat(seq: seq, isActive: true)
    case ..<55: .extend(by: 60_000 * (1 + seq % 7))
    case ..<63: .heartbeat(seq: seq, isActive: false)
    case ..<67: .heartbeat(seq: seq / 2, isActive: true)
    case ..<81: .pause
    case ..<95: .resume
    case ..<97: .complete(by: "user")
    case ..<98: .fail
    case ..<99: Bool.random(using: &random) ? .revoke : .extend(by: 60_000 * seq)
    default: Bool.random(using: &random) ? .validate : .deplete
    }
  }

  /// Plays the script; before each event time also advances at so many more moments.
  func play(extra: Int, seed: UInt64) -> (state: SessionState, effects: [SessionState.Effect]) {
    var random = SplitMix64(seed: seed)
    var state = SessionState(
      ratePerHour: 500_000_000, duration: duration, createdAt: 0, plan: plan)
    var effects: [SessionState.Effect] = []
    var previous: Int64 = 0
    for (event, moment) in steps {
      let between = (0..<extra).map { _ in Int64.random(in: previous...moment, using: &random) }
      for stop in between.sorted() { effects += state.advance(to: stop) }
      effects += state.advance(to: moment)
      effects += (try? state.apply(event, at: moment)) ?? []
      previous = moment
    }
    for hours in 1...Int64(extra + 1) { effects += state.advance(to: previous + hours * 1_000_000) }
    effects += state.advance(to: previous + 200_000_000)
    return (state, effects)
  }
}

@Suite("Sessions: any schedule gives the same")
struct ScheduleTests {
  @Test(
    "advances in between change neither the state, nor the effects, nor the charge",
    arguments: 0..<300 as Range<UInt64>)
  func schedule(seed: UInt64) {
    // Ten lives an argument: 3,000 in all.
    for life in seed * 10..<seed * 10 + 10 {
      let script = Script(seed: life)
      let plain = script.play(extra: 0, seed: 0)
      for extra in [1, 3, 8] {
        let busy = script.play(extra: extra, seed: life + 1)
        #expect(busy.state == plain.state, "life \(life)")
        #expect(busy.effects == plain.effects, "life \(life)")
      }
    }
  }

  @Test(
    "every life ends, settles or releases once, and is charged within its bounds",
    arguments: 0..<300 as Range<UInt64>)
  func bounds(seed: UInt64) {
    let (state, effects) = Script(seed: seed).play(extra: 2, seed: seed)
    let resolutions = effects.filter { $0 == .settle || $0 == .release }
    #expect(resolutions.count == 1)
    #expect(state.phase.isTerminal)
    #expect(state.active >= 0)
    #expect(state.active <= state.duration)
    let most = Metering.charge(ratePerHour: 500_000_000, milliseconds: state.duration)
    #expect(state.charge <= most)
    if let started = state.startedAt, let ended = state.endedAt {
      #expect(ended <= started + SessionNumbers.wallClockCap)
      // Used and paused time are disjoint parts of the session's life.
      #expect(state.active + state.pausedTotal <= ended - started)
    } else {
      #expect(state.active == 0)
    }
    let warnings = effects.filter { $0.name == "session.expiring" }
    let extensions = effects.filter { $0.name == "session.extended" }
    #expect(warnings.count <= 1 + extensions.count)
  }

  @Test("events leave in the order of their moments", arguments: 0..<100 as Range<UInt64>)
  func ordered(seed: UInt64) {
    let (_, effects) = Script(seed: seed).play(extra: 2, seed: seed)
    var moments: [Int64] = []
    for case .emit(_, let moment) in effects { moments.append(moment) }
    #expect(moments == moments.sorted())
  }
}
