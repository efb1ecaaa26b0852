public import Identity
public import Primitives
public import SQLite
internal import Synchronization

/// Purchases of tokens through a payment processor (specification core, 2.1 and 9.2).
///
/// A purchase takes three steps: it is stored, the processor is asked, its answer is stored. Whatever fails between,
/// the next request with the same Idempotency-Key goes on with the same purchase and the same key at the processor.
/// Units move on a signed event alone.
public struct PaymentDesk: Sendable {
  /// How long a keyed request is known again, as long as its answer is kept.
  static let keptMilliseconds = Idempotency.keptMilliseconds
  /// How long the processor certainly knows a key again: it promises 24 hours (docs.stripe.com/api/idempotent_requests).
  static let processorKeyMilliseconds: Int64 = 23 * 3_600_000
  /// How long an event waits for its purchase; the processor itself gives up after three days.
  static let waitingMilliseconds: Int64 = 90 * 86_400_000
  /// Purchases of one user that may wait to be paid at once, of the last 24 hours.
  public static let unpaidMax: Int64 = 50
  /// Requests to the processor end sooner than this; a retry is welcome then.
  static let retrySeconds = 5

  /// What turns a refusal into the answer that is kept for its key.
  public typealias Refused = @Sendable (Refusal) -> Idempotency.Answer

  let database: Database
  let clock: Clock
  let random: RandomSource
  let idempotency: Idempotency
  private let offer: Offer?
  private let publicURL: String
  let log: @Sendable (String) -> Void
  private let running = Running()

  /// Where tokens can be bought, and for how much.
  public struct Offer: Sendable {
    /// The payment processor.
    public let processor: StripeClient
    /// What a token costs.
    public let price: TokenPrice

    /// An offer.
    public init(processor: StripeClient, price: TokenPrice) {
      self.processor = processor
      self.price = price
    }
  }

  /// Calls to the processor under way, by the id of what they are for.
  private final class Running: Sendable {
    let ids = Mutex<Set<[UInt8]>>([])
  }

  /// - Parameters:
  ///   - offer: nil where tokens cannot be bought.
  ///   - publicURL: Where the processor sends the user afterwards, without a slash at the end.
  ///   - log: Gets what an operator should look at; ids only.
  public init(
    database: Database, clock: Clock, random: RandomSource, idempotency: Idempotency,
    offer: Offer?, publicURL: String, log: @escaping @Sendable (String) -> Void
  ) {
    self.database = database
    self.clock = clock
    self.random = random
    self.idempotency = idempotency
    self.offer = offer
    self.publicURL = publicURL
    self.log = log
  }

  /// Begins a purchase, or goes on with the one that the key began.
  ///
  /// - Parameter tokenAmount: Whole tokens, 100 to 100,000; nil where none were named.
  /// - Returns: 201 with the purchase and where to pay it.
  /// - Throws: `Refusal` `purchases_not_offered`, `payments_unavailable` (nothing has moved: try again with the same
  ///   key), `idempotency_in_flight`, `idempotency_conflict`, `rate_limited`, `validation_failed`.
  public func buy(
    _ tokenAmount: Int64?, by user: ID<UserKind>, key: Idempotency.Key, refused: @escaping Refused
  ) async throws -> Idempotency.Answer {
    let purchase: Purchase
    switch try await begin(tokenAmount, by: user, key: key, refused: refused) {
    case .answer(let answer): return answer
    case .goOn(let begun): purchase = begun
    }
    return try await alone(purchase.id.bytes) {
      let checkout = try await checkout(of: purchase)
      let now = clock.now
      return try await database.write { connection in
        try idempotency.once(key, at: now, on: connection, refused: refused) {
          let stored = try open(purchase.id, checkout, at: now, on: connection)
          return Idempotency.Answer(status: 201, body: JSON.object(stored.json).bytes)
        }
      }
    }
  }

  private enum Step<Begun: Sendable>: Sendable {
    case answer(Idempotency.Answer)
    case goOn(Begun)
  }

