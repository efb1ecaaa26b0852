import Ledger
import Primitives
import Sessions
import Testing
import TestSupport

@Suite("Trials: the sandbox of a demo")
struct SandboxTests {
  @Test("a listing without a trial runs in the sandbox where there is one")
  func terms() async throws {
    let stage = try await Stage.open(.trialless, policy: .sandboxed)
    let terms = try await stage.desk.terms(of: SessionWish(serviceID: "scribe"))
    #expect(terms.isSandbox)
    #expect(terms.minutes == 30)
    #expect(terms.ratePerHour == 500_000_000)
    #expect(terms.cap == 250_000_000)
    #expect(terms.amount == 250_000_000)
    #expect(terms.runBy == Sandbox.providerID)
    #expect(terms.appID == Sandbox.appID)
    #expect(terms.redirectURL == Stage.url + "/demo/app")
    let view = try await stage.desk.propose(serviceID: "scribe", to: .anna).json
    #expect(view["sandbox"]?.bool == true)
    let isSaid = view.text("text").contains("not offered by Acme Labs")
    #expect(isSaid)
  }

  @Test("a listing with a trial of its own keeps it")
  func ownTrial() async throws {
    let stage = try await Stage.open(policy: .sandboxed)
    let terms = try await stage.desk.terms(of: SessionWish(serviceID: "scribe"))
    #expect(!terms.isSandbox)
    #expect(terms.runBy == "acme")
    let started = try await stage.start()
    let page = try await awaitedRefusal {
      try await stage.desk.validate(token: started.token, provider: nil, origin: Stage.url)
    }
    #expect(page == ProblemCode.unauthenticated)
  }

  @Test("a proposal of the real trial is stale once the listing leaves it to the sandbox")
  func switched() async throws {
    let stage = try await Stage.open(policy: .sandboxed)
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    try await stage.list(.trialless)
    let answer = try await stage.confirm(proposal.id, key: "one")
    #expect(try code(answer) == "proposal_stale")
  }

  static let origins: [String] = [
    "none", "", "null", "https://waypost.example/", "http://waypost.example",
    "https://waypost.example:443", "https://WAYPOST.example", "https://evil.example",
    "https://waypost.example.evil.example",
  ]

  @Test("only the sandbox's own origin redeems without a key", arguments: SandboxTests.origins)
  func foreignOrigin(origin: String) async throws {
    let stage = try await Stage.open(.trialless, policy: .sandboxed)
    let started = try await stage.start()
    let sent: String? = origin == "none" ? nil : origin
    let code = try await awaitedRefusal {
      try await stage.desk.validate(token: started.token, provider: nil, origin: sent)
    }
    #expect(code == ProblemCode.originNotAllowed)
    #expect(try await stage.texts("SELECT state FROM session") == ["pending"])
    let other = try await awaitedRefusal {
      try await stage.desk.validate(token: started.token, provider: "acme", origin: Stage.url)
    }
    #expect(other == ProblemCode.forbidden)
  }

  @Test("the sandbox runs a trial end to end and is paid from the grants")
  func endToEnd() async throws {
    let stage = try await Stage.open(.trialless, policy: .sandboxed)
    let started = try await stage.start()
    let isOurs = started.view.text("redirectUrl")
      .hasPrefix(Stage.url + "/demo/app?marketplace_session=")
    #expect(isOurs)
    #expect(started.view["sandbox"]?.bool == true)
    let view = try await stage.desk.validate(
      token: started.token, provider: nil, origin: Stage.url)
    #expect(view.text("state") == "active")
    try await stage.beat(started.id, times: 3)
    let done = try await stage.desk.transition(
      started.id, by: .bearer(started.id), .complete(by: "provider"))
    #expect(done.int("chargedMicrotokens") == 25_000_000)
    let paid = try await stage.balance(.provider(Sandbox.providerID))
    #expect(paid.balance == Microtokens(25_000_000))
    #expect(try await stage.faults() == [])
  }

  @Test("a second use by the same page is flagged, also at once, and does not pause")
  func reusedBySame() async throws {
    let stage = try await Stage.open(.trialless, policy: .sandboxed)
    let started = try await stage.start()
    _ = try await stage.desk.validate(token: started.token, provider: nil, origin: Stage.url)
    let code = try await awaitedRefusal {
      try await stage.desk.validate(token: started.token, provider: nil, origin: Stage.url)
    }
    #expect(code == ProblemCode.tokenReused)
    #expect(try await stage.number("SELECT flagged FROM session") == 1)
    #expect(try await stage.texts("SELECT state FROM session") == ["active"])
  }

  @Test("a second use by another client is flagged and pauses the session")
  func reusedByOther() async throws {
    let stage = try await Stage.open(.trialless, policy: .sandboxed)
    let started = try await stage.start()
    _ = try await stage.desk.validate(token: started.token, provider: nil, origin: Stage.url)
    stage.clock.move(seconds: 5)
    let code = try await awaitedRefusal {
      try await stage.desk.validate(
        token: started.token, provider: Sandbox.providerID, origin: nil)
    }
    #expect(code == ProblemCode.tokenReused)
    #expect(try await stage.number("SELECT flagged FROM session") == 1)
    #expect(try await stage.texts("SELECT state FROM session") == ["paused"])
    let events = try await stage.texts("SELECT type FROM outbox ORDER BY seq")
    #expect(events == ["session.started", "session.paused"])
    let again = try await awaitedRefusal {
      try await stage.desk.validate(
        token: started.token, provider: Sandbox.providerID, origin: nil)
    }
    #expect(again == ProblemCode.tokenReused)
    #expect(try await stage.texts("SELECT state FROM session") == ["paused"])
  }
}
