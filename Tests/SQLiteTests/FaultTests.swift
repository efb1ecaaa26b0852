import CCrashDisk
import Foundation
import Primitives
import SQLite
import Testing
import TestSupport

@Suite("a disk that fails")
struct FaultTests {
  private func refusal(_ database: Database, _ note: String) async -> ProblemCode? {
    do {
      try await database.write { try $0.note(note) }
      return nil
    } catch {
      return (error as? Refusal)?.code ?? .internal
    }
  }

  @Test(
    "a full disk is refused without a trace, and writing goes on once there is room",
    arguments: Journal.allCases)
  func full(journal: Journal) async throws {
    let disk = try CrashDisk(seed: 3)
    let database = try disk.database(journal)
    try await database.write { try $0.note("before") }
    disk.leaveRoom(20_000)
    for _ in 0..<5 {
      let code = await refusal(database, String(repeating: "x", count: 200_000))
      #expect(code == .storageUnavailable)
      let notes = try await database.read { try $0.notes() }
      #expect(notes == ["before"])
    }
    #expect(database.figures.isWritable)
    disk.makeRoom()
    #expect(await refusal(database, "after") == nil)
    disk.crash()
    let again = try disk.database(journal)
    let notes = try await again.read { try $0.notes() }
    let faults = try await again.read { try $0.quickCheck() }
    #expect(notes == ["before", "after"])
    #expect(faults == [])
  }

  @Test(
    "a write that finds no room or is cut short is as if it had not been",
    arguments: Journal.allCases, [CRASH_WRITE_FULL, CRASH_WRITE_SHORT])
  func cutShort(journal: Journal, fault: crash_fault) async throws {
    for place in 0..<6 as Range<Int64> {
      let disk = try CrashDisk(seed: UInt64(place))
      let database = try disk.database(journal)
      try await database.write { try $0.note("before") }
      disk.fail(fault, after: place)
      let first = await refusal(database, "during")
      // Fewer writes than that: nothing failed.
      #expect(first == .storageUnavailable || first == nil)
      disk.fail(fault, times: 0)
      #expect(database.figures.isWritable)
      #expect(await refusal(database, "after") == nil)
      let notes = try await database.read { try $0.notes() }
      #expect(notes == (first == nil ? ["before", "during", "after"] : ["before", "after"]))
      let faults = try await database.read { try $0.quickCheck() }
      #expect(faults == [])
    }
  }

  @Test(
    "a failed write or sync ends all writing until the next start; reads go on",
    arguments: Journal.allCases, [CRASH_WRITE_ERROR, CRASH_SYNC_ERROR])
  func broken(journal: Journal, fault: crash_fault) async throws {
    let disk = try CrashDisk(seed: 4)
    let database = try disk.database(journal)
    try await database.write { try $0.note("before") }
    disk.fail(fault)
    #expect(await refusal(database, "during") == .storageUnavailable)
    #expect(!database.figures.isWritable)
    for _ in 0..<3 {
      #expect(await refusal(database, "after") == .storageUnavailable)
    }
    await #expect(throws: Refusal.self) { try await database.checkpoint(truncate: true) }
    if journal == .wal {
      let notes = try await database.read { try $0.notes() }
      #expect(notes == ["before"])
    }
    let again = try disk.database(journal)
    let notes = try await again.read { try $0.notes() }
    // What was refused may be there: its answer said that nobody knows.
    #expect(notes == ["before"] || notes == ["before", "during"])
    #expect(await refusal(again, "restarted") == nil)
    let faults = try await again.read { try $0.quickCheck() }
    #expect(faults == [])
  }

  @Test("a sync that fails in a checkpoint loses nothing")
  func brokenCheckpoint() async throws {
    let disk = try CrashDisk(seed: 5)
    let database = try disk.database()
    for number in 0..<20 { try await database.write { try $0.note("\(number)") } }
    disk.fail(CRASH_SYNC_ERROR)
    await #expect(throws: Refusal.self) { try await database.checkpoint() }
    #expect(!database.figures.isWritable)
    disk.crash()
    let notes = try await disk.database().read { try $0.notes() }
    #expect(notes == (0..<20).map(String.init))
  }

  @Test("a failed read leaves writing alone")
  func failedRead() async throws {
    let disk = try CrashDisk(seed: 6)
    let database = try disk.database()
    try await database.write { try $0.note("before") }
    try await database.checkpoint(truncate: true)
    disk.fail(CRASH_READ_ERROR, times: 3)
    _ = try? await database.read { try $0.notes() }
    disk.fail(CRASH_READ_ERROR, times: 0)
    #expect(await refusal(database, "after") == nil)
    let notes = try await database.read { try $0.notes() }
    #expect(notes == ["before", "after"])
  }

