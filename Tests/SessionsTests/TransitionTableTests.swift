import Primitives
import Sessions
import Testing

/// Specification core, 3.2: every pair of a place and an event, listed or refused.
@Suite("Sessions: the table of transitions")
struct TransitionTableTests {
  /// The phases, told apart by what led there.
  enum Place: String, CaseIterable, Sendable {
    case pending, active, resumed, resumedAtOnce, pausedByHand, pausedIdle
    case completed, timedOut, failed, refused, revoked, notRedeemed, abandoned
  }

  enum Act: String, CaseIterable, Sendable {
    case validate, beat, idleBeat, pause, resume, complete, fail, revoke

    var event: SessionState.Event {
      switch self {
      case .validate: .validate
      case .beat: .heartbeat(seq: 9, isActive: true)
      case .idleBeat: .heartbeat(seq: 9, isActive: false)
      case .pause: .pause
      case .resume: .resume
      case .complete: .complete(by: "user")
      case .fail: .fail
      case .revoke: .revoke
      }
    }
  }

  enum Answer: Equatable, Sendable {
    /// `invalid_transition`, nothing changed.
    case refused
    /// The event repeats what led here: no effect.
    case unchanged
    /// The new phase, its reason and the effects.
    case to(SessionState.Phase, String?, [String])
  }

  /// The table. What it does not list is refused.
  static func expected(_ place: Place, _ act: Act) -> Answer {
    switch (place, act) {
    case (.pending, .validate): .to(.active, nil, ["session.started"])
    case (.pending, .fail): .to(.failed, "provider_refused", ["release", "session.failed"])
    case (.pending, .revoke): .to(.expired, "revoked", ["release", "session.expired"])
    case (.active, .beat), (.resumed, .beat), (.resumedAtOnce, .beat): .to(.active, nil, [])
    case (.active, .idleBeat), (.resumed, .idleBeat), (.resumedAtOnce, .idleBeat):
      .to(.active, nil, [])
    case (.active, .pause), (.resumed, .pause), (.resumedAtOnce, .pause):
      .to(.paused, "manual", ["session.paused"])
    case (.resumed, .resume), (.resumedAtOnce, .resume): .unchanged
    case (.pausedByHand, .beat), (.pausedIdle, .beat): .to(.active, nil, ["session.resumed"])
    case (.pausedByHand, .resume), (.pausedIdle, .resume): .to(.active, nil, ["session.resumed"])
    case (.pausedByHand, .idleBeat): .to(.paused, "manual", [])
    case (.pausedIdle, .idleBeat): .to(.paused, "idle", [])
    case (.pausedByHand, .pause): .unchanged
    case (.active, .complete), (.resumed, .complete), (.resumedAtOnce, .complete),
      (.pausedByHand, .complete), (.pausedIdle, .complete):
      .to(.completed, "user", ["settle", "session.completed"])
    case (.active, .fail), (.resumed, .fail), (.resumedAtOnce, .fail), (.pausedByHand, .fail),
      (.pausedIdle, .fail):
      .to(.failed, "provider_error", ["settle", "session.failed"])
    case (.active, .revoke), (.resumed, .revoke), (.resumedAtOnce, .revoke),
      (.pausedByHand, .revoke), (.pausedIdle, .revoke):
      .to(.expired, "revoked", ["settle", "session.expired"])
    case (.completed, .complete), (.failed, .fail), (.refused, .fail), (.revoked, .revoke):
      .unchanged
    default: .refused
    }
  }

  /// A session at a place, and the moment it is there.
  static func session(at place: Place) throws -> (state: SessionState, moment: Int64) {
    var state = SessionState.fresh(minutes: place == .timedOut ? 5 : 30)
    switch place {
    case .pending: return (state, 60_000)
    case .notRedeemed:
      _ = state.advance(to: 300_001)
      return (state, 300_001)
    case .refused:
      try state.take(.fail, at: 10_000)
      return (state, 60_000)
    default: try state.take(.validate, at: 0)
    }
    let moment = try lead(&state, to: place)
    return (state, moment)
  }

