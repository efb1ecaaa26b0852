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
  /// - Throws: `MigrationError` where the file has a step that this program does not know, or another text of one.
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
    for step in steps.sorted(by: { $0.name < $1.name }) {
      if let sql = applied[step.name] {
        guard sql == step.sql else { throw MigrationError.changed(name: step.name) }
        continue
      }
      try connection.transaction {
        try connection.execute(step.sql)
        try connection.run(
          "INSERT INTO migration(name, sql) VALUES (?, ?)", [.text(step.name), .text(step.sql)])
      }
    }
  }
}

/// Why a data folder does not fit this program.
public enum MigrationError: Error, Equatable, Sendable {
  /// The file was written by a newer program.
  case unknown(name: String)
  /// A shipped step has another text than the one that was applied.
  case changed(name: String)
}
