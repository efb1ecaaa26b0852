import Identity
import Ledger
import Primitives
import SQLite
import Sessions
import Testing
import TestSupport

/// Deadlines are columns: what was due while nobody looked is applied first, as of its own time.
@Suite("Sessions: late sweeps and restarts")
struct LateRestartTests {
  static let absences: [Int64] = [1_801, 10_800, 86_400, 90_000, 2_592_000]

  @Test("one session that cannot be settled holds up no other")
  func damaged() async throws {
    let stage = try await Stage.open()
    let broken = try await stage.start()
    _ = try await stage.start(by: .bert)
    try await stage.database.write { connection throws in
      _ = try connection.run(
        """
        UPDATE hold SET state = 'captured', captured = amount WHERE id =
        (SELECT hold_id FROM session_hold WHERE session_id = ?)
        """, [.blob(broken.id.bytes)])
    }
    stage.clock.move(seconds: 301)
    try await stage.desk.sweep()
    let states = "SELECT state || ' ' || flagged FROM session ORDER BY flagged"
    #expect(try await stage.texts(states) == ["expired 0", "pending 1"])
    #expect(try await stage.number("SELECT count(*) FROM session WHERE deadline_ms IS NULL") == 2)
    _ = try await stage.start(by: .bert)
  }

  @Test("proposals that came to nothing go a day after their end")
  func prunes() async throws {
    let stage = try await Stage.open()
    _ = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    _ = try await stage.start(by: .bert)
    stage.clock.move(seconds: 86_400 + 300)
    try await stage.desk.prune()
    #expect(try await stage.number("SELECT count(*) FROM proposal") == 2)
    stage.clock.move(seconds: 1)
    try await stage.desk.prune()
    #expect(try await stage.texts("SELECT state FROM proposal") == ["consumed"])
  }

