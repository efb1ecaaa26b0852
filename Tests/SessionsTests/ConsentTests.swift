import Identity
import Primitives
import SQLite
import Sessions
import Testing
import TestSupport

/// H3: what a provider may know is asked with the proposal and written down with the session.
@Suite("Sessions: what a provider may know")
struct ConsentTests {
  private func question(_ stage: Stage) async throws -> ConsentQuestion {
    try await stage.desk.propose(serviceID: "scribe", to: .anna).consent
  }

  private func known(_ stage: Stage) async throws -> ProviderConsent? {
    try await stage.database.read { connection in
      try ProviderConsentStore.consent(of: .anna, to: "acme", on: connection)
    }
  }

  private func ask(_ stage: Stage, for scopes: Set<ProviderScope>) async throws {
    let now = stage.clock.now
    try await stage.database.write { connection in
      try ProviderConsentStore.ask(
        for: scopes, by: "acme", author: .system, at: now, on: connection)
    }
  }

  private func withdraw(_ stage: Stage) async throws {
    let now = stage.clock.now
    _ = try await stage.database.write { connection in
      try ProviderConsentStore.withdraw(
        from: "acme", of: .anna, by: .system, at: now, on: connection)
    }
  }

  /// Starts a trial and ends it, so that the next one may start.
  private func start(
    _ stage: Stage, _ consent: ConsentAnswer = ConsentAnswer(), key: String
  ) async throws -> Idempotency.Answer {
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    let answer = try await stage.confirm(proposal.id, consent: consent, key: key)
    let view = try #require(try JSON.parse(answer.body).object)
    if let id = ID<SessionKind>(view.text("id")) {
      _ = try await stage.desk.transition(id, by: .user(.anna), .revoke)
    }
    return answer
  }

  @Test("the first proposal asks for everything, a later one shows what was allowed")
  func shown() async throws {
    let stage = try await Stage.open()
    let first = try await question(stage)
    #expect(first.providerID == "acme")
    #expect(first.isOpen)
    #expect(first.scopes == [.profile, .email, .sessionAccess])
    #expect(first.granted.isEmpty)
    let rows = first.json["scopes"]?.array ?? []
    #expect(rows.map { $0["required"]?.bool } == [false, false, true])
    #expect(rows.allSatisfy { ($0["description"]?.string?.count ?? 0) > 10 })
    let words = try #require(first.text)
    #expect(words.contains("Acme Labs") && words.contains("your name and your e-mail address"))
    #expect(!words.contains("{"))
    let answer = try await start(
      stage, ConsentAnswer(scopes: [.email, .sessionAccess]), key: "one")
    #expect(answer.status == 201)
    let later = try await question(stage)
    #expect(!later.isOpen)
    #expect(later.text == nil)
    #expect(later.granted == [.email, .sessionAccess])
    #expect(later.givenAt == stage.clock.now)
    #expect(later.json["scopes"]?.array?.map { $0["granted"]?.bool } == [false, true, true])
  }

