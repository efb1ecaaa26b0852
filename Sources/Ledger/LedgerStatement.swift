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
    try movements(
      of: name, filter, below: sequence, order: "DESC", limit: limit, on: connection)
  }

  /// What an account had at a moment. Time grows with the account's movements.
  public static func balance(
    _ name: AccountName, at moment: LedgerMoment, on connection: Connection
  ) throws -> Balance {
    let bound: (String, Int64)
    switch moment {
    case .time(let time): bound = ("t.at_ms <= ?2", time.milliseconds)
    case .sequence(let sequence): bound = ("t.seq <= ?2", sequence)
    }
    guard let account = try accountID(name, on: connection) else { return .zero }
    return try connection.first(
      """
      SELECT coalesce(sum(m.balance_change), 0), coalesce(sum(m.held_change), 0) FROM (
      \(Side.debit.movements) AND \(bound.0) UNION ALL \(Side.credit.movements) AND \(bound.0)) m
      """, [.int(account), .int(bound.1)]
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
    let entries = try movements(
      of: name, LedgerFilter(from: from, to: to), below: Int64.max, order: "ASC",
      limit: LedgerStatement.entryCountMax + 1, on: connection)
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
      from: from, to: to, opening: opening, closing: closing, entries: entries)
  }

  private static func movements(
    of name: AccountName, _ filter: LedgerFilter, below sequence: Int64, order: String,
    limit: Int, on connection: Connection
  ) throws -> [LedgerEntry] {
    guard let account = try accountID(name, on: connection) else { return [] }
    let bounds = """
      AND t.seq < ?2 AND (?3 IS NULL OR t.at_ms >= ?3) AND (?4 IS NULL OR t.at_ms < ?4)
      AND (?5 IS NULL OR t.kind = ?5)
      """
    // Each side is read by its own index in order, and both are merged: no sort over a busy account.
    return try connection.rows(
      """
      \(Side.debit.movements) \(bounds) UNION ALL \(Side.credit.movements) \(bounds)
      ORDER BY 1 \(order) LIMIT ?6
      """,
      [
        .int(account), .int(sequence), .optional(filter.from?.milliseconds),
        .optional(filter.to?.milliseconds), .optional(filter.kind), .int(Int64(limit)),
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

  private static func accountID(_ name: AccountName, on connection: Connection) throws -> Int64? {
    try connection.first(
      "SELECT id FROM account WHERE kind = ? AND owner = ?",
      [.text(name.kind.rawValue), .blob(name.owner)]
    ) { $0.int(0) }
  }

  /// One side of transfers, as movements of the account that stands there.
  private enum Side {
    case debit, credit

    /// Rows of transfers `t` whose account on this side is `?1`.
    var movements: String {
      let (own, other, sign) = self == .debit ? ("debit", "credit", "-") : ("credit", "debit", "")
      return """
        SELECT t.seq, t.id, t.kind, \(sign)t.amount, t.reason, t.at_ms,
        CASE WHEN t.kind IN ('post','capture','fee','refund') THEN \(sign)t.amount ELSE 0 END
        AS balance_change, \(held) AS held_change,
        (SELECT a.kind FROM account a WHERE a.id = t.\(other)), t.hold_id, t.refers_to
        FROM transfer t WHERE t.\(own) = ?1
        """
    }

    /// Only who pays has units held. A capture of the first version does not say what it released: its hold does,
    /// where it was the last one.
    private var held: String {
      guard self == .debit else { return "0" }
      return """
        CASE t.kind WHEN 'hold' THEN t.amount WHEN 'void' THEN -t.amount WHEN 'expire' THEN -t.amount
        WHEN 'capture' THEN -t.amount - CASE WHEN t.version > 1 THEN coalesce(t.released, 0)
        WHEN EXISTS (SELECT 1 FROM transfer n WHERE n.hold_id = t.hold_id AND n.seq > t.seq) THEN 0
        ELSE (SELECT CASE h.state WHEN 'captured' THEN h.amount - h.captured ELSE 0 END
        FROM hold h WHERE h.id = t.hold_id) END ELSE 0 END
        """
    }
  }
}
