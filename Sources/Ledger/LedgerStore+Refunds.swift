internal import Cryptography
public import Primitives
public import SQLite

extension LedgerStore {
  /// Gives back part or all of a capture, and the fee's share of it.
  ///
  /// - Throws: `Refusal` `not_found`, `account_closed`, `amount_out_of_range`, `exceeds_capture` where the refunds
  ///   together would be more than the capture; `insufficient_funds` where the platform has not the fee's share.
  @discardableResult
  public static func refund(
    _ id: ID<TransferKind>, capture captureID: ID<TransferKind>, _ amount: Microtokens,
    reason: String, at now: Timestamp, on connection: Connection
  ) throws -> Bool {
    let found = try connection.first(
      """
      SELECT debit, credit, amount FROM transfer WHERE id = ? AND kind = 'capture'
      """, [.blob(captureID.bytes)]
    ) { (debit: $0.int(0), credit: $0.int(1), amount: $0.int(2)) }
    guard let capture = found else { throw Refusal(.notFound, "There is no such capture.") }
    var draft = try Draft(
      id, returning: captureID.bytes, from: capture.credit, to: capture.debit, amount, reason, now,
      connection)
    if try draft.exists(on: connection) { return false }
    try draft.requireSound(on: connection)
    let before = try refunded(captureID.bytes, on: connection)
    guard amount.count <= capture.amount - before else {
      throw Refusal(
        .exceedsCapture, "The capture has \(capture.amount - before) microtokens left to refund.")
    }
    try connection.savepoint {
      // The platform's share comes back first, so that the provider can pay it on.
      try returnFee(
        of: captureID, captured: capture.amount, refunded: before + amount.count, by: id, at: now,
        on: connection)
      try draft.refresh(on: connection)
      try settle(draft, on: connection)
    }
    return true
  }

  /// What was given back of a transfer until now.
  static func refunded(_ id: [UInt8], on connection: Connection) throws -> Int64 {
    try connection.first(
      "SELECT coalesce(sum(amount), 0) FROM transfer WHERE refers_to = ? AND kind = 'refund'",
      [.blob(id)]
    ) { $0.int(0) } ?? 0
  }

  /// Returns the fee's share of everything refunded so far, floor(fee x refunded / captured), less what was
  /// returned before (2.1).
  private static func returnFee(
    of captureID: ID<TransferKind>, captured: Int64, refunded total: Int64,
    by refund: ID<TransferKind>, at now: Timestamp, on connection: Connection
  ) throws {
    let found = try connection.first(
      "SELECT id, debit, credit, amount FROM transfer WHERE refers_to = ? AND kind = 'fee'",
      [.blob(captureID.bytes)]
    ) { (id: $0.blob(0), debit: $0.int(1), credit: $0.int(2), amount: $0.int(3)) }
    guard let fee = found else { return }
    let returned = try refunded(fee.id, on: connection)
    let share = captured.dividingFullWidth(fee.amount.multipliedFullWidth(by: total)).quotient
    guard share > returned else { return }
    let draft = try Draft(
      natural("fee of refund", refund.bytes), returning: fee.id, from: fee.credit, to: fee.debit,
      Microtokens(share - returned), "platform fee returned", now, connection)
    if try draft.exists(on: connection) { return }
    try settle(draft, on: connection)
  }

  /// Moves the platform's share of a capture from the provider to the platform: floor(captured x bps / 10,000).
  /// A share of 0 moves nothing.
  ///
  /// - Parameter basisPoints: 0 to 10,000.
  /// - Throws: `Refusal` as `post`.
  public static func fee(
    _ id: ID<TransferKind>, ofCapture captureID: ID<TransferKind>, captured: Microtokens,
    provider: AccountName, basisPoints: Int64, at now: Timestamp, on connection: Connection
  ) throws {
    let share = feeShare(of: captured, basisPoints: basisPoints)
    guard share.count > 0 else { return }
    var draft = try Draft(
      id, "fee", provider, .platform(.platformFees), share, "platform fee", now, connection)
    draft.refersTo = captureID.bytes
    if try draft.exists(on: connection) { return }
    try draft.requireSound(on: connection)
    try settle(draft, on: connection)
  }

  /// The platform's share of a capture: floor(captured x basis points / 10,000).
  public static func feeShare(of captured: Microtokens, basisPoints: Int64) -> Microtokens {
    precondition((0...10_000).contains(basisPoints), "a fee has 0 to 10,000 basis points")
    let wide = captured.count.multipliedFullWidth(by: basisPoints)
    return Microtokens(Int64(10_000).dividingFullWidth(wide).quotient)
  }

  /// The id that follows from what a transfer is for, so that the same cause never moves units twice (L7).
  public static func natural(_ purpose: String, _ name: [UInt8]) -> ID<TransferKind> {
    let digest = Digest.sha256(Array(purpose.utf8) + [0] + name)
    func word(_ range: Range<Int>) -> UInt64 { digest[range].reduce(0) { $0 << 8 | UInt64($1) } }
    return ID(high: word(0..<8), low: word(8..<16))
  }
}
