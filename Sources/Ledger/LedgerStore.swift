internal import Cryptography
public import Primitives
public import SQLite

/// The double-entry ledger. Every function runs inside the caller's write transaction, so that what moves units
/// and what they are moved for commit together.
///
/// A transfer that is refused is remembered as failed in the same transaction, so its id stays failed (L7). That
/// holds only where the caller catches the refusal inside the transaction: a refusal that leaves it undoes the memory
/// too. Whoever uses ids that come again (of payments, say) must catch it there.
///
/// Amounts are Int64 microtokens with checked arithmetic; a balance can only break a CHECK, never go wrong silently.
/// Models: two-phase transfers and sticky failed ids as in TigerBeetle, a hash-chained log as in Formance.
public enum LedgerStore {
  /// Moves units from one account to another at once.
  ///
  /// - Returns: false where the same transfer is there already.
  /// - Throws: `Refusal` `insufficient_funds`, `amount_out_of_range`, `id_exists_different`.
  @discardableResult
  public static func post(
    _ id: ID<TransferKind>, from debit: AccountName, to credit: AccountName, _ amount: Microtokens,
    reason: String, at now: Timestamp, on connection: Connection
  ) throws -> Bool {
    let draft = try Draft(id, "post", debit, credit, amount, reason, now, connection)
    if try draft.exists(on: connection) { return false }
    try draft.requireSound(on: connection)
    try settle(draft, on: connection)
    return true
  }

  /// Reserves units until they are captured, voided, or the time-out is reached.
  ///
  /// - Throws: `Refusal` as `post`.
  @discardableResult
  public static func hold(
    _ id: ID<HoldKind>, reference: [UInt8], from debit: AccountName, to credit: AccountName,
    _ amount: Microtokens, expiresAt: Timestamp, reason: String, at now: Timestamp,
    on connection: Connection
  ) throws -> Bool {
    let transfer = ID<TransferKind>(high: id.high, low: id.low)
    var draft = try Draft(transfer, "hold", debit, credit, amount, reason, now, connection)
    draft.holdID = id.bytes
    draft.holdTerms = (reference, expiresAt.milliseconds)
    if try draft.exists(on: connection) { return false }
    try draft.requireSound(on: connection)
    try draft.fund(on: connection) {
      try connection.run(
        "UPDATE account SET debits_pending = debits_pending + ?1 WHERE id = ?2",
        [.int(amount.count), .int(draft.debit)])
    }
    try connection.run(
      "UPDATE account SET credits_pending = credits_pending + ?1 WHERE id = ?2",
      [.int(amount.count), .int(draft.credit)])
    try connection.run(
      """
      INSERT INTO hold(id, reference, debit, credit, amount, state, expires_ms)
      VALUES (?, ?, ?, ?, ?, 'open', ?)
      """,
      [
        .blob(id.bytes), .blob(reference), .int(draft.debit), .int(draft.credit),
        .int(amount.count), .int(expiresAt.milliseconds),
      ])
    try draft.append(on: connection)
    return true
  }

  /// Posts part or all of a hold.
  ///
  /// - Parameter keepsOpen: Later captures may follow; else the rest is released and the hold is closed.
  /// - Throws: `Refusal` `hold_already_captured|voided|expired`, `exceeds_hold`, `amount_out_of_range`.
  @discardableResult
  public static func capture(
    _ id: ID<TransferKind>, hold holdID: ID<HoldKind>, _ amount: Microtokens,
    keepsOpen: Bool = false, reason: String, at now: Timestamp, on connection: Connection
  ) throws -> Bool {
    let hold = try HoldRow.read(holdID, on: connection)
    let draft = Draft(id, "capture", hold, amount, reason, now)
    if try draft.exists(on: connection) { return false }
    try hold.requireOpen(at: now)
    try draft.requireSound(on: connection)
    guard amount.count <= hold.remaining else {
      throw Refusal(.exceedsHold, "The hold has \(hold.remaining) microtokens left.")
    }
    // An open hold keeps what is left pending; a closed one gives it back in the same step.
    let released = keepsOpen ? amount.count : hold.remaining
    try move(hold, pending: -released, posted: amount.count, on: connection)
    try connection.run(
      "UPDATE hold SET captured = captured + ?, state = ? WHERE id = ?",
      [
        .int(amount.count), .text(keepsOpen && amount.count < hold.remaining ? "open" : "captured"),
        .blob(holdID.bytes),
      ])
    try draft.append(on: connection)
    return true
  }

