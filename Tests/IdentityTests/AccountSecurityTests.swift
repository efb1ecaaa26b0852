import Cryptography
import Foundation
import HTTPClient
import Identity
import Primitives
import SQLite
import Testing
import TestSupport

private let first = "correct horse"
private let second = "battery staple"

// Hashes of the first password by argon2-cffi 25.1.0: with m = 8 KiB and t = 1, and with more than ours.
private let weakHash =
  "$argon2id$v=19$m=8,t=1,p=1$aiR2qY1nbadM7xIbrGmv/w$RYX3wVNfSiZ6kqw2Xdo0JkvvtDIklHtlrGRPzwI5fA8"
private let strongHash =
  "$argon2id$v=19$m=20480,t=3,p=1$Eec7Joqhn75zz0GfjyugQQ$4YZRwDGaQjDwIJ0lQIQWfVV64VFowR321Ukwl5hzpsw"

@Suite("logins end at once, everywhere, for whoever they should end")
struct AccountSecurityTests {
  let place: Place
  let accounts: Accounts
  let refresh: RefreshTokens
  let idempotency: Idempotency

  init() throws {
    place = try Place()
    let people = People(at: place)
    accounts = people.accounts
    refresh = people.refresh
    idempotency = people.idempotency
  }

  private struct Device {
    let login: ID<LoginKind>
    let refresh: String
    let access: String
  }

  private func signIn(_ user: User, _ client: String = "test") async throws -> Device {
    let token = try await refresh.start(for: user.id, client: client)
    let login = try #require(RefreshTokens.login(of: token))
    return Device(
      login: login, refresh: token, access: accounts.accessToken(of: user, login: login))
  }

  private func isIn(_ device: Device) async -> Bool {
    await refusal { try await accounts.credential(bearer: device.access) } == nil
  }

  private func ada() async throws -> User {
    try await accounts.register(email: "ada@b.c", password: first, name: "Ada L")
  }

  @Test("a logout ends the access token with the login")
  func logout() async throws {
    let user = try await ada()
    let (one, two) = (try await signIn(user), try await signIn(user))
    let credential = try await accounts.credential(bearer: one.access)
    #expect(credential.login == one.login)
    try await refresh.end(one.refresh)
    let isOut = await isIn(one) == false
    #expect(isOut)
    let isStillIn = await isIn(two)
    #expect(isStillIn)
    let restarted = RevokedLogins()
    try await restarted.load(from: place.database, at: place.time.now)
    #expect(restarted.contains(one.login))
    #expect(!restarted.contains(two.login))
  }

  @Test("devices are listed, newest first, and end one by one or all but one")
  func devices() async throws {
    let user = try await ada()
    let one = try await signIn(user, "phone")
    place.time.move(seconds: 1)
    let two = try await signIn(user, "laptop")
    place.time.move(seconds: 1)
    let three = try await signIn(user, "tv")
    let listed = try await accounts.devices(of: user.id)
    #expect(listed.map(\.client) == ["tv", "laptop", "phone"])
    try await accounts.endLogin(two.login, of: user.id, by: .system)
    let again = await refusal {
      try await accounts.endLogin(two.login, of: user.id, by: .system)
    }
    #expect(again?.code == .notFound)
    let other = try await place.addUser("eve@b.c")
    let foreign = await refusal { try await accounts.endLogin(one.login, of: other, by: .system) }
    #expect(foreign?.code == .notFound)
    let count = try await accounts.endLogins(of: user.id, but: three.login, by: .system)
    #expect(count == 1)
    let states = [await isIn(one), await isIn(two), await isIn(three)]
    #expect(states == [false, false, true])
    let rotated = await refusal { try await refresh.rotate(one.refresh) }
    #expect(rotated?.code == .tokenInvalid)
  }

  @Test("a password is changed with the present one only, and other logins end")
  func changesPassword() async throws {
    let user = try await ada()
    let (here, there) = (try await signIn(user), try await signIn(user))
    for wrong in [nil, "", "wrong horse", String(repeating: "x", count: 2_000)] {
      let refused = await refusal {
        try await accounts.changePassword(
          of: user.id, from: wrong, to: second, keeping: here.login, address: "::1", by: .system)
      }
      #expect(refused?.code == .reauthRequired)
    }
    let weak = await refusal {
      try await accounts.changePassword(
        of: user.id, from: first, to: "password1", keeping: here.login, address: "::1", by: .system)
    }
    #expect(weak?.fields.map(\.pointer) == ["/newPassword"])
    try await accounts.changePassword(
      of: user.id, from: first, to: second, keeping: here.login, address: "::1", by: .system)
    let states = [await isIn(here), await isIn(there)]
    #expect(states == [true, false])
    let old = await refusal { try await accounts.signIn(email: "ada@b.c", password: first) }
    #expect(old?.code == .unauthenticated)
    let new = try await accounts.signIn(email: "ada@b.c", password: second)
    #expect(new.id == user.id)
  }

