internal import CSQLite
internal import Glibc

/// How a writer keeps what a crash must not lose (specification core, D1 and D4).
public enum Journal: String, Sendable, CaseIterable {
  /// A write-ahead log with `synchronous=FULL`: one sync for each commit, readers never wait.
  case wal
  /// A rollback journal with `synchronous=EXTRA`: four syncs for each commit, and readers wait while one is
  /// made. It knows nothing of the WAL-reset bug.
  case truncate

  var pragmas: String {
    switch self {
    case .wal:
      """
      PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
      PRAGMA journal_size_limit = \(WriteLane.logByteCountKept)
      """
    case .truncate: "PRAGMA synchronous = EXTRA"
    }
  }
}

/// One SQLite connection. It stays with the lane that opened it: not Sendable, on purpose.
public final class Connection {
  let handle: OpaquePointer
  private var statements: [String: Statement] = [:]
  /// The statements of late, each in a place that the address of its text gives: nearly all texts are literals, and
  /// hashing one costs more than running a small statement.
  private var recent = [Statement?](repeating: nil, count: Connection.recentCount)
  /// Set once a write or a sync failed: what the file holds on the disk is no longer known (D6).
  private(set) var isBroken = false
  /// Writes that outlive a rollback, in order; see `remember`.
  private var kept: [(Connection) throws -> Void] = []
  private var rememberedChangeCount: Int64 = 0
  /// Texts that were executed, such as a schema's: SQLite counts no rows of theirs.
  private var executionCount: Int64 = 0
  // Given to SQLite for as long as the handle is open, and written by it inside of this connection's own calls.
  private let logPages: UnsafeMutablePointer<Int32> = {
    let pages = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
    pages.initialize(to: 0)
    return pages
  }()
  /// Grows whenever what was read or written before may no longer be so: where a transaction begins and at each
  /// rollback. What is kept with the epoch it was true in is true while the epoch is the same.
  public private(set) var epoch = 0
  private var companions: [(type: ObjectIdentifier, object: AnyObject)] = []

  /// How a connection may touch its file.
  public enum Mode: Sendable {
    /// Reads, writes and checkpoints. At most one in the process for a file (notes: the WAL-reset bug).
    case writer
    /// Reads only, never checkpoints.
    case reader
  }

  /// Settings of the library, made once before the first connection. One that comes too late only costs time.
  private static let isConfigured = csqlite_configure() == SQLITE_OK

  /// Compiled statements that a connection keeps.
  private static let statementsMax = 256
  /// A power of two.
  private static let recentCount = 512
  /// Tries to set the journal, a fiftieth of a second apart.
  private static let journalTries = 100

