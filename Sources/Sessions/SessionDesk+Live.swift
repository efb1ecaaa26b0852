internal import Cryptography
public import Identity
internal import Ledger
public import Primitives
internal import SQLite

/// Who acts on a session.
public enum SessionActor: Sendable, Equatable {
  /// The user whose session it is.
  case user(ID<UserKind>)
  /// The provider that runs it.
  case provider(String)
  /// The bearer of its session token; `isLate` where it expired at most 30 minutes ago.
  case bearer(ID<SessionKind>, isLate: Bool = false)
  /// An admin.
  case admin
}

extension SessionDesk {
  /// Redeems a launch token: starts the session and gives a session token.
  ///
  /// - Parameters:
  ///   - provider: The provider that the caller has proved to be, or nil.
  ///   - origin: The `Origin` header, which stands in for a public app's proof.
  /// - Throws: `Refusal` `token_invalid|token_expired`, `unauthenticated`, `forbidden`, `token_reused`,
  ///   `invalid_transition`.
  public func validate(
    token: String, provider: String?, origin: String?
  ) async throws -> JSONObject {
    let now = clock.now
    let (id, jti) = try tokens.launched(token, at: now)
    let outcome = try await database.write { connection -> (view: JSONObject?, refusal: Refusal?) in
      guard var record = try SessionStore.read(id, on: connection), record.launchID == jti else {
        throw Refusal(.tokenInvalid, "The launch token is not valid.")
      }
      let client = try caller(of: record, provider: provider, origin: origin)
      try advance(&record, to: now, on: connection)
      if let used = try redemption(jti, on: connection) {
        let isRepeat =
          provider != nil && used.client == client && now.milliseconds - used.at <= 30_000
        if isRepeat, !record.state.phase.isTerminal { return (sessionView(record, at: now), nil) }
        // Committed, not thrown: the flag must stay although the caller is refused.
        try flag(&record, isOtherClient: used.client != client, at: now, on: connection)
        return (nil, Refusal(.tokenReused, "This launch token was used already."))
      }
      let effects = try record.state.apply(.validate, at: now.milliseconds)
      try connection.run(
        "INSERT INTO launch(jti, session_id, redeemed_ms, client) VALUES (?, ?, ?, ?)",
        [.blob(jti), .blob(record.id.bytes), .int(now.milliseconds), .blob(client)])
      try carryOut(effects, &record, at: now, on: connection)
      return (sessionView(record, at: now), nil)
    }
    if let refusal = outcome.refusal { throw refusal }
    return outcome.view ?? [:]
  }

  private func caller(
    of record: SessionRecord, provider: String?, origin: String?
  ) throws(Refusal) -> [UInt8] {
    if let provider {
      guard provider == record.providerID else {
        throw Refusal(.forbidden, "This session runs with another provider.")
      }
      return Array(("provider:" + provider).utf8)
    }
    guard record.providerID == Sandbox.providerID, let sandbox = policy.sandbox else {
      throw Refusal(.unauthenticated, "Send the provider's API key.")
    }
    guard origin == sandbox.origin else {
      throw Refusal(.originNotAllowed, "This origin may not redeem the token.")
    }
    return Array(("origin:" + sandbox.origin).utf8)
  }

  private func redemption(
    _ jti: [UInt8], on connection: Connection
  ) throws -> (client: [UInt8], at: Int64)? {
    try connection.first("SELECT client, redeemed_ms FROM launch WHERE jti = ?", [.blob(jti)]) {
      (client: $0.blob(0), at: $0.int(1))
    }
  }

  private func flag(
    _ record: inout SessionRecord, isOtherClient: Bool, at now: Timestamp, on connection: Connection
  ) throws {
    record.isFlagged = true
    var effects: [SessionState.Effect] = []
    if isOtherClient, record.state.phase == .active {
      effects = try record.state.apply(.pause, at: now.milliseconds)
    }
    try carryOut(effects, &record, at: now, on: connection)
  }

  /// A heartbeat by session token, with a fresh one near its expiry.
  public func heartbeat(
    _ id: ID<SessionKind>, by actor: SessionActor, seq: Int64, isActive: Bool
  ) async throws -> JSONObject {
    let now = clock.now
    let record = try await change(id, by: actor, .heartbeat(seq: seq, isActive: isActive), at: now)
    var reply = record.json(at: now)
    let remaining = record.state.remaining(at: now.milliseconds)
    reply["remainingMs"] = .int(remaining)
    reply["warn"] = .bool(record.state.phase == .active && remaining <= SessionNumbers.warnBefore)
    reply["nextHeartbeatSeconds"] = 30
    if !record.state.phase.isTerminal {
      reply["token"] = .string(tokens.session(record, at: now, random: random))
    }
    return reply
  }

