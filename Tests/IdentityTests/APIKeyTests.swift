import Cryptography
import Identity
import Primitives
import SQLite
import Testing
import TestSupport

private let scopeWords: [(words: [String], isPerson: Bool, isAllowed: Bool)] = [
  (["discovery:read"], true, true), (["trials:start", "sessions:end"], true, true),
  (["listings:write"], true, false), (["sessions:run"], true, false),
  (["listings:write"], false, true), (["trials:start"], false, false), ([], true, false),
  (["discovery:read", "everything"], true, false), (["Discovery:read"], true, false),
]

@Suite("keys of people and providers, and tokens made from them")
struct ScopedKeyTests {
  let place: Place
  let accounts: Accounts
  let user: ID<UserKind>

  init() async throws {
    place = try Place()
    accounts = Accounts(
      database: place.database, clock: place.time.clock, random: place.random,
      keys: KeyRing(inMemoryAt: place.time.now, random: place.random),
      issuer: "https://waypost.example")
    user = try await place.addUser("ada@b.c")
    try await place.addProvider("acme")
  }

  private func make(
    _ owner: APIKeyOwner, _ change: (inout APIKey.Draft) -> Void = { _ in }
  ) async throws -> (id: ID<APIKeyKind>, secret: String) {
    var draft = APIKey.Draft(name: "one")
    change(&draft)
    let (wanted, now) = (draft, place.time.now)
    let id = try await place.database.write { connection in
      try accounts.apiKeyStore.make(
        wanted, for: owner, by: .system, at: now, random: place.random, on: connection)
    }
    return (id, accounts.apiKeyStore.secret(of: id, owner: owner))
  }

  /// As the holder of a key makes it (Pages/http-api.md).
  private func scoped(_ secret: String, _ members: JSONObject) -> String {
    let payload = BytesText.base64url(JSON.object(members).bytes)
    let key = Digest.sha256(Array(("waypost-scoped:" + secret).utf8))
    return "wps_" + payload + "." + BytesText.base64url(Digest.hmac(key: key, Array(payload.utf8)))
  }

  @Test("a person's key acts for the person, without its role, within its scopes")
  func person() async throws {
    let key = try await make(.user(user)) { $0.scopes = ["sessions:read", "discovery:read"] }
    #expect(key.secret.hasPrefix("wpu_"))
    let found = try await accounts.credential(bearer: key.secret)
    #expect(found.principal == .user(user, .user, providerID: nil))
    #expect(found.grant?.scopes == [.sessionsRead, .discoveryRead])
    #expect(found.grant?.name == "key:" + key.id.text)
  }

  @Test("a provider's key with everything is not bound by scopes, one with less is")
  func provider() async throws {
    let whole = try await make(.provider("acme"))
    let found = try await accounts.credential(bearer: whole.secret)
    #expect(found.principal == .providerKey(providerID: "acme"))
    let isOpen = found.grant?.scopes == nil
    #expect(isOpen)
    let less = try await make(.provider("acme")) { $0.scopes = ["sessions:run"] }
    let bound = try await accounts.credential(bearer: less.secret)
    #expect(bound.grant?.scopes == [.sessionsRun])
  }

