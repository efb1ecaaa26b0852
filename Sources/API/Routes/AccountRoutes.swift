internal import Authorization
internal import Cryptography
internal import HTTPServer
internal import Identity
internal import Primitives
internal import SQLite
internal import Search

/// What people do with their own account: addresses, passwords, devices, keys.
struct AccountRoutes: Sendable {
  let services: Services

  private var identity: IdentityRoutes { IdentityRoutes(services: services) }

  var routes: [Route] {
    [
      Route("POST", "/v1/auth/verify", "prove an address", budget: .login, handler: prove),
      Route(
        "POST", "/v1/auth/reset", "ask for a new password", budget: .login, handler: requestReset),
      Route(
        "POST", "/v1/auth/reset/confirm", "choose a new password", budget: .login, handler: reset),
      Route("GET", "/v1/auth/sessions", "devices signed in", handler: devices),
      Route("GET", "/v1/auth/sessions/{id}", "one device", handler: device),
      Route("DELETE", "/v1/auth/sessions", "sign other devices out", handler: endOthers),
      Route("DELETE", "/v1/auth/sessions/{id}", "sign one device out", handler: endDevice),
      Route(
        "POST", "/v1/me/password", "change the password", budget: .login, handler: changePassword),
      Route("POST", "/v1/me/verify", "prove the account's address", handler: requestProof),
      Route("GET", "/v1/me/keys", "API keys", handler: keys),
      services.keyed(
        "POST", "/v1/me/keys", "make an API key", admit: keyOwner,
        scope: { context, owner, body in
          KeyScope(
            principal: context.principal, body: body, part: owner.map(AccountRoutes.word) ?? "")
        }, perform: makeKey, present: withSecret),
      Route("GET", "/v1/me/keys/{id}", "one API key", handler: key),
      Route("DELETE", "/v1/me/keys/{id}", "revoke an API key", handler: revokeKey),
      Route(
        "GET", "/v1/provider/launch-tokens", "how launch tokens are signed", handler: signing),
      Route(
        "PUT", "/v1/provider/launch-tokens", "choose how they are signed", handler: setSigning),
    ]
  }

  // MARK: Addresses and passwords

  func prove(_ context: Context) async throws -> Response {
    let body = try context.json()
    try context.known(body, ["token", "password"])
    let proved = try await services.accounts.prove(
      body["token"]?.string ?? "", password: body["password"]?.string, by: context.author)
    switch proved {
    case .registered(let user): return try await identity.signedIn(user, context, status: 201)
    case .verified(let user): return .json(["user": identity.view(user)])
    }
  }

  /// The same answer at once, whether or not there is such an account.
  func requestReset(_ context: Context) async throws -> Response {
    let body = try context.json()
    try context.known(body, ["email"])
    try services.accounts.requestReset(email: body["email"]?.string ?? "")
    return .json(["state": "sent_if_known"], status: 202)
  }

  func reset(_ context: Context) async throws -> Response {
    let body = try context.json()
    try context.known(body, ["token", "password"])
    let now = services.clock.now
    // A password is forgotten, or was taken: then so was what let programs in.
    try await services.accounts.reset(
      token: body["token"]?.string ?? "", password: body["password"]?.string ?? "",
      by: context.author
    ) { try GrantStore.endAll(of: $0, at: now, on: $1) }
    return .noContent
  }

  func changePassword(_ context: Context) async throws -> Response {
    let user = try context.user()
    let body = try context.json()
    try context.known(body, ["currentPassword", "newPassword"])
    let now = services.clock.now
    try await services.telling(.password, context) {
      try await services.accounts.changePassword(
        of: user, from: body["currentPassword"]?.string, to: body["newPassword"]?.string ?? "",
        keeping: context.login, address: context.address, by: context.author
      ) { try GrantStore.endAll(of: user, at: now, on: $0) }
    }
    return .noContent
  }

  func requestProof(_ context: Context) async throws -> Response {
    let id = try context.user()
    _ = try services.accounts.requireMail()
    guard let user = try await services.accounts.user(id) else {
      throw Refusal(.tokenInvalid, "The account is gone.")
    }
    if user.verifiedAt == nil { try services.accounts.requestProof(of: user) }
    return .json(["state": user.verifiedAt == nil ? "sent" : "verified"], status: 202)
  }

  // MARK: Devices

  func devices(_ context: Context) async throws -> Response {
    let user = try context.user()
    let rows = try await services.accounts.devices(of: user).map { view($0, context) }
    return .json(["sessions": .array(rows)])
  }

