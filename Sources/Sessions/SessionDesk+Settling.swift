internal import Cryptography
internal import Ledger
internal import Primitives
public import SQLite

/// Deadlines, settlement and events. Nothing here draws on randomness or on the moment of detection: whenever a
/// deadline is noticed, the ledger and the outbox get the same rows (3.3).
extension SessionDesk {
  /// Steps of one transaction: the writing lane is everybody's.
  static let sweepCount = 64

  /// Applies every deadline that is due, in short transactions. Called now and then, and at the start.
  ///
  /// - Parameter record: Another handle of the desk's database, where its own is refused writes; nil for its own.
  public func sweep(through record: Database? = nil) async throws {
    var isDone = false
    while !isDone {
      let now = clock.now
      isDone = try await (record ?? database).write { connection in
        try sweep(at: now, on: connection)
      }
      try Task.checkCancellation()
    }
  }

  /// At most 64 due deadlines, of all sessions and holds together in the order of time; a session's before those
  /// of its own hold. A session that cannot be settled is set aside for people to look at, and holds up nobody else.
  ///
  /// - Returns: Whether nothing is due any more.
  @discardableResult
  func sweep(at now: Timestamp, on connection: Connection) throws -> Bool {
    for _ in 0..<SessionDesk.sweepCount {
      guard let due = try SessionStore.nextDue(at: now.milliseconds, on: connection) else {
        try LedgerStore.expireDue(at: now, random: random, on: connection)
        return true
      }
      do {
        try connection.savepoint {
          var record = due
          let moment = record.state.deadline ?? now.milliseconds
          try LedgerStore.expireDue(
            at: Timestamp(milliseconds: moment), random: random, on: connection)
          guard let effects = record.state.step(to: now.milliseconds) else {
            throw Refusal(.internal, "A session's stored deadline is not its own.")
          }
          try carryOut(effects, &record, at: now, on: connection)
        }
      } catch let error as SQLiteError where !error.isConstraint {
        throw error  // the storage's trouble, not this session's
      } catch {
        try SessionStore.setAside(due.id, on: connection)
      }
    }
    return false
  }

  /// Applies what is due of one session.
  func advance(
    _ record: inout SessionRecord, to now: Timestamp, on connection: Connection
  ) throws {
    while let effects = record.state.step(to: now.milliseconds) {
      try carryOut(effects, &record, at: now, on: connection)
    }
  }

  /// Writes the state, the ledger entries and the events of a change.
  func carryOut(
    _ effects: [SessionState.Effect], _ record: inout SessionRecord, at now: Timestamp,
    on connection: Connection
  ) throws {
    for effect in effects {
      switch effect {
      case .settle: try settle(&record, charge: record.used, at: now, on: connection)
      case .release: try settle(&record, charge: record.charged, at: now, on: connection)
      case .emit(let type, let moment):
        try emit(
          type, &record, data: record.json(at: Timestamp(milliseconds: moment)),
          at: Timestamp(milliseconds: moment), on: connection)
      }
    }
    try SessionStore.update(record, on: connection)
  }

  /// Captures what is not captured yet from the holds, oldest first, and releases the rest.
  private func settle(
    _ record: inout SessionRecord, charge: Int64, at now: Timestamp, on connection: Connection
  ) throws {
    // A deadline can lie in the past: the hold is settled as of the session's own end.
    let moment = Timestamp(
      milliseconds: min(now.milliseconds, record.state.endedAt ?? now.milliseconds))
    var left = charge - record.charged
    for (index, hold) in try openHolds(of: record, on: connection).enumerated() {
      let part = min(left, hold.left)
      let name = "settle/\(index)"
      if part > 0 {
        try capture(
          part, of: hold.id, name, reason: record.kind + " settled", &record, at: moment,
          on: connection)
      } else {
        try LedgerStore.void(
          SessionDesk.natural(record.id, name), hold: hold.id, reason: record.kind + " released",
          at: moment, on: connection)
      }
      left -= part
    }
  }

