internal import Cryptography
public import Primitives
public import SQLite

/// A user's own bounds on paid use, by days and months of UTC, and the balance under which to be told.
///
/// What counts is what was reserved in the period: an open hold with its whole amount, a resolved one with what was
/// captured of it. A hold counts in the period that it was made in.
public struct SpendingLimits: Sendable, Equatable {
  /// The most in a day; nil for no bound.
  public var dayMax: Microtokens?
  /// The most in a month; nil for no bound.
  public var monthMax: Microtokens?
  /// `tokens.low` is sent when the available balance falls under this; nil for never.
  public var lowBalance: Microtokens?

  /// Bounds; nil lifts one.
  public init(dayMax: Microtokens?, monthMax: Microtokens?, lowBalance: Microtokens?) {
    self.dayMax = dayMax
    self.monthMax = monthMax
    self.lowBalance = lowBalance
  }

  /// What a user has set; nothing where nothing was set.
  public static func read(_ user: AccountName, on connection: Connection) throws -> SpendingLimits {
    try connection.first(
      """
      SELECT l.day_max, l.month_max, l.low_balance FROM account a
      JOIN spending_limit l ON l.account = a.id WHERE a.kind = ? AND a.owner = ?
      """, [.text(user.kind.rawValue), .blob(user.owner)]
    ) { row in
      SpendingLimits(
        dayMax: row.optionalInt(0).map { Microtokens($0) },
        monthMax: row.optionalInt(1).map { Microtokens($0) },
        lowBalance: row.optionalInt(2).map { Microtokens($0) })
    } ?? SpendingLimits(dayMax: nil, monthMax: nil, lowBalance: nil)
  }

  /// Sets the bounds in place of the former ones. No event comes of a balance that is low already.
  ///
  /// - Throws: `Refusal` `amount_out_of_range` below 0 or above 10^15; an alert is at least 1.
  public func write(for user: AccountName, at now: Timestamp, on connection: Connection) throws {
    let counts = [dayMax?.count, monthMax?.count].compactMap { $0 }
    guard counts.allSatisfy({ (0...Microtokens.max.count).contains($0) }),
      lowBalance.map({ (1...Microtokens.max.count).contains($0.count) }) ?? true
    else {
      throw Refusal(
        .amountOutOfRange,
        "A limit is from 0 to 1000000000000000 microtokens, an alert from 1 to as much.")
    }
    let account = try AccountRow.made(user, on: connection)
    let available = try LedgerStore.balance(user, on: connection).available
    let isLow = lowBalance.map { available < $0 } ?? false
    try connection.run(
      """
      INSERT INTO spending_limit(account, day_max, month_max, low_balance, is_low, changed_ms)
      VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(account) DO UPDATE SET day_max = excluded.day_max,
      month_max = excluded.month_max, low_balance = excluded.low_balance,
      is_low = excluded.is_low, changed_ms = excluded.changed_ms
      """,
      [
        .int(account.id), .optional(dayMax?.count), .optional(monthMax?.count),
        .optional(lowBalance?.count), .int(isLow ? 1 : 0), .int(now.milliseconds),
      ])
  }

  /// How much later than a hold one of before it can have been written, at most, in milliseconds.
  private static let disorder: Int64 = 86_400_000

  /// What a user has used of a period that began at a moment.
  public static func used(
    by user: AccountName, since start: Timestamp, on connection: Connection
  ) throws -> Microtokens {
    guard let history = try LedgerHistory(of: user, on: connection) else { return Microtokens(0) }
    // Writes wait in a queue and clocks are set back, so holds do not quite stand in the order of their moments: the
    // first one of well before the period ends the walk.
    let last = start + -SpendingLimits.disorder
    let sum = try connection.first(
      """
      WITH RECURSIVE walk(hold_id, before, is_over) AS (
      SELECT iif(t.kind = 'hold' AND t.debit = ?1, t.hold_id, NULL),
      iif(t.debit = ?1, t.debit_before, t.credit_before), t.kind = 'hold' AND t.at_ms < ?4
      FROM transfer t WHERE t.seq = ?2
      UNION ALL SELECT iif(t.kind = 'hold' AND t.debit = ?1, t.hold_id, NULL),
      iif(t.debit = ?1, t.debit_before, t.credit_before), t.kind = 'hold' AND t.at_ms < ?4
      FROM walk w CROSS JOIN transfer t ON t.seq = w.before WHERE NOT w.is_over)
      SELECT coalesce(sum(CASE WHEN h.state = 'open' THEN h.amount ELSE h.captured END), 0)
      FROM walk w CROSS JOIN hold h ON h.id = w.hold_id WHERE h.created_ms >= ?3
      """,
      [
        .int(history.account), .optional(history.newest), .int(start.milliseconds),
        .int(last.milliseconds),
      ]
    ) { $0.int(0) }
    return Microtokens(sum ?? 0)
  }

