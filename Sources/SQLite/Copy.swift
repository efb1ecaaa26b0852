internal import CSQLite
internal import Primitives

/// A copy of a database file in the making (sqlite.org/backup.html).
///
/// The source is the writing connection: what it writes between two steps is copied along, so the copy is the
/// record at the moment of its last step.
final class Copy {
  private let target: OpaquePointer
  private var backup: OpaquePointer?

  init(of source: Connection, to path: String) throws {
    var raw: OpaquePointer?
    let status = sqlite3_open_v2(
      path, &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXRESCODE, nil)
    guard status == SQLITE_OK, let raw else {
      sqlite3_close_v2(raw)
      throw Refusal(.storageUnavailable, "The backup's file cannot be made.")
    }
    target = raw
    backup = sqlite3_backup_init(raw, "main", source.handle, "main")
    if backup == nil { throw Copy.failure(raw) }
  }

  deinit {
    sqlite3_backup_finish(backup)
    sqlite3_close_v2(target)
  }

  /// - Returns: Whether all is copied.
  func step(pageCount: Int32) throws -> Bool {
    let status = sqlite3_backup_step(backup, pageCount)
    switch status {
    case SQLITE_DONE: return true
    case SQLITE_OK, SQLITE_BUSY, SQLITE_LOCKED: return false
    default: throw SQLiteError(code: status, message: "the backup cannot go on")
    }
  }

  /// Closes the copy as one plain file without a log beside it.
  func finish() throws {
    let status = sqlite3_backup_finish(backup)
    backup = nil
    guard status == SQLITE_OK else { throw Copy.failure(target) }
    guard sqlite3_exec(target, "PRAGMA journal_mode = DELETE", nil, nil, nil) == SQLITE_OK else {
      throw Copy.failure(target)
    }
  }

  private static func failure(_ target: OpaquePointer) -> SQLiteError {
    SQLiteError(
      code: sqlite3_extended_errcode(target), message: String(cString: sqlite3_errmsg(target)))
  }
}

@available(*, unavailable)
extension Copy: Sendable {}
