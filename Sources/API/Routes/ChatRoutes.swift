internal import Chat
internal import HTTPServer
internal import Identity
internal import Primitives

/// Conversations over server-sent events.
struct ChatRoutes: Sendable {
  let services: Services
  /// Bytes that an address stores without signing in.
  private let anonymous: DailyBudget
  /// The model's tokens.
  private let tokens: DailyBudget

  init(services: Services) {
    self.services = services
    let configuration = services.configuration
    anonymous = DailyBudget(name: "stored", countMax: configuration.anonymousBytesPerDay)
    tokens = DailyBudget(name: "llm-tokens", countMax: configuration.modelTokensPerDay)
  }

  func turn(_ context: Context) async throws -> Response {
    let user = context.principal.userID
    let (address, clock) = (context.address, services.clock)
    if user == nil { try requireRoom(context) }
    let request = try TurnRequest.read(try context.json())
    let live = try await services.chat.start(
      request, user: user, secret: secret(context), model: allowance(context)
    ) { [anonymous] in
      if user == nil { anonymous.add($0, for: address, at: clock.now) }
    }
    return stream(conversation: live.conversationID, kept: [], live: live, after: 0)
  }

  /// - Throws: `Refusal` `rate_limited` until the next day, where the address has stored its bytes.
  private func requireRoom(_ context: Context) throws(Refusal) {
    guard let verdict = anonymous.verdict(context.address, at: services.clock.now) else { return }
    context.count.note(verdict)
    guard verdict.isAllowed else {
      throw Refusal(
        .rateLimited, "This address has stored enough for a day; sign in to go on.",
        retryAfterSeconds: Int(verdict.resetSeconds))
    }
  }

  /// What the model may still say to the caller today; without any of it the guide answers.
  private func allowance(_ context: Context) -> ModelAllowance {
    let (caller, clock) = (context.principal.key, services.clock)
    let verdict = services.chat.hasModel ? tokens.verdict(caller, at: clock.now) : nil
    // With nothing left the request is answered all the same, so only what is left of it is told.
    if let verdict, verdict.isAllowed { context.count.note(verdict) }
    return ModelAllowance(isOpen: verdict?.isAllowed ?? true) { [tokens] in
      tokens.add($0, for: caller, at: clock.now)
    }
  }

  func stream(_ context: Context) async throws -> Response {
    let id = try conversationID(context)
    let seq = try lastEvent(context, id)
    let found = try await services.chat.follow(
      id, after: seq, user: context.principal.userID, secret: secret(context))
    guard let found else { return .noContent }
    return stream(conversation: id, kept: found.kept, live: found.live, after: seq)
  }

  func cancel(_ context: Context) async throws -> Response {
    try await services.chat.cancel(
      try conversationID(context), user: context.principal.userID, secret: secret(context))
    return .noContent
  }

  func list(_ context: Context) async throws -> Response {
    let user = try context.user()
    let limit = try context.integer("limit", default: 50, in: 1...100)
    let before: ID<ConversationKind>? = try context.before()
    let own = try await services.chat.conversations(of: user, before: before, limit: limit)
    let next = own.count == limit ? own.last?["id"]?.string : nil
    return .json(["conversations": .array(own), "next": .optional(next)])
  }

  func read(_ context: Context) async throws -> Response {
    .json(
      try await services.chat.conversation(
        try conversationID(context), user: context.principal.userID, secret: secret(context)))
  }

  func delete(_ context: Context) async throws -> Response {
    try await services.chat.delete(
      try conversationID(context), user: context.principal.userID, secret: secret(context))
    return .noContent
  }

  private func secret(_ context: Context) -> String? {
    context.request.header("waypost-conversation")
  }

  private func conversationID(_ context: Context) throws(Refusal) -> ID<ConversationKind> {
    guard let id = ID<ConversationKind>(context.parameter("id")) else {
      throw Refusal(.notFound, "There is no such conversation.")
    }
    return id
  }

  /// The number in `Last-Event-ID`, which names its conversation too.
  private func lastEvent(_ context: Context, _ id: ID<ConversationKind>) throws(Refusal) -> Int64 {
    guard let header = context.request.header("last-event-id") else { return 0 }
    let parts = header.split(separator: ".")
    guard parts.count == 2, parts[0] == id.text, let seq = Int64(parts[1]) else {
      throw Refusal(.streamExpired, "This event is not known.")
    }
    return seq
  }

  private func stream(
    conversation: ID<ConversationKind>, kept: [TurnEvent], live: LiveTurn?, after seq: Int64
  ) -> Response {
    Response(
      status: 200,
      headers: [
        (name: "Content-Type", value: "text/event-stream; charset=utf-8"),
        (name: "X-Accel-Buffering", value: "no"),
      ],
      body: .stream { writer in
        for event in kept { writer.write(event.sse(conversation: conversation)) }
        guard let live else { return }
        let last = kept.last?.seq ?? seq
        await withTaskGroup(of: Void.self) { group in
          group.addTask {
            for await event in live.events(after: last) {
              guard writer.write(event.sse(conversation: conversation)) else { return }
            }
          }
          // A comment line in every 15 s of silence keeps proxies from cutting the stream.
          group.addTask {
            while (try? await Task.sleep(for: .seconds(15))) != nil {
              guard writer.write(Array(": keep-alive\n\n".utf8)) else { return }
            }
          }
          await group.next()
          group.cancelAll()
        }
      })
  }
}
