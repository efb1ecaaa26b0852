import Identity
import Ledger
import Primitives
import Sessions
import Testing
import TestSupport

@Suite("Trials: from proposal to settlement")
struct TrialFlowTests {
  @Test("a proposal says what is agreed to and moves nothing")
  func proposes() async throws {
    let stage = try await Stage.open()
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    let view = proposal.json
    #expect(view.text("id") == proposal.id.text)
    #expect(view.text("kind") == "trial")
    #expect(view.text("serviceId") == "scribe")
    #expect(view.text("serviceName") == "Scribe")
    #expect(view.text("provider") == "Acme Labs")
    #expect(view.text("offerId") == "hourly")
    #expect(view.int("durationMinutes") == 30)
    #expect(view.int("maxTokens") == 250)
    #expect(view.int("heldMicrotokens") == 250_000_000)
    #expect(view.text("paidBy") == "platform")
    #expect(view.int("userPaysMicrotokens") == 0)
    #expect(view.text("expiresAt") == (stage.clock.now + 300_000).rfc3339)
    let text = view.text("text")
    for fact in ["Scribe", "Acme Labs", "30 minutes", "You pay 0 tokens", "up to 250"] {
      let isSaid = text.contains(fact)
      #expect(isSaid, "\(fact) in \(text)")
    }
    let grants = try await stage.balance(.grants)
    #expect(grants.balance == Microtokens(1_000_000_000))
    #expect(grants.held == Microtokens(0))
    #expect(try await stage.number("SELECT count(*) FROM session") == 0)
    #expect(try await stage.number("SELECT count(*) FROM hold") == 0)
  }

  @Test("a confirmation holds the price of the full time and opens a pending session")
  func confirms() async throws {
    let stage = try await Stage.open()
    let started = try await stage.start()
    #expect(started.view.text("state") == "pending")
    #expect(started.view.text("kind") == "trial")
    #expect(started.view.text("serviceId") == "scribe")
    #expect(started.view.text("offerId") == "hourly")
    #expect(started.view.int("durationMinutes") == 30)
    #expect(started.view.int("heldMicrotokens") == 250_000_000)
    #expect(started.view.text("paidBy") == "platform")
    #expect(started.view.text("redeemBefore") == (stage.clock.now + 300_000).rfc3339)
    let grants = try await stage.balance(.grants)
    #expect(grants.balance == Microtokens(1_000_000_000))
    #expect(grants.held == Microtokens(250_000_000))
    #expect(try await stage.texts("SELECT state FROM proposal") == ["consumed"])
    let life = try await stage.number("SELECT expires_ms FROM hold")
    #expect(life == stage.clock.now.milliseconds + 87_000_000)
  }

  @Test("use is captured at the end, the rest goes back, and the user pays nothing")
  func endToEnd() async throws {
    let stage = try await Stage.open()
    let started = try await stage.start()
    stage.clock.move(seconds: 10)
    let redeemed = try await stage.desk.validate(
      token: started.token, provider: "acme", origin: nil)
    #expect(redeemed.text("state") == "active")
    #expect(redeemed.text("startedAt") == stage.clock.now.rfc3339)
    #expect(redeemed.text("endsAt") == (stage.clock.now + 1_800_000).rfc3339)
    #expect(redeemed.int("expiresInSeconds") == 900)
    let bearer = try stage.desk.bearer(redeemed.text("token"))
    #expect(bearer == SessionActor.bearer(started.id))
    try await stage.beat(started.id, times: 2)
    stage.clock.move(seconds: 60)
    let done = try await stage.desk.transition(
      started.id, by: .user(.anna), .complete(by: "user"))
    #expect(done.text("state") == "completed")
    #expect(done.text("reason") == "user")
    #expect(done.int("activeSeconds") == 180)
    #expect(done.int("usedMicrotokens") == 25_000_000)
    #expect(done.int("chargedMicrotokens") == 25_000_000)
    #expect(done.int("releasedMicrotokens") == 225_000_000)
    #expect(done.int("remainingSeconds") == 0)
    let grants = try await stage.balance(.grants)
    #expect(grants.balance == Microtokens(975_000_000))
    #expect(grants.held == Microtokens(0))
    #expect(try await stage.balance(.acme).balance == Microtokens(25_000_000))
    let users = try await stage.number(
      "SELECT count(*) FROM account WHERE kind = 'user_available'")
    #expect(users == 0)
    #expect(try await stage.faults() == [])
    let kinds = try await stage.texts("SELECT kind FROM transfer ORDER BY seq")
    #expect(kinds == ["post", "hold", "capture"])
    let events = try await stage.texts("SELECT type FROM outbox ORDER BY seq")
    #expect(events == ["session.started", "session.completed"])
  }