  @Test("an owner gets only scopes that its kind may have", arguments: scopeWords.indices)
  func scopes(index: Int) async throws {
    let (words, isPerson, isAllowed) = scopeWords[index]
    let refused = await refusal {
      try await make(isPerson ? .user(user) : .provider("acme")) { $0.scopes = words }
    }
    #expect((refused == nil) == isAllowed)
    if !isAllowed { #expect(refused?.fields.map(\.pointer) == ["/scopes"]) }
  }

  @Test("a key ends at its time, to the millisecond")
  func expires() async throws {
    let end = place.time.now + 60_000
    let key = try await make(.user(user)) { $0.expiresAt = end }
    place.time.move(milliseconds: 59_999)
    let found = try await accounts.credential(bearer: key.secret)
    #expect(found.principal.userID == user)
    place.time.move(milliseconds: 1)
    let refused = await refusal { try await accounts.credential(bearer: key.secret) }
    #expect(refused?.code == .tokenInvalid)
  }

  @Test("a revoked key and the tokens made from it are refused; nobody revokes another's")
  func revokes() async throws {
    let key = try await make(.user(user)) { $0.scopes = ["discovery:read"] }
    let token = scoped(key.secret, ["key": .string(key.id.text)])
    _ = try await accounts.credential(bearer: token)
    let now = place.time.now
    let foreign = await refusal {
      try await place.database.write { connection in
        try accounts.apiKeyStore.revoke(
          key.id, of: .provider("acme"), by: .system, at: now, on: connection)
      }
    }
    #expect(foreign?.code == .notFound)
    for _ in 0..<2 {
      try await place.database.write { connection in
        try accounts.apiKeyStore.revoke(
          key.id, of: .user(user), by: .system, at: now, on: connection)
      }
    }
    for bearer in [key.secret, token] {
      let refused = await refusal { try await accounts.credential(bearer: bearer) }
      #expect(refused?.code == .tokenInvalid)
    }
    let rows = try await place.database.read {
      try AuditLog.entries(below: .max, subject: "key:" + key.id.text, limit: 9, on: $0)
    }
    #expect(rows.map(\.action) == ["key.revoked", "key.made"])
  }

  @Test("a frozen person's key is refused")
  func frozen() async throws {
    let key = try await make(.user(user))
    _ = try await accounts.setFrozen(true, user, by: .system)
    let refused = await refusal { try await accounts.credential(bearer: key.secret) }
    #expect(refused?.code == .tokenInvalid)
    _ = try await accounts.setFrozen(false, user, by: .system)
    let again = try await accounts.credential(bearer: key.secret)
    #expect(again.principal.userID == user)
  }

  @Test("the record holds no secret, only its hash")
  func hashed() async throws {
    let key = try await make(.user(user))
    let kept = try await place.database.read { connection -> [UInt8]? in
      try connection.first("SELECT secret_hash FROM api_key") { row -> [UInt8] in row.blob(0) }
    }
    #expect(kept == Digest.sha256(Array(key.secret.utf8)))
  }

  @Test("an owner has at most fifty live keys")
  func many() async throws {
    for _ in 0..<APIKeyStore.perOwnerMax { _ = try await make(.user(user)) }
    let refused = await refusal { try await make(.user(user)) }
    #expect(refused?.code == .validationFailed)
    _ = try await make(.provider("acme"))
  }

  @Test("when a key was used is shown at once and kept when it is written down")
  func used() async throws {
    let key = try await make(.user(user))
    place.time.move(seconds: 5)
    _ = try await accounts.credential(bearer: key.secret)
    func shown() async throws -> Timestamp? {
      try await place.database.read {
        try accounts.apiKeyStore.keys(of: .user(user), limit: 1, on: $0)
      }.first?.usedAt
    }
    let before = try await shown()
    #expect(before == place.time.now)
    try await accounts.apiKeyStore.flush(to: place.database)
    let after = try await shown()
    #expect(after == place.time.now)
  }

  @Test("a scoped token searches within both filters, both rates and its time")
  func token() async throws {
    let key = try await make(.user(user)) {
      $0.filter = "kind = model"
      $0.perMinute = 50
    }
    let end = place.time.now.seconds + 60
    let token = scoped(
      key.secret,
      [
        "key": .string(key.id.text), "filter": "region = eu", "maxPerMinute": 70,
        "expiresAt": .int(end),
      ])
    let found = try await accounts.credential(bearer: token)
    #expect(found.grant?.filters == ["kind = model", "region = eu"])
    let limits = try #require(found.grant?.limits)
    #expect(limits.map(\.perMinute) == [70, 50])
    #expect(limits.last?.name == "key:" + key.id.text, "tokens of a key share its rate")
    #expect(limits.first?.name != limits.last?.name)
    #expect(found.grant?.scopes == [.discoveryRead])
    place.time.move(seconds: 60)
    let late = await refusal { try await accounts.credential(bearer: token) }
    #expect(late?.code == .tokenExpired)
  }

  @Test("a scoped token that is changed, foreign or odd is refused")
  func badTokens() async throws {
    let key = try await make(.user(user))
    let other = try await make(.provider("acme")) { $0.scopes = ["sessions:run"] }
    let id = JSON.string(key.id.text)
    let good = scoped(key.secret, ["key": id])
    _ = try await accounts.credential(bearer: good)
    let bad = [
      String(good.dropLast()), good + "A", good + ".", String(good.dropFirst(4)),
      scoped(other.secret, ["key": id]), scoped("", ["key": id]),
      scoped(other.secret, ["key": .string(other.id.text)]),
      scoped(key.secret, ["key": id, "scopes": ["trials:start"]]),
      scoped(key.secret, ["key": id, "maxPerMinute": 0]),
      scoped(key.secret, ["key": id, "maxPerMinute": "9"]),
      scoped(key.secret, ["key": id, "expiresAt": "tomorrow"]),
      scoped(key.secret, ["key": id, "expiresAt": -1]),
      scoped(key.secret, ["key": id, "filter": 1]), scoped(key.secret, [:]),
      scoped(key.secret, ["key": id, "filter": .string(String(repeating: "x", count: 7_000))]),
    ]
    for (index, token) in bad.enumerated() {
      let refused = await refusal { try await accounts.credential(bearer: token) }
      #expect(refused?.code == .tokenInvalid, "token \(index)")
    }
  }
}
