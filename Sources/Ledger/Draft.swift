internal import Primitives
internal import SQLite

/// A transfer before it is appended.
struct Draft {
  /// Its 16 bytes.
  let id: [UInt8]
  let kind: String
  let amount: Microtokens
  let reason: String
  let at: Timestamp
  private(set) var facts: TransferFacts
  var holdID: [UInt8]?
  var refersTo: [UInt8]?
  /// What a hold has beside its transfer; part of what makes two the same.
  var holdTerms: (reference: [UInt8], expiresAt: Int64)?
  /// Whether a capture leaves its hold open; part of what makes two the same.
  var keepsOpen = false
  /// What a capture that closes its hold releases beside.
  var released: Int64?
  /// Why one of the accounts takes no part, where it does not.
  private let obstacle: Refusal?

  var debit: Int64 { facts.debit }
  var credit: Int64 { facts.credit }
  /// Its place in the ledger's sequence.
  var sequence: Int64 { facts.chain.sequence + 1 }

  /// A transfer between accounts by their names, closed and frozen ones refused.
  init(
    _ id: ID<TransferKind>, _ kind: String, _ debit: AccountName, _ credit: AccountName,
    _ amount: Microtokens, _ reason: String, _ at: Timestamp, _ connection: Connection,
    settles: Bool = false
  ) throws {
    let id = id.bytes
    let facts = try TransferFacts.read(of: id, from: debit, to: credit, on: connection)
    self.init(id, kind, facts, amount, reason, at, Draft.obstacle(facts, settles: settles))
  }

  /// A transfer of a hold's own accounts: what was reserved may be captured or released in any standing.
  init(
    _ id: ID<TransferKind>, _ kind: String, _ hold: HoldRow, _ amount: Microtokens,
    _ reason: String, _ at: Timestamp, _ connection: Connection
  ) throws {
    let id = id.bytes
    let facts = try TransferFacts.read(of: id, from: hold.debit, to: hold.credit, on: connection)
    self.init(id, kind, facts, amount, reason, at, nil)
    holdID = hold.id
  }

  /// A transfer that gives back what another one moved. Frozen accounts take part.
  init(
    _ id: ID<TransferKind>, returning other: [UInt8], from debit: Int64, to credit: Int64,
    _ amount: Microtokens, _ reason: String, _ at: Timestamp, _ connection: Connection
  ) throws {
    let id = id.bytes
    let facts = try TransferFacts.read(of: id, from: debit, to: credit, on: connection)
    self.init(
      id, "refund", facts, amount, reason, at, Draft.obstacle(facts, settles: true))
    refersTo = other
  }

  private init(
    _ id: [UInt8], _ kind: String, _ facts: TransferFacts, _ amount: Microtokens,
    _ reason: String, _ at: Timestamp, _ obstacle: Refusal?
  ) {
    precondition(
      facts.debit != facts.credit, "a transfer never moves from an account to itself")
    self.id = id
    self.kind = kind
    self.facts = facts
    self.amount = amount
    self.reason = reason
    self.at = at
    self.obstacle = obstacle
  }

  private static func obstacle(_ facts: TransferFacts, settles: Bool) -> Refusal? {
    if facts.isClosed { return Refusal(.accountClosed, "The account is closed.") }
    guard facts.isFrozen, !settles else { return nil }
    return Refusal(.accountFrozen, "The account is frozen until an admin settles it.")
  }

  /// Reads the facts again, after another transfer was appended.
  mutating func refresh(on connection: Connection) throws {
    facts = try TransferFacts.read(of: id, from: debit, to: credit, on: connection)
  }

  /// Refuses a closed or frozen account for ever (L7), then an amount out of range.
  func requireSound(on connection: Connection) throws {
    if let obstacle { throw try remembered(obstacle, on: connection) }
    guard amount.count >= 1, amount <= .max else {
      throw Refusal(.amountOutOfRange, "An amount is from 1 to 1000000000000000 microtokens.")
    }
  }

