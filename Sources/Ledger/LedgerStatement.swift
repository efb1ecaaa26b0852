public import Primitives
public import SQLite

/// Which movements of an account are meant.
public struct LedgerFilter: Sendable {
  /// Only from this moment on.
  public var from: Timestamp?
  /// Only before this moment.
  public var to: Timestamp?
  /// Only of this kind: `post, hold, capture, void, expire, fee` or `refund`.
  public var kind: String?

  /// The kinds of transfers.
  public static let kinds = ["post", "hold", "capture", "void", "expire", "fee", "refund"]

  /// Everything, or a period, or a kind.
  public init(from: Timestamp? = nil, to: Timestamp? = nil, kind: String? = nil) {
    self.from = from
    self.to = to
    self.kind = kind
  }
}

/// When a balance is asked for.
public enum LedgerMoment: Sendable, Equatable {
  /// What happened up to and with a moment, also where it was written a little later: a session that ends while the
  /// server is down settles as of its end.
  case time(Timestamp)
  /// After a transfer of the ledger's sequence: this never changes.
  case sequence(Int64)
}

/// A period of an account: what it had, what moved, what it has.
public struct LedgerStatement: Sendable {
  /// Movements that a statement may have; more are refused.
  public static let entryCountMax = 10_000

  /// From when on.
  public let from: Timestamp
  /// Up to when, exclusive.
  public let to: Timestamp
  /// At the beginning.
  public let opening: Balance
  /// At the end.
  public let closing: Balance
  /// In the order of the ledger's sequence.
  public let entries: [LedgerEntry]
}

/// Movements of an account, newest first.
public struct LedgerPage: Sendable {
  /// Movements that one reading walks at most: some tens of milliseconds, so that the log can be reset (D9).
  public static let stepsMax: Int64 = 50_000
  /// Readings that one question takes at most: a million movements, about a second.
  public static let readsMax = 20

  /// At most as many as were asked for; fewer, or none, where those that fit lie far apart.
  public fileprivate(set) var entries: [LedgerEntry] = []
  /// The number below which the next page is; nil where this is the last one.
  public fileprivate(set) var next: Int64?
  /// Whether it ended among marks, where it ended for its steps.
  fileprivate(set) var isAmongMarks = true
}

extension LedgerStore {
  /// Movements of an account, newest first, below a sequence number, at most so many.
  ///
  /// - Parameters:
  ///   - limit: At least 1.
  ///   - steps: Movements that may be walked in search of them, at most 50,000; past these the page ends, and `next`
  ///     says where.
  /// - Throws: `Refusal` `storage_unavailable` where they do not even reach a number that is of other accounts.
  public static func page(
    of name: AccountName, below sequence: Int64 = Int64.max, filter: LedgerFilter = LedgerFilter(),
    limit: Int, steps: Int64 = LedgerPage.stepsMax, on connection: Connection
  ) throws -> LedgerPage {
    var page = LedgerPage()
    guard sequence > 1, let history = try LedgerHistory(of: name, on: connection) else {
      return page
    }
    var left = min(steps, LedgerPage.stepsMax)
    let window = filter.window(below: sequence)
    try history.stretches(window, on: connection) { stretch in
      guard let start = try history.start(of: stretch, window, on: connection) else { return true }
      let walked = try history.read(
        stretch.below(start), window, left, on: connection
      ) { entry in
        guard page.entries.count < limit else {
          page.next = page.entries.last?.sequence
          return false
        }
        page.entries.append(entry)
        return true
      }
      left -= walked.count
      guard page.next == nil, left <= 0, !walked.isEnd else { return page.next == nil }
      // Only a number of other accounts' can be below all that was walked.
      guard walked.oldest <= window.sequence else { throw LedgerHistory.tooFar }
      page.next = walked.oldest
      page.isAmongMarks = stretch.isMarked
      return false
    }
    return page
  }

  /// What an account had at a moment, whatever the order in which moments stand in the sequence.
  ///
  /// - Parameter steps: Movements that may be walked, 1 to 50,000.
  /// - Throws: `Refusal` where more must be walked: `storage_unavailable` where the marks are not written yet, else
  ///   `validation_failed`.
  public static func balance(
    _ name: AccountName, at moment: LedgerMoment, steps: Int64 = LedgerPage.stepsMax,
    on connection: Connection
  ) throws -> Balance {
    try LedgerPast(of: name, moment.window).answer(steps: steps, on: connection)
  }

