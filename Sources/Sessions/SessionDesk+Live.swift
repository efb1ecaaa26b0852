public import Identity
internal import Ledger
public import Primitives
internal import SQLite

/// What happens to a session between its start and its end.
extension SessionDesk {
  /// With a fresh session token where the caller's nears its end, or woke the session after it.
  func renewed(
    _ view: JSONObject, _ record: SessionRecord, _ actor: SessionActor, at now: Timestamp
  ) -> JSONObject {
    guard case .bearer(_, let age) = actor, age != .fresh, !record.state.phase.isTerminal else {
      return view
    }
    var view = view
    view["token"] = .string(tokens.session(record, at: now, random: random))
    return view
  }

  /// A session as its provider's app goes on with it.
  func liveView(_ record: SessionRecord, at now: Timestamp) -> JSONObject {
    var view = record.json(at: now)
    let remaining = record.state.remaining(at: now.milliseconds)
    view["userId"] = .string(tokens.subject(of: record))
    view["remainingMs"] = .int(remaining)
    view["warn"] = .bool(record.state.phase == .active && remaining <= SessionNumbers.warnBefore)
    view["nextHeartbeatSeconds"] = 30
    return view
  }

  /// Pause, resume, complete, fail or revoke.
  ///
  /// - Parameter author: Who is answerable where an admin acts, in a session that is somebody else's.
  /// - Throws: `Refusal` `not_found` for whom it does not concern, `invalid_transition`.
  public func transition(
    _ id: ID<SessionKind>, by actor: SessionActor, _ event: SessionState.Event,
    author: AuditLog.Author = .system
  ) async throws -> JSONObject {
    let now = clock.now
    let record = try await change(id, by: actor, event, at: now, author: author)
    return renewed(record.json(at: now), record, actor, at: now)
  }

  /// The same under an idempotency key.
  public func transition(
    _ id: ID<SessionKind>, by actor: SessionActor, _ event: SessionState.Event,
    key: Idempotency.Key, refused: @escaping @Sendable (Refusal) -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    try await keyed(id, by: actor, key: key, refused: refused) { now, connection in
      let record = try apply(id, by: actor, event, at: now, on: connection)
      return renewed(record.json(at: now), record, actor, at: now)
    }
  }

  /// Buys a paid session more minutes, at the price that was agreed to, with a hold of their own.
  ///
  /// - Parameters:
  ///   - minutes: At least 1; the session may last 180 in all.
  ///   - maxTokens: Tokens to be reserved more, where the provider reports use; nil where time is paid for.
  /// - Throws: `Refusal` `not_found`, `validation_failed`. `invalid_transition`, `spending_limit_reached` and
  ///   `insufficient_funds` are the answer.
  public func extend(
    _ id: ID<SessionKind>, by user: ID<UserKind>, minutes: Int64, maxTokens: Int64?,
    key: Idempotency.Key, refused: @escaping @Sendable (Refusal) -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    try await keyed(id, by: .user(user), key: key, refused: refused) { now, connection in
      guard var record = try SessionStore.read(id, on: connection) else {
        throw Refusal(.notFound, "There is no such session.")
      }
      try advance(&record, to: now, on: connection)
      // What is asked for goes before what the session is (8.1: validation, then object state).
      let amount = try SessionDesk.price(of: minutes, maxTokens, more: record)
      let isOpen = record.state.phase == .active || record.state.phase == .paused
      guard isOpen, record.state.plan != .trial else { throw record.state.refused() }
      try reserve(amount, for: record, at: now, on: connection)
      record.held += amount.count
      let effects = try record.state.apply(.extend(by: minutes * 60_000), at: now.milliseconds)
      try carryOut(effects, &record, at: now, on: connection)
      try advance(&record, to: now, on: connection)
      return record.json(at: now)
    }
  }

  /// What more minutes reserve: so much that all holds together are the price of the whole time.
  private static func price(
    of minutes: Int64, _ maxTokens: Int64?, more record: SessionRecord
  ) throws(Refusal) -> Microtokens {
    func invalid(_ pointer: String, _ reason: String) -> Refusal {
      Refusal(
        .validationFailed, "The session cannot be extended so.", fields: [.init(pointer, reason)])
    }
    let state = record.state
    let most = (SessionNumbers.durations.upperBound - state.duration) / 60_000
    guard minutes >= 1, minutes <= most else {
      throw invalid(
        "/minutes",
        most < 1 ? "cannot be had: 180 are the most" : "must be a whole number from 1 to \(most)")
    }
    guard state.plan == .usage else {
      guard maxTokens == nil else {
        throw invalid("/maxTokens", "has no place here: time is paid for at its rate")
      }
      let longer = state.duration + minutes * 60_000
      let rate = state.ratePerHour
      return Microtokens(
        Metering.charge(ratePerHour: rate, milliseconds: longer)
          - Metering.charge(ratePerHour: rate, milliseconds: state.duration))
    }
    guard let maxTokens, (0...SessionTerms.tokensMax).contains(maxTokens) else {
      throw invalid(
        "/maxTokens", "must be a whole number from 0 to \(SessionTerms.tokensMax)")
    }
    return Microtokens(maxTokens * 1_000_000)
  }

