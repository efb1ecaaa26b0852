internal import Primitives
internal import SQLite

/// Which movements are meant; what is not said leaves nothing out.
struct LedgerWindow {
  /// The earliest moment.
  var from = Int64.min
  /// The latest moment, itself included.
  var to = Int64.max
  /// The highest number of the sequence.
  var sequence = Int64.max
  var kinds = LedgerChange.allKinds
}

/// A part of an account's list: from a movement down to the one above `floor`.
struct LedgerStretch {
  let newest: Int64
  let floor: Int64
  /// Whether it ends at a mark; else it is what follows on the newest one.
  var isMarked = true

  /// What is left of it from a number on.
  func below(_ sequence: Int64) -> LedgerStretch {
    LedgerStretch(newest: sequence, floor: floor, isMarked: isMarked)
  }
}

/// The movements of one account, from the newest to the oldest: each names the one before it, so that a page costs
/// what it has in rows and an append costs no index.
///
/// Marks cut the list into stretches, of which is known when their movements were and what they come to. What is above
/// the account's newest mark is a stretch too. A reading walks only those that it needs: the answer is the same
/// without marks.
struct LedgerHistory {
  let account: Int64
  let newest: Int64?

  init(account: Int64, newest: Int64?) {
    self.account = account
    self.newest = newest
  }

  /// Nil for an account that was never used.
  init?(of name: AccountName, on connection: Connection) throws {
    let found = try connection.first(
      "SELECT id, last_transfer FROM account WHERE kind = ? AND owner = ?",
      [.text(name.kind.rawValue), .blob(name.owner)]
    ) { ($0.int(0), $0.optionalInt(1)) }
    guard let (account, newest) = found else { return nil }
    self.init(account: account, newest: newest)
  }

  /// Hands over the stretches that may have movements of the window, the newest first, until the body returns false.
  ///
  /// - Parameter condition: A further one on a mark `m`.
  func stretches(
    _ window: LedgerWindow, where condition: String = "1", on connection: Connection,
    while body: (LedgerStretch) throws -> Bool
  ) throws {
    let marked = try LedgerMark.newest(of: account, on: connection)
    if let newest, newest > marked, window.sequence > marked {
      guard
        try body(
          LedgerStretch(newest: newest, floor: marked, isMarked: false))
      else { return }
    }
    try connection.query(
      """
      SELECT m.seq, coalesce((SELECT max(p.seq) FROM ledger_mark p
      WHERE p.account = ?1 AND p.seq < m.seq), 0) FROM ledger_mark m
      WHERE \(LedgerHistory.reached) AND m.last_ms >= ?4 AND m.kinds & ?5 <> 0 AND \(condition)
      ORDER BY m.seq DESC
      """,
      [
        .int(account), .int(window.sequence), .int(window.to), .int(window.from),
        .int(window.kinds),
      ]
    ) { try body(LedgerStretch(newest: $0.int(0), floor: $0.int(1))) }
  }

  /// The marks `m` of account `?1` up to the first one that covers number `?2`, of stretches that began by moment `?3`.
  private static let reached = """
    m.account = ?1 AND m.seq <= coalesce((SELECT min(n.seq) FROM ledger_mark n
    WHERE n.account = ?1 AND n.seq >= ?2), \(Int64.max)) AND m.first_ms <= ?3
    """
  /// The stretch of a mark `m` ends by both: nothing of it needs to be walked.
  private static let covered = "(m.seq <= ?2 AND m.last_ms <= ?3)"

  /// What movements come to, up to a moment and a number, as far down as so many steps reach.
  ///
  /// - Parameter steps: How many may be walked: at least 1, at most 50,000.
  /// - Returns: What is above the rest, and the rest, whose `newest` may be of other accounts; nil at the end.
  /// - Throws: `Refusal` `storage_unavailable` where they do not even reach a number that is of other accounts.
  func part(
    _ window: LedgerWindow, steps: Int64, on connection: Connection
  ) throws -> (change: LedgerChange, rest: LedgerStretch?) {
    var sum = LedgerChange()
    var rest: LedgerStretch?
    var left = max(1, min(steps, LedgerPage.stepsMax))
    try stretches(window, where: "NOT \(LedgerHistory.covered)", on: connection) { stretch in
      guard left > 0 else {
        rest = stretch
        return false
      }
      guard let start = try start(of: stretch, window, on: connection) else { return true }
      let fold = try fold(stretch.below(start), window, left, on: connection)
      left -= fold.count
      sum.add(fold.change)
      let next = LedgerWindow(sequence: fold.oldest - 1)
      guard left <= 0, try self.start(of: stretch, next, on: connection) != nil else { return true }
      guard next.sequence <= window.sequence else { throw LedgerHistory.tooFar }
      rest = stretch.below(next.sequence)
      return false
    }
    sum.add(try marked(window, above: rest?.newest ?? 0, on: connection))
    return (sum, rest)
  }

