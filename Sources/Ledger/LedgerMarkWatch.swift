internal import SQLite

/// Compares the marks of accounts' lists with the transfers that they stand for, while a verification reads these.
struct LedgerMarkWatch: Sendable {
  /// By account, what its transfers since its last mark come to.
  private var changes: [Int64: LedgerChange] = [:]
  /// Accounts whose `changes` may be told from a mark: of the others, part lies before the first transfer read.
  private var begun: Set<Int64> = []
  /// Accounts with a capture of the first version since their last mark: it does not say what it released.
  private var unclear: Set<Int64> = []
  /// By transfer, the marks that are there.
  private var due: [Int64: [LedgerMark]] = [:]
  /// Where the marks ended when the reading began. Later ones may follow on one that was written behind the reader.
  private var end: Int64?
  /// Whether the reading began after a checkpoint.
  private let isPartial: Bool

  init(isPartial: Bool) { self.isPartial = isPartial }

  /// Reads the marks of the transfers that come next.
  mutating func expect(after sequence: Int64, limit: Int, on connection: Connection) throws {
    let end = try end ?? LedgerMark.end(on: connection)
    self.end = end
    let marks = try LedgerMark.read(
      after: sequence, to: min(end, sequence + Int64(limit)), on: connection)
    due = Dictionary(grouping: marks, by: \.sequence)
  }

  /// Takes a transfer in.
  ///
  /// - Returns: The accounts that have a mark there which is not what their transfers come to.
  mutating func pass(_ entry: ChainRow) -> [Int64] {
    for account in [entry.debit, entry.credit] {
      changes[account, default: LedgerChange()].add(entry.change(of: account))
    }
    if entry.kind == "capture", entry.version < 2 { unclear.insert(entry.debit) }
    guard let marks = due[entry.sequence] else { return [] }
    var wrong: [Int64] = []
    for mark in marks where !accepts(mark, of: entry) { wrong.append(mark.account) }
    return wrong
  }

  /// Whether a mark is right; what follows counts from it.
  private mutating func accepts(_ mark: LedgerMark, of entry: ChainRow) -> Bool {
    let account = mark.account
    guard account == entry.debit || account == entry.credit,
      var change = changes.removeValue(forKey: account)
    else { return false }
    if unclear.remove(account) != nil { change.held = mark.change.held }
    let isWhole = !isPartial || begun.contains(account)
    begun.insert(account)
    return !isWhole || change == mark.change
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
