internal import HTTPServer
internal import Identity
internal import Primitives
internal import Delivery

/// A provider's webhook endpoints, their deliveries, and its events.
struct WebhookRoutes: Sendable {
  let services: Services

  var all: [Route] {
    [
      Route("GET", "/v1/provider/webhooks", "own webhooks", handler: list),
      services.keyed(
        "POST", "/v1/provider/webhooks", "add a webhook", admit: { try $0.provider() },
        perform: create),
      Route("GET", "/v1/provider/webhooks/{id}", "one webhook", handler: read),
      Route(
        "PATCH", "/v1/provider/webhooks/{id}", "change a webhook", named: { _ = try await own($0) },
        handler: change),
      Route("DELETE", "/v1/provider/webhooks/{id}", "remove a webhook", handler: remove),
      services.keyed(
        "POST", "/v1/provider/webhooks/{id}/rotate", "a new secret", admit: own, perform: rotate),
      services.keyed(
        "POST", "/v1/provider/webhooks/{id}/test", "send a test event", admit: own,
        perform: test),
      Route(
        "GET", "/v1/provider/webhooks/{id}/deliveries", "the log of a webhook",
        named: { _ = try await own($0) }, handler: deliveries),
      Route(
        "GET", "/v1/provider/webhooks/{id}/deliveries/{deliveryId}", "one delivery",
        handler: delivery),
      services.keyed(
        "POST", "/v1/provider/webhooks/{id}/deliveries/{deliveryId}/replay", "send it again",
        admit: ownDelivery, perform: replay),
      Route("GET", "/v1/provider/events", "a provider's events", handler: events),
    ]
  }

  private var desk: WebhookDesk { services.webhooks }

  func list(_ context: Context) async throws -> Response {
    let own = try await desk.endpoints(of: try context.provider())
    return .json(["webhooks": .array(own.map(JSON.object))])
  }

  func create(_ request: KeyedRequest<String>) async throws -> Idempotency.Answer {
    let fields: Set = ["url", "types", "description", "algorithm", "secret"]
    try request.context.known(request.body, fields)
    return try await desk.create(
      request.body, for: request.subject, by: request.context.author, key: request.key,
      refused: request.refused)
  }

  func read(_ context: Context) async throws -> Response {
    let provider = try context.provider()
    return .json(.object(try await desk.endpoint(try webhookID(context), of: provider)))
  }

  func change(_ context: Context) async throws -> Response {
    let provider = try context.provider()
    let id = try webhookID(context)
    let body = try context.json()
    try context.known(body, ["url", "types", "description", "enabled"])
    return .json(.object(try await desk.change(id, of: provider, by: context.author, body)))
  }

  func remove(_ context: Context) async throws -> Response {
    let provider = try context.provider()
    try await desk.remove(try webhookID(context), of: provider, by: context.author)
    return .noContent
  }

  /// A provider and the webhook of its own that the path names.
  struct Own: Sendable {
    let provider: String
    let webhook: ID<WebhookEndpointKind>
  }

  private func own(_ context: Context) async throws -> Own {
    let own = Own(provider: try context.provider(), webhook: try webhookID(context))
    _ = try await desk.endpoint(own.webhook, of: own.provider)
    return own
  }

  func rotate(_ request: KeyedRequest<Own>) async throws -> Idempotency.Answer {
    try request.context.known(request.body, ["secret"])
    return try await desk.rotate(
      request.subject.webhook, of: request.subject.provider, by: request.context.author,
      to: request.body["secret"], key: request.key, refused: request.refused)
  }

  func test(_ request: KeyedRequest<Own>) async throws -> Idempotency.Answer {
    try request.context.known(request.body, [])
    return try await desk.test(
      request.subject.webhook, of: request.subject.provider, key: request.key,
      refused: request.refused)
  }

  func deliveries(_ context: Context) async throws -> Response {
    let provider = try context.provider()
    let id = try webhookID(context)
    let limit = try context.integer("limit", default: 20, in: 1...100)
    let before: ID<WebhookDeliveryKind>? = try context.before()
    let word = context.request.query("state")
    let state = word.flatMap(WebhookDelivery.State.init(rawValue:))
    guard word == nil || state != nil else {
      let states = WebhookDelivery.State.allCases.map(\.rawValue).joined(separator: ", ")
      throw Refusal(
        .validationFailed, "A query parameter is not valid.",
        fields: [.init("/state", "must be one of " + states)])
    }
    let rows = try await desk.deliveries(
      of: id, of: provider, state: state, before: before, limit: limit)
    let next = rows.count == limit ? rows.last?["id"]?.string : nil
    return .json(["deliveries": .array(rows.map(JSON.object)), "next": .optional(next)])
  }

  func delivery(_ context: Context) async throws -> Response {
    let provider = try context.provider()
    return .json(
      .object(
        try await desk.delivery(
          try deliveryID(context), of: try webhookID(context), of: provider)))
  }

  private func ownDelivery(
    _ context: Context
  ) async throws -> (own: Own, delivery: ID<WebhookDeliveryKind>) {
    let own = try await own(context)
    let delivery = try deliveryID(context)
    _ = try await desk.delivery(delivery, of: own.webhook, of: own.provider)
    return (own, delivery)
  }

  private func replay(
    _ request: KeyedRequest<(own: Own, delivery: ID<WebhookDeliveryKind>)>
  ) async throws -> Idempotency.Answer {
    try request.context.known(request.body, [])
    let (own, delivery) = request.subject
    return try await desk.replay(
      delivery, of: own.webhook, of: own.provider, key: request.key, refused: request.refused)
  }

  func events(_ context: Context) async throws -> Response {
    let provider = try context.provider()
    let limit = try context.integer("limit", default: 50, in: 1...100)
    let before = context.request.query("before")
    let below = before.flatMap { Int64($0) }
    guard before == nil || below != nil else {
      throw Refusal(.cursorInvalid, "before must be the next of the page before.")
    }
    let page = try await desk.events(of: provider, below: below, limit: limit)
    return .json(["events": .array(page.events), "next": .optional(page.next.map { String($0) })])
  }

  private func webhookID(_ context: Context) throws(Refusal) -> ID<WebhookEndpointKind> {
    guard let id = ID<WebhookEndpointKind>(context.parameter("id")) else {
      throw Refusal(.notFound, "There is no such webhook.")
    }
    return id
  }

  private func deliveryID(_ context: Context) throws(Refusal) -> ID<WebhookDeliveryKind> {
    guard let id = ID<WebhookDeliveryKind>(context.parameter("deliveryId")) else {
      throw Refusal(.notFound, "There is no such delivery.")
    }
    return id
  }
}
