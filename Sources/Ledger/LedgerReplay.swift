internal import Primitives
public import SQLite

/// The transfers folded in their order, from the first one or from a checkpoint on: what accounts and holds should
/// be by the chain alone.
///
/// Memory grows with accounts and open holds, not with the ledger's length. A fold may be read in pages, so that no
/// reader stays long (D9); only the last page is compared with the tables, in one snapshot.
public struct LedgerReplay: Sendable {
  struct Sums: Equatable, Sendable {
    var debitsPending: Int64 = 0
    var debitsPosted: Int64 = 0
    var creditsPending: Int64 = 0
    var creditsPosted: Int64 = 0
  }

  struct OpenHold: Sendable {
    let amount: Int64
    let debit: Int64
    let credit: Int64
    /// Nil for a hold of the first version, whose terms the chain does not cover.
    let expiresAt: Int64?
    let reference: [UInt8]?
    var captured: Int64 = 0
    /// Whether its last row is a capture of the first version, which does not say whether it closes.
    var isUnclear = false

    var rest: Int64 { amount - captured }
  }

  static let faultsMax = 100

  /// The last transfer read.
  public private(set) var sequence: Int64 = 0
  /// Transfers read.
  public private(set) var count = 0
  /// What does not hold, as far as it was read; at most 100.
  public private(set) var faults: [String] = []
  /// Marks that are not what their transfers come to, as far as it was read; at most 100.
  public private(set) var wrongMarks: [String] = []
  let base: LedgerCheckpoint?
  private(set) var rowHash = [UInt8](repeating: 0, count: 32)
  /// By account, what the rows read have changed.
  private(set) var changes: [Int64: Sums] = [:]
  /// By account, its last movement of the rows read.
  private(set) var newest: [Int64: Int64] = [:]
  private(set) var holds: [[UInt8]: OpenHold] = [:]
  private(set) var holdCount = 0
  /// What the rows since the last `check` have changed.
  private var touched: (accounts: Set<Int64>, holds: Set<[UInt8]>) = ([], [])
  /// Holds from before the base that were resolved since.
  private var resolved: Set<[UInt8]> = []
  private var marks: LedgerMarkWatch

  /// A fold from the first transfer on, or after a checkpoint whose signature was verified.
  public init(from base: LedgerCheckpoint? = nil) {
    self.base = base
    marks = LedgerMarkWatch(isPartial: base != nil)
    if let base {
      sequence = base.sequence
      rowHash = base.rowHash
    }
  }

  mutating func fault(_ text: String) {
    if faults.count < LedgerReplay.faultsMax { faults.append(text) }
  }

  /// A mark moves no unit and is written again: it says nothing against the ledger.
  mutating func wrongMark(_ text: String) {
    if wrongMarks.count < LedgerReplay.faultsMax { wrongMarks.append(text) }
  }

  /// Reads on, at most so many rows.
  ///
  /// - Returns: Whether the end of the ledger is reached.
  public mutating func read(limit: Int, on connection: Connection) throws -> Bool {
    var rowCount = 0
    try marks.expect(after: sequence, limit: limit, on: connection)
    try connection.query(
      """
      SELECT \(ChainRow.columns), t.prev_hash, t.row_hash, t.debit_before, t.credit_before
      FROM transfer t WHERE t.seq > ?
      ORDER BY t.seq LIMIT ?
      """, [.int(sequence), .int(Int64(limit))]
    ) { row in
      rowCount += 1
      let entry = ChainRow.read(row)
      let hashes = (row.blob(ChainRow.columnCount), row.blob(ChainRow.columnCount + 1))
      if entry.sequence != sequence + 1 { fault("I12: gap before \(entry.sequence)") }
      if hashes.0 != rowHash || hashes.1 != entry.hash(after: rowHash) {
        fault("I12: the chain breaks at \(entry.sequence)")
      }
      sequence = entry.sequence
      rowHash = hashes.1
      follow(entry.debit, row.optionalInt(ChainRow.columnCount + 2))
      follow(entry.credit, row.optionalInt(ChainRow.columnCount + 3))
      try apply(entry, on: connection)
      for account in try marks.pass(entry, on: connection) {
        wrongMark("the mark of account \(account) at \(sequence) differs from its transfers")
      }
      return true
    }
    count += rowCount
    return rowCount < limit
  }

  /// A movement names the one before it of the same account.
  private mutating func follow(_ account: Int64, _ before: Int64?) {
    if !isLast(before, of: account) {
      fault("I7: \(sequence) does not follow the last movement of account \(account)")
    }
    newest[account] = sequence
  }

