public import SQLite

/// Recomputes balances, holds and the chain from the transfers and compares (specification core, 2.3).
public enum LedgerVerifier {
  private struct Sums: Equatable {
    var debitsPending: Int64 = 0
    var debitsPosted: Int64 = 0
    var creditsPending: Int64 = 0
    var creditsPosted: Int64 = 0
  }

  private struct Replay {
    var accounts: [Int64: Sums] = [:]
    var holds:
      [[UInt8]: (amount: Int64, captured: Int64, debit: Int64, credit: Int64, ending: String?)] =
        [:]
    var captures: [[UInt8]: Int64] = [:]
    var faults: [String] = []
  }

  /// Reads the whole ledger; time and memory grow with its length.
  public static func verify(_ connection: Connection) throws -> LedgerReport {
    var replay = Replay()
    var previous = [UInt8](repeating: 0, count: 32)
    var count = 0
    try connection.query(
      """
      SELECT t.seq, t.id, t.kind, t.debit, t.credit, t.amount, t.hold_id, t.refers_to, t.reason,
      t.at_ms, t.prev_hash, t.row_hash, h.state FROM transfer t LEFT JOIN hold h ON h.id = t.hold_id
      ORDER BY t.seq
      """
    ) { row in
      count += 1
      let entry = ChainRow(
        sequence: row.int(0), id: row.blob(1), kind: row.text(2), debit: row.int(3),
        credit: row.int(4), amount: row.int(5), holdID: row.isNull(6) ? nil : row.blob(6),
        refersTo: row.isNull(7) ? nil : row.blob(7), reason: row.text(8), at: row.int(9))
      if entry.sequence != Int64(count) {
        replay.faults.append("I12: gap before \(entry.sequence)")
      }
      if row.blob(10) != previous || row.blob(11) != entry.hash(after: previous) {
        replay.faults.append("I12: the chain breaks at \(entry.sequence)")
      }
      previous = row.blob(11)
      apply(entry, to: &replay)
      return true
    }
    try compareHolds(&replay, connection)
    try compareAccounts(&replay, connection)
    return LedgerReport(transferCount: count, faults: Array(replay.faults.prefix(100)))
  }

  private static func apply(_ entry: ChainRow, to replay: inout Replay) {
    switch entry.kind {
    case "post", "fee", "refund":
      replay.accounts[entry.debit, default: Sums()].debitsPosted += entry.amount
      replay.accounts[entry.credit, default: Sums()].creditsPosted += entry.amount
      if entry.kind == "fee" { replay.captures[entry.id] = entry.amount }
      if entry.kind == "refund", let capture = entry.refersTo {
        replay.captures[capture, default: 0] -= entry.amount
        if replay.captures[capture, default: 0] < 0 {
          replay.faults.append("I6: refunds exceed their capture at \(entry.sequence)")
        }
      }
    case "hold":
      replay.accounts[entry.debit, default: Sums()].debitsPending += entry.amount
      replay.accounts[entry.credit, default: Sums()].creditsPending += entry.amount
      replay.holds[entry.holdID ?? []] = (entry.amount, 0, entry.debit, entry.credit, nil)
    case "capture", "void", "expire": resolve(entry, &replay)
    default: replay.faults.append("unknown kind at \(entry.sequence)")
    }
  }

  private static func resolve(_ entry: ChainRow, _ replay: inout Replay) {
    guard let id = entry.holdID, var hold = replay.holds[id], hold.ending == nil else {
      replay.faults.append("I4: no open hold at \(entry.sequence)")
      return
    }
    replay.accounts[entry.debit, default: Sums()].debitsPending -= entry.amount
    replay.accounts[entry.credit, default: Sums()].creditsPending -= entry.amount
    if entry.kind == "capture" {
      hold.captured += entry.amount
      replay.captures[entry.id] = entry.amount
      replay.accounts[entry.debit, default: Sums()].debitsPosted += entry.amount
      replay.accounts[entry.credit, default: Sums()].creditsPosted += entry.amount
      if hold.captured > hold.amount {
        replay.faults.append("I5: over-captured at \(entry.sequence)")
      }
    } else {
      hold.ending = entry.kind
    }
    replay.holds[id] = hold
  }

  /// A capture that closes a hold releases its rest without a row of its own; the hold's state tells which did.
  private static func compareHolds(_ replay: inout Replay, _ connection: Connection) throws {
    let stored = try connection.rows("SELECT id, amount, captured, state FROM hold") {
      ($0.blob(0), $0.int(1), $0.int(2), $0.text(3))
    }
    if stored.count != replay.holds.count {
      replay.faults.append("I3: a hold without its transfer")
    }
    for (id, amount, captured, state) in stored {
      guard let hold = replay.holds[id], hold.amount == amount, hold.captured == captured else {
        replay.faults.append("I3: a hold differs from its transfers")
        continue
      }
      let rest = hold.amount - hold.captured
      if !allowedStates(hold.ending, captured: hold.captured, rest: rest).contains(state) {
        replay.faults.append("I4: the state of a hold differs from its transfers")
      }
      if state == "captured", hold.ending == nil, rest > 0 {
        replay.accounts[hold.debit, default: Sums()].debitsPending -= rest
        replay.accounts[hold.credit, default: Sums()].creditsPending -= rest
      }
    }
  }

  /// The states that a hold's transfers allow: only a part-captured one may be open or closed.
  private static func allowedStates(_ ending: String?, captured: Int64, rest: Int64) -> [String] {
    switch ending {
    case "expire": ["expired"]
    case "void": [captured > 0 ? "captured" : "voided"]
    default: captured == 0 ? ["open"] : rest == 0 ? ["captured"] : ["open", "captured"]
    }
  }

  private static func compareAccounts(_ replay: inout Replay, _ connection: Connection) throws {
    var total: Int64 = 0
    var pending: Int64 = 0
    try connection.query(
      """
      SELECT id, debits_pending, debits_posted, credits_pending, credits_posted, may_go_negative
      FROM account
      """
    ) { row in
      let sums = Sums(
        debitsPending: row.int(1), debitsPosted: row.int(2), creditsPending: row.int(3),
        creditsPosted: row.int(4))
      if sums != replay.accounts[row.int(0), default: Sums()] {
        replay.faults.append("I7: account \(row.int(0)) differs from its transfers")
      }
      let balance = sums.creditsPosted - sums.debitsPosted
      if row.int(5) == 0, balance - sums.debitsPending < 0 {
        replay.faults.append("I2: account \(row.int(0)) is below zero")
      }
      total += balance
      pending += sums.debitsPending - sums.creditsPending
      return true
    }
    if total != 0 || pending != 0 { replay.faults.append("I1: the balances do not sum to zero") }
  }
}
