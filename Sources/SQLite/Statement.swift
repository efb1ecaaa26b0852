internal import CSQLite

/// A value bound to a statement or read from a row.
public enum SQLValue: Sendable, Equatable {
  /// SQL NULL.
  case null
  /// A 64-bit integer.
  case int(Int64)
  /// A double.
  case real(Double)
  /// UTF-8 text.
  case text(String)
  /// Bytes.
  case blob([UInt8])

  /// NULL for nil.
  public static func optional(_ value: String?) -> SQLValue { value.map(SQLValue.text) ?? .null }
  /// NULL for nil.
  public static func optional(_ value: Int64?) -> SQLValue { value.map(SQLValue.int) ?? .null }
  /// NULL for nil.
  public static func optional(_ value: [UInt8]?) -> SQLValue { value.map(SQLValue.blob) ?? .null }
}

/// One row while it is being read. It must not outlive the closure it was handed to.
public struct Row: ~Copyable {
  private let statement: OpaquePointer

  init(statement: OpaquePointer) { self.statement = statement }

  /// The integer of a column, counted from 0; 0 for NULL.
  public func int(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

  /// The integer of a column, or nil for NULL.
  public func optionalInt(_ column: Int32) -> Int64? { isNull(column) ? nil : int(column) }

  /// The double of a column.
  public func real(_ column: Int32) -> Double { sqlite3_column_double(statement, column) }

  /// Whether a column is NULL.
  public func isNull(_ column: Int32) -> Bool {
    sqlite3_column_type(statement, column) == SQLITE_NULL
  }

  /// The text of a column; empty for NULL.
  public func text(_ column: Int32) -> String {
    guard let pointer = sqlite3_column_text(statement, column) else { return "" }
    let count = Int(sqlite3_column_bytes(statement, column))
    return String(decoding: UnsafeBufferPointer(start: pointer, count: count), as: UTF8.self)
  }

  /// The text of a column, or nil for NULL.
  public func optionalText(_ column: Int32) -> String? { isNull(column) ? nil : text(column) }

  /// The bytes of a column; empty for NULL.
  public func blob(_ column: Int32) -> [UInt8] {
    guard let pointer = sqlite3_column_blob(statement, column) else { return [] }
    let count = Int(sqlite3_column_bytes(statement, column))
    return Array(UnsafeRawBufferPointer(start: pointer, count: count))
  }

  /// Lends the bytes of a column without copying them.
  public func withBlob<T>(_ column: Int32, _ body: (UnsafeRawBufferPointer) throws -> T) rethrows
    -> T
  {
    let pointer = sqlite3_column_blob(statement, column)
    let count = Int(sqlite3_column_bytes(statement, column))
    return try body(UnsafeRawBufferPointer(start: pointer, count: pointer == nil ? 0 : count))
  }
}

/// A compiled statement of one connection; finalised once, when the cache lets it go.
final class Statement {
  /// Its text, by which it is found again.
  let sql: String
  fileprivate let handle: OpaquePointer
  private let database: OpaquePointer
  private let parameterCount: Int32
  /// Set by the connection while somebody reads its rows.
  var isRunning = false
  /// Whether a value was too large for the arena.
  private var holdsCopies = false
  /// Small texts and blobs, one behind the other: SQLite reads them here and makes no copy of each.
  fileprivate let arena = UnsafeMutableRawPointer.allocate(
    byteCount: Statement.arenaByteCount, alignment: 16)

  fileprivate static let arenaByteCount = 512

  init(_ sql: String, on database: OpaquePointer) throws(SQLiteError) {
    var handle: OpaquePointer?
    let status = sqlite3_prepare_v3(
      database, sql, Int32(sql.utf8.count), UInt32(SQLITE_PREPARE_PERSISTENT), &handle, nil)
    guard status == SQLITE_OK, let handle else {
      arena.deallocate()
      throw SQLiteError(
        code: sqlite3_extended_errcode(database),
        message: String(cString: sqlite3_errmsg(database)) + " in: " + sql)
    }
    self.sql = sql
    self.handle = handle
    self.database = database
    parameterCount = sqlite3_bind_parameter_count(handle)
  }

  deinit {
    sqlite3_finalize(handle)
    arena.deallocate()
  }

