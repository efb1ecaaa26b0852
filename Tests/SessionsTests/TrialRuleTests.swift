import Identity
import Ledger
import Primitives
import SQLite
import Sessions
import Testing
import TestSupport

/// T2 to T5: who may try what, how often, and from which budget.
@Suite("Trials: rules")
struct TrialRuleTests {
  private static func listing(_ id: String) -> Listing {
    var listing = Listing()
    listing.id = id
    return listing
  }

  private static func finish(_ id: ID<SessionKind>, on stage: Stage) async throws {
    _ = try await stage.desk.transition(id, by: .user(.anna), .complete(by: "user"))
  }

  // MARK: One open trial

  @Test("a second trial of a service waits for the first, whose id is named")
  func alreadyOpen() async throws {
    let stage = try await Stage.open()
    let started = try await stage.start()
    do {
      _ = try await stage.desk.propose(serviceID: "scribe", to: .anna)
      Issue.record("a second trial was proposed")
    } catch let refusal as Refusal {
      #expect(refusal.code == .trialAlreadyOpen)
      #expect(refusal.facts.text("sessionId") == started.id.text)
    }
  }

  @Test("of two proposals for one service only the first can be confirmed")
  func twoProposals() async throws {
    let stage = try await Stage.open()
    let first = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    let second = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    #expect(try await stage.confirm(first.id, key: "one").status == 201)
    let answer = try await stage.confirm(second.id, key: "two")
    #expect(answer.status == 409)
    #expect(try code(answer) == "trial_already_open")
    #expect(try await stage.number("SELECT count(*) FROM session") == 1)
    #expect(try await stage.number("SELECT count(*) FROM hold") == 1)
  }

