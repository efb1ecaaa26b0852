import Identity
import Ledger
import Primitives
import SQLite
import Sessions
import Testing
import TestSupport

/// Specification core, 5: what a second use of a launch token gets, and the first heartbeat in place of validate.
@Suite("Sessions: redemptions and their repeats")
struct RedemptionTests {
  private static func validate(
    _ stage: Stage, _ session: Started, provider: String? = "acme", origin: String? = nil
  ) async throws -> [UInt8] {
    let view = try await stage.desk.validate(
      token: session.token, provider: provider, origin: origin)
    return JSON.object(view).bytes
  }

  static let delays: [(Int64, Bool)] = [
    (0, true), (29_000, true), (30_000, true), (30_001, false), (31_000, false),
  ]

  @Test("within 30 s the provider's server gets the same reply, byte for byte", arguments: delays)
  func sameBytes(milliseconds: Int64, isSame: Bool) async throws {
    let stage = try await Stage.open()
    let started = try await stage.start()
    let first = try await RedemptionTests.validate(stage, started)
    // What happens in between does not change it: the caller lost the reply, not the time.
    stage.clock.move(milliseconds: milliseconds)
    let later = try stage.restarted()
    if isSame {
      #expect(try await RedemptionTests.validate(later, started) == first)
      #expect(try await later.number("SELECT flagged FROM session") == 0)
    } else {
      let code = try await awaitedRefusal { try await RedemptionTests.validate(later, started) }
      #expect(code == ProblemCode.tokenReused)
      #expect(try await later.number("SELECT flagged FROM session") == 1)
    }
    #expect(try await later.texts("SELECT type FROM outbox") == ["session.started"])
  }

  @Test("the stored reply does not show its token")
  func sealed() async throws {
    let stage = try await Stage.open()
    _ = try await stage.startActive()
    let stored = try await stage.database.read { connection in
      try connection.first("SELECT reply FROM launch") { row in row.blob(0) }
    }
    let isShown = String(decoding: try #require(stored), as: UTF8.self).contains("token")
    #expect(!isShown)
    stage.clock.move(seconds: 30)
    try await stage.desk.prune()
    #expect(try await stage.number("SELECT count(*) FROM launch WHERE reply IS NOT NULL") == 1)
    stage.clock.move(milliseconds: 1)
    try await stage.desk.prune()
    #expect(try await stage.number("SELECT count(*) FROM launch WHERE reply IS NOT NULL") == 0)
    #expect(try await stage.number("SELECT count(*) FROM launch") == 1)
  }

  @Test("a redemption is forgotten a day later, when its token has long expired")
  func forgotten() async throws {
    let stage = try await Stage.open()
    _ = try await stage.startActive()
    stage.clock.move(seconds: 86_400)
    try await stage.desk.prune()
    #expect(try await stage.number("SELECT count(*) FROM launch") == 1)
    stage.clock.move(milliseconds: 1)
    try await stage.desk.prune()
    #expect(try await stage.number("SELECT count(*) FROM launch") == 0)
    #expect(try await stage.number("SELECT count(*) FROM session") == 1)
  }

  @Test("another provider with a used token is refused, and the session is flagged and paused")
  func otherProvider() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    stage.clock.move(seconds: 5)
    for _ in 0..<2 {
      let code = try await awaitedRefusal {
        try await RedemptionTests.validate(stage, session, provider: "other")
      }
      #expect(code == ProblemCode.tokenReused)
    }
    #expect(try await stage.number("SELECT flagged FROM session") == 1)
    let view = try await stage.view(session.id)
    #expect(view.text("state") == "paused")
    #expect(view.text("reason") == "manual")
    #expect(view.int("activeSeconds") == 5)
    let events = try await stage.texts("SELECT type FROM outbox ORDER BY seq")
    #expect(events == ["session.started", "session.paused"])
    let nobody = try await awaitedRefusal {
      try await RedemptionTests.validate(stage, session, provider: nil)
    }
    #expect(nobody == ProblemCode.unauthenticated)
  }

  // MARK: Public apps

  static let origins: [(String?, Bool)] = [
    ("https://app.acme.example", true), ("https://app.acme.example/", false),
    ("https://APP.acme.example", false), ("http://app.acme.example", false),
    ("https://app.acme.example:444", false), ("https://evil.example", false), ("null", false),
    (nil, false),
  ]