  @Test(
    "a restart after any time settles up to the last activity", arguments: LateRestartTests.absences
  )
  func abandoned(seconds: Int64) async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    try await stage.beat(session.id, times: 1)
    stage.clock.move(seconds: seconds)
    let late = try stage.restarted()
    try await late.desk.sweep()
    let view = try await late.view(session.id)
    #expect(view.text("state") == "expired")
    #expect(view.text("reason") == "abandoned")
    #expect(view.int("chargedMicrotokens") == 8_333_333)
    #expect(try await late.balance(.acme).balance == Microtokens(8_333_333))
    #expect(try await late.balance(.grants).available == Microtokens(991_666_667))
    #expect(try await late.texts("SELECT state FROM hold") == ["captured"])
    let ended = try await late.number("SELECT ended_ms FROM session")
    #expect(ended == Stage.dawn + 60_000 + 1_800_000)
    let settled = try await late.number("SELECT at_ms FROM transfer WHERE kind = 'capture'")
    #expect(settled == ended)
    #expect(try await late.faults() == [])
  }

  @Test("a pending session that nobody redeemed releases its hold, however late")
  func pending() async throws {
    let stage = try await Stage.open()
    _ = try await stage.start()
    stage.clock.move(seconds: 200_000)
    let late = try stage.restarted()
    try await late.desk.sweep()
    #expect(try await late.texts("SELECT reason FROM session") == ["not_redeemed"])
    #expect(try await late.texts("SELECT state FROM hold") == ["voided"])
    #expect(try await late.balance(.grants).available == Microtokens(1_000_000_000))
    #expect(try await late.faults() == [])
  }

  @Test("while nothing may be written a session's deadlines are shown, and settled later")
  func held() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    try await stage.beat(session.id, times: 1)
    stage.clock.move(seconds: 100_000)
    stage.database.hold(Refusal(.storageUnavailable, "Not now."))
    #expect(try await stage.view(session.id).text("state") == "expired")
    #expect(try await stage.texts("SELECT state FROM session") == ["active"])
    let own = try await stage.desk.sessions(of: .user(.anna), before: nil, limit: 10)
    #expect(own.map { $0.text("id") } == [session.id.text])
    #expect(try await awaitedRefusal { try await stage.desk.sweep() } == .storageUnavailable)
    #expect(try await stage.texts("SELECT state FROM hold") == ["open"])
    try await stage.desk.sweep(through: stage.database.writing(as: .opening))
    #expect(try await stage.view(session.id).text("reason") == "abandoned")
    stage.database.release()
    let ended = try await stage.number("SELECT at_ms FROM transfer WHERE kind = 'capture'")
    #expect(ended == Stage.dawn + 60_000 + 1_800_000)
    #expect(try await stage.faults() == [])
  }

  @Test("what a request depends on is settled before it is answered")
  func settlesFirst() async throws {
    var policy = TrialPolicy()
    policy.repeatsMax = 10
    let stage = try await Stage.open(policy: policy, budget: 250)
    let (session, _) = try await stage.startActive()
    try await stage.beat(session.id, times: 1)
    stage.clock.move(seconds: 100_000)
    let late = try stage.restarted()
    // The open trial and its hold would both be in the way.
    let proposal = try await late.desk.propose(serviceID: "scribe", to: .anna)
    let answer = try await late.confirm(proposal.id, key: "late")
    #expect(try code(answer) == "trial_budget_exhausted")
    let events = try await late.texts("SELECT type FROM outbox ORDER BY seq")
    #expect(events == ["session.started", "session.paused", "session.expired"])
    #expect(try await late.faults() == [])
  }

  @Test("a restart with more due sessions than one sweep takes settles all of them")
  func many() async throws {
    var policy = TrialPolicy()
    policy.perProviderDayMax = 1_000
    let stage = try await Stage.open(policy: policy, budget: 100_000)
    for index in UInt64(0)..<260 {
      let person = ID<UserKind>(high: 100, low: index)
      try await stage.join(person)
      _ = try await stage.start(by: person)
    }
    stage.clock.move(seconds: 90_000)
    let late = try stage.restarted()
    try await late.desk.sweep()
    let open = try await late.number("SELECT count(*) FROM session WHERE state = 'pending'")
    #expect(open == 0)
    let expired = try await late.number("SELECT count(*) FROM hold WHERE state = 'expired'")
    #expect(expired == 0)
    #expect(try await late.balance(.grants).held == Microtokens(0))
    #expect(try await late.faults() == [])
  }

  // MARK: Any schedule

  private static func transfers(_ stage: Stage) async throws -> [String] {
    let rows = try await stage.texts(
      "SELECT printf('%s %d %s %d', kind, amount, reason, at_ms) FROM transfer ORDER BY seq")
    let events = try await stage.texts(
      "SELECT printf('%s %d', type, occurred_ms) FROM outbox ORDER BY seq")
    let states = try await stage.texts(
      """
      SELECT printf('%s %s %d %d %d %d', state, reason, charged, active_ms, paused_ms, ended_ms)
      FROM session
      """)
    return rows + events + states
  }

  private static func act(_ roll: Int, _ seq: Int64, _ id: ID<SessionKind>, _ stage: Stage)
    async throws
  {
    let event: SessionState.Event
    switch roll {
    case ..<70: event = .heartbeat(seq: seq, isActive: roll < 60)
    case ..<82: event = .pause
    case ..<96: event = .resume
    default: event = .complete(by: "user")
    }
    // Only the session token is a sign of life.
    let actor: SessionActor = roll < 70 ? .bearer(id) : .user(.anna)
    _ = try await awaitedRefusal { try await stage.desk.transition(id, by: actor, event) }
  }

  /// Plays a session that the seed decides; a disturbed one is swept and restarted in between.
  private static func play(seed: UInt64, isDisturbed: Bool) async throws -> [String] {
    var script = SplitMix64(seed: seed)
    var noise = SplitMix64(seed: seed &+ 1_000)
    var stage = try await Stage.open(seed: seed)
    let (session, _) = try await stage.startActive()
    for seq in Int64(1)...25 {
      let isLong = Int.random(in: 0..<10, using: &script) == 0
      let gap = Int64.random(in: 1...(isLong ? 1_900_000 : 125_000), using: &script)
      let roll = Int.random(in: 0..<100, using: &script)
      if isDisturbed {
        let part = Int64.random(in: 0...gap, using: &noise)
        stage.clock.move(milliseconds: part)
        if Bool.random(using: &noise) { stage = try stage.restarted() }
        try await stage.desk.sweep()
        stage.clock.move(milliseconds: gap - part)
      } else {
        stage.clock.move(milliseconds: gap)
      }
      try await act(roll, seq, session.id, stage)
    }
    stage.clock.move(seconds: 200_000)
    try await stage.desk.sweep()
    #expect(try await stage.faults() == [])
    return try await transfers(stage)
  }

  @Test(
    "sweeps and restarts in between change neither ledger, events nor session",
    arguments: 0..<12 as Range<UInt64>)
  func schedule(seed: UInt64) async throws {
    let plain = try await LateRestartTests.play(seed: seed, isDisturbed: false)
    let disturbed = try await LateRestartTests.play(seed: seed, isDisturbed: true)
    #expect(disturbed == plain)
  }
}
