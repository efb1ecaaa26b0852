import Cryptography
import Identity
import Ledger
import Primitives
import SQLite
import Sessions
import Testing
import TestSupport

/// Sessions that their user pays for: price and share shown before, charged and shown after.
@Suite("Sessions: paid by the user")
struct PaidTests {
  @Test("a proposal says the price, the platform's share and who is paid, and moves nothing")
  func proposes() async throws {
    let stage = try await Stage.shop()
    let answer = try await stage.propose(Stage.wish())
    #expect(answer.status == 201)
    let view = try document(answer)
    #expect(view.text("kind") == "paid")
    #expect(view.text("plan") == "hourly")
    #expect(view.text("paidBy") == "user")
    #expect(view.text("paidTo") == "acme")
    #expect(view.int("durationMinutes") == 30)
    #expect(view.int("ratePerHourMicrotokens") == 500_000_000)
    #expect(view.int("heldMicrotokens") == 250_000_000)
    #expect(view.int("userPaysMicrotokens") == 250_000_000)
    #expect(view.int("maxTokens") == 250)
    #expect(view.int("feeBasisPoints") == 2_000)
    #expect(view.int("feeMicrotokens") == 50_000_000)
    #expect(view.text("termsHash").utf8.count == 64)
    for fact in ["Scribe", "Acme Labs", "30 minutes", "500 tokens an hour", "at most 250", "20%"] {
      let isSaid = view.text("text").contains(fact)
      #expect(isSaid, "\(fact) in \(view.text("text"))")
    }
    #expect(try await stage.balance(.anna).held == Microtokens(0))
    #expect(try await stage.number("SELECT count(*) FROM session") == 0)
  }

  @Test("a proposal can be read by its user with what became of it")
  func reads() async throws {
    let stage = try await Stage.shop()
    let made = try document(try await stage.propose(Stage.wish()))
    let id = try #require(ID<ProposalKind>(made.text("id")))
    let open = try await stage.desk.proposal(id, of: .anna)
    #expect(open.text("state") == "proposed")
    #expect(open.text("text") == made.text("text"))
    let foreign = try await awaitedRefusal { try await stage.desk.proposal(id, of: .bert) }
    #expect(foreign == ProblemCode.notFound)
    let session = try document(try await stage.confirm(id, key: "one"))
    let used = try await stage.desk.proposal(id, of: .anna)
    #expect(used.text("state") == "consumed")
    #expect(used.text("sessionId") == session.text("id"))
    let second = try document(try await stage.propose(Stage.wish(), key: "two"))
    stage.clock.move(seconds: 300)
    let late = try #require(ID<ProposalKind>(second.text("id")))
    #expect(try await stage.desk.proposal(late, of: .anna).text("state") == "expired")
  }

  @Test("the same key makes one proposal, another body is refused")
  func keyedProposal() async throws {
    let stage = try await Stage.shop()
    let first = try await stage.propose(Stage.wish())
    let second = try await stage.propose(Stage.wish())
    #expect(second.isReplayed)
    #expect(second.body == first.body)
    #expect(try await stage.number("SELECT count(*) FROM proposal") == 1)
    let other = try Stage.key("POST /v1/proposals", "proposal", body: ["serviceId": "other"])
    let code = try await awaitedRefusal {
      try await stage.desk.propose(
        Stage.wish(), to: .anna, key: other, refused: { refusal in Stage.answer(refusal) })
    }
    #expect(code == ProblemCode.idempotencyConflict)
  }

  @Test("use is captured from the user, the share goes on at once, the rest comes back")
  func settles() async throws {
    let stage = try await Stage.shop()
    let session = try await stage.buy()
    #expect(session.view.text("kind") == "paid")
    #expect(try await stage.balance(.anna).held == Microtokens(250_000_000))
    try await stage.beat(session.id, times: 3)
    let done = try await stage.finish(session.id)
    #expect(done.int("chargedMicrotokens") == 25_000_000)
    #expect(done.int("releasedMicrotokens") == 225_000_000)
    #expect(done.int("feeMicrotokens") == 5_000_000)
    #expect(done.text("paidBy") == "user")
    #expect(done.text("paidTo") == "acme")
    #expect(try await stage.balance(.anna).available == Microtokens(975_000_000))
    #expect(try await stage.balance(.acme).balance == Microtokens(20_000_000))
    #expect(try await stage.balance(.fees).balance == Microtokens(5_000_000))
    #expect(try await stage.balance(.grants).balance == Microtokens(1_000_000_000))
    let kinds = try await stage.texts("SELECT kind FROM transfer ORDER BY seq")
    #expect(kinds == ["post", "post", "hold", "capture", "fee"])
    #expect(try await stage.faults() == [])
  }

