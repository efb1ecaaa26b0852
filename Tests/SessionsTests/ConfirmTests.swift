import Identity
import Ledger
import Primitives
import SQLite
import Sessions
import Testing
import TestSupport

/// T6 and T7: one transaction, one session, and a code for everything else.
@Suite("Trials: confirmation")
struct ConfirmTests {
  @Test("the same key gives the same body again and no second session")
  func sameKey() async throws {
    let stage = try await Stage.open()
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    let first = try await stage.confirm(proposal.id, key: "one")
    stage.clock.move(seconds: 60)
    let second = try await stage.restarted().confirm(proposal.id, key: "one")
    #expect(first.status == 201)
    #expect(!first.isReplayed)
    #expect(second.isReplayed)
    #expect(second.status == 201)
    #expect(second.body == first.body)
    #expect(try await stage.number("SELECT count(*) FROM session") == 1)
    #expect(try await stage.number("SELECT count(*) FROM hold") == 1)
  }

  private func confirmAll(
    _ stage: Stage, _ proposal: ID<ProposalKind>, keys: [String]
  ) async throws -> [Idempotency.Answer] {
    try await withThrowingTaskGroup(
      of: Idempotency.Answer.self, returning: [Idempotency.Answer].self
    ) { group in
      for key in keys {
        group.addTask { try await stage.confirm(proposal, key: key) }
      }
      var answers: [Idempotency.Answer] = []
      for try await answer in group { answers.append(answer) }
      return answers
    }
  }

  @Test("100 parallel confirmations with different keys make exactly one session and one hold")
  func parallelKeys() async throws {
    let stage = try await Stage.open()
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    let keys = (0..<100).map { "key-\($0)" }
    let answers = try await confirmAll(stage, proposal.id, keys: keys)
    let created = answers.filter { $0.status == 201 }
    #expect(created.count == 1)
    for answer in answers where answer.status != 201 {
      #expect(answer.status == 409)
      #expect(try code(answer) == "proposal_consumed")
    }
    #expect(try await stage.number("SELECT count(*) FROM session") == 1)
    #expect(try await stage.number("SELECT count(*) FROM hold") == 1)
    #expect(try await stage.balance(.grants).held == Microtokens(250_000_000))
    #expect(try await stage.faults() == [])
  }

  @Test("100 parallel confirmations with the same key make one session and 100 equal bodies")
  func parallelKey() async throws {
    let stage = try await Stage.open()
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    let keys = [String](repeating: "same", count: 100)
    let answers = try await confirmAll(stage, proposal.id, keys: keys)
    #expect(Set(answers.map(\.body)).count == 1)
    let statuses = Set(answers.map(\.status))
    #expect(statuses == Set([201]))
    let replayed = answers.filter { $0.isReplayed }
    #expect(replayed.count == 99)
    #expect(try await stage.number("SELECT count(*) FROM session") == 1)
    #expect(try await stage.number("SELECT count(*) FROM hold") == 1)
  }

  @Test("1,000 concurrent repeats of one key have one effect")
  func thousandRepeats() async throws {
    let stage = try await Stage.open()
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    let keys = [String](repeating: "same", count: 1_000)
    let answers = try await confirmAll(stage, proposal.id, keys: keys)
    #expect(Set(answers.map(\.body)).count == 1)
    // The one writing lane lets a repeat wait for the first: none is told that it is in flight.
    #expect(answers.filter { $0.status == 201 }.count == 1_000)
    #expect(answers.filter(\.isReplayed).count == 999)
    #expect(try await stage.number("SELECT count(*) FROM session") == 1)
    #expect(try await stage.number("SELECT count(*) FROM hold") == 1)
    #expect(try await stage.number("SELECT count(*) FROM idempotency") == 1)
  }

  @Test("a used key with another body is refused and starts nothing")
  func keyConflict() async throws {
    let stage = try await Stage.open()
    try await stage.list(ConfirmTests.listing("second"))
    let first = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    let second = try await stage.desk.propose(serviceID: "second", to: .anna)
    _ = try await stage.confirm(first.id, key: "one")
    let code = try await awaitedRefusal { try await stage.confirm(second.id, key: "one") }
    #expect(code == ProblemCode.idempotencyConflict)
    #expect(try await stage.number("SELECT count(*) FROM session") == 1)
  }