  @Test("paused and active trials are open too, another user's is not in the way")
  func openPhases() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    let active = try await awaitedRefusal {
      try await stage.desk.propose(serviceID: "scribe", to: .anna)
    }
    #expect(active == ProblemCode.trialAlreadyOpen)
    _ = try await stage.desk.transition(session.id, by: .user(.anna), .pause)
    let paused = try await awaitedRefusal {
      try await stage.desk.propose(serviceID: "scribe", to: .anna)
    }
    #expect(paused == ProblemCode.trialAlreadyOpen)
    let other = try await stage.start(by: .bert)
    #expect(other.view.text("state") == "pending")
  }

  // MARK: Limits

  @Test("a finished trial of a service is not repeated within 30 days")
  func repeats() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    try await TrialRuleTests.finish(session.id, on: stage)
    let days: [(seconds: Int64, isLimited: Bool)] = [
      (0, true), (86_400, true), (2_505_599, true), (1, false),
    ]
    for (seconds, isLimited) in days {
      stage.clock.move(seconds: seconds)
      let code = try await awaitedRefusal {
        try await stage.desk.propose(serviceID: "scribe", to: .anna)
      }
      let expected: ProblemCode? = isLimited ? .trialLimitReached : nil
      #expect(code == expected, "at \(stage.clock.now.rfc3339)")
    }
  }

  @Test("a trial that never started is no finished one")
  func neverStarted() async throws {
    let stage = try await Stage.open()
    _ = try await stage.start()
    stage.clock.move(seconds: 301)
    let again = try await stage.start()
    #expect(again.view.text("state") == "pending")
    #expect(try await stage.faults() == [])
  }

  @Test("the daily limit holds at the confirmation too")
  func limitAtConfirmation() async throws {
    var policy = TrialPolicy()
    policy.perDayMax = 1
    let stage = try await Stage.open(policy: policy)
    try await stage.list(TrialRuleTests.listing("second"))
    let first = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    let second = try await stage.desk.propose(serviceID: "second", to: .anna)
    #expect(try await stage.confirm(first.id, key: "one").status == 201)
    let answer = try await stage.confirm(second.id, key: "two")
    #expect(answer.status == 409)
    #expect(try code(answer) == "trial_limit_reached")
  }

  @Test("a provider's own people cannot take its trials")
  func ownTrial() async throws {
    let stage = try await Stage.open()
    try await stage.employ(.anna, at: "acme")
    let own = try await awaitedRefusal {
      try await stage.desk.propose(serviceID: "scribe", to: .anna)
    }
    #expect(own == ProblemCode.forbidden)
    #expect(try await stage.start(by: .bert).view.text("state") == "pending")
  }

  @Test("who joins the provider after the proposal cannot confirm it")
  func ownConfirmation() async throws {
    let stage = try await Stage.open()
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    try await stage.employ(.anna, at: "acme")
    let code = try await awaitedRefusal { try await stage.confirm(proposal.id, key: "one") }
    #expect(code == ProblemCode.forbidden)
    #expect(try await stage.number("SELECT count(*) FROM session") == 0)
  }

  @Test("one provider has so many trials a day")
  func perProvider() async throws {
    var policy = TrialPolicy()
    policy.perProviderDayMax = 2
    let stage = try await Stage.open(policy: policy)
    try await stage.list(TrialRuleTests.listing("second"))
    _ = try await stage.start()
    _ = try await stage.start("second", by: .bert)
    let third = try await awaitedRefusal {
      try await stage.desk.propose(serviceID: "scribe", to: .bert)
    }
    #expect(third == ProblemCode.trialLimitReached)
    stage.clock.move(seconds: 86_400)
    _ = try await stage.start(by: .bert)
    #expect(try await stage.faults() == [])
  }

  @Test("five trials a day, then the next a day after the first")
  func perDay() async throws {
    let stage = try await Stage.open(budget: 10_000)
    for index in 1...5 {
      try await stage.list(TrialRuleTests.listing("service-\(index)"))
      _ = try await stage.start("service-\(index)")
    }
    let sixth = try await awaitedRefusal {
      try await stage.desk.propose(serviceID: "scribe", to: .anna)
    }
    #expect(sixth == ProblemCode.trialLimitReached)
    let bert = try await awaitedRefusal {
      try await stage.desk.propose(serviceID: "scribe", to: .bert)
    }
    #expect(bert == nil)
    stage.clock.move(seconds: 86_399)
    let early = try await awaitedRefusal {
      try await stage.desk.propose(serviceID: "scribe", to: .anna)
    }
    #expect(early == ProblemCode.trialLimitReached)
    stage.clock.move(seconds: 1)
    let later = try await awaitedRefusal {
      try await stage.desk.propose(serviceID: "scribe", to: .anna)
    }
    #expect(later == nil)
  }

  // MARK: Budget

  @Test("an empty budget refuses, leaves nothing, and the key keeps that answer")
  func budget() async throws {
    let stage = try await Stage.open(budget: 249)
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    let answer = try await stage.confirm(proposal.id, key: "one")
    #expect(answer.status == 409)
    #expect(try code(answer) == "trial_budget_exhausted")
    #expect(try await stage.number("SELECT count(*) FROM session") == 0)
    #expect(try await stage.number("SELECT count(*) FROM hold") == 0)
    #expect(try await stage.texts("SELECT state FROM proposal") == ["proposed"])
    #expect(try await stage.faults() == [])
    let now = stage.clock.now
    try await stage.database.write { connection in
      _ = try LedgerStore.post(
        ID(high: 7, low: 7), from: .platform(.platformPromoExpense), to: .grants,
        Microtokens(1_000_000), reason: "more", at: now, on: connection)
    }
    let replayed = try await stage.confirm(proposal.id, key: "one")
    #expect(replayed.isReplayed)
    #expect(replayed.body == answer.body)
    let fresh = try await stage.confirm(proposal.id, key: "two")
    #expect(fresh.status == 201)
    #expect(try await stage.balance(.grants).available == Microtokens(0))
  }

  @Test("what a trial does not use pays for the next")
  func budgetComesBack() async throws {
    let stage = try await Stage.open(budget: 250)
    let (session, _) = try await stage.startActive()
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .bert)
    let refused = try await stage.confirm(proposal.id, by: .bert, key: "one")
    #expect(try code(refused) == "trial_budget_exhausted")
    try await TrialRuleTests.finish(session.id, on: stage)
    let taken = try await stage.confirm(proposal.id, by: .bert, key: "two")
    #expect(taken.status == 201)
  }

  // MARK: Offered or not

  static let trials: [String] = ["none", "not offered", "no address", "unsaid"]

  @Test("without an offered trial there is none", arguments: TrialRuleTests.trials)
  func notOffered(kind: String) async throws {
    var listing = Listing()
    switch kind {
    case "none": listing.trial = nil
    case "not offered": listing.trial = ["offered": false]
    case "no address": listing.redirects = []
    default: listing.trial = ["minutes": 30]
    }
    let stage = try await Stage.open(listing)
    let proposed = try await awaitedRefusal {
      try await stage.desk.propose(serviceID: "scribe", to: .anna)
    }
    #expect(proposed == ProblemCode.trialNotOffered)
    let terms = try await awaitedRefusal {
      try await stage.desk.terms(of: SessionWish(serviceID: "scribe"))
    }
    #expect(terms == ProblemCode.trialNotOffered)
  }

  @Test("drafts, removed and unknown services are not found", arguments: ["draft", "removed"])
  func notFound(status: String) async throws {
    var listing = Listing()
    listing.status = status
    let stage = try await Stage.open(listing)
    for id in ["scribe", "nothing"] {
      let code = try await awaitedRefusal { try await stage.desk.propose(serviceID: id, to: .anna) }
      #expect(code == ProblemCode.notFound)
    }
  }

  @Test("the platform's own cap is the upper one")
  func platformCap() async throws {
    var policy = TrialPolicy()
    policy.capTokens = 20
    let stage = try await Stage.open(policy: policy)
    let terms = try await stage.desk.terms(of: SessionWish(serviceID: "scribe"))
    #expect(terms.cap == 20_000_000)
    #expect(terms.amount == 20_000_000)
  }
}