  @Test("a frozen account cannot sign in, and its logins have ended")
  func freezes() async throws {
    let user = try await ada()
    let device = try await signIn(user)
    let frozen = try await accounts.setFrozen(true, user.id, by: .system)
    #expect(frozen.frozenAt == place.time.now)
    let isOut = await isIn(device) == false
    #expect(isOut)
    let refused = await refusal { try await accounts.signIn(email: "ada@b.c", password: first) }
    #expect(refused?.code == .forbidden)
    let wrong = await refusal { try await accounts.signIn(email: "ada@b.c", password: second) }
    #expect(wrong?.code == .unauthenticated)
    _ = try await accounts.setFrozen(true, user.id, by: .system)
    _ = try await accounts.setFrozen(false, user.id, by: .system)
    let back = try await accounts.signIn(email: "ada@b.c", password: first)
    #expect(back.id == user.id)
    let rows = try await place.database.read {
      try AuditLog.entries(below: .max, subject: "user:" + user.id.text, limit: 9, on: $0)
    }
    #expect(rows.map(\.action) == ["user.unfrozen", "user.frozen", "user.made"])
  }

  @Test("a sign-in that a change has overtaken begins no login")
  func overtaken() async throws {
    try await place.addProvider("acme")
    _ = try await ada()
    func enter() async throws -> User {
      try await accounts.signIn(email: "ada@b.c", password: first)
    }
    let user = try await enter()
    _ = try await refresh.start(for: user.id, client: "now", proof: user.proof)
    _ = try await accounts.setRole(.provider, providerID: "acme", of: user.id, by: .system)
    let demoted = await refusal {
      try await refresh.start(for: user.id, client: "late", proof: user.proof)
    }
    #expect(demoted?.code == .unauthenticated)
    let again = try await enter()
    _ = try await accounts.setFrozen(true, user.id, by: .system)
    let stopped = await refusal {
      try await refresh.start(for: user.id, client: "late", proof: again.proof)
    }
    #expect(stopped?.code == .unauthenticated)
    _ = try await accounts.setFrozen(false, user.id, by: .system)
    try await accounts.changePassword(
      of: user.id, from: first, to: second, keeping: nil, address: "::1", by: .system)
    let changed = await refusal {
      try await refresh.start(for: user.id, client: "late", proof: again.proof)
    }
    #expect(changed?.code == .unauthenticated)
    let devices = try await accounts.devices(of: user.id)
    #expect(devices.isEmpty)
  }

  @Test("another role ends the logins that name the old one")
  func roles() async throws {
    try await place.addProvider("acme")
    let user = try await ada()
    let device = try await signIn(user)
    for (role, provider) in [(Role.provider, nil), (.user, "acme"), (.admin, "acme")] {
      let refused = await refusal {
        try await accounts.setRole(role, providerID: provider, of: user.id, by: .system)
      }
      #expect(refused?.code == .validationFailed)
    }
    let unknown = await refusal {
      try await accounts.setRole(.provider, providerID: "nobody", of: user.id, by: .system)
    }
    #expect(unknown?.code == .notFound)
    let changed = try await accounts.setRole(
      .provider, providerID: "acme", of: user.id, by: .system)
    #expect(changed.role == .provider && changed.providerID == "acme")
    let rows = try await place.database.read {
      try AuditLog.entries(below: .max, subject: "user:" + user.id.text, limit: 1, on: $0)
    }
    #expect(rows.map(\.detail) == ["user to provider=acme"])
    let isOut = await isIn(device) == false
    #expect(isOut)
  }

  @Test("failed sign-ins are noted as a count, by account, without the address")
  func failures() async throws {
    let user = try await ada()
    for _ in 0..<3 {
      _ = await refusal { try await accounts.signIn(email: "ada@b.c", password: "wrong horse") }
    }
    _ = await refusal { try await accounts.signIn(email: "eve@b.c", password: "wrong horse") }
    try await accounts.noteFailures()
    try await accounts.noteFailures()
    let rows = try await place.database.read {
      try AuditLog.entries(below: .max, limit: 9, on: $0)
    }.filter { $0.action == "sign_in.failed" }
    #expect(Set(rows.map(\.subject)) == ["unknown", "user:" + user.id.text])
    #expect(Set(rows.map(\.detail)) == ["count=1", "count=3"])
  }

