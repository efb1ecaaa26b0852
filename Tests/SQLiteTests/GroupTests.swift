import CCrashDisk
import Primitives
import SQLite
import Testing

@Suite("writes that wait together commit together")
struct GroupTests {
  private let disk: CrashDisk
  private let database: Database

  init() throws {
    disk = try CrashDisk(seed: 1)
    database = try disk.database()
  }

  /// Runs the bodies while a write before them holds the lane, so that they wait together.
  private func together<T: Sendable>(
    _ count: Int, _ body: @escaping @Sendable (Int, Connection) throws -> T
  ) async -> [Result<T, any Error>] {
    let database = self.database
    let gate = Gate()
    let started = Gate()
    async let blocker: Void? = try? database.write { _ in
      started.open()
      gate.wait()
    }
    // A cancelled wait only makes it turn faster.
    while !started.isOpenNow { try? await Task.sleep(for: .milliseconds(1)) }
    let results = await withTaskGroup(of: (Int, Result<T, any Error>).self) { group in
      for number in 0..<count {
        group.addTask {
          do {
            return (number, .success(try await database.write { try body(number, $0) }))
          } catch {
            return (number, .failure(error))
          }
        }
      }
      group.addTask {
        try? await Task.sleep(for: .milliseconds(100))
        gate.open()
        return (-1, .failure(Stop()))
      }
      var results: [(Int, Result<T, any Error>)] = []
      for await result in group where result.0 >= 0 { results.append(result) }
      return results.sorted { $0.0 < $1.0 }.map(\.1)
    }
    _ = await blocker
    return results
  }

  @Test("a hundred that wait need fewer syncs than a hundred")
  func fewerSyncs() async throws {
    let before = (disk.counts, database.figures)
    let results = await together(100) { number, connection in try connection.note("\(number)") }
    let after = (disk.counts, database.figures)
    #expect(results.allSatisfy { (try? $0.get()) != nil })
    #expect(after.1.writes - before.1.writes == 101)
    let commits = after.1.commits - before.1.commits
    #expect(commits < 101)
    // One more where the log begins anew: its header is synced too.
    #expect(after.0.log_syncs - before.0.log_syncs <= commits + 1)
    let notes = try await database.read { try $0.notes() }
    #expect(Set(notes) == Set((0..<100).map(String.init)))
  }

  @Test("a write alone needs exactly one sync with a log, four with a rollback journal")
  func syncsOfOne() async throws {
    for (journal, syncs) in [(Journal.wal, Int64(1)), (.truncate, 4)] {
      let disk = try CrashDisk(seed: 2)
      let database = try disk.database(journal)
      try await database.write { try $0.note("the log has its header now") }
      let before = disk.counts
      for number in 0..<50 { try await database.write { try $0.note("\(number)") } }
      let after = disk.counts
      let count =
        after.log_syncs - before.log_syncs + after.journal_syncs - before.journal_syncs
        + after.main_syncs - before.main_syncs
      #expect(count == 50 * syncs, "\(journal)")
      #expect(database.figures.commits == database.figures.writes)
    }
  }

  @Test("one that fails undoes its own part alone")
  func undoneAlone() async throws {
    let results = await together(40) { number, connection in
      try connection.note("\(number)")
      if number % 2 == 0 { throw Stop() }
    }
    for (number, result) in results.enumerated() {
      switch result {
      case .success: #expect(number % 2 == 1)
      case .failure(let error): #expect(error is Stop && number % 2 == 0)
      }
    }
    let notes = try await database.read { try $0.notes() }
    #expect(Set(notes) == Set(stride(from: 1, to: 40, by: 2).map(String.init)))
  }

  @Test("who fails before any change has nobody run again")
  func early() async throws {
    let runs = Tally()
    let results = await together(30) { number, connection in
      runs.add()
      if number % 3 == 0 { throw Stop() }
      try connection.note("\(number)")
    }
    #expect(runs.value == 30)
    let notes = try await database.read { try $0.notes() }
    #expect(Set(notes) == Set((0..<30).filter { $0 % 3 != 0 }.map(String.init)))
    #expect(results.count { (try? $0.get()) == nil } == 10)
  }

  @Test("who fails after a change has the group run again, and only what counts is told")
  func late() async throws {
    let runs = Tally()
    let results = await together(30) { number, connection -> Int in
      runs.add()
      let count = try connection.notes().count
      try connection.note("\(number)")
      if number == 20 { throw Stop() }
      return count
    }
    // The one that fails is somewhere in the group; each has run once or twice, and it has twice.
    #expect((31...60).contains(runs.value))
    let counts = results.compactMap { try? $0.get() }
    #expect(counts.sorted() == Array(0..<29))
    let notes = try await database.read { try $0.notes() }
    #expect(Set(notes) == Set((0..<30).filter { $0 != 20 }.map(String.init)))
  }

