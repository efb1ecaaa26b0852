internal import Catalog
internal import HTTPServer
internal import Identity
internal import Primitives
internal import Sessions

/// What paid sessions add: wishes, direct starts, extensions, reports of use.
extension SessionRoutes {
  static let wishFields: Set<String> = [
    "serviceId", "offerId", "kind", "durationMinutes", "maxTokens", "redirectUri",
  ]

  private static let startFields = wishFields.union(["searchId", "consentScopes"])

  /// What a start says of the provider: nothing, or all that it may know from now on.
  func consent(_ body: JSON, _ context: Context) throws(Refusal) -> ConsentAnswer {
    var scopes: Set<ProviderScope>?
    if let named = body["consentScopes"] {
      guard let words = ProviderScope.words(named) else {
        throw Refusal(
          .validationFailed, "This cannot be allowed.",
          fields: [.init("/consentScopes", ProviderScope.wordsNeeded)])
      }
      scopes = words
    }
    return ConsentAnswer(
      scopes: scopes, isOfProgram: context.grant != nil, author: context.author)
  }

  /// What a body asks for; a trial where it does not say.
  func wish(_ body: JSON) throws(Refusal) -> SessionWish {
    var reader = BodyReader(body)
    let kind = reader.text("kind") ?? "trial"
    if kind != "trial", kind != "paid" { reader.fail("kind", "must be trial or paid") }
    if body["serviceId"] == nil { reader.fail("serviceId", "is missing") }
    let wish = SessionWish(
      serviceID: reader.text("serviceId") ?? "", isPaid: kind == "paid",
      offerID: reader.text("offerId"), minutes: reader.integer("durationMinutes"),
      maxTokens: reader.integer("maxTokens"), redirectURL: reader.text("redirectUri"))
    if !wish.isPaid {
      for name in ["durationMinutes", "maxTokens"] where body[name] != nil {
        reader.fail(name, "is the listing's for a trial; leave it out")
      }
    }
    try reader.finish("The terms asked for are not valid.")
    return wish
  }

  /// A paid session without a proposal; anything that is not clearly one needs a proposal.
  func startPaid(_ request: KeyedRequest<ID<UserKind>>) async throws -> Idempotency.Answer {
    let (context, body) = (request.context, request.body)
    let isPaid = body["offerId"] != nil || body["termsHash"] != nil || body["kind"] == "paid"
    guard isPaid, body["kind"] == nil || body["kind"] == "paid" else {
      try context.known(body, SessionRoutes.startFields.union(["proposalId"]))
      throw Refusal(.proposalRequired, "A trial starts from a proposal: send proposalId.")
    }
    let (wish, termsHash, agreed) = try await request.valid {
      _ = try AnswerForm(context)
      let (wish, termsHash) = try direct(context, body)
      return (wish, termsHash, try consent(body, context))
    } elseMissing: {
      try await requireService(body)
    }
    return try await services.sessions.start(
      wish, termsHash: termsHash, by: request.subject, consent: agreed, key: request.key,
      refused: request.refused)
  }

  private func direct(_ context: Context, _ body: JSON) throws -> (SessionWish, String) {
    try context.known(body, SessionRoutes.startFields.union(["termsHash"]))
    var members = body.object ?? [:]
    members["kind"] = "paid"
    var wish = try wish(.object(members))
    wish.isPaid = true
    var reader = BodyReader(body)
    for name in ["offerId", "termsHash", "durationMinutes", "maxTokens"] where body[name] == nil {
      reader.fail(name, "is missing")
    }
    let termsHash = reader.text("termsHash") ?? ""
    try reader.finish("A session without a proposal names its terms.")
    return (wish, termsHash)
  }

  /// - Throws: `Refusal` `not_found` where the body names a service that is not there.
  func requireService(_ body: JSON) async throws {
    guard let id = body["serviceId"]?.string else { return }
    try await services.sessions.require(serviceID: id)
  }

  func extend(_ request: KeyedRequest<Concerned>) async throws -> Idempotency.Answer {
    let (body, subject) = (request.body, request.subject)
    try request.context.known(body, ["minutes", "maxTokens"])
    var reader = BodyReader(body)
    let minutes = reader.integer("minutes") ?? 0
    if !(1...175).contains(minutes) {
      reader.fail("minutes", "must be a whole number from 1 to 175")
    }
    let maxTokens = reader.integer("maxTokens")
    try reader.finish("An extension has minutes.")
    return try await services.sessions.extend(
      subject.session, by: try request.context.user(), minutes: minutes, maxTokens: maxTokens,
      key: request.key, refused: request.refused)
  }

