import Cryptography
import Identity
import Primitives
import SQLite
import Sessions
import Testing
import TestSupport

/// `private_key_jwt`: what a provider's own signature must be to stand for its API key (RFC 7523).
@Suite("Sessions: providers' assertions")
struct AssertionTests {
  private static func claims(_ stage: Stage, _ changes: JSONObject = [:]) -> JSONObject {
    let now = stage.clock.now.seconds
    var claims: JSONObject = [
      "iss": "acme", "sub": "acme", "aud": .string(Stage.url), "iat": .int(now),
      "exp": .int(now + 60), "jti": "assertion-1",
    ]
    for member in changes.members {
      claims[member.key] = member.value == .null ? nil : member.value
    }
    return claims
  }

  /// A stage whose provider has registered the public half of the key.
  private static func stage(_ key: SigningKey) async throws -> Stage {
    let stage = try await Stage.open()
    try await stage.desk.register(keySet: ["keys": [key.verifying.jwk]], of: "acme")
    return stage
  }

  @Test("a signed assertion stands for the API key, once")
  func proves() async throws {
    let key = SigningKey()
    let stage = try await AssertionTests.stage(key)
    let started = try await stage.start()
    let assertion = JWT.sign(type: "JWT", claims: AssertionTests.claims(stage), with: key)
    let provider = try await stage.desk.provider(assertion: assertion)
    #expect(provider == "acme")
    let view = try await stage.desk.validate(
      token: started.token, provider: provider, origin: nil)
    #expect(view.text("state") == "active")
    let again = try await awaitedRefusal { try await stage.desk.provider(assertion: assertion) }
    #expect(again == ProblemCode.tokenInvalid)
    let draft = JWT.sign(
      type: "client-authentication+jwt",
      claims: AssertionTests.claims(stage, ["jti": "assertion-2"]), with: key)
    #expect(try await stage.desk.provider(assertion: draft) == "acme")
  }

  /// What is wrong, and the changed claim.
  static let faults: [(String, JSON)] = [
    ("iss", "other"), ("iss", .null), ("iss", "Acme"), ("sub", "other"), ("sub", .null),
    ("aud", "https://other.example"), ("aud", .null), ("aud", ["https://waypost.example"]),
    ("exp", .null), ("exp", "soon"), ("exp", 1_800_000_601), ("exp", .double(1_800_000_060.5)),
    ("iat", .null), ("iat", 1_800_000_061), ("jti", .null), ("jti", "short"), ("jti", 12_345_678),
    ("jti", .string(String(repeating: "j", count: 129))),
  ]

  @Test(
    "an assertion with a wrong claim proves nothing", arguments: 0..<AssertionTests.faults.count)
  func wrongClaim(index: Int) async throws {
    let (name, value) = AssertionTests.faults[index]
    let key = SigningKey()
    let stage = try await AssertionTests.stage(key)
    let assertion = JWT.sign(
      type: "JWT", claims: AssertionTests.claims(stage, [name: value]), with: key)
    let code = try await awaitedRefusal { try await stage.desk.provider(assertion: assertion) }
    #expect(code == ProblemCode.tokenInvalid, "\(name)")
    #expect(try await stage.number("SELECT count(*) FROM provider_assertion") == 0)
  }

  @Test("an assertion lives as long as it says, ten minutes at most")
  func life() async throws {
    let key = SigningKey()
    let stage = try await AssertionTests.stage(key)
    let now = stage.clock.now.seconds
    let longest = JWT.sign(
      type: "JWT", claims: AssertionTests.claims(stage, ["exp": .int(now + 600)]), with: key)
    let short = JWT.sign(
      type: "JWT", claims: AssertionTests.claims(stage, ["jti": "assertion-3"]), with: key)
    stage.clock.move(seconds: 90)
    let late = try await awaitedRefusal { try await stage.desk.provider(assertion: short) }
    #expect(late == ProblemCode.tokenExpired)
    #expect(try await stage.desk.provider(assertion: longest) == "acme")
    try await stage.desk.prune()
    #expect(try await stage.number("SELECT count(*) FROM provider_assertion") == 1)
    stage.clock.move(seconds: 601)
    try await stage.desk.prune()
    #expect(try await stage.number("SELECT count(*) FROM provider_assertion") == 0)
  }

  @Test("only the registered keys of the named provider count")
  func keys() async throws {
    let key = SigningKey()
    let stage = try await AssertionTests.stage(key)
    var other = Listing()
    other.id = "other"
    other.provider = "other"
    try await stage.list(other)
    let foreign = JWT.sign(
      type: "JWT", claims: AssertionTests.claims(stage), with: SigningKey())
    // Signed by acme, in the name of another.
    let named = JWT.sign(
      type: "JWT", claims: AssertionTests.claims(stage, ["iss": "other", "sub": "other"]),
      with: key)
    let kind = JWT.sign(type: "at+jwt", claims: AssertionTests.claims(stage), with: key)
    for assertion in [foreign, named, kind, "", "a.b.c", "a.b"] {
      let code = try await awaitedRefusal { try await stage.desk.provider(assertion: assertion) }
      #expect(code == ProblemCode.tokenInvalid)
    }
    try await stage.desk.register(keySet: ["keys": []], of: "acme")
    let gone = JWT.sign(type: "JWT", claims: AssertionTests.claims(stage), with: key)
    let code = try await awaitedRefusal { try await stage.desk.provider(assertion: gone) }
    #expect(code == ProblemCode.tokenInvalid)
  }

  @Test("a key set holds public keys with names of their own, ten at most")
  func keySets() async throws {
    let stage = try await Stage.open()
    let good = SigningKey().verifying.jwk
    var secret = try #require(good.object)
    secret["d"] = "AAAA"
    var nameless = try #require(good.object)
    nameless["kid"] = nil
    var curve = try #require(good.object)
    curve["crv"] = "P-384"
    var astray = try #require(good.object)
    astray["y"] = astray["x"]
    let many = (0..<11).map { _ in SigningKey().verifying.jwk }
    let bad: [JSON] = [
      [:], ["keys": "none"], ["keys": [.object(secret)]], ["keys": [.object(nameless)]],
      ["keys": [.object(curve)]], ["keys": [.object(astray)]], ["keys": [good, good]],
      ["keys": .array(many)],
    ]
    for keySet in bad {
      let code = try await awaitedRefusal {
        try await stage.desk.register(keySet: keySet, of: "acme")
      }
      #expect(code == ProblemCode.validationFailed, "\(keySet.text)")
    }
    let unknown = try await awaitedRefusal {
      try await stage.desk.register(keySet: ["keys": [good]], of: "nobody")
    }
    #expect(unknown == ProblemCode.notFound)
    #expect(try await stage.desk.keySet(of: "acme") == ["keys": []])
    try await stage.desk.register(keySet: ["keys": .array(Array(many.prefix(10)))], of: "acme")
    #expect(try await stage.desk.keySet(of: "acme")["keys"]?.array?.count == 10)
    let noted = try await stage.database.read { connection throws in
      try AuditLog.entries(below: .max, subject: "provider:acme", limit: 2, on: connection)
    }
    #expect(noted.map(\.action) == ["provider.key_set"] && noted.map(\.detail) == ["count=10"])
  }
}