  private func keyed(
    _ id: ID<SessionKind>, by actor: SessionActor, key: Idempotency.Key,
    refused: @escaping @Sendable (Refusal) -> Idempotency.Answer,
    _ effect: @escaping @Sendable (Timestamp, Connection) throws -> JSONObject
  ) async throws -> Idempotency.Answer {
    let now = clock.now
    return try await database.write { connection in
      try sweep(at: now, on: connection)
      // Before any stored answer: a key must not open another's session.
      guard let known = try SessionStore.read(id, on: connection), concerns(known, actor) else {
        throw Refusal(.notFound, "There is no such session.")
      }
      try requireNotRevoked(actor, known)
      return try idempotency.once(key, at: now, on: connection, refused: refused) {
        Idempotency.Answer(status: 200, body: JSON.object(try effect(now, connection)).bytes)
      }
    }
  }

  private func change(
    _ id: ID<SessionKind>, by actor: SessionActor, _ event: SessionState.Event, at now: Timestamp,
    author: AuditLog.Author = .system
  ) async throws -> SessionRecord {
    try await database.write { connection in
      try sweep(at: now, on: connection)
      let before = actor == .admin ? try SessionStore.read(id, on: connection)?.state : nil
      let record = try apply(id, by: actor, event, at: now, on: connection)
      if actor == .admin, record.state != before {
        try AuditLog.record(
          "session." + (record.state.reason ?? record.state.phase.rawValue),
          on: "session:" + id.text, by: author, at: now, on: connection)
      }
      return record
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
    try advance(&record, to: now, on: connection)
    return record
  }

  /// The first of a caller's roles in which a session is its own. It is asked before any stored answer: a key must
  /// not open another's session.
  /// - Throws: `Refusal` `not_found`; `token_invalid` for the token of a revoked session.
  public func concerned(
    _ id: ID<SessionKind>, of actors: [SessionActor]
  ) async throws -> SessionActor {
    try await database.read { connection in
      guard let record = try SessionStore.read(id, on: connection),
        let actor = actors.first(where: { concerns(record, $0) })
      else { throw Refusal(.notFound, "There is no such session.") }
      try requireNotRevoked(actor, record)
      return actor
    }
  }

  func concerns(_ record: SessionRecord, _ actor: SessionActor) -> Bool {
    switch actor {
    case .user(let id): record.userID == id
    case .provider(let id): record.providerID == id
    case .bearer(let id, _): record.id == id
    case .launch: false
    case .admin: true
    }
  }

  /// The session of a bearer's session token.
  /// - Throws: `Refusal` `token_expired` or `token_invalid`.
  public func bearer(_ token: String) throws(Refusal) -> SessionActor {
    try tokens.bearer(token, at: clock.now)
  }

  /// Whom a bearer credential of a live route speaks for: a session token's session, or a launch token.
  /// - Throws: `Refusal` `token_expired` or `token_invalid`.
  public func liveActor(_ token: String) throws(Refusal) -> SessionActor {
    do throws(Refusal) {
      return try bearer(token)
    } catch {
      _ = try tokens.launched(token, at: clock.now)
      return .launch(token: token)
    }
  }

  /// Only the session token is a sign of life: time that is paid for must not run on a provider's word. A token
  /// that has expired is good only to wake a paused session (3.3), one of a revoked session for nothing.
  private func requireMay(
    _ actor: SessionActor, _ event: SessionState.Event, _ record: SessionRecord
  ) throws(Refusal) {
    if case .heartbeat = event {
      guard case .bearer = actor else {
        throw Refusal(.forbidden, "Send heartbeats with the session token.")
      }
    }
    try requireNotRevoked(actor, record)
    guard case .bearer(_, .late) = actor else { return }
    switch event {
    case .heartbeat where record.state.phase == .paused: return
    case .resume where record.state.phase == .paused: return
    default: throw Refusal(.tokenExpired, "The token has expired.")
    }
  }

  /// The token of a revoked session is good for nothing any more, not even for an answer that was given before.
  private func requireNotRevoked(
    _ actor: SessionActor, _ record: SessionRecord
  ) throws(Refusal) {
    guard case .bearer = actor, record.state.phase == .expired, record.state.reason == "revoked"
    else { return }
    throw Refusal(
      .tokenInvalid, "The session was revoked.",
      facts: ["state": "expired", "reason": "revoked"])
  }
}