  @Test("a public app redeems from its registered origin only", arguments: origins)
  func publicApp(origin: String?, isAllowed: Bool) async throws {
    var listing = Listing()
    listing.appOrigin = "https://app.acme.example/start"
    let stage = try await Stage.open(listing)
    let started = try await stage.start()
    let code = try await awaitedRefusal {
      try await RedemptionTests.validate(stage, started, provider: nil, origin: origin)
    }
    #expect(code == (isAllowed ? nil : ProblemCode.originNotAllowed))
    #expect(
      try await stage.texts("SELECT state FROM session") == [isAllowed ? "active" : "pending"])
    if isAllowed {
      let again = try await awaitedRefusal {
        try await RedemptionTests.validate(stage, started, provider: nil, origin: origin)
      }
      #expect(again == ProblemCode.tokenReused)
      #expect(try await stage.texts("SELECT state FROM session") == ["active"])
    }
  }

  // MARK: The first heartbeat

  @Test("the first heartbeat redeems by the same rules, starts the session and brings a token")
  func firstHeartbeat() async throws {
    let stage = try await Stage.open()
    let started = try await stage.start()
    stage.clock.move(seconds: 300)
    func beat(_ provider: String?, _ id: ID<SessionKind>? = nil) async throws -> JSONObject {
      try await stage.desk.firstHeartbeat(
        id ?? started.id, token: started.token, provider: provider, origin: nil, seq: 1,
        isActive: true)
    }
    #expect(try await awaitedRefusal { try await beat(nil) } == ProblemCode.unauthenticated)
    #expect(try await awaitedRefusal { try await beat("other") } == ProblemCode.forbidden)
    let wrong = try await awaitedRefusal { try await beat("acme", ID(high: 4, low: 4)) }
    #expect(wrong == ProblemCode.notFound)
    #expect(try await stage.texts("SELECT state FROM session") == ["pending"])
    let reply = try await beat("acme")
    #expect(reply.text("state") == "active")
    #expect(reply.int("remainingMs") == 1_800_000)
    let actor = try stage.desk.bearer(reply.text("token"))
    #expect(actor == SessionActor.bearer(started.id))
    #expect(try await stage.number("SELECT last_seq FROM session") == 1)
    #expect(try await beat("acme") == reply, "a lost reply comes again")
    let validated = try await stage.desk.validate(
      token: started.token, provider: "acme", origin: nil)
    #expect(validated == reply)
    stage.clock.move(milliseconds: 30_001)
    #expect(try await awaitedRefusal { try await beat("acme") } == ProblemCode.tokenReused)
  }

  @Test("a launch token names a live caller only until it is a session token's turn")
  func liveActor() async throws {
    let stage = try await Stage.open()
    let (session, bearer) = try await stage.startActive()
    let launch = try stage.desk.liveActor(session.token)
    #expect(launch == SessionActor.launch(token: session.token))
    let live = try stage.desk.liveActor(bearer)
    #expect(live == SessionActor.bearer(session.id))
    for event in [SessionState.Event.pause, .complete(by: "provider"), .revoke] {
      let code = try await awaitedRefusal {
        try await stage.desk.transition(session.id, by: launch, event)
      }
      #expect(code == ProblemCode.notFound)
    }
    for wrong in ["", "a.b.c", bearer + "A"] {
      let code = try await awaitedRefusal { try stage.desk.liveActor(wrong) }
      #expect(code == ProblemCode.tokenInvalid)
    }
  }

  // MARK: Lists

  @Test("a provider lists the sessions that it runs, with its own name for each user")
  func providerList() async throws {
    let stage = try await Stage.open()
    let anna = try await stage.start()
    stage.clock.move(seconds: 1)
    let bert = try await stage.start(by: .bert)
    var foreign = Listing()
    foreign.id = "foreign"
    foreign.provider = "other"
    try await stage.list(foreign)
    _ = try await stage.start("foreign")
    let all = try await stage.desk.sessions(of: .provider("acme"), before: nil, limit: 10)
    #expect(all.map { $0.text("id") } == [bert.id.text, anna.id.text])
    #expect(Set(all.map { $0.text("userId") }).count == 2)
    for user in [ID<UserKind>.anna, .bert] {
      let isNamed = all.contains { JSON.object($0).text.contains(user.text) }
      #expect(!isNamed)
    }
    let page = try await stage.desk.sessions(of: .provider("acme"), before: bert.id, limit: 10)
    #expect(page.map { $0.text("id") } == [anna.id.text])
    let own = try await stage.desk.sessions(of: .user(.bert), before: nil, limit: 10)
    #expect(own.first?["userId"] == nil)
    let none = try await stage.desk.sessions(of: .admin, before: nil, limit: 10)
    #expect(none.isEmpty)
  }

  // MARK: Events

  @Test("events carry ids and figures only, below 20 kB, each with a name of its own")
  func events() async throws {
    let stage = try await Stage.shop()
    let session = try await stage.buy()
    try await stage.beat(session.id, times: 5)
    _ = try await stage.desk.transition(session.id, by: .user(.anna), .pause)
    _ = try await stage.desk.transition(session.id, by: .user(.anna), .resume)
    _ = try await stage.desk.transition(session.id, by: .user(.anna), .pause)
    _ = try await stage.desk.transition(session.id, by: .user(.anna), .resume)
    _ = try await stage.extend(session.id, minutes: 5)
    _ = try await stage.finish(session.id)
    let payloads = try await stage.texts("SELECT payload FROM outbox ORDER BY seq")
    let types = try await stage.texts("SELECT type FROM outbox ORDER BY seq")
    #expect(
      types == [
        "session.started", "session.paused", "session.resumed", "session.paused",
        "session.resumed", "session.extended", "session.completed",
      ])
    let states = ["active", "paused", "active", "paused", "active", "active", "completed"]
    for (index, payload) in payloads.enumerated() {
      #expect(payload.utf8.count < 20_000)
      let isNamed = payload.contains(ID<UserKind>.anna.text)
      #expect(!isNamed)
      let body = try #require(try JSON.parse(Array(payload.utf8)).object)
      #expect(body.keys == ["type", "timestamp", "data"])
      #expect(body.text("type") == types[index])
      // Each tells of the session as it was then.
      #expect(body["data"]?["state"]?.string == states[index])
      #expect(body["data"]?["id"]?.string == session.id.text)
      #expect(body["data"]?["userId"]?.string?.utf8.count == 43)
    }
    let names = try await stage.texts("SELECT event_id FROM outbox")
    #expect(Set(names).count == types.count)
  }
}
