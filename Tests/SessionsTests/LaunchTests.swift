import Cryptography
import Identity
import Ledger
import Primitives
import Sessions
import Testing
import TestSupport

/// Specification core, 5: the launch token, who may redeem it, and how often.
@Suite("Sessions: launch tokens")
struct LaunchTests {
  /// The header and the claims of a token.
  private static func read(_ token: String) throws -> (head: JSONObject, claims: JSONObject) {
    let parts = token.split(separator: ".", omittingEmptySubsequences: false)
    try #require(parts.count == 3)
    let head = try #require(BytesText.bytes(base64url: parts[0]))
    let body = try #require(BytesText.bytes(base64url: parts[1]))
    let header = try #require(try JSON.parse(head).object)
    let claims = try #require(try JSON.parse(body).object)
    return (header, claims)
  }

  @Test("a launch token has exactly the claims it needs and no personal data")
  func claims() async throws {
    let stage = try await Stage.open()
    let started = try await stage.start()
    let (head, claims) = try LaunchTests.read(started.token)
    #expect(head.keys.sorted() == ["alg", "kid", "typ"])
    #expect(head.text("alg") == "ES256")
    #expect(head.text("typ") == "launch+jwt")
    #expect(
      claims.keys.sorted() == [
        "aud", "duration_limit", "exp", "iat", "iss", "jti", "nbf", "scope", "service_id",
        "session_id", "sub", "tokens_allocated",
      ])
    let now = stage.clock.now.seconds
    #expect(claims.text("iss") == Stage.url)
    #expect(claims.text("aud") == "acme-app")
    #expect(claims.text("session_id") == started.id.text)
    #expect(claims.text("service_id") == "scribe")
    #expect(claims.int("iat") == now)
    #expect(claims.int("nbf") == now)
    #expect(claims.int("exp") == now + 1_800 + 300)
    #expect(claims.int("duration_limit") == 1_800)
    #expect(claims.int("tokens_allocated") == 250)
    let jti = try #require(BytesText.bytes(base64url: claims.text("jti")))
    #expect(jti.count == 16)
    #expect(claims.text("sub") != ID<UserKind>.anna.text)
    #expect(claims.text("sub").count == 43)
  }

  @Test("a launch token verifies with the published key")
  func verifies() async throws {
    let stage = try await Stage.open()
    let started = try await stage.start()
    let now = stage.clock.now
    let claims = try JWT.verify(
      started.token,
      expecting: JWT.Expectation(type: "launch+jwt", issuer: Stage.url, audience: "acme-app"),
      at: now, key: { id in stage.keys.verifying(id, at: now) })
    let expected = try LaunchTests.read(started.token).claims
    #expect(claims == expected)
  }

  @Test("the subject is one per user and provider")
  func pairwise() async throws {
    let stage = try await Stage.open(budget: 10_000)
    var second = Listing()
    second.id = "second"
    var foreign = Listing()
    foreign.id = "foreign"
    foreign.provider = "other"
    try await stage.list(second)
    try await stage.list(foreign)
    var subjects: [String] = []
    for service in ["scribe", "second", "foreign"] {
      let started = try await stage.start(service)
      subjects.append(try LaunchTests.read(started.token).claims.text("sub"))
    }
    let bert = try await stage.start("scribe", by: .bert)
    subjects.append(try LaunchTests.read(bert.token).claims.text("sub"))
    #expect(subjects[0] == subjects[1])
    #expect(subjects[0] != subjects[2])
    #expect(subjects[0] != subjects[3])
  }

  @Test("the link goes to the registered address and comes back to our own origin")
  func link() async throws {
    var listing = Listing()
    for address in ["https://acme.example/start", "https://acme.example/start?lang=en"] {
      listing.redirects = [address]
      let stage = try await Stage.open(listing)
      let started = try await stage.start()
      let link = started.view.text("redirectUrl")
      let mark = address.contains("?") ? "&" : "?"
      let isRegistered = link.hasPrefix(address + mark + "marketplace_session=")
      #expect(isRegistered, "\(link)")
      let back = "https%3A%2F%2Fwaypost.example%2Fsessions%2F" + started.id.text
      let isBack = link.hasSuffix("&return_url=" + back)
      #expect(isBack, "\(link)")
      #expect(link.utf8.count <= 2_000)
    }
  }

  // MARK: Redemption

  @Test("only the provider of the session may redeem, and a refusal uses nothing up")
  func callers() async throws {
    let stage = try await Stage.open()
    let started = try await stage.start()
    let nobody = try await awaitedRefusal {
      try await stage.desk.validate(token: started.token, provider: nil, origin: nil)
    }
    #expect(nobody == ProblemCode.unauthenticated)
    let page = try await awaitedRefusal {
      try await stage.desk.validate(token: started.token, provider: nil, origin: Stage.url)
    }
    #expect(page == ProblemCode.unauthenticated)
    let other = try await awaitedRefusal {
      try await stage.desk.validate(token: started.token, provider: "other", origin: nil)
    }
    #expect(other == ProblemCode.forbidden)
    #expect(try await stage.texts("SELECT state FROM session") == ["pending"])
    #expect(try await stage.number("SELECT count(*) FROM launch") == 0)
    let view = try await stage.desk.validate(token: started.token, provider: "acme", origin: nil)
    #expect(view.text("state") == "active")
    #expect(view.text("tokenType") == "Bearer")
    #expect(view.int("nextHeartbeatSeconds") == 30)
    #expect(try await stage.number("SELECT count(*) FROM launch") == 1)
  }

  @Test("what is no launch token is refused")
  func invalid() async throws {
    let stage = try await Stage.open()
    let (session, bearer) = try await stage.startActive()
    let cut = String(session.token.dropLast(4)) + "AAAA"
    for token in ["", "nonsense", "a.b.c", bearer, cut, session.token + ".x"] {
      let code = try await awaitedRefusal {
        try await stage.desk.validate(token: token, provider: "acme", origin: nil)
      }
      #expect(code == ProblemCode.tokenInvalid, "\(token)")
    }
    let foreign = try await Stage.open(seed: 2)
    let code = try await awaitedRefusal {
      try await foreign.desk.validate(token: session.token, provider: "acme", origin: nil)
    }
    #expect(code == ProblemCode.tokenInvalid)
  }

  static let moments: [(Int64, String)] = [
    (299, "active"), (300, "active"), (301, "invalid_transition"), (2_129, "invalid_transition"),
    (2_130, "token_expired"), (2_131, "token_expired"),
  ]

  @Test("a launch token starts a session for 300 s only", arguments: LaunchTests.moments)
  func inTime(seconds: Int64, outcome: String) async throws {
    let stage = try await Stage.open()
    let started = try await stage.start()
    stage.clock.move(seconds: seconds)
    var actual = "active"
    do {
      let view = try await stage.desk.validate(
        token: started.token, provider: "acme", origin: nil)
      actual = view.text("state")
    } catch let refusal as Refusal {
      actual = refusal.code.rawValue
    }
    #expect(actual == outcome)
    let view = try await stage.view(started.id)
    #expect(view.text("state") == (outcome == "active" ? "active" : "expired"))
    let held = try await stage.balance(.grants).held
    #expect(held == Microtokens(outcome == "active" ? 250_000_000 : 0))
    #expect(try await stage.faults() == [])
  }

  // MARK: Second uses

  @Test("the provider's server may repeat the call for 30 s")
  func repeats() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    for _ in 0..<2 {
      stage.clock.move(seconds: 15)
      let view = try await stage.desk.validate(
        token: session.token, provider: "acme", origin: nil)
      #expect(view.text("id") == session.id.text)
      #expect(view.text("state") == "active")
      let actor = try stage.desk.bearer(view.text("token"))
      #expect(actor == SessionActor.bearer(session.id))
    }
    #expect(try await stage.number("SELECT flagged FROM session") == 0)
    #expect(try await stage.texts("SELECT type FROM outbox") == ["session.started"])
    stage.clock.move(milliseconds: 1)
    let late = try await awaitedRefusal {
      try await stage.desk.validate(token: session.token, provider: "acme", origin: nil)
    }
    #expect(late == ProblemCode.tokenReused)
    #expect(try await stage.number("SELECT flagged FROM session") == 1)
    #expect(try await stage.texts("SELECT state FROM session") == ["active"])
  }

  @Test("a token of an ended session is not redeemed again")
  func afterTheEnd() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    _ = try await stage.desk.transition(session.id, by: .user(.anna), .revoke)
    let code = try await awaitedRefusal {
      try await stage.desk.validate(token: session.token, provider: "acme", origin: nil)
    }
    #expect(code == ProblemCode.tokenReused)
    #expect(try await stage.texts("SELECT state FROM session") == ["expired"])
    #expect(try await stage.faults() == [])
  }

  @Test("parallel redemptions start the session once")
  func parallel() async throws {
    let stage = try await Stage.open()
    let started = try await stage.start()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<20 {
        group.addTask {
          _ = try await stage.desk.validate(
            token: started.token, provider: "acme", origin: nil)
        }
      }
      try await group.waitForAll()
    }
    #expect(try await stage.texts("SELECT type FROM outbox") == ["session.started"])
    #expect(try await stage.number("SELECT count(*) FROM launch") == 1)
  }
}
