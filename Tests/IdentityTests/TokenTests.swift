import Cryptography
import Foundation
import Identity
import Primitives
import SQLite
import Testing
import TestSupport

private let issuer = "https://waypost.example"

// A member of the claims and what stands in its place; nil where it is missing.
private let otherClaims: [(String, JSON?)] = [
  ("scope", .string("launch")), ("scope", .null), ("role", .string("root")),
  ("role", .string("Admin")), ("role", .string("")), ("role", .int(1)), ("role", nil),
  ("sub", .string("ada")), ("sub", .string("01ARZ3NDEKTSV4RRFFQ69G5FAV")), ("sub", nil),
  ("aud", .string("https://other.example")), ("aud", .array([.string(issuer)])), ("aud", nil),
  ("iss", .string(issuer + "/")), ("iss", nil), ("exp", .string("9000000000")), ("exp", nil),
  ("iat", nil),
]

@Suite("a bearer credential names its principal")
struct TokenTests {
  let place: Place
  let keys: KeyRing
  let accounts: Accounts

  init() throws {
    place = try Place()
    keys = KeyRing(inMemoryAt: place.time.now, random: place.random)
    accounts = Accounts(
      database: place.database, clock: place.time.clock, random: place.random, keys: keys,
      issuer: issuer)
  }

  private func person() async throws -> User {
    let id = try await place.addUser("ada@b.c")
    let found = try await accounts.user(id)
    return try #require(found)
  }

  /// Claims as an access token has them, signed with the ring's own key.
  private func forged(type: String = "at+jwt", _ change: (inout JSONObject) -> Void) -> String {
    let now = place.time.now.seconds
    var claims: JSONObject = [
      "iss": .string(issuer), "aud": .string(issuer),
      "sub": .string(ID<UserKind>(high: 1, low: 2).text), "iat": .int(now),
      "exp": .int(now + 900), "role": .string("user"),
    ]
    change(&claims)
    return JWT.sign(type: type, claims: claims, with: keys.signing(at: place.time.now))
  }

  @Test("an access token names its user and role")
  func accepts() async throws {
    let user = try await person()
    let principal = try await accounts.credential(bearer: accounts.accessToken(of: user)).principal
    #expect(principal == .user(user.id, .user, providerID: nil))
    #expect(principal.userID == user.id)
    #expect(!principal.isAdmin)
  }

  @Test("two tokens of one user and one second differ")
  func unique() async throws {
    let user = try await person()
    #expect(accounts.accessToken(of: user) != accounts.accessToken(of: user))
  }

  @Test("a token lives 15 minutes and the leeway of 30 s, to the second")
  func expiry() async throws {
    let user = try await person()
    let token = accounts.accessToken(of: user)
    place.time.move(milliseconds: 929_999)
    let principal = try await accounts.credential(bearer: token).principal
    #expect(principal.userID == user.id)
    place.time.move(milliseconds: 1)
    let late = await refusal { try await accounts.credential(bearer: token) }
    #expect(late?.code == .tokenExpired)
    place.time.move(seconds: 86_400)
    let later = await refusal { try await accounts.credential(bearer: token) }
    #expect(later?.code == .tokenExpired)
  }

  @Test("a token from a clock more than a minute ahead is refused")
  func future() async throws {
    let user = try await person()
    place.time.move(seconds: 61)
    let token = accounts.accessToken(of: user)
    place.time.move(seconds: -1)
    let principal = try await accounts.credential(bearer: token).principal
    #expect(principal.userID == user.id)
    place.time.move(seconds: -60)
    let refused = await refusal { try await accounts.credential(bearer: token) }
    #expect(refused?.code == .tokenInvalid)
  }

  @Test("claims that were changed after signing are refused")
  func tampered() async throws {
    let user = try await person()
    let parts = accounts.accessToken(of: user).split(separator: ".").map(String.init)
    let body = try #require(BytesText.bytes(base64url: parts[1]))
    let text = String(decoding: body, as: UTF8.self)
    let other = text.replacingOccurrences(of: "\"role\":\"user\"", with: "\"role\":\"admin\"")
    #expect(other != text)
    let changed = parts[0] + "." + BytesText.base64url(Array(other.utf8)) + "." + parts[2]
    let refused = await refusal { try await accounts.credential(bearer: changed) }
    #expect(refused?.code == .tokenInvalid)
  }

  @Test("no token with one other letter is accepted")
  func otherLetters() async throws {
    let user = try await person()
    let token = Array(accounts.accessToken(of: user).utf8)
    for index in stride(from: 0, to: token.count, by: 5) {
      var changed = token
      changed[index] = changed[index] == UInt8(ascii: "Q") ? UInt8(ascii: "g") : UInt8(ascii: "Q")
      let text = String(decoding: changed, as: UTF8.self)
      let refused = await refusal { try await accounts.credential(bearer: text) }
      #expect(refused?.code == .tokenInvalid, "letter \(index)")
    }
  }

  @Test(
    "a text that is no token is refused",
    arguments: [
      "", ".", "..", "Bearer", "wpk_", "wpk_AAAA", "wpu_", "wps_", "wps_e30.AAAA", "e30.e30.",
      "\u{0}", "a.b.c",
    ])
  func noTokens(text: String) async throws {
    let refused = await refusal { try await accounts.credential(bearer: text) }
    #expect(refused?.code == .tokenInvalid)
  }

