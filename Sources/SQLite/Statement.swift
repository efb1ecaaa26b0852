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
  private let handle: OpaquePointer
  private let database: OpaquePointer
  /// Set by the connection while somebody reads its rows.
  var isRunning = false

  init(_ sql: String, on database: OpaquePointer) throws(SQLiteError) {
    var handle: OpaquePointer?
    let status = sqlite3_prepare_v3(
      database, sql, Int32(sql.utf8.count), UInt32(SQLITE_PREPARE_PERSISTENT), &handle, nil)
    guard status == SQLITE_OK, let handle else {
      throw SQLiteError(
        code: sqlite3_extended_errcode(database),
        message: String(cString: sqlite3_errmsg(database)) + " in: " + sql)
    }
    self.handle = handle
    self.database = database
  }

  deinit { sqlite3_finalize(handle) }

  /// Binds, steps through every row, then always resets and clears.
  func run(_ values: [SQLValue], _ body: (borrowing Row) throws -> Bool) throws {
    defer {
      sqlite3_reset(handle)
      sqlite3_clear_bindings(handle)
    }
    precondition(
      Int(sqlite3_bind_parameter_count(handle)) == values.count,
      "a statement takes \(sqlite3_bind_parameter_count(handle)) values, not \(values.count)")
    for (index, value) in values.enumerated() { try check(bind(value, at: Int32(index + 1))) }
    while true {
      let status = sqlite3_step(handle)
      if status == SQLITE_DONE { return }
      guard status == SQLITE_ROW else { throw failure() }
      if try !body(Row(statement: handle)) { return }
    }
  }

  private func bind(_ value: SQLValue, at index: Int32) -> Int32 {
    switch value {
    case .null: return sqlite3_bind_null(handle, index)
    case .int(let number): return sqlite3_bind_int64(handle, index, number)
    case .real(let number): return sqlite3_bind_double(handle, index, number)
    case .text(var text):
      return text.withUTF8 { utf8 in
        utf8.withMemoryRebound(to: CChar.self) { characters in
          // An empty string has no base address; "" keeps it text and not NULL.
          csqlite_bind_text(handle, index, characters.baseAddress ?? emptyText, Int32(utf8.count))
        }
      }
    case .blob(let bytes):
      return bytes.withUnsafeBytes {
        csqlite_bind_blob(handle, index, $0.baseAddress, Int32($0.count))
      }
    }
  }

  private func check(_ status: Int32) throws(SQLiteError) {
    if status != SQLITE_OK { throw failure() }
  }

  private func failure() -> SQLiteError {
    SQLiteError(
      code: sqlite3_extended_errcode(database),
      message: String(cString: sqlite3_errmsg(database)) + " in: "
        + (sqlite3_sql(handle).map { String(cString: $0) } ?? ""))
  }
}

// One byte that lives as long as the process and is never written: safe from any task.
nonisolated(unsafe) private let emptyText: UnsafePointer<CChar> = {
  let pointer = UnsafeMutablePointer<CChar>.allocate(capacity: 1)
  pointer.initialize(to: 0)
  return UnsafePointer(pointer)
}()
