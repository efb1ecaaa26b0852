internal import Identity
internal import Primitives
internal import SQLite

/// One event of the outbox.
public struct OutboxEvent: Sendable, Equatable {
  /// Its number; rising, in order of commit.
  public let seq: Int64
  /// Its id, the same for everybody who gets it.
  public let eventID: String
  /// Its type.
  public let type: String
  /// `{type, timestamp, data}` as JSON text in one line.
  public let payload: String

  /// The event with its id, as lists show it.
  var json: JSON {
    var object: JSONObject = ["id": .string(eventID)]
    // What is stored was written by us; an event that is no JSON is shown by its id and type.
    for member in (try? JSON.parse(payload))?.object?.members ?? [] {
      object[member.key] = member.value
    }
    if object["type"] == nil { object["type"] = .string(type) }
    return .object(object)
  }
}

/// An event and whom it concerns.
struct RoutedEvent: Sendable {
  let event: OutboxEvent
  let user: [UInt8]?
  let provider: String?
  /// Whether an owner's notice goes by no e-mail, for the bound of them by the hour.
  var isAboveBound = false
}

/// The outbox as its readers see it. Others write it, in the transactions of what they tell.
enum OutboxStore {
  /// Events routed in one transaction.
  static let batchCount = 100
  /// Deliveries that may wait for one endpoint.
  static let pendingMax: Int64 = 100_000

  /// The highest number that was routed.
  static func routed(_ connection: Connection) throws -> Int64 { try mark("routed", connection) }
  /// The highest number that was pruned.
  static func pruned(_ connection: Connection) throws -> Int64 { try mark("pruned", connection) }

  static func newest(_ connection: Connection) throws -> Int64 {
    try connection.first("SELECT coalesce(max(seq), 0) FROM outbox") { $0.int(0) } ?? 0
  }

  private static func mark(_ name: String, _ connection: Connection) throws -> Int64 {
    try connection.first("SELECT seq FROM outbox_mark WHERE name = ?", [.text(name)]) {
      $0.int(0)
    } ?? 0
  }

  /// Writes an event that is ours and no other module's.
  static func add(
    _ type: String, _ data: JSONObject, at now: Timestamp, random: RandomSource,
    on connection: Connection
  ) throws -> Int64 {
    let body: JSON = [
      "type": .string(type), "timestamp": .string(now.rfc3339), "data": .object(data),
    ]
    try connection.run(
      "INSERT INTO outbox(event_id, type, occurred_ms, payload) VALUES (?, ?, ?, ?)",
      [
        .text("evt_" + BytesText.base64url(random.bytes(16))), .text(type),
        .int(now.milliseconds), .text(body.text),
      ])
    return try newest(connection)
  }

  /// Finds out whom the next events concern and puts them on their way to each endpoint that takes them.
  ///
  /// - Parameter sendsMail: Whether owners' notices are put on their way by e-mail too.
  /// - Returns: The events, in order; fewer than a batch where no more wait.
  static func route(
    sendsMail: Bool, at now: Timestamp, random: RandomSource, on connection: Connection
  ) throws -> [RoutedEvent] {
    let last = try routed(connection)
    let events = try connection.rows(
      "SELECT seq, event_id, type, payload FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?",
      [.int(last), .int(Int64(batchCount))]
    ) { event($0) }
    guard let newest = events.last?.seq else { return [] }
    let routes = try events.map { event in
      var route = try route(event, on: connection)
      try connection.run(
        "INSERT INTO outbox_route(seq, user_id, provider_id) VALUES (?, ?, ?)",
        [.int(event.seq), .optional(route.user), .optional(route.provider)])
      try fanOut(route, at: now, random: random, on: connection)
      if sendsMail {
        route.isAboveBound = try !NoticeMailStore.add(route, at: now, on: connection)
      }
      return route
    }
    try connection.run("UPDATE outbox_mark SET seq = ? WHERE name = 'routed'", [.int(newest)])
    return routes
  }

  /// A session's event concerns its user and its provider; any other whom its data name.
  private static func route(
    _ event: OutboxEvent, on connection: Connection
  ) throws -> RoutedEvent {
    // What cannot be read concerns nobody.
    let data = (try? JSON.parse(event.payload))?["data"]
    if let id = (data?["sessionId"] ?? data?["id"])?.string.flatMap({ ID<EventSubjectKind>($0) }) {
      let found = try connection.first(
        "SELECT user_id, provider_id FROM session WHERE id = ?", [.blob(id.bytes)]
      ) { RoutedEvent(event: event, user: $0.blob(0), provider: $0.text(1)) }
      if let found { return found }
    }
    var user: [UInt8]?
    if let id = data?["userId"]?.string.flatMap({ ID<EventSubjectKind>($0) }) {
      user = try connection.first("SELECT id FROM user WHERE id = ?", [.blob(id.bytes)]) {
        $0.blob(0)
      }
    }
    return RoutedEvent(event: event, user: user, provider: data?["providerId"]?.string)
  }

