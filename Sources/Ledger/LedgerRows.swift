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
      """
      SELECT t.debit, t.credit, h.amount, h.captured, h.state, h.expires_ms FROM hold h
      JOIN transfer t ON t.id = h.id AND t.kind = 'hold' WHERE h.id = ?
      """, [.blob(id.bytes)]
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

/// Everything that a transfer is decided by, read at once: both accounts, what became of its id, the chain's end.
///
/// It is true until something is appended: an append that comes later than another one fails on the sequence.
struct TransferFacts {
  let debit: Int64
  let credit: Int64
  let debitKind: AccountKind
  /// Whether an account takes part in nothing any more.
  let isClosed: Bool
  let isFrozen: Bool
  let mayGoNegative: Bool
  /// What the debited account can spend.
  let available: Int64
  /// Why the id failed before and stays failed.
  let failed: ProblemCode?
  /// Whether there is a transfer of the id.
  let isKnown: Bool
  /// The last movements of the two accounts.
  let debitBefore: Int64?
  let creditBefore: Int64?
  /// Whether somebody may want to be told of a low balance.
  let hasLimits: Bool
  /// The ledger's last transfer.
  let chain: ChainEnd

  private static let select = """
    SELECT d.id, c.id, d.kind, d.closed OR c.closed, d.frozen_ms IS NOT NULL, d.may_go_negative,
    d.credits_posted - d.debits_posted - d.debits_pending,
    (SELECT code FROM failed_transfer WHERE id = ?1), EXISTS (SELECT 1 FROM transfer WHERE id = ?1),
    d.last_transfer, c.last_transfer, EXISTS (SELECT 1 FROM spending_limit WHERE account = d.id)
    OR EXISTS (SELECT 1 FROM spending_limit WHERE account = c.id) FROM account d CROSS JOIN account c
    """

  private static let byName =
    select + " WHERE d.kind = ?2 AND d.owner = ?3 AND c.kind = ?4 AND c.owner = ?5"
  private static let byRow = select + " WHERE d.id = ?2 AND c.id = ?3"
  /// By row, where the names are still the same.
  private static let byBoth =
    byRow + " AND d.kind = ?4 AND d.owner = ?5 AND c.kind = ?6 AND c.owner = ?7"

  /// Of accounts by their names; one that is new is made.
  static func read(
    of id: [UInt8], from debit: AccountName, to credit: AccountName, on connection: Connection
  ) throws -> TransferFacts {
    let memory = LedgerMemory.of(connection)
    let chain = try memory.chainEnd(on: connection)
    if let debitRow = memory.row(of: debit), let creditRow = memory.row(of: credit),
      let facts = try first(
        byBoth, chain, of: debit.kind, on: connection,
        { values in
          values.add(id)
          values.add(debitRow)
          values.add(creditRow)
          TransferFacts.add(debit, credit, to: &values)
        })
    {
      return facts
    }
    let facts =
      try named(id, debit, credit, chain, on: connection)
      ?? made(id, debit, credit, chain, on: connection)
    memory.note(facts.debit, of: debit)
    memory.note(facts.credit, of: credit)
    return facts
  }

  /// Of accounts that are there.
  static func read(
    of id: [UInt8], from debit: Int64, to credit: Int64, on connection: Connection
  ) throws -> TransferFacts {
    let chain = try LedgerMemory.of(connection).chainEnd(on: connection)
    return try present(
      first(
        byRow, chain, of: nil, on: connection,
        { values in
          values.add(id)
          values.add(debit)
          values.add(credit)
        }))
  }

  private static func named(
    _ id: [UInt8], _ debit: AccountName, _ credit: AccountName,
    _ chain: ChainEnd,
    on connection: Connection
  ) throws -> TransferFacts? {
    try first(
      byName, chain, of: debit.kind, on: connection,
      { values in
        values.add(id)
        add(debit, credit, to: &values)
      })
  }

  private static func made(
    _ id: [UInt8], _ debit: AccountName, _ credit: AccountName,
    _ chain: ChainEnd,
    on connection: Connection
  ) throws -> TransferFacts {
    _ = try AccountRow.made(debit, on: connection)
    _ = try AccountRow.made(credit, on: connection)
    return try present(named(id, debit, credit, chain, on: connection))
  }

  private static func add(
    _ debit: AccountName, _ credit: AccountName, to values: inout Bindings
  ) {
    values.add(debit.kind.rawValue)
    values.add(debit.owner)
    values.add(credit.kind.rawValue)
    values.add(credit.owner)
  }

  private static func first(
    _ sql: String, _ chain: ChainEnd, of debitKind: AccountKind?, on connection: Connection,
    _ binding: (inout Bindings) -> Void
  ) throws -> TransferFacts? {
    var facts: TransferFacts?
    try connection.query(sql, binding: binding) { row in
      facts = TransferFacts(row, chain, debitKind)
      return false
    }
    return facts
  }

  private static func present(_ facts: TransferFacts?) throws(Refusal) -> TransferFacts {
    guard let facts else { throw Refusal(.internal, "An account cannot be read.") }
    return facts
  }

  /// - Parameter kind: The debited account's, where it is known: to read it costs as much as a column of text.
  private init(_ row: borrowing Row, _ chain: ChainEnd, _ kind: AccountKind?) {
    debit = row.int(0)
    credit = row.int(1)
    // The table's CHECK lets no other kind in.
    debitKind = kind ?? AccountKind(rawValue: row.text(2)) ?? .userAvailable
    isClosed = row.int(3) == 1
    isFrozen = row.int(4) == 1
    mayGoNegative = row.int(5) == 1
    available = row.int(6)
    failed = row.optionalText(7).flatMap(ProblemCode.init(rawValue:))
    isKnown = row.int(8) == 1
    debitBefore = row.optionalInt(9)
    creditBefore = row.optionalInt(10)
    hasLimits = row.int(11) == 1
    self.chain = chain
  }
}