  @Test("a hash of fewer passes is made again at the next sign-in")
  func rehashes() async throws {
    let user = try await ada()
    #expect(PasswordHash.isWeak(weakHash))
    #expect(PasswordHash.isWeak("$argon2i$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"))
    #expect(PasswordHash.isWeak("no hash"))
    #expect(!PasswordHash.isWeak(strongHash))
    let kept = try await hash(of: user.id)
    #expect(!PasswordHash.isWeak(kept))
    for (old, isKept) in [(weakHash, false), (strongHash, true), (kept, true)] {
      try await place.database.write { connection -> Void in
        try connection.run(
          "UPDATE user SET password_hash = ? WHERE id = ?", [.text(old), .blob(user.id.bytes)])
      }
      _ = try await accounts.signIn(email: "ada@b.c", password: first)
      let now = try await hash(of: user.id)
      #expect((now == old) == isKept)
      #expect(!PasswordHash.isWeak(now))
      #expect(PasswordHash.verify(first, against: now))
    }
  }

  private func hash(of user: ID<UserKind>) async throws -> String {
    try await place.database.read { connection -> String in
      try connection.first("SELECT password_hash FROM user WHERE id = ?", [.blob(user.bytes)]) {
        row -> String in row.text(0)
      } ?? ""
    }
  }

  @Test("a keyed registration makes one account, and its kept answer tells nothing of the person")
  func keyed() async throws {
    let form = Registration(email: "Ada@b.c", password: first, name: "Ada L")
    let key = try Idempotency.Key(
      principal: .anonymous(address: "::1"), route: "POST /v1/auth/register", key: "k", body: [:])
    let refused: @Sendable (Refusal) -> Idempotency.Answer = {
      Idempotency.Answer(status: $0.code.status, body: Array($0.code.rawValue.utf8))
    }
    let one = try await accounts.register(
      form, key: key, idempotency, by: .system, refused: refused)
    let two = try await accounts.register(
      form, key: key, idempotency, by: .system, refused: refused)
    #expect(one.status == 201 && !one.isReplayed)
    #expect(two.isReplayed && two.body == one.body)
    let other = try Idempotency.Key(
      principal: .anonymous(address: "::1"), route: "POST /v1/auth/register", key: "l", body: [:])
    let taken = try await accounts.register(
      form, key: other, idempotency, by: .system, refused: refused)
    #expect(taken.status == 409)
    let text = String(decoding: one.body, as: UTF8.self)
    #expect(!text.contains("ada") && !text.contains("Ada"))
  }

  @Test("a registration whose e-mail found no room is asked for again with the same key")
  func crowded() async throws {
    let desk = MailDesk(
      server: MailServer(url: "smtp://127.0.0.1:9", user: nil, password: nil, needsTLS: false),
      sender: "waypost@b.c", clock: place.time.clock, random: place.random, log: { _ in })
    let accounts = Accounts(
      database: place.database, clock: place.time.clock, random: place.random,
      keys: KeyRing(inMemoryAt: place.time.now, random: place.random),
      issuer: "https://waypost.example", mail: desk)
    // Nobody has these addresses: the work sends nothing.
    for index in 0..<MailDesk.waitingMax { try accounts.requestReset(email: "n\(index)@b.c") }
    let key = try Idempotency.Key(
      principal: .anonymous(address: "::1"), route: "POST /v1/auth/register", key: "k", body: [:])
    func register() async throws -> Idempotency.Answer {
      try await accounts.requestRegistration(
        Registration(email: "ada@b.c", password: first, name: nil), key: key, idempotency,
        refused: { Idempotency.Answer(status: $0.code.status, body: []) })
    }
    let full = await refusal { try await register() }
    #expect(full?.code == .storageUnavailable)
    let sending = Task { await desk.run() }
    var answer: Idempotency.Answer?
    for _ in 0..<100 where answer == nil {
      try await Task.sleep(for: .milliseconds(20))
      answer = try? await register()
    }
    sending.cancel()
    #expect(answer?.status == 202 && answer?.isReplayed == false)
  }

