internal import HTTPServer
internal import Identity
internal import Primitives
internal import Search
internal import Sessions

/// What searches led to, as frontends and the server itself tell it.
struct EventRoutes: Sendable {
  /// A batch of a hundred events, each with a token of its own.
  static let byteCountMax = 262_144
  let services: Services

  var all: [Route] {
    [
      Route(
        "POST", "/v1/events", "what a search led to", body: .anyone(EventRoutes.byteCountMax),
        handler: record)
    ]
  }

  /// Takes at most a hundred events; each is answered alone, so that one bad item costs no other.
  func record(_ context: Context) async throws -> Response {
    let body = try context.json()
    try context.known(body, ["searchId", "events"])
    guard let events = body["events"]?.array, (1...FeedbackDesk.batchMax).contains(events.count)
    else {
      throw Refusal(
        .validationFailed, "Send events.",
        fields: [.init("/events", "must be a list of 1 to \(FeedbackDesk.batchMax)")])
    }
    if let id = body["searchId"], id != .null, id.string == nil {
      throw Refusal(
        .validationFailed, "Send events.", fields: [.init("/searchId", "must be text")])
    }
    guard !context.refusesLearning else {
      return answer(events.map { _ in .dropped(.learningOff) })
    }
    let shared = body["searchId"]?.string
    let items = events.map { event in
      Result { () throws(Refusal) in try FeedbackItem.read(event, searchID: shared) }
    }
    return answer(
      try await services.feedback.record(items, from: FeedbackCaller(context.principal)))
  }

  private func answer(_ outcomes: [FeedbackOutcome]) -> Response {
    let results = outcomes.map { JSON.object($0.json) }
    return .json([
      "results": .array(results),
      "recorded": .number(outcomes.count { $0 == .recorded }),
    ])
  }
}

extension FeedbackCaller {
  /// A person by the account's id; anybody else, programs too, as a visitor.
  init(_ principal: Principal) {
    let kind: Kind = principal.userID.map { .user($0.bytes) } ?? .visitor(principal.key)
    self.init(kind, providerID: principal.providerID)
  }
}

extension Context {
  /// Whether the user said `X-Waypost-Learn: no`.
  var refusesLearning: Bool {
    request.header("x-waypost-learn")?.lowercased() == "no"
  }
}

extension Services {
  /// The `searchId` of an answer, or nil where nothing may or can be learnt from it.
  func searchID(of answer: SearchAnswer, to request: SearchRequest, in context: Context) -> String?
  {
    guard !context.refusesLearning else { return nil }
    return feedback.searchID(
      need: request.query, services: answer.hits.map(\.id), offset: request.offset,
      for: FeedbackCaller(context.principal))
  }

  /// Notes that a session was started from a search.
  ///
  /// - Parameter session: The session as it was answered: its `id` and `serviceId`.
  func noteStart(_ session: JSON, searchID: String?, in context: Context) async {
    guard let searchID, !context.refusesLearning, let service = session["serviceId"]?.string,
      let id = session["id"]?.string.flatMap({ ID<SessionKind>($0) })
    else { return }
    // The session is started either way: what cannot be noted is left out.
    _ = try? await feedback.sessionStarted(
      id.bytes, serviceID: service, searchID: searchID, by: FeedbackCaller(context.principal))
  }

  /// Notes that a session was completed, where its start was noted.
  func noteCompletion(of id: ID<SessionKind>) async {
    // The session is completed either way: what cannot be noted is left out.
    _ = try? await feedback.sessionCompleted(id.bytes)
  }
}