  /// Binds, steps through every row until the closure returns false, then always resets.
  func run(_ bind: (inout Bindings) -> Void, _ body: (borrowing Row) throws -> Bool) throws {
    try take(bind)
    defer { reset() }
    while true {
      let status = sqlite3_step(handle)
      if status == SQLITE_DONE { return }
      guard status == SQLITE_ROW else { throw failure() }
      if try !body(Row(statement: handle)) { return }
    }
  }

  /// Binds and steps to the end, whatever rows there are.
  func run(_ bind: (inout Bindings) -> Void) throws(SQLiteError) {
    try take(bind)
    defer { reset() }
    while true {
      let status = sqlite3_step(handle)
      if status == SQLITE_DONE { return }
      guard status == SQLITE_ROW else { throw failure() }
    }
  }

  private func take(_ bind: (inout Bindings) -> Void) throws(SQLiteError) {
    var bindings = Bindings(of: self)
    bind(&bindings)
    holdsCopies = bindings.holdsCopies
    precondition(
      parameterCount == bindings.count,
      "a statement takes \(parameterCount) values, not \(bindings.count)")
    if bindings.status != SQLITE_OK {
      sqlite3_clear_bindings(handle)
      throw failure()
    }
  }

  private func reset() {
    sqlite3_reset(handle)
    // Every value is bound anew before the next step; but what SQLite had to copy may be large.
    if holdsCopies { sqlite3_clear_bindings(handle) }
  }

  private func failure() -> SQLiteError {
    SQLiteError(
      code: sqlite3_extended_errcode(database),
      message: String(cString: sqlite3_errmsg(database)) + " in: " + sql)
  }
}

/// The values of one run of a statement, added in the order of its parameters.
public struct Bindings: ~Copyable {
  // The statement's own, which outlives the closure that this is lent to: without counting references for each value.
  private let handle: OpaquePointer
  private let arena: UnsafeMutableRawPointer
  /// Bytes of the arena that are taken.
  private var used = 0
  /// How many were added.
  fileprivate var count: Int32 = 0
  fileprivate var holdsCopies = false
  /// The first failure, or SQLITE_OK.
  fileprivate var status = SQLITE_OK

  fileprivate init(of statement: Statement) {
    handle = statement.handle
    arena = statement.arena
  }

  /// An integer.
  public mutating func add(_ number: Int64) {
    count += 1
    note(sqlite3_bind_int64(handle, count, number))
  }

  /// An integer, or NULL.
  public mutating func add(_ number: Int64?) {
    guard let number else { return addNull() }
    add(number)
  }

  /// A double.
  public mutating func add(_ number: Double) {
    count += 1
    note(sqlite3_bind_double(handle, count, number))
  }

  /// UTF-8 text.
  public mutating func add(_ text: String) {
    var text = text
    text.withUTF8 { add(UnsafeRawBufferPointer($0), isText: true) }
  }

  /// Bytes.
  public mutating func add(_ bytes: [UInt8]) { bytes.withUnsafeBytes { add($0, isText: false) } }

  /// Bytes, or NULL.
  public mutating func add(_ bytes: [UInt8]?) {
    guard let bytes else { return addNull() }
    add(bytes)
  }

  /// NULL.
  public mutating func addNull() {
    count += 1
    note(sqlite3_bind_null(handle, count))
  }

  /// Any value.
  public mutating func add(_ value: SQLValue) {
    switch value {
    case .null: addNull()
    case .int(let number): add(number)
    case .real(let number): add(number)
    case .text(let text): add(text)
    case .blob(let bytes): add(bytes)
    }
  }

  private mutating func add(_ bytes: UnsafeRawBufferPointer, isText: Bool) {
    count += 1
    guard bytes.count <= Statement.arenaByteCount - used else {
      holdsCopies = true
      return note(
        csqlite_bind_copied(
          handle, count, bytes.baseAddress, Int32(clamping: bytes.count), isText ? 1 : 0))
    }
    // An empty value has an address all the same: for none NULL would be bound.
    let place = arena + used
    if let source = bytes.baseAddress { place.copyMemory(from: source, byteCount: bytes.count) }
    used += bytes.count
    note(csqlite_bind_lent(handle, count, place, Int32(bytes.count), isText ? 1 : 0))
  }

  private mutating func note(_ result: Int32) {
    if result != SQLITE_OK, status == SQLITE_OK { status = result }
  }
}
