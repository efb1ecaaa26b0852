public import Identity
public import Primitives
public import SQLite

/// Webhook endpoints of providers, as their owners manage them. Each change is one transaction.
public struct WebhookDesk: Sendable {
  /// Endpoints that a provider may have.
  public static let endpointsMax = 10
  /// How long the secret before a rotation signs too.
  public static let overlapMilliseconds: Int64 = 86_400_000

  /// Sends what is due.
  public let sender: WebhookSender
  /// Sends owners' notices by e-mail; nil where nothing does.
  public let notices: NoticeMailer?
  /// The live streams of users.
  public let userEvents: UserEvents
  /// Where webhooks may go.
  public let rules: WebhookRules

  private let database: Database
  private let clock: Clock
  private let random: RandomSource
  private let vault: WebhookVault
  private let idempotency: Idempotency

  /// - Parameters:
  ///   - key: 32 bytes that the secrets are sealed with.
  ///   - post: What sends an attempt; the network where it is nil.
  ///   - letter: What sends the owners' notices by e-mail; nil where nothing does.
  ///   - log: Gets a line for what an operator should know; never a secret, never an answer.
  public init(
    database: Database, clock: Clock, random: RandomSource, key: [UInt8],
    idempotency: Idempotency, rules: WebhookRules, post: WebhookSender.Post? = nil,
    letter: NoticeMailer.Letter? = nil, log: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.database = database
    self.clock = clock
    self.random = random
    self.idempotency = idempotency
    self.rules = rules
    vault = WebhookVault(key: key)
    userEvents = UserEvents(database: database)
    sender = WebhookSender(
      database: database, clock: clock, random: random, vault: vault, rules: rules,
      userEvents: userEvents, post: post, sendsMail: letter != nil, log: log)
    notices = letter.map {
      NoticeMailer(database: database, clock: clock, random: random, letter: $0, log: log)
    }
  }

  // MARK: Endpoints

  /// Makes an endpoint; its secret is shown only in this answer.
  ///
  /// - Parameter body: The request, read as `WebhookDraft` says.
  /// - Throws: `Refusal` `validation_failed`, also where the provider has ten.
  public func create(
    _ body: JSON, for provider: String, by author: AuditLog.Author = .system,
    key: Idempotency.Key, refused: @escaping @Sendable (Refusal) -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    let now = clock.now
    return try await database.write { connection in
      try idempotency.once(key, at: now, on: connection, refused: refused) {
        let draft = try WebhookDraft.read(body, under: rules)
        let count = try WebhookStore.endpoints(of: provider, on: connection).count
        guard count < WebhookDesk.endpointsMax else {
          throw Refusal(
            .validationFailed,
            "A provider has at most \(WebhookDesk.endpointsMax) webhooks; delete one first.")
        }
        let id = ID<WebhookEndpointKind>(at: now, random: random)
        let secret = draft.secret ?? WebhookSecret(draft.algorithm, random: random)
        let endpoint = WebhookEndpoint(
          id: id, providerID: provider, url: draft.url, description: draft.description,
          types: draft.types, algorithm: draft.algorithm, state: .enabled, failures: 0, pending: 0,
          createdAt: now, updatedAt: now, sealed: vault.seal(secret, of: id, random: random))
        try WebhookStore.insert(endpoint, on: connection)
        try note("created", id, of: provider, by: author, at: now, on: connection)
        return Idempotency.Answer(status: 201, body: JSON.object(view(endpoint, secret)).bytes)
      }
    }
  }

  /// A provider's endpoints, oldest first.
  public func endpoints(of provider: String) async throws -> [JSONObject] {
    try await database.read { connection in
      try WebhookStore.endpoints(of: provider, on: connection).map { view($0) }
    }
  }

  /// One endpoint.
  /// - Throws: `Refusal` `not_found`, also for another provider's.
  public func endpoint(
    _ id: ID<WebhookEndpointKind>, of provider: String
  ) async throws -> JSONObject {
    try await database.read { view(try own(id, of: provider, on: $0)) }
  }

