import Identity
import Primitives
import SQLite
import Testing
import TestSupport

private let issuer = "https://waypost.example"
private let password = "correct horse"

private let badEmails: [String] = [
  "", "a", "@", "a@", "@b.c", "a@b", "a@@b.c", "a@b@c.d", "a b@c.d", "a@b.c ", " a@b.c", "a@b.c\n",
  "a\u{0}@b.c", "a\u{7F}@b.c", String(repeating: "a", count: 251) + "@b.c",
]

@Suite("accounts of people, and what their tokens say")
struct AccountsTests {
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

  @Test("who registers can sign in, in any case of the e-mail")
  func registers() async throws {
    let user = try await accounts.register(
      email: "Ada@Example.org", password: password, name: "Ada")
    #expect(user.email == "ada@example.org")
    #expect(user.name == "Ada")
    #expect(user.role == .user)
    #expect(user.providerID == nil)
    let again = try await accounts.signIn(email: "ADA@example.org", password: password)
    #expect(again.id == user.id)
    #expect(again.name == "Ada")
    let found = try await accounts.user(user.id)
    #expect(found?.email == "ada@example.org")
  }

  @Test("the password is kept as a hash only")
  func hashes() async throws {
    let user = try await accounts.register(email: "a@b.c", password: password, name: nil)
    let hash = try await place.database.read { connection -> String? in
      try connection.first("SELECT password_hash FROM user WHERE id = ?", [.blob(user.id.bytes)]) {
        row -> String in row.text(0)
      }
    }
    let kept = try #require(hash)
    #expect(kept.hasPrefix("$argon2id$"))
    #expect(!kept.contains(password))
  }

  @Test("an e-mail is taken once, in any case")
  func taken() async throws {
    let first = try await accounts.register(email: "ada@b.c", password: password, name: nil)
    let refused = await refusal {
      try await accounts.register(email: "ADA@b.c", password: "another one", name: nil)
    }
    #expect(refused?.code == .emailTaken)
    let again = try await accounts.signIn(email: "ada@b.c", password: password)
    #expect(again.id == first.id)
  }

  @Test("of parallel registrations of one e-mail exactly one is made")
  func race() async throws {
    let accounts = self.accounts
    let codes = await withTaskGroup(of: ProblemCode?.self) { group in
      for round in 0..<6 {
        group.addTask {
          await refusal {
            try await accounts.register(
              email: "race@b.c", password: "password \(round)", name: nil)
          }?.code
        }
      }
      var codes: [ProblemCode?] = []
      for await code in group { codes.append(code) }
      return codes
    }
    #expect(codes.filter { $0 == nil }.count == 1)
    #expect(codes.filter { $0 == .emailTaken }.count == 5)
  }

  @Test("a text that is no e-mail is refused at its field", arguments: badEmails)
  func emails(email: String) async throws {
    let refused = await refusal {
      try await accounts.register(email: email, password: password, name: nil)
    }
    #expect(refused?.code == .validationFailed)
    #expect(refused?.fields.map(\.pointer) == ["/email"])
  }

  @Test("a password has 8 characters or more and 1,024 bytes or fewer")
  func passwords() async throws {
    for short in ["", "1234567", "\u{1F511}\u{1F511}"] {
      let refused = await refusal {
        try await accounts.register(email: "a@b.c", password: short, name: nil)
      }
      #expect(refused?.fields.map(\.pointer) == ["/password"])
    }
    let long = String(repeating: "x", count: 1_025)
    let refused = await refusal {
      try await accounts.register(email: "a@b.c", password: long, name: nil)
    }
    #expect(refused?.fields.map(\.pointer) == ["/password"])
    let eight = try await accounts.register(email: "a@b.c", password: "1234567x", name: nil)
    #expect(eight.email == "a@b.c")
    let most = String(long.dropLast())
    let largest = try await accounts.register(email: "b@b.c", password: most, name: nil)
    #expect(largest.email == "b@b.c")
  }

  @Test(
    "a common password is refused, in any case",
    arguments: ["password", "PassWord1", "12345678", "qwertyuiop", "ADMIN123"])
  func commonPasswords(common: String) async throws {
    let refused = await refusal {
      try await accounts.register(email: "a@b.c", password: common, name: nil)
    }
    #expect(refused?.fields.map(\.pointer) == ["/password"])
  }

  @Test("a password that is the e-mail or its first part is refused")
  func passwordIsEmail() async throws {
    for password in ["lovelace", "Lovelace", "lovelace@b.c"] {
      let refused = await refusal {
        try await accounts.register(email: "lovelace@b.c", password: password, name: nil)
      }
      #expect(refused?.fields.map(\.pointer) == ["/password"])
    }
  }

  @Test("all fields at fault are named at once")
  func allFaults() async throws {
    let name = String(repeating: "n", count: 201)
    let refused = await refusal {
      try await accounts.register(email: "no", password: "short", name: name)
    }
    #expect(refused?.fields.map(\.pointer) == ["/email", "/password", "/name"])
  }

  @Test("a wrong password and an unknown e-mail get one and the same refusal")
  func signInRefusals() async throws {
    let user = try await accounts.register(email: "a@b.c", password: password, name: nil)
    let wrong = await refusal {
      try await accounts.signIn(email: user.email, password: password + "x")
    }
    let unknown = await refusal {
      try await accounts.signIn(email: "nobody@b.c", password: password)
    }
    #expect(wrong?.code == .unauthenticated)
    #expect(wrong == unknown)
    let decoy = await refusal { try await accounts.signIn(email: "nobody@b.c", password: "decoy") }
    #expect(decoy == wrong)
  }

