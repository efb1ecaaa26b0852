import Primitives
import Sessions
import Testing

/// Specification core, 3.2: every pair of a place and an event, listed or refused, for every way of paying.
@Suite("Sessions: the table of transitions")
struct TransitionTableTests {
  /// The phases, told apart by what led there.
  enum Place: String, CaseIterable, Sendable {
    case pending, active, resumed, resumedAtOnce, pausedByHand, pausedIdle
    case completed, timedOut, failed, refused, depleted, revoked, notRedeemed, abandoned, capped

    /// The name that the table has for it.
    var row: String {
      switch self {
      case .active, .resumed, .resumedAtOnce: "ACTIVE"
      case .pausedByHand, .pausedIdle: "PAUSED"
      default: rawValue
      }
    }
  }

  enum Act: String, CaseIterable, Sendable {
    case validate, beat, idleBeat, pause, resume, complete, fail, revoke, extend, tooLong, deplete

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
      case .extend: .extend(by: 150 * 60_000)
      case .tooLong: .extend(by: 176 * 60_000)
      case .deplete: .deplete
      }
    }
  }

  /// The table of the specification, a pair a line: from | event | who pays | to (reason) | effects. "*" is any
  /// plan, "=" stands for the place itself. What no line has is refused; a pair that repeats what led to its place
  /// has no effect.
  static let table = """
    pending      | validate | *            | active                    | session.started
    pending      | fail     | *            | failed (provider_refused) | release session.failed
    pending      | revoke   | *            | expired (revoked)         | release session.expired
    ACTIVE       | beat     | *            | =                         |
    ACTIVE       | idleBeat | *            | =                         |
    ACTIVE       | pause    | *            | paused (manual)           | session.paused
    ACTIVE       | complete | *            | completed (user)          | settle session.completed
    ACTIVE       | fail     | *            | failed (provider_error)   | settle session.failed
    ACTIVE       | revoke   | *            | expired (revoked)         | settle session.expired
    ACTIVE       | extend   | hourly usage | =                         | session.extended
    ACTIVE       | deplete  | usage        | failed (tokens_depleted)  | settle tokens.depleted session.failed
    PAUSED       | beat     | *            | active                    | session.resumed
    PAUSED       | resume   | *            | active                    | session.resumed
    PAUSED       | idleBeat | *            | =                         |
    PAUSED       | complete | *            | completed (user)          | settle session.completed
    PAUSED       | fail     | *            | failed (provider_error)   | settle session.failed
    PAUSED       | revoke   | *            | expired (revoked)         | settle session.expired
    PAUSED       | extend   | hourly usage | =                         | session.extended
    """

  /// The event that led to each place, and does nothing there again.
  static let repeats: [Place: Act] = [
    .resumed: .resume, .resumedAtOnce: .resume, .pausedByHand: .pause, .completed: .complete,
    .failed: .fail, .refused: .fail, .revoked: .revoke,
  ]

  enum Answer: Equatable, Sendable {
    /// `invalid_transition`, nothing changed.
    case refused
    /// The event repeats what led here: no effect.
    case unchanged
    /// The new phase, its reason and the effects.
    case to(SessionState.Phase, String?, [String])
  }

  static func expected(_ place: Place, _ act: Act, _ plan: SessionState.Plan) throws -> Answer {
    if repeats[place] == act { return .unchanged }
    for line in table.split(separator: "\n") {
      let cells = line.split(separator: "|", omittingEmptySubsequences: false).map { cell in
        cell.split(separator: " ").map(String.init)
      }
      try #require(cells.count == 5, "\(line)")
      guard cells[0] == [place.row], cells[1] == [act.rawValue],
        cells[2] == ["*"] || cells[2].contains(plan.rawValue)
      else { continue }
      if cells[3] == ["="] {
        let state = try session(at: place, plan).state
        return .to(state.phase, state.phase == .active ? nil : state.reason, cells[4])
      }
      let phase = try #require(SessionState.Phase(rawValue: cells[3][0]))
      let reason = cells[3].count > 1 ? String(cells[3][1].dropFirst().dropLast()) : nil
      return .to(phase, reason, cells[4])
    }
    return .refused
  }

  /// A session at a place, and the moment it is there.
  static func session(
    at place: Place, _ plan: SessionState.Plan = .usage
  ) throws -> (state: SessionState, moment: Int64) {
    // Only what is paid by use can be used up.
    var state = SessionState.fresh(
      minutes: place == .timedOut ? 5 : 30, plan: place == .depleted ? .usage : plan)
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
    case .depleted: try state.take(.deplete, at: 10_000)
    case .capped:
      for index in Int64(0)..<51 {
        try state.take(.pause, at: 1_000 + index * 1_700_000)
        if index < 50 { try state.take(.resume, at: (index + 1) * 1_700_000) }
      }
      _ = state.advance(to: 86_400_000)
      return 86_400_000
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
    for plan in SessionState.Plan.allCases { try pair(place, act, plan) }
  }

  private func pair(_ place: Place, _ act: Act, _ plan: SessionState.Plan) throws {
    let start = try TransitionTableTests.session(at: place, plan)
    var state = start.state
    let answer: Answer
    do throws(Refusal) {
      let effects = try state.apply(act.event, at: start.moment)
      // The table gives an active session no reason; what it notes there is its own affair.
      let reason = state.phase == .active ? nil : state.reason
      let isRepeat = TransitionTableTests.repeats[place] == act
      answer =
        isRepeat && effects.isEmpty && state == start.state
        ? .unchanged : .to(state.phase, reason, effects.map(\.name))
    } catch {
      #expect(error.code == .invalidTransition)
      #expect(state == start.state)
      answer = .refused
    }
    let expected = try TransitionTableTests.expected(place, act, plan)
    #expect(answer == expected, "\(plan)")
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
      (.depleted, .failed, "tokens_depleted"), (.capped, .expired, "wall_clock_cap"),
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
