import Foundation
import SQLite
import Testing
import TestSupport

private let first = Migration(
  name: "m0001-create-note.sql",
  sql: "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;")
private let second = Migration(
  name: "m0002-add-note.sql", sql: "INSERT INTO note(text) VALUES ('from the step');")
private let third = Migration(
  name: "m0003-add-mark.sql",
  sql: "ALTER TABLE note ADD COLUMN mark INTEGER NOT NULL DEFAULT 7;")

@Suite("a file is brought to the newest step, forward only")
struct MigrationTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private var path: String { folder.path + "/record.db" }

  /// Opens the file with these steps and closes it again.
  private func openAndClose(_ steps: [Migration]) throws {
    _ = try Database(path: path, migrations: steps)
  }

  @Test("a step is applied once, however often the file is opened")
  func once() async throws {
    for _ in 0..<3 { try openAndClose([first, second]) }
    let database = try Database(path: path, migrations: [first, second])
    let notes = try await database.read { connection in try connection.notes() }
    #expect(notes == ["from the step"])
  }

  @Test("steps are applied in the order of their names")
  func order() async throws {
    let database = try Database(path: path, migrations: [third, second, first])
    let marks = try await database.read { connection throws in
      try connection.rows("SELECT mark FROM note") { $0.int(0) }
    }
    #expect(marks == [7])
  }

  @Test("a file of an older program gets the new steps and keeps its data")
  func upgrade() async throws {
    do {
      let old = try Database(path: path, migrations: [first])
      try await old.write { connection in try connection.note("older") }
    }
    let database = try Database(path: path, migrations: [first, second, third])
    let notes = try await database.read { connection in try connection.notes() }
    #expect(notes == ["older", "from the step"])
  }

  @Test("a step whose text was changed is refused")
  func changed() throws {
    try openAndClose([first, second])
    let edited = Migration(name: second.name, sql: second.sql + " ")
    #expect(throws: MigrationError.changed(name: second.name)) {
      try openAndClose([first, edited])
    }
    try openAndClose([first, second])
  }

  @Test("a file with a step that this program does not know is refused")
  func unknown() throws {
    try openAndClose([first, second])
    #expect(throws: MigrationError.unknown(name: second.name)) { try openAndClose([first]) }
    #expect(throws: MigrationError.unknown(name: first.name)) { try openAndClose([]) }
  }

  @Test("a step that fails is undone whole, and the steps before it stay")
  func failure() async throws {
    let broken = Migration(
      name: "m0002-broken.sql",
      sql: "INSERT INTO note(text) VALUES ('half'); INSERT INTO nowhere VALUES (1);")
    #expect(throws: SQLiteError.self) { try openAndClose([first, broken]) }
    let repaired = Migration(
      name: "m0002-broken.sql", sql: "INSERT INTO note(text) VALUES ('whole');")
    let database = try Database(path: path, migrations: [first, repaired])
    let notes = try await database.read { connection in try connection.notes() }
    #expect(notes == ["whole"])
  }

  @Test(
    "a step may make a table anew that others refer to, but leave no row without what it refers to")
  func references() async throws {
    let child = Migration(
      name: "m0002-create-child.sql",
      sql: """
        CREATE TABLE child(note INTEGER NOT NULL REFERENCES note(id)) STRICT;
        INSERT INTO note VALUES (1, 'kept'); INSERT INTO child VALUES (1);
        """)
    let anew = Migration(
      name: "m0003-note-anew.sql",
      sql: """
        CREATE TABLE fresh(id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
        INSERT INTO fresh SELECT id, text FROM note;
        DROP TABLE note; ALTER TABLE fresh RENAME TO note;
        """)
    let orphan = Migration(name: "m0004-orphan.sql", sql: "DELETE FROM note;")
    try openAndClose([first, child, anew])
    #expect(throws: MigrationError.orphans(name: orphan.name, table: "child")) {
      try openAndClose([first, child, anew, orphan])
    }
    let database = try Database(path: path, migrations: [first, child, anew])
    let notes = try await database.read { connection in try connection.notes() }
    #expect(notes == ["kept"])
    await #expect(throws: SQLiteError.self) {
      try await database.write { connection in try connection.run("DELETE FROM note") }
    }
  }

  @Test("a file that is no database is refused and left as it was")
  func noDatabase() throws {
    let bytes = Array(String(repeating: "this is no database. ", count: 100).utf8)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    #expect(throws: SQLiteError.self) { try openAndClose([first]) }
    let left = try Data(contentsOf: URL(fileURLWithPath: path))
    #expect(left == Data(bytes))
  }
}