  /// Pause, resume, complete, fail or revoke.
  /// - Throws: `Refusal` `not_found` for whom it does not concern, `invalid_transition`.
  public func transition(
    _ id: ID<SessionKind>, by actor: SessionActor, _ event: SessionState.Event
  ) async throws -> JSONObject {
    let now = clock.now
    return try await change(id, by: actor, event, at: now).json(at: now)
  }

  /// The same under an idempotency key.
  public func transition(
    _ id: ID<SessionKind>, by actor: SessionActor, _ event: SessionState.Event,
    key: Idempotency.Key, refused: @Sendable (Refusal) -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    let now = clock.now
    return try await database.write { connection in
      try sweep(at: now, on: connection)
      // Before any stored answer: a key must not open another's session.
      guard let known = try SessionStore.read(id, on: connection), concerns(known, actor) else {
        throw Refusal(.notFound, "There is no such session.")
      }
      return try idempotency.once(key, at: now, on: connection, refused: refused) {
        let record = try apply(id, by: actor, event, at: now, on: connection)
        return Idempotency.Answer(status: 200, body: JSON.object(record.json(at: now)).bytes)
      }
    }
  }

  private func change(
    _ id: ID<SessionKind>, by actor: SessionActor, _ event: SessionState.Event, at now: Timestamp
  ) async throws -> SessionRecord {
    try await database.write { connection in
      try apply(id, by: actor, event, at: now, on: connection)
    }
  }

  func apply(
    _ id: ID<SessionKind>, by actor: SessionActor, _ event: SessionState.Event, at now: Timestamp,
    on connection: Connection
  ) throws -> SessionRecord {
    guard var record = try SessionStore.read(id, on: connection), concerns(record, actor) else {
      throw Refusal(.notFound, "There is no such session.")
    }
    try advance(&record, to: now, on: connection)
    try requireMay(actor, event, record)
    let effects = try record.state.apply(event, at: now.milliseconds)
    try carryOut(effects, &record, at: now, on: connection)
    return record
  }

  private func concerns(_ record: SessionRecord, _ actor: SessionActor) -> Bool {
    switch actor {
    case .user(let id): record.userID == id
    case .provider(let id): record.providerID == id
    case .bearer(let id, _): record.id == id
    case .admin: true
    }
  }

  /// The session of a bearer's session token.
  public func bearer(_ token: String) throws(Refusal) -> SessionActor {
    try tokens.bearer(token, at: clock.now)
  }

  /// Only the session token is a sign of life: time that is paid for must not run on a provider's word. A token
  /// that has expired is good only to wake a paused session (3.3).
  private func requireMay(
    _ actor: SessionActor, _ event: SessionState.Event, _ record: SessionRecord
  ) throws(Refusal) {
    if case .heartbeat = event {
      guard case .bearer = actor else {
        throw Refusal(.forbidden, "Send heartbeats with the session token.")
      }
    }
    guard case .bearer(_, isLate: true) = actor else { return }
    switch event {
    case .heartbeat where record.state.phase == .paused: return
    case .resume where record.state.phase == .paused: return
    default: throw Refusal(.tokenExpired, "The token has expired.")
    }
  }

  /// One session as its user, its provider or an admin sees it.
  public func session(_ id: ID<SessionKind>, for actor: SessionActor) async throws -> JSONObject {
    let now = clock.now
    return try await database.write { connection in
      guard var record = try SessionStore.read(id, on: connection), concerns(record, actor) else {
        throw Refusal(.notFound, "There is no such session.")
      }
      try advance(&record, to: now, on: connection)
      return record.json(at: now)
    }
  }

  /// A user's sessions, newest first, after one of them where it is given.
  public func sessions(
    of user: ID<UserKind>, before last: ID<SessionKind>?, limit: Int
  ) async throws -> [JSONObject] {
    let now = clock.now
    return try await database.write { connection in
      try sweep(at: now, on: connection)
      return try SessionStore.list(user: user, before: last, limit: limit, on: connection)
        .map { $0.json(at: now) }
    }
  }

  /// Sessions that one transaction settles: the writing lane is everybody's.
  static let sweepCount = 64

  /// Applies every deadline that is due, in short transactions. Called now and then, and at the start.
  public func sweep() async throws {
    var isDone = false
    while !isDone {
      let now = clock.now
      isDone = try await database.write { connection in try sweep(at: now, on: connection) }
      try Task.checkCancellation()
    }
  }

  /// Due deadlines in time order, of at most 64 sessions, then of holds: sessions settle before their holds can
  /// time out. One that cannot be settled is set aside for people to look at, and holds up nobody else.
  ///
  /// - Returns: Whether nothing is due any more.
  @discardableResult
  func sweep(at now: Timestamp, on connection: Connection) throws -> Bool {
    let limit = SessionDesk.sweepCount
    let due = try SessionStore.due(at: now.milliseconds, limit: limit, on: connection)
    for record in due {
      do {
        try connection.savepoint {
          var record = record
          try advance(&record, to: now, on: connection)
        }
      } catch let error as SQLiteError where !error.isConstraint {
        throw error  // the storage's trouble, not this session's
      } catch {
        try SessionStore.setAside(record.id, on: connection)
      }
    }
    if due.count == limit { return false }
    try LedgerStore.expireDue(at: now, random: random, on: connection)
    return true
  }

