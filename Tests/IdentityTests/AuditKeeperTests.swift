import Foundation
import Identity
import Primitives
import SQLite
import Testing
import TestSupport

#if canImport(Glibc)
  import Glibc
#endif

private let unlock = """
  DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;
  DROP TRIGGER audit_checkpoint_no_update; DROP TRIGGER audit_checkpoint_no_delete;
  """

// What whoever can write the record might do after a head was kept of five rows, and what is said of it.
private let forgeries: [(sql: String, fault: String)] = [
  ("DELETE FROM audit WHERE seq = 5", "audit row 5 is gone"),
  ("DELETE FROM audit WHERE seq > 3; DELETE FROM audit_checkpoint", "audit row 5 is gone"),
  ("DELETE FROM audit; DELETE FROM audit_checkpoint", "audit row 5 is gone"),
  ("DELETE FROM audit WHERE seq = 5", "checkpoint 5 is not of this log"),
  ("UPDATE audit SET actor = 'user:other' WHERE seq = 2", "audit row 2 was changed"),
  ("UPDATE audit_checkpoint SET at_ms = at_ms + 1", "signature of audit checkpoint 5 is not ours"),
  (
    "UPDATE audit_checkpoint SET row_hash = zeroblob(32)",
    "signature of audit checkpoint 5 is not ours"
  ),
  ("UPDATE audit SET seq = 0 WHERE seq = 1", "stands before the first"),
]

@Suite("the audit log's end is signed, and known outside of the record")
struct AuditKeeperTests {
  let place: Place
  let keys: KeyRing

  init() throws {
    place = try Place()
    keys = KeyRing(inMemoryAt: place.time.now, random: place.random)
  }

  private var headPath: String { place.folder.path + "/" + AuditHead.fileName }

  private func keeper(_ keys: KeyRing? = nil) -> AuditKeeper {
    AuditKeeper(
      database: place.database, clock: place.time.clock, keys: keys ?? self.keys,
      headPath: headPath)
  }

  private func add(_ count: Int) async throws {
    let now = place.time.now
    try await place.database.write { connection in
      for index in 0..<count {
        try AuditLog.record(
          "key.revoked", on: "key:\(index)", by: .system, at: now, on: connection)
      }
    }
  }

  private func run(_ sql: String) async throws {
    try await place.database.write { connection in try connection.execute(sql) }
  }

  private func checkpoints() async throws -> [Int64] {
    try await place.database.read {
      try $0.rows("SELECT seq FROM audit_checkpoint ORDER BY seq") { $0.int(0) }
    }
  }

  @Test("an empty log is sound and has no head")
  func empty() async throws {
    let report = try await keeper().tend()
    #expect(report.isSound && report.sequence == 0)
    #expect(fileMode(headPath) == nil)
    let none = try await checkpoints()
    #expect(none.isEmpty)
  }

  @Test("a checkpoint and the head are written where there are new rows, for the owner alone")
  func writes() async throws {
    let keeper = keeper()
    try await add(3)
    let first = try await keeper.tend()
    #expect(first.isSound && first.sequence == 3 && first.rowCount == 3)
    #expect(fileMode(headPath) == 0o600)
    let bytes = FileManager.default.contents(atPath: headPath)
    try await keeper.tend()
    #expect(FileManager.default.contents(atPath: headPath) == bytes)
    try await add(2)
    let second = try await keeper.tend()
    #expect(second.isSound && second.sequence == 5 && second.rowCount == 2, "from the checkpoint")
    let all = try await checkpoints()
    #expect(all == [3, 5])
    let whole = try await keeper.audit()
    #expect(whole.isSound && whole.rowCount == 5)
    #expect(keeper.report == whole)
  }

  @Test("a log longer than a page is walked to its end")
  func pages() async throws {
    try await add(4_321)
    let report = try await keeper().audit()
    #expect(report.isSound && report.rowCount == 4_321)
  }