  /// Changes an endpoint; enabling one takes up its deliveries where they stand.
  ///
  /// - Parameter body: The request, read as `WebhookChange` says.
  /// - Throws: `Refusal` `not_found`, `validation_failed`.
  public func change(
    _ id: ID<WebhookEndpointKind>, of provider: String, by author: AuditLog.Author = .system,
    _ body: JSON
  ) async throws -> JSONObject {
    let now = clock.now
    return try await database.write { connection in
      var endpoint = try own(id, of: provider, on: connection)
      let change = try WebhookChange.read(body, under: rules)
      let wakes =
        change.isEnabled == true && endpoint.state == .disabled
        || change.url.map { $0 != endpoint.url } ?? false
      endpoint.url = change.url ?? endpoint.url
      endpoint.description = change.description ?? endpoint.description
      endpoint.types = change.types ?? endpoint.types
      endpoint.updatedAt = now
      if change.isEnabled == false, endpoint.state == .enabled {
        (endpoint.state, endpoint.reason, endpoint.disabledAt) = (.disabled, .owner, now)
      } else if change.isEnabled == true {
        (endpoint.state, endpoint.reason, endpoint.disabledAt) = (.enabled, nil, nil)
      }
      if wakes { endpoint.failures = 0 }
      try WebhookStore.update(endpoint, on: connection)
      try note("changed", id, of: provider, by: author, at: now, on: connection)
      if wakes { try WebhookStore.revive(id, on: connection) }
      return view(endpoint)
    }
  }

  /// Takes an endpoint away; what was on its way to it is dropped.
  public func remove(
    _ id: ID<WebhookEndpointKind>, of provider: String, by author: AuditLog.Author = .system
  ) async throws {
    let now = clock.now
    try await database.write { connection in
      _ = try own(id, of: provider, on: connection)
      try WebhookStore.delete(id, at: now, on: connection)
      try note("deleted", id, of: provider, by: author, at: now, on: connection)
    }
  }

  /// Gives an endpoint a new secret, shown only in this answer; for a day the one before signs too.
  ///
  /// - Parameter text: A shared secret that the owner brings along, as JSON text.
  public func rotate(
    _ id: ID<WebhookEndpointKind>, of provider: String, by author: AuditLog.Author = .system,
    to text: JSON?, key: Idempotency.Key,
    refused: @escaping @Sendable (Refusal) -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    let now = clock.now
    return try await database.write { connection in
      try idempotency.once(key, at: now, on: connection, refused: refused) {
        var endpoint = try own(id, of: provider, on: connection)
        let given = text?.string.flatMap { WebhookSecret(text: $0) }
        guard text ?? .null == .null || given?.algorithm == endpoint.algorithm else {
          throw Refusal(
            .validationFailed, "The secret is not valid.",
            fields: [
              .init(
                "/secret", "must be whsec_ and base64 of 24 to 64 bytes, for hmac-sha256 only")
            ])
        }
        let fresh = given ?? WebhookSecret(endpoint.algorithm, random: random)
        endpoint.previousSealed = endpoint.sealed
        endpoint.previousUntil = now + WebhookDesk.overlapMilliseconds
        endpoint.sealed = vault.seal(fresh, of: id, random: random)
        endpoint.updatedAt = now
        try WebhookStore.update(endpoint, on: connection)
        try note("rotated", id, of: provider, by: author, at: now, on: connection)
        return Idempotency.Answer(status: 200, body: JSON.object(view(endpoint, fresh)).bytes)
      }
    }
  }

  /// Writes into the log of who did what, in the transaction of what was done.
  private func note(
    _ action: String, _ id: ID<WebhookEndpointKind>, of provider: String,
    by author: AuditLog.Author, at now: Timestamp, on connection: Connection
  ) throws {
    try AuditLog.record(
      "webhook." + action, on: "webhook:" + id.text, detail: "provider=" + provider, by: author,
      at: now, on: connection)
  }

  // MARK: Deliveries

  /// Puts a `webhook.test` event on its way to one endpoint.
  /// - Throws: `Refusal` `not_found`, `invalid_transition` where it is disabled.
  public func test(
    _ id: ID<WebhookEndpointKind>, of provider: String, key: Idempotency.Key,
    refused: @escaping @Sendable (Refusal) -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    let now = clock.now
    return try await database.write { connection in
      try idempotency.once(key, at: now, on: connection, refused: refused) {
        try requireEnabled(try own(id, of: provider, on: connection))
        let seq = try OutboxStore.add(
          WebhookEvents.test, ["providerId": .string(provider), "webhookId": .string(id.text)],
          at: now, random: random, on: connection)
        let delivery = ID<WebhookDeliveryKind>(at: now, random: random)
        try WebhookStore.insertDelivery(delivery, of: seq, to: id, at: now, on: connection)
        return try accepted(delivery, of: id, on: connection)
      }
    }
  }

  /// The log of an endpoint: its deliveries, newest first, after one of them where it is given.
  public func deliveries(
    of id: ID<WebhookEndpointKind>, of provider: String, state: WebhookDelivery.State?,
    before last: ID<WebhookDeliveryKind>?, limit: Int
  ) async throws -> [JSONObject] {
    try await database.read { connection in
      _ = try own(id, of: provider, on: connection)
      return try WebhookStore.deliveries(
        of: id, state: state, before: last, limit: limit, on: connection
      ).map(\.json)
    }
  }