  func report(_ request: KeyedRequest<String>) async throws -> Idempotency.Answer {
    let (body, provider) = (request.body, request.subject)
    let report = try await request.valid {
      try request.context.known(body, ["sessionId", "reportNo", "units"])
      return try SessionRoutes.report(body)
    } elseMissing: {
      guard let named = body["sessionId"]?.string else { return }
      let id = try SessionRoutes.reportedID(named)
      _ = try await services.sessions.concerned(id, of: [.provider(provider)])
    }
    return try await services.sessions.report(
      report, by: provider, key: request.key, refused: request.refused)
  }

  private static func report(_ body: JSON) throws -> UsageReport {
    var reader = BodyReader(body)
    if body["sessionId"] == nil { reader.fail("sessionId", "is missing") }
    let session = reader.text("sessionId") ?? ""
    let number = reader.integer("reportNo") ?? 0
    let units = reader.integer("units") ?? 0
    if number < 1 { reader.fail("reportNo", "must be a whole number from 1") }
    if !(1...UsageReport.unitsMax).contains(units) {
      reader.fail("units", "must be a whole number from 1 to \(UsageReport.unitsMax)")
    }
    try reader.finish("A report has sessionId, reportNo and units.")
    return UsageReport(sessionID: try reportedID(session), number: number, units: units)
  }

  private static func reportedID(_ text: String) throws(Refusal) -> ID<SessionKind> {
    guard let id = ID<SessionKind>(text) else {
      throw Refusal(.notFound, "There is no such session.")
    }
    return id
  }

  /// Whose sessions are listed: a program's provider, a person's own, or with `?account=provider` a person's provider.
  func listOwner(_ context: Context) throws(Refusal) -> SessionActor {
    switch context.request.query("account") {
    case nil:
      if case .providerKey(let provider) = context.principal { return .provider(provider) }
      return .user(try context.user())
    case "user": return .user(try context.user())
    case "provider": return .provider(try context.provider())
    default:
      throw Refusal(
        .validationFailed, "A query parameter is not valid.",
        fields: [.init("/account", "must be user or provider")])
    }
  }

  /// The provider that the caller has proved to be, by its key or by an assertion that it signed (RFC 7523).
  func provenProvider(_ context: Context, _ body: JSON) async throws -> String? {
    guard body["clientAssertion"] != nil || body["clientAssertionType"] != nil else {
      return context.principal.providerID
    }
    guard let assertion = body["clientAssertion"]?.string,
      body["clientAssertionType"] == .string(SessionDesk.assertionType)
    else {
      throw Refusal(
        .validationFailed, "A client assertion is not complete.",
        fields: [
          .init("/clientAssertion", "must be text"),
          .init("/clientAssertionType", "must be " + SessionDesk.assertionType),
        ])
    }
    return try await services.sessions.provider(assertion: assertion)
  }

  func keySet(_ context: Context) async throws -> Response {
    .json(try await services.sessions.keySet(of: try context.provider()))
  }

  func putKeySet(_ context: Context) async throws -> Response {
    let provider = try context.provider()
    let body = try context.json()
    try context.known(body, ["keys"])
    try await services.sessions.register(keySet: body, of: provider, by: context.author)
    return .json(try await services.sessions.keySet(of: provider))
  }

  /// The launch token of a first heartbeat: the bearer itself, or beside the provider's own credential.
  func launchToken(_ context: Context, _ body: JSON) throws(Refusal) -> String? {
    if case .launch(let token)? = context.session { return token }
    guard let value = body["launchToken"] else { return nil }
    guard let token = value.string, context.session == nil else {
      throw Refusal(
        .validationFailed, "A launch token goes beside the provider's credential.",
        fields: [.init("/launchToken", "must be text, and not beside a session token")])
    }
    return token
  }
}

/// Reads typed members of a body and collects what is wrong.
private struct BodyReader {
  private let body: JSON
  private var faults: [Refusal.Field] = []

  init(_ body: JSON) { self.body = body }

  mutating func text(_ name: String) -> String? {
    guard let value = body[name] else { return nil }
    if value.string == nil { fail(name, "must be text") }
    return value.string
  }

  mutating func integer(_ name: String) -> Int64? {
    guard let value = body[name] else { return nil }
    if value.int == nil { fail(name, "must be a whole number") }
    return value.int
  }

  mutating func fail(_ name: String, _ reason: String) {
    guard !faults.contains(where: { $0.pointer == "/" + name }) else { return }
    faults.append(.init("/" + name, reason))
  }

  func finish(_ detail: String) throws(Refusal) {
    if !faults.isEmpty { throw Refusal(.validationFailed, detail, fields: faults) }
  }
}