  @Test("a session that nobody redeems costs nothing")
  func released() async throws {
    let stage = try await Stage.shop()
    _ = try await stage.pending()
    stage.clock.move(seconds: 301)
    try await stage.desk.sweep()
    #expect(try await stage.balance(.anna).available == Microtokens(1_000_000_000))
    #expect(try await stage.faults() == [])
  }

  @Test("what the user cannot pay is refused with what is missing, and stays refused under its key")
  func insufficient() async throws {
    let stage = try await Stage.shop(tokens: 249)
    let answer = try await stage.direct(Stage.wish())
    #expect(answer.status == 402)
    #expect(try code(answer) == "insufficient_funds")
    #expect(try await stage.number("SELECT count(*) FROM session") == 0)
    try await stage.sell(1, to: .anna)
    let replayed = try await stage.direct(Stage.wish())
    #expect(replayed.isReplayed)
    #expect(replayed.status == 402)
    let fresh = try await stage.direct(Stage.wish(), key: "fresh")
    #expect(fresh.status == 201)
    #expect(try await stage.balance(.anna).available == Microtokens(0))
  }

  @Test("the spending rule is asked with the whole hold, before anything is held")
  func spending() async throws {
    let rule: SpendingRule = { user, amount, _, _ in
      guard user == .anna, amount.count <= 100_000_000 else {
        throw Refusal(.accountFrozen, "Too much.")
      }
    }
    let stage = try await Stage.shop(money: Stage.Money(spending: rule))
    let answer = try await stage.direct(Stage.wish())
    #expect(try code(answer) == "account_frozen")
    #expect(try await stage.number("SELECT count(*) FROM session") == 0)
    #expect(try await stage.balance(.anna).held == Microtokens(0))
    let session = try await stage.buy(Stage.wish(12))
    let longer = try await stage.extend(session.id, minutes: 13)
    #expect(try code(longer) == "account_frozen")
    #expect(
      try document(try await stage.extend(session.id, minutes: 12, key: "less")).int(
        "durationMinutes") == 24)
    // A trial is the platform's to pay.
    _ = try await stage.start()
  }

  // MARK: Terms

  static let lengths: [(Int64, Bool)] = [(4, false), (5, true), (180, true), (181, false)]

  @Test("a paid session lasts from 5 to 180 minutes", arguments: PaidTests.lengths)
  func length(minutes: Int64, isAllowed: Bool) async throws {
    let stage = try await Stage.shop(tokens: 1_500)
    let code = try await awaitedRefusal { try await stage.direct(Stage.wish(minutes)) }
    #expect(code == (isAllowed ? nil : ProblemCode.validationFailed))
  }

  static let caps: [(Int64, Bool)] = [
    (0, false), (249, false), (250, true), (251, true), (1_000_000_000, true),
    (1_000_000_001, false),
  ]

  @Test("the user's own cap must cover the full time", arguments: PaidTests.caps)
  func ownCap(tokens: Int64, isAllowed: Bool) async throws {
    let stage = try await Stage.shop()
    let code = try await awaitedRefusal {
      try await stage.direct(Stage.wish(maxTokens: tokens))
    }
    #expect(code == (isAllowed ? nil : ProblemCode.validationFailed))
    // Never more than the price of the full time, whatever the cap.
    let held = try await stage.balance(.anna).held
    #expect(held == Microtokens(isAllowed ? 250_000_000 : 0))
  }

  @Test("without a price in tokens, an address or that offer there is no paid session")
  func notOffered() async throws {
    var listing = Listing()
    listing.rate = nil
    let free = try await Stage.shop(listing)
    let unpriced = try await awaitedRefusal { try await free.desk.terms(of: Stage.wish()) }
    #expect(unpriced == ProblemCode.validationFailed)
    listing.rate = 500
    listing.redirects = []
    try await free.list(listing)
    let nowhere = try await awaitedRefusal { try await free.desk.terms(of: Stage.wish()) }
    #expect(nowhere == ProblemCode.validationFailed)
    let stage = try await Stage.shop()
    var wish = Stage.wish()
    wish.offerID = "other"
    let other = try await awaitedRefusal { [wish] in try await stage.desk.terms(of: wish) }
    #expect(other == ProblemCode.validationFailed)
    wish.offerID = "hourly"
    #expect(try await stage.desk.terms(of: wish).plan == .hourly)
  }

  @Test("an offer of time or of units, not of both")
  func bothPrices() throws {
    var listing = Listing()
    listing.unitPrice = 5
    let code: ProblemCode?
    do {
      _ = try listing.service()
      code = nil
    } catch let refusal as Refusal {
      code = refusal.code
    }
    #expect(code == ProblemCode.validationFailed)
  }

  @Test("only the terms that were seen can be agreed to without a proposal")
  func staleTerms() async throws {
    let stage = try await Stage.shop()
    let seen = BytesText.hex(try await stage.desk.terms(of: Stage.wish()).hash)
    var dearer = Listing()
    dearer.rate = 501
    try await stage.list(dearer)
    let answer = try await stage.desk.start(
      Stage.wish(), termsHash: seen, by: .anna, key: Stage.key("POST /v1/sessions", "one"),
      refused: { refusal in
        let body: JSON = [
          "code": .string(refusal.code.rawValue), "terms": refusal.facts["terms"] ?? .null,
        ]
        return Idempotency.Answer(status: refusal.code.status, body: body.bytes)
      })
    #expect(try code(answer) == "proposal_stale")
    let shown = try document(answer)["terms"]
    #expect(shown?["ratePerHourMicrotokens"]?.int == 501_000_000)
    let now = BytesText.hex(try await stage.desk.terms(of: Stage.wish()).hash)
    #expect(shown?["termsHash"]?.string == now)
    #expect(try await stage.number("SELECT count(*) FROM session") == 0)
    let taken = try await stage.direct(Stage.wish(), key: "two")
    #expect(taken.status == 201)
  }

  @Test("a changed share makes a proposal stale, and leaves sessions as they were agreed to")
  func changedShare() async throws {
    let stage = try await Stage.shop()
    let session = try await stage.buy()
    try await stage.beat(session.id, times: 3)
    let made = try document(try await stage.propose(Stage.wish()))
    let id = try #require(ID<ProposalKind>(made.text("id")))
    let dearer = SessionDesk(
      database: stage.database, clock: stage.clock.clock, random: stage.random, keys: stage.keys,
      idempotency: Stage.idempotency(stage), policy: stage.policy, publicURL: Stage.url,
      feeBasisPoints: 2_500)
    let answer = try await dearer.confirm(
      id, by: .anna, key: Stage.key("POST /v1/sessions", "late"),
      refused: { refusal in Stage.answer(refusal) })
    #expect(try code(answer) == "proposal_stale")
    let done = try await dearer.transition(session.id, by: .admin, .complete(by: "user"))
    #expect(done.int("feeMicrotokens") == 5_000_000)
  }

  @Test("a user may have several paid sessions, beside a trial")
  func several() async throws {
    let stage = try await Stage.shop()
    _ = try await stage.start()
    _ = try await stage.buy()
    _ = try await stage.buy()
    #expect(try await stage.number("SELECT count(*) FROM session") == 3)
    #expect(try await stage.faults() == [])
  }

  @Test("a session is sent to a registered address only, letter for letter")
  func addresses() async throws {
    var listing = Listing()
    listing.redirects = [
      "https://acme.example/a", "https://acme.example/b", "http://localhost:9/c",
    ]
    let stage = try await Stage.shop(listing)
    var wish = Stage.wish()
    #expect(try await stage.desk.terms(of: wish).redirectURL == "https://acme.example/a")
    wish.redirectURL = "https://acme.example/b"
    #expect(try await stage.desk.terms(of: wish).redirectURL == "https://acme.example/b")
    let wrong = [
      "https://acme.example/b/", "https://acme.example/b?x=1", "https://ACME.example/b",
      "https://evil.example/b", "http://localhost:9/c", "",
    ]
    for address in wrong {
      wish.redirectURL = address
      let code = try await awaitedRefusal { [wish] in try await stage.desk.terms(of: wish) }
      #expect(code == ProblemCode.validationFailed, "\(address)")
    }
    let development = try await Stage.shop(listing, policy: .sandboxed)
    wish.redirectURL = "http://localhost:9/c"
    #expect(try await development.desk.terms(of: wish).redirectURL == "http://localhost:9/c")
  }

  @Test("an address that would grow too long goes by form")
  func longAddress() async throws {
    var listing = Listing()
    listing.redirects = ["https://acme.example/" + String(repeating: "a", count: 1_900)]
    let stage = try await Stage.shop(listing)
    let view = try document(try await stage.direct(Stage.wish()))
    #expect(view["redirectUrl"] == .null)
    let form = try #require(view["formPost"])
    #expect(form["action"]?.string == listing.redirects[0])
    let token = try #require(form["fields"]?["marketplace_session"]?.string)
    let redeemed = try await stage.desk.validate(token: token, provider: "acme", origin: nil)
    #expect(redeemed.text("state") == "active")
  }
}

extension Stage {
  /// Answers under the same seal as the stage's own desk.
  static func idempotency(_ stage: Stage) -> Idempotency {
    Idempotency(sealer: .init(key: stage.keys.derived(for: "answers")), random: stage.random)
  }
}