  private static func lead(_ state: inout SessionState, to place: Place) throws -> Int64 {
    switch place {
    case .resumed, .resumedAtOnce:
      try state.take(.pause, at: 10_000)
      try state.take(.resume, at: place == .resumed ? 20_000 : 10_000)
    case .pausedByHand: try state.take(.pause, at: 10_000)
    case .completed: try state.take(.complete(by: "user"), at: 10_000)
    case .failed: try state.take(.fail, at: 10_000)
    case .revoked: try state.take(.revoke, at: 10_000)
    case .pausedIdle:
      _ = state.advance(to: 200_000)
      return 200_000
    case .timedOut:
      try state.beats(from: 100_000, through: 200_000)
      _ = state.advance(to: 300_000)
      return 300_000
    case .abandoned:
      _ = state.advance(to: 1_900_000)
      return 1_900_000
    default: break
    }
    return 60_000
  }

  @Test(
    "every pair is as the table says", arguments: TransitionTableTests.Place.allCases,
    TransitionTableTests.Act.allCases)
  func pair(place: Place, act: Act) throws {
    let start = try TransitionTableTests.session(at: place)
    var state = start.state
    let answer: Answer
    do throws(Refusal) {
      let effects = try state.apply(act.event, at: start.moment)
      // The table gives an active session no reason; what it notes there is its own affair.
      let reason = state.phase == .active ? nil : state.reason
      answer =
        effects.isEmpty && state == start.state
        ? .unchanged : .to(state.phase, reason, effects.map(\.name))
    } catch {
      #expect(error.code == .invalidTransition)
      #expect(state == start.state)
      answer = .refused
    }
    #expect(answer == TransitionTableTests.expected(place, act))
  }

  @Test("the places are in the phases that they are named for")
  func places() throws {
    let phases: [(Place, SessionState.Phase, String?)] = [
      (.pending, .pending, nil), (.active, .active, nil), (.resumed, .active, nil),
      (.resumedAtOnce, .active, nil), (.pausedByHand, .paused, "manual"),
      (.pausedIdle, .paused, "idle"), (.completed, .completed, "user"),
      (.timedOut, .completed, "time_limit"), (.failed, .failed, "provider_error"),
      (.refused, .failed, "provider_refused"), (.revoked, .expired, "revoked"),
      (.notRedeemed, .expired, "not_redeemed"), (.abandoned, .expired, "abandoned"),
    ]
    for (place, phase, reason) in phases {
      let state = try TransitionTableTests.session(at: place).state
      #expect(state.phase == phase, "\(place)")
      if phase != .active { #expect(state.reason == reason, "\(place)") }
    }
  }

  @Test("only completed, failed and expired are terminal, and nothing is due there")
  func terminal() throws {
    for place in Place.allCases {
      let state = try TransitionTableTests.session(at: place).state
      let isEnd: Bool =
        switch state.phase {
        case .pending, .active, .paused: false
        case .completed, .failed, .expired: true
        }
      #expect(state.phase.isTerminal == isEnd)
      #expect((state.deadline == nil) == isEnd)
      #expect((state.endedAt != nil) == isEnd)
    }
  }

  @Test("events carry the moment at which they happened")
  func moments() throws {
    var state = SessionState.fresh()
    let started = try state.take(.validate, at: 1_000)
    #expect(started == [SessionState.Effect.emit("session.started", at: 1_000)])
    let paused = try state.take(.pause, at: 2_000)
    #expect(paused == [SessionState.Effect.emit("session.paused", at: 2_000)])
    let resumed = try state.take(.resume, at: 3_000)
    #expect(resumed == [SessionState.Effect.emit("session.resumed", at: 3_000)])
    let idle = state.advance(to: 500_000)
    #expect(idle == [SessionState.Effect.emit("session.paused", at: 123_000)])
    let ended = state.advance(to: 90_000_000)
    #expect(
      ended == [SessionState.Effect.settle, .emit("session.expired", at: 1_803_000)])
  }
}
