internal import HTTPServer
internal import Identity
internal import Primitives
internal import Sessions

/// Proposals and sessions as people and providers see them.
struct SessionRoutes: Sendable {
  let services: Services

  // MARK: Proposals

  func propose(_ context: Context) async throws -> Response {
    let user = try context.user()
    let body = try context.json()
    let key = try key(context, "POST /v1/proposals", body)
    try context.known(body, SessionRoutes.wishFields)
    let answer = try await services.sessions.propose(
      try wish(body), to: user, key: key, refused: context.keptRefusal)
    return Response(answer)
  }

  func proposal(_ context: Context) async throws -> Response {
    let user = try context.user()
    let id = try proposalID(context.parameter("id"))
    return .json(.object(try await services.sessions.proposal(id, of: user)))
  }

  func decline(_ context: Context) async throws -> Response {
    let user = try context.user()
    try await services.sessions.decline(try proposalID(context.parameter("id")), by: user)
    return .noContent
  }

  func proposalID(_ text: String) throws(Refusal) -> ID<ProposalKind> {
    guard let id = ID<ProposalKind>(text) else {
      throw Refusal(.notFound, "There is no such proposal.")
    }
    return id
  }

  // MARK: Sessions

  func confirm(_ context: Context) async throws -> Response {
    let user = try context.user()
    let body = try context.json()
    let form = try AnswerForm(context)
    let key = try key(context, "POST /v1/sessions", body)
    let answer: Idempotency.Answer
    if let proposal = body["proposalId"]?.string {
      try context.known(body, ["proposalId", "searchId", "consentScopes"])
      let id = try proposalID(proposal)
      if context.grant != nil,
        try await services.sessions.proposal(id, of: user)["kind"] == "paid"
      {
        throw GrantRules.spending
      }
      answer = try await services.sessions.confirm(
        id, by: user, consent: try consent(body, context), key: key,
        refused: context.keptRefusal)
    } else {
      if context.grant != nil { throw GrantRules.spending }
      answer = try await startPaid(body, by: user, key: key, context)
    }
    guard answer.status == 201, let session = try? JSON.parse(answer.body) else {
      return Response(answer)
    }
    await services.noteStart(session, searchID: body["searchId"]?.string, in: context)
    return form.response(to: session, of: Response(answer))
  }

  func list(_ context: Context) async throws -> Response {
    let owner = try listOwner(context)
    let limit = try context.integer("limit", default: 50, in: 1...100)
    let before: ID<SessionKind>? = try context.before()
    let own = try await services.sessions.sessions(of: owner, before: before, limit: limit)
    let next = own.count == limit ? own.last?["id"]?.string : nil
    return .json(["sessions": .array(own.map(JSON.object)), "next": .optional(next)])
  }

  func read(_ context: Context) async throws -> Response {
    let id = try sessionID(context)
    return try await asConcerned(try actors(context)) { actor in
      .json(.object(try await services.sessions.session(id, for: actor)))
    }
  }

  func revoke(_ context: Context) async throws -> Response {
    let id = try sessionID(context)
    let actor: SessionActor = context.principal.isAdmin ? .admin : .user(try context.user())
    return .json(
      .object(
        try await services.sessions.transition(id, by: actor, .revoke, author: context.author)))
  }

  func validate(_ context: Context) async throws -> Response {
    let body = try context.json()
    try context.known(body, ["token", "clientAssertion", "clientAssertionType"])
    guard let token = body["token"]?.string else {
      throw Refusal(
        .validationFailed, "Send the launch token.", fields: [.init("/token", "is missing")])
    }
    let view = try await services.sessions.validate(
      token: token, provider: try await provenProvider(context, body),
      origin: context.request.header("origin"))
    return .json(.object(view))
  }

  func heartbeat(_ context: Context) async throws -> Response {
    let id = try sessionID(context)
    let body = try context.json()
    try context.known(
      body, ["seq", "active", "launchToken", "clientAssertion", "clientAssertionType"])
    guard let seq = body["seq"]?.int, seq > 0, let isActive = body["active"]?.bool else {
      throw Refusal(
        .validationFailed, "A heartbeat has seq (from 1) and active.",
        fields: [
          .init("/seq", "must be a whole number from 1"), .init("/active", "must be true or false"),
        ])
    }
    if let token = try launchToken(context, body) {
      return .json(
        .object(
          try await services.sessions.firstHeartbeat(
            id, token: token, provider: try await provenProvider(context, body),
            origin: context.request.header("origin"), seq: seq, isActive: isActive)))
    }
    guard let actor = try liveActors(context).first else {
      throw Refusal(.unauthenticated, "Send a token.")
    }
    return .json(
      .object(
        try await services.sessions.heartbeat(id, by: actor, seq: seq, isActive: isActive)))
  }