  /// One delivery with its newest fifty attempts.
  public func delivery(
    _ delivery: ID<WebhookDeliveryKind>, of id: ID<WebhookEndpointKind>, of provider: String
  ) async throws -> JSONObject {
    try await database.read { connection in
      _ = try own(id, of: provider, on: connection)
      return try own(delivery, of: id, on: connection).json
    }
  }

  /// Sends a delivery again from the start of the schedule, under the same `webhook-id`.
  /// - Throws: `Refusal` `not_found`, `invalid_transition` where its endpoint is disabled.
  public func replay(
    _ delivery: ID<WebhookDeliveryKind>, of id: ID<WebhookEndpointKind>, of provider: String,
    key: Idempotency.Key, refused: @escaping @Sendable (Refusal) -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    let now = clock.now
    return try await database.write { connection in
      try idempotency.once(key, at: now, on: connection, refused: refused) {
        try requireEnabled(try own(id, of: provider, on: connection))
        _ = try own(delivery, of: id, on: connection)
        try WebhookStore.replay(delivery, of: id, at: now, on: connection)
        return try accepted(delivery, of: id, on: connection)
      }
    }
  }

  /// A provider's events of the last 90 days, newest first, below a number where it is given.
  ///
  /// - Returns: The events, and the number that the next page comes below where there may be one.
  public func events(
    of provider: String, below seq: Int64?, limit: Int
  ) async throws -> (events: [JSON], next: Int64?) {
    let events = try await database.read { connection in
      try OutboxStore.events(
        ofProvider: provider, below: seq ?? .max, limit: limit, on: connection)
    }
    return (events.map(\.json), events.count == limit ? events.last?.seq : nil)
  }

  /// Deliveries that wait, over all enabled endpoints; and the enabled endpoints whose last attempt failed.
  public func figures() async throws -> (pending: Int64, failing: Int64) {
    try await database.read { connection in
      let found = try connection.first(
        """
        SELECT coalesce(sum(pending), 0), coalesce(sum(failures > 0), 0) FROM webhook_endpoint
        WHERE state = 'enabled'
        """
      ) { (pending: $0.int(0), failing: $0.int(1)) }
      return found ?? (0, 0)
    }
  }

  /// Owners' notices that wait to be sent by e-mail; those of the last 90 days that were given up; and those since the
  /// start that went by no e-mail, for the bound of `OwnerNotice.mailsPerHourMax`.
  public func noticeFigures() async throws -> (pending: Int64, givenUp: Int64, aboveBound: Int64) {
    let kept = try await database.read { try NoticeMailStore.figures($0) }
    return (kept.pending, kept.givenUp, sender.noticesAboveBound)
  }

  private func own(
    _ id: ID<WebhookEndpointKind>, of provider: String, on connection: Connection
  ) throws -> WebhookEndpoint {
    guard let endpoint = try WebhookStore.endpoint(id, on: connection),
      endpoint.providerID == provider
    else { throw Refusal(.notFound, "There is no such webhook.") }
    return endpoint
  }

  private func own(
    _ delivery: ID<WebhookDeliveryKind>, of id: ID<WebhookEndpointKind>, on connection: Connection
  ) throws -> WebhookDelivery {
    guard let found = try WebhookStore.delivery(delivery, of: id, on: connection) else {
      throw Refusal(.notFound, "There is no such delivery.")
    }
    return found
  }

  private func requireEnabled(_ endpoint: WebhookEndpoint) throws(Refusal) {
    guard endpoint.state == .enabled else {
      throw Refusal(.invalidTransition, "The webhook is disabled; enable it first.")
    }
  }

  private func accepted(
    _ delivery: ID<WebhookDeliveryKind>, of id: ID<WebhookEndpointKind>, on connection: Connection
  ) throws -> Idempotency.Answer {
    let view = try own(delivery, of: id, on: connection).json
    return Idempotency.Answer(status: 202, body: JSON.object(view).bytes)
  }

  /// The endpoint as its owner sees it: a public key always, a shared secret only when it is new.
  private func view(_ endpoint: WebhookEndpoint, _ fresh: WebhookSecret? = nil) -> JSONObject {
    var object = endpoint.json
    switch endpoint.algorithm {
    case .hmac: if let fresh { object["secret"] = .string(fresh.verifier) }
    case .ed25519:
      let known = fresh ?? vault.open(endpoint.sealed, of: endpoint.id, .ed25519)
      object["publicKey"] = .optional(known?.verifier)
    }
    return object
  }
}
