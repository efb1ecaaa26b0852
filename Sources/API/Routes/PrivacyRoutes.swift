internal import Authorization
internal import Chat
internal import Delivery
internal import HTTPServer
internal import Identity
internal import Ledger
internal import Payments
internal import Primitives
internal import SQLite
internal import Search
internal import Sessions

/// What the law gives a person over its data: to see it, to take it along, to have it deleted (GDPR 15, 17, 20).
struct PrivacyRoutes: Sendable {
  let services: Services

  var routes: [Route] {
    [
      Route("GET", "/v1/me/export", "everything known of the account", handler: export),
      Route("DELETE", "/v1/me", "erase the account", handler: erase),
      Route("GET", "/v1/me/consents", "consents and their history", handler: consents),
      Route("GET", "/v1/me/consents/{purpose}", "one consent", handler: consent),
      Route("PUT", "/v1/me/consents/{purpose}", "give or withdraw one", handler: setConsent),
      Route("PUT", "/v1/me/retention", "how long conversations are kept", handler: setRetention),
    ]
  }

  // MARK: Consents

  func consents(_ context: Context) async throws -> Response {
    let user = try context.user()
    let all = try await services.accounts.consents(of: user)
    let current = ConsentPurpose.allCases.map { purpose in
      PrivacyRoutes.view(purpose, all.last { $0.purpose == purpose })
    }
    return .json([
      "consents": .array(current),
      "history": .array(all.map { PrivacyRoutes.view($0.purpose, $0) }),
    ])
  }

  func consent(_ context: Context) async throws -> Response {
    let user = try context.user()
    let purpose = try purpose(context)
    let all = try await services.accounts.consents(of: user)
    return .json(PrivacyRoutes.view(purpose, all.last { $0.purpose == purpose }))
  }

  func setConsent(_ context: Context) async throws -> Response {
    let user = try context.user()
    let purpose = try purpose(context)
    let body = try context.json()
    try context.known(body, ["granted"])
    guard let isGranted = body["granted"]?.bool else {
      throw Refusal(
        .validationFailed, "Say whether it is given.",
        fields: [.init("/granted", "must be true or false")])
    }
    let consent = try await services.accounts.setConsent(isGranted, for: purpose, of: user)
    return .json(PrivacyRoutes.view(purpose, consent))
  }

  func setRetention(_ context: Context) async throws -> Response {
    let user = try context.user()
    let body = try context.json()
    try context.known(body, ["conversationDays"])
    let days = body["conversationDays"]?.int ?? -1
    try await services.accounts.setConversationDays(Int(clamping: days), of: user)
    return .json(["conversationDays": .int(days)])
  }

  private func purpose(_ context: Context) throws(Refusal) -> ConsentPurpose {
    guard let purpose = ConsentPurpose(rawValue: context.parameter("purpose")) else {
      throw Refusal(.notFound, "Consents are for analytics, marketing and sharing.")
    }
    return purpose
  }

  /// What was never given is not given.
  private static func view(_ purpose: ConsentPurpose, _ consent: Consent?) -> JSON {
    [
      "purpose": .string(purpose.rawValue), "granted": .bool(consent?.isGranted ?? false),
      "at": .optional(consent?.at.rfc3339),
    ]
  }

  // MARK: Erasure

  func erase(_ context: Context) async throws -> Response {
    let user = try context.user()
    let body = try context.json()
    try context.known(body, ["password", "forfeitBalance"])
    let proof = try await services.fresh(body["password"]?.string, for: .erase, context)
    let forfeits = body["forfeitBalance"]?.bool ?? false
    let now = services.clock.now
    let (ended, conversations) = try await services.record.write { connection in
      try Accounts.spend(proof, of: user, at: now, on: connection)
      _ = try services.sessions.endAll(of: user, at: now, on: connection)
      try settle(user, forfeits: forfeits, at: now, on: connection)
      let conversations = try services.chat.deleteAll(of: user, on: connection)
      _ = try FeedbackStore.forget(user: user.bytes, on: connection)
      try services.hub.erase(user, at: now, on: connection)
      try services.payments.erase(user, on: connection)
      try WebhookPersonStore.forget(user.bytes, on: connection)
      let apps = try GrantStore.endAll(of: user, at: now, on: connection)
      let ended = try services.accounts.erase(user, by: context.author, at: now, on: connection)
      return (ended + apps, conversations)
    }
    services.accounts.loginsEnded(ended)
    services.chat.stop(conversations)
    await scrub()
    var response = Response.noContent
    let cookie = IdentityRoutes(services: services).cookieText("", maxAge: 0)
    response.headers.append((name: "Set-Cookie", value: cookie))
    return response
  }

  /// The balance goes only where the person says so; its movements stay, without a name.
  private func settle(
    _ user: ID<UserKind>, forfeits: Bool, at now: Timestamp, on connection: Connection
  ) throws {
    let left = try LedgerStore.balance(.user(user), on: connection).available
    guard left.count == 0 || forfeits else {
      throw Refusal(
        .balanceNotEmpty, "The account still has tokens; they would be lost.",
        facts: ["availableMicrotokens": .int(left.count)])
    }
    if left.count > 0 {
      try LedgerStore.post(
        ID(at: now, random: services.random), from: .user(user), to: .platform(.platformFees),
        left, reason: "forfeited at erasure", settles: true, at: now, on: connection)
    }
    // Nothing may come to an account that nobody has any more.
    try LedgerStore.close(
      .user(user), LedgerOrder(actor: [], reason: "erasure"), at: now, on: connection)
  }

  /// Deleted rows are overwritten in the file, but their old pages stand in the write-ahead log until it is cut.
  /// A reader may hold it; the hourly housekeeping cuts it then.
  private func scrub() async {
    for _ in 0..<3 {
      // The erasure itself has been done: what fails here is tried again by the housekeeping.
      try? await services.record.checkpoint(truncate: true)
      try? await Task.sleep(for: .milliseconds(20))
    }
  }
}
