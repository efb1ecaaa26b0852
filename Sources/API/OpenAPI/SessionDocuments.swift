internal import Primitives

/// Proposals, sessions and the ledger.
enum SessionDocuments {
  static let all: [RouteDocument] = proposals + sessions + live

  private static let read = ["sessions:read"]
  private static let start = ["trials:start"]
  private static let end = ["sessions:end"]

  private static let proposals: [RouteDocument] = [
    RouteDocument(
      "POST /v1/proposals", .sessions, [.user], scopes: start,
      words: "Lives five minutes and moves nothing; a session starts when it is confirmed.",
      body: .json(.closed(["serviceId": .string])),
      answers: [.json(.ref("Proposal"), "What the user is asked to agree to.", status: 201)],
      problems: [
        .notFound, .trialNotOffered, .trialAlreadyOpen, .trialLimitReached, .trialBudgetExhausted,
      ], repeats: .again),
    RouteDocument(
      "POST /v1/proposals/{id}/decline", .sessions, [.user], scopes: start,
      answers: [.empty("It cannot be confirmed any more.")],
      problems: [.proposalConsumed, .proposalDeclined, .proposalExpired]),
  ]

  private static let sessions: [RouteDocument] = [
    RouteDocument(
      "POST /v1/sessions", .sessions, [.user], scopes: start,
      words: "The user's consent: holds the units and gives the address where the trial starts.",
      body: .json(.closed(["proposalId": .string, "searchId?": .string])),
      answers: [.json(.ref("Session"), "The session, with `redirectUrl`.", status: 201)],
      problems: [
        .notFound, .proposalRequired, .proposalConsumed, .proposalDeclined, .proposalStale,
        .proposalExpired, .trialAlreadyOpen, .trialNotOffered, .trialLimitReached,
        .trialBudgetExhausted, .insufficientFunds, .accountClosed, .accountFrozen, .forbidden,
      ], repeats: .key),
    RouteDocument(
      "GET /v1/sessions", .sessions, [.user], scopes: read,
      parameters: [ListParameters.limit, ListParameters.before],
      answers: [.json(ListParameters.page("sessions", of: .ref("Session")), "Own, newest first.")],
      problems: [.cursorInvalid]),
    RouteDocument(
      "GET /v1/sessions/{id}", .sessions, [.user, .provider, .admin], scopes: read,
      answers: [.json(.ref("Session"), "Its state, and what was used and charged.")]),
    RouteDocument(
      "DELETE /v1/sessions/{id}", .sessions, [.user, .admin], scopes: end,
      words: "Ends it at once; the session itself stays readable.",
      answers: [.json(.ref("Session"), "It has expired, revoked.")],
      problems: [.invalidTransition]),
    RouteDocument(
      "POST /v1/sessions/validate", .sessions, [.anyone, .provider], scopes: ["sessions:run"],
      words: "By the provider's key, or from the registered origin of a public app.",
      body: .json(.closed(["token": .string])),
      answers: [.json(.ref("Session"), "It is active; with its session token.")],
      problems: [
        .unauthenticated, .tokenInvalid, .tokenExpired, .originNotAllowed, .tokenReused,
        .invalidTransition, .notFound,
      ], repeats: .once(by: "the token's jti")),
  ]

  private static let live: [RouteDocument] = [
    RouteDocument(
      "POST /v1/sessions/{id}/heartbeat", .sessions, [.session], scopes: ["sessions:run"],
      words: "Every 30 s.",
      body: .json(.closed(["seq": .integer(1...Int64.max), "active": .boolean])),
      answers: [
        .json(
          .all(
            of: .ref("Session"),
            .object([
              "remainingMs": .integer, "warn": .boolean, "nextHeartbeatSeconds": .count,
            ])), "How the session stands.")
      ], problems: [.invalidTransition, .originNotAllowed, .tokenReused],
      repeats: .once(by: "seq")),
    transition("pause", body: .optional(.closed([:]))),
    transition("resume", body: .optional(.closed([:]))),
    transition(
      "complete", body: .optional(.closed(["outcome?": .one(of: "completed", "failed")]))),
  ]

  private static func transition(_ name: String, body: RouteDocument.Body) -> RouteDocument {
    RouteDocument(
      "POST /v1/sessions/{id}/" + name, .sessions, [.session, .user, .provider],
      scopes: ["sessions:end", "sessions:run"], body: body,
      answers: [.json(.ref("Session"), "How the session stands.")],
      problems: [.invalidTransition], repeats: .key)
  }
}