  @Test("without SMTP settings what needs e-mail says so")
  func noMail() async throws {
    let user = try await ada()
    let reset = await refusal { try accounts.requestReset(email: "ada@b.c") }
    #expect(reset?.code == .mailNotConfigured)
    let proof = await refusal { try accounts.requestProof(of: user) }
    #expect(proof?.code == .mailNotConfigured)
    for token in ["", "AAAA", BytesText.base64url([UInt8](repeating: 7, count: 32))] {
      let refused = await refusal { try await accounts.prove(token, password: first, by: .system) }
      #expect(refused?.code == .tokenInvalid)
      let other = await refusal {
        try await accounts.reset(token: token, password: second, by: .system)
      }
      #expect(other?.code == .tokenInvalid)
    }
  }

  @Test("consents have a history, and the last word counts")
  func consents() async throws {
    let user = try await ada()
    let none = try await accounts.consents(of: user.id)
    #expect(none.isEmpty)
    for isGranted in [true, true, false] {
      place.time.move(seconds: 1)
      _ = try await accounts.setConsent(isGranted, for: .marketing, of: user.id)
    }
    let all = try await accounts.consents(of: user.id)
    #expect(all.map(\.isGranted) == [true, false])
    #expect(all.last?.at == place.time.now)
    for days in [1, -1, 91] {
      let refused = await refusal { try await accounts.setConversationDays(days, of: user.id) }
      #expect(refused?.code == .validationFailed)
    }
    try await accounts.setConversationDays(0, of: user.id)
    let changed = try await accounts.user(user.id)
    #expect(changed?.conversationDays == 0)
  }

  @Test("where another table needs the id, an erased account keeps nothing but it")
  func erasesInPlace() async throws {
    let user = try await ada()
    _ = try await accounts.setConsent(true, for: .sharing, of: user.id)
    let now = place.time.now
    let ended = try await place.database.write { connection in
      try connection.execute(
        "CREATE TABLE belonging(id INTEGER PRIMARY KEY, user_id BLOB REFERENCES user(id)) STRICT")
      try connection.run("INSERT INTO belonging(user_id) VALUES (?)", [.blob(user.id.bytes)])
      return try accounts.erase(user.id, by: .system, at: now, on: connection)
    }
    #expect(ended.isEmpty)
    let left = try #require(try await accounts.user(user.id))
    #expect(!left.email.contains("@") && left.name == nil && left.frozenAt == now)
    let consents = try await accounts.consents(of: user.id)
    #expect(consents.isEmpty)
    for email in ["ada@b.c", left.email] {
      for password in [first, ""] {
        let refused = await refusal { try await accounts.signIn(email: email, password: password) }
        #expect(refused?.code == .unauthenticated)
      }
    }
    let again = try await ada()
    #expect(again.id != user.id)
  }

  @Test("after an erasure no file has the e-mail, the name or the device, and no token is taken")
  func erases() async throws {
    let email = "zyxwvut-person@example.org"
    var people: [User] = []
    for index in 0..<40 {
      people.append(
        try await accounts.register(
          email: index == 20 ? email : "other\(index)@b.c", password: first,
          name: index == 20 ? "Zyxwvut Qponmlk" : "Other"))
    }
    let user = people[20]
    let device = try await signIn(user, "Zyxwvut-Browser/1.0")
    _ = try await accounts.setConsent(true, for: .analytics, of: user.id)
    let now = place.time.now
    let ended = try await place.database.write { connection in
      _ = try accounts.apiKeyStore.make(
        APIKey.Draft(name: "Zyxwvut key"), for: .user(user.id), by: .system, at: now,
        random: place.random, on: connection)
      return try accounts.erase(user.id, by: .system, at: now, on: connection)
    }
    accounts.loginsEnded(ended)
    let isOut = await isIn(device) == false
    #expect(isOut)
    let refused = await refusal { try await accounts.signIn(email: email, password: first) }
    #expect(refused?.code == .unauthenticated)
    let again = await refusal {
      try await place.database.write { connection in
        try accounts.erase(user.id, by: .system, at: now, on: connection)
      }
    }
    #expect(again?.code == .notFound)
    try await place.database.checkpoint(truncate: true)
    for name in try FileManager.default.contentsOfDirectory(atPath: place.folder.path) {
      let data = FileManager.default.contents(atPath: place.folder.path + "/" + name) ?? Data()
      for word in ["yxwvut", "Qponmlk"] {
        let isFound = data.range(of: Data(word.utf8)) != nil
        #expect(!isFound, "\(word) in \(name)")
      }
    }
    let chain = try await place.database.read { try AuditLog.verify($0) }
    #expect(chain.isSound)
  }
}
