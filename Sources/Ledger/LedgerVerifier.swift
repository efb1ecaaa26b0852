public import SQLite

/// Recomputes balances, holds and the chain from the transfers and compares (specification core, 2.3).
public enum LedgerVerifier {
  /// Reads the whole ledger in one transaction; time grows with its length. For tests, tools and the start; a
  /// running server goes by `LedgerAuditor`, in pages.
  public static func verify(_ connection: Connection) throws -> LedgerReport {
    try verify(from: nil, connection)
  }

  /// Reads what follows a checkpoint and compares the accounts with the checkpoint's sums and that.
  ///
  /// - Parameter base: Its signature is the caller's to check. Nil reads everything.
  public static func verify(
    from base: LedgerCheckpoint?, _ connection: Connection
  ) throws -> LedgerReport {
    var replay = LedgerReplay(from: base)
    while try !replay.read(limit: 10_000, on: connection) {}
    return try finish(replay, connection).report
  }

  /// Compares the tables with a fold that has reached the end in this same snapshot.
  ///
  /// - Returns: The report, and the digest of the accounts as they are.
  static func finish(
    _ replay: LedgerReplay, _ connection: Connection
  ) throws -> (report: LedgerReport, digest: AccountsDigest) {
    var replay = replay
    try replay.compareOpenHolds(on: connection)
    let digest = try compareAccounts(&replay, connection)
    try comparePending(&replay, connection)
    try compareTables(&replay, connection)
    let report = LedgerReport(
      transferCount: replay.count, sequence: replay.sequence, from: replay.base?.sequence ?? 0,
      faults: replay.faults, wrongMarks: replay.wrongMarks)
    return (report, digest)
  }

  /// I1, I2 and I7 over every account.
  private static func compareAccounts(
    _ replay: inout LedgerReplay, _ connection: Connection
  ) throws -> AccountsDigest {
    var total: Int64 = 0
    var pending: Int64 = 0
    var known: Set<Int64> = []
    var before = AccountsDigest()
    var now = AccountsDigest()
    var different: [Int64] = []
    let accountMax = replay.base?.accountMax ?? 0
    try connection.query(
      """
      SELECT a.id, a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted, a.kind,
      a.owner, a.last_transfer FROM account a ORDER BY a.id
      """
    ) { row in
      let id = row.int(0)
      let sums = LedgerReplay.Sums(
        debitsPending: row.int(1), debitsPosted: row.int(2), creditsPending: row.int(3),
        creditsPosted: row.int(4))
      let start = sums.less(replay.changes[id] ?? LedgerReplay.Sums())
      if id <= accountMax {
        before.add(id, kind: row.text(5), owner: row.blob(6), start)
      } else if start != LedgerReplay.Sums() {
        different.append(id)
      }
      if !replay.isLast(row.optionalInt(7), of: id) {
        replay.fault("I7: account \(id) names another last movement than its own")
      }
      if replay.changes[id] != nil { known.insert(id) }
      now.add(id, kind: row.text(5), owner: row.blob(6), sums)
      total &+= sums.creditsPosted &- sums.debitsPosted
      pending &+= sums.debitsPending &- sums.creditsPending
      return true
    }
    for id in different + replay.changes.keys.filter({ !known.contains($0) }) {
      replay.fault("I7: account \(id) differs from its transfers")
    }
    if let base = replay.base, before.hash != base.accountsHash {
      replay.fault(
        "I7: the accounts differ from checkpoint \(base.sequence) and the transfers after it")
    }
    if total != 0 || pending != 0 { replay.fault("I1: the balances do not sum to zero") }
    try compareBounds(&replay, connection)
    return now
  }

  /// Below zero goes only what the chart of accounts lets: a provider only after a refund.
  private static func compareBounds(
    _ replay: inout LedgerReplay, _ connection: Connection
  ) throws {
    let rows = try connection.rows(
      """
      SELECT id, kind, may_go_negative,
      credits_posted - debits_posted - debits_pending < 0,
      debits_pending < 0 OR credits_pending < 0,
      CASE kind WHEN 'provider_earned' THEN
      EXISTS (SELECT 1 FROM transfer t WHERE t.debit = account.id AND t.kind = 'refund') ELSE 0 END
      FROM account WHERE may_go_negative = 1 OR debits_pending < 0 OR credits_pending < 0
      OR credits_posted - debits_posted - debits_pending < 0
      """
    ) { row in
      (
        id: row.int(0), kind: AccountKind(rawValue: row.text(1)), isFree: row.int(2) == 1,
        isBelow: row.int(3) == 1, isPendingBelow: row.int(4) == 1, isRefunded: row.int(5) == 1
      )
    }
    for row in rows {
      let mayBeFree =
        row.kind?.mayGoNegative == true || (row.kind == .providerEarned && row.isRefunded)
      if (row.isBelow && !row.isFree) || row.isPendingBelow {
        replay.fault("I2: account \(row.id) is below zero")
      }
      if row.isFree, !mayBeFree { replay.fault("I2: account \(row.id) may not go below zero") }
    }
  }

