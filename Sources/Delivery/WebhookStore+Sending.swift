internal import Primitives
internal import SQLite

/// A delivery whose time has come.
struct DueDelivery: Sendable, Hashable {
  let id: ID<WebhookDeliveryKind>
  let endpointID: ID<WebhookEndpointKind>
}

/// What an attempt needs to know, read when it begins.
struct DeliveryLoad: Sendable {
  let eventID: String
  let body: [UInt8]
  let endpoint: WebhookEndpoint
}

/// An attempt that is over.
struct FinishedAttempt: Sendable {
  let delivery: DueDelivery
  let at: Timestamp
  let duration: Int64
  let outcome: WebhookOutcome
  let answer: String
}

extension WebhookStore {
  /// Deliveries that are due, those of the longest waiting endpoint first, a few of each.
  ///
  /// - Parameter isFailing: Whether to look among endpoints whose last attempt failed, or among the others.
  static func due(
    isFailing: Bool, perEndpoint: Int, at now: Timestamp, on connection: Connection
  ) throws -> [DueDelivery] {
    // By endpoint, not by delivery: what piles up at one costs the others nothing.
    let endpoints = try connection.rows(
      """
      SELECT id FROM webhook_endpoint INDEXED BY webhook_endpoint_due
      WHERE state = 'enabled' AND due_ms <= ?1 AND slow_until_ms <= ?1 AND (failures > 0) = ?2
      ORDER BY due_ms LIMIT 64
      """, [.int(now.milliseconds), .int(isFailing ? 1 : 0)]
    ) { ID<WebhookEndpointKind>(bytes: $0.blob(0)) }
    return try endpoints.compactMap { $0 }.flatMap { endpoint in
      try connection.rows(
        """
        SELECT id FROM webhook_delivery
        WHERE endpoint_id = ? AND state = 'due' AND next_ms <= ? ORDER BY next_ms LIMIT ?
        """, [.blob(endpoint.bytes), .int(now.milliseconds), .int(Int64(perEndpoint))]
      ) { ID<WebhookDeliveryKind>(bytes: $0.blob(0)) }
      .compactMap { $0.map { DueDelivery(id: $0, endpointID: endpoint) } }
    }
  }

  /// What to send, or nil where there is nothing to send any more, or not yet: between the look for what is due and
  /// this one another attempt may have ended.
  static func load(
    _ due: DueDelivery, at now: Timestamp, on connection: Connection
  ) throws -> DeliveryLoad? {
    guard let endpoint = try endpoint(due.endpointID, on: connection), endpoint.state == .enabled
    else { return nil }
    return try connection.first(
      """
      SELECT o.event_id, o.payload FROM webhook_delivery d JOIN outbox o ON o.seq = d.seq
      JOIN webhook_endpoint e ON e.id = d.endpoint_id
      WHERE d.id = ?1 AND d.state = 'due' AND d.next_ms <= ?2 AND e.slow_until_ms <= ?2
      """, [.blob(due.id.bytes), .int(now.milliseconds)]
    ) { DeliveryLoad(eventID: $0.text(0), body: Array($0.text(1).utf8), endpoint: endpoint) }
  }

  /// Writes an attempt into the log and does what follows from it.
  ///
  /// - Returns: Why the endpoint was disabled by it, where it was.
  static func record(
    _ attempt: FinishedAttempt, at now: Timestamp, random: RandomSource, on connection: Connection
  ) throws -> DeliverySchedule.DisableReason? {
    let found = try connection.first(
      """
      SELECT d.tries, e.slowdowns, e.state, e.failures FROM webhook_delivery d
      JOIN webhook_endpoint e ON e.id = d.endpoint_id
      WHERE d.id = ? AND d.state = 'due' AND e.state <> 'deleted'
      """, [.blob(attempt.delivery.id.bytes)]
    ) { row in
      (
        tries: Int(row.int(0)), slowdowns: Int(row.int(1)), state: row.text(2),
        failures: Int(row.int(3))
      )
    }
    guard let found else { return nil }
    let isAttempt = attempt.outcome != .notSent
    let tries = found.tries + (isAttempt ? 1 : 0)
    let decision = DeliverySchedule.decide(
      attempt.outcome, tries: tries, slowdowns: found.slowdowns, at: now,
      noise: DeliverySchedule.noise(from: random))
    if isAttempt { try log(attempt, on: connection) }
    let isOver = try move(attempt.delivery.id, tries, decision.fate, at: now, on: connection)
    if isAttempt {
      let rest = now + DeliverySchedule.rest(failures: found.failures + 1)
      try note(decision, rest: rest, isOver: isOver, attempt.delivery, on: connection)
    }
    try refreshDue(attempt.delivery.endpointID, on: connection)
    guard case .dead(let reason) = decision.fate, found.state == "enabled" else { return nil }
    try OutboxStore.disable(
      attempt.delivery.endpointID, reason, at: now, random: random, on: connection)
    return reason
  }

