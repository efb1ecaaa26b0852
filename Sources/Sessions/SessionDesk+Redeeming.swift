internal import Cryptography
public import Primitives
internal import SQLite

/// Launch tokens: one redemption, by validate or by the first heartbeat (specification core, 5).
extension SessionDesk {
  /// How long an authenticated provider may repeat its redemption.
  static let repeatMilliseconds: Int64 = 30_000

  /// Redeems a launch token: starts the session and gives a session token.
  ///
  /// - Parameters:
  ///   - provider: The provider that the caller has proved to be, or nil.
  ///   - origin: The `Origin` header, which stands in for a public app's proof.
  /// - Returns: The session with `token`; to the same provider within 30 s the same once more.
  /// - Throws: `Refusal` `token_invalid|token_expired`, `unauthenticated`, `forbidden`, `origin_not_allowed`,
  ///   `token_reused`, `invalid_transition`.
  public func validate(
    token: String, provider: String?, origin: String?
  ) async throws -> JSONObject {
    try await redeem(token, provider, origin, beat: nil, session: nil)
  }

  /// The first heartbeat, by launch token: redeems it by the same rules, then counts.
  ///
  /// - Parameter id: The session that the caller names; another token's is not found.
  /// - Throws: `Refusal` as `validate`, and `not_found`.
  public func firstHeartbeat(
    _ id: ID<SessionKind>, token: String, provider: String?, origin: String?, seq: Int64,
    isActive: Bool
  ) async throws -> JSONObject {
    try await redeem(
      token, provider, origin, beat: .heartbeat(seq: seq, isActive: isActive), session: id)
  }

  private func redeem(
    _ token: String, _ provider: String?, _ origin: String?, beat: SessionState.Event?,
    session wanted: ID<SessionKind>?
  ) async throws -> JSONObject {
    let now = clock.now
    let (id, jti) = try tokens.launched(token, at: now)
    guard wanted == nil || wanted == id else {
      throw Refusal(.notFound, "There is no such session.")
    }
    let outcome = try await database.write { connection -> (view: JSONObject?, refusal: Refusal?) in
      try sweep(at: now, on: connection)
      guard var record = try SessionStore.read(id, on: connection), record.launchID == jti else {
        throw Refusal(.tokenInvalid, "The launch token is not valid.")
      }
      try advance(&record, to: now, on: connection)
      if let used = try redemption(jti, on: connection) {
        return try again(
          &record, used, provider: provider, origin: origin, at: now, on: connection)
      }
      let client = try caller(of: record, provider: provider, origin: origin)
      let view = try redeem(&record, by: client, beat: beat, at: now, on: connection)
      return (view, nil)
    }
    if let refusal = outcome.refusal { throw refusal }
    return outcome.view ?? [:]
  }

  private func redeem(
    _ record: inout SessionRecord, by client: [UInt8], beat: SessionState.Event?,
    at now: Timestamp, on connection: Connection
  ) throws -> JSONObject {
    for event in [SessionState.Event.validate, beat].compactMap({ $0 }) {
      let effects = try record.state.apply(event, at: now.milliseconds)
      try carryOut(effects, &record, at: now, on: connection)
      try advance(&record, to: now, on: connection)
    }
    var view = liveView(record, at: now)
    view["token"] = .string(tokens.session(record, at: now, random: random))
    view["tokenType"] = "Bearer"
    view["expiresInSeconds"] = .int(SessionTokens.sessionTokenSeconds)
    let sealed = replies.seal(
      JSON.object(view).bytes, label: record.id.text, nonce: random.bytes(12))
    // The key of this table is what makes a redemption single: a second one cannot be written.
    try connection.run(
      "INSERT INTO launch(jti, session_id, redeemed_ms, client, reply) VALUES (?, ?, ?, ?, ?)",
      [
        .blob(record.launchID), .blob(record.id.bytes), .int(now.milliseconds), .blob(client),
        .blob(sealed),
      ])
    if case .heartbeat(let seq, _)? = beat {
      try keep(view, of: record, seq: seq, on: connection)
    }
    return view
  }

  /// A second use. To the provider's own server within 30 s the first reply comes again, byte for byte; anything
  /// else is refused, and marks the session.
  private func again(
    _ record: inout SessionRecord, _ used: Redemption, provider: String?, origin: String?,
    at now: Timestamp, on connection: Connection
  ) throws -> (view: JSONObject?, refusal: Refusal?) {
    let client: [UInt8]
    if let provider {
      client = SessionDesk.client(provider: provider)
    } else if let origin {
      client = SessionDesk.client(origin: origin)
    } else {
      throw Refusal(.unauthenticated, "Send the provider's API key.")
    }
    let isRepeat =
      provider != nil && used.client == client
      && now.milliseconds - used.at <= SessionDesk.repeatMilliseconds
    if isRepeat, !record.state.phase.isTerminal, let sealed = used.reply,
      let reply = replies.open(sealed, label: record.id.text)
    {
      return (try JSON.parse(reply).object, nil)
    }
    // Committed, not thrown: the flag must stay although the caller is refused.
    try flag(&record, isOtherClient: used.client != client, at: now, on: connection)
    return (nil, Refusal(.tokenReused, "This launch token was used already."))
  }

  /// Who may redeem: the provider that runs the session, or the registered origin of a browser-only app.
  private func caller(
    of record: SessionRecord, provider: String?, origin: String?
  ) throws(Refusal) -> [UInt8] {
    if let provider {
      guard provider == record.providerID else {
        throw Refusal(.forbidden, "This session runs with another provider.")
      }
      return SessionDesk.client(provider: provider)
    }
    // The sandbox's origin is the server's own, which another start may change.
    let isSandbox = record.providerID == Sandbox.providerID
    guard let registered = isSandbox ? policy.sandbox?.origin : record.appOrigin else {
      throw Refusal(.unauthenticated, "Send the provider's API key.")
    }
    guard let origin, origin == registered else {
      throw Refusal(.originNotAllowed, "This origin may not redeem the token.")
    }
    return SessionDesk.client(origin: origin)
  }

  private static func client(provider: String) -> [UInt8] { Array(("provider:" + provider).utf8) }
  private static func client(origin: String) -> [UInt8] { Array(("origin:" + origin).utf8) }

  private struct Redemption {
    let client: [UInt8]
    let at: Int64
    let reply: [UInt8]?
  }

  private func redemption(_ jti: [UInt8], on connection: Connection) throws -> Redemption? {
    try connection.first(
      "SELECT client, redeemed_ms, reply FROM launch WHERE jti = ?", [.blob(jti)]
    ) { row in
      Redemption(
        client: row.blob(0), at: row.int(1), reply: row.isNull(2) ? nil : row.blob(2))
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
}
