public import Primitives

/// The terms as people and their programs see them: from stored fields only.
extension SessionTerms {
  /// Whether the user pays.
  public var isPaid: Bool { plan != .trial }

  /// The terms as a document; `termsHash` names exactly these.
  public var json: JSONObject {
    let fee = Metering.share(of: amount, basisPoints: feeBasisPoints)
    return [
      "kind": .string(isPaid ? "paid" : "trial"), "plan": .string(plan.rawValue),
      "serviceId": .string(serviceID), "serviceName": .string(serviceName),
      "provider": .string(providerName), "offerId": .string(offerID), "revision": .int(revision),
      "durationMinutes": .int(minutes), "maxTokens": .int(cap / 1_000_000),
      "ratePerHourMicrotokens": .int(ratePerHour), "unitPriceMicrotokens": .int(unitPrice),
      "unit": plan == .usage ? .string(unit) : .null,
      "heldMicrotokens": .int(amount), "paidBy": .string(isPaid ? "user" : "platform"),
      "paidTo": .string(runBy), "userPaysMicrotokens": .int(isPaid ? amount : 0),
      "feeBasisPoints": .int(feeBasisPoints), "feeMicrotokens": .int(fee),
      "sandbox": .bool(isSandbox), "text": .string(consent),
      "termsHash": .string(BytesText.hex(hash)),
    ]
  }

  /// The consent: who pays how much to whom, for what and how long, what comes back, and until when.
  public var consent: String {
    let end = "This offer ends five minutes after it was made."
    let most = Microtokens(amount).tokens
    guard isPaid else {
      let lead =
        isSandbox ? "Demo trial in the sandbox, not offered by \(providerName). " : ""
      return lead
        + "Try \(serviceName) by \(providerName) for \(minutes) minutes. You pay 0 tokens; the platform pays up to \(most). Unused tokens go back to the platform. \(end)"
    }
    let price =
      plan == .usage
      ? "\(Microtokens(unitPrice).tokens) tokens for each \(unit) that it reports"
      : "\(Microtokens(ratePerHour).tokens) tokens an hour of active time"
    return
      "Use \(serviceName) by \(providerName) for up to \(minutes) minutes at \(price). You pay at most \(most) tokens, which are reserved now; what is not used comes back when the session ends, what was used does not. The platform keeps \(SessionTerms.percent(feeBasisPoints))% of what you pay, \(providerName) gets the rest. \(end)"
  }

  /// Ten-thousandths as a percentage: 2000 is `20`, 2050 is `20.5`.
  private static func percent(_ basisPoints: Int64) -> String {
    Microtokens(basisPoints * 10_000).tokens
  }
}
