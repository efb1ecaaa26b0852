internal import Primitives
internal import SQLite

/// A hold as stored.
struct HoldRow {
  let id: [UInt8]
  let debit: Int64
  let credit: Int64
  let amount: Int64
  let captured: Int64
  let state: String
  let expiresAt: Timestamp

  var remaining: Int64 { amount - captured }

  static func read(_ id: ID<HoldKind>, on connection: Connection) throws -> HoldRow {
    let row = try connection.first(
      "SELECT debit, credit, amount, captured, state, expires_ms FROM hold WHERE id = ?",
      [.blob(id.bytes)]
    ) {
      HoldRow(
        id: id.bytes, debit: $0.int(0), credit: $0.int(1), amount: $0.int(2), captured: $0.int(3),
        state: $0.text(4), expiresAt: Timestamp(milliseconds: $0.int(5)))
    }
    guard let row else { throw Refusal(.notFound, "There is no such hold.") }
    return row
  }

  /// From its time-out on neither capture nor void succeeds, also before the sweep has released it (L4).
  func requireOpen(at now: Timestamp) throws(Refusal) {
    switch state {
    case "captured": throw Refusal(.holdAlreadyCaptured, "The hold is captured already.")
    case "voided": throw Refusal(.holdAlreadyVoided, "The hold is voided already.")
    case "expired": throw Refusal(.holdAlreadyExpired, "The hold has expired.")
    default: break
    }
    guard now < expiresAt else { throw Refusal(.holdAlreadyExpired, "The hold has expired.") }
  }
}

/// What a draft asks of an account.
struct AccountRow {
  let id: Int64
  let isClosed: Bool
  let isFrozen: Bool

  private static func find(_ name: AccountName, on connection: Connection) throws -> AccountRow? {
    try connection.first(
      "SELECT id, closed, frozen_ms IS NOT NULL FROM account WHERE kind = ? AND owner = ?",
      [.text(name.kind.rawValue), .blob(name.owner)]
    ) { AccountRow(id: $0.int(0), isClosed: $0.int(1) == 1, isFrozen: $0.int(2) == 1) }
  }

  /// The account's row, made where it is new.
  static func made(_ name: AccountName, on connection: Connection) throws -> AccountRow {
    if let row = try find(name, on: connection) { return row }
    try connection.run(
      "INSERT INTO account(kind, owner, may_go_negative) VALUES (?, ?, ?)",
      [
        .text(name.kind.rawValue), .blob(name.owner), .int(name.kind.mayGoNegative ? 1 : 0),
      ])
    guard let row = try find(name, on: connection) else {
      throw Refusal(.internal, "An account cannot be made.")
    }
    return row
  }
}

/// A transfer before it is appended.
struct Draft {
  let id: ID<TransferKind>
  let kind: String
  let debit: Int64
  let credit: Int64
  let amount: Microtokens
  let reason: String
  let at: Timestamp
  var holdID: [UInt8]?
  var refersTo: [UInt8]?
  /// Why one of the accounts takes no part, where it does not.
  var obstacle: Refusal?
  /// What a hold has beside its transfer; part of what makes two the same.
  var holdTerms: (reference: [UInt8], expiresAt: Int64)?
  /// Whether a capture leaves its hold open; part of what makes two the same.
  var keepsOpen = false
  /// What a capture that closes its hold releases beside.
  var released: Int64?

  init(
    id: ID<TransferKind>, kind: String, debit: Int64, credit: Int64, amount: Microtokens,
    reason: String, at: Timestamp
  ) {
    precondition(debit != credit, "a transfer never moves from an account to itself")
    self.id = id
    self.kind = kind
    self.debit = debit
    self.credit = credit
    self.amount = amount
    self.reason = reason
    self.at = at
  }

  init(
    _ id: ID<TransferKind>, _ kind: String, _ debit: AccountName, _ credit: AccountName,
    _ amount: Microtokens, _ reason: String, _ at: Timestamp, _ connection: Connection,
    settles: Bool = false
  ) throws {
    let from = try AccountRow.made(debit, on: connection)
    let to = try AccountRow.made(credit, on: connection)
    self.init(
      id: id, kind: kind, debit: from.id, credit: to.id, amount: amount, reason: reason, at: at)
    if from.isClosed || to.isClosed {
      obstacle = Refusal(.accountClosed, "The account is closed.")
    } else if from.isFrozen, !settles {
      obstacle = Refusal(.accountFrozen, "The account is frozen until an admin settles it.")
    }
  }

