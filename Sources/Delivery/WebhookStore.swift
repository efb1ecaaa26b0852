internal import Primitives
internal import SQLite

/// The tables of endpoints, deliveries and attempts.
enum WebhookStore {
  private static let columns = """
    id, provider_id, url, description, types, algorithm, state, reason, disabled_ms, failures,
    pending, previous_until_ms, created_ms, updated_ms, secret, previous_secret
    """

  // MARK: Endpoints

  static func insert(_ endpoint: WebhookEndpoint, on connection: Connection) throws {
    try connection.run(
      """
      INSERT INTO webhook_endpoint(id, provider_id, url, description, types, algorithm, state,
      secret, created_ms, updated_ms) VALUES (?, ?, ?, ?, ?, ?, 'enabled', ?, ?, ?)
      """,
      [
        .blob(endpoint.id.bytes), .text(endpoint.providerID), .text(endpoint.url),
        .text(endpoint.description), .text(JSON.strings(endpoint.types).text),
        .text(endpoint.algorithm.rawValue), .blob(endpoint.sealed),
        .int(endpoint.createdAt.milliseconds), .int(endpoint.updatedAt.milliseconds),
      ])
  }

  /// Writes what an owner may change, and the state.
  static func update(_ endpoint: WebhookEndpoint, on connection: Connection) throws {
    try connection.run(
      """
      UPDATE webhook_endpoint SET url = ?, description = ?, types = ?, state = ?, reason = ?,
      disabled_ms = ?, failures = ?, previous_until_ms = ?, updated_ms = ?, secret = ?,
      previous_secret = ? WHERE id = ?
      """,
      [
        .text(endpoint.url), .text(endpoint.description), .text(JSON.strings(endpoint.types).text),
        .text(endpoint.state.rawValue), .optional(endpoint.reason?.rawValue),
        .optional(endpoint.disabledAt?.milliseconds), .int(Int64(endpoint.failures)),
        .optional(endpoint.previousUntil?.milliseconds), .int(endpoint.updatedAt.milliseconds),
        .blob(endpoint.sealed), .optional(endpoint.previousSealed), .blob(endpoint.id.bytes),
      ])
  }

  /// Forgets what keeps an endpoint from its deliveries, which are taken up again where they stand.
  static func revive(_ id: ID<WebhookEndpointKind>, on connection: Connection) throws {
    try connection.run(
      "UPDATE webhook_endpoint SET failures = 0, slowdowns = 0, slow_until_ms = 0 WHERE id = ?",
      [.blob(id.bytes)])
    try refreshDue(id, on: connection)
  }

  /// Takes an endpoint away with its secrets; its deliveries go later, a few at a time.
  static func delete(
    _ id: ID<WebhookEndpointKind>, at now: Timestamp, on connection: Connection
  ) throws {
    try connection.run(
      """
      UPDATE webhook_endpoint SET state = 'deleted', reason = NULL, disabled_ms = NULL, url = '-',
      description = '', secret = x'', previous_secret = NULL, previous_until_ms = NULL,
      due_ms = NULL, updated_ms = ? WHERE id = ?
      """, [.int(now.milliseconds), .blob(id.bytes)])
  }

  static func endpoints(of provider: String, on connection: Connection) throws -> [WebhookEndpoint]
  {
    try connection.rows(
      """
      SELECT \(columns) FROM webhook_endpoint WHERE provider_id = ? AND state <> 'deleted'
      ORDER BY id
      """, [.text(provider)]
    ) { try endpoint($0) }
  }

  static func endpoint(
    _ id: ID<WebhookEndpointKind>, on connection: Connection
  ) throws -> WebhookEndpoint? {
    try connection.first(
      "SELECT \(columns) FROM webhook_endpoint WHERE id = ? AND state <> 'deleted'",
      [.blob(id.bytes)]
    ) { try endpoint($0) }
  }

  private static func endpoint(_ row: borrowing Row) throws -> WebhookEndpoint {
    guard let id = ID<WebhookEndpointKind>(bytes: row.blob(0)),
      let algorithm = WebhookSecret.Algorithm(rawValue: row.text(5)),
      let state = WebhookEndpoint.State(rawValue: row.text(6)),
      let types = try JSON.parse(row.text(4)).array
    else { throw SQLiteError(code: 11, message: "a stored webhook cannot be read") }
    return WebhookEndpoint(
      id: id, providerID: row.text(1), url: row.text(2), description: row.text(3),
      types: types.compactMap(\.string), algorithm: algorithm, state: state,
      reason: row.optionalText(7).flatMap(DeliverySchedule.DisableReason.init(rawValue:)),
      disabledAt: row.optionalInt(8).map(Timestamp.init(milliseconds:)),
      failures: Int(row.int(9)), pending: Int(row.int(10)),
      previousUntil: row.optionalInt(11).map(Timestamp.init(milliseconds:)),
      createdAt: Timestamp(milliseconds: row.int(12)),
      updatedAt: Timestamp(milliseconds: row.int(13)), sealed: row.blob(14),
      previousSealed: row.isNull(15) ? nil : row.blob(15))
  }

  // MARK: Deliveries

