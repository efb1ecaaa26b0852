internal import Catalog
internal import Cryptography
public import Identity
internal import Ledger
public import Primitives
public import SQLite

/// Trials from proposal to settlement. Each step is one transaction: state, ledger and outbox together.
public struct SessionDesk: Sendable {
  let database: Database
  let clock: Clock
  let random: RandomSource
  let keys: KeyRing
  let idempotency: Idempotency
  let policy: TrialPolicy
  let publicURL: String
  let tokens: SessionTokens

  /// - Parameter publicURL: The address that users see; the issuer of tokens.
  public init(
    database: Database, clock: Clock, random: RandomSource, keys: KeyRing,
    idempotency: Idempotency, policy: TrialPolicy, publicURL: String
  ) {
    self.database = database
    self.clock = clock
    self.random = random
    self.keys = keys
    self.idempotency = idempotency
    self.policy = policy
    self.publicURL = publicURL
    tokens = SessionTokens(keys: keys, issuer: publicURL)
  }

  /// The terms of a trial of a service as they are now.
  /// - Throws: `Refusal` `not_found` or `trial_not_offered`.
  public func terms(of serviceID: String) async throws -> TrialTerms {
    try await database.read { try terms(of: serviceID, on: $0) }
  }

  func terms(of serviceID: String, on connection: Connection) throws -> TrialTerms {
    guard let stored = try CatalogStore.service(id: serviceID, on: connection) else {
      throw Refusal(.notFound, "There is no such service.")
    }
    return try TrialTerms(of: stored, policy: policy)
  }