  /// Whether a movement is the last one of an account so far; before a checkpoint any may be.
  func isLast(_ movement: Int64?, of account: Int64) -> Bool {
    if let last = newest[account] { return movement == last }
    return movement ?? 0 <= base?.sequence ?? 0
  }

  private mutating func apply(_ entry: ChainRow, on connection: Connection) throws {
    touched.accounts.formUnion([entry.debit, entry.credit])
    switch entry.kind {
    case "post": post(entry)
    case "fee", "refund":
      post(entry)
      try checkReference(of: entry, on: connection)
    case "hold":
      change(entry, pending: entry.amount, posted: 0)
      holdCount += 1
      guard let id = entry.holdID, id == entry.id, holds[id] == nil else {
        return fault("I4: no hold of its own at \(entry.sequence)")
      }
      holds[id] = OpenHold(
        amount: entry.amount, debit: entry.debit, credit: entry.credit,
        expiresAt: entry.expiresAt, reference: entry.reference)
      touched.holds.insert(id)
    case "capture", "void", "expire": try resolve(entry, on: connection)
    default: fault("I12: unknown kind at \(entry.sequence)")
    }
  }

  private mutating func post(_ entry: ChainRow) { change(entry, pending: 0, posted: entry.amount) }

  /// Wraps where a forged row would overflow: the comparison with the accounts finds it all the same.
  private mutating func change(_ entry: ChainRow, pending: Int64, posted: Int64) {
    changes[entry.debit, default: Sums()].debitsPending &+= pending
    changes[entry.debit, default: Sums()].debitsPosted &+= posted
    changes[entry.credit, default: Sums()].creditsPending &+= pending
    changes[entry.credit, default: Sums()].creditsPosted &+= posted
  }

  private mutating func resolve(_ entry: ChainRow, on connection: Connection) throws {
    guard let id = entry.holdID, var hold = try open(id, on: connection) else {
      return fault("I4: no open hold at \(entry.sequence)")
    }
    if hold.debit != entry.debit || hold.credit != entry.credit {
      fault("I4: \(entry.sequence) resolves a hold of other accounts")
    }
    touched.holds.insert(id)
    let isOver = try isOver(hold, id, at: entry.at, on: connection)
    if isOver != (entry.kind == "expire") {
      fault("I10: \(entry.kind) on the wrong side of the time-out at \(entry.sequence)")
    }
    guard entry.kind == "capture" else {
      change(entry, pending: -entry.amount, posted: 0)
      if entry.amount != hold.rest {
        fault("I4: \(entry.sequence) releases another amount than is left")
      }
      let state = entry.kind == "expire" ? "expired" : hold.captured > 0 ? "captured" : "voided"
      return try close(id, hold, as: [state], on: connection)
    }
    change(entry, pending: -(entry.amount &+ (entry.released ?? 0)), posted: entry.amount)
    hold.captured &+= entry.amount
    hold.isUnclear = entry.version < 2
    if hold.captured > hold.amount { fault("I5: over-captured at \(entry.sequence)") }
    if let released = entry.released, released != hold.rest {
      fault("I5: \(entry.sequence) releases another amount than is left")
    }
    if entry.released != nil || hold.rest <= 0 {
      return try close(id, hold, as: ["captured"], on: connection)
    }
    holds[id] = hold
  }

  private mutating func close(
    _ id: [UInt8], _ hold: OpenHold, as states: [String], on connection: Connection
  ) throws {
    holds[id] = nil
    touched.holds.remove(id)
    if base != nil { resolved.insert(id) }
    try compare(id, hold, states, on: connection)
  }

  /// An open hold; one from before the checkpoint is read from its own rows.
  private func open(_ id: [UInt8], on connection: Connection) throws -> OpenHold? {
    if let hold = holds[id] { return hold }
    guard let base, !resolved.contains(id) else { return nil }
    let rows = try connection.rows(
      """
      SELECT \(ChainRow.columns) FROM transfer t WHERE t.id = ?1 AND t.seq <= ?2 UNION ALL
      SELECT \(ChainRow.columns) FROM transfer t WHERE t.hold_id = ?1 AND t.kind <> 'hold'
      AND t.seq <= ?2 ORDER BY 1
      """, [.blob(id), .int(base.sequence)]
    ) { ChainRow.read($0) }
    guard let first = rows.first, first.kind == "hold" else { return nil }
    var hold = OpenHold(
      amount: first.amount, debit: first.debit, credit: first.credit, expiresAt: first.expiresAt,
      reference: first.reference)
    for row in rows.dropFirst() {
      hold.captured &+= row.amount
      hold.isUnclear = row.version < 2
      if row.kind != "capture" || row.released != nil { return nil }
    }
    return hold.rest > 0 ? hold : nil
  }

