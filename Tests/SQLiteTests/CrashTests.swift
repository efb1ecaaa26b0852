import Primitives
import SQLite
import Synchronization
import Testing

/// What writers were told, as they were told it.
private final class Ledgerbook: Sendable {
  private let state = Mutex((tried: Set<String>(), acknowledged: Set<String>()))

  func tried(_ note: String) { state.withLock { _ = $0.tried.insert(note) } }
  func acknowledged(_ note: String) { state.withLock { _ = $0.acknowledged.insert(note) } }
  var all: (tried: Set<String>, acknowledged: Set<String>) { state.withLock { $0 } }
}

// 1. What was acknowledged is there after any crash.
// 2. What was not is there whole or not at all.
// 3. What was undone is never there.
// 4. The file opens and is whole.
@Suite("a crash loses nothing that was acknowledged")
struct CrashTests {
  /// Twelve writes of two notes each and two checkpoints, one after the other.
  /// - Returns: How many writes were acknowledged.
  private func script(_ database: Database) async -> Int {
    var count = 0
    do {
      for number in 0..<12 {
        try await database.write { connection in
          try connection.note("\(number) a" + String(repeating: ".", count: number * 500))
          try connection.note("\(number) b")
        }
        count += 1
        if number == 4 { try await database.checkpoint() }
        if number == 8 { try await database.checkpoint(truncate: true) }
      }
    } catch {
      // The disk went off; what was not acknowledged may or may not be there.
    }
    return count
  }

  @Test("at every single operation of the disk", arguments: Journal.allCases)
  func everyOperation(journal: Journal) async throws {
    var operation: Int64 = 0
    var isThrough = false
    while !isThrough {
      let disk = try CrashDisk(seed: UInt64(operation))
      var acknowledged = 0
      do {
        let database = try disk.database(journal)
        disk.crash(after: operation)
        acknowledged = await script(database)
        isThrough = !disk.isOff
      }
      let database = try disk.database(journal)
      let notes = try await database.read { try $0.notes() }
      let faults = try await database.read { try $0.quickCheck() }
      #expect(faults == [], "crash at operation \(operation)")
      #expect(notes.count % 2 == 0, "crash at operation \(operation)")
      let found = notes.count / 2
      #expect(
        found == acknowledged || found == acknowledged + 1, "crash at operation \(operation)")
      let order = notes.filter { $0.hasSuffix("b") }
      #expect(order == (0..<found).map { "\($0) b" }, "crash at operation \(operation)")
      operation += 1
    }
    #expect(operation > 40, "the script has that many operations in either journal")
  }

  @Test("while a new file is made", arguments: Journal.allCases)
  func opening(journal: Journal) async throws {
    for operation in 0..<60 as Range<Int64> {
      let disk = try CrashDisk(seed: 900 + UInt64(operation))
      let options = try disk.boot(journal)
      disk.crash(after: operation)
      // Either it opens before the crash or it fails; the next start must find its way in any case.
      _ = try? Database(path: "record.db", migrations: noteMigrations, options: options)
      let database = try disk.database(journal)
      try await database.write { try $0.note("first") }
      let notes = try await database.read { try $0.notes() }
      #expect(notes == ["first"], "crash at operation \(operation)")
    }
  }

  @Test(
    "with many writers at a time, again and again",
    arguments: Journal.allCases, 0..<20 as Range<UInt64>)
  func manyWriters(journal: Journal, seed: UInt64) async throws {
    var random = SplitMix64(seed: seed)
    let disk = try CrashDisk(seed: seed)
    let book = Ledgerbook()
    for life in 0..<5 {
      do {
        let options = try disk.boot(journal)
        // Now and then already while the record is being recovered.
        disk.crash(
          after: Bool.random(using: &random)
            ? Int64.random(in: 0..<12, using: &random) : Int64.random(in: 12..<300, using: &random))
        let database = try Database(
          path: "record.db", migrations: noteMigrations, options: options)
        let seeds = (0..<4).map { _ in random.next() }
        await withTaskGroup(of: Void.self) { group in
          for (writer, seed) in seeds.enumerated() {
            group.addTask { await write(database, book, life * 4 + writer, seed) }
          }
        }
      } catch {
        // The disk went off while the file was opened.
      }
      disk.crash()
      try await check(try disk.database(journal), book, "seed \(seed), life \(life)")
    }
  }

  private func write(
    _ database: Database, _ book: Ledgerbook, _ writer: Int, _ seed: UInt64
  ) async {
    var random = SplitMix64(seed: seed)
    for number in 0..<40 {
      let name = "\(writer)-\(number)"
      let length = Int.random(in: 0..<3_000, using: &random)
      let isUndone = Int.random(in: 0..<5, using: &random) == 0
      let isCheckpoint = writer % 4 == 0 && Int.random(in: 0..<8, using: &random) == 0
      do {
        if isCheckpoint { try await database.checkpoint(truncate: Bool.random(using: &random)) }
        if !isUndone { book.tried(name) }
        try await database.write { connection in
          try connection.note(name + " a " + String(repeating: "x", count: length))
          if isUndone { throw Stop() }
          try connection.note(name + " b")
        }
        book.acknowledged(name)
      } catch is Stop {
        // As it should be.
      } catch {
        return
      }
    }
  }

  private func check(_ database: Database, _ book: Ledgerbook, _ place: String) async throws {
    let notes = try await database.read { try $0.notes() }
    let faults = try await database.read { try $0.quickCheck() }
    #expect(faults == [], "\(place)")
    let halves = notes.map { $0.split(separator: " ") }
    let first = Set(halves.filter { $0[1] == "a" }.map { String($0[0]) })
    let second = Set(halves.filter { $0[1] == "b" }.map { String($0[0]) })
    #expect(first == second, "nothing is there by half: \(place)")
    let (tried, acknowledged) = book.all
    #expect(acknowledged.subtracting(first).isEmpty, "nothing acknowledged is lost: \(place)")
    #expect(first.subtracting(tried).isEmpty, "nothing undone is there: \(place)")
  }

  @Test("the disk of these tests does lose what was not synced")
  func theDiskLoses() async throws {
    // Without this the tests above would prove nothing.
    var losses = 0
    for seed in 0..<20 as Range<UInt64> {
      let disk = try CrashDisk(seed: seed)
      let count = 10
      do {
        let connection = try Connection(
          path: "record.db", mode: .writer, vfs: try disk.boot().vfs)
        try connection.execute("CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT)")
        try connection.execute("PRAGMA synchronous = NORMAL")
        for number in 0..<count { try connection.note("\(number)") }
        disk.crash()
      }
      let connection = try Connection(
        path: "record.db", mode: .writer, vfs: try disk.boot().vfs)
      if try connection.notes().count < count { losses += 1 }
    }
    #expect(losses > 5)
  }
}
