import Authorization
import Cryptography
import Identity
import Primitives
import SQLite
import Testing
import TestSupport

/// Clients that prove themselves by what they sign (RFC 7523).
@Suite("Clients with keys")
struct AssertionTests {
  private struct Stage: Sendable {
    let world: World
    let key: SigningKey
    let client: OAuthClient

    init(_ algorithm: SigningAlgorithm = .es256) async throws {
      world = try await World()
      key = SigningKey(algorithm)
      client = try await world.addClient(
        confidential: true, keySet: ["keys": [key.verifying.jwk]])
    }

    func claims(_ changes: [String: JSON?] = [:]) -> JSONObject {
      let now = world.time.now.seconds
      var claims: JSONObject = [
        "iss": .string(client.id), "sub": .string(client.id),
        "aud": .string(World.issuer + "/oauth/token"), "iat": .int(now), "exp": .int(now + 60),
        "jti": .string(BytesText.base64url(world.random.bytes(16))),
      ]
      for (name, value) in changes { claims[name] = value }
      return claims
    }

    func assertion(
      _ changes: [String: JSON?] = [:], type: String = "JWT", key other: SigningKey? = nil
    ) -> String {
      JWT.sign(type: type, claims: claims(changes), with: other ?? key)
    }

    /// The exchange of a new code, with a proof.
    func exchange(
      _ assertion: String, _ more: [(name: String, value: String)] = [],
      type: String = ClientAssertion.type, authorization: String? = nil
    ) async throws -> JSON {
      let code = try await world.code(client)
      return try await world.token(
        [
          ("grant_type", "authorization_code"), ("code", code),
          ("code_verifier", World.verifier), ("client_assertion_type", type),
          ("client_assertion", assertion),
        ] + more, authorization: authorization)
    }
  }