  @Test("nothing said is what a session needs, and leaves what was allowed before")
  func silence() async throws {
    let stage = try await Stage.open()
    _ = try await start(stage, key: "one")
    #expect(try await known(stage)?.scopes == [.sessionAccess])
    _ = try await start(stage, ConsentAnswer(scopes: [.profile, .sessionAccess]), key: "two")
    _ = try await start(stage, key: "three")
    #expect(try await known(stage)?.scopes == [.profile, .sessionAccess])
    _ = try await start(stage, ConsentAnswer(scopes: [.sessionAccess]), key: "four")
    #expect(try await known(stage)?.scopes == [.sessionAccess])
    let rows = "SELECT detail FROM audit WHERE action = 'consent.given' ORDER BY seq"
    #expect(
      try await stage.texts(rows) == [
        "provider=acme scopes=session_access", "provider=acme scopes=profile,session_access",
        "provider=acme scopes=session_access",
      ])
  }

  @Test("a provider that asks for the same again leaves one note of it")
  func asksAgain() async throws {
    let stage = try await Stage.open()
    for _ in 0..<3 { try await ask(stage, for: [.profile, .sessionAccess]) }
    let rows = "SELECT count(*) FROM audit WHERE action = 'provider.consent_scopes'"
    #expect(try await stage.number(rows) == 1)
    try await ask(stage, for: [.sessionAccess])
    #expect(try await stage.number(rows) == 2)
  }

  @Test("more than was shown cannot be allowed, and no session starts without what it needs")
  func bounds() async throws {
    let stage = try await Stage.open()
    try await ask(stage, for: [.profile, .sessionAccess])
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    #expect(proposal.consent.scopes == [.profile, .sessionAccess])
    // What the provider asks for after the proposal was shown counts for the next one.
    try await ask(stage, for: Set(ProviderScope.allCases))
    for scopes in [[.email, .sessionAccess], [.profile], []] as [Set<ProviderScope>] {
      let refused = try await awaitedRefusal {
        try await stage.confirm(
          proposal.id, consent: ConsentAnswer(scopes: scopes), key: "bad-\(scopes.count)")
      }
      #expect(refused == .validationFailed, "\(scopes)")
    }
    #expect(try await known(stage) == nil)
    #expect(try await stage.number("SELECT count(*) FROM session") == 0)
    let answer = try await stage.confirm(
      proposal.id, consent: ConsentAnswer(scopes: [.profile, .sessionAccess]), key: "good")
    #expect(answer.status == 201)
    #expect(try await known(stage)?.scopes == [.profile, .sessionAccess])
  }

  @Test("a session that does not start leaves nothing allowed")
  func undone() async throws {
    let stage = try await Stage.open(budget: 0)
    let proposal = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    let answer = try await stage.confirm(
      proposal.id, consent: ConsentAnswer(scopes: [.email, .sessionAccess]), key: "one")
    #expect(answer.status == 409)
    #expect(try await known(stage) == nil)
    #expect(
      try await stage.number("SELECT count(*) FROM audit WHERE action = 'consent.given'") == 0)
  }

  @Test("a program allows what a session needs, no more, and undoes no withdrawal")
  func programs() async throws {
    let stage = try await Stage.open()
    let program = ConsentAnswer(isOfProgram: true)
    let more = ConsentAnswer(scopes: [.email, .sessionAccess], isOfProgram: true)
    let refused = try await awaitedRefusal { try await start(stage, more, key: "more") }
    #expect(refused == .forbidden)
    _ = try await start(stage, program, key: "one")
    #expect(try await known(stage)?.scopes == [.sessionAccess])
    _ = try await start(stage, ConsentAnswer(scopes: [.email, .sessionAccess]), key: "two")
    // Nor does it narrow what the person said.
    let same = ConsentAnswer(scopes: [.sessionAccess], isOfProgram: true)
    _ = try await start(stage, same, key: "three")
    #expect(try await known(stage)?.scopes == [.email, .sessionAccess])
    try await withdraw(stage)
    let late = try await awaitedRefusal { try await start(stage, program, key: "four") }
    #expect(late == .forbidden)
    #expect(try await known(stage)?.withdrawnAt != nil)
    let again = try await question(stage)
    #expect(again.isOpen && again.granted.isEmpty)
    let answer = try await start(stage, key: "five")
    #expect(answer.status == 201)
    #expect(try await known(stage)?.scopes == [.sessionAccess])
    #expect(try await known(stage)?.withdrawnAt == nil)
  }

  @Test("a proposal that was shown before a withdrawal does not undo it")
  func withdrawnSince() async throws {
    let stage = try await Stage.open()
    _ = try await start(stage, key: "one")
    let shown = try await stage.desk.propose(serviceID: "scribe", to: .anna)
    #expect(!shown.consent.isOpen)
    try await withdraw(stage)
    #expect(try code(try await stage.confirm(shown.id, key: "two")) == "proposal_stale")
    #expect(try await known(stage)?.withdrawnAt != nil)
    let said = try await stage.confirm(
      shown.id, consent: ConsentAnswer(scopes: [.sessionAccess]), key: "three")
    #expect(said.status == 201)
    #expect(try await known(stage)?.withdrawnAt == nil)
  }

  @Test("a paid session without a proposal is asked the same, and told with the terms")
  func direct() async throws {
    let stage = try await Stage.shop()
    let answer = try await stage.desk.start(
      Stage.wish(), termsHash: "0", by: .anna, key: Stage.key("POST /v1/sessions", "stale"),
      refused: { refusal in
        Idempotency.Answer(status: 409, body: (refusal.facts["consent"] ?? .null).bytes)
      })
    #expect(try JSON.parse(answer.body)["needed"] == true)
    let terms = try await stage.desk.terms(of: Stage.wish())
    let taken = try await stage.desk.start(
      Stage.wish(), termsHash: BytesText.hex(terms.hash), by: .anna,
      consent: ConsentAnswer(scopes: [.profile, .sessionAccess]),
      key: Stage.key("POST /v1/sessions", "taken"), refused: { Stage.answer($0) })
    #expect(taken.status == 201)
    #expect(try await known(stage)?.scopes == [.profile, .sessionAccess])
  }
}
