internal import Cryptography
public import Identity
internal import Ledger
public import Primitives
internal import SQLite

/// From consent to a pending session.
extension SessionDesk {
  /// Confirms a proposal: the user's consent. Hold, session, launch token, what the provider may know, outbox and the
  /// key's answer commit together, or nothing does (T6).
  ///
  /// - Throws: `Refusal` `idempotency_conflict`; `validation_failed` or `forbidden` for what is said of the provider.
  ///   Every other refusal is the answer.
  public func confirm(
    _ id: ID<ProposalKind>, by user: ID<UserKind>, consent: ConsentAnswer = ConsentAnswer(),
    key: Idempotency.Key, refused: @escaping @Sendable (Refusal) -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    try await started(key: key, refused: refused) { now, connection in
      try start(id, by: user, consent: consent, at: now, on: connection)
    }
  }

  /// Starts a paid session without a proposal: `termsHash` is the user's consent to exactly these terms.
  ///
  /// - Parameter termsHash: As a proposal or the refusal shows it, in hexadecimal.
  /// - Throws: `Refusal` `not_found`, `validation_failed`, `idempotency_conflict`. `proposal_stale`, with the terms as
  ///   they are, `spending_limit_reached` and `insufficient_funds` are the answer.
  public func start(
    _ wish: SessionWish, termsHash: String, by user: ID<UserKind>,
    consent: ConsentAnswer = ConsentAnswer(), key: Idempotency.Key,
    refused: @escaping @Sendable (Refusal) -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    precondition(wish.isPaid, "a trial starts from a proposal only (T1)")
    return try await started(key: key, refused: refused) { now, connection in
      let terms = try terms(of: wish, on: connection)
      let question = try ConsentQuestion.read(of: user, to: terms.runBy, on: connection)
      try consent.requireSound(among: question.scopes)
      guard Digest.equal(Array(termsHash.utf8), Array(BytesText.hex(terms.hash).utf8)) else {
        throw Refusal(
          .proposalStale, "These terms are not the ones agreed to; look at them and send again.",
          facts: ["terms": .object(terms.json), "consent": question.json])
      }
      return (
        try open(terms, by: user, consent: consent, at: now, on: connection), terms.redirectURL
      )
    }
  }

  private func started(
    key: Idempotency.Key, refused: @escaping @Sendable (Refusal) -> Idempotency.Answer,
    _ effect:
      @escaping @Sendable (Timestamp, Connection) throws -> (SessionRecord, redirect: String)
  ) async throws -> Idempotency.Answer {
    let now = clock.now
    return try await database.write { connection in
      try sweep(at: now, on: connection)
      return try idempotency.once(key, at: now, on: connection, refused: refused) {
        let (record, redirect) = try effect(now, connection)
        let algorithm = try ProviderSigningStore.algorithm(
          of: record.providerID, on: connection)
        let view = launchView(record, redirect: redirect, signedBy: algorithm, at: now)
        return Idempotency.Answer(status: 201, body: JSON.object(view).bytes)
      }
    }
  }

  private func start(
    _ id: ID<ProposalKind>, by user: ID<UserKind>, consent: ConsentAnswer, at now: Timestamp,
    on connection: Connection
  ) throws -> (SessionRecord, redirect: String) {
    let row = try ProposalRow.read(id, of: user, on: connection)
    // Only what the user was shown can be allowed, whatever the provider asks for by now.
    let asked = row.asked
    try consent.requireSound(among: asked.scopes)
    try row.requireOpen(at: now)
    let expected = sign(
      id: row.id, user: row.userID, hash: row.termsHash, createdAt: row.createdAt)
    guard Digest.equal(expected, row.signature) else {
      throw Refusal(.internal, "The proposal's signature does not verify.")
    }
    let stale = Refusal(
      .proposalStale, "The listing or its terms have changed; ask for a new proposal.")
    let terms: SessionTerms
    do {
      terms = try self.terms(of: row.wish, on: connection)
    } catch is Refusal {
      // A listing that is gone, or does not offer this any more, has changed like any other.
      throw stale
    }
    guard terms.hash == row.termsHash else { throw stale }
    // Withdrawn since the proposal was shown, which asked for nothing: to confirm it is not to give it again.
    if asked.isOpen == false, consent.scopes == nil,
      try ConsentQuestion.read(of: user, to: terms.runBy, on: connection).isOpen
    {
      throw Refusal(
        .proposalStale, "What the provider may know has changed; ask for a new proposal.")
    }
    if !terms.isPaid { try requireTrial(of: terms, by: user, at: now, on: connection) }
    let record = try open(terms, by: user, consent: consent, at: now, on: connection)
    try connection.run(
      "UPDATE proposal SET state = 'consumed', session_id = ? WHERE id = ?",
      [.blob(record.id.bytes), .blob(row.id)])
    return (record, terms.redirectURL)
  }

