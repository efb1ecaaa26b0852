/// One numbered, forward-only step of a schema. A shipped step is never edited.
public struct Migration: Sendable {
  /// The file's name, `m0001-create-provider.sql`; the order of names is the order of steps.
  public let name: String
  /// Its statements.
  public let sql: String

  /// A step.
  public init(name: String, sql: String) {
    self.name = name
    self.sql = sql
  }

  /// Applies every step that the file does not have yet, each in a transaction of its own.
  ///
  /// Foreign keys are not enforced while steps run, so that a table can be made anew under its name
  /// (sqlite.org/lang_altertable.html, section 7); each step is checked for all of them before it commits.
  /// - Throws: `MigrationError` where the file has a step that this program does not know, or another text of one,
  ///   or where a step leaves a row without what it refers to.
  static func apply(_ steps: [Migration], to connection: Connection) throws {
    try connection.execute(
      "CREATE TABLE IF NOT EXISTS migration(name TEXT PRIMARY KEY, sql TEXT NOT NULL) STRICT")
    let applied = Dictionary(
      uniqueKeysWithValues: try connection.rows("SELECT name, sql FROM migration") {
        ($0.text(0), $0.text(1))
      })
    let known = Set(steps.map(\.name))
    if let stranger = applied.keys.sorted().first(where: { !known.contains($0) }) {
      throw MigrationError.unknown(name: stranger)
    }
    let sorted = steps.sorted { $0.name < $1.name }
    for step in sorted {
      guard let sql = applied[step.name] else { continue }
      guard sql == step.sql else { throw MigrationError.changed(name: step.name) }
    }
    let missing = sorted.filter { applied[$0.name] == nil }
    if missing.isEmpty { return }
    try connection.execute("PRAGMA foreign_keys = OFF")
    defer {
      // It fails in a transaction only, and none is open here; a connection without it must not be used.
      do { try connection.execute("PRAGMA foreign_keys = ON") } catch { connection.giveUp() }
    }
    for step in missing { try step.apply(to: connection) }
  }

  private func apply(to connection: Connection) throws {
    try connection.transaction {
      try connection.execute(sql)
      let orphans = try connection.rows("PRAGMA foreign_key_check") { $0.text(0) }
      guard orphans.isEmpty else { throw MigrationError.orphans(name: name, table: orphans[0]) }
      try connection.run(
        "INSERT INTO migration(name, sql) VALUES (?, ?)", [.text(name), .text(sql)])
    }
  }
}

/// Why a data folder does not fit this program.
public enum MigrationError: Error, Equatable, Sendable {
  /// The file was written by a newer program.
  case unknown(name: String)
  /// A shipped step has another text than the one that was applied.
  case changed(name: String)
  /// A step leaves rows of a table that refer to rows which are not there.
  case orphans(name: String, table: String)
}
