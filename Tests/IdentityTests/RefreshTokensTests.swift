import Foundation
import Identity
import Primitives
import SQLite
import Testing
import TestSupport

private let day: Int64 = 86_400_000

@Suite("a refresh token is used once, and an old one ends its login")
struct RefreshTokensTests {
  let place: Place
  let tokens: RefreshTokens

  init() throws {
    place = try Place()
    tokens = RefreshTokens(
      database: place.database, clock: place.time.clock, random: place.random,
      key: [UInt8](repeating: 7, count: 32))
  }

  private func start() async throws -> String {
    let user = try await place.addUser("ada@b.c")
    return try await tokens.start(for: user, client: "test")
  }

  /// Expects that a token is refused as one that needs a new sign-in.
  private func expectRefused(
    _ token: String, sourceLocation: SourceLocation = #_sourceLocation
  ) async {
    let refused = await refusal { try await tokens.rotate(token) }
    #expect(refused?.code == .tokenInvalid, sourceLocation: sourceLocation)
  }

  @Test("each rotation gives the next token of the same user")
  func rotates() async throws {
    let user = try await place.addUser("ada@b.c")
    var token = try await tokens.start(for: user, client: "test")
    var seen: Set<String> = [token]
    for _ in 0..<20 {
      let next = try await tokens.rotate(token)
      #expect(next.user == user)
      seen.insert(next.token)
      token = next.token
      place.time.move(seconds: 900)
    }
    #expect(seen.count == 21)
  }

  @Test("the same token within 10 s gives the same successor")
  func repeats() async throws {
    let first = try await start()
    let second = try await tokens.rotate(first).token
    for _ in 0..<3 {
      let again = try await tokens.rotate(first).token
      #expect(again == second)
    }
    place.time.move(milliseconds: 10_000)
    let last = try await tokens.rotate(first).token
    #expect(last == second)
    let third = try await tokens.rotate(second).token
    #expect(third != second)
  }

  @Test("the same token after more than 10 s ends the login")
  func lateRepeat() async throws {
    let first = try await start()
    let second = try await tokens.rotate(first).token
    place.time.move(milliseconds: 10_001)
    await expectRefused(first)
    await expectRefused(second)
    await expectRefused(first)
  }

  @Test("a token that is two rotations old ends the login at once")
  func olderGeneration() async throws {
    let first = try await start()
    let second = try await tokens.rotate(first).token
    let third = try await tokens.rotate(second).token
    await expectRefused(first)
    await expectRefused(third)
    await expectRefused(second)
  }

  @Test("a token that was guessed takes no turn of the one writer")
  func guessed() async throws {
    let first = try await start()
    var bytes = try #require(BytesText.bytes(base64url: first))
    bytes[55] ^= 1
    let before = place.database.figures.writes
    await expectRefused(BytesText.base64url(bytes))
    await expectRefused(BytesText.base64url(place.random.bytes(56)))
    #expect(place.database.figures.writes == before)
    _ = try await tokens.rotate(first)
    #expect(place.database.figures.writes == before + 1)
  }

  @Test("a reused token is noted in the audit log")
  func noted() async throws {
    let first = try await start()
    _ = try await tokens.rotate(first)
    place.time.move(milliseconds: 10_001)
    await expectRefused(first)
    let rows = try await place.database.read {
      try AuditLog.entries(below: .max, limit: 9, on: $0)
    }
    #expect(rows.map(\.action) == ["login.ended"])
    #expect(rows.map(\.detail) == ["reused"])
  }

  @Test("a hundred parallel refreshes give one successor")
  func parallel() async throws {
    let first = try await start()
    let tokens = self.tokens
    let successors = try await withThrowingTaskGroup(of: String.self) { group in
      for _ in 0..<100 { group.addTask { try await tokens.rotate(first).token } }
      var successors: Set<String> = []
      for try await token in group { successors.insert(token) }
      return successors
    }
    #expect(successors.count == 1)
    let second = try #require(successors.first)
    let third = try await tokens.rotate(second).token
    #expect(third != second)
  }

  @Test("a login rests 7 days and not a millisecond longer")
  func idle() async throws {
    let first = try await start()
    place.time.move(milliseconds: 7 * day)
    let second = try await tokens.rotate(first).token
    place.time.move(milliseconds: 7 * day + 1)
    await expectRefused(second)
  }

