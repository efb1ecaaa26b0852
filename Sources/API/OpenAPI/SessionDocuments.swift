internal import Primitives

/// Proposals, sessions and reports of use.
enum SessionDocuments {
  static let all: [RouteDocument] = proposals + sessions + live + providers

  private static let read = ["sessions:read"]
  private static let start = ["trials:start"]
  private static let end = ["sessions:end"]
  private static let run = ["sessions:run"]

  /// What may stand against a proposal.
  private static let offerProblems: [ProblemCode] = [
    .notFound, .trialNotOffered, .trialAlreadyOpen, .trialLimitReached, .forbidden,
  ]
  /// What may stand against a start, by proposal or directly.
  private static let startProblems: [ProblemCode] =
    offerProblems + [
      .trialBudgetExhausted, .insufficientFunds, .spendingLimitReached, .accountClosed,
      .accountFrozen, .amountOutOfRange,
    ]

  private static let proposals: [RouteDocument] = [
    RouteDocument(
      "POST /v1/proposals", .sessions, [.user], scopes: start,
      words: "A trial unless `kind` is paid. Lives five minutes and moves nothing.",
      body: .json(
        .closed([
          "serviceId": .string, "offerId?": .string, "kind?": .one(of: "trial", "paid"),
          "durationMinutes?": minutes, "maxTokens?": tokens, "redirectUri?": .string,
        ])),
      answers: [.json(.ref("Proposal"), "What the user is asked to agree to.", status: 201)],
      problems: offerProblems, repeats: .key,
      leads: [.to("POST /v1/sessions", body: ["proposalId": "$response.body#/id"])]),
    RouteDocument(
      "GET /v1/proposals/{id}", .sessions, [.user], scopes: start,
      answers: [.json(.ref("Proposal"), "One own proposal.")]),
    RouteDocument(
      "POST /v1/proposals/{id}/decline", .sessions, [.user], scopes: start,
      answers: [.empty("It cannot be confirmed any more.")],
      problems: [.proposalConsumed, .proposalDeclined, .proposalExpired]),
  ]

  private static let minutes = Schema.integer(5...180)
  private static let tokens = Schema.integer(0...1_000_000_000)

  private static let sessions: [RouteDocument] = [
    RouteDocument(
      "POST /v1/sessions", .sessions, [.user], scopes: start,
      words: "The user's consent: a proposal, or the terms of a paid session by their hash.",
      parameters: [.query("response", .one(of: "json", "redirect", "form_post"))],
      body: .json(
        .closed([
          "proposalId?": .string, "searchId?": .string, "serviceId?": .string,
          "offerId?": .string, "kind?": .one(of: "trial", "paid"), "durationMinutes?": minutes,
          "maxTokens?": tokens, "termsHash?": .string, "redirectUri?": .string,
          "consentScopes?": .list(.one(of: "profile", "email", "session_access")),
        ])),
      answers: [
        .json(.ref("Session"), "The session, with `redirectUrl`.", status: 201),
        .other("text/html; charset=utf-8", "A form that posts the launch token."),
        .empty("On to the provider.", status: 303),
      ],
      problems: startProblems + [
        .proposalRequired, .proposalConsumed, .proposalDeclined, .proposalStale, .proposalExpired,
      ], repeats: .key),
    RouteDocument(
      "GET /v1/sessions", .sessions, [.user, .provider], scopes: read,
      parameters: [
        ListParameters.limit, ListParameters.before,
        .query("account", .one(of: "user", "provider")),
      ],
      answers: [.json(ListParameters.page("sessions", of: .ref("Session")), "Newest first.")],
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
      "POST /v1/sessions/{id}/extend", .sessions, [.user], scopes: start,
      words: "Paid sessions only, up to 180 minutes in all.",
      body: .json(.closed(["minutes": .integer(1...175), "maxTokens?": tokens])),
      answers: [.json(.ref("Session"), "With its new end.")],
      problems: [
        .invalidTransition, .insufficientFunds, .spendingLimitReached, .accountClosed,
        .accountFrozen, .amountOutOfRange,
      ], repeats: .key),
    RouteDocument(
      "POST /v1/sessions/validate", .sessions, [.anyone, .provider], scopes: run,
      words: "By the provider's key or assertion, or from the registered origin of a public app.",
      body: .json(
        .closed([
          "token": .string, "clientAssertion?": .string, "clientAssertionType?": .string,
        ])),
      answers: [.json(.ref("Session"), "It is active; with its session token.")],
      problems: [
        .unauthenticated, .originNotAllowed, .tokenReused, .invalidTransition, .notFound,
      ], repeats: .once(by: "the token's jti")),
  ]

  private static let live: [RouteDocument] = [
    RouteDocument(
      "POST /v1/sessions/{id}/heartbeat", .sessions, [.session], scopes: run,
      words:
        "Every 30 s; the first may carry the launch token, beside the provider's credential or alone.",
      body: .json(
        .closed([
          "seq": .integer(1...Int64.max), "active": .boolean, "launchToken?": .string,
          "clientAssertion?": .string, "clientAssertionType?": .string,
        ])),
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
      scopes: end + run, body: body,
      answers: [.json(.ref("Session"), "How the session stands.")],
      problems: [.invalidTransition], repeats: .key)
  }

  private static let providers: [RouteDocument] = [
    RouteDocument(
      "POST /v1/provider/tokens/report", .sessions, [.provider], scopes: run,
      words: "For offers priced by use; counts once by session and number too.",
      body: .json(
        .closed([
          "sessionId": .string, "reportNo": .integer(1...Int64.max),
          "units": .integer(1...1_000_000_000_000),
        ])),
      answers: [.json(.document, "What was captured.")],
      problems: [.notFound, .invalidTransition, .idExistsDifferent, .amountOutOfRange],
      repeats: .key),
    RouteDocument(
      "GET /v1/provider/key-set", .providers, [.provider], scopes: ["provider:manage"],
      answers: [.json(keySet, "The keys that sign its assertions (RFC 7523).")]),
    RouteDocument(
      "PUT /v1/provider/key-set", .providers, [.provider],
      words: "By a person, or a key with all scopes: these keys prove all that a provider may.",
      body: .json(.closed(["keys": .list(.document)])),
      answers: [.json(keySet, "Registered.")]),
  ]

  private static let keySet = Schema.object(["keys": .list(.document)])
}
