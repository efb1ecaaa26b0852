internal import Cryptography
public import Identity
public import Primitives
internal import SQLite

/// What an operator sees and settles.
extension PaymentDesk {
  /// What an operator's list of purchases shows.
  public struct Query: Sendable {
    /// Only of this user.
    public var user: ID<UserKind>?
    /// Only in this state.
    public var state: PurchaseState?
    /// Only those that someone should look at.
    public var isFlagged = false
    /// Only older ones than this.
    public var before: ID<PurchaseKind>?
    /// At most so many.
    public var limit = 50

    /// All purchases.
    public init() {}
  }

  /// Purchases of everybody, newest first.
  public func purchases(_ query: Query) async throws -> [Purchase] {
    try await database.read { connection in
      try PurchaseStore.list(
        .init(
          user: query.user, state: query.state, isFlagged: query.isFlagged, before: query.before,
          limit: query.limit), on: connection)
    }
  }

  /// A purchase with its events and refunds, at most 100 each.
  /// - Throws: `Refusal` `not_found`.
  public func detail(_ id: ID<PurchaseKind>) async throws -> JSONObject {
    try await database.read { connection in
      guard let purchase = try PurchaseStore.purchase(id, on: connection) else {
        throw Refusal(.notFound, "There is no such purchase.")
      }
      var object = purchase.adminJSON
      object["events"] = .array(
        try PaymentEventStore.events(of: id, limit: 100, on: connection).map(\.json))
      object["refunds"] = .array(
        try RefundStore.refunds(of: id, on: connection).map { .object($0.json) })
      return object
    }
  }

  /// Events of an outcome (`applied, waiting, mismatch, unknown`), newest first.
  /// - Throws: `Refusal` `validation_failed` for another outcome.
  public func events(_ outcome: String, limit: Int) async throws -> [JSON] {
    guard let outcome = PaymentEventStore.Outcome(rawValue: outcome) else {
      throw Refusal(
        .validationFailed, "A query parameter is not valid.",
        fields: [.init("/outcome", "must be applied, waiting, mismatch or unknown")])
    }
    return try await database.read { connection in
      try PaymentEventStore.events(outcome, limit: limit, on: connection).map(\.json)
    }
  }

  /// Users who are frozen or owe, by id, after one.
  public func debtors(after user: ID<UserKind>?, limit: Int) async throws -> [JSON] {
    try await database.read { connection in
      try StandingStore.debtors(after: user, limit: limit, on: connection).map(\.json)
    }
  }

  /// Settles what a user owes: takes what is available, lets the platform bear the rest, and lifts the freeze.
  ///
  /// The platform has paid already, so nothing more moves for what it bears; were the disputed money to come back
  /// one day, it would be the platform's.
  /// - Returns: 200 with `collectedMicrotokens` and `forgivenMicrotokens`.
  /// - Throws: `Refusal` `idempotency_conflict`; kept for the key is `not_found` where the user owes nothing.
  public func settleDebts(
    of user: ID<UserKind>, by admin: ID<UserKind>, author: AuditLog.Author, key: Idempotency.Key,
    refused: @escaping Refused
  ) async throws -> Idempotency.Answer {
    let now = clock.now
    return try await database.write { connection in
      try idempotency.once(key, at: now, on: connection, refused: refused) {
        let before = try PurchaseStore.owing(user, on: connection)
        guard
          try !before.isEmpty || StandingStore.frozenSince(user, on: connection) != nil
        else { throw Refusal(.notFound, "This user owes nothing and is not frozen.") }
        // The moment too: a key may come again for another debt when its answer is not kept any more.
        let ledger = PurchaseLedger(
          cause: BytesText.hex(key.fingerprint) + " \(now.milliseconds)", reason: "debt paid",
          now: now, connection: connection)
        let forgiven = try ledger.collect(from: user)
        for var purchase in try PurchaseStore.owing(user, on: connection) {
          purchase.forgiven = Microtokens(purchase.forgiven.count + purchase.owed.count)
          purchase.owed = Microtokens(0)
          purchase.updatedAt = now
          try PurchaseStore.update(purchase, on: connection)
        }
        try StandingStore.lift(user, by: admin, at: now, on: connection)
        try AuditLog.record(
          "debt.settled", on: "user:" + user.text, detail: "forgiven \(forgiven)", by: author,
          at: now, on: connection)
        let owed = before.reduce(0) { $0 + $1.owed.count }
        let body: JSON = [
          "userId": .string(user.text), "collectedMicrotokens": .int(owed - forgiven),
          "forgivenMicrotokens": .int(forgiven), "frozenAt": .null,
        ]
        return Idempotency.Answer(status: 200, body: body.bytes)
      }
    }
  }

  /// Takes the mark off a purchase that an operator has looked at.
  /// - Throws: `Refusal` `not_found`.
  public func unflag(_ id: ID<PurchaseKind>, author: AuditLog.Author) async throws -> Purchase {
    let now = clock.now
    return try await database.write { connection in
      guard var purchase = try PurchaseStore.purchase(id, on: connection) else {
        throw Refusal(.notFound, "There is no such purchase.")
      }
      if purchase.flag != nil {
        purchase.flag = nil
        purchase.updatedAt = now
        try PurchaseStore.update(purchase, on: connection)
        try AuditLog.record(
          "purchase.unflagged", on: "purchase:" + id.text, by: author, at: now, on: connection)
      }
      return purchase
    }
  }
}