  @Test("a session that runs to its end is charged in full and warned once")
  func fullTime() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    try await stage.beat(session.id, times: 29)
    stage.clock.move(seconds: 60)
    let view = try await stage.view(session.id)
    #expect(view.text("state") == "completed")
    #expect(view.text("reason") == "time_limit")
    #expect(view.int("chargedMicrotokens") == 250_000_000)
    #expect(view.int("releasedMicrotokens") == 0)
    #expect(try await stage.balance(.grants).balance == Microtokens(750_000_000))
    let events = try await stage.texts("SELECT type FROM outbox ORDER BY seq")
    #expect(events == ["session.started", "session.expiring", "session.completed"])
    #expect(try await stage.faults() == [])
  }

  @Test("a session that used nothing releases everything")
  func nothingUsed() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    let view = try await stage.desk.transition(
      session.id, by: .user(.anna), .complete(by: "user"))
    #expect(view.int("chargedMicrotokens") == 0)
    #expect(view.int("releasedMicrotokens") == 250_000_000)
    #expect(try await stage.texts("SELECT state FROM hold") == ["voided"])
    #expect(try await stage.balance(.grants).available == Microtokens(1_000_000_000))
    #expect(try await stage.faults() == [])
  }

  @Test("a provider that refuses a pending session gets nothing")
  func providerRefuses() async throws {
    let stage = try await Stage.open()
    let started = try await stage.start()
    let view = try await stage.desk.transition(started.id, by: .provider("acme"), .fail)
    #expect(view.text("state") == "failed")
    #expect(view.text("reason") == "provider_refused")
    #expect(view.int("chargedMicrotokens") == 0)
    #expect(try await stage.texts("SELECT state FROM hold") == ["voided"])
    #expect(try await stage.texts("SELECT type FROM outbox") == ["session.failed"])
    #expect(try await stage.faults() == [])
  }

  /// The listing's rate and cap in whole tokens, and what is held for half an hour.
  static let caps: [(Int64, Int64?, Int64)] = [
    (500, nil, 250_000_000), (500, 100, 100_000_000), (500, 400, 250_000_000),
    (499, nil, 249_500_000), (1_000, nil, 250_000_000), (1, nil, 500_000), (500, 0, 0),
  ]

  @Test(
    "no more is held or charged than the price of the full time and the lower cap",
    arguments: 0..<TrialFlowTests.caps.count)
  func capped(index: Int) async throws {
    let (rate, cap, held) = TrialFlowTests.caps[index]
    var listing = Listing()
    listing.rate = rate
    if let cap { listing.trial = ["offered": true, "capTokens": .int(cap)] }
    let stage = try await Stage.open(listing)
    let (session, _) = try await stage.startActive()
    #expect(session.view.int("heldMicrotokens") == held)
    try await stage.beat(session.id, times: 29)
    stage.clock.move(seconds: 60)
    let view = try await stage.view(session.id)
    #expect(view.text("reason") == "time_limit")
    #expect(view.int("chargedMicrotokens") == held)
    let acme = try await stage.balance(.acme)
    #expect(acme.balance == Microtokens(held))
    #expect(try await stage.faults() == [])
  }

  @Test("a session that costs nothing has no hold")
  func free() async throws {
    var listing = Listing()
    listing.rate = nil
    let stage = try await Stage.open(listing, budget: 0)
    let (session, _) = try await stage.startActive()
    #expect(session.view.int("heldMicrotokens") == 0)
    #expect(try await stage.number("SELECT count(*) FROM hold") == 0)
    try await stage.beat(session.id, times: 2)
    let view = try await stage.desk.transition(
      session.id, by: .user(.anna), .complete(by: "user"))
    #expect(view.text("state") == "completed")
    #expect(view.int("chargedMicrotokens") == 0)
    #expect(try await stage.number("SELECT count(*) FROM transfer") == 0)
  }

  static let lengths: [(Int64, Bool)] = [(4, false), (5, true), (180, true), (181, false)]

  @Test("a trial lasts from 5 to 180 minutes", arguments: TrialFlowTests.lengths)
  func length(minutes: Int64, isAllowed: Bool) async throws {
    var listing = Listing()
    listing.trial = ["offered": true, "minutes": .int(minutes)]
    let stage = try await Stage.open()
    let put = listing
    let code = try await awaitedRefusal { try await stage.list(put) }
    let expected: ProblemCode? = isAllowed ? nil : .validationFailed
    #expect(code == expected)
    if isAllowed {
      let terms = try await stage.desk.terms(of: SessionWish(serviceID: "scribe"))
      #expect(terms.minutes == minutes)
    }
  }

  @Test("the trial budget is posted once, whatever a later start asks for")
  func fundsOnce() async throws {
    let stage = try await Stage.open(budget: 1_000)
    try await stage.desk.fundTrials(tokens: 1_000)
    stage.clock.move(seconds: 86_400)
    let next = try stage.restarted()
    try await next.desk.fundTrials(tokens: 5_000)
    #expect(try await next.balance(.grants).balance == Microtokens(1_000_000_000))
    let promo = try await next.balance(.platform(.platformPromoExpense))
    #expect(promo.balance == Microtokens(-1_000_000_000))
    #expect(try await next.number("SELECT count(*) FROM transfer") == 1)
    #expect(try await next.faults() == [])
  }

  @Test("a budget of nothing posts nothing", arguments: [0, -1] as [Int64])
  func fundsNothing(tokens: Int64) async throws {
    let stage = try Stage()
    try await stage.desk.fundTrials(tokens: tokens)
    #expect(try await stage.number("SELECT count(*) FROM transfer") == 0)
  }
}
