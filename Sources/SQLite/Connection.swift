internal import CSQLite

/// One SQLite connection. It stays with the lane that opened it: not Sendable, on purpose.
public final class Connection {
  private let handle: OpaquePointer
  private var statements: [String: Statement] = [:]
  /// Writes that outlive a rollback, in order; see `remember`.
  private var kept: [(Connection) throws -> Void] = []

  /// How a connection may touch its file.
  public enum Mode: Sendable {
    /// Reads, writes and checkpoints. At most one in the process for a file (notes: the WAL-reset bug).
    case writer
    /// Reads only, never checkpoints.
    case reader
  }

  /// Opens a file; `:memory:` gives a private database.
  ///
  /// The writer gets WAL, `synchronous=FULL`, foreign keys, no automatic checkpoint; every connection
  /// distrusts the schema and refuses dangerous settings (sqlite.org/security.html).
  public init(path: String, mode: Mode) throws(SQLiteError) {
    let access = mode == .writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY
    var raw: OpaquePointer?
    let status = sqlite3_open_v2(
      path, &raw, access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nil)
    guard status == SQLITE_OK, let raw else {
      sqlite3_close_v2(raw)
      throw SQLiteError(code: status, message: "cannot open the database")
    }
    handle = raw
    sqlite3_busy_timeout(handle, 5_000)
    guard csqlite_harden(handle) == SQLITE_OK else {
      throw SQLiteError(code: 1, message: "cannot harden the connection")
    }
    try execute("PRAGMA foreign_keys = ON")
    try execute("PRAGMA mmap_size = 0")
    switch mode {
    case .writer:
      try execute("PRAGMA journal_mode = WAL")
      try execute("PRAGMA synchronous = FULL")
      try execute("PRAGMA wal_autocheckpoint = 0")
      // With it REPLACE fires delete triggers too: append-only tables stay so.
      try execute("PRAGMA recursive_triggers = ON")
    case .reader:
      try execute("PRAGMA query_only = ON")
      csqlite_no_checkpoint_on_close(handle)
    }
  }

  deinit {
    statements.removeAll()
    sqlite3_close_v2(handle)
  }

  /// SQLite's version, such as `3.40.1`.
  public static var version: String { String(cString: sqlite3_libversion()) }

  /// Runs text that may hold several statements and returns nothing.
  public func execute(_ sql: String) throws(SQLiteError) {
    let status = sqlite3_exec(handle, sql, nil, nil, nil)
    guard status == SQLITE_OK else {
      throw SQLiteError(
        code: status, message: String(cString: sqlite3_errmsg(handle)) + " in: " + sql)
    }
  }

  /// Runs one statement, handing each row to the closure until it returns false.
  public func query(
    _ sql: String, _ values: [SQLValue] = [], while body: (borrowing Row) throws -> Bool
  ) throws {
    // Checked out while it runs, so that nested use of the same text gets a statement of its own.
    let statement = try statements.removeValue(forKey: sql) ?? Statement(sql, on: handle)
    defer { if statements.count < 256 { statements[sql] = statement } }
    try statement.run(values, body)
  }

  /// Every row of one statement, as the closure reads it.
  public func rows<T>(
    _ sql: String, _ values: [SQLValue] = [], _ read: (borrowing Row) throws -> T
  ) throws -> [T] {
    var results: [T] = []
    try query(sql, values) { row in
      results.append(try read(row))
      return true
    }
    return results
  }

  /// The first row, or nil where there is none.
  public func first<T>(
    _ sql: String, _ values: [SQLValue] = [], _ read: (borrowing Row) throws -> T
  ) throws -> T? {
    var result: T?
    try query(sql, values) { row in
      result = try read(row)
      return false
    }
    return result
  }

  /// Runs one statement that returns no rows.
  /// - Returns: How many rows it changed.
  @discardableResult
  public func run(_ sql: String, _ values: [SQLValue] = []) throws -> Int {
    try query(sql, values) { _ in true }
    return Int(sqlite3_changes64(handle))
  }

  /// Runs the body in one transaction: all of it or nothing.
  public func transaction<T>(immediate: Bool = true, _ body: () throws -> T) throws -> T {
    kept = []
    try execute(immediate ? "BEGIN IMMEDIATE" : "BEGIN")
    do {
      let result = try body()
      try execute("COMMIT")
      kept = []
      return result
    } catch {
      // After some failures SQLite has rolled back by itself; then there is nothing left to undo.
      if sqlite3_get_autocommit(handle) == 0 { try execute("ROLLBACK") }
      try commitKept(after: error)
      throw error
    }
  }

  /// Runs a write that stands although what it belongs to is undone: at once, and again after each rollback that
  /// takes it away, of a savepoint or of the whole transaction. It must do no harm when it runs twice.
  ///
  /// What was refused for good is remembered so: the refusal undoes its transaction, and must not undo the memory.
  /// Only a failure of the storage itself loses it; then the caller has not heard of the refusal either.
  public func remember(_ write: @escaping (Connection) throws -> Void) throws {
    try write(self)
    kept.append(write)
  }

  private func commitKept(after error: any Error) throws {
    let writes = kept
    kept = []
    if writes.isEmpty || error is SQLiteError { return }
    try transaction { for write in writes { try write(self) } }
  }

  /// Runs the body so that its effect can be undone alone inside a running transaction.
  public func savepoint<T>(_ body: () throws -> T) throws -> T {
    let before = kept.count
    try execute("SAVEPOINT part")
    do {
      let result = try body()
      try execute("RELEASE part")
      return result
    } catch {
      if sqlite3_get_autocommit(handle) == 0 {
        try execute("ROLLBACK TO part; RELEASE part")
        for write in kept.dropFirst(before) { try write(self) }
      }
      throw error
    }
  }

  /// Moves the write-ahead log into the file. Only the writing connection may (WAL-reset bug).
  public func checkpoint(truncate: Bool = false) throws(SQLiteError) {
    let mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE
    let status = sqlite3_wal_checkpoint_v2(handle, nil, mode, nil, nil)
    guard status == SQLITE_OK || status == SQLITE_BUSY else {
      throw SQLiteError(code: status, message: String(cString: sqlite3_errmsg(handle)))
    }
  }

  /// The FTS5 extension's interface, for `Tokenizer`.
  func fts5() -> UnsafeMutablePointer<fts5_api>? { csqlite_fts5(handle) }
}

@available(*, unavailable)
extension Connection: Sendable {}
