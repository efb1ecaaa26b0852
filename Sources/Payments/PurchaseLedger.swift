internal import Cryptography
internal import Identity
internal import Ledger
internal import Primitives
internal import SQLite

/// Brings the ledger to what the facts of a purchase ask for, inside the transaction that stores the fact.
///
/// What moves depends only on where the purchase stands and where it must stand, never on which event says so.
/// Afterwards a user either has something available or owes something, never both, so that the order in which events
/// come, also those of different purchases, changes no balance.
struct PurchaseLedger {
  /// What the transfers' ids are derived from: the event's id, or that of an admin's act.
  let cause: String
  let reason: String
  let now: Timestamp
  let connection: Connection

  /// Moves what is missing and writes the purchase.
  ///
  /// - Throws: `Refusal` `account_closed` where the user's account takes nothing any more.
  func settle(_ purchase: inout Purchase, _ facts: PurchaseFacts) throws {
    let user = AccountName.user(purchase.userID)
    if facts.isPaid, purchase.credited < purchase.bought {
      try post("credit", from: .payments, to: user, purchase.bought, reason: "tokens bought")
      purchase.credited = purchase.bought
    }
    let target = facts.clawed(of: purchase.bought, price: purchase.amountMinor)
    let change = target.count - purchase.clawed.count
    if change > 0 { try claw(change, from: &purchase) }
    if change < 0 { try giveBack(-change, to: &purchase) }
    purchase.clawed = target
    purchase.refundedMinor = facts.refundedMinor
    purchase.disputedMinor = facts.disputedMinor
    purchase.state = facts.state(
      price: purchase.amountMinor, isOpen: purchase.checkoutURL != nil)
    purchase.updatedAt = now
    try PurchaseStore.update(purchase, on: connection)
    let owed = try collect(from: purchase.userID)
    if owed > 0, try PurchaseStore.isDisputed(purchase.userID, on: connection) {
      try StandingStore.freeze(purchase.userID, at: now, on: connection)
    } else if owed == 0, change < 0 {
      try StandingStore.lift(purchase.userID, by: nil, at: now, on: connection)
    }
  }

  /// Takes back from the user what is available; the platform pays the rest in the user's place.
  private func claw(_ amount: Int64, from purchase: inout Purchase) throws {
    let user = AccountName.user(purchase.userID)
    let available = try LedgerStore.balance(user, on: connection).available.count
    let own = min(amount, max(0, available))
    try post("claw", from: user, to: .payments, Microtokens(own))
    try post("claw-rest", from: .chargebacks, to: .payments, Microtokens(amount - own))
    purchase.owed = Microtokens(purchase.owed.count + amount - own)
  }

  /// Gives back what came back: first to the platform what it paid for this purchase, then to the user.
  private func giveBack(_ amount: Int64, to purchase: inout Purchase) throws {
    let owed = min(amount, purchase.owed.count)
    let forgiven = min(amount - owed, purchase.forgiven.count)
    try post(
      "return-rest", from: .payments, to: .chargebacks, Microtokens(owed + forgiven))
    try post(
      "return", from: .payments, to: .user(purchase.userID), Microtokens(amount - owed - forgiven))
    purchase.owed = Microtokens(purchase.owed.count - owed)
    purchase.forgiven = Microtokens(purchase.forgiven.count - forgiven)
  }

  /// Pays the user's debts from what is available, oldest purchase first.
  /// - Returns: What is still owed, in microtokens.
  func collect(from userID: ID<UserKind>) throws -> Int64 {
    let debts = try PurchaseStore.owing(userID, on: connection)
    let owed = debts.reduce(0) { $0 + $1.owed.count }
    guard owed > 0 else { return 0 }
    let user = AccountName.user(userID)
    var left = min(owed, max(0, try LedgerStore.balance(user, on: connection).available.count))
    let rest = owed - left
    try post("collect", from: user, to: .chargebacks, Microtokens(left), reason: "debt paid")
    for var purchase in debts where left > 0 {
      let part = min(left, purchase.owed.count)
      left -= part
      purchase.owed = Microtokens(purchase.owed.count - part)
      // What the user paid of it is no debt and no loss: it counts as taken from the user.
      try PurchaseStore.update(purchase, on: connection)
    }
    return rest
  }

  /// Has the user pay what is owed before anything is spent: what a session held when the money went back is
  /// released later, and grants come at any time.
  static func collectDebts(
    of userID: ID<UserKind>, at now: Timestamp, on connection: Connection
  ) throws {
    // Each collection appends a movement: the ledger's length is a cause that never comes again.
    let length = try connection.first("SELECT coalesce(max(seq), 0) FROM transfer") { $0.int(0) }
    let cause = "before spending \(userID.text) \(length ?? 0)"
    _ = try PurchaseLedger(cause: cause, reason: "debt paid", now: now, connection: connection)
      .collect(from: userID)
  }

  private func post(
    _ step: String, from debit: AccountName, to credit: AccountName, _ amount: Microtokens,
    reason given: String? = nil
  ) throws {
    guard amount.count > 0 else { return }
    let name = Digest.sha256(Array("payment\n\(cause)\n\(step)".utf8))
    guard let id = ID<TransferKind>(bytes: Array(name[..<16])) else { return }
    // A frozen account must still take part: its debt is what is settled here.
    try LedgerStore.post(
      id, from: debit, to: credit, amount, reason: given ?? reason, settles: true, at: now,
      on: connection)
  }
}

extension AccountName {
  fileprivate static var payments: AccountName { .platform(.externalPayments) }
  fileprivate static var chargebacks: AccountName { .platform(.platformChargebacks) }
}
