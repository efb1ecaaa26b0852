internal import Primitives

/// Conversations over server-sent events.
enum ChatDocuments {
  static let all: [RouteDocument] = [
    RouteDocument(
      "POST /v1/chat/discovery", .chat, [.anyone, .conversation],
      words:
        "Server-sent events until one of done, error, aborted; exactly one of text, answer and edit.",
      body: .json(turn),
      answers: [.events("The turn's events, each with an id.")],
      problems: [
        .notFound, .turnRunning, .parentStale, .conversationFull, .filterInvalid,
      ], repeats: .once(by: "clientMessageId")),
    RouteDocument(
      "GET /v1/chat/conversations", .chat, [.user],
      parameters: [ListParameters.limit, ListParameters.before],
      answers: [
        .json(
          ListParameters.page("conversations", of: .ref("Conversation")), "Own, newest first.")
      ], problems: [.cursorInvalid]),
    RouteDocument(
      "GET /v1/chat/conversations/{id}", .chat, owners,
      answers: [.json(.ref("Conversation"), "The conversation with its turns and events.")]),
    RouteDocument(
      "DELETE /v1/chat/conversations/{id}", .chat, owners, answers: [.empty("It is deleted.")],
      problems: [.turnRunning]),
    RouteDocument(
      "GET /v1/chat/conversations/{id}/export", .chat, owners,
      answers: [.json(.ref("Conversation"), "Every event.")]),
    RouteDocument(
      "GET /v1/chat/conversations/{id}/stream", .chat, owners,
      parameters: [
        .header("Last-Event-ID", Schema.string.about("The id of the last event that came."))
      ],
      answers: [.events("What came after it, and what comes."), .empty("Nothing is new.")],
      problems: [.streamExpired]),
    RouteDocument(
      "POST /v1/chat/conversations/{id}/cancel", .chat, owners,
      answers: [.empty("The running turn, where there is one, stops.")]),
  ]

  /// A person's conversation is that person's; one without a person belongs to whoever has its secret.
  /// Anybody else is told that there is none.
  private static let owners: [RouteDocument.Caller] = [.anyone, .conversation]

  private static let turn = Schema.closed([
    "clientMessageId": .text(1...128), "conversationId?": Schema.string.orNull,
    "parentMessageId?": Schema.string.orNull, "seed?": Schema.integer.orNull,
    "locale?": Schema.string.orNull,
    "mode?": Schema.one(of: "auto", "guide", "agent").orNull, "text?": Schema.string.orNull,
    "answer?": Schema.closed(["questionId": .string, "values": .list(.string, 1...20)]).orNull,
    "edit?": Schema.closed([
      "ops": .list(
        .closed([
          "op": .one(of: "set", "remove", "undo", "reset"), "filter?": Schema.string.orNull,
          "id?": Schema.string.orNull,
        ]), 1...20)
    ]).orNull,
  ])
}