  private func begin(
    _ tokenAmount: Int64?, by user: ID<UserKind>, key: Idempotency.Key, refused: @escaping Refused
  ) async throws -> Step<Purchase> {
    let now = clock.now
    return try await database.write { connection in
      if let answer = try replay(key, at: now, refused, on: connection) { return .answer(answer) }
      let begun = try PurchaseStore.purchase(requestKey: key.fingerprint, on: connection)
      if let begun {
        try PaymentDesk.require(begun.bodyHash == key.bodyDigest)
        return .goOn(begun)
      }
      guard let tokenAmount, TokenPrice.tokens.contains(tokenAmount) else {
        throw Refusal(
          .validationFailed, "The purchase is not valid.",
          fields: [.init("/tokenAmount", "must be a whole number from 100 to 100000")])
      }
      guard let offer else { throw PaymentDesk.notOffered }
      do {
        try StandingStore.requireNotFrozen(user, on: connection)
      } catch let refusal as Refusal {
        return .answer(
          try idempotency.once(key, at: now, on: connection, refused: refused) { throw refusal })
      }
      let unpaid = try PurchaseStore.unpaidCount(
        of: user, since: now + -86_400_000, on: connection)
      guard unpaid < PaymentDesk.unpaidMax else {
        throw Refusal(
          .rateLimited, "Pay or leave the purchases that are open first: 50 may wait at once.",
          retryAfterSeconds: 3_600)
      }
      let fresh = Purchase(
        id: ID(at: now, random: random), userID: user, tokenAmount: tokenAmount,
        amountMinor: tokenAmount * offer.price.minorPerToken, currency: offer.price.currency,
        state: .created, bodyHash: key.bodyDigest, attempt: 0, refundedMinor: 0, disputedMinor: 0,
        credited: Microtokens(0), clawed: Microtokens(0), owed: Microtokens(0),
        forgiven: Microtokens(0), createdAt: now, updatedAt: now)
      try PurchaseStore.insert(fresh, requestKey: key.fingerprint, on: connection)
      return .goOn(fresh)
    }
  }

  /// A checkout as the processor made it.
  private struct Checkout {
    let session: String
    let url: String
    let paymentIntent: String?
  }

  /// Asks the processor; what is stored already is not asked for again.
  private func checkout(of purchase: Purchase) async throws -> Checkout {
    if let session = purchase.checkoutSession, let url = purchase.checkoutURL {
      return Checkout(session: session, url: url, paymentIntent: purchase.paymentIntent)
    }
    guard let processor else { throw PaymentDesk.notOffered }
    let key = purchase.id.text + (purchase.attempt == 0 ? "" : "-\(purchase.attempt)")
    let outcome = await processor.post(
      "/v1/checkout/sessions", form(of: purchase), idempotencyKey: key)
    switch outcome {
    case .done(let session):
      guard let id = session["id"]?.string, let url = session["url"]?.string,
        url.hasPrefix("https://") || url.hasPrefix("http://"), url.utf8.count <= 8_192
      else { throw unavailable("purchase \(purchase.id.text): a checkout session without a link") }
      return Checkout(
        session: id, url: url,
        paymentIntent: session["payment_intent"]?.string
          ?? session["payment_intent"]?["id"]?.string)
    case .spent(let reason):
      // A checkout that nobody has the link of harms nobody, so a new key is safe here.
      try await database.write { connection in
        try PurchaseStore.spend(attempt: purchase.attempt, of: purchase.id, on: connection)
      }
      throw unavailable("purchase \(purchase.id.text): \(reason)")
    case .unavailable(let reason), .refused(let reason):
      throw unavailable("purchase \(purchase.id.text): \(reason)")
    }
  }

  /// The same purchase always gives the same form: under one key the processor takes no other.
  private func form(of purchase: Purchase) -> [(String, String)] {
    let id = purchase.id.text
    let back = "\(publicURL)/purchases/\(id)?checkout="
    return [
      ("mode", "payment"), ("client_reference_id", id), ("success_url", back + "done"),
      ("cancel_url", back + "cancelled"), ("line_items[0][quantity]", "1"),
      ("line_items[0][price_data][currency]", purchase.currency),
      ("line_items[0][price_data][unit_amount]", String(purchase.amountMinor)),
      ("line_items[0][price_data][product_data][name]", "\(purchase.tokenAmount) Waypost tokens"),
      // Another currency at the till would fit no purchase.
      ("adaptive_pricing[enabled]", "false"), ("metadata[purchaseId]", id),
      ("payment_intent_data[metadata][purchaseId]", id),
    ]
  }