  /// Refuses a hold that would go over the day's or the month's bound. Call it before the hold, in its transaction.
  ///
  /// - Throws: `Refusal` `spending_limit_reached` with `period`, `limitMicrotokens`, `usedMicrotokens`, `resetsAt`.
  public static func require(
    _ user: AccountName, _ amount: Microtokens, at now: Timestamp, on connection: Connection
  ) throws {
    let limits = try read(user, on: connection)
    for period in [Period.day, .month] {
      let bound = period == .day ? limits.dayMax : limits.monthMax
      guard let bound else { continue }
      let used = try used(by: user, since: period.start(of: now), on: connection)
      let (sum, isOver) = used.count.addingReportingOverflow(amount.count)
      guard isOver || sum > bound.count else { continue }
      throw Refusal(
        .spendingLimitReached, "This would go over your own limit for a \(period.rawValue).",
        facts: [
          "period": .string(period.rawValue), "limitMicrotokens": .int(bound.count),
          "usedMicrotokens": .int(used.count), "resetsAt": .string(period.end(of: now).rfc3339),
        ])
    }
  }

  /// Emits `tokens.low` once where the available balance has fallen under the alert, and arms it again above.
  ///
  /// - Parameter cause: Of the movement; the event's id follows from it, so no random source is needed.
  static func noteBalances(
    of debit: Int64, _ credit: Int64, _ cause: [UInt8], at now: Timestamp,
    on connection: Connection
  ) throws {
    let crossed = try connection.rows(
      """
      SELECT l.low_balance, l.is_low, a.credits_posted - a.debits_posted - a.debits_pending, a.owner,
      a.id FROM spending_limit l JOIN account a ON a.id = l.account
      WHERE l.account IN (?, ?) AND l.low_balance IS NOT NULL
      AND (a.credits_posted - a.debits_posted - a.debits_pending < l.low_balance) <> l.is_low
      """, [.int(debit), .int(credit)]
    ) { row in
      Crossing(
        alert: row.int(0), wasLow: row.int(1) == 1, available: row.int(2), owner: row.blob(3),
        account: row.int(4))
    }
    for crossing in crossed { try crossing.note(cause, at: now, on: connection) }
  }

  /// A day or a month of UTC.
  public enum Period: String, Sendable {
    case day, month

    /// The first moment of the period that a moment lies in.
    public func start(of now: Timestamp) -> Timestamp {
      let date = self == .day ? now.date : String(now.date.prefix(8)) + "01"
      return Timestamp.parse(date: date) ?? now
    }

    /// The first moment after it.
    public func end(of now: Timestamp) -> Timestamp {
      let next = start(of: now) + (self == .day ? 1 : 32) * 86_400_000
      return start(of: next)
    }
  }
}

/// An available balance that has come to the other side of its alert.
private struct Crossing {
  let alert: Int64
  let wasLow: Bool
  let available: Int64
  let owner: [UInt8]
  let account: Int64

  func note(_ cause: [UInt8], at now: Timestamp, on connection: Connection) throws {
    try connection.run(
      "UPDATE spending_limit SET is_low = ? WHERE account = ?",
      [.int(wasLow ? 0 : 1), .int(account)])
    guard !wasLow else { return }
    let user = ID<TransferKind>(bytes: owner)?.text
    let body: JSON = [
      "type": "tokens.low", "timestamp": .string(now.rfc3339),
      "data": [
        "userId": .optional(user), "availableMicrotokens": .int(available),
        "alertMicrotokens": .int(alert),
      ],
    ]
    let name = Digest.sha256(Array("tokens.low".utf8) + [0] + cause)
    try connection.run(
      "INSERT INTO outbox(event_id, type, occurred_ms, payload) VALUES (?, ?, ?, ?)",
      [
        .text("evt_" + BytesText.base64url(Array(name[..<16]))), .text("tokens.low"),
        .int(now.milliseconds), .text(body.text),
      ])
  }
}