  private func open(
    _ terms: SessionTerms, by user: ID<UserKind>, consent: ConsentAnswer, at now: Timestamp,
    on connection: Connection
  ) throws -> SessionRecord {
    try consent.write(of: user, to: terms.runBy, at: now, on: connection)
    let record = SessionRecord(
      id: ID(at: now, random: random), userID: user, providerID: terms.runBy,
      serviceID: terms.serviceID, serviceRevision: terms.revision, offerID: terms.offerID,
      appID: terms.appID, kind: terms.isPaid ? "paid" : "trial", launchID: random.bytes(16),
      unitPrice: terms.unitPrice, feeBasisPoints: terms.feeBasisPoints,
      appOrigin: terms.appOrigin, held: terms.amount,
      state: SessionState(
        ratePerHour: terms.ratePerHour, duration: terms.minutes * 60_000,
        createdAt: now.milliseconds, plan: terms.plan))
    try SessionStore.insert(record, on: connection)
    try reserve(Microtokens(terms.amount), for: record, at: now, on: connection)
    return record
  }

  /// Reserves units for a session: a trial's from the platform's grants, a paid one's from its user. What costs
  /// nothing has no hold.
  func reserve(
    _ amount: Microtokens, for record: SessionRecord, at now: Timestamp, on connection: Connection
  ) throws {
    guard amount.count > 0 else { return }
    let isTrial = record.kind == "trial"
    if !isTrial { try spending(record.userID, amount, now, connection) }
    let holdID = ID<HoldKind>(at: now, random: random)
    do {
      try LedgerStore.hold(
        holdID, reference: record.id.bytes,
        from: isTrial ? .platform(.platformGrants) : .user(record.userID),
        to: .provider(record.providerID), amount, expiresAt: now + SessionNumbers.holdFor,
        reason: isTrial ? "trial hold" : "session hold", at: now, on: connection)
    } catch let refusal as Refusal where refusal.code == .insufficientFunds {
      if isTrial {
        throw Refusal(.trialBudgetExhausted, "The platform's trial budget is used up.")
      }
      let has = try LedgerStore.balance(.user(record.userID), on: connection).available
      throw Refusal(
        .insufficientFunds, "This reserves \(amount.tokens) tokens; \(has.tokens) are available.",
        facts: [
          "neededMicrotokens": .int(amount.count), "availableMicrotokens": .int(has.count),
        ])
    }
    try connection.run(
      "INSERT INTO session_hold(session_id, hold_id) VALUES (?, ?)",
      [.blob(record.id.bytes), .blob(holdID.bytes)])
  }

  func requireTrial(
    of terms: SessionTerms, by user: ID<UserKind>, at now: Timestamp, on connection: Connection
  ) throws {
    let ownProvider = try connection.first(
      "SELECT provider_id FROM user WHERE id = ?", [.blob(user.bytes)]
    ) { $0.optionalText(0) }
    // Else a provider could turn the platform's budget into earnings of its own.
    if let ownProvider, ownProvider == terms.runBy {
      throw Refusal(.forbidden, "A provider's own people cannot take its trials.")
    }
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
    try requireTrialLimits(of: terms, by: user, at: now, on: connection)
  }

  private func requireTrialLimits(
    of terms: SessionTerms, by user: ID<UserKind>, at now: Timestamp, on connection: Connection
  ) throws {
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

  /// The longest address that every browser and proxy passes on whole.
  static let addressByteCountMax = 2_000

  /// The answer to a confirmation, with the address that the browser goes to; where that would be too long for
  /// an address, a form takes the token there.
  private func launchView(
    _ record: SessionRecord, redirect: String, signedBy algorithm: SigningAlgorithm,
    at now: Timestamp
  ) -> JSONObject {
    var view = record.json(at: now)
    let token = tokens.launch(record, algorithm: algorithm)
    let back = publicURL + "/sessions/" + record.id.text
    let mark = redirect.contains("?") ? "&" : "?"
    let target =
      redirect + mark + "marketplace_session=" + token
      + "&return_url=" + SessionDesk.percent(back)
    let isShort = target.utf8.count <= SessionDesk.addressByteCountMax
    view["redirectUrl"] = isShort ? .string(target) : .null
    view["formPost"] = [
      "action": .string(redirect),
      "fields": ["marketplace_session": .string(token), "return_url": .string(back)],
    ]
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