  /// I3: what accounts have pending is what open holds have left.
  private static func comparePending(
    _ replay: inout LedgerReplay, _ connection: Connection
  ) throws {
    for (side, column) in [("debit", "debits_pending"), ("credit", "credits_pending")] {
      // By the index of open holds: the others are many, and a reader must not stay for them (D9).
      let different = try connection.rows(
        """
        SELECT a.id FROM account a LEFT JOIN
        (SELECT t.\(side) AS side, sum(o.amount - o.captured) AS rest
        FROM hold o INDEXED BY hold_due CROSS JOIN transfer t ON t.id = o.id AND t.kind = 'hold'
        WHERE o.state = 'open' GROUP BY t.\(side)) h ON h.side = a.id
        WHERE a.\(column) <> coalesce(h.rest, 0) ORDER BY a.id LIMIT 10
        """
      ) { $0.int(0) }
      for id in different {
        replay.fault("I3: account \(id) has other than its open holds pending")
      }
    }
    let strangers = try connection.rows(
      """
      SELECT hex(o.id) FROM hold o INDEXED BY hold_due WHERE o.state = 'open' AND NOT EXISTS
      (SELECT 1 FROM transfer t WHERE t.id = o.id AND t.kind = 'hold') LIMIT 10
      """
    ) { $0.text(0).lowercased() }
    for id in strangers { replay.fault("I3: open hold \(id) has no transfer") }
  }

  /// What only the whole ledger shows: holds and checkpoints without transfers, ids that failed and succeeded.
  private static func compareTables(
    _ replay: inout LedgerReplay, _ connection: Connection
  ) throws {
    let isWhole = replay.base == nil
    if isWhole {
      let stored = try connection.first("SELECT count(*) FROM hold") { Int($0.int(0)) }
      if stored != replay.holdCount { replay.fault("I3: a hold without its transfer") }
    }
    let both = try connection.first(
      "SELECT count(*) FROM failed_transfer f JOIN transfer t ON t.id = f.id"
    ) { $0.int(0) }
    if both != 0 { replay.fault("I8: an id failed and has an effect") }
    let strangers = try connection.rows(
      """
      SELECT c.seq FROM ledger_checkpoint c LEFT JOIN transfer t ON t.seq = c.seq
      WHERE c.seq >= ? AND (t.row_hash IS NULL OR t.row_hash <> c.row_hash) ORDER BY c.seq LIMIT 10
      """, [.int(replay.base?.sequence ?? 1)]
    ) { $0.int(0) }
    for sequence in strangers {
      replay.fault("I12: checkpoint \(sequence) is not of this chain")
    }
    try compareStrayMarks(&replay, connection)
  }
}

extension LedgerVerifier {
  /// Marks before the first transfer and after the last one.
  fileprivate static func compareStrayMarks(
    _ replay: inout LedgerReplay, _ connection: Connection
  ) throws {
    for (after, last) in [(Int64.min, Int64(0)), (replay.sequence, Int64.max)] {
      for mark in try LedgerMark.read(after: after, to: last, limit: 10, on: connection) {
        replay.wrongMark(
          "account \(mark.account) has a mark at \(mark.sequence), where nothing is")
      }
    }
  }
}

extension LedgerReplay.Sums {
  /// What there was before the changes.
  func less(_ other: LedgerReplay.Sums) -> LedgerReplay.Sums {
    LedgerReplay.Sums(
      debitsPending: debitsPending &- other.debitsPending,
      debitsPosted: debitsPosted &- other.debitsPosted,
      creditsPending: creditsPending &- other.creditsPending,
      creditsPosted: creditsPosted &- other.creditsPosted)
  }
}
