import Authorization
import Cryptography
import Identity
import Primitives
import SQLite
import Testing
import TestSupport

@Suite("Codes and tokens")
struct TokenTests {
  @Test("a code gives a token of its person, scopes and client")
  func exchange() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let answer = try await world.exchange(try await world.code(client), client)
    #expect(answer["token_type"] == "Bearer")
    #expect(answer["scope"] == "discovery:read sessions:read")
    let credential = try await world.accounts.credential(
      bearer: answer["access_token"]?.string ?? "")
    #expect(credential.principal == .user(world.user, .user, providerID: nil))
    #expect(credential.grant?.scopes == [.discoveryRead, .sessionsRead])
    #expect(credential.grant?.part == nil)
    #expect(credential.login == nil)
  }

  /// The claims of an answer's access token.
  private func claims(_ answer: JSON) throws -> JSONObject {
    let parts = (answer["access_token"]?.string ?? "").split(separator: ".")
    try #require(parts.count == 3)
    let bytes = try #require(BytesText.bytes(base64url: parts[1]))
    return try #require(try JSON.parse(bytes).object)
  }

  @Test("each program has its own name of the person, and no token has the person's id")
  func pairwise() async throws {
    let world = try await World()
    let (one, two) = (try await world.addClient(), try await world.addClient())
    let first = try await world.exchange(try await world.code(one), one)
    let second = try await world.exchange(try await world.code(two), two)
    let renewed = try await world.refresh(first["refresh_token"]?.string ?? "", one)
    let again = try await world.exchange(try await world.code(one), one)
    let names = try [first, second, renewed, again].map { try claims($0)["sub"]?.string }
    let name = try #require(names[0])
    #expect(name.utf8.count == 43)
    #expect(names == [name, names[1], name, name])
    #expect(names[1] != nil && names[1] != name)
    #expect(name != world.hub.pairwiseID(of: world.user, at: one.id))
    for answer in [first, second, renewed, again] {
      #expect(!JSON.object(try claims(answer)).text.contains(world.user.text))
      let bearer = answer["access_token"]?.string ?? ""
      let credential = try await world.accounts.credential(bearer: bearer)
      #expect(credential.principal.userID == world.user)
    }
  }

  /// A sound program's token with some claims changed, signed by the server's own key.
  private func forged(_ changes: JSONObject, _ world: World) async throws -> JSON {
    let client = try await world.addClient()
    let answer = try await world.exchange(try await world.code(client), client)
    var claims = try claims(answer)
    for change in changes.members { claims[change.key] = change.value }
    let key = world.keys.signing(at: world.time.now)
    return ["access_token": .string(JWT.sign(type: "at+jwt", claims: claims, with: key))]
  }

  @Test("a program's token is its grant's: of another person, program or grant it is refused")
  func mismatch() async throws {
    let world = try await World()
    #expect(await world.isTaken(try await forged([:], world)))
    let other = try await world.addClient()
    let unknown = ID<LoginKind>(at: world.time.now, random: world.random)
    for changes in [
      ["sub": .string(world.user.text)], ["sub": "x"], ["client_id": .string(other.id)],
      ["sid": .string(unknown.text)], ["sid": .null],
    ] as [JSONObject] {
      #expect(
        !(await world.isTaken(try await forged(changes, world))), "\(JSON.object(changes).text)")
    }
  }

  @Test("a grant that has ended in the record is refused by a process that has not heard of it")
  func unheard() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let answer = try await world.exchange(try await world.code(client), client)
    let now = world.time.now
    _ = try await world.database.write { connection in
      try GrantStore.endAll(of: world.user, at: now, on: connection)
    }
    #expect(!(await world.isTaken(answer)))
  }

  @Test("a code lives 60 seconds", arguments: [(59_999, true), (60_000, false)] as [(Int64, Bool)])
  func life(milliseconds: Int64, isTaken: Bool) async throws {
    let world = try await World()
    let client = try await world.addClient()
    let code = try await world.code(client)
    world.time.move(milliseconds: milliseconds)
    let refused = await refusal { try await world.exchange(code, client) }
    #expect(refused == (isTaken ? nil : .invalidGrant))
  }

  @Test("a wrong verifier, address, client or code gets nothing, and does not spoil the right one")
  func wrong() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let other = try await world.addClient()
    let code = try await world.code(client)
    let bad = String(repeating: "w", count: 43)
    for work in [
      { try await world.exchange(code, client, verifier: bad) },
      { try await world.exchange(code, client, verifier: World.challenge) },
      { try await world.exchange(code, client, verifier: "short") },
      { try await world.exchange(code, client, redirect: "https://app.example/other") },
      { try await world.exchange(code, other) },
      { try await world.exchange(code + "x", client) },
    ] as [@Sendable () async throws -> JSON] {
      #expect(await refusal { try await work() } == .invalidGrant)
    }
    #expect(await refusal { try await world.exchange(code, client) } == nil)
  }

  @Test("a code used twice ends what came of it, at once")
  func replay() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let code = try await world.code(client)
    let first = try await world.exchange(code, client)
    #expect(await world.isTaken(first))
    #expect(await refusal { try await world.exchange(code, client) } == .invalidGrant)
    #expect(!(await world.isTaken(first)))
    let token = first["refresh_token"]?.string ?? ""
    #expect(await refusal { try await world.refresh(token, client) } == .invalidGrant)
    // Again and again it ends nothing more, and fills no log.
    for _ in 0..<3 {
      #expect(await refusal { try await world.exchange(code, client) } == .invalidGrant)
    }
    let rows = try await world.database.read { connection throws in
      try AuditLog.entries(below: .max, limit: 10, on: connection)
    }
    #expect(rows.count { $0.action == "grant.revoked" } == 1)
  }

  @Test("of two exchanges at once one wins, and loses what it got")
  func race() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let code = try await world.code(client)
    let won = await withTaskGroup(of: JSON?.self) { group in
      for _ in 0..<8 { group.addTask { try? await world.exchange(code, client) } }
      var answers: [JSON] = []
      for await answer in group { if let answer { answers.append(answer) } }
      return answers
    }
    #expect(won.count == 1)
    #expect(world.ended.total >= 1)
    if let first = won.first { #expect(!(await world.isTaken(first))) }
  }

  @Test("a refresh token rotates; the one before works ten seconds, with the same successor")
  func rotation() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let first = try await world.exchange(try await world.code(client), client)
    let zero = first["refresh_token"]?.string ?? ""
    let one = try await world.refresh(zero, client)
    #expect(one["refresh_token"]?.string != zero)
    world.time.move(seconds: 10)
    let again = try await world.refresh(zero, client)
    #expect(again["refresh_token"] == one["refresh_token"])
    world.time.move(milliseconds: 1)
    #expect(await refusal { try await world.refresh(zero, client) } == .invalidGrant)
    let successor = one["refresh_token"]?.string ?? ""
    #expect(await refusal { try await world.refresh(successor, client) } == .invalidGrant)
    #expect(!(await world.isTaken(one)))
  }

  @Test("an old refresh token, two steps back, ends the grant even at once")
  func reuse() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let first = try await world.exchange(try await world.code(client), client)
    let zero = first["refresh_token"]?.string ?? ""
    let one = try await world.refresh(zero, client)
    let two = try await world.refresh(one["refresh_token"]?.string ?? "", client)
    #expect(await refusal { try await world.refresh(zero, client) } == .invalidGrant)
    let last = two["refresh_token"]?.string ?? ""
    #expect(await refusal { try await world.refresh(last, client) } == .invalidGrant)
    let rows = try await world.database.read { connection throws in
      try AuditLog.entries(below: .max, limit: 1, on: connection)
    }
    #expect(rows.map(\.action) == ["grant.revoked"] && rows.map(\.detail) == ["reused"])
  }

  @Test("a refresh token is of one client, rests 7 days and lasts 90")
  func bounds() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let other = try await world.addClient()
    let first = try await world.exchange(try await world.code(client), client)
    var token = first["refresh_token"]?.string ?? ""
    let held = token
    #expect(await refusal { try await world.refresh(held, other) } == .invalidGrant)
    for _ in 0..<15 {
      world.time.move(milliseconds: 6 * 86_400_000)
      token = try await world.refresh(token, client)["refresh_token"]?.string ?? ""
    }
    world.time.move(milliseconds: 1)
    let last = token
    #expect(await refusal { try await world.refresh(last, client) } == .invalidGrant)
  }

  @Test("a renewal may ask for less, never for more")
  func narrowing() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let first = try await world.exchange(try await world.code(client), client)
    let token = first["refresh_token"]?.string ?? ""
    func ask(_ scope: String) async throws -> JSON {
      try await world.token([
        ("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", client.id),
        ("scope", scope),
      ])
    }
    #expect(await refusal { try await ask("trials:start") } == .invalidScope)
    #expect(try await ask("discovery:read")["scope"] == "discovery:read")
  }

  @Test("a token is for the resource that was named")
  func audience() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let code = try await world.code(client, ["resource": World.issuer + "/mcp"])
    let answer = try await world.exchange(code, client)
    let credential = try await world.accounts.credential(
      bearer: answer["access_token"]?.string ?? "")
    #expect(credential.grant?.part == "/mcp")
    let token = answer["refresh_token"]?.string ?? ""
    let code2 = await refusal {
      try await world.token([
        ("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", client.id),
        ("resource", World.issuer),
      ])
    }
    #expect(code2 == .invalidTarget)
  }

  @Test("a confidential client proves itself, in one way, and a public one has no secret")
  func proofs() async throws {
    let world = try await World()
    let closed = try await world.addClient(confidential: true)
    let open = try await world.addClient()
    let secret = world.server.clients.secret(of: closed.id)
    func ask(
      _ client: OAuthClient, _ more: [(name: String, value: String)], _ header: String? = nil
    ) async throws -> JSON {
      let code = try await world.code(client)
      return try await world.token(
        [
          ("grant_type", "authorization_code"), ("code", code),
          ("code_verifier", World.verifier),
        ] + more, authorization: header)
    }
    let id: (name: String, value: String) = ("client_id", closed.id)
    #expect(await refusal { try await ask(closed, [id]) } == .invalidClient)
    #expect(
      await refusal { try await ask(closed, [id, ("client_secret", "x")]) } == .invalidClient)
    #expect(await refusal { try await ask(closed, [id, ("client_secret", secret)]) } == nil)
    let basic = "Basic " + base64("\(closed.id):\(secret)")
    #expect(await refusal { try await ask(closed, [], basic) } == nil)
    #expect(
      await refusal { try await ask(closed, [("client_secret", secret)], basic) }
        == .invalidRequest)
    #expect(
      await refusal { try await ask(open, [("client_id", open.id), ("client_secret", "x")]) }
        == .invalidClient)
    #expect(await refusal { try await ask(open, []) } == .invalidClient)
  }

  private func base64(_ text: String) -> String {
    BytesText.base64url(Array(text.utf8)).replacing("-", with: "+").replacing("_", with: "/")
  }

  @Test("no password, implicit or other grant", arguments: ["password", "client_credentials", "x"])
  func grants(type: String) async throws {
    let world = try await World()
    let client = try await world.addClient()
    let code = await refusal {
      try await world.token([("grant_type", type), ("client_id", client.id)])
    }
    #expect(code == .unsupportedGrantType)
  }

  @Test("either token revoked ends both; another client's is refused, none at all changes nothing")
  func revocation() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let other = try await world.addClient()
    func revoke(_ token: String, _ client: OAuthClient) async throws {
      try await world.server.revoke(
        OAuthForm([("token", token), ("client_id", client.id)]),
        proof: try ClientProof(authorization: nil)
      ) { world.accounts.loginsEnded($0) }
    }
    for name in ["access_token", "refresh_token"] {
      let answer = try await world.exchange(try await world.code(client), client)
      let token = answer[name]?.string ?? ""
      #expect(await refusal { try await revoke(token, other) } == .invalidGrant)
      try await revoke("nothing", client)
      try await revoke(String(token.dropLast(4)) + "AAAA", other)
      #expect(await world.isTaken(answer))
      try await revoke(token, client)
      try await revoke(token, client)
      #expect(!(await world.isTaken(answer)))
      let refresh = answer["refresh_token"]?.string ?? ""
      #expect(await refusal { try await world.refresh(refresh, client) } == .invalidGrant)
    }
  }

  @Test("a login that has ended allows nothing, nor does one of somebody else")
  func endedLogin() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let request = try await world.server.request(world.form(client), from: "a")
    let stranger = ID<UserKind>(at: world.time.now, random: world.random)
    await #expect(throws: Refusal.self) {
      try await world.server.allow(request, by: stranger, in: world.login, author: .system)
    }
    try await world.database.write { connection -> Void in
      try connection.run("UPDATE refresh_family SET revoked_ms = 1")
    }
    await #expect(throws: Refusal.self) {
      try await world.server.allow(request, by: world.user, in: world.login, author: .system)
    }
    let codes = try await world.database.read { connection in
      try connection.first("SELECT count(*) FROM oauth_code") { $0.int(0) }
    }
    #expect(codes == 0)
  }

  @Test("all that a person has allowed ends together: tokens, grants and codes that wait")
  func endAll() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let answer = try await world.exchange(try await world.code(client), client)
    let waiting = try await world.code(client)
    let now = world.time.now
    let ended = try await world.database.write { connection in
      try GrantStore.endAll(of: world.user, at: now, on: connection)
    }
    world.accounts.loginsEnded(ended)
    #expect(!(await world.isTaken(answer)))
    #expect(await refusal { try await world.exchange(waiting, client) } == .invalidGrant)
    let token = answer["refresh_token"]?.string ?? ""
    #expect(await refusal { try await world.refresh(token, client) } == .invalidGrant)
  }

  @Test("a frozen person's programs get nothing new")
  func frozen() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let code = try await world.code(client)
    let answer = try await world.exchange(try await world.code(client), client)
    try await world.database.write { connection -> Void in
      try connection.run("UPDATE user SET frozen_ms = 1")
    }
    #expect(await refusal { try await world.exchange(code, client) } == .invalidGrant)
    let token = answer["refresh_token"]?.string ?? ""
    #expect(await refusal { try await world.refresh(token, client) } == .invalidGrant)
  }

  @Test("a person sees its programs and takes one back")
  func apps() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let answer = try await world.exchange(try await world.code(client), client)
    let now = world.time.now
    let apps = try await world.database.read {
      try GrantStore.apps(of: world.user, at: now, on: $0)
    }
    #expect(apps.map(\.clientID) == [client.id])
    let ended = try await world.database.write { connection in
      try GrantStore.end(apps[0].id, of: world.user, by: .system, at: now, on: connection)
    }
    world.accounts.loginsEnded(ended)
    #expect(!(await world.isTaken(answer)))
    let left = try await world.database.read {
      try GrantStore.apps(of: world.user, at: now, on: $0)
    }
    #expect(left.isEmpty)
  }

  @Test("a removed client's tokens end, and what is past its time is deleted")
  func removal() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let answer = try await world.exchange(try await world.code(client), client)
    _ = try await world.code(client)
    let now = world.time.now
    let ended = try await world.database.write { connection in
      try world.server.clients.remove(client.id, by: .system, at: now, on: connection)
    }
    world.accounts.loginsEnded(ended)
    #expect(!(await world.isTaken(answer)))
    world.time.move(milliseconds: RefreshTokens.absoluteMilliseconds + 1)
    try await world.server.prune()
    let rows = try await world.database.read { connection in
      try connection.first(
        "SELECT (SELECT count(*) FROM oauth_code) + (SELECT count(*) FROM oauth_grant)"
      ) { $0.int(0) }
    }
    #expect(rows == 0)
  }
}