  @Test("an address that keeps failing at an account is refused there, and nobody else is")
  func throttles() async throws {
    let user = try await accounts.register(email: "a@b.c", password: password, name: nil)
    _ = try await accounts.register(email: "other@b.c", password: password, name: nil)
    for number in 1...10 {
      let wrong = await refusal {
        try await accounts.signIn(email: "A@b.c", password: "guess \(number)", from: "192.0.2.1")
      }
      #expect(wrong?.code == .unauthenticated, "guess \(number)")
    }
    let refused = await refusal {
      try await accounts.signIn(email: user.email, password: password, from: "192.0.2.1")
    }
    #expect(refused?.code == .rateLimited)
    #expect(refused?.retryAfterSeconds == 60)
    // The owner elsewhere is not locked out, nor is the address from other accounts.
    let owner = try await accounts.signIn(email: "a@b.c", password: password, from: "192.0.2.2")
    #expect(owner.id == user.id)
    _ = try await accounts.signIn(email: "other@b.c", password: password, from: "192.0.2.1")
    place.time.move(seconds: 60)
    let later = try await accounts.signIn(email: "a@b.c", password: password, from: "192.0.2.1")
    #expect(later.id == user.id)
  }

  @Test("many guesses at once are no more than as many one after the other")
  func throttlesAtOnce() async throws {
    _ = try await accounts.register(email: "a@b.c", password: password, name: nil)
    let codes = await withTaskGroup(of: ProblemCode?.self) { group in
      for number in 0..<40 {
        group.addTask {
          await refusal {
            try await accounts.signIn(
              email: "a@b.c", password: "guess \(number)", from: "192.0.2.1")
          }?.code
        }
      }
      return await group.reduce(into: [ProblemCode?]()) { $0.append($1) }
    }
    let looked = codes.filter { $0 == .unauthenticated }.count
    #expect((1...10).contains(looked), "\(looked) passwords were looked at")
    #expect(codes.allSatisfy { $0 == .unauthenticated || $0 == .rateLimited })
    // Those that were refused at once used nothing up: the rest of the ten is still there.
    for number in looked..<10 {
      let wrong = await refusal {
        try await accounts.signIn(email: "a@b.c", password: "more \(number)", from: "192.0.2.1")
      }
      #expect(wrong?.code == .unauthenticated)
    }
    let last = await refusal {
      try await accounts.signIn(email: "a@b.c", password: password, from: "192.0.2.1")
    }
    #expect(last?.code == .rateLimited)
  }

  @Test("right passwords at once all get in, and leave the failures of others alone")
  func rightAtOnce() async throws {
    _ = try await accounts.register(email: "a@b.c", password: password, name: nil)
    for number in 0..<9 {
      _ = await refusal {
        try await accounts.signIn(email: "a@b.c", password: "guess \(number)", from: "192.0.2.9")
      }
    }
    let codes = await withTaskGroup(of: ProblemCode?.self) { group in
      for _ in 0..<10 {
        group.addTask {
          await refusal {
            try await accounts.signIn(email: "a@b.c", password: password, from: "192.0.2.1")
          }?.code
        }
      }
      return await group.reduce(into: [ProblemCode?]()) { $0.append($1) }
    }
    #expect(codes.allSatisfy { $0 == nil }, "\(codes)")
    let tenth = await refusal {
      try await accounts.signIn(email: "a@b.c", password: "guess", from: "192.0.2.9")
    }
    #expect(tenth?.code == .unauthenticated)
    let eleventh = await refusal {
      try await accounts.signIn(email: "a@b.c", password: password, from: "192.0.2.9")
    }
    #expect(eleventh?.code == .rateLimited)
  }

  @Test("a password that nobody can have is not hashed, only refused")
  func longPassword() async throws {
    let long = String(repeating: "x", count: 1_025)
    let refused = await refusal { try await accounts.signIn(email: "a@b.c", password: long) }
    #expect(refused?.code == .unauthenticated)
  }

  @Test("a revoked API key is nobody's, and stays in the list")
  func revokes() async throws {
    try await place.addProvider("acme")
    let first = try await accounts.makeAPIKey(providerID: "acme", name: "one")
    let second = try await accounts.makeAPIKey(providerID: "acme", name: "two")
    try await accounts.revokeAPIKey(first.id)
    try await accounts.revokeAPIKey(first.id)
    let gone = await refusal { try await accounts.credential(bearer: first.secret) }
    #expect(gone?.code == .tokenInvalid)
    let kept = try await accounts.credential(bearer: second.secret).principal
    #expect(kept == .providerKey(providerID: "acme"))
    let listed = try await accounts.apiKeys()
    #expect(Set(listed.map(\.name)) == ["one", "two"])
    #expect(listed.first { $0.name == "one" }?.revokedAt == place.time.now)
    for wrong in ["", "nonsense", ID<UserKind>(high: 1, low: 2).text] {
      let refused = await refusal { try await accounts.revokeAPIKey(wrong) }
      #expect(refused?.code == .notFound)
    }
  }

  @Test("an unknown id has no account")
  func unknownID() async throws {
    let found = try await accounts.user(ID<UserKind>(high: 1, low: 2))
    let isAbsent = found == nil
    #expect(isAbsent)
  }
}
