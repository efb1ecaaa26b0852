public import Primitives
public import SQLite

/// The double-entry ledger. Every function runs inside the caller's write transaction, so that what moves units
/// and what they are moved for commit together.
///
/// A transfer that is refused for good (`insufficient_funds`, `account_closed`, `account_frozen`) is remembered as
/// failed, and its id stays failed (L7), also where the refusal leaves the transaction and undoes the rest of it: the
/// memory is a `Connection.remember`, which is written again after each rollback.
///
/// Amounts are Int64 microtokens with checked arithmetic; a balance can only break a CHECK, never go wrong silently.
/// Models: two-phase transfers and sticky failed ids as in TigerBeetle, a hash-chained log as in Formance.
public enum LedgerStore {
  /// Moves units from one account to another at once.
  ///
  /// - Parameter settles: Whether it settles a dispute: only that may debit a frozen account.
  /// - Returns: false where the same transfer is there already.
  /// - Throws: `Refusal` `id_exists_different`, `account_closed`, `account_frozen`, `amount_out_of_range`,
  ///   `insufficient_funds`.
  @discardableResult
  public static func post(
    _ id: ID<TransferKind>, from debit: AccountName, to credit: AccountName, _ amount: Microtokens,
    reason: String, settles: Bool = false, at now: Timestamp, on connection: Connection
  ) throws -> Bool {
    let draft = try Draft(
      id, "post", debit, credit, amount, reason, now, connection, settles: settles)
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
    draft.holdID = draft.id
    draft.holdTerms = (reference, expiresAt.milliseconds)
    if try draft.exists(on: connection) { return false }
    try draft.requireSound(on: connection)
    try draft.requireFunds(on: connection)
    try draft.move(pending: amount.count, posted: 0, on: connection)
    try insert(draft, reference, expiresAt, on: connection)
    try draft.append(on: connection)
    return true
  }

  private static func insert(
    _ draft: Draft, _ reference: [UInt8], _ expiresAt: Timestamp, on connection: Connection
  ) throws {
    try connection.run(
      """
      INSERT INTO hold(id, reference, amount, state, expires_ms, created_ms)
      VALUES (?, ?, ?, 'open', ?, ?)
      """
    ) { values in
      values.add(draft.id)
      values.add(reference)
      values.add(draft.amount.count)
      values.add(expiresAt.milliseconds)
      values.add(draft.at.milliseconds)
    }
  }

  /// Posts part or all of a hold.
  ///
  /// - Parameter keepsOpen: Later captures may follow; else the rest is released and the hold is closed.
  /// - Throws: `Refusal` `not_found`, `hold_already_captured|voided|expired`, `exceeds_hold`,
  ///   `amount_out_of_range`.
  @discardableResult
  public static func capture(
    _ id: ID<TransferKind>, hold holdID: ID<HoldKind>, _ amount: Microtokens,
    keepsOpen: Bool = false, reason: String, at now: Timestamp, on connection: Connection
  ) throws -> Bool {
    let hold = try HoldRow.read(holdID, on: connection)
    var draft = try Draft(id, "capture", hold, amount, reason, now, connection)
    draft.keepsOpen = keepsOpen
    if try draft.exists(on: connection) { return false }
    try hold.requireOpen(at: now)
    try draft.requireSound(on: connection)
    guard amount.count <= hold.remaining else {
      throw Refusal(.exceedsHold, "The hold has \(hold.remaining) microtokens left.")
    }
    // An open hold keeps what is left pending; a closed one gives it back in the same step.
    let pending = keepsOpen ? amount.count : hold.remaining
    if !keepsOpen { draft.released = hold.remaining - amount.count }
    try draft.move(pending: -pending, posted: amount.count, on: connection)
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
  /// - Throws: `Refusal` `not_found`, `hold_already_captured|voided|expired`.
  @discardableResult
  public static func void(
    _ id: ID<TransferKind>, hold holdID: ID<HoldKind>, reason: String, at now: Timestamp,
    on connection: Connection
  ) throws -> Bool {
    let hold = try HoldRow.read(holdID, on: connection)
    let draft = try Draft(
      id, "void", hold, Microtokens(hold.remaining), reason, now, connection)
    if try draft.exists(on: connection) { return false }
    try hold.requireOpen(at: now)
    try release(hold, state: hold.captured > 0 ? "captured" : "voided", draft, on: connection)
    return true
  }

  /// Releases open holds whose time-out is reached, at most 256, in the order of their time-outs.
  public static func expireDue(at now: Timestamp, random: RandomSource, on connection: Connection)
    throws
  {
    let due = try connection.rows(
      "SELECT id FROM hold WHERE state = 'open' AND expires_ms <= ? ORDER BY expires_ms, id LIMIT 256",
      [.int(now.milliseconds)]
    ) { ID<HoldKind>(bytes: $0.blob(0)) }
    for case let holdID? in due {
      let hold = try HoldRow.read(holdID, on: connection)
      let draft = try Draft(
        ID(at: now, random: random), "expire", hold, Microtokens(hold.remaining), "hold timed out",
        now, connection)
      try release(hold, state: "expired", draft, on: connection)
    }
  }

  /// Moves a posted transfer's amount and appends it.
  static func settle(_ draft: Draft, on connection: Connection) throws {
    try draft.requireFunds(on: connection)
    try draft.move(pending: 0, posted: draft.amount.count, on: connection)
    try draft.append(on: connection)
  }

  private static func release(
    _ hold: HoldRow, state: String, _ draft: Draft, on connection: Connection
  ) throws {
    try draft.move(pending: -hold.remaining, posted: 0, on: connection)
    try connection.run(
      "UPDATE hold SET state = ? WHERE id = ?", [.text(state), .blob(hold.id)])
    try draft.append(on: connection)
  }
}
