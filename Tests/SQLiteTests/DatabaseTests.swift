import SQLite
import Testing
import TestSupport

/// One row with a column of every kind.
private struct Kinds: Equatable, Sendable {
  let integer: Int64
  let real: Double
  let text: String
  let blob: [UInt8]
}

private let kinds: [Kinds] = [
  Kinds(integer: 0, real: 0, text: "", blob: []),
  Kinds(integer: .max, real: .pi, text: "caf\u{E9} \u{1F600}", blob: [0, 1, 255]),
  Kinds(integer: .min, real: -1e300, text: "with\u{0}zero", blob: [0]),
  Kinds(integer: -1, real: .leastNonzeroMagnitude, text: "'; DROP TABLE note; --", blob: [39, 59]),
]

@Suite("a database keeps what was committed")
struct DatabaseTests {
  let folder: TemporaryFolder
  let database: Database

  init() throws {
    folder = try TemporaryFolder()
    database = try Database(path: folder.path + "/record.db", migrations: noteMigrations)
  }

  @Test("a value of every kind reads back as it was written", arguments: kinds.indices)
  func kindsReadBack(index: Int) async throws {
    let row = kinds[index]
    let inserted = try await database.write { connection -> Int in
      try connection.execute("CREATE TABLE kind(i INTEGER, r REAL, t TEXT, b BLOB, n TEXT) STRICT")
      return try connection.run(
        "INSERT INTO kind VALUES (?, ?, ?, ?, ?)",
        [.int(row.integer), .real(row.real), .text(row.text), .blob(row.blob), .null])
    }
    #expect(inserted == 1)
    let found = try await database.read { connection -> Kinds? in
      try connection.first("SELECT i, r, t, b FROM kind") { row -> Kinds in
        Kinds(integer: row.int(0), real: row.real(1), text: row.text(2), blob: row.blob(3))
      }
    }
    #expect(found == row)
    let nulls = try await database.read { connection -> [Bool]? in
      try connection.first("SELECT i, r, t, b, n FROM kind") { row -> [Bool] in
        [row.isNull(0), row.isNull(1), row.isNull(2), row.isNull(3), row.isNull(4)]
      }
    }
    #expect(nulls == [false, false, false, false, true])
  }

  @Test("NULL reads as nil where it is asked for, as empty where it is not")
  func nullsRead() async throws {
    let values: [SQLValue] = [.optional(nil as String?), .optional("a")]
    let answers = try await database.read { connection -> [Bool]? in
      try connection.first("SELECT NULL, ?, ?", values) { row -> [Bool] in
        let integer: Int64? = row.optionalInt(0)
        let text: String? = row.optionalText(1)
        let other: String? = row.optionalText(2)
        return [
          integer == nil, text == nil, other == "a", row.int(0) == 0, row.text(0).isEmpty,
          row.blob(0).isEmpty,
        ]
      }
    }
    #expect(answers == [true, true, true, true, true, true])
  }

  @Test("a blob is lent with all its bytes")
  func lentBlob() async throws {
    let bytes = (0..<1_000).map { UInt8(truncatingIfNeeded: $0) }
    let expected = bytes.reduce(0) { $0 + Int($1) }
    let sum = try await database.read { connection -> Int? in
      try connection.first("SELECT ?", [.blob(bytes)]) { row -> Int in
        row.withBlob(0) { buffer -> Int in buffer.reduce(0) { $0 + Int($1) } }
      }
    }
    #expect(sum == expected)
  }

  @Test("a failed write leaves nothing behind")
  func rollback() async throws {
    try await database.write { connection in try connection.note("kept") }
    await #expect(throws: Stop.self) {
      try await database.write { connection -> Void in
        try connection.note("one")
        try connection.execute("CREATE TABLE other(id INTEGER) STRICT")
        throw Stop()
      }
    }
    let notes = try await database.read { connection in try connection.notes() }
    #expect(notes == ["kept"])
    let tables = try await database.read { connection throws in
      try connection.rows("SELECT name FROM sqlite_schema WHERE name = 'other'") { $0.text(0) }
    }
    #expect(tables.isEmpty)
  }

  @Test("after a failed write the next one works")
  func worksAfterRollback() async throws {
    for round in 0..<5 {
      await #expect(throws: SQLiteError.self) {
        try await database.write { connection -> Void in
          try connection.note("lost \(round)")
          try connection.execute("no statement at all")
        }
      }
      try await database.write { connection in try connection.note("kept \(round)") }
    }
    let notes = try await database.read { connection in try connection.notes() }
    let expected = (0..<5).map { "kept \($0)" }
    #expect(notes == expected)
  }

  @Test("a savepoint is undone alone")
  func savepoint() async throws {
    try await database.write { connection -> Void in
      try connection.note("before")
      do {
        try connection.savepoint { () -> Void in
          try connection.note("inside")
          throw Stop()
        }
      } catch is Stop {
        try connection.note("instead")
      }
      try connection.savepoint { try connection.note("second") }
    }
    let notes = try await database.read { connection in try connection.notes() }
    #expect(notes == ["before", "instead", "second"])
  }

  @Test("an inner savepoint is undone without its outer one")
  func nestedSavepoints() async throws {
    try await database.write { connection -> Void in
      try connection.savepoint { () -> Void in
        try connection.note("outer")
        do {
          try connection.savepoint { () -> Void in
            try connection.note("inner")
            throw Stop()
          }
        } catch is Stop {}
      }
    }
    let notes = try await database.read { connection in try connection.notes() }
    #expect(notes == ["outer"])
  }

  @Test("a unique value that is taken is a constraint error")
  func constraints() async throws {
    try await database.write { connection in try connection.note("one") }
    let error = await #expect(throws: SQLiteError.self) {
      try await database.write { connection in try connection.note("one") }
    }
    #expect(error?.isConstraint == true)
    #expect(error?.isUnique == true)
    #expect(error?.isFull == false)
    #expect(error?.isIO == false)
  }

  @Test("foreign keys are held")
  func foreignKeys() async throws {
    let error = await #expect(throws: SQLiteError.self) {
      try await database.write { connection -> Void in
        try connection.execute(
          "CREATE TABLE mark(note_id INTEGER NOT NULL REFERENCES note(id)) STRICT")
        try connection.run("INSERT INTO mark(note_id) VALUES (?)", [.int(99)])
      }
    }
    #expect(error?.isConstraint == true)
    #expect(error?.isUnique == false)
  }

  @Test("the first row ends the query, and the same text runs again")
  func statementsAreReused() async throws {
    let sums = try await database.read { connection -> [Int64] in
      let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
      let first = try connection.first(sql) { $0.int(0) }
      var seen: [Int64] = []
      try connection.query(sql) { row -> Bool in
        seen.append(row.int(0))
        // The same text inside itself gets a statement of its own.
        let inner = try connection.first(sql) { $0.int(0) }
        return inner == 1 && seen.count < 3
      }
      return [first ?? -1] + seen
    }
    #expect(sums == [1, 1, 2, 3])
  }

  @Test("a statement that is given another number of values ends the process")
  func countsValues() async {
    await #expect(processExitsWith: .failure) {
      let connection = try Connection(path: ":memory:", mode: .writer)
      try connection.run("SELECT ?", [])
    }
  }
}
