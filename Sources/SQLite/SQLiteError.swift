/// What SQLite answered when it did not do as asked. The text is for logs, never for clients.
public struct SQLiteError: Error, Equatable, Sendable {
  /// The extended result code (sqlite.org/rescode.html).
  public let code: Int32
  /// SQLite's own words and the statement.
  public let message: String

  /// Makes an error of a result code.
  public init(code: Int32, message: String) {
    self.code = code
    self.message = message
  }

  /// The primary code.
  public var primary: Int32 { code & 0xFF }
  /// A unique, foreign-key or check constraint said no.
  public var isConstraint: Bool { primary == 19 }
  /// A unique or primary key is taken.
  public var isUnique: Bool { code == 2067 || code == 1555 }
  /// The disk is full.
  public var isFull: Bool { primary == 13 }
  /// Reading or writing the file failed.
  public var isIO: Bool { primary == 10 }
  /// The statement was interrupted on purpose.
  public var isInterrupt: Bool { primary == 9 }
}
