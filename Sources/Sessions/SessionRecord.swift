public import Identity
public import Primitives
internal import SQLite

/// A session with whose it is and what it runs on.
public struct SessionRecord: Sendable {
  /// The id.
  public let id: ID<SessionKind>
  /// The user.
  public let userID: ID<UserKind>
  /// The provider that runs it, who may redeem and end it.
  public let providerID: String
  /// The listing.
  public let serviceID: String
  /// The listing's revision that was agreed to.
  public let serviceRevision: Int64
  /// The offer.
  public let offerID: String
  /// The audience of its launch token.
  public let appID: String
  /// `trial` or `paid`.
  public let kind: String
  /// The id of its launch token, 16 bytes.
  public let launchID: [UInt8]
  /// Microtokens a reported unit; 0 where time is paid for.
  public var unitPrice: Int64 = 0
  /// The platform's share of captures, in ten-thousandths.
  public var feeBasisPoints: Int64 = 0
  /// The origin of a browser-only app that redeems by itself, or nil.
  public var appOrigin: String?
  /// Microtokens reserved, extensions included.
  public var held: Int64
  /// Microtokens captured.
  public var charged: Int64 = 0
  /// Of these, the platform's share.
  public var fee: Int64 = 0
  /// Microtokens given back of what was captured. The ledger knows; nothing here is stored.
  public var refunded: Int64 = 0
  /// Units reported.
  public var units: Int64 = 0
  /// Whether its token was used twice.
  public var isFlagged = false
  /// Whether it could not be settled and waits for people: no deadline of it is carried out any more.
  public var isSetAside = false
  /// How many events it has put in the outbox.
  public var eventCount: Int64 = 0
  /// Its state.
  public var state: SessionState

  /// Microtokens that can still be captured.
  public var left: Int64 { held - charged }

  /// The view that users and providers get.
  public func json(at now: Timestamp) -> JSONObject {
    let end = state.endedAt ?? state.end(at: now.milliseconds)
    let isOver = state.phase.isTerminal
    return [
      "id": .string(id.text), "state": .string(state.phase.rawValue),
      "reason": .optional(state.reason), "kind": .string(kind),
      "plan": .string(state.plan.rawValue), "serviceId": .string(serviceID),
      "serviceRevision": .int(serviceRevision), "offerId": .string(offerID),
      "providerId": .string(providerID), "durationMinutes": .int(state.duration / 60_000),
      "ratePerHourMicrotokens": .int(state.ratePerHour),
      "unitPriceMicrotokens": .int(unitPrice), "units": .int(units),
      "heldMicrotokens": .int(held), "usedMicrotokens": .int(used),
      "chargedMicrotokens": .int(charged),
      "releasedMicrotokens": .int(isOver ? left : 0), "refundedMicrotokens": .int(refunded),
      "feeBasisPoints": .int(feeBasisPoints), "feeMicrotokens": .int(fee),
      "paidBy": .string(kind == "trial" ? "platform" : "user"), "paidTo": .string(providerID),
      "activeSeconds": .int(state.active / 1_000),
      "remainingSeconds": .int(state.remaining(at: now.milliseconds) / 1_000),
      "flagged": .bool(isFlagged),
      "createdAt": .string(Timestamp(milliseconds: state.createdAt).rfc3339),
      "startedAt": .optional(state.startedAt.map { Timestamp(milliseconds: $0).rfc3339 }),
      "endsAt": .optional(end.map { Timestamp(milliseconds: $0).rfc3339 }),
    ]
  }

  /// Microtokens used up to the last activity, within what is reserved.
  public var used: Int64 { state.plan == .usage ? charged : min(state.charge, held) }
}

/// The session table.
enum SessionStore {
  private static let columns = """
    id, user_id, provider_id, service_id, service_revision, offer_id, app_id, kind, launch_jti, held,
    charged, flagged, rate_per_hour, duration_ms, created_ms, state, reason, started_ms,
    last_activity_ms, paused_at_ms, paused_ms, active_ms, ended_ms, last_seq, warned, plan,
    unit_price, fee_bps, fee, units, app_origin, events, deadline_ms
    """

