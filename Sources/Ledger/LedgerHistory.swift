internal import SQLite

/// The movements of one account, from the newest to the oldest: each names the one before it, so that a page costs
/// what it has in rows and an append costs no index.
struct LedgerHistory {
  let account: Int64
  let newest: Int64?

  /// Nil for an account that was never used.
  init?(of name: AccountName, on connection: Connection) throws {
    let found = try connection.first(
      "SELECT id, last_transfer FROM account WHERE kind = ? AND owner = ?",
      [.text(name.kind.rawValue), .blob(name.owner)]
    ) { ($0.int(0), $0.optionalInt(1)) }
    guard let (account, newest) = found else { return nil }
    self.account = account
    self.newest = newest
  }

  /// The newest movement below a sequence number, or a newer one where the number is not a movement's own: one page
  /// begins where the last one ended, without reading what lies above.
  func start(below sequence: Int64, on connection: Connection) throws -> Int64? {
    let before = try connection.first(
      """
      SELECT iif(debit = ?1, debit_before, credit_before) FROM transfer
      WHERE seq = ?2 AND (debit = ?1 OR credit = ?1)
      """, [.int(account), .int(sequence)]
    ) { $0.optionalInt(0) }
    return before ?? newest
  }

  /// The movements of account `?1` from `?2` down, as `walk(seq, before)`.
  static let walk = """
    WITH RECURSIVE walk(seq, before) AS (
    SELECT t.seq, iif(t.debit = ?1, t.debit_before, t.credit_before) FROM transfer t WHERE t.seq = ?2
    UNION ALL SELECT t.seq, iif(t.debit = ?1, t.debit_before, t.credit_before)
    FROM walk w CROSS JOIN transfer t ON t.seq = w.before)
    """

  /// The walk's transfers, as `t`.
  static let rows = "FROM walk w CROSS JOIN transfer t ON t.seq = w.seq"

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