  /// Puts an event on its way; an event that is on its way already stays as it is.
  static func insertDelivery(
    _ id: ID<WebhookDeliveryKind>, of seq: Int64, to endpoint: ID<WebhookEndpointKind>,
    at now: Timestamp, on connection: Connection
  ) throws {
    let count = try connection.run(
      """
      INSERT INTO webhook_delivery(id, endpoint_id, seq, state, next_ms, created_ms)
      VALUES (?1, ?2, ?3, 'due', ?4, ?4) ON CONFLICT(endpoint_id, seq) DO NOTHING
      """,
      [.blob(id.bytes), .blob(endpoint.bytes), .int(seq), .int(now.milliseconds)])
    guard count == 1 else { return }
    try connection.run(
      """
      UPDATE webhook_endpoint SET pending = pending + 1, due_ms = min(coalesce(due_ms, ?1), ?1)
      WHERE id = ?2
      """, [.int(now.milliseconds), .blob(endpoint.bytes)])
  }

  /// Newest first, after one of them where it is given, each with its newest attempts.
  static func deliveries(
    of endpoint: ID<WebhookEndpointKind>, state: WebhookDelivery.State?,
    before last: ID<WebhookDeliveryKind>?, limit: Int, on connection: Connection
  ) throws -> [WebhookDelivery] {
    let rows = try connection.rows(
      """
      SELECT d.id, o.event_id, o.type, d.state, d.tries, d.next_ms, d.created_ms, d.finished_ms
      FROM webhook_delivery d JOIN outbox o ON o.seq = d.seq
      WHERE d.endpoint_id = ?1 AND (?2 IS NULL OR d.state = ?2) AND (?3 IS NULL OR d.id < ?3)
      ORDER BY d.id DESC LIMIT ?4
      """,
      [
        .blob(endpoint.bytes), .optional(state?.rawValue), .optional(last?.bytes),
        .int(Int64(limit)),
      ]
    ) { try delivery($0) }
    return try rows.map { try withAttempts($0, limit: 10, on: connection) }
  }

  static func delivery(
    _ id: ID<WebhookDeliveryKind>, of endpoint: ID<WebhookEndpointKind>, on connection: Connection
  ) throws -> WebhookDelivery? {
    let found = try connection.first(
      """
      SELECT d.id, o.event_id, o.type, d.state, d.tries, d.next_ms, d.created_ms, d.finished_ms
      FROM webhook_delivery d JOIN outbox o ON o.seq = d.seq WHERE d.id = ? AND d.endpoint_id = ?
      """, [.blob(id.bytes), .blob(endpoint.bytes)]
    ) { try delivery($0) }
    return try found.map { try withAttempts($0, limit: 50, on: connection) }
  }

  private static func delivery(_ row: borrowing Row) throws -> WebhookDelivery {
    guard let id = ID<WebhookDeliveryKind>(bytes: row.blob(0)),
      let state = WebhookDelivery.State(rawValue: row.text(3))
    else { throw SQLiteError(code: 11, message: "a stored delivery cannot be read") }
    return WebhookDelivery(
      id: id, eventID: row.text(1), type: row.text(2), state: state, tries: Int(row.int(4)),
      nextAt: row.optionalInt(5).map(Timestamp.init(milliseconds:)),
      createdAt: Timestamp(milliseconds: row.int(6)),
      finishedAt: row.optionalInt(7).map(Timestamp.init(milliseconds:)))
  }

  private static func withAttempts(
    _ delivery: WebhookDelivery, limit: Int, on connection: Connection
  ) throws -> WebhookDelivery {
    var delivery = delivery
    let newest = try connection.rows(
      """
      SELECT number, at_ms, duration_ms, status, error, answer FROM webhook_attempt
      WHERE delivery_id = ? ORDER BY number DESC LIMIT ?
      """, [.blob(delivery.id.bytes), .int(Int64(limit))]
    ) { row in
      WebhookAttempt(
        number: Int(row.int(0)), at: Timestamp(milliseconds: row.int(1)), duration: row.int(2),
        status: row.optionalInt(3).map { Int($0) }, error: row.optionalText(4),
        answer: row.text(5))
    }
    delivery.attempts = newest.reversed()
    return delivery
  }

  /// Sends a delivery again from the start of the schedule, under the same `webhook-id`.
  static func replay(
    _ id: ID<WebhookDeliveryKind>, of endpoint: ID<WebhookEndpointKind>, at now: Timestamp,
    on connection: Connection
  ) throws {
    let wasOver = try connection.run(
      """
      UPDATE webhook_delivery SET state = 'due', tries = 0, next_ms = ?, finished_ms = NULL
      WHERE id = ? AND state <> 'due'
      """, [.int(now.milliseconds), .blob(id.bytes)])
    if wasOver == 0 {
      try connection.run(
        "UPDATE webhook_delivery SET tries = 0, next_ms = ? WHERE id = ?",
        [.int(now.milliseconds), .blob(id.bytes)])
    }
    try connection.run(
      "UPDATE webhook_endpoint SET pending = pending + ? WHERE id = ?",
      [.int(Int64(wasOver)), .blob(endpoint.bytes)])
    try refreshDue(endpoint, on: connection)
  }

  static func refreshDue(_ id: ID<WebhookEndpointKind>, on connection: Connection) throws {
    try connection.run(
      """
      UPDATE webhook_endpoint SET due_ms = (SELECT min(next_ms) FROM webhook_delivery
      WHERE endpoint_id = ?1 AND state = 'due') WHERE id = ?1
      """, [.blob(id.bytes)])
  }
}