  private func open(
    _ id: ID<PurchaseKind>, _ checkout: Checkout, at now: Timestamp, on connection: Connection
  ) throws -> Purchase {
    guard var purchase = try PurchaseStore.purchase(id, on: connection) else {
      throw Refusal(.internal, "A purchase has gone.")
    }
    guard purchase.checkoutURL == nil else { return purchase }
    purchase.checkoutURL = checkout.url
    // An event may have been faster than the answer.
    purchase.checkoutSession = purchase.checkoutSession ?? checkout.session
    purchase.paymentIntent = purchase.paymentIntent ?? checkout.paymentIntent
    if purchase.state == .created || purchase.state == .expired {
      let facts = try PaymentEventStore.facts(of: id, on: connection)
      purchase.state = facts.state(price: purchase.amountMinor, isOpen: true)
    }
    purchase.updatedAt = now
    try PurchaseStore.update(purchase, on: connection)
    return purchase
  }

  /// One's own purchase.
  /// - Throws: `Refusal` `not_found`, also for another's.
  public func purchase(_ id: ID<PurchaseKind>, of user: ID<UserKind>) async throws -> Purchase {
    let found = try await database.read { try PurchaseStore.purchase(id, on: $0) }
    guard let found, found.userID == user else {
      throw Refusal(.notFound, "There is no such purchase.")
    }
    return found
  }

  /// - Throws: `Refusal` `not_found` where there is no such purchase, whoever's.
  public func require(_ id: ID<PurchaseKind>) async throws {
    guard try await database.read({ try PurchaseStore.purchase(id, on: $0) }) != nil else {
      throw Refusal(.notFound, "There is no such purchase.")
    }
  }

  /// One's own purchases, newest first, before one, at most so many.
  public func purchases(
    of user: ID<UserKind>, before: ID<PurchaseKind>?, limit: Int
  ) async throws -> [Purchase] {
    try await database.read { connection in
      try PurchaseStore.list(.init(user: user, before: before, limit: limit), on: connection)
    }
  }

  /// Forgets what need not be kept; called now and then.
  public func prune() async throws {
    let now = clock.now
    while try await database.write({
      try PurchaseStore.prune(before: now + -PaymentDesk.keptMilliseconds, on: $0)
    }) {}
    while try await database.write({
      try PaymentEventStore.prune(before: now + -PaymentDesk.waitingMilliseconds, on: $0)
    }) {}
  }
}

// MARK: What every keyed act shares

extension PaymentDesk {
  /// The payment processor, where there is one.
  var processor: StripeClient? { offer?.processor }

  static var notOffered: Refusal {
    Refusal(
      .purchasesNotOffered, "Tokens cannot be bought here: the operator has set no payment key.")
  }

  func unavailable(_ reason: String) -> Refusal {
    log("payments: \(reason)")
    return Refusal(
      .paymentsUnavailable,
      "The payment processor does not answer as it should; nothing was charged. Try again with the same key.",
      retryAfterSeconds: PaymentDesk.retrySeconds)
  }

  static func require(_ isSameBody: Bool) throws(Refusal) {
    guard isSameBody else {
      throw Refusal(.idempotencyConflict, "This Idempotency-Key was used with another body.")
    }
  }

  /// The stored answer of a key, or nil.
  func replay(
    _ key: Idempotency.Key, at now: Timestamp, _ refused: Refused, on connection: Connection
  ) throws -> Idempotency.Answer? {
    struct NotAnswered: Error {}
    do {
      return try idempotency.once(key, at: now, on: connection, refused: refused) {
        throw NotAnswered()
      }
    } catch is NotAnswered {
      return nil
    }
  }

  /// Runs what waits for the processor, unless the same runs already: the desk's own guard, for whoever comes past
  /// the routes, where repeats of a key are kept apart already.
  func alone<T>(_ id: [UInt8], _ body: () async throws -> T) async throws -> T {
    guard running.ids.withLock({ $0.insert(id).inserted }) else {
      throw Refusal(
        .idempotencyInFlight, "The first request with this key still runs.", retryAfterSeconds: 1)
    }
    defer { running.ids.withLock { _ = $0.remove(id) } }
    return try await body()
  }
}