  /// The holds of a session that are open, oldest first, with what is left of each.
  /// - Throws: `Refusal` `internal` where they are not what the session has left: it cannot be settled.
  func openHolds(
    of record: SessionRecord, on connection: Connection
  ) throws -> [(id: ID<HoldKind>, left: Int64)] {
    let holds = try connection.rows(
      """
      SELECT s.hold_id, h.amount - h.captured FROM session_hold s
      JOIN hold h ON h.id = s.hold_id JOIN transfer t ON t.id = s.hold_id
      WHERE s.session_id = ? AND h.state = 'open' ORDER BY t.seq
      """, [.blob(record.id.bytes)]
    ) { row in
      guard let id = ID<HoldKind>(bytes: row.blob(0)) else {
        throw SQLiteError(code: 11, message: "a stored hold cannot be read")
      }
      return (id: id, left: row.int(1))
    }
    let left = holds.reduce(0) { sum, hold in sum + hold.left }
    guard left == record.left else {
      throw Refusal(
        .internal, "The holds of a session have \(left) left where it has \(record.left).")
    }
    return holds
  }

  /// Captures from a hold, and moves the platform's share on in the same transaction.
  ///
  /// - Parameter name: What the capture is for, once in its session: its id follows from it (L7).
  func capture(
    _ amount: Int64, of hold: ID<HoldKind>, _ name: String, keepsOpen: Bool = false,
    reason: String, _ record: inout SessionRecord, at moment: Timestamp, on connection: Connection
  ) throws {
    let id: ID<TransferKind> = SessionDesk.natural(record.id, name)
    try LedgerStore.capture(
      id, hold: hold, Microtokens(amount), keepsOpen: keepsOpen, reason: reason, at: moment,
      on: connection)
    record.charged += amount
    guard record.feeBasisPoints > 0 else { return }
    try LedgerStore.fee(
      SessionDesk.natural(record.id, name + "/fee"), ofCapture: id, captured: Microtokens(amount),
      provider: .provider(record.providerID), basisPoints: record.feeBasisPoints, at: moment,
      on: connection)
    record.fee += Metering.share(of: amount, basisPoints: record.feeBasisPoints)
  }

  /// An id that follows from a session and what is done there: doing it twice finds the first.
  static func natural<Kind>(_ session: ID<SessionKind>, _ name: String) -> ID<Kind> {
    let digest = Digest.sha256(session.bytes + Array(name.utf8))
    return ID.secret(RandomSource { count in Array(digest.prefix(count)) })
  }

  /// Puts an event in the outbox, named by the session and its count there. Pairwise ids only: whoever gets it is
  /// the provider.
  func emit(
    _ type: String, _ record: inout SessionRecord, data: JSONObject, at moment: Timestamp,
    on connection: Connection
  ) throws {
    record.eventCount += 1
    var data = data
    data["sessionId"] = .string(record.id.text)
    data["userId"] = .string(tokens.subject(of: record))
    let body: JSON = [
      "type": .string(type), "timestamp": .string(moment.rfc3339), "data": .object(data),
    ]
    let id: ID<SessionKind> = SessionDesk.natural(record.id, "event/\(record.eventCount)")
    try connection.run(
      "INSERT INTO outbox(event_id, type, occurred_ms, payload) VALUES (?, ?, ?, ?)",
      [
        .text("evt_" + BytesText.base64url(id.bytes)), .text(type), .int(moment.milliseconds),
        .text(body.text),
      ])
  }

  /// Posts the trial budget once, with an id of its own nature: a second start finds it there (2.1).
  ///
  /// - Parameter record: As for `sweep`.
  public func fundTrials(tokens count: Int64, through record: Database? = nil) async throws {
    guard count > 0, let amount = Microtokens(tokens: count) else { return }
    let now = clock.now
    try await (record ?? database).write { connection in
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