  func pause(_ context: Context) async throws -> Response {
    try await transition(context, "pause") { _ in .pause }
  }
  func resume(_ context: Context) async throws -> Response {
    try await transition(context, "resume") { _ in .resume }
  }

  func complete(_ context: Context) async throws -> Response {
    let outcome = try context.json()["outcome"] ?? "completed"
    return try await transition(context, "complete", fields: ["outcome"]) { actor in
      let isUser = if case .user = actor { true } else { false }
      switch outcome {
      case "completed": return .complete(by: isUser ? "user" : "provider")
      case "failed" where !isUser: return .fail
      default: return nil
      }
    }
  }

  private static var badOutcome: Refusal {
    Refusal(
      .validationFailed, "The outcome is not valid.",
      fields: [.init("/outcome", "must be completed, or failed from the provider")])
  }

  /// - Parameter event: What it is from this role; nil where the role may not do it.
  private func transition(
    _ context: Context, _ name: String, fields: Set<String> = [],
    _ event: (SessionActor) -> SessionState.Event?
  ) async throws -> Response {
    let id = try sessionID(context)
    let body = try context.json()
    let key = try key(context, "/v1/sessions/\(id.text)/\(name)", body)
    try context.known(body, fields)
    return try await asConcerned(try liveActors(context)) { actor in
      guard let event = event(actor) else {
        // Not found goes first: the session may be the caller's in another role.
        _ = try await services.sessions.session(id, for: actor)
        throw SessionRoutes.badOutcome
      }
      let answer = try await services.sessions.transition(
        id, by: actor, event, key: key, refused: context.keptRefusal)
      if case .complete = event, answer.status == 200 {
        await services.noteCompletion(of: id)
      }
      return Response(answer)
    }
  }

  /// Tries each role of the caller: a provider's person has sessions of its own, beside the provider's.
  private func asConcerned(
    _ actors: [SessionActor], _ body: (SessionActor) async throws -> Response
  ) async throws -> Response {
    for actor in actors.dropLast() {
      do {
        return try await body(actor)
      } catch let refusal as Refusal where refusal.code == .notFound {
        // Not in this role: nothing has happened, so the next one may ask.
      }
    }
    guard let last = actors.last else {
      throw Refusal(.unauthenticated, "Sign in first.")
    }
    return try await body(last)
  }

  func sessionID(_ context: Context) throws(Refusal) -> ID<SessionKind> {
    guard let id = ID<SessionKind>(context.parameter("id")) else {
      throw Refusal(.notFound, "There is no such session.")
    }
    return id
  }

  /// Who acts on a live session: the session token's bearer, or whom `actors` names.
  private func liveActors(_ context: Context) throws(Refusal) -> [SessionActor] {
    if case .launch? = context.session {
      throw Refusal(.tokenInvalid, "A launch token is good for one redemption only.")
    }
    if let actor = context.session { return [actor] }
    if case .anonymous = context.principal { throw Refusal(.unauthenticated, "Send a token.") }
    return roles(context)
  }

  private func actors(_ context: Context) throws(Refusal) -> [SessionActor] {
    if context.principal.isAdmin { return [.admin] }
    if case .anonymous = context.principal { throw Refusal(.unauthenticated, "Sign in first.") }
    return roles(context)
  }

  private func roles(_ context: Context) -> [SessionActor] {
    [
      context.principal.userID.map(SessionActor.user),
      context.principal.providerID.map(SessionActor.provider),
    ].compactMap { $0 }
  }

  // MARK: Idempotency

  func key(
    _ context: Context, _ route: String, _ body: JSON
  ) throws(Refusal) -> Idempotency.Key {
    // A session token is no principal, and changes with each renewal: its keys are the session's, which the route
    // names. The desk checks the actor before it looks for a stored answer.
    try context.key(route, body, of: context.session.map { _ in .anonymous(address: "session") })
  }
}