  private static func fanOut(
    _ route: RoutedEvent, at now: Timestamp, random: RandomSource, on connection: Connection
  ) throws {
    // A body that breaks the limit is the emitter's mistake, and would be refused at every receiver.
    guard let provider = route.provider,
      route.event.payload.utf8.count < WebhookEvents.bodyByteCountMax
    else { return }
    // What `test` sends is put on its way by itself.
    guard route.event.type != WebhookEvents.test else { return }
    for endpoint in try WebhookStore.endpoints(of: provider, on: connection)
    where endpoint.state == .enabled && endpoint.takes(route.event.type) {
      if endpoint.pending >= pendingMax {
        try disable(endpoint.id, .overflow, at: now, random: random, on: connection)
        continue
      }
      try WebhookStore.insertDelivery(
        ID(at: now, random: random), of: route.event.seq, to: endpoint.id, at: now, on: connection)
    }
  }

  /// Disables an endpoint and tells its owner: an event in its list, sent to its other endpoints, and a notice to its
  /// people.
  static func disable(
    _ id: ID<WebhookEndpointKind>, _ reason: DeliverySchedule.DisableReason, at now: Timestamp,
    random: RandomSource, on connection: Connection
  ) throws {
    guard let endpoint = try WebhookStore.endpoint(id, on: connection) else { return }
    try WebhookStore.disable(id, reason, at: now, on: connection)
    try AuditLog.record(
      "webhook.disabled", on: "webhook:" + id.text,
      detail: "provider=\(endpoint.providerID) reason=\(reason.rawValue)", by: .system, at: now,
      on: connection)
    _ = try add(
      WebhookEvents.disabled,
      [
        "providerId": .string(endpoint.providerID), "webhookId": .string(id.text),
        "reason": .string(reason.rawValue), "pending": .number(endpoint.pending),
      ], at: now, random: random, on: connection)
    try OwnerNotice.webhookDisabled(id: id.text, reason: reason.rawValue).tell(
      ownersOf: endpoint.providerID, at: now, random: random, on: connection)
  }

  // MARK: Reading

  /// A user's events above a number, oldest first, of the types that its stream carries.
  static func events(
    of user: [UInt8], after seq: Int64, limit: Int, on connection: Connection
  ) throws -> [OutboxEvent] {
    try connection.rows(
      """
      SELECT o.seq, o.event_id, o.type, o.payload FROM outbox_route r JOIN outbox o ON o.seq = r.seq
      WHERE r.user_id = ? AND r.seq > ?
      AND (o.type GLOB 'session.*' OR o.type GLOB 'tokens.*' OR o.type GLOB 'notice.*')
      ORDER BY r.seq LIMIT ?
      """, [.blob(user), .int(seq), .int(Int64(limit))]
    ) { event($0) }
  }

  /// A provider's events below a number, newest first.
  static func events(
    ofProvider provider: String, below seq: Int64, limit: Int, on connection: Connection
  ) throws -> [OutboxEvent] {
    try connection.rows(
      """
      SELECT o.seq, o.event_id, o.type, o.payload FROM outbox_route r JOIN outbox o ON o.seq = r.seq
      WHERE r.provider_id = ? AND r.seq < ? ORDER BY r.seq DESC LIMIT ?
      """, [.text(provider), .int(seq), .int(Int64(limit))]
    ) { event($0) }
  }

  /// The event of a row that begins with its number, id, type and payload.
  static func event(_ row: borrowing Row) -> OutboxEvent {
    OutboxEvent(
      seq: row.int(0), eventID: row.text(1), type: row.text(2), payload: row.text(3))
  }

  /// The newest movement of the ledger.
  static func newestTransfer(_ connection: Connection) throws -> Int64 {
    try connection.first("SELECT coalesce(max(seq), 0) FROM transfer") { $0.int(0) } ?? 0
  }

  /// The users whose accounts moved after one movement and up to another, at most 1,000.
  static func moved(
    after first: Int64, through last: Int64, on connection: Connection
  ) throws -> [[UInt8]] {
    // CROSS keeps the order: from the few new movements to their accounts.
    try connection.rows(
      """
      SELECT DISTINCT a.owner FROM transfer t CROSS JOIN account a ON a.id IN (t.debit, t.credit)
      WHERE t.seq > ? AND t.seq <= ? AND a.kind = 'user_available' LIMIT 1000
      """, [.int(first), .int(last)]
    ) { $0.blob(0) }
  }

  // MARK: Pruning

  /// Takes old events away from the front, at most 500; the newest stays, so that no number comes twice.
  ///
  /// - Returns: Whether there may be more.
  static func prune(before limit: Timestamp, on connection: Connection) throws -> Bool {
    let routed = try routed(connection)
    let newest = try newest(connection)
    let oldest = try connection.rows("SELECT seq, occurred_ms FROM outbox ORDER BY seq LIMIT 500") {
      (seq: $0.int(0), at: $0.int(1))
    }
    // What the log of deliveries still names goes with it, not before.
    let named =
      try connection.first("SELECT min(seq) FROM webhook_delivery") { $0.optionalInt(0) } ?? nil
    let end = min(newest, routed + 1, named ?? newest)
    let old = oldest.prefix { $0.at < limit.milliseconds && $0.seq < end }
    guard let last = old.last?.seq else { return false }
    try connection.run("DELETE FROM outbox WHERE seq <= ?", [.int(last)])
    try connection.run("UPDATE outbox_mark SET seq = ? WHERE name = 'pruned'", [.int(last)])
    return old.count == 500
  }
}
