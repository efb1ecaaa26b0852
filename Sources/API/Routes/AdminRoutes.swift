internal import Authorization
internal import Cryptography
internal import HTTPServer
internal import Identity
internal import Primitives
internal import SQLite

/// What operators do on the live server: accounts, keys, signing keys, the audit log.
struct AdminRoutes: Sendable {
  let services: Services

  var routes: [Route] {
    [
      Route("GET", "/v1/admin/users", "accounts", handler: users),
      Route("GET", "/v1/admin/users/{id}", "one account", handler: user),
      Route(
        "POST", "/v1/admin/users/{id}/freeze", "stop its sign-in", named: other, handler: freeze),
      Route(
        "POST", "/v1/admin/users/{id}/unfreeze", "allow its sign-in", named: known,
        handler: unfreeze),
      Route("PUT", "/v1/admin/users/{id}/role", "give it a role", named: other, handler: setRole),
      Route("GET", "/v1/admin/keys", "API keys", handler: keys),
      Route("DELETE", "/v1/admin/keys/{id}", "revoke an API key", handler: revokeKey),
      Route("GET", "/v1/admin/signing-keys", "keys that sign tokens", handler: signingKeys),
      Route(
        "POST", "/v1/admin/signing-keys/rotate", "publish the next key", handler: rotate),
      Route(
        "POST", "/v1/admin/signing-keys/{id}/remove", "refuse a key at once", handler: remove),
      Route("GET", "/v1/admin/audit", "who did what", handler: audit),
      Route("GET", "/v1/admin/audit/verify", "recompute its chain", handler: verifyAudit),
    ]
  }

  // MARK: Accounts

  func users(_ context: Context) async throws -> Response {
    try context.admin()
    let limit = try context.integer("limit", default: 50, in: 1...100)
    let before: ID<UserKind>? = try context.before()
    let wanted = context.request.query("role")
    let role = wanted.flatMap(Role.init(rawValue:))
    guard wanted == nil || role != nil else {
      throw Refusal(
        .validationFailed, "A query parameter is not valid.",
        fields: [.init("/role", "must be admin, provider or user")])
    }
    let found = try await services.accounts.users(
      email: context.request.query("email"), role: role, before: before, limit: limit)
    let next = found.count == limit ? found.last?.id.text : nil
    return .json(["users": .array(found.map(view)), "next": .optional(next)])
  }

  func user(_ context: Context) async throws -> Response {
    try context.admin()
    let id = try userID(context)
    guard let user = try await services.accounts.user(id) else { throw AdminRoutes.noUser }
    let devices = try await services.accounts.devices(of: id)
    guard case .object(var object) = view(user) else { return .json(view(user)) }
    object["devices"] = .number(devices.count)
    return .json(.object(object))
  }

  /// The account that the address names.
  private func known(_ context: Context) async throws {
    guard try await services.accounts.user(try userID(context)) != nil else {
      throw AdminRoutes.noUser
    }
  }

  /// The same, and not the admin's own.
  private func other(_ context: Context) async throws {
    try await known(context)
    guard try userID(context) != context.principal.userID else {
      throw Refusal(.forbidden, "An admin cannot do this to its own account.")
    }
  }

  func freeze(_ context: Context) async throws -> Response { try await setFrozen(true, context) }
  func unfreeze(_ context: Context) async throws -> Response { try await setFrozen(false, context) }

  private func setFrozen(_ isFrozen: Bool, _ context: Context) async throws -> Response {
    try context.admin()
    let id = try userID(context)
    try context.known(try context.json(), [])
    if isFrozen, id == context.principal.userID {
      throw Refusal(.forbidden, "An admin cannot stop its own sign-in.")
    }
    let now = services.clock.now
    let user = try await services.accounts.setFrozen(isFrozen, id, by: context.author) {
      try GrantStore.endAll(of: id, at: now, on: $0)
    }
    return .json(view(user))
  }

  func setRole(_ context: Context) async throws -> Response {
    try context.admin()
    let id = try userID(context)
    let body = try context.json()
    try context.known(body, ["role", "providerId"])
    guard let role = body["role"]?.string.flatMap(Role.init(rawValue:)) else {
      throw Refusal(
        .validationFailed, "The role is not valid.",
        fields: [.init("/role", "must be admin, provider or user")])
    }
    if id == context.principal.userID {
      throw Refusal(.forbidden, "An admin cannot change its own role.")
    }
    let changed = try await services.accounts.setRole(
      role, providerID: body["providerId"]?.string, of: id, by: context.author)
    return .json(view(changed))
  }

  private func view(_ user: User) -> JSON {
    guard case .object(var object) = IdentityRoutes(services: services).view(user) else {
      return .null
    }
    object["frozenAt"] = .optional(user.frozenAt?.rfc3339)
    return .object(object)
  }

  private func userID(_ context: Context) throws(Refusal) -> ID<UserKind> {
    guard let id = ID<UserKind>(context.parameter("id")) else { throw AdminRoutes.noUser }
    return id
  }

  private static var noUser: Refusal { Refusal(.notFound, "There is no such account.") }

  // MARK: Keys

