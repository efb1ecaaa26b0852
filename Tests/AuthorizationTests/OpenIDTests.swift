import Authorization
import Cryptography
import Identity
import Primitives
import Testing
import TestSupport

@Suite("Sign-in through an OpenID provider")
struct OpenIDTests {
  static let issuer = "https://accounts.example"

  /// A provider with one key, and our client of it.
  private struct Desk {
    let time = MovableClock(Timestamp(milliseconds: 1_800_000_000_000))
    let random = RandomSource.seeded(17)
    let others = ScriptedServer()
    let key: SigningKey
    let client: OpenIDClient

    init(namesItself: Bool = false, algorithm: SigningAlgorithm = .es256) throws {
      key = SigningKey(algorithm)
      let base = OpenIDTests.issuer
      others.set(
        base + "/.well-known/openid-configuration",
        [
          "issuer": .string(base), "authorization_endpoint": .string(base + "/authorize"),
          "token_endpoint": .string(base + "/token"), "jwks_uri": .string(base + "/keys"),
          "authorization_response_iss_parameter_supported": .bool(namesItself),
        ], maxAge: 3_600)
      others.set(base + "/keys", ["keys": [key.verifying.jwk]], maxAge: 3_600)
      client = OpenIDClient(
        settings: try OpenIDSettings(issuer: base, clientID: "waypost", secret: "s:1"),
        fetcher: others.fetcher, clock: time.clock, random: random,
        key: [UInt8](repeating: 7, count: 32), redirectURI: "https://waypost.example/cb")
    }

    /// A token of the provider; nil leaves a claim out.
    func token(nonce: String, _ changes: [String: JSON?] = [:], type: String = "JWT") -> String {
      let now = time.now.seconds
      var claims: JSONObject = [
        "iss": .string(OpenIDTests.issuer), "aud": "waypost", "sub": "ann-1",
        "nonce": .string(nonce), "iat": .int(now), "exp": .int(now + 300),
        "email": "Ann@example.org", "email_verified": true, "name": "Ann",
      ]
      for (name, value) in changes { claims[name] = value }
      return JWT.sign(type: type, claims: claims, with: key)
    }

    func answer(_ token: String) {
      others.set(OpenIDTests.issuer + "/token", ["id_token": .string(token)])
    }

    func finish(
      _ attempt: OpenIDClient.Attempt, _ changes: [String: String?] = [:]
    ) async throws -> OpenIDPerson {
      var values: [String: String?] = [
        "code": "c-1", "state": parameter("state", of: attempt.address),
      ]
      for (name, value) in changes { values.updateValue(value, forKey: name) }
      let pairs = values.compactMap { name, value in value.map { (name: name, value: $0) } }
      return try await client.finish(OAuthForm(pairs), cookie: attempt.cookie).person
    }
  }

  private func code(of work: () async throws -> some Any) async -> ProblemCode? {
    do {
      _ = try await work()
      return nil
    } catch {
      return (error as? Refusal)?.code
    }
  }

