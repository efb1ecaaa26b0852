import Identity
import Primitives
import SQLite
import Synchronization
import Testing
import TestSupport

private let author = AuditLog.Author(
  .user(ID(high: 1, low: 2), .admin, providerID: nil), requestID: "r1")

// What a thief of the file might do, and what the verifier says of it.
private let tamperings: [(sql: String, fault: String)] = [
  ("UPDATE audit SET action = 'nothing' WHERE seq = 2", "was changed"),
  ("UPDATE audit SET actor = 'user:other' WHERE seq = 2", "was changed"),
  ("UPDATE audit SET subject = 'user:other' WHERE seq = 1", "was changed"),
  ("UPDATE audit SET detail = 'x' WHERE seq = 3", "was changed"),
  ("UPDATE audit SET request_id = 'x' WHERE seq = 3", "was changed"),
  ("UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 2", "was changed"),
  ("UPDATE audit SET row_hash = zeroblob(32) WHERE seq = 2", "was changed"),
  ("UPDATE audit SET prev_hash = zeroblob(32) WHERE seq = 2", "does not follow"),
  ("DELETE FROM audit WHERE seq = 2", "in the place of"),
  ("UPDATE audit SET seq = 9 WHERE seq = 3", "in the place of"),
]

@Suite("the audit log can be added to and not changed")
struct AuditLogTests {
  let place: Place

  init() throws { place = try Place() }

  private func fill() async throws {
    let now = place.time.now
    try await place.database.write { connection in
      for index in 1...3 {
        try AuditLog.record(
          "key.revoked", on: "key:\(index)", detail: "count=\(index)", by: author, at: now,
          on: connection)
      }
    }
  }

  private func report() async throws -> AuditLog.Report {
    try await place.database.read { try AuditLog.verify($0) }
  }

  @Test("rows come back newest first, page by page and by subject")
  func reads() async throws {
    try await fill()
    let all = try await place.database.read {
      try AuditLog.entries(below: .max, limit: 2, on: $0)
    }
    #expect(all.map(\.sequence) == [3, 2])
    let rest = try await place.database.read {
      try AuditLog.entries(below: 2, limit: 2, on: $0)
    }
    #expect(rest.map(\.sequence) == [1])
    let one = try await place.database.read {
      try AuditLog.entries(below: .max, subject: "key:2", limit: 9, on: $0)
    }
    #expect(one.map(\.detail) == ["count=2"])
    #expect(one.first?.actor == "user:" + ID<UserKind>(high: 1, low: 2).text)
    #expect(one.first?.requestID == "r1")
    #expect(one.first?.at == place.time.now)
  }

  @Test("an empty log and a full one are sound")
  func sound() async throws {
    let empty = try await report()
    #expect(empty.isSound && empty.rowCount == 0)
    try await fill()
    let full = try await report()
    #expect(full.isSound && full.rowCount == 3)
  }

  @Test("no row can be changed or deleted by a statement")
  func appendOnly() async throws {
    try await fill()
    for sql in ["UPDATE audit SET action = 'x'", "DELETE FROM audit"] {
      await #expect(throws: SQLiteError.self) {
        try await place.database.write { connection -> Void in try connection.run(sql) }
      }
    }
    let kept = try await report()
    #expect(kept.isSound && kept.rowCount == 3)
  }

  @Test("whatever is changed beneath the triggers is found", arguments: tamperings.indices)
  func tampered(index: Int) async throws {
    try await fill()
    let (sql, fault) = tamperings[index]
    try await place.database.write { connection in
      try connection.execute("DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete")
      try connection.execute(sql)
    }
    let found = try await report()
    #expect(!found.isSound)
    #expect(found.faults.contains { $0.contains(fault) }, "\(sql): \(found.faults)")
  }

  private func rows() async throws -> [String] {
    try await place.database.read {
      try AuditLog.entries(below: .max, limit: 9, on: $0).reversed()
        .map { "\($0.action) \($0.subject) \($0.detail)" }
    }
  }

  private let rebuild = AuditLog.Work("index.rebuild", done: "index.rebuilt", on: "index")

  @Test("work on files stands between two rows")
  func around() async throws {
    let name = try await AuditLog.around(
      rebuild, in: place.database, clock: place.time.clock, by: author,
      outcome: { ("index:" + $0, "count=3") }
    ) {
      let before = try await rows()
      #expect(before == ["index.rebuild index begun"])
      return "g7"
    }
    #expect(name == "g7")
    let all = try await rows()
    #expect(all == ["index.rebuild index begun", "index.rebuilt index:g7 count=3"])
  }

  @Test("work that failed is said to have failed")
  func aroundFailure() async throws {
    let refused = await refusal {
      try await AuditLog.around(
        rebuild, in: place.database, clock: place.time.clock, by: author
      ) { () throws -> Int in throw Refusal(.notFound, "no") }
    }
    #expect(refused?.code == .notFound)
    let all = try await rows()
    #expect(all == ["index.rebuild index begun", "index.rebuild index failed"])
  }

  @Test("what cannot be noted is not done, but for what is urgent", arguments: [false, true])
  func unnoted(isUrgent: Bool) async throws {
    try await place.database.finish()
    let work = AuditLog.Work("key.remove", done: "key.removed", on: "key:1", isUrgent: isUrgent)
    let done = Mutex(false)
    let refused = await refusal {
      try await AuditLog.around(
        work, in: place.database, clock: place.time.clock, by: author
      ) { done.withLock { $0 = true } }
    }
    #expect(refused?.code == .shuttingDown, "the caller is told that it is not noted")
    #expect(done.withLock { $0 } == isUrgent)
  }

  @Test("an effect that is undone leaves no row")
  func undone() async throws {
    _ = await refusal {
      try await place.database.write { connection in
        try AuditLog.record(
          "key.made", on: "key:1", by: author, at: place.time.now, on: connection)
        throw Refusal(.notFound, "gone")
      }
    }
    let kept = try await report()
    #expect(kept.rowCount == 0)
  }

  @Test("a person's words and addresses do not survive, and an address is no author")
  func plain() async throws {
    let now = place.time.now
    try await place.database.write { connection in
      try AuditLog.record(
        "note", on: "user:Ada <ada@example.org>", detail: "sp\u{E4}t/\"x\"\n",
        by: AuditLog.Author(.anonymous(address: "192.0.2.7"), requestID: "r"), at: now,
        on: connection)
    }
    let row = try await place.database.read {
      try AuditLog.entries(below: .max, limit: 1, on: $0)
    }.first
    #expect(row?.actor == "anonymous")
    #expect(row?.subject == "user:Ada _ada_example.org_")
    #expect(row?.detail == "sp__t__x__")
  }
}
