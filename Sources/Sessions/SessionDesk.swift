internal import Catalog
internal import Cryptography
public import Identity
public import Primitives
public import SQLite

/// Asked before a user's units are reserved, inside the transaction that reserves them: limits and freezes.
///
/// - Throws: `Refusal` such as `spending_limit_reached` or `account_frozen`; then nothing is reserved.
public typealias SpendingRule =
  @Sendable (ID<UserKind>, Microtokens, Timestamp, Connection) throws -> Void

/// Sessions from proposal to settlement. Each step is one transaction: state, ledger and outbox together.
public struct SessionDesk: Sendable {
  let database: Database
  let clock: Clock
  let random: RandomSource
  let keys: KeyRing
  let idempotency: Idempotency
  let policy: TrialPolicy
  let publicURL: String
  let feeBasisPoints: Int64
  let spending: SpendingRule
  let tokens: SessionTokens
  /// Seals what a redemption was answered: it holds a session token.
  let replies: Sealer

  /// - Parameters:
  ///   - publicURL: The address that users see; the issuer of tokens.
  ///   - feeBasisPoints: The platform's share of paid sessions to come, in ten-thousandths.
  ///   - spending: What must hold before a user's units are reserved; nothing by default.
  public init(
    database: Database, clock: Clock, random: RandomSource, keys: KeyRing,
    idempotency: Idempotency, policy: TrialPolicy, publicURL: String,
    feeBasisPoints: Int64 = 2_000,
    spending: @escaping SpendingRule = { _, _, _, _ in }
  ) {
    precondition(
      (0...10_000).contains(feeBasisPoints), "a share is 0 to 10000, not \(feeBasisPoints)")
    self.database = database
    self.clock = clock
    self.random = random
    self.keys = keys
    self.idempotency = idempotency
    self.policy = policy
    self.publicURL = publicURL
    self.feeBasisPoints = feeBasisPoints
    self.spending = spending
    tokens = SessionTokens(keys: keys, issuer: publicURL)
    replies = Sealer(key: keys.derived(for: "redemption"))
  }

  /// The terms of a session as they are now.
  /// - Throws: `Refusal` `not_found`, `trial_not_offered`, `validation_failed`.
  public func terms(of wish: SessionWish) async throws -> SessionTerms {
    try await database.read { try terms(of: wish, on: $0) }
  }

  /// - Throws: `Refusal` `not_found` where nobody lists the service.
  public func require(serviceID id: String) async throws {
    guard try await database.read({ try CatalogStore.service(id: id, on: $0) }) != nil else {
      throw Refusal(.notFound, "There is no such service.")
    }
  }

  func terms(of wish: SessionWish, on connection: Connection) throws -> SessionTerms {
    guard let stored = try CatalogStore.service(id: wish.serviceID, on: connection) else {
      throw Refusal(.notFound, "There is no such service.")
    }
    return try SessionTerms(of: wish, stored, policy: policy, feeBasisPoints: feeBasisPoints)
  }

  // MARK: Proposals

  /// Makes a proposal of a trial, for a caller that needs no key.
  /// - Throws: `Refusal` as the other `propose`.
  public func propose(serviceID: String, to user: ID<UserKind>) async throws -> Proposal {
    let now = clock.now
    return try await database.write { connection in
      try sweep(at: now, on: connection)
      return try propose(SessionWish(serviceID: serviceID), to: user, at: now, on: connection)
    }
  }

  /// Makes a proposal. It moves nothing: only a confirmation does.
  ///
  /// - Throws: `Refusal` `not_found`, `validation_failed`, `idempotency_conflict`; for a trial `forbidden` to the
  ///   provider's own people. `trial_not_offered`, `trial_already_open` and `trial_limit_reached` are the answer.
  public func propose(
    _ wish: SessionWish, to user: ID<UserKind>, key: Idempotency.Key,
    refused: @escaping @Sendable (Refusal) -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    let now = clock.now
    return try await database.write { connection in
      try sweep(at: now, on: connection)
      return try idempotency.once(key, at: now, on: connection, refused: refused) {
        let proposal = try propose(wish, to: user, at: now, on: connection)
        return Idempotency.Answer(status: 201, body: JSON.object(proposal.json).bytes)
      }
    }
  }

