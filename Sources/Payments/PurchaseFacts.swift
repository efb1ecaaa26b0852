package import Primitives

/// What is known of a purchase's payment: the sum of its events in any order, each any number of times.
///
/// Events come late, twice and in the wrong order, so nothing here depends on when they come: a flag once set stays,
/// refunds are cumulative at their source and the largest counts, and a dispute is counted by its id.
package struct PurchaseFacts: Equatable, Sendable {
  /// One dispute of the payment.
  package struct Dispute: Equatable, Sendable {
    package var amountMinor: Int64 = 0
    package var isWithdrawn = false
    package var isReinstated = false
    /// How it ended, where it has: `won`, `lost`, `warning_closed`.
    package var endings: Set<String> = []

    /// Whether the money is gone. A loss says so even where the withdrawal was not heard of; what came back is back.
    var isTaken: Bool {
      (isWithdrawn || endings.contains("lost")) && !isReinstated && !endings.contains("won")
    }
    var isOpen: Bool { endings.isEmpty && !isReinstated }
  }

  package var isPaid = false
  package var isProcessing = false
  package var hasFailed = false
  package var hasExpired = false
  package var refundedMinor: Int64 = 0
  package var disputes: [String: Dispute] = [:]

  package init() {}

  /// Adds what an event says.
  package mutating func add(
    _ kind: PaymentEvent.Kind, object: String, amountMinor: Int64, refundedMinor refunded: Int64,
    status: String
  ) {
    switch kind {
    case .completed where status == "paid": isPaid = true
    case .completed: isProcessing = true
    case .asyncSucceeded: isPaid = true
    case .asyncFailed: hasFailed = true
    case .expired: hasExpired = true
    case .refunded: refundedMinor = max(refundedMinor, refunded)
    case .disputeCreated, .disputeWithdrawn, .disputeReinstated, .disputeClosed:
      var dispute = disputes[object] ?? Dispute()
      dispute.amountMinor = max(dispute.amountMinor, amountMinor)
      if kind == .disputeWithdrawn { dispute.isWithdrawn = true }
      if kind == .disputeReinstated { dispute.isReinstated = true }
      if kind == .disputeClosed { dispute.endings.insert(status) }
      disputes[object] = dispute
    }
  }

  /// What disputes have taken of the payment.
  package var disputedMinor: Int64 {
    // Each is at most a purchase's price, and there are few: the sum stays far below 2^63.
    disputes.values.reduce(0) { $0 + ($1.isTaken ? $1.amountMinor : 0) }
  }

  /// How much of what was bought must have been taken back: floor(bought x taken / price), all of it at the full price.
  package func clawed(of bought: Microtokens, price: Int64) -> Microtokens {
    guard isPaid else { return Microtokens(0) }
    let taken = min(price, refundedMinor + disputedMinor)
    // 128 bits between: microtokens times minor units pass 2^63.
    return Microtokens(
      price.dividingFullWidth(bought.count.multipliedFullWidth(by: taken)).quotient)
  }

  /// The state that the facts make.
  package func state(price: Int64, isOpen: Bool) -> PurchaseState {
    if isPaid {
      if disputedMinor > 0 { return .chargedBack }
      if disputes.values.contains(where: \.isOpen) { return .disputed }
      if refundedMinor >= price { return .refunded }
      return refundedMinor > 0 ? .partiallyRefunded : .paid
    }
    if hasFailed { return .failed }
    if hasExpired { return .expired }
    if isProcessing { return .processing }
    return isOpen ? .open : .created
  }
}
