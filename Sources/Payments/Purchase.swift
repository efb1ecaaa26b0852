public import Primitives
public import Identity

/// The kind of a purchase's id, for `ID`.
public enum PurchaseKind: Sendable {}
/// The kind of a refund's id, for `ID`.
public enum PurchaseRefundKind: Sendable {}

/// How far a purchase is.
public enum PurchaseState: String, Sendable, CaseIterable {
  /// Stored; the payment processor has not answered yet.
  case created
  /// Waits for the user to pay.
  case open
  /// Paid by a means that takes days; not yet certain.
  case processing
  /// Paid; the tokens are the user's.
  case paid
  /// The payment failed.
  case failed
  /// Nobody paid in time.
  case expired
  /// Part of the money went back.
  case partiallyRefunded = "partially_refunded"
  /// All of the money went back.
  case refunded
  /// Disputed; the money is still here.
  case disputed
  /// A dispute has taken money back.
  case chargedBack = "charged_back"
}

/// One purchase of tokens.
public struct Purchase: Sendable, Equatable {
  /// The id; also the first key that the processor is asked with.
  public let id: ID<PurchaseKind>
  /// Who buys.
  public let userID: ID<UserKind>
  /// Whole tokens.
  public let tokenAmount: Int64
  /// The price in the currency's minor unit.
  public let amountMinor: Int64
  /// ISO 4217 in lower case.
  public let currency: String
  /// How far it is.
  public internal(set) var state: PurchaseState
  let bodyHash: [UInt8]
  let attempt: Int64
  var checkoutSession: String?
  /// Where to pay.
  public internal(set) var checkoutURL: String?
  var paymentIntent: String?
  /// What was refunded, in the minor unit.
  public internal(set) var refundedMinor: Int64
  /// What disputes hold or took, in the minor unit.
  public internal(set) var disputedMinor: Int64
  /// What the user was given.
  public internal(set) var credited: Microtokens
  /// What was taken back in all.
  public internal(set) var clawed: Microtokens
  /// What of that the platform paid in the user's place, and the user owes.
  public internal(set) var owed: Microtokens
  /// What of that the platform bears for good.
  public internal(set) var forgiven: Microtokens
  /// What an operator should look at, or nil.
  public internal(set) var flag: String?
  /// When it was made.
  public let createdAt: Timestamp
  /// When it last changed.
  public internal(set) var updatedAt: Timestamp

  /// What was bought.
  var bought: Microtokens { Microtokens(tokenAmount * 1_000_000) }

  /// As its buyer sees it. The link is there while it can be paid.
  public var json: JSONObject {
    [
      "purchaseId": .string(id.text), "state": .string(state.rawValue),
      "tokenAmount": .int(tokenAmount), "amountMinor": .int(amountMinor),
      "currency": .string(currency), "checkoutUrl": .optional(state == .open ? checkoutURL : nil),
      "refundedMinor": .int(refundedMinor), "createdAt": .string(createdAt.rfc3339),
      "updatedAt": .string(updatedAt.rfc3339),
    ]
  }

  /// As an admin sees it.
  public var adminJSON: JSONObject {
    var object = json
    object["userId"] = .string(userID.text)
    object["checkoutSession"] = .optional(checkoutSession)
    object["paymentIntent"] = .optional(paymentIntent)
    object["disputedMinor"] = .int(disputedMinor)
    object["creditedMicrotokens"] = .int(credited.count)
    object["clawedMicrotokens"] = .int(clawed.count)
    object["owedMicrotokens"] = .int(owed.count)
    object["forgivenMicrotokens"] = .int(forgiven.count)
    object["flag"] = .optional(flag)
    return object
  }
}

/// What a token costs.
public struct TokenPrice: Sendable, Equatable {
  /// Whole tokens that one purchase may have.
  public static let tokens: ClosedRange<Int64> = 100...100_000
  /// The largest amount that the processor takes.
  static let amountMinorMax: Int64 = 99_999_999

  /// The currency's minor units for a whole token.
  public let minorPerToken: Int64
  /// ISO 4217 in lower case.
  public let currency: String

  /// A price.
  /// - Throws: `Refusal` `validation_failed` where it is no price, or the largest purchase would cost too much.
  public init(minorPerToken: Int64, currency: String) throws(Refusal) {
    let code = currency.lowercased()
    guard code.utf8.count == 3, code.utf8.allSatisfy({ (0x61...0x7A).contains($0) }) else {
      throw Refusal(.validationFailed, "--token-currency is three letters, such as eur.")
    }
    guard (1...TokenPrice.amountMinorMax / TokenPrice.tokens.upperBound).contains(minorPerToken)
    else {
      throw Refusal(.validationFailed, "--token-price is from 1 to 999 minor units a token.")
    }
    self.minorPerToken = minorPerToken
    self.currency = code
  }
}
