internal import SQLite

/// Compares the marks of accounts' lists with the transfers that they stand for, while a verification reads these.
///
/// What is read is added up. A mark that differs from that, or whose part began before the first transfer read, is
/// told by a walk of its own part: other marks may have come or gone behind the reader.
struct LedgerMarkWatch: Sendable {
  /// By account, what its transfers since its last mark come to.
  private var changes: [Int64: LedgerChange] = [:]
  /// Movements that one reading walks at most: with its own transfers some ten milliseconds (D9). A mark has about a
  /// thousand, and two transfers of two thousand have marks.
  static let stepsMax: Int64 = 20_000

  /// Accounts whose `changes` may be told from a mark: of the others, part lies before the first transfer read.
  private var begun: Set<Int64> = []
  /// Accounts with a capture of the first version since their last mark: it does not say what it released.
  private var unclear: Set<Int64> = []
  /// By transfer, the marks that are there.
  private var due: [Int64: [LedgerMark]] = [:]
  /// Where the marks ended when the reading began. Later ones may follow on one that was written behind the reader.
  private var end: Int64?
  /// Movements that this reading may still walk.
  private var stepsLeft: Int64 = 0
  /// Whether the reading began after a checkpoint.
  private let isPartial: Bool

  init(isPartial: Bool) { self.isPartial = isPartial }

  /// Reads the marks of the transfers that come next.
  mutating func expect(after sequence: Int64, limit: Int, on connection: Connection) throws {
    stepsLeft = LedgerMarkWatch.stepsMax
    let end = try end ?? LedgerMark.end(on: connection)
    self.end = end
    let marks = try LedgerMark.read(
      after: sequence, to: min(end, sequence + Int64(limit)), on: connection)
    due = Dictionary(grouping: marks, by: \.sequence)
  }

  /// Takes a transfer in.
  ///
  /// - Returns: The accounts that have a mark there which is not what their transfers come to.
  mutating func pass(_ entry: ChainRow, on connection: Connection) throws -> [Int64] {
    for account in [entry.debit, entry.credit] {
      changes[account, default: LedgerChange()].add(entry.change(of: account))
    }
    if entry.kind == "capture", entry.version < 2 { unclear.insert(entry.debit) }
    guard let marks = due[entry.sequence] else { return [] }
    var wrong: [Int64] = []
    for mark in marks where try !accepts(mark, of: entry, on: connection) {
      wrong.append(mark.account)
    }
    return wrong
  }

  /// Whether a mark is right; what follows counts from it.
  private mutating func accepts(
    _ mark: LedgerMark, of entry: ChainRow, on connection: Connection
  ) throws -> Bool {
    let account = mark.account
    guard account == entry.debit || account == entry.credit,
      var change = changes.removeValue(forKey: account)
    else { return false }
    if unclear.remove(account) != nil { change.held = mark.change.held }
    let isWhole = !isPartial || begun.contains(account)
    begun.insert(account)
    if isWhole, change == mark.change { return true }
    return try isBorneOut(mark, on: connection) ?? !isWhole
  }

  /// Whether a mark is what a walk from it to the one before comes to; nil where too few steps are left to tell.
  private mutating func isBorneOut(
    _ mark: LedgerMark, on connection: Connection
  ) throws -> Bool? {
    guard stepsLeft > 0 else { return nil }
    let before = try LedgerMark.newest(of: mark.account, below: mark.sequence, on: connection)
    let fold = try LedgerHistory(account: mark.account, newest: mark.sequence).fold(
      LedgerStretch(newest: mark.sequence, floor: before), LedgerWindow(), stepsLeft + 1,
      on: connection)
    stepsLeft -= fold.count
    return stepsLeft >= 0 ? fold.change == mark.change : nil
  }
}

extension ChainRow {
  /// What it did to one of its accounts, as `LedgerHistory` says it in SQL.
  fileprivate func change(of account: Int64) -> LedgerChange {
    let isDebit = account == debit
    let posted =
      switch kind {
      case "post", "capture", "fee", "refund": isDebit ? -amount : amount
      default: Int64(0)
      }
    let held =
      switch kind {
      case "hold": amount
      case "void", "expire": -amount
      case "capture": -(amount &+ (released ?? 0))
      default: Int64(0)
      }
    return LedgerChange(
      balance: posted, held: isDebit ? held : 0, first: at, last: at,
      kinds: LedgerChange.bit(of: kind))
  }
}