  func device(_ context: Context) async throws -> Response {
    let user = try context.user()
    let all = try await services.accounts.devices(of: user)
    guard let login = all.first(where: { $0.id.text == context.parameter("id") }) else {
      throw Refusal(.notFound, "There is no such device.")
    }
    return .json(view(login, context))
  }

  private func view(_ login: Login, _ context: Context) -> JSON {
    [
      "id": .string(login.id.text), "client": .string(login.client),
      "startedAt": .string(login.startedAt.rfc3339), "usedAt": .string(login.usedAt.rfc3339),
      "current": .bool(login.id == context.login),
    ]
  }

  func endDevice(_ context: Context) async throws -> Response {
    let user = try context.user()
    guard let id = ID<LoginKind>(context.parameter("id")) else {
      throw Refusal(.notFound, "There is no such device.")
    }
    try await services.accounts.endLogin(id, of: user, by: context.author)
    return .noContent
  }

  func endOthers(_ context: Context) async throws -> Response {
    let user = try context.user()
    let count = try await services.accounts.endLogins(
      of: user, but: context.login, by: context.author)
    return .json(["ended": .number(count)])
  }

  // MARK: Keys

  /// A provider's person has the provider's keys here, or with `?owner=user` its own.
  private func owner(_ context: Context) throws(Refusal) -> APIKeyOwner {
    guard let owner = try keyOwner(context) else {
      throw Refusal(
        .validationFailed, "A query parameter is not valid.",
        fields: [.init("/owner", "must be user or provider")])
    }
    return owner
  }

  /// The same; nil for a word that names neither.
  private func keyOwner(_ context: Context) throws(Refusal) -> APIKeyOwner? {
    let user = try context.user()
    switch context.request.query("owner") {
    case "provider": return .provider(try context.provider())
    case "user": return .user(user)
    case nil: return context.principal.providerID.map { .provider($0) } ?? .user(user)
    default: return nil
    }
  }

  func keys(_ context: Context) async throws -> Response {
    let owner = try owner(context)
    let keys = try await services.record.read {
      try services.accounts.apiKeyStore.keys(of: owner, limit: 200, on: $0)
    }
    return .json(["keys": .array(keys.map { .object(AccountRoutes.view($0)) })])
  }

  func key(_ context: Context) async throws -> Response {
    let owner = try owner(context)
    let found = try await services.record.read {
      try services.accounts.apiKeyStore.keys(of: owner, limit: 1_000, on: $0)
    }
    guard let key = found.first(where: { $0.id.text == context.parameter("id") }) else {
      throw Refusal(.notFound, "There is no such API key.")
    }
    return .json(.object(AccountRoutes.view(key)))
  }

  private func makeKey(
    _ request: KeyedRequest<APIKeyOwner?>
  ) async throws -> Idempotency.Answer {
    let (context, owner) = (request.context, try owner(request.context))
    try context.known(request.body, ["name", "scopes", "filter", "maxPerMinute", "expiresAt"])
    let draft = try AccountRoutes.draft(request.body)
    let (store, now) = (services.accounts.apiKeyStore, services.clock.now)
    return try await services.record.write { connection in
      try services.idempotency.once(
        request.key, at: now, on: connection, refused: request.refused
      ) {
        let id = try store.make(
          draft, for: owner, by: context.author, at: now, random: services.random, on: connection)
        let made = try store.keys(of: owner, limit: 1, on: connection).first { $0.id == id }
        let view = made.map(AccountRoutes.view) ?? ["id": .string(id.text)]
        return Idempotency.Answer(status: 201, body: JSON.object(view).bytes)
      }
    }
  }

  /// The stored answer has no secret: it is made again from the key's id.
  private func withSecret(_ context: Context, _ answer: Idempotency.Answer) throws -> Response {
    guard answer.status == 201, let id = AccountRoutes.id(in: answer.body) else {
      return Response(answer)
    }
    var view = (try? JSON.parse(answer.body))?.object ?? [:]
    view["secret"] = .string(
      services.accounts.apiKeyStore.secret(of: id, owner: try owner(context)))
    return Response(answer, body: .object(view))
  }

  func revokeKey(_ context: Context) async throws -> Response {
    let owner = try owner(context)
    guard let id = ID<APIKeyKind>(context.parameter("id")) else {
      throw Refusal(.notFound, "There is no such API key.")
    }
    let now = services.clock.now
    try await services.record.write { connection in
      try services.accounts.apiKeyStore.revoke(
        id, of: owner, by: context.author, at: now, on: connection)
    }
    return .noContent
  }