  /// Releases a hold. After captures that kept it open, it releases the rest and counts as captured.
  ///
  /// - Throws: `Refusal` `hold_already_captured|voided|expired`.
  @discardableResult
  public static func void(
    _ id: ID<TransferKind>, hold holdID: ID<HoldKind>, reason: String, at now: Timestamp,
    on connection: Connection
  ) throws -> Bool {
    let hold = try HoldRow.read(holdID, on: connection)
    let draft = Draft(id, "void", hold, Microtokens(hold.remaining), reason, now)
    if try draft.exists(on: connection) { return false }
    try hold.requireOpen(at: now)
    try release(hold, state: hold.captured > 0 ? "captured" : "voided", draft, on: connection)
    return true
  }

  /// Releases every open hold whose time-out is reached, oldest first.
  public static func expireDue(at now: Timestamp, random: RandomSource, on connection: Connection)
    throws
  {
    let due = try connection.rows(
      "SELECT id FROM hold WHERE state = 'open' AND expires_ms <= ? ORDER BY expires_ms, id LIMIT 256",
      [.int(now.milliseconds)]
    ) { ID<HoldKind>(bytes: $0.blob(0)) }
    for case let holdID? in due {
      let hold = try HoldRow.read(holdID, on: connection)
      let draft = Draft(
        ID(at: now, random: random), "expire", hold, Microtokens(hold.remaining), "hold timed out",
        now)
      try release(hold, state: "expired", draft, on: connection)
    }
  }

  /// Gives back part or all of a capture.
  ///
  /// - Throws: `Refusal` `exceeds_capture` where the refunds together would be more than the capture.
  @discardableResult
  public static func refund(
    _ id: ID<TransferKind>, capture captureID: ID<TransferKind>, _ amount: Microtokens,
    reason: String, at now: Timestamp, on connection: Connection
  ) throws -> Bool {
    let found = try connection.first(
      "SELECT debit, credit, amount FROM transfer WHERE id = ? AND kind = 'capture'",
      [.blob(captureID.bytes)]
    ) { (debit: $0.int(0), credit: $0.int(1), amount: $0.int(2)) }
    guard let capture = found else { throw Refusal(.notFound, "There is no such capture.") }
    var draft = Draft(
      id: id, kind: "refund", debit: capture.credit, credit: capture.debit, amount: amount,
      reason: reason, at: now)
    draft.refersTo = captureID.bytes
    if try draft.exists(on: connection) { return false }
    try draft.requireSound(on: connection)
    let before =
      try connection.first(
        "SELECT coalesce(sum(amount), 0) FROM transfer WHERE refers_to = ? AND kind = 'refund'",
        [.blob(captureID.bytes)]
      ) { $0.int(0) } ?? 0
    guard amount.count <= capture.amount - before else {
      throw Refusal(
        .exceedsCapture, "The capture has \(capture.amount - before) microtokens left to refund.")
    }
    // The platform's share comes back first, so that the provider can pay it on.
    try returnFee(
      of: captureID, captured: capture.amount, refunded: before + amount.count, by: id, at: now,
      on: connection)
    try settle(draft, on: connection)
    return true
  }

  /// Returns the fee's share of everything refunded so far, floor(fee x refunded / captured), less what was
  /// returned before (2.1).
  private static func returnFee(
    of captureID: ID<TransferKind>, captured: Int64, refunded: Int64, by refund: ID<TransferKind>,
    at now: Timestamp, on connection: Connection
  ) throws {
    let found = try connection.first(
      "SELECT id, debit, credit, amount FROM transfer WHERE refers_to = ? AND kind = 'fee'",
      [.blob(captureID.bytes)]
    ) { (id: $0.blob(0), debit: $0.int(1), credit: $0.int(2), amount: $0.int(3)) }
    guard let fee = found else { return }
    let returned =
      try connection.first(
        "SELECT coalesce(sum(amount), 0) FROM transfer WHERE refers_to = ? AND kind = 'refund'",
        [.blob(fee.id)]
      ) { $0.int(0) } ?? 0
    let share = captured.dividingFullWidth(fee.amount.multipliedFullWidth(by: refunded)).quotient
    guard share > returned else { return }
    let name = Digest.sha256(refund.bytes + Array("fee".utf8))
    guard let id = ID<TransferKind>(bytes: Array(name[..<16])) else { return }
    var draft = Draft(
      id: id, kind: "refund", debit: fee.credit, credit: fee.debit,
      amount: Microtokens(share - returned), reason: "platform fee returned", at: now)
    draft.refersTo = fee.id
    try settle(draft, on: connection)
  }