  @Test("where the second run fills the disk, nothing of the group is there")
  func fullAgain() async throws {
    let runs = Tally()
    let results = await together(12) { number, connection in
      let run = runs.add()
      try connection.note("\(number)")
      // The eighth has the group run again; the third of the second run finds no room, and others come after it.
      if run == 8 { throw Stop() }
      if run == 8 + 3 {
        try connection.execute("PRAGMA max_page_count = 1")
        try connection.note(String(repeating: "x", count: 100_000))
      }
    }
    let notes = try await database.read { try $0.notes() }
    for (number, result) in results.enumerated() {
      #expect(notes.contains("\(number)") == ((try? result.get()) != nil), "of \(number)")
    }
    #expect(results.count { (try? $0.get()) == nil } == 8)
  }

  @Test("a table made by one that fails is gone, alone and in a group")
  func schema() async throws {
    for count in [1, 12] {
      let results = await together(count) { number, connection in
        if number == count / 2 {
          try connection.execute("CREATE TABLE extra(id INTEGER PRIMARY KEY) STRICT")
          throw Stop()
        }
        try connection.note("\(count) \(number)")
      }
      #expect(results.count { (try? $0.get()) == nil } == 1)
    }
    let tables = try await database.read { connection in
      try connection.rows("SELECT name FROM sqlite_schema WHERE name = 'extra'") { $0.text(0) }
    }
    #expect(tables == [])
  }

  @Test("a mistake in a statement is its own writer's alone")
  func mistakes() async throws {
    let results = await together(20) { number, connection -> Void in
      try connection.note("same \(number % 10)")
    }
    let failures = results.compactMap { result -> SQLiteError? in
      guard case .failure(let error) = result else { return nil }
      return error as? SQLiteError
    }
    #expect(failures.count == 10)
    let areUnique = failures.allSatisfy { $0.isUnique }
    #expect(areUnique)
  }

  @Test("savepoints inside of grouped writes are undone alone")
  func nested() async throws {
    let results = await together(30) { number, connection -> Void in
      try connection.note("kept \(number)")
      do {
        try connection.savepoint { () -> Void in
          try connection.note("undone \(number)")
          try connection.savepoint { try connection.note("deeper \(number)") }
          throw Stop()
        }
      } catch is Stop {}
    }
    #expect(results.allSatisfy { (try? $0.get()) != nil })
    let notes = try await database.read { try $0.notes() }
    #expect(Set(notes) == Set((0..<30).map { "kept \($0)" }))
  }

  @Test("what a refused write wants remembered stays, in a group and alone")
  func remembered() async throws {
    let results = await together(20) { number, connection -> Void in
      try connection.note("undone \(number)")
      try connection.remember { try $0.note("remembered \(number)") }
      throw Stop()
    }
    #expect(results.allSatisfy { (try? $0.get()) == nil })
    await #expect(throws: Stop.self) {
      try await database.write { connection -> Void in
        try connection.remember { try $0.note("remembered alone") }
        throw Stop()
      }
    }
    let notes = try await database.read { try $0.notes() }
    #expect(Set(notes) == Set((0..<20).map { "remembered \($0)" } + ["remembered alone"]))
  }

  @Test("each sees what those before it wrote, and a reader none of it before the commit")
  func order() async throws {
    let results = await together(50) { _, connection -> Int in
      let count = try connection.notes().count
      try connection.note("note \(count)")
      return count
    }
    let counts = try results.map { try $0.get() }
    #expect(counts.sorted() == Array(0..<50))
  }

  @Test("a commit that fails is everybody's failure, and nothing of it is there")
  func failedCommit() async throws {
    try await database.write { try $0.note("before") }
    let disk = self.disk
    let results = await together(20) { number, connection -> Void in
      disk.fail(CRASH_SYNC_ERROR, times: -1)
      try connection.note("\(number)")
    }
    for result in results {
      guard case .failure(let error) = result else {
        Issue.record("a write was acknowledged although no sync worked")
        continue
      }
      #expect((error as? Refusal)?.code == .storageUnavailable)
    }
    let notes = try await database.read { try $0.notes() }
    #expect(notes == ["before"])
  }

  @Test("more than may wait are refused, the rest are carried out")
  func bounded() async throws {
    let database = self.database
    let gate = Gate()
    let started = Gate()
    async let blocker: Void = database.write { _ in
      started.open()
      gate.wait()
    }
    while !started.isOpenNow { try await Task.sleep(for: .milliseconds(1)) }
    let refused = Tally()
    let total = 1_024 + 76
    let done = await withTaskGroup(of: Bool.self) { group in
      for number in 0..<total {
        group.addTask {
          do {
            try await database.write { try $0.note("\(number)") }
            return true
          } catch {
            if refused.add() == 76 { gate.open() }
            return (error as? Refusal)?.code != .storageUnavailable
          }
        }
      }
      var done = 0
      for await isDone in group where isDone { done += 1 }
      return done
    }
    try await blocker
    #expect(done == 1_024)
    let count = try await database.read { try $0.notes().count }
    #expect(count == 1_024)
  }

  @Test("after finish no write is taken, and the log is empty")
  func finish() async throws {
    let results = await together(10) { number, connection in try connection.note("\(number)") }
    #expect(results.allSatisfy { (try? $0.get()) != nil })
    try await database.finish()
    let refusal = await #expect(throws: Refusal.self) {
      try await database.write { try $0.note("late") }
    }
    #expect(refusal?.code == .shuttingDown)
    let notes = try await database.read { try $0.notes() }
    #expect(notes.count == 10)
  }
}