  @Test("a login lasts 90 days, however often it is refreshed")
  func absolute() async throws {
    var token = try await start()
    for _ in 0..<15 {
      place.time.move(milliseconds: 6 * day)
      token = try await tokens.rotate(token).token
    }
    place.time.move(milliseconds: 1)
    await expectRefused(token)
  }

  @Test("a changed or guessed token is refused and ends nobody's login")
  func forged() async throws {
    let first = try await start()
    let bytes = try #require(BytesText.bytes(base64url: first))
    #expect(bytes.count == 56)
    for index in bytes.indices {
      var changed = bytes
      changed[index] ^= 1
      let token = BytesText.base64url(changed)
      await expectRefused(token)
    }
    let cut = String(first.dropLast())
    let texts: [String] = ["", "A", first + "A", first + "=", first + first, cut]
    for text in texts { await expectRefused(text) }
    let second = try await tokens.rotate(first).token
    #expect(second != first)
  }

  @Test("a token of another server key is refused")
  func otherKey() async throws {
    let first = try await start()
    let others = RefreshTokens(
      database: place.database, clock: place.time.clock, random: place.random,
      key: [UInt8](repeating: 8, count: 32))
    let refused = await refusal { try await others.rotate(first) }
    #expect(refused?.code == .tokenInvalid)
    let second = try await tokens.rotate(first).token
    #expect(second != first)
  }

  @Test("signing out ends the login, with its newest token or the one before")
  func ends() async throws {
    let first = try await start()
    let second = try await tokens.rotate(first).token
    try await tokens.end(first)
    await expectRefused(second)
    let user = try await place.addUser("bob@b.c")
    let other = try await tokens.start(for: user, client: "test")
    try await tokens.end(other)
    await expectRefused(other)
  }

  @Test("signing out with what is no token is no error and ends nothing")
  func endsNothing() async throws {
    let first = try await start()
    for text in ["", "A", first + "A", String(first.reversed())] { try await tokens.end(text) }
    var bytes = try #require(BytesText.bytes(base64url: first))
    bytes[55] ^= 1
    try await tokens.end(BytesText.base64url(bytes))
    let second = try await tokens.rotate(first).token
    #expect(second != first)
  }

  @Test("one login's end leaves the other logins of the user")
  func families() async throws {
    let user = try await place.addUser("ada@b.c")
    let phone = try await tokens.start(for: user, client: "phone")
    let laptop = try await tokens.start(for: user, client: "laptop")
    #expect(phone != laptop)
    try await tokens.end(phone)
    await expectRefused(phone)
    let next = try await tokens.rotate(laptop)
    #expect(next.user == user)
  }

  @Test("the record holds no token that could be used")
  func storesNoToken() async throws {
    let first = try await start()
    try await place.database.checkpoint(truncate: true)
    let record = try Data(contentsOf: URL(fileURLWithPath: place.folder.path + "/record.db"))
    let bytes = try #require(BytesText.bytes(base64url: first))
    let holdsFamily = record.range(of: Data(bytes.prefix(16))) != nil
    let holdsProof = record.range(of: Data(bytes.suffix(32))) != nil
    let holdsText = record.range(of: Data(first.utf8)) != nil
    #expect(holdsFamily)
    #expect(!holdsProof)
    #expect(!holdsText)
  }

  @Test("logins past their time are deleted, the others stay")
  func prunes() async throws {
    let user = try await place.addUser("ada@b.c")
    let old = try await tokens.start(for: user, client: "old")
    place.time.move(milliseconds: 7 * day)
    let fresh = try await tokens.start(for: user, client: "fresh")
    try await tokens.prune()
    _ = try await tokens.rotate(old)
    place.time.move(milliseconds: 7 * day + 1)
    let new = try await tokens.start(for: user, client: "new")
    try await tokens.prune()
    let clients = try await place.database.read { connection in
      try connection.rows("SELECT client FROM refresh_family") { row in row.text(0) }
    }
    #expect(clients == ["new"])
    await expectRefused(fresh)
    _ = try await tokens.rotate(new)
  }
}
