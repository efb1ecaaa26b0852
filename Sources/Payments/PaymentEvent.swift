internal import Cryptography
package import Primitives

/// What a signed event says, as far as purchases go. Names, addresses and cards in it are not read.
package struct PaymentEvent: Equatable, Sendable {
  /// The types that count; every other one is answered and left alone.
  package enum Kind: String, Sendable, CaseIterable {
    case completed = "checkout.session.completed"
    case asyncSucceeded = "checkout.session.async_payment_succeeded"
    case asyncFailed = "checkout.session.async_payment_failed"
    case expired = "checkout.session.expired"
    case refunded = "charge.refunded"
    case disputeCreated = "charge.dispute.created"
    case disputeWithdrawn = "charge.dispute.funds_withdrawn"
    case disputeReinstated = "charge.dispute.funds_reinstated"
    case disputeClosed = "charge.dispute.closed"

    /// Whether its object is a checkout session.
    var isOfSession: Bool { rawValue.hasPrefix("checkout.session.") }
    /// Whether its object is a dispute.
    var isOfDispute: Bool { rawValue.hasPrefix("charge.dispute.") }

    /// Why units move, as the ledger says it.
    var reason: String {
      switch self {
      case .completed, .asyncSucceeded, .asyncFailed, .expired: "tokens bought"
      case .refunded: "payment refunded"
      case .disputeCreated, .disputeWithdrawn: "payment disputed"
      case .disputeReinstated, .disputeClosed: "dispute closed"
      }
    }
  }

  /// The event's id.
  package let id: String
  package let kind: Kind
  /// The id of the session, charge or dispute.
  package let object: String
  /// The purchase that its metadata names.
  package let purchaseID: ID<PurchaseKind>?
  /// The payment behind it, once there is one.
  package let paymentIntent: String?
  /// What was to be paid, was charged, or is disputed: in the currency's minor unit.
  package let amountMinor: Int64?
  /// Of a charge: everything refunded so far.
  package let refundedMinor: Int64?
  /// ISO 4217 in lower case.
  package let currency: String?
  /// A session's payment status, or a dispute's status.
  package let status: String?
  /// When it happened, as the other side says.
  package let occurredAt: Timestamp
  /// SHA-256 of the body.
  package let bodyHash: [UInt8]

  /// Reads the body of an event whose signature is right.
  ///
  /// - Returns: nil for a type that does not count.
  /// - Throws: `Refusal` `malformed_json`, or `validation_failed` where it is no event.
  package static func read(_ body: [UInt8]) throws(Refusal) -> PaymentEvent? {
    guard let event = try? JSON.parse(body) else {
      throw Refusal(.malformedJSON, "The body is no JSON.")
    }
    guard let id = event["id"]?.string, (1...255).contains(id.utf8.count),
      let type = event["type"]?.string, let object = event["data"]?["object"],
      object.object != nil
    else {
      throw Refusal(
        .validationFailed, "The body is no event.",
        fields: [.init("", "must have id, type and data.object")])
    }
    guard let kind = Kind(rawValue: type) else { return nil }
    guard let name = object["id"]?.string, (1...255).contains(name.utf8.count) else {
      throw Refusal(
        .validationFailed, "The event's object has no id.",
        fields: [.init("/data/object/id", "is missing")])
    }
    let created = event["created"]?.int ?? 0
    let reference = object["metadata"]?["purchaseId"]?.string ?? ""
    return PaymentEvent(
      id: id, kind: kind, object: name, purchaseID: ID(reference),
      paymentIntent: text(object["payment_intent"]),
      amountMinor: (object[kind.isOfSession ? "amount_total" : "amount"])?.int,
      refundedMinor: kind == .refunded ? object["amount_refunded"]?.int : nil,
      currency: object["currency"]?.string?.lowercased(),
      status: object[kind.isOfSession ? "payment_status" : "status"]?.string,
      // Far outside of any calendar it is no time, and its milliseconds would not fit.
      occurredAt: Timestamp(milliseconds: min(max(created, 0), 99_999_999_999) * 1_000),
      bodyHash: Digest.sha256(body))
  }

  /// An id, given as itself or as the object in its place.
  private static func text(_ value: JSON?) -> String? {
    guard let id = value?.string ?? value?["id"]?.string, (1...255).contains(id.utf8.count) else {
      return nil
    }
    return id
  }

  /// Why the event cannot be about a payment of this amount, or nil where it can.
  package func contradiction(amountMinor expected: Int64, currency wanted: String) -> String? {
    guard currency == wanted else { return "the currency is not \(wanted)" }
    guard let amount = amountMinor else { return "there is no amount" }
    if kind.isOfDispute {
      return (1...expected).contains(amount) ? nil : "the amount is not within 1 to \(expected)"
    }
    guard amount == expected else { return "the amount is not \(expected)" }
    guard kind == .refunded else { return nil }
    guard let refunded = refundedMinor, (1...expected).contains(refunded) else {
      return "what was refunded is not within 1 to \(expected)"
    }
    return nil
  }
}
