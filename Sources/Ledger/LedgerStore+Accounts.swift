public import Primitives
public import SQLite

/// Who orders what of an account; kept for ever beside the transfers.
public struct LedgerOrder: Sendable {
  /// What was done.
  public enum Action: String, Sendable {
    case grant, payout, refund, freeze, unfreeze, close
  }

  /// The admin's 16 bytes; empty for the command line and for payment events.
  public let actor: [UInt8]
  /// Why: 1 to 200 characters, nothing about a person.
  public let reason: String

  /// An order of an actor.
  public init(actor: [UInt8], reason: String) {
    self.actor = actor
    self.reason = reason
  }
}

extension LedgerStore {
  /// What an account has; an account that was never used has nothing.
  public static func balance(_ name: AccountName, on connection: Connection) throws -> Balance {
    try connection.first(
      """
      SELECT credits_posted - debits_posted, debits_pending FROM account
      WHERE kind = ? AND owner = ?
      """, [.text(name.kind.rawValue), .blob(name.owner)]
    ) { Balance(balance: Microtokens($0.int(0)), held: Microtokens($0.int(1))) } ?? .zero
  }

  /// Whether an account is open, frozen or closed; one that was never used is open.
  public static func standing(_ name: AccountName, on connection: Connection) throws
    -> AccountStanding
  {
    try connection.first(
      "SELECT closed, frozen_ms FROM account WHERE kind = ? AND owner = ?",
      [.text(name.kind.rawValue), .blob(name.owner)]
    ) { row in
      if row.int(0) == 1 { return .closed }
      return row.optionalInt(1).map { .frozen(since: Timestamp(milliseconds: $0)) } ?? .open
    } ?? .open
  }

  /// Stops an account from spending; what is held already may still be captured. Again changes nothing.
  public static func freeze(
    _ name: AccountName, _ order: LedgerOrder, at now: Timestamp, on connection: Connection
  ) throws {
    let account = try AccountRow.made(name, on: connection)
    if account.isFrozen { return }
    try requireReason(order)
    try connection.run(
      "UPDATE account SET frozen_ms = ? WHERE id = ?",
      [.int(now.milliseconds), .int(account.id)])
    try record(order, .freeze, of: account.id, transfer: nil, at: now, on: connection)
  }

  /// Lets a frozen account spend again. Again changes nothing.
  public static func unfreeze(
    _ name: AccountName, _ order: LedgerOrder, at now: Timestamp, on connection: Connection
  ) throws {
    let account = try AccountRow.made(name, on: connection)
    guard account.isFrozen else { return }
    try requireReason(order)
    try connection.run("UPDATE account SET frozen_ms = NULL WHERE id = ?", [.int(account.id)])
    try record(order, .unfreeze, of: account.id, transfer: nil, at: now, on: connection)
  }

  /// Closes an account for ever: no transfer takes part in it any more. Again changes nothing.
  ///
  /// - Throws: `Refusal` `balance_not_empty` where it has units, or a hold on either side of it is open.
  public static func close(
    _ name: AccountName, _ order: LedgerOrder, at now: Timestamp, on connection: Connection
  ) throws {
    let account = try AccountRow.made(name, on: connection)
    if account.isClosed { return }
    let isEmpty = try connection.first(
      """
      SELECT credits_posted = debits_posted AND debits_pending = 0 AND credits_pending = 0
      FROM account WHERE id = ?
      """, [.int(account.id)]
    ) { $0.int(0) == 1 }
    guard isEmpty == true else {
      throw Refusal(.balanceNotEmpty, "The account still has units, or a hold on it is open.")
    }
    try requireReason(order)
    try connection.run("UPDATE account SET closed = 1 WHERE id = ?", [.int(account.id)])
    try record(order, .close, of: account.id, transfer: nil, at: now, on: connection)
  }

  /// Writes an order down, in the transaction of what it ordered.
  static func record(
    _ order: LedgerOrder, _ action: LedgerOrder.Action, of account: Int64,
    transfer: ID<TransferKind>?, at now: Timestamp, on connection: Connection
  ) throws {
    try requireReason(order)
    try connection.run(
      """
      INSERT INTO ledger_order(actor, action, account, transfer_id, reason, at_ms)
      VALUES (?, ?, ?, ?, ?, ?)
      """,
      [
        .blob(order.actor), .text(action.rawValue), .int(account), .optional(transfer?.bytes),
        .text(order.reason), .int(now.milliseconds),
      ])
  }

  private static func requireReason(_ order: LedgerOrder) throws(Refusal) {
    guard (1...200).contains(order.reason.unicodeScalars.count) else {
      throw Refusal(
        .validationFailed, "Give a reason.",
        fields: [.init("/reason", "must have 1 to 200 characters")])
    }
  }
}