  private static func word(_ owner: APIKeyOwner) -> String {
    if case .user = owner { "user" } else { "provider" }
  }

  private static func id(in body: [UInt8]) -> ID<APIKeyKind>? {
    (try? JSON.parse(body))?["id"]?.string.flatMap { ID<APIKeyKind>($0) }
  }

  private static func draft(_ body: JSON) throws -> APIKey.Draft {
    var draft = APIKey.Draft(name: body["name"]?.string ?? "")
    var faults: [Refusal.Field] = []
    if let scopes = body["scopes"], scopes != .null {
      let words = scopes.array?.compactMap(\.string)
      if words == nil || words?.count != scopes.array?.count {
        faults.append(.init("/scopes", "must be a list of texts"))
      }
      draft.scopes = words
    }
    if let limit = body["maxPerMinute"], limit != .null {
      if limit.int == nil { faults.append(.init("/maxPerMinute", "must be a whole number")) }
      draft.perMinute = limit.int.map { Int(clamping: $0) }
    }
    if let end = body["expiresAt"], end != .null {
      draft.expiresAt = end.string.flatMap { AccountRoutes.moment($0) }
      if draft.expiresAt == nil {
        faults.append(.init("/expiresAt", "must be a time such as 2027-01-31T12:00:00Z"))
      }
    }
    if let filter = body["filter"], filter != .null {
      if filter.string == nil { faults.append(.init("/filter", "must be text")) }
      draft.filter = try filter.string.flatMap { try FilterParser.parse($0)?.canonical }
    }
    guard faults.isEmpty else {
      throw Refusal(.validationFailed, "The key is not valid.", fields: faults)
    }
    return draft
  }

  /// Reads `YYYY-MM-DDThh:mm:ssZ`, or nil.
  private static func moment(_ text: String) -> Timestamp? {
    let halves = text.split(separator: "T", omittingEmptySubsequences: false)
    guard halves.count == 2, let day = Timestamp.parse(date: String(halves[0])),
      halves[1].utf8.count == 9, halves[1].hasSuffix("Z")
    else { return nil }
    let parts = halves[1].dropLast().split(separator: ":", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { part in
      part.utf8.count == 2 && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
        ? Int64(part) : nil
    }
    guard parts.count == 3, numbers.count == 3, numbers[0] < 24, numbers[1] < 60, numbers[2] < 60
    else { return nil }
    return day + (numbers[0] * 3_600 + numbers[1] * 60 + numbers[2]) * 1_000
  }

  static func view(_ key: APIKey) -> JSONObject {
    var view: JSONObject = [
      "id": .string(key.id.text), "name": .string(key.name),
      "scopes": key.scopes.map { .strings($0.map(\.rawValue).sorted()) } ?? ["*"],
      "filter": .optional(key.filter), "maxPerMinute": .optional(key.perMinute),
      "createdAt": .string(key.createdAt.rfc3339), "expiresAt": .optional(key.expiresAt?.rfc3339),
      "lastUsedAt": .optional(key.usedAt?.rfc3339), "revokedAt": .optional(key.revokedAt?.rfc3339),
    ]
    switch key.owner {
    case .user(let id): view["userId"] = .string(id.text)
    case .provider(let id): view["providerId"] = .string(id)
    }
    return view
  }

  // MARK: Launch tokens

  func signing(_ context: Context) async throws -> Response {
    let provider = try context.provider()
    let chosen = try await services.record.read {
      try ProviderSigningStore.algorithm(of: provider, on: $0)
    }
    let from = try services.keys.prepare(chosen, at: services.clock.now)
    return .json([
      "algorithm": .string(chosen.rawValue), "effectiveFrom": .string(from.rfc3339),
    ])
  }

  /// The choice holds from when verifiers can know a key of the algorithm; until then it is ES256.
  func setSigning(_ context: Context) async throws -> Response {
    let provider = try context.provider()
    let body = try context.json()
    try context.known(body, ["algorithm"])
    guard let algorithm = body["algorithm"]?.string.flatMap(SigningAlgorithm.init(rawValue:)) else {
      throw Refusal(
        .validationFailed, "The algorithm is not valid.",
        fields: [.init("/algorithm", "must be ES256, EdDSA or RS256")])
    }
    let now = services.clock.now
    let from = try services.keys.prepare(algorithm, at: now)
    try await services.record.write { connection in
      try ProviderSigningStore.set(
        algorithm, of: provider, by: context.author, at: now, on: connection)
    }
    return .json([
      "algorithm": .string(algorithm.rawValue), "effectiveFrom": .string(from.rfc3339),
    ])
  }
}