  /// Makes a proposal. It moves nothing: only a confirmation does.
  /// - Throws: `Refusal` `not_found`, `trial_not_offered`, `trial_already_open`, `trial_limit_reached`;
  ///   `forbidden` to the provider's own people.
  public func propose(serviceID: String, to user: ID<UserKind>) async throws -> Proposal {
    let now = clock.now
    return try await database.write { connection in
      try sweep(at: now, on: connection)
      let terms = try terms(of: serviceID, on: connection)
      try requireTrial(of: terms, by: user, at: now, on: connection)
      let proposal = Proposal(
        id: .secret(random), userID: user, terms: terms, createdAt: now)
      let signature = sign(
        id: proposal.id.bytes, user: user.bytes, hash: terms.hash, createdAt: now.milliseconds)
      try connection.run(
        """
        INSERT INTO proposal(id, user_id, service_id, service_revision, offer_id, signature,
        terms_hash, kind, rate_per_hour, max_amount, duration_ms, created_ms, expires_ms, state)
        VALUES (?, ?, ?, ?, ?, ?, ?, 'trial', ?, ?, ?, ?, ?, 'proposed')
        """,
        [
          .blob(proposal.id.bytes), .blob(user.bytes), .text(terms.serviceID),
          .int(terms.revision), .text(terms.offerID), .blob(signature), .blob(terms.hash),
          .int(terms.ratePerHour), .int(terms.cap), .int(terms.minutes * 60_000),
          .int(now.milliseconds), .int(proposal.expiresAt.milliseconds),
        ])
      return proposal
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

  /// Confirms a proposal: the user's consent. Hold, session, launch token, outbox and the key's answer commit
  /// together, or nothing does (T6).
  public func confirm(
    _ id: ID<ProposalKind>, by user: ID<UserKind>, key: Idempotency.Key,
    refused: @Sendable (Refusal) -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    let now = clock.now
    return try await database.write { connection in
      try sweep(at: now, on: connection)
      return try idempotency.once(key, at: now, on: connection, refused: refused) {
        let (record, redirect) = try start(id, by: user, at: now, on: connection)
        let algorithm = try ProviderSigningStore.algorithm(
          of: record.providerID, on: connection)
        let view = launchView(record, redirect: redirect, signedBy: algorithm, at: now)
        return Idempotency.Answer(status: 201, body: JSON.object(view).bytes)
      }
    }
  }

  private func start(
    _ id: ID<ProposalKind>, by user: ID<UserKind>, at now: Timestamp, on connection: Connection
  ) throws -> (SessionRecord, redirect: String) {
    let row = try ProposalRow.read(id, of: user, on: connection)
    try row.requireOpen(at: now)
    let expected = sign(
      id: row.id, user: row.userID, hash: row.termsHash, createdAt: row.createdAt)
    guard Digest.equal(expected, row.signature) else {
      throw Refusal(.internal, "The proposal's signature does not verify.")
    }
    // A listing that is gone, or offers no trial any more, has changed like any other.
    let found = try? terms(of: row.serviceID, on: connection)
    guard let terms = found, terms.hash == row.termsHash else {
      throw Refusal(
        .proposalStale, "The listing or its terms have changed; ask for a new proposal.")
    }
    try requireTrial(of: terms, by: user, at: now, on: connection)
    let record = SessionRecord(
      id: ID(at: now, random: random), userID: user, providerID: terms.runBy,
      serviceID: terms.serviceID, serviceRevision: terms.revision, offerID: terms.offerID,
      appID: terms.appID, kind: "trial", launchID: random.bytes(16), held: terms.amount,
      charged: 0, isFlagged: false,
      state: SessionState(
        ratePerHour: terms.ratePerHour, duration: terms.minutes * 60_000,
        createdAt: now.milliseconds))
    try SessionStore.insert(record, on: connection)
    try reserve(record, at: now, on: connection)
    try connection.run(
      "UPDATE proposal SET state = 'consumed', session_id = ? WHERE id = ?",
      [.blob(record.id.bytes), .blob(row.id)])
    return (record, terms.redirectURL)
  }

  /// The trial's hold: from the platform's grants to the provider. A session that costs nothing has none.
  private func reserve(
    _ record: SessionRecord, at now: Timestamp, on connection: Connection
  ) throws {
    guard record.held > 0 else { return }
    let holdID = ID<HoldKind>(at: now, random: random)
    do {
      try LedgerStore.hold(
        holdID, reference: record.id.bytes, from: .platform(.platformGrants),
        to: .provider(record.providerID), Microtokens(record.held),
        expiresAt: now + SessionNumbers.holdFor, reason: "trial hold", at: now, on: connection)
    } catch let refusal as Refusal where refusal.code == .insufficientFunds {
      throw Refusal(.trialBudgetExhausted, "The platform's trial budget is used up.")
    }
    try connection.run(
      "INSERT INTO session_hold(session_id, hold_id) VALUES (?, ?)",
      [.blob(record.id.bytes), .blob(holdID.bytes)])
  }

  private func requireTrial(
    of terms: TrialTerms, by user: ID<UserKind>, at now: Timestamp, on connection: Connection
  ) throws {
    let open = try connection.first(
      """
      SELECT id FROM session WHERE user_id = ? AND service_id = ? AND kind = 'trial'
      AND state IN ('pending','active','paused')
      """, [.blob(user.bytes), .text(terms.serviceID)]
    ) { $0.blob(0) }
    if let open, let id = ID<SessionKind>(bytes: open) {
      throw Refusal(
        .trialAlreadyOpen, "A trial of this service is open already.",
        facts: ["sessionId": .string(id.text)])
    }
    let ownProvider = try connection.first(
      "SELECT provider_id FROM user WHERE id = ?", [.blob(user.bytes)]
    ) { $0.optionalText(0) }
    // Else a provider could turn the platform's budget into earnings of its own.
    if let ownProvider, ownProvider == terms.runBy {
      throw Refusal(.forbidden, "A provider's own people cannot take its trials.")
    }
    func count(_ sql: String, _ values: [SQLValue]) throws -> Int64 {
      try connection.first(sql, values) { $0.int(0) } ?? 0
    }
    let today = try count(
      "SELECT count(*) FROM session WHERE user_id = ? AND kind = 'trial' AND created_ms > ?",
      [.blob(user.bytes), .int(now.milliseconds - 86_400_000)])
    let finished = try count(
      """
      SELECT count(*) FROM session WHERE user_id = ? AND service_id = ? AND kind = 'trial'
      AND started_ms IS NOT NULL AND state IN ('completed','failed','expired') AND created_ms > ?
      """,
      [.blob(user.bytes), .text(terms.serviceID), .int(now.milliseconds - 30 * 86_400_000)])
    guard today < policy.perDayMax, finished < policy.repeatsMax else {
      throw Refusal(.trialLimitReached, "The limit of trials is reached for now.")
    }
    let withProvider = try count(
      "SELECT count(*) FROM session WHERE provider_id = ? AND kind = 'trial' AND created_ms > ?",
      [.text(terms.runBy), .int(now.milliseconds - 86_400_000)])
    guard terms.isSandbox || withProvider < policy.perProviderDayMax else {
      throw Refusal(.trialLimitReached, "The trials with this provider are used up for now.")
    }
  }

  private func sign(id: [UInt8], user: [UInt8], hash: [UInt8], createdAt: Int64) -> [UInt8] {
    Digest.hmac(
      key: keys.derived(for: "proposal"),
      Proposal.signed(id: id, userID: user, termsHash: hash, createdAt: createdAt))
  }

  /// The answer to a confirmation, with the address that the browser goes to.
  private func launchView(
    _ record: SessionRecord, redirect: String, signedBy algorithm: SigningAlgorithm,
    at now: Timestamp
  ) -> JSONObject {
    var view = record.json(at: now)
    let mark = redirect.contains("?") ? "&" : "?"
    let target =
      redirect + mark + "marketplace_session=" + tokens.launch(record, algorithm: algorithm)
      + "&return_url=" + SessionDesk.percent(publicURL + "/sessions/" + record.id.text)
    view["redirectUrl"] = .string(target)
    view["sandbox"] = .bool(record.providerID == Sandbox.providerID)
    view["redeemBefore"] = .string(
      Timestamp(milliseconds: record.state.createdAt + SessionNumbers.redeemWithin).rfc3339)
    return view
  }

  static func percent(_ text: String) -> String {
    text.utf8.map { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
        String(UnicodeScalar(byte))
      default: "%" + BytesText.hex([byte]).uppercased()
      }
    }.joined()
  }
}
