internal import Authorization
internal import HTTPServer
internal import Identity
internal import Primitives
internal import SQLite
internal import Sessions

/// One identity at every provider: what a provider learns of a person, and what the person says to that.
struct ProviderHubRoutes: Sendable {
  let services: Services

  var routes: [Route] {
    [
      Route("POST", "/v1/sso/provision", "a provider meets a person", handler: provision),
      Route("GET", "/v1/sso/verify", "whether a session token is good, and whose", handler: verify),
      Route(
        "GET", "/v1/users/{providerUserId}/profile", "a person as a provider knows it",
        handler: profile),
      Route(
        "GET", "/v1/me/consents/providers", "what providers may know of me", handler: consents),
      Route(
        "GET", "/v1/me/consents/providers/{id}", "what one provider may know", handler: consent),
      Route(
        "PUT", "/v1/me/consents/providers/{id}", "say what it may know", handler: give),
      Route("DELETE", "/v1/me/consents/providers/{id}", "take it back", handler: withdraw),
      Route("GET", "/v1/provider/consent-scopes", "what people are asked for", handler: asked),
      Route("PUT", "/v1/provider/consent-scopes", "choose what they are asked for", handler: ask),
    ]
  }

  /// Whether a route's bearer may be a session token.
  static func takesSessionToken(_ path: String) -> Bool {
    path.hasPrefix("/v1/sso/") || path == "/v1/users/{providerUserId}/profile"
  }

  // MARK: Providers

  func provision(_ context: Context) async throws -> Response {
    let body = try context.json()
    try context.known(body, ["sessionToken"])
    var actor = context.session
    if actor == nil {
      _ = try context.provider()
      guard let token = body["sessionToken"]?.string else {
        throw Refusal(
          .validationFailed, "Send the session's token.",
          fields: [.init("/sessionToken", "is missing")])
      }
      actor = try services.sessions.bearer(token)
    }
    let parties = try await parties(of: actor, for: context)
    let user = try await services.hub.provision(parties.userID, at: parties.providerID)
    return .json(.object(ProviderHubRoutes.view(user)))
  }

  func verify(_ context: Context) async throws -> Response {
    guard let actor = context.session else {
      throw Refusal(.unauthenticated, "Send the session's token as the bearer.")
    }
    let parties = try await parties(of: actor, for: context)
    let user = try await services.hub.verified(parties.userID, at: parties.providerID)
    var session = JSONObject()
    for name in ["id", "state", "kind", "serviceId", "offerId", "startedAt", "endsAt"] {
      session[name] = parties.view[name]
    }
    return .json([
      "valid": true, "user": .object(ProviderHubRoutes.view(user)), "session": .object(session),
    ])
  }

  func profile(_ context: Context) async throws -> Response {
    var provider: String
    var own: ID<UserKind>?
    if let actor = context.session {
      let parties = try await parties(of: actor, for: context)
      (provider, own) = (parties.providerID, parties.userID)
    } else {
      provider = try context.provider()
    }
    let (user, found) = try await services.hub.profile(
      context.parameter("providerUserId"), at: provider)
    guard own == nil || own == user else {
      throw Refusal(.notFound, "There is no such user.")
    }
    var view = ProviderHubRoutes.view(found)
    if found.scopes.contains(.sessionAccess) {
      view["openSessions"] = .strings(
        try await services.sessions.openSessions(of: user, at: provider))
    }
    return .json(.object(view))
  }

  /// The two sides of a session token's session, which must not have ended.
  private func parties(
    of actor: SessionActor?, for context: Context
  ) async throws -> SessionParties {
    guard case .bearer(let id, let age)? = actor else {
      throw Refusal(.unauthenticated, "Send the session's token.")
    }
    guard age != .late else { throw Refusal(.tokenExpired, "The token has expired.") }
    let parties = try await services.sessions.parties(of: id)
    if let provider = context.principal.providerID, provider != parties.providerID {
      throw Refusal(.notFound, "There is no such session.")
    }
    guard parties.isOpen else { throw Refusal(.forbidden, "The session has ended.") }
    return parties
  }

