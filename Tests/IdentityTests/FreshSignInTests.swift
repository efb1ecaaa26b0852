import Cryptography
import Identity
import Primitives
import SQLite
import Testing
import TestSupport

@Suite("a fresh sign-in elsewhere stands for a password, once, for its purpose and its login")
struct FreshSignInTests {
  let place: Place
  let accounts: Accounts
  let refresh: RefreshTokens

  init() throws {
    place = try Place()
    let people = People(at: place)
    accounts = people.accounts
    refresh = people.refresh
  }

  private func person() async throws -> User {
    try await accounts.registerExternal(email: "Ann@b.c", name: "Ann", by: .system) { _, _ in }
  }

  private func login(_ user: User) async throws -> ID<LoginKind> {
    let token = try await refresh.start(for: user.id, client: "test")
    return try #require(RefreshTokens.login(of: token))
  }

  private func signIn(
    _ user: User, _ login: ID<LoginKind>, _ purpose: FreshPurpose, ago: Int64 = 0
  ) async throws {
    let moment = place.time.now + -ago
    try await place.database.write { connection in
      try accounts.signedInAgain(
        user.id, login: login, for: purpose, at: moment, by: .system, on: connection)
    }
  }

  private func fresh(
    _ user: User, _ login: ID<LoginKind>?, _ purpose: FreshPurpose
  ) async -> ProblemCode? {
    await refusal {
      try await accounts.requireFresh(
        nil, for: purpose, of: user.id, login: login, from: "::1")
    }?.code
  }

  private func rows() async throws -> Int64? {
    try await place.database.read {
      try $0.first("SELECT count(*) FROM fresh_sign_in") { $0.int(0) }
    }
  }

  @Test("an account made elsewhere has no password, and none opens it")
  func noPassword() async throws {
    let user = try await person()
    #expect(user.email == "ann@b.c" && user.verifiedAt == place.time.now)
    let has = try await accounts.hasPassword(user.id)
    #expect(!has)
    for password in ["", "decoy", "password", String(repeating: "x", count: 43)] {
      let refused = await refusal {
        try await accounts.signIn(email: "ann@b.c", password: password)
      }
      #expect(refused?.code == .unauthenticated)
      let asked = await refusal {
        try await accounts.requirePassword(password, of: user.id, from: "::1")
      }
      #expect(asked?.code == .reauthRequired)
    }
  }

  @Test("it counts for its purpose and login alone, to the millisecond of five minutes")
  func bounds() async throws {
    let user = try await person()
    let (mine, other) = (try await login(user), try await login(user))
    #expect(await fresh(user, mine, .erase) == .reauthRequired)
    try await signIn(user, mine, .erase)
    #expect(await fresh(user, mine, .erase) == nil)
    #expect(await fresh(user, mine, .password) == .reauthRequired)
    #expect(await fresh(user, other, .erase) == .reauthRequired)
    #expect(await fresh(user, nil, .erase) == .reauthRequired)
    place.time.move(milliseconds: Accounts.freshMilliseconds - 1)
    #expect(await fresh(user, mine, .erase) == nil)
    place.time.move(milliseconds: 1)
    #expect(await fresh(user, mine, .erase) == .reauthRequired)
    try await signIn(user, mine, .erase, ago: Accounts.freshMilliseconds - 1)
    #expect(await fresh(user, mine, .erase) == nil)
    place.time.move(milliseconds: 1)
    #expect(await fresh(user, mine, .erase) == .reauthRequired, "counted from the sign-in")
    try await signIn(user, mine, .erase, ago: -60_000)
    place.time.move(milliseconds: Accounts.freshMilliseconds)
    #expect(await fresh(user, mine, .erase) == .reauthRequired, "never from later than now")
  }