  @Test("a truly signed token with other claims is refused", arguments: otherClaims.indices)
  func otherClaim(index: Int) async throws {
    let (name, value) = otherClaims[index]
    let good = try await accounts.credential(bearer: forged { _ in }).principal
    #expect(good.userID == ID<UserKind>(high: 1, low: 2))
    let token = forged { $0[name] = value }
    let refused = await refusal { try await accounts.credential(bearer: token) }
    #expect(refused?.code == .tokenInvalid)
  }

  @Test(
    "a token of another kind is no access token",
    arguments: ["launch+jwt", "JWT", "at+JWT", ""])
  func otherTypes(type: String) async throws {
    let token = forged(type: type) { _ in }
    let refused = await refusal { try await accounts.credential(bearer: token) }
    #expect(refused?.code == .tokenInvalid)
  }

  @Test("a token of another key ring is refused")
  func otherRing() async throws {
    let user = try await person()
    let others = Accounts(
      database: place.database, clock: place.time.clock, random: place.random,
      keys: KeyRing(inMemoryAt: place.time.now, random: place.random), issuer: issuer)
    let refused = await refusal {
      try await accounts.credential(bearer: others.accessToken(of: user))
    }
    #expect(refused?.code == .tokenInvalid)
  }

  @Test("the token of a provider's account names the provider")
  func providerAccount() async throws {
    try await place.addProvider("acme")
    let user = try await accounts.register(
      email: "shop@acme.example", password: "correct horse", name: nil, role: .provider,
      providerID: "acme")
    let principal = try await accounts.credential(bearer: accounts.accessToken(of: user)).principal
    #expect(principal == .user(user.id, .provider, providerID: "acme"))
    #expect(principal.providerID == "acme")
  }
}

@Suite("a provider's program has an API key")
struct APIKeyTests {
  let place: Place
  let accounts: Accounts

  init() throws {
    place = try Place()
    accounts = Accounts(
      database: place.database, clock: place.time.clock, random: place.random,
      keys: KeyRing(inMemoryAt: place.time.now, random: place.random), issuer: issuer)
  }

  @Test("an API key names its provider, and only its hash is kept")
  func accepts() async throws {
    try await place.addProvider("acme")
    let key = try await accounts.makeAPIKey(providerID: "acme", name: "build")
    #expect(key.secret.hasPrefix("wpk_"))
    let principal = try await accounts.credential(bearer: key.secret).principal
    #expect(principal == .providerKey(providerID: "acme"))
    #expect(principal.providerID == "acme")
    #expect(principal.userID == nil)
    let hash = Digest.sha256(Array(key.secret.utf8))
    let kept = try await place.database.read { connection -> [UInt8]? in
      try connection.first("SELECT secret_hash FROM api_key") { row -> [UInt8] in row.blob(0) }
    }
    #expect(kept == hash)
  }

  @Test("a changed, cut or revoked key is refused")
  func refuses() async throws {
    try await place.addProvider("acme")
    let key = try await accounts.makeAPIKey(providerID: "acme", name: "build")
    for other in [key.secret + "A", String(key.secret.dropLast()), "wpk_" + key.id, "wpk_"] {
      let refused = await refusal { try await accounts.credential(bearer: other) }
      #expect(refused?.code == .tokenInvalid)
    }
    try await place.database.write { connection -> Void in
      try connection.run("UPDATE api_key SET revoked_ms = 1")
    }
    let refused = await refusal { try await accounts.credential(bearer: key.secret) }
    #expect(refused?.code == .tokenInvalid)
  }

  @Test("a provider that is not there gets no key")
  func unknownProvider() async throws {
    let refused = await refusal {
      try await accounts.makeAPIKey(providerID: "nobody", name: "build")
    }
    #expect(refused?.code == .notFound)
  }
}

@Suite("a principal has a stable name and no more rights than its role")
struct PrincipalTests {
  private let id = ID<UserKind>(high: 1, low: 2)

  @Test("names of different principals differ")
  func names() {
    let principals: [Principal] = [
      .anonymous(address: "::1"), .anonymous(address: "::2"), .user(id, .user, providerID: nil),
      .user(ID<UserKind>(high: 1, low: 3), .user, providerID: nil),
      .providerKey(providerID: "acme"), .providerKey(providerID: id.text),
    ]
    #expect(Set(principals.map(\.key)).count == principals.count)
  }

  @Test("only a provider's account and key act for a provider, only an admin is admin")
  func rights() {
    #expect(Principal.user(id, .provider, providerID: "acme").providerID == "acme")
    #expect(Principal.user(id, .user, providerID: "acme").providerID == nil)
    #expect(Principal.user(id, .admin, providerID: "acme").providerID == nil)
    #expect(Principal.user(id, .admin, providerID: nil).isAdmin)
    #expect(!Principal.user(id, .provider, providerID: "acme").isAdmin)
    #expect(!Principal.providerKey(providerID: "acme").isAdmin)
    #expect(Principal.anonymous(address: "::1").userID == nil)
  }
}