  /// The same in several reads where one does not do: in an hour after which many sessions of the hour before were
  /// settled, the movements of a busy account are not in the order of their moments.
  ///
  /// - Parameters:
  ///   - steps: Movements that each may walk, 1 to 50,000.
  ///   - reads: At most so many.
  public static func balance(
    _ name: AccountName, at moment: LedgerMoment, steps: Int64 = LedgerPage.stepsMax,
    reads: Int = LedgerPage.readsMax, in database: Database
  ) async throws -> Balance {
    try await LedgerPast(of: name, moment.window).answer(steps: steps, reads: reads, in: database)
  }

  /// The statement of an account for a period.
  ///
  /// - Parameter steps: Movements that may be walked, for the movements and again for the opening, 1 to 50,000 each.
  /// - Throws: `Refusal` `validation_failed` where the period is empty or has more than 10,000 movements; else as
  ///   `balance`.
  public static func statement(
    of name: AccountName, from: Timestamp, to: Timestamp, steps: Int64 = LedgerPage.stepsMax,
    on connection: Connection
  ) throws -> LedgerStatement {
    try LedgerPeriod(of: name, from: from, to: to).answer(steps: steps, on: connection)
  }

  /// The same in several reads where one does not do, of the movements that there are when the first one begins.
  public static func statement(
    of name: AccountName, from: Timestamp, to: Timestamp, steps: Int64 = LedgerPage.stepsMax,
    reads: Int = LedgerPage.readsMax, in database: Database
  ) async throws -> LedgerStatement {
    try await LedgerPeriod(of: name, from: from, to: to).answer(
      steps: steps, reads: reads, in: database)
  }
}

extension LedgerMoment {
  fileprivate var window: LedgerWindow {
    switch self {
    case .time(let time): LedgerWindow(to: time.milliseconds)
    case .sequence(let sequence): LedgerWindow(sequence: sequence)
    }
  }
}

extension LedgerFilter {
  fileprivate func window(below sequence: Int64) -> LedgerWindow {
    LedgerWindow(
      from: from?.milliseconds ?? Int64.min, to: to.map { $0.milliseconds - 1 } ?? Int64.max,
      sequence: sequence - 1, kinds: kind.map(LedgerChange.bit(of:)) ?? LedgerChange.allKinds)
  }
}

extension LedgerHistory {
  /// Hands over the movements of a stretch that are in a window, the newest first, until the body returns false.
  ///
  /// - Returns: How many were walked, the oldest of them, and whether the account has none before it.
  fileprivate func read(
    _ stretch: LedgerStretch, _ window: LedgerWindow, _ limit: Int64, on connection: Connection,
    while body: (LedgerEntry) throws -> Bool
  ) throws -> (count: Int64, oldest: Int64, isEnd: Bool) {
    var walked: (count: Int64, oldest: Int64, isEnd: Bool) = (0, 0, false)
    // The last one of a walk is read in any case: it tells how far it went.
    try connection.query(
      """
      \(LedgerHistory.walk) SELECT t.seq, t.id, t.kind, iif(t.debit = ?1, -t.amount, t.amount),
      t.reason, t.at_ms, \(LedgerHistory.balanceChange), \(LedgerHistory.heldChange),
      (SELECT a.kind FROM account a WHERE a.id = iif(t.debit = ?1, t.credit, t.debit)),
      t.hold_id, t.refers_to, w.step, w.before,
      t.seq <= ?5 AND t.at_ms <= ?6 AND t.at_ms >= ?7 AND \(LedgerHistory.kindBit) & ?8 <> 0
      AS is_meant \(LedgerHistory.rows)
      WHERE is_meant OR coalesce(w.before, 0) <= ?3 OR w.step = ?4
      """,
      [
        .int(account), .int(stretch.newest), .int(stretch.floor), .int(limit),
        .int(window.sequence), .int(window.to), .int(window.from), .int(window.kinds),
      ]
    ) { row in
      walked = (row.int(11), row.int(0), row.isNull(12))
      guard row.int(13) == 1 else { return true }
      return try body(LedgerEntry(row))
    }
    return walked
  }
}

extension LedgerEntry {
  fileprivate init(_ row: borrowing Row) {
    self.init(
      sequence: row.int(0), id: ID(bytes: row.blob(1)) ?? ID(high: 0, low: 0), kind: row.text(2),
      amount: Microtokens(row.int(3)), reason: row.text(4),
      at: Timestamp(milliseconds: row.int(5)), balanceChange: Microtokens(row.int(6)),
      heldChange: Microtokens(row.int(7)),
      counterparty: AccountKind(rawValue: row.text(8)) ?? .externalPayments,
      holdID: ID(bytes: row.blob(9)), refersTo: ID(bytes: row.blob(10)))
  }
}
