public import SQLite

/// Writes the marks of accounts' lists behind the ledger, so that the past of a busy account is read as fast as that
/// of a quiet one, and no hold pays for it.
///
/// Both accounts of every so many transfers get a mark. So an account has one for every so many of its own movements,
/// however busy it is, nothing is counted or remembered between two runs, and the whole takes two rows for a thousand
/// transfers.
public struct LedgerMarker: Sendable {
  /// How often `tend` is to be called where it has come to the end.
  public static let everySeconds = 5
  /// Transfers from one mark to the next: a prime, so that no rhythm of the ledger (hold, capture, fee) passes an
  /// account by.
  public static let everyTransfers: Int64 = 1_009
  /// Marked transfers that are written in one commit.
  static let batchCount: Int64 = 32
  /// Marks that are deleted in one commit: a few milliseconds of the writing lane.
  static let deletedCount: Int64 = 2_000

  private let database: Database
  private let stride: Int64
  private let pageCount: Int64

  /// - Parameters:
  ///   - everyTransfers: From one mark to the next, at least 1. Marks of another distance stay good.
  ///   - pageCount: Movements read in one transaction, at least 1: a few milliseconds, so that the log can be reset
  ///     (D9).
  public init(
    database: Database, everyTransfers: Int64 = LedgerMarker.everyTransfers,
    pageCount: Int64 = 10_000
  ) {
    precondition(everyTransfers > 0 && pageCount > 0, "marks have a distance, pages a length")
    self.database = database
    stride = everyTransfers
    self.pageCount = pageCount
  }

  /// Marks what is new, at most 32 transfers. It reads each of their accounts' movements once, in short reads, and
  /// writes once.
  ///
  /// - Returns: Whether the end of the ledger is reached.
  public func tend() async throws -> Bool {
    let (end, newest) = try await database.read { connection in
      (
        try LedgerMark.end(on: connection),
        try connection.first("SELECT max(seq) FROM transfer") { $0.int(0) } ?? 0
      )
    }
    let places = (1...LedgerMarker.batchCount).map { (end / stride + $0) * stride }
    var marks: [LedgerMark] = []
    for place in places where place <= newest {
      marks += try await self.marks(at: place, after: marks)
      try Task.checkCancellation()
    }
    guard !marks.isEmpty else { return true }
    let isWritten = try await database.write { [marks] connection in
      // All were deleted meanwhile: what was read follows on marks that are gone.
      guard try LedgerMark.end(on: connection) == end else { return false }
      for mark in marks { try mark.insert(on: connection) }
      return true
    }
    return isWritten && places.last.map { $0 + stride > newest } ?? true
  }

  /// `tend` to the end: for commands and tests, which read next.
  public func catchUp() async throws {
    while try await !tend() {}
  }

  /// Deletes every mark, so that `tend` writes them again: the answer to a wrong one.
  ///
  /// The newest go first, so that those that are left at any time say what they said.
  public func deleteAll() async throws {
    var isDone = false
    while !isDone {
      isDone = try await database.write { connection in
        try connection.run(
          """
          DELETE FROM ledger_mark WHERE seq >= (SELECT min(newest.seq) FROM
          (SELECT seq FROM ledger_mark ORDER BY seq DESC LIMIT ?) newest)
          """, [.int(LedgerMarker.deletedCount)])
        return try connection.first("SELECT 1 FROM ledger_mark LIMIT 1") { _ in true } == nil
      }
      try Task.checkCancellation()
    }
  }

  /// The marks of both accounts of a transfer.
  ///
  /// - Parameter unwritten: Those of the same commit, which no reader sees yet.
  private func marks(at place: Int64, after unwritten: [LedgerMark]) async throws -> [LedgerMark] {
    let found = try await database.read { connection in
      try connection.first("SELECT debit, credit FROM transfer WHERE seq = ?", [.int(place)]) {
        [$0.int(0), $0.int(1)]
      }
    }
    // A ledger with a gap is not sound, which the verification says.
    guard let accounts = found else { return [] }
    var marks: [LedgerMark] = []
    for account in accounts {
      let before = unwritten.last { $0.account == account }?.sequence
      marks.append(try await mark(of: account, at: place, after: before))
    }
    return marks
  }

  /// Transfers never change, so that a list may be walked in several reads.
  private func mark(
    of account: Int64, at place: Int64, after before: Int64?
  ) async throws -> LedgerMark {
    let history = LedgerHistory(account: account, newest: place)
    var change = LedgerChange()
    var rest: LedgerStretch? = LedgerStretch(newest: place, floor: before ?? 0)
    while let part = rest {
      let page = try await database.read { connection in
        let floor = try before ?? LedgerMark.newest(of: account, below: place, on: connection)
        let stretch = LedgerStretch(newest: part.newest, floor: floor)
        let fold = try history.fold(stretch, LedgerWindow(), pageCount, on: connection)
        let start = try history.start(
          of: stretch, LedgerWindow(sequence: fold.oldest - 1), on: connection)
        return (change: fold.change, rest: start.map { LedgerStretch(newest: $0, floor: floor) })
      }
      change.add(page.change)
      rest = page.rest
    }
    return LedgerMark(account: account, sequence: place, change: change)
  }
}