  private static func view(_ user: ProviderUser) -> JSONObject {
    var view: JSONObject = ["providerUserId": .string(user.providerUserID)]
    if user.scopes.contains(.profile) { view["name"] = .optional(user.name) }
    if let email = user.email { view["email"] = .string(email) }
    if let isVerified = user.isVerified { view["verified"] = .bool(isVerified) }
    view["scopes"] = .strings(user.scopes.map(\.rawValue).sorted())
    view["firstSeenAt"] = .string(user.firstSeenAt.rfc3339)
    view["lastSeenAt"] = .string(user.lastSeenAt.rfc3339)
    return view
  }

  // MARK: People

  func consents(_ context: Context) async throws -> Response {
    let user = try context.user()
    return .json(["providers": .array(try await ProviderHubRoutes.consents(of: user, services))])
  }

  static func consents(of user: ID<UserKind>, _ services: Services) async throws -> [JSON] {
    try await services.record.read { connection in
      try ProviderConsentStore.consents(of: user, on: connection)
        .map { try view($0, of: $0.providerID, connection) }
    }
  }

  func consent(_ context: Context) async throws -> Response {
    let user = try context.user()
    let provider = context.parameter("id")
    return .json(
      try await services.record.read { connection in
        try ProviderConsentStore.requireProvider(provider, on: connection)
        let known = try ProviderConsentStore.consent(of: user, to: provider, on: connection)
        return try ProviderHubRoutes.view(known, of: provider, connection)
      })
  }

  func give(_ context: Context) async throws -> Response {
    let user = try context.user()
    let scopes = try ProviderHubRoutes.scopes(context)
    let now = services.clock.now
    let provider = context.parameter("id")
    return .json(
      try await services.record.write { connection in
        let consent = try ProviderConsentStore.give(
          scopes, to: provider, of: user, by: context.author, at: now, on: connection)
        return try ProviderHubRoutes.view(consent, of: provider, connection)
      })
  }

  private static func scopes(_ context: Context) throws(Refusal) -> Set<ProviderScope> {
    let body = try context.json()
    try context.known(body, ["scopes"])
    guard let scopes = ProviderScope.words(body["scopes"] ?? .null) else {
      throw Refusal(
        .validationFailed, "Say what the provider may know.",
        fields: [.init("/scopes", ProviderScope.wordsNeeded)])
    }
    return scopes
  }

  func withdraw(_ context: Context) async throws -> Response {
    let user = try context.user()
    try await services.hub.withdraw(
      from: context.parameter("id"), of: user, by: context.author)
    return .noContent
  }

  /// What is asked for is shown before the first session with a provider, beside what was said.
  private static func view(
    _ consent: ProviderConsent?, of provider: String, _ connection: Connection
  ) throws -> JSON {
    [
      "providerId": .string(provider),
      "scopes": .strings((consent?.scopes ?? []).map(\.rawValue).sorted()),
      "asked": .strings(
        try ProviderConsentStore.asked(by: provider, on: connection).map(\.rawValue)),
      "givenAt": .optional(consent?.givenAt.rfc3339),
      "withdrawnAt": .optional(consent?.withdrawnAt?.rfc3339),
    ]
  }

  // MARK: What a provider asks for

  func asked(_ context: Context) async throws -> Response {
    let provider = try context.provider()
    let asked = try await services.record.read {
      try ProviderConsentStore.asked(by: provider, on: $0)
    }
    return .json(["scopes": .strings(asked.map(\.rawValue))])
  }

  func ask(_ context: Context) async throws -> Response {
    let provider = try context.provider()
    let scopes = try ProviderHubRoutes.scopes(context)
    guard scopes.contains(.sessionAccess) else {
      throw Refusal(
        .validationFailed, "No session starts without session_access.",
        fields: [.init("/scopes", "must have session_access")])
    }
    let now = services.clock.now
    let asked = try await services.record.write { connection in
      try ProviderConsentStore.ask(
        for: scopes, by: provider, author: context.author, at: now, on: connection)
      return try ProviderConsentStore.asked(by: provider, on: connection)
    }
    return .json(["scopes": .strings(asked.map(\.rawValue))])
  }
}

extension ProviderScope {
  /// What a list of scopes in a body has to be.
  static let wordsNeeded =
    "must be a list of some of " + allCases.map(\.rawValue).joined(separator: ", ")

  /// The scopes that a body names, or nil where it is no list of scopes.
  static func words(_ value: JSON) -> Set<ProviderScope>? {
    let words = value.array
    let scopes = words?.compactMap { $0.string.flatMap(ProviderScope.init(rawValue:)) }
    guard let scopes, scopes.count == words?.count else { return nil }
    return Set(scopes)
  }
}