  /// What the stretches come to that end within a window and above a number.
  private func marked(
    _ window: LedgerWindow, above sequence: Int64, on connection: Connection
  ) throws -> LedgerChange {
    try connection.first(
      """
      SELECT coalesce(sum(m.balance_change), 0), coalesce(sum(m.held_change), 0) FROM ledger_mark m
      WHERE m.account = ?1 AND \(LedgerHistory.covered) AND m.seq > ?4
      """, [.int(account), .int(window.sequence), .int(window.to), .int(sequence)]
    ) { LedgerChange(balance: $0.int(0), held: $0.int(1)) } ?? LedgerChange()
  }

  static let tooFar = Refusal(
    .storageUnavailable,
    "So long a history is not prepared for reading yet: try again in a minute.",
    retryAfterSeconds: 60)

  /// What the movements of a stretch, whose `newest` is one of the account's, come to that are in a window by time and number, and how many were walked down
  /// to which one.
  func fold(
    _ stretch: LedgerStretch, _ window: LedgerWindow, _ limit: Int64, on connection: Connection
  ) throws -> (change: LedgerChange, count: Int64, oldest: Int64) {
    let inside = "t.at_ms <= ?5 AND t.seq <= ?6"
    let found = try connection.first(
      """
      \(LedgerHistory.walk) SELECT count(*), min(w.seq),
      coalesce(sum(iif(\(inside), \(LedgerHistory.balanceChange), 0)), 0),
      coalesce(sum(iif(\(inside), \(LedgerHistory.heldChange), 0)), 0),
      min(t.at_ms), max(t.at_ms), sum(DISTINCT \(LedgerHistory.kindBit)) \(LedgerHistory.rows)
      """,
      [
        .int(account), .int(stretch.newest), .int(stretch.floor), .int(limit), .int(window.to),
        .int(window.sequence),
      ]
    ) { row in
      (
        change: LedgerChange(
          balance: row.int(2), held: row.int(3), first: row.int(4), last: row.int(5),
          kinds: row.int(6)), count: row.int(0), oldest: row.int(1)
      )
    }
    guard let found, found.count > 0 else {
      throw SQLiteError(code: 11, message: "an account names a movement that is not there")
    }
    return found
  }

  /// Where a walk of a stretch begins: one that ended before goes on where it ended, without reading what lies above.
  /// Nil where nothing of the stretch is left.
  func start(
    of stretch: LedgerStretch, _ window: LedgerWindow, on connection: Connection
  ) throws -> Int64? {
    guard window.sequence < stretch.newest else { return stretch.newest }
    let own = try connection.first(
      """
      SELECT iif(debit = ?1, debit_before, credit_before) FROM transfer
      WHERE seq = ?2 AND (debit = ?1 OR credit = ?1)
      """, [.int(account), .int(window.sequence + 1)]
    ) { $0.optionalInt(0) }
    // The number may be of other accounts.
    guard let before = own else { return stretch.newest }
    return before.flatMap { $0 > stretch.floor ? $0 : nil }
  }
}

/// The SQL of a walk.
extension LedgerHistory {
  /// The movements of account `?1` from `?2` down to the one above `?3`, at most `?4`, as `walk(seq, before, step)`.
  static let walk = """
    WITH RECURSIVE walk(seq, before, step) AS (
    SELECT t.seq, iif(t.debit = ?1, t.debit_before, t.credit_before), 1 FROM transfer t
    WHERE t.seq = ?2
    UNION ALL SELECT t.seq, iif(t.debit = ?1, t.debit_before, t.credit_before), w.step + 1
    FROM walk w CROSS JOIN transfer t ON t.seq = w.before WHERE w.before > ?3 LIMIT ?4)
    """

  /// The walk's transfers, as `t`.
  static let rows = "FROM walk w CROSS JOIN transfer t ON t.seq = w.seq"

  /// The bit of a transfer's kind.
  static let kindBit =
    "CASE t.kind "
    + LedgerFilter.kinds.map { "WHEN '\($0)' THEN \(LedgerChange.bit(of: $0)) " }.joined() + "END"

  /// What a transfer `t` did to the balance of account `?1`.
  static let balanceChange = """
    CASE WHEN t.kind NOT IN ('post','capture','fee','refund') THEN 0
    WHEN t.debit = ?1 THEN -t.amount ELSE t.amount END
    """

  /// What it did to what the account has held. Only who pays has units held. A capture of the first version does
  /// not say what it released: its hold does, where it was the last one.
  static let heldChange = """
    CASE WHEN t.debit <> ?1 THEN 0 WHEN t.kind = 'hold' THEN t.amount
    WHEN t.kind IN ('void','expire') THEN -t.amount
    WHEN t.kind = 'capture' THEN -t.amount - CASE WHEN t.version > 1 THEN coalesce(t.released, 0)
    WHEN EXISTS (SELECT 1 FROM transfer n
    WHERE n.hold_id = t.hold_id AND n.seq > t.seq AND n.kind <> 'hold') THEN 0
    ELSE (SELECT CASE h.state WHEN 'captured' THEN h.amount - h.captured ELSE 0 END
    FROM hold h WHERE h.id = t.hold_id) END ELSE 0 END
    """
}