  /// The refusal, after its id was written down as failed: that write stands wherever the refusal goes (L7).
  private func remembered(_ refusal: Refusal, on connection: Connection) throws -> Refusal {
    let values: [SQLValue] = [
      .blob(id), .text(refusal.code.rawValue), .int(at.milliseconds),
    ]
    try connection.remember { connection in
      try connection.run(
        "INSERT INTO failed_transfer(id, code, at_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        values)
    }
    return refusal
  }

  /// Whether the very same transfer is there already.
  /// - Throws: `Refusal` `id_exists_different` where the id has other fields; the code of a failed id.
  func exists(on connection: Connection) throws -> Bool {
    if let code = facts.failed {
      throw Refusal(code, "This transfer failed before and stays failed; use a new id.")
    }
    guard facts.isKnown else { return false }
    let same = try connection.first(
      """
      SELECT t.kind, t.debit, t.credit, t.amount, t.reason, t.hold_id, t.refers_to, h.reference,
      h.expires_ms, t.version, t.released FROM transfer t LEFT JOIN hold h ON h.id = t.hold_id
      WHERE t.id = ?
      """, [.blob(id)]
    ) { row in
      row.text(0) == kind && row.int(1) == debit && row.int(2) == credit
        && row.int(3) == amount.count && row.text(4) == reason
        && (holdID == nil || row.blob(5) == holdID) && (refersTo == nil || row.blob(6) == refersTo)
        && (holdTerms.map { $0.reference == row.blob(7) && $0.expiresAt == row.int(8) } ?? true)
        && (kind != "capture" || row.int(9) < 2 || keepsOpen == row.isNull(10))
    }
    guard same == true else {
      throw Refusal(.idExistsDifferent, "This transfer id was used with other fields.")
    }
    return true
  }

  /// Lets the debit through where the account can pay; else the id is remembered as failed.
  ///
  /// A refund may take a provider below zero: what was earned may have been paid out already (2.1). One who is
  /// there still pays the fees of captures, which bring more than the fee takes.
  func requireFunds(on connection: Connection) throws {
    guard facts.available < amount.count, !facts.debitKind.mayGoNegative else { return }
    if kind == "refund", facts.debitKind == .providerEarned {
      try connection.run("UPDATE account SET may_go_negative = 1 WHERE id = ?", [.int(debit)])
    } else if !(kind == "fee" && facts.mayGoNegative) {
      throw try remembered(
        Refusal(.insufficientFunds, "The account has not enough available."), on: connection)
    }
  }

  /// Moves both sides, and makes this the newest movement of either account.
  ///
  /// What is pending and what is posted change by the same on the debited and on the credited side.
  func move(pending: Int64, posted: Int64, on connection: Connection) throws {
    for (sql, account) in [(Draft.moveDebit, debit), (Draft.moveCredit, credit)] {
      try connection.run(sql) { values in
        values.add(pending)
        values.add(posted)
        values.add(sequence)
        values.add(account)
      }
    }
  }

  private static let moveDebit = """
    UPDATE account SET debits_pending = debits_pending + ?1, debits_posted = debits_posted + ?2,
    last_transfer = ?3 WHERE id = ?4
    """
  private static let moveCredit = """
    UPDATE account SET credits_pending = credits_pending + ?1, credits_posted = credits_posted + ?2,
    last_transfer = ?3 WHERE id = ?4
    """

  /// Appends the row at the end of the sequence and the chain, then looks whether a user runs low.
  func append(on connection: Connection) throws {
    let row = ChainRow(
      version: ChainRow.current, sequence: sequence, id: id, kind: kind, debit: debit,
      credit: credit, amount: amount.count, holdID: holdID, refersTo: refersTo, reason: reason,
      at: at.milliseconds, expiresAt: holdTerms?.expiresAt, reference: holdTerms?.reference,
      released: released)
    let hash = row.hash(after: facts.chain.rowHash)
    try insert(row, hash, on: connection)
    LedgerMemory.of(connection).note(ChainEnd(sequence: sequence, rowHash: hash), on: connection)
    guard facts.hasLimits else { return }
    try SpendingLimits.noteBalances(of: debit, credit, id, at: at, on: connection)
  }

  private func insert(_ row: ChainRow, _ hash: [UInt8], on connection: Connection) throws {
    try connection.run(
      """
      INSERT INTO transfer(seq, id, kind, debit, credit, amount, hold_id, refers_to, reason, at_ms,
      version, expires_ms, reference, released, debit_before, credit_before, prev_hash, row_hash)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """
    ) { values in
      values.add(row.sequence)
      values.add(row.id)
      values.add(row.kind)
      values.add(row.debit)
      values.add(row.credit)
      values.add(row.amount)
      values.add(row.holdID)
      values.add(row.refersTo)
      values.add(row.reason)
      values.add(row.at)
      values.add(row.version)
      values.add(row.expiresAt)
      values.add(row.reference)
      values.add(row.released)
      values.add(facts.debitBefore)
      values.add(facts.creditBefore)
      values.add(facts.chain.rowHash)
      values.add(hash)
    }
  }
}
