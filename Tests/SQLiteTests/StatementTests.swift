import SQLite
import Testing
import TestSupport

@Suite("statements and what goes with a connection")
struct StatementTests {
  let folder: TemporaryFolder
  let database: Database

  init() throws {
    folder = try TemporaryFolder()
    database = try Database(path: folder.path + "/record.db", migrations: noteMigrations)
  }

  @Test("values of every length come back, also where they outgrow the statement's own room")
  func lengths() async throws {
    let echo = "SELECT ?, typeof(?1), ?, typeof(?2), ?, typeof(?3)"
    let found = try await database.read { connection in
      // Up and down again: what a long value leaves behind must not show.
      try [0, 1, 255, 256, 257, 511, 512, 513, 70_000, 513, 512, 3, 0].map { count -> Bool in
        let text = String(repeating: "x", count: count)
        let blob = [UInt8](repeating: UInt8(count % 251), count: count)
        let row = try connection.first(echo, [.text(text), .blob(blob), .null]) { row in
          row.text(0) == text && row.text(1) == "text" && row.blob(2) == blob
            && row.text(3) == "blob" && row.isNull(4)
        }
        return row == true
      }
    }
    #expect(found.allSatisfy { $0 })
  }

  @Test("values that are added one by one are those of a list")
  func binding() async throws {
    let (listed, added) = try await database.write { connection -> (String?, String?) in
      let sql = "INSERT INTO note(id, text) VALUES (?, ?)"
      try connection.run(sql, [.int(1), .text("listed")])
      let count = try connection.run(sql) { values in
        values.add(Int64(2))
        values.add("added")
      }
      #expect(count == 1)
      var texts: [String] = []
      try connection.query(
        "SELECT text FROM note WHERE id >= ? ORDER BY id", binding: { $0.add(1 as Int64?) }
      ) { row in
        texts.append(row.text(0))
        return true
      }
      return (texts.first, texts.last)
    }
    #expect(listed == "listed")
    #expect(added == "added")
  }

  @Test("thousands of texts, made while running, each get their own statement")
  func texts() async throws {
    let wrong = try await database.read { connection in
      // Lengths repeat and buffers are used again, so addresses and lengths alone tell none apart.
      try (0..<3_000).filter { number in
        let sql = "SELECT \(10_000 + number % 700) AS a_name_of_some_length"
        return try connection.first(sql) { Int($0.int(0)) } != 10_000 + number % 700
      }
    }
    #expect(wrong == [])
  }

  @Test("a statement that is being read can be used again inside")
  func nested() async throws {
    let sql = "SELECT value FROM (SELECT 1 AS value UNION SELECT 2) WHERE value >= ? ORDER BY value"
    let pairs = try await database.read { connection -> [(Int64, [Int64])] in
      try connection.rows(sql, [.int(1)]) { outer in
        let first = outer.int(0)
        return (first, try connection.rows(sql, [.int(first)]) { $0.int(0) })
      }
    }
    #expect(pairs.map(\.0) == [1, 2])
    #expect(pairs.map(\.1) == [[1, 2], [2]])
  }

  @Test("the epoch grows with each transaction and each rollback, not with what is kept")
  func epochs() async throws {
    let (start, kept, undone) = try await database.write { connection -> (Int, Int, Int) in
      let start = connection.epoch
      try connection.savepoint { try connection.note("kept") }
      let kept = connection.epoch
      try? connection.savepoint { () -> Void in
        try connection.note("undone")
        throw Stop()
      }
      return (start, kept, connection.epoch)
    }
    #expect(start == kept)
    #expect(undone > kept)
    let next = try await database.write { $0.epoch }
    #expect(next > undone)
  }

  private final class First {}
  private final class Second {}

  @Test("a companion is made once for its class and connection")
  func companions() async throws {
    let same = try await database.write { connection -> Bool in
      let first = connection.companion(First.self) { First() }
      let second = connection.companion(Second.self) { Second() }
      return first === connection.companion(First.self) { First() }
        && second === connection.companion(Second.self) { Second() }
    }
    #expect(same)
  }
}