  @Test("a wrong password beside it is no help, and a right one needs none")
  func passwords() async throws {
    let user = try await accounts.register(email: "bob@b.c", password: "correct horse", name: nil)
    let mine = try await login(user)
    try await signIn(user, mine, .erase)
    let wrong = await refusal {
      try await accounts.requireFresh(
        "wrong horse", for: .erase, of: user.id, login: mine, from: "::1")
    }
    #expect(wrong?.code == .reauthRequired)
    _ = try await accounts.requireFresh(
      "correct horse", for: .password, of: user.id, login: nil, from: "::1")
  }

  @Test("it is spent with what it was for, and kept where that is undone")
  func spends() async throws {
    let user = try await person()
    let mine = try await login(user)
    try await signIn(user, mine, .erase)
    let proof = try await accounts.requireFresh(
      nil, for: .erase, of: user.id, login: mine, from: "::1")
    let now = place.time.now
    let undone = await refusal {
      try await place.database.write { connection in
        try Accounts.spend(proof, of: user.id, at: now, on: connection)
        throw Refusal(.balanceNotEmpty, "no")
      }
    }
    #expect(undone?.code == .balanceNotEmpty)
    try await place.database.write {
      try Accounts.spend(proof, of: user.id, at: now, on: $0)
    }
    let again = await refusal {
      try await place.database.write {
        try Accounts.spend(proof, of: user.id, at: now, on: $0)
      }
    }
    #expect(again?.code == .reauthRequired)
  }

  @Test("it sets a first password, once, and that opens the account")
  func firstPassword() async throws {
    let user = try await person()
    let (mine, other) = (try await login(user), try await login(user))
    try await signIn(user, mine, .password)
    let weak = await refusal {
      try await accounts.changePassword(
        of: user.id, from: nil, to: "password", keeping: mine, address: "::1", by: .system)
    }
    #expect(weak?.code == .validationFailed, "and the proof is not spent")
    let stranger = await refusal {
      try await accounts.changePassword(
        of: user.id, from: nil, to: "correct horse", keeping: other, address: "::1", by: .system)
    }
    #expect(stranger?.code == .reauthRequired)
    try await accounts.changePassword(
      of: user.id, from: nil, to: "correct horse", keeping: mine, address: "::1", by: .system)
    let has = try await accounts.hasPassword(user.id)
    #expect(has)
    let back = try await accounts.signIn(email: "ann@b.c", password: "correct horse")
    #expect(back.id == user.id)
    let again = await refusal {
      try await accounts.changePassword(
        of: user.id, from: nil, to: "battery staple", keeping: mine, address: "::1", by: .system)
    }
    #expect(again?.code == .reauthRequired)
  }

  @Test("a login that has ended, of another person or of a frozen one cannot sign in again")
  func refuses() async throws {
    let user = try await person()
    let (mine, ended) = (try await login(user), try await login(user))
    try await accounts.endLogin(ended, of: user.id, by: .system)
    let bob = try await accounts.register(email: "bob@b.c", password: "correct horse", name: nil)
    for (person, login) in [(user, ended), (bob, mine)] {
      let refused = await refusal { try await signIn(person, login, .erase) }
      #expect(refused?.code == .unauthenticated)
    }
    _ = try await accounts.setFrozen(true, user.id, by: .system)
    let frozen = await refusal { try await signIn(user, mine, .erase) }
    #expect(frozen?.code == .unauthenticated)
    let count = try await rows()
    #expect(count == 0)
  }

  @Test("what counts no more is swept, and goes with the account")
  func sweeps() async throws {
    let user = try await person()
    let mine = try await login(user)
    try await signIn(user, mine, .erase)
    place.time.move(seconds: 200)
    try await signIn(user, mine, .password)
    place.time.move(seconds: 100)
    try await accounts.pruneFreshSignIns()
    let left = try await rows()
    #expect(left == 1)
    let now = place.time.now
    _ = try await place.database.write {
      try accounts.erase(user.id, by: .system, at: now, on: $0)
    }
    let gone = try await rows()
    #expect(gone == 0)
  }
}