  @Test("a reader does not wait for a slow sync")
  func slowDisk() async throws {
    let disk = try CrashDisk(seed: 7)
    let database = try disk.database()
    try await database.write { try $0.note("before") }
    disk.slow(milliseconds: 1_000)
    // On a busy machine the reader may not even run within that second: it has five of them. One that waited for
    // syncs would see the note each time.
    var wasFirst = false
    for number in 1...5 where !wasFirst {
      async let write: Void = try await database.write { try $0.note("slow \(number)") }
      try await Task.sleep(for: .milliseconds(100))
      wasFirst = try await database.read { try $0.notes() }.count == number
      try await write
    }
    #expect(wasFirst)
    disk.slow(milliseconds: 0)
  }
}

@Suite("copies of a record")
struct BackupTests {
  let folder: TemporaryFolder
  let database: Database

  init() throws {
    folder = try TemporaryFolder()
    database = try Database(path: folder.path + "/record.db", migrations: noteMigrations)
  }

  private func notes(of path: String) throws -> (notes: [String], faults: [String]) {
    let connection = try Connection(path: path, mode: .reader)
    return (try connection.notes(), try connection.quickCheck())
  }

  @Test("a copy made while others write is whole: a prefix of what was written")
  func underWrites() async throws {
    let database = self.database
    let target = folder.path + "/copy.db"
    let filler = String(repeating: "y", count: 20_000)
    for number in 0..<400 { try await database.write { try $0.note("\(number) " + filler) } }
    async let writing: Void = {
      for number in 400..<600 { try await database.write { try $0.note("\(number) " + filler) } }
    }()
    try await database.backup(to: target)
    try await writing
    let copy = try notes(of: target)
    #expect(copy.faults == [])
    #expect(copy.notes.count >= 400)
    #expect(copy.notes == (0..<copy.notes.count).map { "\($0) " + filler })
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    #expect(!files.contains("copy.db-wal"), "the copy is one plain file")
  }

  @Test("a copy never overwrites, and one that cannot be made leaves no file")
  func refusals() async throws {
    let taken = folder.path + "/taken.db"
    try Data("mine".utf8).write(to: URL(fileURLWithPath: taken))
    let refusal = await #expect(throws: Refusal.self) { try await database.backup(to: taken) }
    #expect(refusal?.code == .validationFailed)
    let left = try Data(contentsOf: URL(fileURLWithPath: taken))
    #expect(left == Data("mine".utf8))
    let nowhere = folder.path + "/no/such/folder.db"
    let other = await #expect(throws: Refusal.self) { try await database.backup(to: nowhere) }
    #expect(other?.code == .storageUnavailable)
    // Another may be made afterwards.
    try await database.backup(to: folder.path + "/good.db")
  }

  @Test("a copy can be copied back and opened in either journal", arguments: Journal.allCases)
  func copiedBack(journal: Journal) async throws {
    try await database.write { try $0.note("kept") }
    try await database.backup(to: folder.path + "/copy.db")
    try Database.copy(folder.path + "/copy.db", to: folder.path + "/restored.db")
    let restored = try Database(
      path: folder.path + "/restored.db", migrations: noteMigrations,
      options: Database.Options(journal: journal))
    try await restored.write { try $0.note("new") }
    let notes = try await restored.read { try $0.notes() }
    #expect(notes == ["kept", "new"])
  }

  @Test("a record changes its journal and keeps its notes")
  func changesJournal() async throws {
    let path = folder.path + "/changing.db"
    for (number, journal) in [Journal.wal, .truncate, .wal, .truncate].enumerated() {
      let database = try Database(
        path: path, migrations: noteMigrations, options: Database.Options(journal: journal))
      try await database.write { try $0.note("\(number)") }
      let notes = try await database.read { try $0.notes() }
      #expect(notes == (0...number).map(String.init))
      let mode = try await database.read { connection throws in
        try connection.first("PRAGMA journal_mode") { $0.text(0) }
      }
      // A reader's own connection says how the file is; without a log it names the default.
      #expect((mode == "wal") == (journal == .wal))
    }
  }

  @Test("figures tell the log's size and how long reads last")
  func figures() async throws {
    try await database.write { try $0.note("one") }
    #expect(database.figures.logByteCount > 0)
    try await database.read { _ in Thread.sleep(forTimeInterval: 0.03) }
    #expect(database.figures.longestReadMicroseconds >= 30_000)
    #expect(database.figures.runningReadMicroseconds == 0)
    try await database.checkpoint(truncate: true)
    #expect(database.figures.logByteCount == 0)
  }
}
