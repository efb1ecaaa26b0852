import Foundation
import Primitives
import SQLite
import Testing
import TestSupport

@Suite("one connection writes, a few read")
struct LaneTests {
  let folder: TemporaryFolder
  let database: Database

  init() throws {
    folder = try TemporaryFolder()
    database = try Database(path: folder.path + "/record.db", migrations: noteMigrations)
  }

  @Test(
    "a reader cannot write",
    arguments: [
      "INSERT INTO note(text) VALUES ('x')", "DELETE FROM note", "CREATE TABLE other(id INTEGER)",
      "DROP TABLE note", "PRAGMA user_version = 5",
    ])
  func readersOnlyRead(sql: String) async throws {
    try await database.write { connection in try connection.note("kept") }
    let error = await #expect(throws: SQLiteError.self) {
      try await database.read { connection in try connection.execute(sql) }
    }
    #expect(error?.primary == 8)
    let notes = try await database.read { connection in try connection.notes() }
    #expect(notes == ["kept"])
  }

  @Test("a read that runs while another commits sees one snapshot")
  func snapshot() async throws {
    let database = self.database
    try await database.write { connection in try connection.note("first") }
    let started = Gate()
    let written = Gate()
    async let counts = database.read { connection -> [Int] in
      let before = try connection.notes().count
      started.open()
      written.wait()
      let after = try connection.notes().count
      return [before, after]
    }
    try await database.write { connection -> Void in
      started.wait()
      try connection.note("second")
    }
    written.open()
    let seen = try await counts
    #expect(seen == [1, 1])
    let fresh = try await database.read { connection in try connection.notes().count }
    #expect(fresh == 2)
  }

  @Test("a reader does not see what is not committed")
  func isolation() async throws {
    let database = self.database
    let inserted = Gate()
    let looked = Gate()
    async let written: Void = database.write { connection -> Void in
      try connection.note("coming")
      inserted.open()
      looked.wait()
    }
    let during = try await database.read { connection -> Int in
      inserted.wait()
      return try connection.notes().count
    }
    looked.open()
    try await written
    let after = try await database.read { connection in try connection.notes().count }
    #expect(during == 0)
    #expect(after == 1)
  }

  @Test("parallel writes run one after the other")
  func writesAreSerial() async throws {
    let database = self.database
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<50 {
        group.addTask {
          try await database.write { connection -> Void in
            let count = try connection.notes().count
            try connection.note("note \(count)")
          }
        }
      }
      try await group.waitForAll()
    }
    let notes = try await database.read { connection in try connection.notes() }
    let expected = (0..<50).map { "note \($0)" }
    #expect(notes == expected)
  }

  @Test("more reads than reading connections all get their answer")
  func readsQueue() async throws {
    let database = self.database
    try await database.write { connection in try connection.note("one") }
    let total = try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<60 {
        group.addTask { try await database.read { connection in try connection.notes().count } }
      }
      var total = 0
      for try await count in group { total += count }
      return total
    }
    #expect(total == 60)
  }

  @Test("a failed read gives its connection back")
  func readsRecover() async throws {
    for _ in 0..<10 {
      await #expect(throws: Stop.self) {
        try await database.read { _ -> Void in throw Stop() }
      }
    }
    let notes = try await database.read { connection in try connection.notes() }
    #expect(notes.isEmpty)
  }

  @Test("a full disk is refused as storage_unavailable and leaves nothing behind")
  func fullDisk() async throws {
    let refusal = await #expect(throws: Refusal.self) {
      try await database.write { connection -> Void in
        // The fewest pages that the file can have: as if the disk ended here.
        try connection.execute("PRAGMA max_page_count = 1")
        try connection.note(String(repeating: "x", count: 1_000_000))
      }
    }
    #expect(refusal?.code == .storageUnavailable)
    #expect(refusal?.retryAfterSeconds != nil)
    let notes = try await database.read { connection in try connection.notes() }
    #expect(notes.isEmpty)
  }

  @Test("what was committed is there after the file is opened again")
  func reopens() async throws {
    let path = folder.path + "/again.db"
    for round in 1...3 {
      let database = try Database(path: path, migrations: noteMigrations)
      try await database.write { connection in try connection.note("round \(round)") }
      let count = try await database.read { connection in try connection.notes().count }
      #expect(count == round)
    }
  }

  @Test("a truncating checkpoint empties the log and loses nothing")
  func checkpoints() async throws {
    for round in 0..<20 {
      try await database.write { connection in try connection.note("note \(round)") }
    }
    let log = URL(fileURLWithPath: folder.path + "/record.db-wal")
    let before = try Data(contentsOf: log)
    try await database.checkpoint(truncate: true)
    let after = try Data(contentsOf: log)
    #expect(!before.isEmpty)
    #expect(after.isEmpty)
    let notes = try await database.read { connection in try connection.notes() }
    #expect(notes.count == 20)
  }

  @Test("the schema cannot be written past SQLite's own statements")
  func distrustsTheSchema() async throws {
    await #expect(throws: SQLiteError.self) {
      try await database.write { connection -> Void in
        try connection.execute("PRAGMA writable_schema = ON")
        try connection.run("UPDATE sqlite_schema SET sql = 'x' WHERE name = 'note'")
      }
    }
    try await database.write { connection in try connection.note("still here") }
  }
}