  private func propose(
    _ wish: SessionWish, to user: ID<UserKind>, at now: Timestamp, on connection: Connection
  ) throws -> Proposal {
    let terms = try terms(of: wish, on: connection)
    if !terms.isPaid { try requireTrial(of: terms, by: user, at: now, on: connection) }
    let consent = try ConsentQuestion.read(of: user, to: terms.runBy, on: connection)
    let proposal = Proposal(
      id: .secret(random), userID: user, terms: terms, consent: consent, createdAt: now)
    let signature = sign(
      id: proposal.id.bytes, user: user.bytes, hash: terms.hash, createdAt: now.milliseconds)
    try proposal.insert(signature: signature, on: connection)
    return proposal
  }

  /// A proposal as its user was shown it, with its `state` and the `sessionId` that came of it.
  /// - Throws: `Refusal` `not_found`, for another user's too.
  public func proposal(
    _ id: ID<ProposalKind>, of user: ID<UserKind>
  ) async throws -> JSONObject {
    let now = clock.now
    return try await database.read { connection in
      try ProposalRow.read(id, of: user, on: connection).json(at: now)
    }
  }

  /// Refuses a proposal; repeating it changes nothing.
  public func decline(_ id: ID<ProposalKind>, by user: ID<UserKind>) async throws {
    let now = clock.now
    try await database.write { connection in
      let row = try ProposalRow.read(id, of: user, on: connection)
      if row.state == "declined" { return }
      try row.requireOpen(at: now)
      try connection.run(
        "UPDATE proposal SET state = 'declined' WHERE id = ?", [.blob(id.bytes)])
    }
  }

  /// Deletes what has had its time: proposals that came to nothing a day after their end, assertions after theirs,
  /// the replies of redemptions that nobody may repeat any more, and redemptions whose token has long expired.
  public func prune() async throws {
    let now = clock.now.milliseconds
    try await inParts(
      """
      DELETE FROM proposal WHERE id IN
      (SELECT id FROM proposal WHERE state <> 'consumed' AND expires_ms < ? LIMIT 500)
      """, before: now - 86_400_000)
    try await inParts(
      """
      DELETE FROM provider_assertion WHERE (provider_id, jti) IN
      (SELECT provider_id, jti FROM provider_assertion WHERE expires_ms < ? LIMIT 500)
      """, before: now)
    try await inParts(
      """
      UPDATE launch SET reply = NULL WHERE jti IN
      (SELECT jti FROM launch WHERE reply IS NOT NULL AND redeemed_ms < ? LIMIT 500)
      """, before: now - SessionDesk.repeatMilliseconds)
    // A launch token lives three hours and five minutes at most: a repeat is refused by its end from then on.
    try await inParts(
      """
      DELETE FROM launch WHERE jti IN
      (SELECT jti FROM launch WHERE redeemed_ms < ? LIMIT 500)
      """, before: now - 86_400_000)
  }

  /// Runs a statement on at most 500 rows a time until there are no more: the writing lane is everybody's.
  private func inParts(_ sql: String, before moment: Int64) async throws {
    var count = 0
    repeat {
      count = try await database.write { connection in
        try connection.run(sql, [.int(moment)])
      }
    } while count == 500
  }

  func sign(id: [UInt8], user: [UInt8], hash: [UInt8], createdAt: Int64) -> [UInt8] {
    Digest.hmac(
      key: keys.derived(for: "proposal"),
      Proposal.signed(id: id, userID: user, termsHash: hash, createdAt: createdAt))
  }
}