  func keys(_ context: Context) async throws -> Response {
    try context.admin()
    let limit = try context.integer("limit", default: 50, in: 1...100)
    let before: ID<APIKeyKind>? = try context.before()
    var owner = context.request.query("provider").map(APIKeyOwner.provider)
    if let text = context.request.query("user") {
      guard let id = ID<UserKind>(text) else { throw AdminRoutes.noUser }
      owner = .user(id)
    }
    let wanted = owner
    let found = try await services.record.read {
      try services.accounts.apiKeyStore.keys(of: wanted, before: before, limit: limit, on: $0)
    }
    let next = found.count == limit ? found.last?.id.text : nil
    return .json([
      "keys": .array(found.map { .object(AccountRoutes.view($0)) }), "next": .optional(next),
    ])
  }

  func revokeKey(_ context: Context) async throws -> Response {
    try context.admin()
    try await services.accounts.revokeAPIKey(context.parameter("id"), by: context.author)
    return .noContent
  }

  // MARK: Signing keys

  func signingKeys(_ context: Context) async throws -> Response {
    try context.admin()
    let now = services.clock.now
    let published = Set(
      (services.keys.jwks(at: now)["keys"]?.array ?? []).compactMap { $0["kid"]?.string })
    let rows = services.keys.entries.map { entry -> JSON in
      let signs =
        entry.activeFrom <= now
        && services.keys.signing(at: now, algorithm: entry.key.algorithm) === entry.key
      return [
        "kid": .string(entry.id), "algorithm": .string(entry.key.algorithm.rawValue),
        "activeFrom": .string(entry.activeFrom.rfc3339), "signing": .bool(signs),
        "published": .bool(published.contains(entry.id)),
      ]
    }
    return .json(["keys": .array(rows)])
  }

  func rotate(_ context: Context) async throws -> Response {
    try context.admin()
    let body = try context.json()
    try context.known(body, ["algorithm"])
    let word = body["algorithm"]?.string ?? SigningAlgorithm.es256.rawValue
    guard let algorithm = SigningAlgorithm(rawValue: word) else {
      throw Refusal(
        .validationFailed, "The algorithm is not valid.",
        fields: [.init("/algorithm", "must be ES256, EdDSA or RS256")])
    }
    let now = services.clock.now
    let entry = try await services.noted(
      .init("signing_key.rotate", done: "signing_key.rotated", on: "signing_key:" + word),
      by: context, outcome: { ("signing_key:" + $0.id, word) }
    ) { try services.keys.rotate(algorithm, at: now) }
    return .json([
      "kid": .string(entry.id), "algorithm": .string(algorithm.rawValue),
      "activeFrom": .string(entry.activeFrom.rfc3339),
    ])
  }

  func remove(_ context: Context) async throws -> Response {
    try context.admin()
    try context.known(try context.json(), [])
    let id = context.parameter("id")
    guard services.keys.entries.contains(where: { $0.id == id }) else {
      throw Refusal(.notFound, "There is no such signing key.")
    }
    try await services.noted(
      .init(
        "signing_key.remove", done: "signing_key.removed", on: "signing_key:" + id, isUrgent: true),
      by: context
    ) { try services.keys.remove(id, at: services.clock.now) }
    return .json(["kid": .string(id)])
  }

  // MARK: Audit log

  func audit(_ context: Context) async throws -> Response {
    try context.admin()
    let limit = try context.integer("limit", default: 50, in: 1...200)
    let cursor = context.request.query("cursor")
    guard cursor == nil || Int64(cursor ?? "") != nil else {
      throw Refusal(.cursorInvalid, "The cursor is not one of ours.")
    }
    let below = cursor.flatMap { Int64($0) } ?? Int64.max
    let subject = context.request.query("subject")
    let entries = try await services.record.read {
      try AuditLog.entries(below: below, subject: subject, limit: limit, on: $0)
    }
    let rows = entries.map { entry -> JSON in
      [
        "sequence": .int(entry.sequence), "at": .string(entry.at.rfc3339),
        "actor": .string(entry.actor), "action": .string(entry.action),
        "subject": .string(entry.subject), "detail": .string(entry.detail),
        "requestId": .string(entry.requestID),
      ]
    }
    let next = entries.count == limit ? entries.last.map { String($0.sequence) } : nil
    return .json(["entries": .array(rows), "nextCursor": .optional(next)])
  }

  func verifyAudit(_ context: Context) async throws -> Response {
    try context.admin()
    let report = try await services.audit.audit()
    return .json([
      "sound": .bool(report.isSound), "rows": .number(report.rowCount),
      "head": [
        "sequence": .int(report.sequence), "rowHash": .string(BytesText.hex(report.rowHash)),
      ],
      "faults": .strings(report.faults),
    ])
  }
}

extension Services {
  /// Notes in the audit log what could not be noted in the transaction of its effect.
  func note(
    _ action: String, on subject: String, detail: String = "", by context: Context
  ) async throws {
    let now = clock.now
    try await record.write { connection in
      try AuditLog.record(
        action, on: subject, detail: detail, by: context.author, at: now, on: connection)
    }
  }

  /// Does work outside of the record, such as on files, between two rows of the audit log.
  func noted<T: Sendable>(
    _ work: AuditLog.Work, by context: Context,
    outcome: (T) -> (subject: String?, detail: String) = { _ in (nil, "") },
    _ effect: () async throws -> T
  ) async throws -> T {
    // Also where the ledger holds writes back: an operator wants a backup then, or a stolen key removed.
    try await AuditLog.around(
      work, in: record.writing(as: .essential), clock: clock, by: context.author,
      outcome: outcome, effect)
  }
}
