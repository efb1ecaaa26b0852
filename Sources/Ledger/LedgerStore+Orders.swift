public import Primitives
public import SQLite

/// What operators do: grants, payouts, refunds. Each leaves an order beside its transfer.
extension LedgerStore {
  /// Gives a user units of the platform's.
  ///
  /// - Parameter throughGrants: By way of the trial grants, whose balance stays as it was; else straight.
  /// - Returns: false where the same grant is there already.
  /// - Throws: `Refusal` as `post`.
  @discardableResult
  public static func grant(
    _ id: ID<TransferKind>, to user: AccountName, _ amount: Microtokens, throughGrants: Bool,
    _ order: LedgerOrder, at now: Timestamp, on connection: Connection
  ) throws -> Bool {
    let source = AccountName.platform(throughGrants ? .platformGrants : .platformPromoExpense)
    return try connection.savepoint {
      if throughGrants {
        try post(
          natural("funds of grant", id.bytes), from: .platform(.platformPromoExpense), to: source,
          amount, reason: "grant funded", at: now, on: connection)
      }
      let isNew = try post(
        id, from: source, to: user, amount, reason: "grant", at: now, on: connection)
      guard isNew else { return false }
      let account = try AccountRow.made(user, on: connection)
      try record(order, .grant, of: account.id, transfer: id, at: now, on: connection)
      return true
    }
  }

  /// Writes down that a provider was paid outside, at most what it has earned.
  ///
  /// The transfer's id follows from provider and reference: the same payment is never booked twice.
  ///
  /// - Parameter reference: Of the bank or payment service: 1 to 64 of `[A-Za-z0-9._-]`.
  /// - Returns: The transfer, and whether it is new.
  /// - Throws: `Refusal` `validation_failed` for a reference, `id_exists_different` where it was used for another
  ///   amount; as `post`.
  @discardableResult
  public static func payOut(
    to provider: String, _ amount: Microtokens, reference: String, _ order: LedgerOrder,
    at now: Timestamp, on connection: Connection
  ) throws -> (id: ID<TransferKind>, isNew: Bool) {
    let isPlain = reference.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
      default: false
      }
    }
    guard isPlain, (1...64).contains(reference.utf8.count) else {
      throw Refusal(
        .validationFailed, "The payment's reference is not valid.",
        fields: [.init("/reference", "must be 1 to 64 letters, digits, dots, dashes, underscores")])
    }
    let account = AccountName.provider(provider)
    let id = natural("payout", Array(provider.utf8) + [0] + Array(reference.utf8))
    let isNew = try connection.savepoint {
      let isNew = try post(
        id, from: account, to: .platform(.externalPayouts), amount, reason: "payout " + reference,
        at: now, on: connection)
      if isNew {
        let row = try AccountRow.made(account, on: connection)
        try record(order, .payout, of: row.id, transfer: id, at: now, on: connection)
      }
      return isNew
    }
    return (id, isNew)
  }

  /// Refunds a capture by order of an operator.
  ///
  /// - Returns: false where the same refund is there already.
  /// - Throws: `Refusal` as `refund`.
  @discardableResult
  public static func refund(
    _ id: ID<TransferKind>, capture: ID<TransferKind>, _ amount: Microtokens, _ order: LedgerOrder,
    at now: Timestamp, on connection: Connection
  ) throws -> Bool {
    try connection.savepoint {
      let isNew = try refund(
        id, capture: capture, amount, reason: "refund", at: now, on: connection)
      guard isNew else { return false }
      let payer = try connection.first(
        "SELECT debit FROM transfer WHERE id = ?", [.blob(capture.bytes)]
      ) { $0.int(0) }
      if let payer {
        try record(order, .refund, of: payer, transfer: id, at: now, on: connection)
      }
      return true
    }
  }
}