  init(
    _ id: ID<TransferKind>, _ kind: String, _ hold: HoldRow, _ amount: Microtokens,
    _ reason: String, _ at: Timestamp
  ) {
    self.init(
      id: id, kind: kind, debit: hold.debit, credit: hold.credit, amount: amount, reason: reason,
      at: at)
    holdID = hold.id
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
      .blob(id.bytes), .text(refusal.code.rawValue), .int(at.milliseconds),
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
    let failed = try connection.first(
      "SELECT code FROM failed_transfer WHERE id = ?", [.blob(id.bytes)]
    ) { $0.text(0) }
    if let code = failed.flatMap(ProblemCode.init(rawValue:)) {
      throw Refusal(code, "This transfer failed before and stays failed; use a new id.")
    }
    let same = try connection.first(
      """
      SELECT t.kind, t.debit, t.credit, t.amount, t.reason, t.hold_id, t.refers_to, h.reference,
      h.expires_ms, t.version, t.released FROM transfer t LEFT JOIN hold h ON h.id = t.hold_id
      WHERE t.id = ?
      """, [.blob(id.bytes)]
    ) { row in
      row.text(0) == kind && row.int(1) == debit && row.int(2) == credit
        && row.int(3) == amount.count && row.text(4) == reason
        && (holdID == nil || row.blob(5) == holdID) && (refersTo == nil || row.blob(6) == refersTo)
        && (holdTerms.map { $0.reference == row.blob(7) && $0.expiresAt == row.int(8) } ?? true)
        && (kind != "capture" || row.int(9) < 2 || keepsOpen == row.isNull(10))
    }
    guard let same else { return false }
    guard same else {
      throw Refusal(.idExistsDifferent, "This transfer id was used with other fields.")
    }
    return true
  }

  /// Runs the debit where the account can pay; else the id is remembered as failed.
  ///
  /// A refund may take a provider below zero: what was earned may have been paid out already (2.1). One who is
  /// there still pays the fees of captures, which bring more than the fee takes.
  func fund(on connection: Connection, _ run: () throws -> Void) throws {
    let found = try connection.first(
      """
      SELECT kind, credits_posted - debits_posted - debits_pending, may_go_negative FROM account
      WHERE id = ?
      """, [.int(debit)]
    ) { row in
      (kind: AccountKind(rawValue: row.text(0)), available: row.int(1), isFlagged: row.int(2) == 1)
    }
    guard let account = found, let chart = account.kind else {
      throw Refusal(.internal, "An account cannot be read.")
    }
    let isShort = account.available < amount.count && !chart.mayGoNegative
    if isShort, kind == "refund", chart == .providerEarned {
      try connection.run("UPDATE account SET may_go_negative = 1 WHERE id = ?", [.int(debit)])
    } else if isShort, !(kind == "fee" && account.isFlagged) {
      throw try remembered(
        Refusal(.insufficientFunds, "The account has not enough available."), on: connection)
    }
    try run()
  }

  /// Appends the row at the end of the sequence and the chain, then looks whether a user runs low.
  func append(on connection: Connection) throws {
    let last = try connection.first(
      "SELECT seq, row_hash FROM transfer ORDER BY seq DESC LIMIT 1"
    ) { ($0.int(0), $0.blob(1)) }
    let sequence = (last?.0 ?? 0) + 1
    let previous = last?.1 ?? [UInt8](repeating: 0, count: 32)
    let row = ChainRow(
      version: ChainRow.current, sequence: sequence, id: id.bytes, kind: kind, debit: debit,
      credit: credit, amount: amount.count, holdID: holdID, refersTo: refersTo, reason: reason,
      at: at.milliseconds, expiresAt: holdTerms?.expiresAt, reference: holdTerms?.reference,
      released: released)
    try connection.run(
      """
      INSERT INTO transfer(seq, id, kind, debit, credit, amount, hold_id, refers_to, reason, at_ms,
      version, expires_ms, reference, released, prev_hash, row_hash)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .int(sequence), .blob(id.bytes), .text(kind), .int(debit), .int(credit),
        .int(amount.count), .optional(holdID), .optional(refersTo), .text(reason),
        .int(at.milliseconds), .int(row.version), .optional(row.expiresAt),
        .optional(row.reference), .optional(row.released), .blob(previous),
        .blob(row.hash(after: previous)),
      ])
    for account in [debit, credit] {
      try SpendingLimits.noteBalance(of: account, id.bytes, at: at, on: connection)
    }
  }
}
