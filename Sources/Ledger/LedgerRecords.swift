public import Primitives

/// The kind of a transfer's id, for `ID`.
public enum TransferKind: Sendable {}
/// The kind of a hold's id, for `ID`.
public enum HoldKind: Sendable {}

/// The chart of accounts (specification core, 2.1).
public enum AccountKind: String, Sendable, CaseIterable {
  /// Bought tokens of a user.
  case userAvailable = "user_available"
  /// What a provider has earned.
  case providerEarned = "provider_earned"
  /// The platform's fees.
  case platformFees = "platform_fees"
  /// What trials are paid from.
  case platformGrants = "platform_grants"
  /// What funds the trial grants.
  case platformPromoExpense = "platform_promo_expense"
  /// What disputes claw back beyond a user's balance.
  case platformChargebacks = "platform_chargebacks"
  /// The other side of purchases.
  case externalPayments = "external_payments"
  /// The other side of payouts.
  case externalPayouts = "external_payouts"

  /// Whether its balance may be below zero.
  var mayGoNegative: Bool {
    switch self {
    case .platformPromoExpense, .platformChargebacks, .externalPayments: true
    default: false
    }
  }
}

/// An account: a kind and, where there is one each, whose.
public struct AccountName: Sendable, Hashable {
  /// What it is for.
  public let kind: AccountKind
  /// The user's 16 bytes or the provider's id; empty for the platform.
  public let owner: [UInt8]

  /// The account of a kind and an owner.
  package init(kind: AccountKind, owner: [UInt8]) {
    self.kind = kind
    self.owner = owner
  }

  /// The owner tells nearly all apart; a kind would be hashed as its text.
  public func hash(into hasher: inout Hasher) {
    owner.withUnsafeBytes { hasher.combine(bytes: $0) }
  }

  /// The platform's account of a kind.
  public static func platform(_ kind: AccountKind) -> AccountName {
    AccountName(kind: kind, owner: [])
  }
  /// What a user has bought.
  public static func user<Kind>(_ id: ID<Kind>) -> AccountName {
    AccountName(kind: .userAvailable, owner: id.bytes)
  }
  /// What a provider has earned.
  public static func provider(_ id: String) -> AccountName {
    AccountName(kind: .providerEarned, owner: Array(id.utf8))
  }
}

/// Whether an account may take part in transfers.
public enum AccountStanding: Sendable, Equatable {
  /// It may.
  case open
  /// It may not spend, after a dispute; it may receive.
  case frozen(since: Timestamp)
  /// It takes part in nothing any more.
  case closed
}

/// What an account has.
public struct Balance: Sendable, Equatable {
  /// Nothing.
  public static let zero = Balance(balance: Microtokens(0), held: Microtokens(0))

  /// Credits less debits, posted.
  public let balance: Microtokens
  /// What open holds reserve.
  public let held: Microtokens
  /// What can be spent.
  public var available: Microtokens { Microtokens(balance.count - held.count) }
}

/// One movement as an account's owner sees it.
public struct LedgerEntry: Sendable {
  /// The place in the ledger's one sequence.
  public let sequence: Int64
  /// The transfer.
  public let id: ID<TransferKind>
  /// `post, hold, capture, void, expire, fee` or `refund`.
  public let kind: String
  /// Negative where the account was debited.
  public let amount: Microtokens
  /// Why, as a stable word or two.
  public let reason: String
  /// When.
  public let at: Timestamp
  /// What it did to the balance: 0 for holds and what releases them.
  public let balanceChange: Microtokens
  /// What it did to what is held.
  public let heldChange: Microtokens
  /// What the account on the other side is for.
  public let counterparty: AccountKind
  /// The hold, where it has to do with one.
  public let holdID: ID<HoldKind>?
  /// The capture of a fee or refund, or the fee of a returned one.
  public let refersTo: ID<TransferKind>?
}

/// What a verification of the ledger found.
public struct LedgerReport: Sendable, Equatable {
  /// Transfers read.
  public let transferCount: Int
  /// The last transfer.
  public var sequence: Int64 = 0
  /// The checkpoint that it began after; 0 for the first transfer.
  public var from: Int64 = 0
  /// What does not hold, at most 100 and a few; empty for a sound ledger.
  public let faults: [String]
  /// Marks that are not what their transfers come to, at most 100 and a few. They are no faults: no unit depends on
  /// them, and all are written again.
  public var wrongMarks: [String] = []
  /// Whether everything holds that units depend on.
  public var isSound: Bool { faults.isEmpty }

  /// The same with further faults.
  public func adding(_ more: [String]) -> LedgerReport {
    LedgerReport(
      transferCount: transferCount, sequence: sequence, from: from, faults: faults + more,
      wrongMarks: wrongMarks)
  }
}
