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
  /// The disk is full. Where the log's index cannot grow, SQLite names that an I/O error (IOERR_SHMSIZE).
  public var isFull: Bool { primary == 13 || code == 4_874 }
  /// Reading or writing the file failed.
  public var isIO: Bool { primary == 10 }
  /// What the file holds is no database any more, or not a whole one.
  public var isDamage: Bool { primary == 11 || primary == 26 }
  /// Another connection held the file longer than the busy time-out.
  public var isBusy: Bool { primary == 5 }
  /// A write, a sync or a change of length failed, so that nobody knows what the disk holds (D6).
  ///
  /// Failed reads (READ, SHORT_READ, ACCESS, FSTAT), want of memory or locks (NOMEM, LOCK, BLOCKED, RDLOCK,
  /// CHECKRESERVEDLOCK), and a full disk leave it known.
  public var isFatalForWriting: Bool {
    isIO && !isFull && ![266, 522, 3_082, 3_338, 1_802, 3_850, 2_826, 2_314, 3_594].contains(code)
  }
}