  /// Moves a posted transfer's amount and appends it.
  private static func settle(_ draft: Draft, on connection: Connection) throws {
    try draft.fund(on: connection) {
      try connection.run(
        "UPDATE account SET debits_posted = debits_posted + ?1 WHERE id = ?2",
        [.int(draft.amount.count), .int(draft.debit)])
    }
    try connection.run(
      "UPDATE account SET credits_posted = credits_posted + ?1 WHERE id = ?2",
      [.int(draft.amount.count), .int(draft.credit)])
    try draft.append(on: connection)
  }

  /// Moves the platform's share of a capture from the provider to the platform: floor(captured x bps / 10,000).
  public static func fee(
    _ id: ID<TransferKind>, ofCapture captureID: ID<TransferKind>, captured: Microtokens,
    provider: AccountName, basisPoints: Int64, at now: Timestamp, on connection: Connection
  ) throws {
    let wide = captured.count.multipliedFullWidth(by: basisPoints)
    let share = Int64(10_000).dividingFullWidth(wide).quotient
    guard share > 0 else { return }
    var draft = try Draft(
      id, "fee", provider, .platform(.platformFees), Microtokens(share), "platform fee", now,
      connection)
    draft.refersTo = captureID.bytes
    if try draft.exists(on: connection) { return }
    try draft.requireSound(on: connection)
    try settle(draft, on: connection)
  }

  /// What an account has; an account that was never used has nothing.
  public static func balance(_ name: AccountName, on connection: Connection) throws -> Balance {
    try connection.first(
      """
      SELECT credits_posted - debits_posted, debits_pending FROM account
      WHERE kind = ? AND owner = ?
      """, [.text(name.kind.rawValue), .blob(name.owner)]
    ) { Balance(balance: Microtokens($0.int(0)), held: Microtokens($0.int(1))) }
      ?? Balance(balance: Microtokens(0), held: Microtokens(0))
  }

  /// Movements of an account, newest first, below a sequence number, at most so many.
  public static func entries(
    of name: AccountName, below sequence: Int64, limit: Int, on connection: Connection
  ) throws -> [LedgerEntry] {
    try connection.rows(
      """
      SELECT t.seq, t.id, t.kind, CASE WHEN t.debit = a.id THEN -t.amount ELSE t.amount END,
      t.reason, t.at_ms FROM account a JOIN transfer t ON (t.debit = a.id OR t.credit = a.id)
      WHERE a.kind = ? AND a.owner = ? AND t.seq < ? ORDER BY t.seq DESC LIMIT ?
      """,
      [.text(name.kind.rawValue), .blob(name.owner), .int(sequence), .int(Int64(limit))]
    ) { row in
      LedgerEntry(
        sequence: row.int(0), id: ID(bytes: row.blob(1)) ?? ID(high: 0, low: 0), kind: row.text(2),
        amount: Microtokens(row.int(3)), reason: row.text(4),
        at: Timestamp(milliseconds: row.int(5)))
    }
  }

  private static func release(
    _ hold: HoldRow, state: String, _ draft: Draft, on connection: Connection
  ) throws {
    try move(hold, pending: -hold.remaining, posted: 0, on: connection)
    try connection.run(
      "UPDATE hold SET state = ? WHERE id = ?", [.text(state), .blob(hold.id)])
    try draft.append(on: connection)
  }

  /// Moves both sides of a hold together. Funds were checked when it was made, so no CHECK can fail here.
  private static func move(
    _ hold: HoldRow, pending: Int64, posted: Int64, on connection: Connection
  ) throws {
    try connection.run(
      """
      UPDATE account SET debits_pending = debits_pending + ?1, debits_posted = debits_posted + ?2
      WHERE id = ?3
      """, [.int(pending), .int(posted), .int(hold.debit)])
    try connection.run(
      """
      UPDATE account SET credits_pending = credits_pending + ?1, credits_posted = credits_posted + ?2
      WHERE id = ?3
      """, [.int(pending), .int(posted), .int(hold.credit)])
  }
}
