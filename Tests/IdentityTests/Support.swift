import Cryptography
import Foundation
import Identity
import Index
import Primitives
import SQLite
import Synchronization
import TestSupport

#if canImport(Glibc)
  import Glibc
#endif

/// A real record in a folder of its own, with a clock that stands and seeded randomness.
struct Place: Sendable {
  let folder: TemporaryFolder
  let time = MovableClock(Timestamp(milliseconds: 1_800_000_000_000))
  let random = RandomSource.seeded(11)
  let database: Database

  static var migrations: [Migration] {
    IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) }
  }

  init() throws {
    folder = try TemporaryFolder()
    database = try Database(path: folder.path + "/record.db", migrations: Place.migrations)
  }

  /// Adds a provider.
  func addProvider(_ id: String) async throws {
    try await database.write { connection in try connection.addProvider(id) }
  }

  /// Adds a person without the cost of a password.
  func addUser(_ email: String) async throws -> ID<UserKind> {
    let id = ID<UserKind>(at: time.now, random: random)
    try await database.write { connection -> Void in
      try connection.run(
        "INSERT INTO user(id, email, password_hash, role, created_ms) VALUES (?, ?, '', 'user', 0)",
        [.blob(id.bytes), .text(email)])
    }
    return id
  }

  /// How many providers there are.
  func providerCount() async throws -> Int64 {
    try await database.read { connection -> Int64 in
      try connection.first("SELECT count(*) FROM provider") { row -> Int64 in row.int(0) } ?? -1
    }
  }
}

extension Connection {
  func addProvider(_ id: String) throws {
    try run(
      "INSERT INTO provider(id, name, created_ms, updated_ms) VALUES (?, ?, 0, 0)",
      [.text(id), .text(id)])
  }
}

/// The refusal of a piece of work, or nil where it was done or failed otherwise.
func refusal<T>(of work: () async throws -> T) async -> Refusal? {
  do {
    _ = try await work()
    return nil
  } catch {
    return error as? Refusal
  }
}

/// The permissions of a file, or nil where there is none.
func fileMode(_ path: String) -> UInt32? {
  var status = stat()
  guard stat(path, &status) == 0 else { return nil }
  return UInt32(status.st_mode) & 0o777
}

/// What looks after people at a place: all of one key ring, and of one memory of ended logins.
struct People: Sendable {
  let accounts: Accounts
  let refresh: RefreshTokens
  let idempotency: Idempotency

  init(at place: Place) {
    let keys = KeyRing(inMemoryAt: place.time.now, random: place.random)
    let logins = RevokedLogins()
    accounts = Accounts(
      database: place.database, clock: place.time.clock, random: place.random, keys: keys,
      issuer: "https://waypost.example", logins: logins)
    refresh = RefreshTokens(
      database: place.database, clock: place.time.clock, random: place.random,
      key: keys.derived(for: "refresh"), revoked: logins)
    idempotency = Idempotency(
      sealer: Sealer(key: keys.derived(for: "idempotency")), random: place.random)
  }
}
