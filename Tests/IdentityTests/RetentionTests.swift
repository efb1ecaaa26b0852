import Cryptography
import Identity
import Primitives
import SQLite
import Testing
import TestSupport

/// More than two pieces of what a sweep deletes at once.
private let rowCount: Int64 = 1_203

/// Rows numbered from 1; `?1` is a moment and `?2` how many.
private let numbers =
  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)"

// What is kept for a time: how rows of one moment are made, and how long they are kept.
private let kept: [(table: String, insert: String, milliseconds: Int64, isInclusive: Bool)] = [
  (
    "idempotency",
    """
    INSERT INTO idempotency(principal, route, key, body_hash, status, response, created_ms)
    \(numbers) SELECT zeroblob(32), 'r', 'k' || ?1 || '-' || i, x'', 200, x'', ?1 FROM n
    """, 48 * 3_600_000, false
  ),
  (
    "mail_token",
    """
    INSERT INTO mail_token(hash, purpose, email, password_hash, created_ms, expires_ms)
    \(numbers) SELECT randomblob(32), 'register', 'a@b.c', '', ?1, ?1 + 1800000 FROM n
    """, 1_800_000, true
  ),
  (
    "revoked_login",
    """
    INSERT INTO revoked_login(id, until_ms) \(numbers) SELECT randomblob(16), ?1 + 990000 FROM n
    """, 990_000, true
  ),
  (
    "refresh_family",
    """
    INSERT INTO refresh_family(id, user_id, seed, generation, rotated_ms, created_ms)
    \(numbers) SELECT randomblob(16), u.id, zeroblob(32), 0, ?1, ?1 FROM n, user u
    """, 7 * 86_400_000, false
  ),
  (
    "refresh_family",
    """
    INSERT INTO refresh_family(id, user_id, seed, generation, rotated_ms, created_ms)
    \(numbers) SELECT randomblob(16), u.id, zeroblob(32), 9, ?1 + 7776000000, ?1 FROM n, user u
    """, 90 * 86_400_000, false
  ),
]

@Suite("what has had its time goes, to the millisecond, and in pieces")
struct RetentionTests {
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

  private func sweep() async throws {
    try await accounts.pruneMailTokens()
    try await refresh.prune()
    let now = place.time.now
    while try await place.database.write({ try idempotency.prune(at: now, on: $0) }) {}
  }

  private func add(_ insert: String, at moment: Timestamp) async throws {
    try await place.database.write { connection -> Void in
      try connection.run(insert, [.int(moment.milliseconds), .int(rowCount)])
    }
  }

  private func count(_ table: String) async throws -> Int64? {
    try await place.database.read {
      try $0.first("SELECT count(*) FROM \(table)") { $0.int(0) }
    }
  }

  @Test("rows live as long as they should and no longer", arguments: kept.indices)
  func lives(index: Int) async throws {
    let rule = kept[index]
    _ = try await place.addUser("ann@b.c")
    try await add(rule.insert, at: place.time.now)
    place.time.move(milliseconds: 5)
    try await add(rule.insert, at: place.time.now)
    let end = rule.milliseconds - 5 - (rule.isInclusive ? 1 : 0)
    place.time.move(milliseconds: end)
    try await sweep()
    let all = try await count(rule.table)
    #expect(all == 2 * rowCount)
    place.time.move(milliseconds: 1)
    try await sweep()
    let half = try await count(rule.table)
    #expect(half == rowCount)
    place.time.move(milliseconds: 5)
    try await sweep()
    let none = try await count(rule.table)
    #expect(none == 0)
  }

  @Test("one piece of stored answers is 500 rows: others write in between")
  func pieces() async throws {
    try await add(kept[0].insert, at: place.time.now)
    place.time.move(milliseconds: Idempotency.keptMilliseconds + 1)
    let now = place.time.now
    var left: [Int64?] = []
    for _ in 0..<3 {
      let hasMore = try await place.database.write { try idempotency.prune(at: now, on: $0) }
      left.append(try await count("idempotency"))
      #expect(hasMore == (left.last != 0))
    }
    #expect(left == [703, 203, 0])
  }
}
