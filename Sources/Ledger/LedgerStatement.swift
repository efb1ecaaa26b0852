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

extension LedgerStore {
  /// Movements of an account, newest first, below a sequence number, at most so many.
  public static func entries(
    of name: AccountName, below sequence: Int64 = Int64.max, filter: LedgerFilter = LedgerFilter(),
    limit: Int, on connection: Connection
  ) throws -> [LedgerEntry] {
    guard let history = try LedgerHistory(of: name, on: connection) else { return [] }
    return try connection.rows(
      """
      \(LedgerHistory.walk) SELECT t.seq, t.id, t.kind, iif(t.debit = ?1, -t.amount, t.amount),
      t.reason, t.at_ms, \(LedgerHistory.balanceChange), \(LedgerHistory.heldChange),
      (SELECT a.kind FROM account a WHERE a.id = iif(t.debit = ?1, t.credit, t.debit)),
      t.hold_id, t.refers_to \(LedgerHistory.rows)
      WHERE t.seq < ?3 AND (?4 IS NULL OR t.at_ms >= ?4) AND (?5 IS NULL OR t.at_ms < ?5)
      AND (?6 IS NULL OR t.kind = ?6) LIMIT ?7
      """,
      [
        .int(history.account), .optional(try history.start(below: sequence, on: connection)),
        .int(sequence), .optional(filter.from?.milliseconds), .optional(filter.to?.milliseconds),
        .optional(filter.kind), .int(Int64(limit)),
      ]
    ) { row in
      LedgerEntry(
        sequence: row.int(0), id: ID(bytes: row.blob(1)) ?? ID(high: 0, low: 0), kind: row.text(2),
        amount: Microtokens(row.int(3)), reason: row.text(4),
        at: Timestamp(milliseconds: row.int(5)), balanceChange: Microtokens(row.int(6)),
        heldChange: Microtokens(row.int(7)),
        counterparty: AccountKind(rawValue: row.text(8)) ?? .externalPayments,
        holdID: ID(bytes: row.blob(9)), refersTo: ID(bytes: row.blob(10)))
    }
  }

  /// What an account had at a moment. Time grows with the account's movements.
  public static func balance(
    _ name: AccountName, at moment: LedgerMoment, on connection: Connection
  ) throws -> Balance {
    guard let history = try LedgerHistory(of: name, on: connection) else { return .zero }
    let (bound, value) =
      switch moment {
      case .time(let time): ("t.at_ms <= ?3", time.milliseconds)
      case .sequence(let sequence): ("t.seq <= ?3", sequence)
      }
    return try connection.first(
      """
      \(LedgerHistory.walk) SELECT coalesce(sum(\(LedgerHistory.balanceChange)), 0),
      coalesce(sum(\(LedgerHistory.heldChange)), 0) \(LedgerHistory.rows) WHERE \(bound)
      """, [.int(history.account), .optional(history.newest), .int(value)]
    ) { Balance(balance: Microtokens($0.int(0)), held: Microtokens($0.int(1))) } ?? .zero
  }

  /// The statement of an account for a period.
  ///
  /// - Throws: `Refusal` `validation_failed` where the period is empty or has more than 10,000 movements.
  public static func statement(
    of name: AccountName, from: Timestamp, to: Timestamp, on connection: Connection
  ) throws -> LedgerStatement {
    guard from < to else {
      throw Refusal(
        .validationFailed, "The period is empty.", fields: [.init("/to", "must be after from")])
    }
    let entries = try LedgerStore.entries(
      of: name, filter: LedgerFilter(from: from, to: to),
      limit: LedgerStatement.entryCountMax + 1, on: connection
    ).reversed()
    guard entries.count <= LedgerStatement.entryCountMax else {
      throw Refusal(
        .validationFailed,
        "A statement has at most \(LedgerStatement.entryCountMax) movements: ask for a shorter period.",
        fields: [.init("/from", "is too long ago for one statement")])
    }
    let opening = try balance(name, at: .time(from + -1), on: connection)
    let closing = Balance(
      balance: Microtokens(
        opening.balance.count + entries.reduce(0) { $0 + $1.balanceChange.count }),
      held: Microtokens(opening.held.count + entries.reduce(0) { $0 + $1.heldChange.count }))
    return LedgerStatement(
      from: from, to: to, opening: opening, closing: closing, entries: Array(entries))
  }
}
