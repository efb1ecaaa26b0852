internal import HTTPServer
internal import Identity
internal import Primitives
internal import Sessions

/// Proposals and sessions as people and providers see them.
struct SessionRoutes: Sendable {
  let services: Services

  // MARK: Proposals

  func propose(_ request: KeyedRequest<ID<UserKind>>) async throws -> Idempotency.Answer {
    let body = request.body
    let asked = try await request.valid {
      try request.context.known(body, SessionRoutes.wishFields)
      return try wish(body)
    } elseMissing: {
      try await requireService(body)
    }
    return try await services.sessions.propose(
      asked, to: request.subject, key: request.key, refused: request.refused)
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

  /// Who may start a session; a key or a program only what costs its person nothing.
  func starter(_ context: Context) async throws -> ID<UserKind> {
    let user = try context.user()
    guard context.grant != nil else { return user }
    guard let named = try context.json()["proposalId"]?.string else { throw GrantRules.spending }
    guard let id = ID<ProposalKind>(named) else { return user }
    let kind: JSON?
    do {
      kind = try await services.sessions.proposal(id, of: user)["kind"]
    } catch let refusal as Refusal where refusal.code == .notFound {
      // It may have had its time since the answer that is stored for this key.
      return user
    }
    if kind == "paid" { throw GrantRules.spending }
    return user
  }

  func confirm(_ request: KeyedRequest<ID<UserKind>>) async throws -> Idempotency.Answer {
    let (context, body) = (request.context, request.body)
    guard let proposal = body["proposalId"]?.string else { return try await startPaid(request) }
    let id = try proposalID(proposal)
    let agreed = try await request.valid {
      _ = try AnswerForm(context)
      try context.known(body, ["proposalId", "searchId", "consentScopes"])
      return try consent(body, context)
    } elseMissing: {
      _ = try await services.sessions.proposal(id, of: request.subject)
    }
    return try await services.sessions.confirm(
      id, by: request.subject, consent: agreed, key: request.key, refused: request.refused)
  }

  /// A start in the form that was asked for.
  func started(_ context: Context, _ answer: Idempotency.Answer) async throws -> Response {
    guard answer.status == 201, let session = try? JSON.parse(answer.body) else {
      return Response(answer)
    }
    let body = try context.json()
    await services.noteStart(session, searchID: body["searchId"]?.string, in: context)
    return try AnswerForm(context).response(to: session, of: Response(answer))
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

  /// A session that the caller may give a sign of life of; the launch token of a first one names its own.
  func beating(_ context: Context) async throws {
    let body = try context.json()
    let isFirst = if case .launch? = context.session { true } else { body["launchToken"] != nil }
    if isFirst { return }
    let concerned = try await concernedLate(context)
    guard case .bearer = concerned.actor else {
      throw Refusal(.forbidden, "Send heartbeats with the session token.")
    }
  }

  func pause(_ request: KeyedRequest<Concerned>) async throws -> Idempotency.Answer {
    try await transition(request) { _ in .pause }
  }
  func resume(_ request: KeyedRequest<Concerned>) async throws -> Idempotency.Answer {
    try await transition(request) { _ in .resume }
  }

  func complete(_ request: KeyedRequest<Concerned>) async throws -> Idempotency.Answer {
    let outcome = request.body["outcome"] ?? "completed"
    let answer = try await transition(request, fields: ["outcome"]) { actor in
      let isUser = if case .user = actor { true } else { false }
      switch outcome {
      case "completed": return .complete(by: isUser ? "user" : "provider")
      case "failed" where !isUser: return .fail
      default: throw SessionRoutes.badOutcome
      }
    }
    if outcome == "completed", answer.status == 200 {
      await services.noteCompletion(of: request.subject.session)
    }
    return answer
  }

  private static var badOutcome: Refusal {
    Refusal(
      .validationFailed, "The outcome is not valid.",
      fields: [.init("/outcome", "must be completed, or failed from the provider")])
  }

  /// - Parameter event: What it is from this role.
  /// - Throws: `Refusal` `validation_failed` where the role may not do it.
  private func transition(
    _ request: KeyedRequest<Concerned>, fields: Set<String> = [],
    _ event: (SessionActor) throws -> SessionState.Event
  ) async throws -> Idempotency.Answer {
    try request.context.known(request.body, fields)
    return try await services.sessions.transition(
      request.subject.session, by: request.subject.actor, try event(request.subject.actor),
      key: request.key, refused: request.refused)
  }

  // MARK: Who acts

  /// A session, and the role in which it is the caller's.
  struct Concerned: Sendable {
    let session: ID<SessionKind>
    let actor: SessionActor
  }

  /// - Throws: `Refusal` `not_found`, also for another's; `token_expired` for a session token past its end.
  func concerned(_ context: Context) async throws -> Concerned {
    if case .bearer(_, .late)? = context.session {
      throw Refusal(.tokenExpired, "The token has expired.")
    }
    return try await concernedLate(context)
  }

  /// The same for an event that a session token may send a while after its end.
  func concernedLate(_ context: Context) async throws -> Concerned {
    let (actors, id) = (try liveActors(context), try sessionID(context))
    return Concerned(
      session: id, actor: try await services.sessions.concerned(id, of: actors))
  }

  /// One's own session.
  func own(_ context: Context) async throws -> Concerned {
    let (user, id) = (try context.user(), try sessionID(context))
    return Concerned(
      session: id, actor: try await services.sessions.concerned(id, of: [.user(user)]))
  }

  /// A session's tokens come one after the other: their keys are the session's.
  func actorScope(_ context: Context, _ concerned: Concerned, _ body: JSON) -> KeyScope {
    guard case .bearer = concerned.actor else {
      return KeyScope(principal: context.principal, body: body)
    }
    return KeyScope(
      principal: .anonymous(address: "session:" + concerned.session.text), body: body)
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
}
