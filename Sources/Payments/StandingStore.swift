public import Identity
internal import Ledger
public import Primitives
public import SQLite

/// Whether a user may spend: a dispute that takes more than the user has freezes the account (specification core, 2.1).
public enum StandingStore {
  /// Refuses a frozen user; asked before tokens are bought. Holds and transfers are refused by the ledger itself.
  ///
  /// - Throws: `Refusal` `account_frozen`.
  public static func requireNotFrozen(_ user: ID<UserKind>, on connection: Connection) throws {
    guard try frozenSince(user, on: connection) == nil else {
      throw Refusal(
        .accountFrozen,
        "A disputed payment took more than the account has; an admin must settle it first.")
    }
  }

  /// What must hold before a user's units are reserved: the account is not frozen, and its debts are paid first.
  ///
  /// - Throws: `Refusal` `account_frozen`.
  public static func requireSettled(
    _ user: ID<UserKind>, at now: Timestamp, on connection: Connection
  ) throws {
    try requireNotFrozen(user, on: connection)
    try PurchaseLedger.collectDebts(of: user, at: now, on: connection)
  }

  /// Since when the user is frozen, or nil.
  public static func frozenSince(
    _ user: ID<UserKind>, on connection: Connection
  ) throws -> Timestamp? {
    guard case .frozen(let since) = try LedgerStore.standing(.user(user), on: connection) else {
      return nil
    }
    return since
  }

  /// Frozen once stays frozen, since the first time, until it is lifted.
  static func freeze(_ user: ID<UserKind>, at now: Timestamp, on connection: Connection) throws {
    let order = LedgerOrder(actor: [], reason: disputeReason)
    try LedgerStore.freeze(.user(user), order, at: now, on: connection)
  }

  private static let disputeReason = "disputed payment"

  private static func isFrozenByDispute(
    _ user: ID<UserKind>, on connection: Connection
  ) throws -> Bool {
    let account = AccountName.user(user)
    return try connection.first(
      """
      SELECT o.actor = x'' AND o.reason = ? FROM ledger_order o JOIN account a ON a.id = o.account
      WHERE a.kind = ? AND a.owner = ? AND o.action = 'freeze' ORDER BY o.seq DESC LIMIT 1
      """, [.text(disputeReason), .text(account.kind.rawValue), .blob(account.owner)]
    ) { $0.int(0) == 1 } ?? false
  }

  /// - Parameter admin: Who settled it; nil where the disputed money came back: that lifts no freeze of an admin's.
  static func lift(
    _ user: ID<UserKind>, by admin: ID<UserKind>?, at now: Timestamp, on connection: Connection
  ) throws {
    guard try frozenSince(user, on: connection) != nil,
      try admin != nil || isFrozenByDispute(user, on: connection)
    else { return }
    let order = LedgerOrder(
      actor: admin?.bytes ?? [], reason: admin == nil ? "dispute closed" : "debt settled")
    try LedgerStore.unfreeze(.user(user), order, at: now, on: connection)
  }

  /// A user who is frozen or owes.
  struct Debtor {
    let user: ID<UserKind>
    let owed: Microtokens
    let frozenAt: Timestamp?

    var json: JSON {
      [
        "userId": .string(user.text), "owedMicrotokens": .int(owed.count),
        "frozenAt": .optional(frozenAt?.rfc3339),
      ]
    }
  }

  /// Everybody who owes, or whose money a dispute holds and who is frozen, by id, after one, at most so many.
  static func debtors(
    after user: ID<UserKind>?, limit: Int, on connection: Connection
  ) throws -> [Debtor] {
    var found: [Debtor] = []
    try connection.query(
      """
      SELECT user_id, sum(owed) FROM purchase WHERE user_id > ? AND (owed > 0 OR disputed_minor > 0)
      GROUP BY user_id ORDER BY user_id
      """, [.blob(user?.bytes ?? [])]
    ) { row in
      guard let id = ID<UserKind>(bytes: row.blob(0)) else { return true }
      let frozenAt = try frozenSince(id, on: connection)
      if row.int(1) > 0 || frozenAt != nil {
        found.append(Debtor(user: id, owed: Microtokens(row.int(1)), frozenAt: frozenAt))
      }
      return found.count < limit
    }
    return found
  }
}
