import Identity
import Ledger
import Primitives
import SQLite
import Sessions
import Testing
import TestSupport

extension AccountName {
  static let anna = AccountName.user(ID<UserKind>.anna)
  static let fees = AccountName.platform(.platformFees)
}

extension Stage {
  /// A stage whose user has bought tokens.
  static func shop(
    _ listing: Listing = Listing(), tokens: Int64 = 1_000, money: Money = Money(),
    policy: TrialPolicy = TrialPolicy(), seed: UInt64 = 1
  ) async throws -> Stage {
    let stage = try await Stage.open(listing, policy: policy, money: money, seed: seed)
    try await stage.sell(tokens, to: .anna)
    return stage
  }

  func sell(_ tokens: Int64, to user: ID<UserKind>) async throws {
    let now = clock.now
    let random = random
    try await database.write { connection throws in
      _ = try LedgerStore.post(
        ID(at: now, random: random), from: .platform(.externalPayments), to: .user(user),
        Microtokens(tokens * 1_000_000), reason: "purchase", at: now, on: connection)
    }
  }

  static func key(
    _ route: String, _ key: String, by user: ID<UserKind> = .anna, body: JSON = [:]
  ) throws -> Idempotency.Key {
    try Idempotency.Key(
      principal: .user(user, .user, providerID: nil), route: route, key: key, body: body)
  }

  /// A half-hour wish on the one listing.
  static func wish(_ minutes: Int64 = 30, maxTokens: Int64? = nil) -> SessionWish {
    SessionWish(serviceID: "scribe", isPaid: true, minutes: minutes, maxTokens: maxTokens)
  }

  func propose(
    _ wish: SessionWish, to user: ID<UserKind> = .anna, key: String = "proposal"
  ) async throws -> Idempotency.Answer {
    try await desk.propose(
      wish, to: user, key: Stage.key("POST /v1/proposals", key, by: user),
      refused: { refusal in Stage.answer(refusal) })
  }

  /// A paid session without a proposal, on the terms as they are.
  func direct(
    _ wish: SessionWish, by user: ID<UserKind> = .anna, key: String = "direct"
  ) async throws -> Idempotency.Answer {
    let terms = try await desk.terms(of: wish)
    return try await desk.start(
      wish, termsHash: BytesText.hex(terms.hash), by: user,
      key: Stage.key("POST /v1/sessions", key, by: user),
      refused: { refusal in Stage.answer(refusal) })
  }

  /// A paid session that its provider has redeemed.
  func buy(
    _ wish: SessionWish = Stage.wish(), by user: ID<UserKind> = .anna
  ) async throws -> Started {
    let started = try await pending(wish, by: user)
    _ = try await desk.validate(token: started.token, provider: "acme", origin: nil)
    return started
  }

  func pending(
    _ wish: SessionWish = Stage.wish(), by user: ID<UserKind> = .anna
  ) async throws -> Started {
    let count = try await number("SELECT count(*) FROM session")
    let answer = try await direct(wish, by: user, key: "direct-\(count)")
    let view = try #require(try JSON.parse(answer.body).object)
    try #require(answer.status == 201, "answered \(JSON.object(view).text)")
    let id = try #require(ID<SessionKind>(view.text("id")))
    let token = try #require(parameter("marketplace_session", of: view.text("redirectUrl")))
    return Started(id: id, proposal: ID(high: 0, low: 0), token: token, view: view)
  }

  func extend(
    _ id: ID<SessionKind>, minutes: Int64, maxTokens: Int64? = nil, key: String = "extend",
    by user: ID<UserKind> = .anna
  ) async throws -> Idempotency.Answer {
    try await desk.extend(
      id, by: user, minutes: minutes, maxTokens: maxTokens,
      key: Stage.key("/extend", key, by: user, body: ["minutes": .int(minutes)]),
      refused: { refusal in Stage.answer(refusal) })
  }

  func report(
    _ id: ID<SessionKind>, _ number: Int64, units: Int64, key: String? = nil,
    by provider: String = "acme"
  ) async throws -> Idempotency.Answer {
    let keyed = try Idempotency.Key(
      principal: .providerKey(providerID: provider), route: "report",
      key: key ?? "report-\(number)-\(units)", body: ["units": .int(units)])
    return try await desk.report(
      UsageReport(sessionID: id, number: number, units: units), by: provider, key: keyed,
      refused: { refusal in Stage.answer(refusal) })
  }

  func finish(_ id: ID<SessionKind>) async throws -> JSONObject {
    try await desk.transition(id, by: .user(.anna), .complete(by: "user"))
  }
}

/// The body of an answer.
func document(_ answer: Idempotency.Answer) throws -> JSONObject {
  try #require(try JSON.parse(answer.body).object)
}