  @Test("a sound answer says who it is", arguments: SigningAlgorithm.allCases)
  func sound(algorithm: SigningAlgorithm) async throws {
    let desk = try Desk(algorithm: algorithm)
    let attempt = try await desk.client.begin(returningTo: "/home")
    desk.answer(desk.token(nonce: parameter("nonce", of: attempt.address) ?? ""))
    let person = try await desk.finish(attempt)
    #expect(
      person.identity
        == ExternalIdentity(source: "oidc:" + OpenIDTests.issuer, externalID: "ann-1"))
    #expect(person.verifiedEmail == "ann@example.org")
    #expect(person.name == "Ann")
    let asked = try #require(desk.others.asked.last { $0.url.hasSuffix("/token") })
    let verifier = try #require(parameter("code_verifier", of: "?" + asked.body))
    let made = BytesText.base64url(Digest.sha256(Array(verifier.utf8)))
    #expect(parameter("code_challenge", of: attempt.address) == made)
    #expect(parameter("code_challenge_method", of: attempt.address) == "S256")
    // The id and the secret, escaped, in base64: waypost:s%3A1
    #expect(asked.authorization == "Basic d2F5cG9zdDpzJTNBMQ==")
  }

  @Test(
    "a token that is not exactly ours and of this sign-in is refused",
    arguments: [
      ["iss": "https://accounts.example/"], ["iss": "https://other.example"], ["aud": "other"],
      ["aud": ["waypost", "other"]], ["aud": nil], ["azp": "other"], ["nonce": "another"],
      ["nonce": nil], ["sub": ""], ["sub": nil], ["exp": 1_799_999_000],
      ["exp": "never"], ["exp": true], ["iat": 1_800_000_061], ["iat": nil],
      ["nbf": 1_800_000_061],
    ] as [[String: JSON?]])
  func claims(changes: [String: JSON?]) async throws {
    let desk = try Desk()
    let attempt = try await desk.client.begin(returningTo: "/")
    desk.answer(desk.token(nonce: parameter("nonce", of: attempt.address) ?? "", changes))
    #expect(await code { try await desk.finish(attempt) } == .unauthenticated)
  }

  @Test("a list of us alone is our audience; an access token is no ID token")
  func forms() async throws {
    let desk = try Desk()
    let attempt = try await desk.client.begin(returningTo: "/")
    let nonce = parameter("nonce", of: attempt.address) ?? ""
    desk.answer(desk.token(nonce: nonce, ["aud": ["waypost"]]))
    #expect(await code { try await desk.finish(attempt) } == nil)
    desk.answer(desk.token(nonce: nonce, type: "at+jwt"))
    #expect(await code { try await desk.finish(attempt) } == .unauthenticated)
    let other = SigningKey()
    desk.answer(JWT.sign(type: "JWT", claims: ["nonce": .string(nonce)], with: other))
    #expect(await code { try await desk.finish(attempt) } == .unauthenticated)
  }

  @Test(
    "an answer to another sign-in, of another service, or without a code is refused",
    arguments: [
      ["state": "other"], ["state": nil], ["iss": "https://evil.example"], ["code": nil],
      ["error": "access_denied"],
    ] as [[String: String?]])
  func answers(changes: [String: String?]) async throws {
    let desk = try Desk()
    let attempt = try await desk.client.begin(returningTo: "/")
    desk.answer(desk.token(nonce: parameter("nonce", of: attempt.address) ?? ""))
    #expect(await code { try await desk.finish(attempt, changes) } == .unauthenticated)
  }

  @Test(
    "a sign-in that stands for a password asks the person anew, and believes no old one",
    arguments: [
      (nil, true), (1_800_000_000, true), (1_799_999_940, true), (1_800_000_060, true),
      (1_799_999_939, false), (1_799_990_000, false), (1_800_000_061, false), ("now", false),
      (-1, false),
    ] as [(JSON?, Bool)])
  func again(time: JSON?, isTaken: Bool) async throws {
    let desk = try Desk()
    let wish = SignInAgain(
      user: ID(high: 1, low: 2), login: ID(high: 3, low: 4), purpose: .erase)
    let attempt = try await desk.client.begin(returningTo: "/account", again: wish)
    #expect(parameter("prompt", of: attempt.address) == "login")
    #expect(parameter("max_age", of: attempt.address) == "0")
    desk.answer(
      desk.token(nonce: parameter("nonce", of: attempt.address) ?? "", ["auth_time": time]))
    let form = OAuthForm([
      (name: "code", value: "c-1"),
      (name: "state", value: parameter("state", of: attempt.address) ?? ""),
    ])
    guard isTaken else {
      #expect(
        await code { try await desk.client.finish(form, cookie: attempt.cookie).place }
          == .unauthenticated)
      return
    }
    let found = try await desk.client.finish(form, cookie: attempt.cookie)
    #expect(found.again == wish && found.place == "/account")
    #expect(found.person.signedInAt?.seconds == time?.int)
  }

  @Test("a plain sign-in asks for nothing anew and takes an old one")
  func notAgain() async throws {
    let desk = try Desk()
    let attempt = try await desk.client.begin(returningTo: "/")
    #expect(parameter("prompt", of: attempt.address) == nil)
    #expect(parameter("max_age", of: attempt.address) == nil)
    desk.answer(
      desk.token(nonce: parameter("nonce", of: attempt.address) ?? "", ["auth_time": 1_000]))
    let form = OAuthForm([
      (name: "code", value: "c-1"),
      (name: "state", value: parameter("state", of: attempt.address) ?? ""),
    ])
    let found = try await desk.client.finish(form, cookie: attempt.cookie)
    #expect(found.again == nil)
  }

  @Test("a service that says it names itself must do so")
  func names() async throws {
    let desk = try Desk(namesItself: true)
    let attempt = try await desk.client.begin(returningTo: "/")
    desk.answer(desk.token(nonce: parameter("nonce", of: attempt.address) ?? ""))
    #expect(await code { try await desk.finish(attempt) } == .unauthenticated)
    #expect(await code { try await desk.finish(attempt, ["iss": OpenIDTests.issuer]) } == nil)
  }

  @Test("a sign-in ends after ten minutes, and only in the browser that began it")
  func attempts() async throws {
    let desk = try Desk()
    let mine = try await desk.client.begin(returningTo: "/")
    let theirs = try await desk.client.begin(returningTo: "/")
    desk.answer(desk.token(nonce: parameter("nonce", of: mine.address) ?? ""))
    let state = parameter("state", of: mine.address)
    #expect(await code { try await desk.finish(theirs, ["state": state]) } == .unauthenticated)
    desk.time.move(milliseconds: OpenIDClient.attemptMilliseconds)
    #expect(await code { try await desk.finish(mine) } == .unauthenticated)
  }

  @Test("an e-mail that is not verified is none", arguments: [false, "true", nil] as [JSON?])
  func email(verified: JSON?) async throws {
    let desk = try Desk()
    let attempt = try await desk.client.begin(returningTo: "/")
    let nonce = parameter("nonce", of: attempt.address) ?? ""
    desk.answer(desk.token(nonce: nonce, ["email_verified": verified]))
    #expect(try await desk.finish(attempt).verifiedEmail == nil)
  }

  @Test("an address that only looks like another is no proof of it")
  func lookAlike() async throws {
    let desk = try Desk()
    let attempt = try await desk.client.begin(returningTo: "/")
    let nonce = parameter("nonce", of: attempt.address) ?? ""
    desk.answer(desk.token(nonce: nonce, ["email": "mi\u{212A}e@example.org"]))
    #expect(try await desk.finish(attempt).verifiedEmail == nil)
  }

  @Test("keys are kept; an unknown one is asked for at most once a minute")
  func keys() async throws {
    let desk = try Desk()
    let address = OpenIDTests.issuer + "/keys"
    let attempt = try await desk.client.begin(returningTo: "/")
    let nonce = parameter("nonce", of: attempt.address) ?? ""
    desk.answer(desk.token(nonce: nonce))
    for _ in 0..<3 { _ = try await desk.finish(attempt) }
    #expect(desk.others.count(of: address) == 1)
    let next = SigningKey()
    let token = desk.token(nonce: nonce)
    let claims = try #require(
      token.split(separator: ".").dropFirst().first.flatMap { BytesText.bytes(base64url: $0) })
    let object = try #require(try JSON.parse(claims).object)
    desk.answer(JWT.sign(type: "JWT", claims: object, with: next))
    desk.others.set(address, ["keys": [desk.key.verifying.jwk, next.verifying.jwk]], maxAge: 3_600)
    for _ in 0..<3 {
      #expect(await code { try await desk.finish(attempt) } == .unauthenticated)
    }
    #expect(desk.others.count(of: address) == 1)
    desk.time.move(seconds: 60)
    #expect(await code { try await desk.finish(attempt) } == nil)
    #expect(desk.others.count(of: address) == 2)
  }

  @Test("a service that is silent, or describes another, is 503")
  func silence() async throws {
    let desk = try Desk()
    let address = OpenIDTests.issuer + "/.well-known/openid-configuration"
    desk.others.set(address, ["issuer": "https://evil.example"])
    #expect(await code { try await desk.client.begin(returningTo: "/") } == .storageUnavailable)
    desk.others.remove(address)
    desk.time.move(seconds: 5)
    #expect(await code { try await desk.client.begin(returningTo: "/") } == .storageUnavailable)
    #expect(desk.others.count(of: address) == 2)
  }

  @Test("a silent service is not asked again for five seconds, and its last word counts meanwhile")
  func pause() async throws {
    let desk = try Desk()
    let address = OpenIDTests.issuer + "/.well-known/openid-configuration"
    _ = try await desk.client.begin(returningTo: "/")
    desk.others.remove(address)
    desk.time.move(seconds: 90_000)
    for _ in 0..<3 { _ = try await desk.client.begin(returningTo: "/") }
    #expect(desk.others.count(of: address) == 2)
    desk.time.move(seconds: 5)
    _ = try await desk.client.begin(returningTo: "/")
    #expect(desk.others.count(of: address) == 3)
  }

  @Test(
    "settings are checked",
    arguments: ["http://accounts.example", "https://accounts.example/", "accounts.example", ""])
  func settings(issuer: String) {
    #expect(throws: Refusal.self) {
      _ = try OpenIDSettings(issuer: issuer, clientID: "waypost", secret: nil)
    }
  }
}