  private static func log(_ attempt: FinishedAttempt, on connection: Connection) throws {
    var status: Int64?
    var error: String?
    switch attempt.outcome {
    case .answered(let code, _): status = Int64(code)
    case .failed(let failure): error = failure.rawValue
    case .notSent: return
    }
    // What a receiver says of somebody who has gone is not kept.
    let isKept = try !WebhookPersonStore.concernsNobodyAnyMore(attempt.delivery.id, on: connection)
    try connection.run(
      """
      INSERT INTO webhook_attempt(delivery_id, number, at_ms, duration_ms, status, error, answer)
      SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM webhook_attempt
      WHERE delivery_id = ?1
      """,
      [
        .blob(attempt.delivery.id.bytes), .int(attempt.at.milliseconds), .int(attempt.duration),
        .optional(status), .optional(error), .text(isKept ? attempt.answer : ""),
      ])
  }

  /// Whether the delivery is over.
  private static func move(
    _ id: ID<WebhookDeliveryKind>, _ tries: Int, _ fate: DeliverySchedule.Decision.Fate,
    at now: Timestamp, on connection: Connection
  ) throws -> Bool {
    let (state, next): (WebhookDelivery.State, Timestamp?) =
      switch fate {
      case .delivered: (.delivered, nil)
      case .dead: (.dead, nil)
      case .retry(let moment): (.due, moment)
      }
    try connection.run(
      """
      UPDATE webhook_delivery SET state = ?, tries = ?, next_ms = ?, finished_ms = ? WHERE id = ?
      """,
      [
        .text(state.rawValue), .int(Int64(tries)), .optional(next?.milliseconds),
        .optional(next == nil ? now.milliseconds : nil), .blob(id.bytes),
      ])
    return next == nil
  }

  /// Keeps the endpoint's counts.
  private static func note(
    _ decision: DeliverySchedule.Decision, rest: Timestamp, isOver: Bool, _ delivery: DueDelivery,
    on connection: Connection
  ) throws {
    let isGood = decision.fate == .delivered
    let isSlow = decision.pausedUntil != nil
    let slowUntil = isGood ? nil : max(rest, decision.pausedUntil ?? rest)
    try connection.run(
      """
      UPDATE webhook_endpoint SET failures = CASE WHEN ?2 THEN 0 ELSE failures + 1 END,
      slowdowns = CASE WHEN ?3 THEN slowdowns + 1 WHEN ?2 THEN 0 ELSE slowdowns END,
      slow_until_ms = max(slow_until_ms, ?4), pending = pending - ?5 WHERE id = ?1
      """,
      [
        .blob(delivery.endpointID.bytes), .int(isGood ? 1 : 0), .int(isSlow ? 1 : 0),
        .int(slowUntil?.milliseconds ?? 0), .int(isOver ? 1 : 0),
      ])
  }

  static func disable(
    _ id: ID<WebhookEndpointKind>, _ reason: DeliverySchedule.DisableReason, at now: Timestamp,
    on connection: Connection
  ) throws {
    try connection.run(
      """
      UPDATE webhook_endpoint SET state = 'disabled', reason = ?, disabled_ms = ?
      WHERE id = ? AND state = 'enabled'
      """, [.text(reason.rawValue), .int(now.milliseconds), .blob(id.bytes)])
  }

  // MARK: Pruning

  /// Takes old deliveries out of the log, and those of deleted endpoints, at most 500.
  ///
  /// - Returns: Whether there may be more.
  static func prune(before limit: Timestamp, on connection: Connection) throws -> Bool {
    let rows = try connection.rows(
      """
      SELECT id, endpoint_id, state FROM webhook_delivery WHERE created_ms < ?1
      UNION ALL SELECT d.id, d.endpoint_id, 'gone' FROM webhook_endpoint e
      JOIN webhook_delivery d ON d.endpoint_id = e.id WHERE e.state = 'deleted' LIMIT 500
      """, [.int(limit.milliseconds)]
    ) { (id: $0.blob(0), endpoint: $0.blob(1), isDue: $0.text(2) == "due") }
    for row in rows {
      try connection.run("DELETE FROM webhook_delivery WHERE id = ?", [.blob(row.id)])
      guard row.isDue, let endpoint = ID<WebhookEndpointKind>(bytes: row.endpoint) else { continue }
      try connection.run(
        "UPDATE webhook_endpoint SET pending = pending - 1 WHERE id = ?", [.blob(row.endpoint)])
      try refreshDue(endpoint, on: connection)
    }
    if rows.isEmpty {
      try connection.run("DELETE FROM webhook_endpoint WHERE state = 'deleted'")
    }
    return rows.count == 500
  }
}

extension WebhookStore {
  /// Forgets secrets that sign no more.
  static func forgetPrevious(at now: Timestamp, on connection: Connection) throws {
    try connection.run(
      """
      UPDATE webhook_endpoint SET previous_secret = NULL, previous_until_ms = NULL
      WHERE previous_until_ms <= ?
      """, [.int(now.milliseconds)])
  }
}