  /// Opens a file; `:memory:` gives a private database.
  ///
  /// The writer gets the journal's settings, foreign keys, no automatic checkpoint; every connection
  /// distrusts the schema and refuses dangerous settings (sqlite.org/security.html).
  /// - Parameter vfs: Name of a registered VFS in place of the system's.
  public init(
    path: String, mode: Mode, journal: Journal = .wal, vfs: String? = nil
  ) throws(SQLiteError) {
    let access = mode == .writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY
    _ = Connection.isConfigured
    var raw: OpaquePointer?
    let status = sqlite3_open_v2(
      path, &raw, access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs)
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
      try keep(journal)
      try execute(journal.pragmas)
      csqlite_count_log_pages(handle, logPages)
      // The indexes of hashes are written everywhere at once: 16 MiB instead of 2 keep their pages at hand.
      try execute("PRAGMA cache_size = -16384")
      // With it REPLACE fires delete triggers too: append-only tables stay so.
      try execute("PRAGMA recursive_triggers = ON")
      // What is deleted is overwritten: an erased person must not be readable from free pages.
      try execute("PRAGMA secure_delete = ON")
    case .reader:
      try execute("PRAGMA query_only = ON")
      csqlite_no_checkpoint_on_close(handle)
    }
  }

  deinit {
    statements.removeAll()
    recent.removeAll()
    sqlite3_close_v2(handle)
    logPages.deallocate()
  }

  /// SQLite's version, such as `3.40.1`.
  public static var version: String { String(cString: sqlite3_libversion()) }

  /// Whether this SQLite has the WAL-reset bug (3.7.0 to 3.51.2), which one writing connection avoids (D2).
  public static var hasWALResetBug: Bool {
    (3_007_000..<3_051_003).contains(sqlite3_libversion_number())
  }

  /// Runs text that may hold several statements and returns nothing.
  public func execute(_ sql: String) throws(SQLiteError) {
    executionCount += 1
    let status = sqlite3_exec(handle, sql, nil, nil, nil)
    guard status == SQLITE_OK else {
      throw noted(
        SQLiteError(code: status, message: String(cString: sqlite3_errmsg(handle)) + " in: " + sql))
    }
  }

  /// Runs one statement, handing each row to the closure until it returns false.
  public func query(
    _ sql: String, _ values: [SQLValue] = [], while body: (borrowing Row) throws -> Bool
  ) throws {
    try query(sql, binding: { for value in values { $0.add(value) } }, while: body)
  }

  /// The same with values that go straight to the statement: for what runs a hundred thousand times a second, where
  /// an array of values costs as much as the statement.
  public func query(
    _ sql: String, binding: (inout Bindings) -> Void, while body: (borrowing Row) throws -> Bool
  ) throws {
    let statement = try idle(sql)
    statement.isRunning = true
    defer { statement.isRunning = false }
    do {
      try statement.run(binding, body)
    } catch let error as SQLiteError {
      throw noted(error)
    }
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
    try run(sql) { for value in values { $0.add(value) } }
  }

  /// The same with values that go straight to the statement, as in `query`.
  @discardableResult
  public func run(_ sql: String, binding: (inout Bindings) -> Void) throws -> Int {
    let statement = try idle(sql)
    statement.isRunning = true
    defer { statement.isRunning = false }
    do {
      try statement.run(binding)
    } catch {
      throw noted(error)
    }
    return Int(sqlite3_changes64(handle))
  }

  /// Pages of the write-ahead log as of the last commit; of a log that begins anew, those since.
  var logPageCount: Int { Int(logPages.pointee) }

  /// Whether a transaction is open. After some failures SQLite has rolled back by itself.
  var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

  /// Rows that were changed since the connection was opened, without those that `remember` wrote, and texts executed:
  /// while it stays the same there is nothing to undo. It also grows with what was undone since.
  var changeCount: Int64 {
    sqlite3_total_changes64(handle) - rememberedChangeCount + executionCount
  }

  /// Runs the body in one transaction: all of it or nothing.
  public func transaction<T>(immediate: Bool = true, _ body: () throws -> T) throws -> T {
    try begin(immediate: immediate)
    do {
      let result = try body()
      try run("COMMIT")
      return result
    } catch {
      if try undo(after: error) { try run("COMMIT") }
      throw error
    }
  }

  func begin(immediate: Bool = true) throws {
    kept = []
    epoch += 1
    try run(immediate ? "BEGIN IMMEDIATE" : "BEGIN")
  }

  /// Rolls the transaction back. What was to be remembered is written again, in a new one.
  /// - Returns: Whether there was such a thing: then that transaction is open and wants its COMMIT.
  func undo(after error: any Error) throws -> Bool {
    epoch += 1
    if isInTransaction { try run("ROLLBACK") }
    let writes = kept
    if writes.isEmpty || error is SQLiteError || isBroken { return false }
    try begin()
    do {
      for write in writes { try write(self) }
    } catch {
      if isInTransaction { try run("ROLLBACK") }
      throw error
    }
    return true
  }

  /// Runs a write that stands although what it belongs to is undone: at once, and again after each rollback that
  /// takes it away, of a savepoint or of the whole transaction. It must do no harm when it runs twice.
  ///
  /// What was refused for good is remembered so: the refusal undoes its transaction, and must not undo the memory.
  /// Only a failure of the storage itself loses it; then the caller has not heard of the refusal either.
  public func remember(_ write: @escaping (Connection) throws -> Void) throws {
    let before = sqlite3_total_changes64(handle)
    try write(self)
    rememberedChangeCount += sqlite3_total_changes64(handle) - before
    kept.append(write)
  }

  /// Runs the body so that its effect can be undone alone inside a running transaction.
  public func savepoint<T>(_ body: () throws -> T) throws -> T {
    // Outside of a transaction it would be one, and its end a commit.
    guard isInTransaction else {
      throw SQLiteError(code: SQLITE_MISUSE, message: "a savepoint outside of a transaction")
    }
    let before = kept.count
    try run("SAVEPOINT part")
    do {
      let result = try body()
      try run("RELEASE part")
      return result
    } catch {
      epoch += 1
      if isInTransaction {
        try undoPart()
        for write in kept.dropFirst(before) { try write(self) }
      }
      throw error
    }
  }

  /// Where a part cannot be undone alone, all is: what is half undone must not be committed.
  private func undoPart() throws {
    do {
      try run("ROLLBACK TO part")
      try run("RELEASE part")
    } catch {
      if isInTransaction { try run("ROLLBACK") }
      throw error
    }
  }

  /// The one object of a class that goes with this connection, made when it is first asked for.
  public func companion<T: AnyObject>(_ type: T.Type, _ make: () -> T) -> T {
    // Only an object of this very class was ever put beside it.
    for known in companions where known.type == ObjectIdentifier(T.self) {
      return unsafeDowncast(known.object, to: T.self)
    }
    let fresh = make()
    companions.append((ObjectIdentifier(T.self), fresh))
    return fresh
  }

  /// Moves the write-ahead log into the file. Only the writing connection may (WAL-reset bug).
  public func checkpoint(truncate: Bool = false) throws(SQLiteError) {
    let mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE
    let status = sqlite3_wal_checkpoint_v2(handle, nil, mode, nil, nil)
    guard status == SQLITE_OK || status == SQLITE_BUSY else {
      throw noted(SQLiteError(code: status, message: String(cString: sqlite3_errmsg(handle))))
    }
  }

  /// What SQLite finds wrong with the file's pages and indexes; empty for a sound file. Reads all of it.
  public func quickCheck() throws -> [String] {
    try rows("PRAGMA quick_check(20)") { $0.text(0) }.filter { $0 != "ok" }
  }

  /// The FTS5 extension's interface, for `Tokenizer`.
  func fts5() -> UnsafeMutablePointer<fts5_api>? { csqlite_fts5(handle) }

  /// The compiled statement of a text. While it runs, nested use of the same text gets one of its own.
  private func idle(_ sql: String) throws(SQLiteError) -> Statement {
    let place = Connection.place(of: sql)
    if let kept = recent[place], kept.sql == sql, !kept.isRunning { return kept }
    let kept = statements[sql]
    if let kept, !kept.isRunning {
      recent[place] = kept
      return kept
    }
    let fresh = try Statement(sql, on: handle)
    if kept == nil, statements.count < Connection.statementsMax {
      statements[sql] = fresh
      recent[place] = fresh
    }
    return fresh
  }

  /// Where a text is looked for first. A short one has no address that stays: its length serves.
  private static func place(of sql: String) -> Int {
    let count = sql.utf8.count
    guard count > 15 else { return count }
    let address = sql.utf8.withContiguousStorageIfAvailable { UInt(bitPattern: $0.baseAddress) }
    let word = address ?? UInt(count)
    return Int((word >> 4 ^ word >> 13) & UInt(recentCount - 1))
  }

  /// Sets the journal and makes sure of it: the pragma answers with what is in force, and SQLite does not wait by
  /// itself for connections that still close.
  private func keep(_ journal: Journal) throws(SQLiteError) {
    var found: String?
    for _ in 0..<Connection.journalTries {
      do {
        found = try first("PRAGMA journal_mode = \(journal.rawValue)") { $0.text(0) }
        if found == journal.rawValue || found == "memory" { return }
      } catch let error as SQLiteError {
        guard error.isBusy else { throw error }
      } catch {
        throw SQLiteError(code: 1, message: "\(error)")
      }
      usleep(20_000)
    }
    throw SQLiteError(
      code: 5, message: "the journal stays \(found ?? "as it is"), not \(journal.rawValue)")
  }

  /// Takes no more writes: what the connection would do is not what it promises.
  func giveUp() {
    isBroken = true
    csqlite_no_checkpoint_on_close(handle)
  }

  /// Remembers an error after which nothing may be written any more; closing must then not write either.
  private func noted(_ error: SQLiteError) -> SQLiteError {
    if error.isFatalForWriting, !isBroken { giveUp() }
    return error
  }
}

@available(*, unavailable)
extension Connection: Sendable {}
