public import Identity
public import Primitives
internal import SQLite

/// Refunds that an admin asks of the payment processor. The tokens go back on the signed event, as with any refund.
extension PaymentDesk {
  /// Asks for a refund, or goes on with the one that the key began.
  ///
  /// - Parameters:
  ///   - amountMinor: In the currency's minor unit; nil for all that is left.
  ///   - reason: At most 200 characters, for the record.
  /// - Returns: 201 with the refund as the processor took it.
  /// - Throws: `Refusal` `payments_unavailable` (try again with the same key: the processor refunds once),
  ///   `idempotency_in_flight`, `idempotency_conflict`, `purchases_not_offered`. Kept for the key are `not_found`,
  ///   `invalid_transition` (not paid, or refused by the processor) and `exceeds_capture`.
  public func refund(
    _ id: ID<PurchaseKind>, amountMinor: Int64?, reason: String, by admin: ID<UserKind>,
    author: AuditLog.Author, key: Idempotency.Key, refused: @escaping Refused
  ) async throws -> Idempotency.Answer {
    let request = RefundRequest(id: id, amountMinor: amountMinor, reason: reason, admin: admin)
    let begun = try await begin(request, key: key, refused: refused)
    if let answer = begun.answer { return answer }
    guard let refund = begun.refund, let processor else { throw PaymentDesk.notOffered }
    return try await alone(refund.id.bytes) {
      // The same key for ever: after a failure without an answer a new one could refund twice.
      let outcome = await processor.post(
        "/v1/refunds", refund.form, idempotencyKey: refund.id.text)
      switch outcome {
      case .done(let object):
        return try await close(
          refund, object["id"]?.string, nil, by: author, key: key, refused: refused)
      case .refused(let reason):
        log("payments: refund \(refund.id.text): \(reason)")
        let refusal = Refusal(
          .invalidTransition, "The payment processor refuses this refund (\(reason)).")
        return try await close(refund, nil, refusal, by: author, key: key, refused: refused)
      case .unavailable(let reason), .spent(let reason):
        throw unavailable("refund \(refund.id.text): \(reason)")
      }
    }
  }

  private struct RefundRequest: Sendable {
    let id: ID<PurchaseKind>
    let amountMinor: Int64?
    let reason: String
    let admin: ID<UserKind>
  }

  private func begin(
    _ request: RefundRequest, key: Idempotency.Key, refused: @escaping Refused
  ) async throws -> (answer: Idempotency.Answer?, refund: RefundStore.Refund?) {
    let now = clock.now
    return try await database.write { connection in
      if let answer = try replay(key, at: now, refused, on: connection) { return (answer, nil) }
      if let begun = try RefundStore.refund(requestKey: key.fingerprint, on: connection) {
        try PaymentDesk.require(begun.bodyHash == key.bodyDigest)
        guard now < begun.createdAt + PaymentDesk.processorKeyMilliseconds else {
          return (try forgotten(key, at: now, refused: refused, on: connection), nil)
        }
        return (nil, begun)
      }
      guard processor != nil else { throw PaymentDesk.notOffered }
      do {
        let refund = try admit(request, key: key, at: now, on: connection)
        try RefundStore.insert(refund, requestKey: key.fingerprint, on: connection)
        return (nil, refund)
      } catch let refusal as Refusal {
        let answer = try idempotency.once(key, at: now, on: connection, refused: refused) {
          throw refusal
        }
        return (answer, nil)
      }
    }
  }

  /// The answer where the processor may have forgotten the refund's key: to ask again could refund twice.
  private func forgotten(
    _ key: Idempotency.Key, at now: Timestamp, refused: Refused, on connection: Connection
  ) throws -> Idempotency.Answer {
    try idempotency.once(key, at: now, on: connection, refused: refused) {
      throw Refusal(
        .invalidTransition,
        "The payment processor never said what became of this refund, and asking again could refund twice. Look there, then send what is missing with a new key."
      )
    }
  }

  private func admit(
    _ request: RefundRequest, key: Idempotency.Key, at now: Timestamp, on connection: Connection
  ) throws -> RefundStore.Refund {
    guard let purchase = try PurchaseStore.purchase(request.id, on: connection) else {
      throw Refusal(.notFound, "There is no such purchase.")
    }
    // By its events, not by its tokens: what a closed account could not take must go back all the more.
    let facts = try PaymentEventStore.facts(of: purchase.id, on: connection)
    guard facts.isPaid, let payment = purchase.paymentIntent else {
      throw Refusal(.invalidTransition, "Only what was paid can be refunded.")
    }
    // What was asked of the processor may not have come back as an event yet.
    let asked = try RefundStore.asked(
      of: purchase.id, since: now + -PaymentDesk.keptMilliseconds, on: connection)
    let left = purchase.amountMinor - max(facts.refundedMinor, asked)
    let amount = request.amountMinor ?? left
    guard amount >= 1, amount <= left else {
      throw Refusal(.exceedsCapture, "The purchase has \(max(0, left)) left to refund.")
    }
    return RefundStore.Refund(
      id: ID(at: now, random: random), purchaseID: purchase.id, payment: payment,
      amountMinor: amount, currency: purchase.currency, reason: request.reason,
      adminID: request.admin, state: "requested", bodyHash: key.bodyDigest, processorID: nil,
      createdAt: now)
  }

  private func close(
    _ refund: RefundStore.Refund, _ processorID: String?, _ refusal: Refusal?,
    by author: AuditLog.Author, key: Idempotency.Key, refused: @escaping Refused
  ) async throws -> Idempotency.Answer {
    let now = clock.now
    return try await database.write { connection in
      var closed = refund
      closed.state = refusal == nil ? "accepted" : "refused"
      closed.processorID = processorID
      // Outside of the keyed effect: that one is undone where it refuses.
      if try RefundStore.close(closed, at: now, on: connection) {
        try AuditLog.record(
          "purchase.refund", on: "purchase:" + refund.purchaseID.text,
          detail: "\(closed.state) \(refund.amountMinor) \(refund.currency)", by: author, at: now,
          on: connection)
      }
      return try idempotency.once(key, at: now, on: connection, refused: refused) {
        if let refusal { throw refusal }
        return Idempotency.Answer(status: 201, body: JSON.object(closed.json).bytes)
      }
    }
  }
}
