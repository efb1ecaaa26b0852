public import Identity
public import Primitives
public import SQLite

extension PaymentDesk {
  /// Forgets what leads from a person's purchases to its pages at the processor, in the running transaction. Amounts
  /// and the processor's ids stay: refunds and disputes come later.
  public func erase(_ user: ID<UserKind>, on connection: Connection) throws {
    try PurchaseStore.forgetPages(of: user, on: connection)
  }
}