  @Test("what is cut off or changed is found", arguments: forgeries.indices)
  func forged(index: Int) async throws {
    let (sql, fault) = forgeries[index]
    try await add(5)
    try await keeper().tend()
    let head = FileManager.default.contents(atPath: headPath)
    try await run(unlock + sql)
    // A restart knows nothing of before but the files.
    let report = try await keeper().audit()
    #expect(!report.isSound)
    #expect(report.faults.contains { $0.contains(fault) }, "\(sql): \(report.faults)")
    #expect(FileManager.default.contents(atPath: headPath) == head, "it still tells")
  }

  @Test("rows that take the place of those cut off are found, by the short verification too")
  func regrown() async throws {
    try await add(5)
    try await keeper().tend()
    try await run(unlock + "DELETE FROM audit WHERE seq > 3; DELETE FROM audit_checkpoint")
    place.time.move(seconds: 1)
    try await add(9)
    let report = try await keeper().tend()
    #expect(report.faults.contains { $0.contains("audit row 5 is not the one") })
    let left = try await checkpoints()
    #expect(left.isEmpty, "what is not sound is not signed")
  }

  @Test("a head that is gone, forged or another server's is said")
  func heads() async throws {
    try await add(5)
    try await keeper().tend()
    let url = URL(fileURLWithPath: headPath)
    let text = try String(decoding: Data(contentsOf: url), as: UTF8.self)
    for (content, fault) in [
      (text.replacingOccurrences(of: "\"seq\":5", with: "\"seq\":4"), "not written by this server"),
      ("{}", "damaged"),
    ] {
      try Data(content.utf8).write(to: url)
      let report = try await keeper().tend()
      #expect(report.faults.contains { $0.contains(fault) }, "\(report.faults)")
    }
    try FileManager.default.removeItem(at: url)
    let gone = try await keeper().tend()
    #expect(gone.faults.contains { $0.contains("is gone") })
    let other = KeyRing(inMemoryAt: place.time.now, random: .seeded(99))
    let moved = try await keeper(other).tend()
    #expect(moved.isSound, "a server of other keys has never kept a head: \(moved.faults)")
  }

  @Test("a head that others may write is said, and left")
  func openHead() async throws {
    try await add(1)
    try await keeper().tend()
    chmod(headPath, 0o666)
    let report = try await keeper().tend()
    #expect(report.faults.contains { $0.contains("chmod 600") })
    #expect(fileMode(headPath) == 0o666)
  }

  @Test("a rotation of keys starts no alarm, and the removal of the key reads everything again")
  func rotated() async throws {
    try await add(5)
    try await keeper().tend()
    let old = keys.entries[0].id
    try keys.rotate(at: place.time.now)
    place.time.move(milliseconds: KeyRing.noticeMilliseconds)
    try await add(1)
    let next = try await keeper().tend()
    #expect(next.isSound && next.rowCount == 1)
    try keys.remove(old, at: place.time.now)
    let whole = try await keeper().audit()
    #expect(whole.isSound && whole.rowCount == 6)
  }

  @Test("a record that is restored gets a head of its own")
  func restored() async throws {
    try await add(5)
    try await keeper().tend()
    let copy = place.folder.path + "/copy.db"
    try await place.database.backup(to: copy)
    try await add(5)
    try await keeper().tend()
    let record = try Database(path: copy, migrations: Place.migrations)
    let back = AuditKeeper(
      database: record, clock: place.time.clock, keys: keys, headPath: headPath)
    let cut = try await back.tend()
    #expect(cut.faults.contains { $0.contains("audit row 10 is gone") }, "put there by hand")
    let head = try await AuditHead.adopt(
      record, insteadOf: headPath, keys: keys, at: place.time.now)
    try head.write(to: headPath, keys: keys)
    let sound = try await back.audit()
    #expect(sound.isSound && sound.sequence == 6)
    let entry = try await record.read {
      try AuditLog.entries(below: .max, limit: 1, on: $0)
    }
    #expect(entry.first?.action == "record.restored" && entry.first?.detail == "head=10")
  }
}
