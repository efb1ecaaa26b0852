internal import Chat
internal import HTTPServer
internal import Identity
internal import Primitives

/// Conversations over server-sent events.
struct ChatRoutes: Sendable {
  let services: Services
  private let anonymous: DailyBudget

  init(services: Services) {
    self.services = services
    anonymous = DailyBudget(byteCountMax: services.configuration.anonymousBytesPerDay)
  }

  func turn(_ context: Context) async throws -> Response {
    let request = try TurnRequest.read(try context.json())
    let user = context.principal.userID
    let (budget, address, clock) = (anonymous, context.address, services.clock)
    if user == nil { try budget.require(address, at: clock.now) }
    let live = try await services.chat.start(request, user: user, secret: secret(context)) {
      if user == nil { budget.add($0, for: address, at: clock.now) }
    }
    return stream(conversation: live.conversationID, kept: [], live: live, after: 0)
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