  private func isOver(
    _ hold: OpenHold, _ id: [UInt8], at moment: Int64, on connection: Connection
  ) throws -> Bool {
    let stored =
      try hold.expiresAt
      ?? connection.first("SELECT expires_ms FROM hold WHERE id = ?", [.blob(id)]) { $0.int(0) }
    return moment >= stored ?? Int64.max
  }

  /// A fee is of a capture, a refund of a capture or a fee; together they give back at most what it moved.
  private mutating func checkReference(of entry: ChainRow, on connection: Connection) throws {
    let found = try connection.first(
      "SELECT kind, debit, credit, amount, seq FROM transfer WHERE id = ?",
      [.optional(entry.refersTo)]
    ) { ($0.text(0), debit: $0.int(1), credit: $0.int(2), amount: $0.int(3), seq: $0.int(4)) }
    guard let origin = found, origin.seq < entry.sequence,
      origin.0 == "capture" || (origin.0 == "fee" && entry.kind == "refund")
    else { return fault("I6: \(entry.sequence) refers to nothing before it") }
    let sum = try connection.first(
      "SELECT sum(amount) FROM transfer WHERE refers_to = ? AND kind = ? AND seq <= ?",
      [.optional(entry.refersTo), .text(entry.kind), .int(entry.sequence)]
    ) { $0.int(0) }
    if (sum ?? 0) > origin.amount {
      fault("I6: \(entry.kind)s exceed their \(origin.0) at \(entry.sequence)")
    }
    let isReversed =
      entry.debit == origin.credit && (entry.kind == "fee" || entry.credit == origin.debit)
    if !isReversed { fault("I6: \(entry.sequence) does not lead back") }
  }

  /// Compares a hold's row with what its transfers say.
  private mutating func compare(
    _ id: [UInt8], _ hold: OpenHold, _ states: [String], on connection: Connection
  ) throws {
    let found = try connection.first(
      "SELECT amount, captured, state, expires_ms, reference FROM hold WHERE id = ?",
      [.blob(id)]
    ) { row in
      let terms =
        hold.expiresAt == nil
        || (hold.expiresAt == row.int(3) && hold.reference ?? [] == row.blob(4))
      return (
        isSame: row.int(0) == hold.amount && row.int(1) == hold.captured && terms,
        state: row.text(2)
      )
    }
    guard let found, found.isSame else {
      return fault("I3: hold \(BytesText.hex(id)) differs from its transfers")
    }
    if !states.contains(found.state) {
      fault("I4: the state of hold \(BytesText.hex(id)) differs from its transfers")
    }
    // Rows of the first version do not say that a capture closed its hold: the hold's state does.
    if hold.isUnclear, found.state == "captured", states.contains("open") {
      changes[hold.debit, default: Sums()].debitsPending &-= hold.rest
      changes[hold.credit, default: Sums()].creditsPending &-= hold.rest
    }
  }

  /// Compares every hold that the fold has left open. Only at the end of the ledger, once.
  mutating func compareOpenHolds(on connection: Connection) throws {
    for (id, hold) in holds {
      try compare(id, hold, hold.isUnclear ? ["open", "captured"] : ["open"], on: connection)
    }
  }

  /// Reads on to the end and compares what the new rows have touched: accounts (I1, I2, I7) and holds (I3 to I5).
  /// For every step of a test; the fold must have begun at the first transfer, with rows of the second version.
  ///
  /// - Returns: Every fault found until now.
  public mutating func check(on connection: Connection) throws -> [String] {
    while try !read(limit: 1_000, on: connection) {}
    for id in touched.accounts {
      let found = try connection.first(
        """
        SELECT debits_pending, debits_posted, credits_pending, credits_posted, may_go_negative,
        last_transfer FROM account WHERE id = ?
        """, [.int(id)]
      ) { row in
        (
          Sums(
            debitsPending: row.int(0), debitsPosted: row.int(1), creditsPending: row.int(2),
            creditsPosted: row.int(3)), isFree: row.int(4) == 1, last: row.optionalInt(5)
        )
      }
      guard let (sums, isFree, last) = found, sums == changes[id], isLast(last, of: id) else {
        fault("I7: account \(id) differs from its transfers")
        continue
      }
      if !isFree, sums.creditsPosted - sums.debitsPosted - sums.debitsPending < 0 {
        fault("I2: account \(id) is below zero")
      }
    }
    for id in touched.holds {
      if let hold = holds[id] { try compare(id, hold, ["open"], on: connection) }
    }
    touched = ([], [])
    return faults
  }
}