  static func insert(_ record: SessionRecord, on connection: Connection) throws {
    let state = record.state
    try connection.run(
      """
      INSERT INTO session(id, user_id, provider_id, service_id, service_revision, offer_id, app_id,
      kind, launch_jti, held, rate_per_hour, duration_ms, created_ms, state, deadline_ms, plan,
      unit_price, fee_bps, app_origin)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .blob(record.id.bytes), .blob(record.userID.bytes), .text(record.providerID),
        .text(record.serviceID), .int(record.serviceRevision), .text(record.offerID),
        .text(record.appID), .text(record.kind), .blob(record.launchID), .int(record.held),
        .int(state.ratePerHour), .int(state.duration), .int(state.createdAt),
        .text(state.phase.rawValue), .optional(state.deadline), .text(state.plan.rawValue),
        .int(record.unitPrice), .int(record.feeBasisPoints), .optional(record.appOrigin),
      ])
  }

  static func update(_ record: SessionRecord, on connection: Connection) throws {
    let state = record.state
    try connection.run(
      """
      UPDATE session SET state = ?, reason = ?, charged = ?, flagged = ?, started_ms = ?,
      last_activity_ms = ?, paused_at_ms = ?, paused_ms = ?, active_ms = ?, ended_ms = ?,
      last_seq = ?, warned = ?, deadline_ms = ?, held = ?, duration_ms = ?, fee = ?, units = ?,
      events = ? WHERE id = ?
      """,
      [
        .text(state.phase.rawValue), .optional(state.reason), .int(record.charged),
        .int(record.isFlagged ? 1 : 0), .optional(state.startedAt), .optional(state.lastActivity),
        .optional(state.pausedAt), .int(state.pausedTotal), .int(state.active),
        .optional(state.endedAt), .int(state.lastSeq), .int(state.isWarned ? 1 : 0),
        .optional(state.deadline), .int(record.held), .int(state.duration), .int(record.fee),
        .int(record.units), .int(record.eventCount), .blob(record.id.bytes),
      ])
  }

  static func read(_ id: ID<SessionKind>, on connection: Connection) throws -> SessionRecord? {
    try connection.first(
      "SELECT \(columns) FROM session WHERE id = ?", [.blob(id.bytes)]
    ) { try read($0) }.map { try withRefunds($0, on: connection) }
  }

  /// Whose sessions a list has.
  enum Owner {
    case user(ID<UserKind>)
    case provider(String)
  }

  /// Newest first, after one of them where it is given.
  static func list(
    of owner: Owner, before last: ID<SessionKind>?, limit: Int, on connection: Connection
  ) throws -> [SessionRecord] {
    let (column, value): (String, SQLValue) =
      switch owner {
      case .user(let id): ("user_id", .blob(id.bytes))
      case .provider(let id): ("provider_id", .text(id))
      }
    return try connection.rows(
      """
      SELECT \(columns) FROM session WHERE \(column) = ?1 AND (?2 IS NULL
      OR (created_ms, id) < (SELECT created_ms, id FROM session WHERE id = ?2 AND \(column) = ?1))
      ORDER BY created_ms DESC, id DESC LIMIT ?3
      """, [value, .optional(last?.bytes), .int(Int64(limit))]
    ) { try read($0) }.map { try withRefunds($0, on: connection) }
  }

  /// The session with the earliest deadline that is due.
  static func nextDue(at now: Int64, on connection: Connection) throws -> SessionRecord? {
    try connection.first(
      "SELECT \(columns) FROM session WHERE deadline_ms <= ? ORDER BY deadline_ms, id LIMIT 1",
      [.int(now)]
    ) { try read($0) }.map { try withRefunds($0, on: connection) }
  }

  /// With what the ledger gave back; nothing can have been where nothing was captured.
  private static func withRefunds(
    _ record: SessionRecord, on connection: Connection
  ) throws -> SessionRecord {
    guard record.charged > 0 else { return record }
    var record = record
    record.refunded = try refunded(record.id, on: connection)
    return record
  }

  /// What was given back of a session's captures. A session that is paid by use has one for each report, and each report
  /// reads its session: they are gone through only where the provider has given anything back since the session began.
  private static func refunded(_ id: ID<SessionKind>, on connection: Connection) throws -> Int64 {
    try connection.first(
      """
      SELECT CASE WHEN EXISTS (SELECT 1 FROM session_hold h JOIN transfer t ON t.id = h.hold_id
      JOIN transfer r ON r.debit = t.credit AND r.kind = 'refund' AND r.seq > t.seq
      WHERE h.session_id = ?1) THEN (SELECT coalesce(sum(r.amount), 0) FROM session_hold h
      JOIN transfer c ON c.hold_id = h.hold_id AND c.kind <> 'hold' AND c.kind = 'capture'
      JOIN transfer r ON r.refers_to = c.id AND r.kind = 'refund' WHERE h.session_id = ?1)
      ELSE 0 END
      """, [.blob(id.bytes)]
    ) { $0.int(0) } ?? 0
  }

  /// Flags a session and takes its deadline away; its hold times out by itself.
  static func setAside(_ id: ID<SessionKind>, on connection: Connection) throws {
    try connection.run(
      "UPDATE session SET flagged = 1, deadline_ms = NULL WHERE id = ?", [.blob(id.bytes)])
  }

  private static func read(_ row: borrowing Row) throws -> SessionRecord {
    guard let id = ID<SessionKind>(bytes: row.blob(0)), let user = ID<UserKind>(bytes: row.blob(1)),
      let phase = SessionState.Phase(rawValue: row.text(15)),
      let plan = SessionState.Plan(rawValue: row.text(25))
    else { throw SQLiteError(code: 11, message: "a stored session cannot be read") }
    let stored = SessionState.Stored(
      phase: phase, reason: row.optionalText(16), startedAt: row.optionalInt(17),
      lastActivity: row.optionalInt(18), pausedAt: row.optionalInt(19), pausedTotal: row.int(20),
      active: row.int(21), endedAt: row.optionalInt(22), lastSeq: row.int(23),
      isWarned: row.int(24) == 1)
    let state = SessionState(
      ratePerHour: row.int(12), duration: row.int(13), createdAt: row.int(14), plan: plan,
      stored: stored)
    return SessionRecord(
      id: id, userID: user, providerID: row.text(2), serviceID: row.text(3),
      serviceRevision: row.int(4), offerID: row.text(5), appID: row.text(6), kind: row.text(7),
      launchID: row.blob(8), unitPrice: row.int(26), feeBasisPoints: row.int(27),
      appOrigin: row.optionalText(30), held: row.int(9), charged: row.int(10), fee: row.int(28),
      units: row.int(29), isFlagged: row.int(11) == 1,
      // Whatever goes on has a next deadline.
      isSetAside: !phase.isTerminal && row.isNull(32), eventCount: row.int(31), state: state)
  }
}