  private static func listing(_ id: String) -> Listing {
    var listing = Listing()
    listing.id = id
    return listing
  }

  @Test("a stored answer does not show its launch link")
  func sealed() async throws {
    let stage = try await Stage.open()
    _ = try await stage.start()
    let stored = try await stage.database.read { connection in
      try connection.first("SELECT response FROM idempotency") { row in row.blob(0) }
    }
    let text = String(decoding: try #require(stored), as: UTF8.self)
    let isShown = text.contains("marketplace_session")
    #expect(!isShown)
  }

  static let ages: [(Int64, Bool)] = [
    (0, true), (299_999, true), (300_000, false), (300_001, false), (86_400_000, false),
  ]

  @Test("a proposal can be confirmed for five minutes", arguments: ConfirmTests.ages)
  func expires(age: Int64, isOpen: Bool) async throws {
    let stage = try await Stage.open()
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    stage.clock.move(milliseconds: age)
    let answer = try await stage.confirm(proposal.id, key: "one")
    #expect(answer.status == (isOpen ? 201 : 410))
    if !isOpen {
      #expect(try code(answer) == "proposal_expired")
      #expect(try await stage.number("SELECT count(*) FROM session") == 0)
    }
  }

  @Test("a declined proposal stays declined")
  func declined() async throws {
    let stage = try await Stage.open()
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    try await stage.desk.decline(proposal.id, by: .anna)
    try await stage.desk.decline(proposal.id, by: .anna)
    let answer = try await stage.confirm(proposal.id, key: "one")
    #expect(answer.status == 409)
    #expect(try code(answer) == "proposal_declined")
    #expect(try await stage.number("SELECT count(*) FROM session") == 0)
  }

  @Test("a used proposal can be neither used again nor declined")
  func consumed() async throws {
    let stage = try await Stage.open()
    let started = try await stage.start()
    let again = try await stage.confirm(started.proposal, key: "other")
    #expect(try code(again) == "proposal_consumed")
    let declined = try await awaitedRefusal {
      try await stage.desk.decline(started.proposal, by: .anna)
    }
    #expect(declined == ProblemCode.proposalConsumed)
  }

  @Test("another user's proposal is not found")
  func foreign() async throws {
    let stage = try await Stage.open()
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    let answer = try await stage.confirm(proposal.id, by: .bert, key: "one")
    #expect(answer.status == 404)
    #expect(try code(answer) == "not_found")
    let declined = try await awaitedRefusal { try await stage.desk.decline(proposal.id, by: .bert) }
    #expect(declined == ProblemCode.notFound)
    let own = try await stage.confirm(proposal.id, key: "one")
    #expect(own.status == 201)
  }

  static let changes = [
    "rate", "minutes", "cap", "redirect", "app", "conditions", "not offered", "removed",
  ]

  @Test("a listing that changed makes its proposals stale", arguments: ConfirmTests.changes)
  func stale(change: String) async throws {
    let stage = try await Stage.open()
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    var listing = Listing()
    switch change {
    case "rate": listing.rate = 501
    case "minutes": listing.trial = ["offered": true, "minutes": 31]
    case "cap": listing.trial = ["offered": true, "capTokens": 99]
    case "redirect": listing.redirects = ["https://acme.example/other"]
    case "app": listing.appID = "other-app"
    case "conditions": listing.trial = ["offered": true, "conditions": "one each"]
    case "removed": listing.status = "removed"
    default: listing.trial = ["offered": false]
    }
    try await stage.list(listing)
    let answer = try await stage.confirm(proposal.id, key: "one")
    #expect(answer.status == 409)
    #expect(try code(answer) == "proposal_stale")
    #expect(try await stage.number("SELECT count(*) FROM session") == 0)
    #expect(try await stage.balance(.grants).held == Microtokens(0))
  }

  @Test("a proposal whose row was changed does not verify")
  func forged() async throws {
    let stage = try await Stage.open()
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    try await stage.database.write { connection in
      _ = try connection.run("UPDATE proposal SET user_id = ?", [.blob(ID<UserKind>.bert.bytes)])
    }
    let answer = try? await stage.confirm(proposal.id, by: .bert, key: "one")
    #expect(answer?.status != 201)
    #expect(try await stage.number("SELECT count(*) FROM session") == 0)
  }
}
