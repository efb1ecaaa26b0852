internal import Authorization
internal import HTTPServer
internal import Identity
internal import Primitives
internal import SQLite

/// Programs of third parties: which there are, for admins; which may act for one, for people.
struct OAuthClientRoutes: Sendable {
  let services: Services

  var routes: [Route] {
    [
      Route("GET", "/v1/admin/oauth-clients", "registered programs", handler: list),
      services.keyed(
        "POST", "/v1/admin/oauth-clients", "register a program", admit: { try $0.admin() },
        perform: add, present: withSecret),
      Route("DELETE", "/v1/admin/oauth-clients/{id}", "remove a program", handler: remove),
      Route(
        "PUT", "/v1/admin/oauth-clients/{id}/key-set", "the keys that a program signs with",
        handler: setKeys),
      Route("GET", "/v1/me/apps", "programs that may act for me", handler: apps),
      Route("DELETE", "/v1/me/apps/{id}", "take that back", handler: endApp),
    ]
  }

  private var clients: ClientStore { services.authorization.clients }

  // MARK: Admins

  func list(_ context: Context) async throws -> Response {
    try context.admin()
    let limit = try context.integer("limit", default: 50, in: 1...100)
    let after = context.request.query("after")
    let found = try await services.record.read {
      try clients.list(after: after, limit: limit, on: $0)
    }
    let next = found.count == limit ? found.last?.id : nil
    return .json([
      "clients": .array(found.map { .object(OAuthClientRoutes.view($0)) }), "next": .optional(next),
    ])
  }

  func add(_ request: KeyedRequest<Void>) async throws -> Idempotency.Answer {
    let context = request.context
    try context.known(
      request.body, ["name", "redirectUris", "scopes", "confidential", "keySet"])
    let draft = try OAuthClientRoutes.draft(request.body)
    let (clients, now, random) = (clients, services.clock.now, services.random)
    return try await services.record.write { connection in
      try services.idempotency.once(
        request.key, at: now, on: connection, refused: request.refused
      ) {
        let made = try clients.add(
          draft, by: context.author, at: now, random: random, on: connection)
        return Idempotency.Answer(
          status: 201, body: JSON.object(OAuthClientRoutes.view(made)).bytes)
      }
    }
  }

  /// The stored answer has no secret: it is made again from the id.
  private func withSecret(_: Context, _ answer: Idempotency.Answer) -> Response {
    guard answer.status == 201, var view = (try? JSON.parse(answer.body))?.object,
      view["confidential"] == true, view["keySet"] == nil, let id = view["id"]?.string
    else { return Response(answer) }
    view["secret"] = .string(clients.secret(of: id))
    return Response(answer, body: .object(view))
  }

  func remove(_ context: Context) async throws -> Response {
    try context.admin()
    let (clients, now) = (clients, services.clock.now)
    let id = context.parameter("id")
    let ended = try await services.record.write {
      try clients.remove(id, by: context.author, at: now, on: $0)
    }
    services.accounts.loginsEnded(ended)
    return .noContent
  }

  func setKeys(_ context: Context) async throws -> Response {
    try context.admin()
    let body = try context.json()
    try context.known(body, ["keys"])
    let (clients, now, id) = (clients, services.clock.now, context.parameter("id"))
    let client = try await services.record.write {
      try clients.setKeys(body, of: id, by: context.author, at: now, on: $0)
    }
    return .json(.object(OAuthClientRoutes.view(client)))
  }

  private static func draft(_ body: JSON) throws(Refusal) -> OAuthClient.Draft {
    var faults: [Refusal.Field] = []
    func texts(_ name: String) -> [String]? {
      guard let value = body[name], value != .null else { return nil }
      let texts = value.array?.compactMap(\.string)
      if texts == nil || texts?.count != value.array?.count {
        faults.append(.init("/" + name, "must be a list of texts"))
      }
      return texts
    }
    let uris = texts("redirectUris") ?? []
    let words = texts("scopes") ?? Scope.ofPeople.map(\.rawValue)
    let scopes = words.compactMap(Scope.init(rawValue:))
    if scopes.count != words.count { faults.append(.init("/scopes", "has one that is not known")) }
    let isConfidential = body["confidential"] ?? false
    if isConfidential.bool == nil {
      faults.append(.init("/confidential", "must be true or false"))
    }
    guard faults.isEmpty else {
      throw Refusal(.validationFailed, "The client is not valid.", fields: faults)
    }
    return OAuthClient.Draft(
      name: body["name"]?.string ?? "", redirectURIs: uris, scopes: Set(scopes),
      isConfidential: isConfidential.bool ?? false,
      keySet: body["keySet"].flatMap { $0 == .null ? nil : $0 })
  }

  private static func view(_ client: OAuthClient) -> JSONObject {
    var view: JSONObject = [
      "id": .string(client.id), "name": .string(client.name),
      "redirectUris": .strings(client.redirectURIs),
      "scopes": .strings(client.scopes.map(\.rawValue).sorted()),
      "confidential": .bool(client.isConfidential),
      "createdAt": .optional(client.createdAt?.rfc3339),
    ]
    if let keySet = client.keySet { view["keySet"] = keySet }
    return view
  }

  // MARK: People

  func apps(_ context: Context) async throws -> Response {
    let user = try context.user()
    return .json(["apps": .array(try await OAuthClientRoutes.apps(of: user, services))])
  }

  static func apps(of user: ID<UserKind>, _ services: Services) async throws -> [JSON] {
    let now = services.clock.now
    let found = try await services.record.read { try GrantStore.apps(of: user, at: now, on: $0) }
    return found.map { app in
      [
        "id": .string(app.id.text), "clientId": .string(app.clientID),
        "name": .string(app.clientName), "scopes": .strings(app.scopes.map(\.rawValue).sorted()),
        "createdAt": .string(app.createdAt.rfc3339), "lastUsedAt": .string(app.usedAt.rfc3339),
      ]
    }
  }

  func endApp(_ context: Context) async throws -> Response {
    let user = try context.user()
    guard let id = ID<LoginKind>(context.parameter("id")) else {
      throw Refusal(.notFound, "There is no such app.")
    }
    let now = services.clock.now
    let ended = try await services.record.write {
      try GrantStore.end(id, of: user, by: context.author, at: now, on: $0)
    }
    services.accounts.loginsEnded(ended)
    return .noContent
  }
}