  @Test(
    "a signed assertion proves a client, for each kind of key", arguments: SigningAlgorithm.allCases
  )
  func sound(algorithm: SigningAlgorithm) async throws {
    let stage = try await Stage(algorithm)
    let answer = try await stage.exchange(stage.assertion())
    #expect(await stage.world.isTaken(answer))
    #expect(
      await refusal {
        try await stage.exchange(stage.assertion(["aud": .string(World.issuer)]))
      } == nil)
    #expect(
      await refusal {
        try await stage.exchange(stage.assertion(), [("client_id", stage.client.id)])
      } == nil)
    #expect(
      await refusal {
        try await stage.exchange(stage.assertion(type: "client-authentication+jwt"))
      } == nil)
  }

  @Test("an assertion counts once")
  func replay() async throws {
    let stage = try await Stage()
    let assertion = stage.assertion()
    #expect(await refusal { try await stage.exchange(assertion) } == nil)
    #expect(await refusal { try await stage.exchange(assertion) } == .invalidClient)
    stage.world.time.move(seconds: 60)
    #expect(await refusal { try await stage.exchange(assertion) } == .invalidClient)
    // What nobody would take any more need not be remembered.
    stage.world.time.move(seconds: 91)
    try await stage.world.server.prune()
    let rows = try await stage.world.database.read { connection in
      try connection.first("SELECT count(*) FROM oauth_assertion") { $0.int(0) }
    }
    #expect(rows == 0)
    #expect(await refusal { try await stage.exchange(assertion) } == .invalidClient)
  }

  @Test(
    "what is not right in its claims is refused",
    arguments: [
      ["aud": "https://other.example"], ["aud": "https://waypost.example/"],
      ["aud": "https://waypost.example/oauth/revoke"], ["aud": nil],
      ["aud": ["https://waypost.example"]], ["sub": "somebody"], ["sub": nil],
      ["iss": "somebody"], ["iss": nil], ["jti": nil], ["jti": "short"], ["jti": 12_345_678],
      ["exp": nil], ["exp": "1800000060"], ["exp": 1_800_000_601], ["exp": 1_799_999_000],
      ["iat": nil], ["iat": 1_800_000_100], ["nbf": 1_800_000_100],
    ] as [[String: JSON?]])
  func claims(changes: [String: JSON?]) async throws {
    let stage = try await Stage()
    #expect(
      await refusal { try await stage.exchange(stage.assertion(changes)) } == .invalidClient)
  }

  @Test("another's key, another type and no keys at all prove nothing")
  func keys() async throws {
    let stage = try await Stage()
    let other = SigningKey()
    #expect(
      await refusal { try await stage.exchange(stage.assertion(key: other)) } == .invalidClient)
    #expect(
      await refusal { try await stage.exchange(stage.assertion(type: "at+jwt")) }
        == .invalidClient)
    #expect(await refusal { try await stage.exchange("a.b.c") } == .invalidClient)
    let plain = try await stage.world.addClient(confidential: true)
    let claims: [String: JSON?] = ["iss": .string(plain.id), "sub": .string(plain.id)]
    #expect(
      await refusal { try await stage.exchange(stage.assertion(claims)) } == .invalidClient)
  }

  @Test("a client with keys has no weaker way in, and says who it is in one way")
  func oneWay() async throws {
    let stage = try await Stage()
    let (client, world) = (stage.client, stage.world)
    let secret = world.server.clients.secret(of: client.id)
    let code = try await world.code(client)
    for more in [[], [("client_secret", secret)]] as [[(name: String, value: String)]] {
      let refused = await refusal {
        try await world.token(
          [
            ("grant_type", "authorization_code"), ("code", code),
            ("code_verifier", World.verifier), ("client_id", client.id),
          ] + more)
      }
      #expect(refused == .invalidClient)
    }
    #expect(
      await refusal { try await stage.exchange(stage.assertion(), [("client_secret", secret)]) }
        == .invalidRequest)
    let basic = "Basic " + Data64.text("\(client.id):\(secret)")
    #expect(
      await refusal { try await stage.exchange(stage.assertion(), authorization: basic) }
        == .invalidRequest)
    #expect(
      await refusal { try await stage.exchange(stage.assertion(), [("client_id", "x")]) }
        == .invalidClient)
    #expect(
      await refusal { try await stage.exchange(stage.assertion(), type: "urn:x") }
        == .invalidRequest)
  }

  @Test("new keys count at once, and those before do not")
  func change() async throws {
    let stage = try await Stage()
    let (world, next) = (stage.world, SigningKey())
    let (id, now) = (stage.client.id, world.time.now)
    let client = try await world.database.write { connection in
      try world.server.clients.setKeys(
        ["keys": [next.verifying.jwk]], of: id, by: .system, at: now, on: connection)
    }
    #expect(client.keySet?["keys"]?.array?.count == 1)
    #expect(await refusal { try await stage.exchange(stage.assertion()) } == .invalidClient)
    #expect(await refusal { try await stage.exchange(stage.assertion(key: next)) } == nil)
  }

  @Test(
    "key sets are refused that hold no key, a private one, or are for a client without a secret")
  func registration() async throws {
    let world = try await World()
    let key = SigningKey().verifying.jwk
    var leaked = key.object ?? [:]
    leaked["d"] = "AAAA"
    for keySet in [[:], ["keys": []], ["keys": [.object(leaked)]], ["keys": [key, key]]] as [JSON] {
      await #expect(throws: Refusal.self) {
        try await world.addClient(confidential: true, keySet: keySet)
      }
    }
    await #expect(throws: Refusal.self) { try await world.addClient(keySet: ["keys": [key]]) }
    let open = try await world.addClient()
    let now = world.time.now
    await #expect(throws: Refusal.self) {
      try await world.database.write { connection in
        try world.server.clients.setKeys(
          ["keys": [key]], of: open.id, by: .system, at: now, on: connection)
      }
    }
  }
}

/// base64 as the Basic scheme has it.
private enum Data64 {
  static func text(_ plain: String) -> String {
    BytesText.base64url(Array(plain.utf8)).replacing("-", with: "+").replacing("_", with: "/")
  }
}