  /// Deletes proposals that came to nothing, a day after their end.
  public func prune() async throws {
    let before = clock.now.milliseconds - 86_400_000
    var count = 0
    repeat {
      count = try await database.write { connection in
        try connection.run(
          """
          DELETE FROM proposal WHERE id IN
          (SELECT id FROM proposal WHERE state <> 'consumed' AND expires_ms < ? LIMIT 500)
          """, [.int(before)])
      }
    } while count == 500
  }

  func advance(
    _ record: inout SessionRecord, to now: Timestamp, on connection: Connection
  ) throws {
    let before = record.state
    let effects = record.state.advance(to: now.milliseconds)
    if record.state != before { try carryOut(effects, &record, at: now, on: connection) }
  }

  /// Writes the state, the ledger entries and the events of a change.
  private func carryOut(
    _ effects: [SessionState.Effect], _ record: inout SessionRecord, at now: Timestamp,
    on connection: Connection
  ) throws {
    for effect in effects {
      switch effect {
      case .settle: try settle(&record, charge: record.state.charge, at: now, on: connection)
      case .release: try settle(&record, charge: 0, at: now, on: connection)
      case .emit: break
      }
    }
    try SessionStore.update(record, on: connection)
    for case .emit(let type, let moment) in effects {
      try emit(type, record, at: Timestamp(milliseconds: moment), on: connection)
    }
  }

  /// Captures the charge from the holds, oldest first, and releases the rest.
  private func settle(
    _ record: inout SessionRecord, charge: Int64, at now: Timestamp, on connection: Connection
  ) throws {
    // A deadline can lie in the past: the hold is settled as of the session's own end.
    let moment = Timestamp(
      milliseconds: min(now.milliseconds, record.state.endedAt ?? now.milliseconds))
    var left = min(charge, record.held)
    let holds = try connection.rows(
      "SELECT hold_id, h.amount FROM session_hold JOIN hold h ON h.id = hold_id WHERE session_id = ? ORDER BY hold_id",
      [.blob(record.id.bytes)]
    ) { ($0.blob(0), $0.int(1)) }
    for (bytes, amount) in holds {
      guard let holdID = ID<HoldKind>(bytes: bytes) else { continue }
      let part = min(left, amount)
      let id = ID<TransferKind>(at: now, random: random)
      if part > 0 {
        try LedgerStore.capture(
          id, hold: holdID, Microtokens(part), reason: record.kind + " settled", at: moment,
          on: connection)
      } else {
        try LedgerStore.void(
          id, hold: holdID, reason: record.kind + " released", at: moment, on: connection)
      }
      left -= part
      record.charged += part
    }
  }

  private func emit(
    _ type: String, _ record: SessionRecord, at moment: Timestamp, on connection: Connection
  ) throws {
    let body: JSON = [
      "type": .string(type), "timestamp": .string(moment.rfc3339),
      "data": .object(record.json(at: moment)),
    ]
    let eventID = "evt_" + BytesText.base64url(random.bytes(16))
    try connection.run(
      "INSERT INTO outbox(event_id, type, occurred_ms, payload) VALUES (?, ?, ?, ?)",
      [.text(eventID), .text(type), .int(moment.milliseconds), .text(body.text)])
  }

  private func sessionView(_ record: SessionRecord, at now: Timestamp) -> JSONObject {
    var view = record.json(at: now)
    view["token"] = .string(tokens.session(record, at: now, random: random))
    view["tokenType"] = "Bearer"
    view["expiresInSeconds"] = .int(SessionTokens.sessionTokenSeconds)
    view["nextHeartbeatSeconds"] = 30
    return view
  }

  /// Posts the trial budget once, with an id of its own nature: a second start finds it there (2.1).
  public func fundTrials(tokens count: Int64) async throws {
    guard count > 0, let amount = Microtokens(tokens: count) else { return }
    let now = clock.now
    try await database.write { connection in
      let name = Digest.sha256(Array("trial-budget".utf8))
      guard let id = ID<TransferKind>(bytes: Array(name[..<16])) else { return }
      let known = try connection.first("SELECT 1 FROM transfer WHERE id = ?", [.blob(id.bytes)]) {
        _ in true
      }
      if known == true { return }
      try LedgerStore.post(
        id, from: .platform(.platformPromoExpense), to: .platform(.platformGrants), amount,
        reason: "trial budget", at: now, on: connection)
    }
  }
}
