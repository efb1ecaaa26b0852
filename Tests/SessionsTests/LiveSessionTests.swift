import Identity
import Ledger
import Primitives
import Sessions
import Testing
import TestSupport

@Suite("Sessions: heartbeats, actors and keys")
struct LiveSessionTests {
  @Test("a heartbeat answers with what is left")
  func heartbeat() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    stage.clock.move(seconds: 30)
    let reply = try await stage.desk.heartbeat(
      session.id, by: .bearer(session.id), seq: 1, isActive: true)
    #expect(reply.text("state") == "active")
    #expect(reply.int("remainingMs") == 1_770_000)
    #expect(reply.int("nextHeartbeatSeconds") == 30)
    #expect(reply["warn"]?.bool == false)
    #expect(reply.text("endsAt") == (stage.clock.now + 1_770_000).rfc3339)
    #expect(reply["token"] == nil, "the token is good for long yet")
  }

  static let ages: [(Int64, SessionActor.TokenAge, Bool)] = [
    (0, .fresh, false), (599, .fresh, false), (600, .ageing, true), (601, .ageing, true),
    (929, .ageing, true),
  ]

  @Test("a fresh token comes when the old one nears its end", arguments: LiveSessionTests.ages)
  func renewal(seconds: Int64, age: SessionActor.TokenAge, isRenewed: Bool) async throws {
    let stage = try await Stage.open()
    let (session, token) = try await stage.startActive()
    try await stage.beat(session.id, times: seconds / 60)
    stage.clock.move(seconds: seconds % 60)
    let actor = try stage.desk.bearer(token)
    #expect(actor == SessionActor.bearer(session.id, age))
    let reply = try await stage.desk.heartbeat(session.id, by: actor, seq: 1_000, isActive: true)
    #expect((reply["token"] != nil) == isRenewed)
    if isRenewed {
      let next = try stage.desk.bearer(reply.text("token"))
      #expect(next == SessionActor.bearer(session.id, .fresh))
    }
  }

  @Test("the last five minutes are warned of")
  func warns() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    try await stage.beat(session.id, times: 24)
    stage.clock.move(seconds: 59)
    let before = try await stage.desk.heartbeat(
      session.id, by: .bearer(session.id), seq: 100, isActive: true)
    #expect(before["warn"]?.bool == false)
    stage.clock.move(seconds: 1)
    let from = try await stage.desk.heartbeat(
      session.id, by: .bearer(session.id), seq: 101, isActive: true)
    #expect(from["warn"]?.bool == true)
    #expect(from.int("remainingMs") == 300_000)
  }

  @Test("a repeated number changes nothing and gets the same reply")
  func repeated() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    stage.clock.move(seconds: 30)
    func beat(_ seq: Int64) async throws -> JSON {
      .object(
        try await stage.desk.heartbeat(
          session.id, by: .bearer(session.id, .ageing), seq: seq, isActive: true))
    }
    let first = try await beat(4)
    #expect(first["token"] != nil, "it comes again, too: no second one is made")
    let columns = "SELECT last_activity_ms || ' ' || active_ms || ' ' || last_seq FROM session"
    let before = try await stage.texts(columns)
    stage.clock.move(seconds: 30)
    #expect(try await beat(4).bytes == first.bytes)
    #expect(try await stage.texts(columns) == before)
    let older = try await beat(3)
    #expect(older["remainingMs"] == 1_740_000, "an older number gets the session as it is")
    #expect(try await stage.texts(columns) == before)
    #expect(try await beat(5).bytes != first.bytes)
  }

  static let changes: [(String, @Sendable (Stage, ID<SessionKind>) async throws -> Void)] = [
    ("a deadline", { stage, _ in stage.clock.move(seconds: 121) }),
    (
      "a pause",
      { stage, id in _ = try await stage.desk.transition(id, by: .provider("acme"), .pause) }
    ),
  ]

  @Test("a repeated number gets the session as it is after a change", arguments: [0, 1])
  func repeatedLater(change: Int) async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    stage.clock.move(seconds: 30)
    let beat: @Sendable () async throws -> JSONObject = {
      try await stage.desk.heartbeat(
        session.id, by: .bearer(session.id), seq: 1, isActive: true)
    }
    #expect(try await beat().text("state") == "active")
    let (name, act) = LiveSessionTests.changes[change]
    try await act(stage, session.id)
    #expect(try await beat().text("state") == "paused", "after \(name)")
    _ = try await stage.desk.transition(
      session.id, by: .provider("acme"), .complete(by: "provider"))
    #expect(try await stage.number("SELECT count(*) FROM heartbeat_reply") == 0)
  }

  @Test("an idle session pauses by itself and a late heartbeat resumes it at no cost")
  func idles() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    try await stage.beat(session.id, times: 1)
    stage.clock.move(seconds: 600)
    #expect(try await stage.view(session.id).text("reason") == "idle")
    let reply = try await stage.desk.heartbeat(
      session.id, by: .bearer(session.id), seq: 2, isActive: true)
    #expect(reply.text("state") == "active")
    #expect(reply.int("remainingMs") == 1_740_000)
    stage.clock.move(seconds: 60)
    let done = try await stage.desk.transition(
      session.id, by: .provider("acme"), .complete(by: "provider"))
    #expect(done.text("reason") == "provider")
    #expect(done.int("chargedMicrotokens") == 16_666_666)
    let events = try await stage.texts("SELECT type FROM outbox ORDER BY seq")
    #expect(
      events == ["session.started", "session.paused", "session.resumed", "session.completed"])
    let moment = try await stage.number(
      "SELECT occurred_ms FROM outbox WHERE type = 'session.paused'")
    #expect(moment == Stage.dawn + 180_000)
    #expect(try await stage.faults() == [])
  }

  static let endings: [SessionState.Event] = [.complete(by: "user"), .fail, .revoke]

  @Test("a heartbeat of an ended session is refused", arguments: LiveSessionTests.endings)
  func endedHeartbeat(ending: SessionState.Event) async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    _ = try await stage.desk.transition(session.id, by: .admin, ending)
    let code = try await awaitedRefusal {
      try await stage.desk.heartbeat(
        session.id, by: .bearer(session.id), seq: 1, isActive: true)
    }
    // A revoked session's tokens are refused at once; the others' transition is not in the table.
    #expect(code == (ending == .revoke ? ProblemCode.tokenInvalid : .invalidTransition))
  }

  // MARK: Session tokens

  @Test("a session token names its session for 15 minutes")
  func bearerLife() async throws {
    let stage = try await Stage.open()
    let (session, token) = try await stage.startActive()
    stage.clock.move(seconds: 929)
    let actor = try stage.desk.bearer(token)
    #expect(actor == SessionActor.bearer(session.id, .ageing))
    stage.clock.move(seconds: 1)
    // For half an hour more it can wake a paused session, and nothing else.
    #expect(try stage.desk.bearer(token) == SessionActor.bearer(session.id, .late))
    stage.clock.move(seconds: 1_800)
    let code = try await awaitedRefusal { try stage.desk.bearer(token) }
    #expect(code == ProblemCode.tokenExpired)
  }

  @Test("a launch token is no session token")
  func kinds() async throws {
    let stage = try await Stage.open()
    let (session, token) = try await stage.startActive()
    for wrong in [session.token, "", "a.b.c", token + "."] {
      let code = try await awaitedRefusal { try stage.desk.bearer(wrong) }
      #expect(code == ProblemCode.tokenInvalid)
    }
  }

  @Test("a paused session takes a token that expired less than 30 minutes ago")
  func pausedToken() async throws {
    let stage = try await Stage.open()
    let (session, token) = try await stage.startActive()
    _ = try await stage.desk.transition(session.id, by: .user(.anna), .pause)
    stage.clock.move(seconds: 1_500)
    let actor = try stage.desk.bearer(token)
    let reply = try await stage.desk.heartbeat(session.id, by: actor, seq: 1, isActive: true)
    #expect(reply.text("state") == "active")
    #expect(reply.text("token") != "absent")
  }

  @Test("a late token resumes and brings a fresh one, and does nothing else")
  func lateResume() async throws {
    let stage = try await Stage.open()
    let (session, token) = try await stage.startActive()
    _ = try await stage.desk.transition(session.id, by: .user(.anna), .pause)
    stage.clock.move(seconds: 1_500)
    let actor = try stage.desk.bearer(token)
    #expect(actor == SessionActor.bearer(session.id, .late))
    for event in [SessionState.Event.complete(by: "provider"), .fail, .pause] {
      let code = try await awaitedRefusal {
        try await stage.desk.transition(session.id, by: actor, event)
      }
      #expect(code == ProblemCode.tokenExpired)
    }
    let view = try await stage.desk.transition(session.id, by: actor, .resume)
    #expect(view.text("state") == "active")
    let next = try stage.desk.bearer(view.text("token"))
    #expect(next == SessionActor.bearer(session.id))
    let active = try await awaitedRefusal {
      try await stage.desk.transition(session.id, by: actor, .pause)
    }
    #expect(active == ProblemCode.tokenExpired)
  }

  // MARK: Actors

  @Test("whom a session does not concern does not find it")
  func foreign() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    let other = try await stage.start(by: .bert)
    let strangers: [SessionActor] = [.user(.bert), .provider("other"), .bearer(other.id)]
    for actor in strangers {
      let read = try await awaitedRefusal { try await stage.desk.session(session.id, for: actor) }
      #expect(read == ProblemCode.notFound)
      let events: [SessionState.Event] = [.pause, .resume, .complete(by: "user"), .fail, .revoke]
      for event in events {
        let code = try await awaitedRefusal {
          try await stage.desk.transition(session.id, by: actor, event)
        }
        #expect(code == ProblemCode.notFound)
      }
      let beat = try await awaitedRefusal {
        try await stage.desk.heartbeat(session.id, by: actor, seq: 1, isActive: true)
      }
      #expect(beat == ProblemCode.notFound)
    }
    #expect(try await stage.view(session.id).text("state") == "active")
  }

  @Test("only the session token is a sign of life")
  func heartbeatActors() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    for actor in [SessionActor.user(.anna), .provider("acme"), .admin] {
      let code = try await awaitedRefusal {
        try await stage.desk.heartbeat(session.id, by: actor, seq: 1, isActive: true)
      }
      #expect(code == ProblemCode.forbidden)
    }
  }

  @Test("user, provider, bearer and admin find their session")
  func concerned() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    let actors: [SessionActor] = [
      .user(.anna), .provider("acme"), .bearer(session.id), .admin,
    ]
    for actor in actors {
      let view = try await stage.desk.session(session.id, for: actor)
      #expect(view.text("id") == session.id.text)
    }
    let unknown = try await awaitedRefusal {
      try await stage.desk.session(ID(high: 9, low: 9), for: .admin)
    }
    #expect(unknown == ProblemCode.notFound)
  }

  @Test("a user's sessions come newest first, page by page, and nobody else's")
  func list() async throws {
    let stage = try await Stage.open()
    var second = Listing()
    second.id = "second"
    try await stage.list(second)
    let first = try await stage.start()
    // In the same millisecond: pages must not lose one of them.
    let last = try await stage.start("second")
    let foreign = try await stage.start(by: .bert)
    let pair = try await stage.desk.sessions(of: .user(.anna), before: nil, limit: 10)
    second.id = "third"
    try await stage.list(second)
    stage.clock.move(seconds: 1)
    let third = try await stage.start("third")
    let all = try await stage.desk.sessions(of: .user(.anna), before: nil, limit: 10)
    #expect(all.first?.text("id") == third.id.text, "the newest comes first")
    #expect(all.dropFirst().map { $0.text("id") } == pair.map { $0.text("id") })
    #expect(Set(all.map { $0.text("id") }) == [third.id.text, last.id.text, first.id.text])
    let newest = try #require(all.first.flatMap { ID<SessionKind>($0.text("id")) })
    let page = try await stage.desk.sessions(of: .user(.anna), before: nil, limit: 1)
    #expect(page == Array(all.prefix(1)))
    let rest = try await stage.desk.sessions(of: .user(.anna), before: newest, limit: 10)
    #expect(rest == Array(all.dropFirst()))
    let none = try await stage.desk.sessions(of: .user(.anna), before: foreign.id, limit: 10)
    #expect(none.isEmpty, "another's session is no place in the list")
  }

  // MARK: Keys

  private func complete(
    _ stage: Stage, _ id: ID<SessionKind>, key: String
  ) async throws -> Idempotency.Answer {
    let keyed = try Idempotency.Key(
      principal: .user(.anna, .user, providerID: nil),
      route: "POST /v1/sessions/\(id.text)/complete", key: key, body: [:])
    return try await stage.desk.transition(
      id, by: .user(.anna), .complete(by: "user"), key: keyed,
      refused: { refusal in Stage.answer(refusal) })
  }

  @Test("a keyed completion settles once and is replayed word for word")
  func keyed() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    try await stage.beat(session.id, times: 3)
    let first = try await complete(stage, session.id, key: "end")
    stage.clock.move(seconds: 500)
    let second = try await complete(stage, session.id, key: "end")
    #expect(first.status == 200)
    #expect(second.isReplayed)
    #expect(second.body == first.body)
    let other = try await complete(stage, session.id, key: "other")
    #expect(other.status == 200)
    #expect(!other.isReplayed)
    let captures = try await stage.number("SELECT count(*) FROM transfer WHERE kind = 'capture'")
    #expect(captures == 1)
    #expect(try await stage.balance(.acme).balance == Microtokens(25_000_000))
  }

  @Test("the token of a revoked session gets no answer that was given before")
  func revokedReplay() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    func pause(_ actor: SessionActor) async throws -> Idempotency.Answer {
      try await stage.desk.transition(
        session.id, by: actor, .pause, key: Stage.key("pause", "one"),
        refused: { refusal in Stage.answer(refusal) })
    }
    #expect(try await pause(.bearer(session.id)).status == 200)
    #expect(try await pause(.bearer(session.id)).isReplayed)
    _ = try await stage.desk.transition(session.id, by: .user(.anna), .revoke)
    #expect(try await awaitedRefusal { try await pause(.bearer(session.id)) } == .tokenInvalid)
    #expect(try await pause(.provider("acme")).isReplayed)
  }

  @Test("a keyed refusal is stored and nothing is written")
  func keyedRefusal() async throws {
    let stage = try await Stage.open()
    let started = try await stage.start()
    let refused = try await complete(stage, started.id, key: "end")
    #expect(refused.status == 409)
    #expect(try code(refused) == "invalid_transition")
    #expect(try await stage.texts("SELECT state FROM session") == ["pending"])
    _ = try await stage.desk.validate(token: started.token, provider: "acme", origin: nil)
    let replayed = try await complete(stage, started.id, key: "end")
    #expect(replayed.isReplayed)
    #expect(replayed.body == refused.body)
    #expect(try await stage.texts("SELECT state FROM session") == ["active"])
  }

  @Test("a revocation releases a pending session and settles an active one")
  func revokes() async throws {
    let stage = try await Stage.open()
    let pending = try await stage.start(by: .bert)
    let void = try await stage.desk.transition(pending.id, by: .user(.bert), .revoke)
    #expect(void.text("state") == "expired")
    #expect(void.text("reason") == "revoked")
    #expect(void.int("chargedMicrotokens") == 0)
    let (session, _) = try await stage.startActive()
    try await stage.beat(session.id, times: 3)
    let settled = try await stage.desk.transition(session.id, by: .admin, .revoke)
    #expect(settled.int("chargedMicrotokens") == 25_000_000)
    #expect(try await stage.faults() == [])
  }
}
