internal import Authorization
package import HTTPServer
internal import Identity
package import Primitives
internal import Sessions

/// Finds the route of a request, checks who asks and how often, and turns every outcome into an answer.
package struct Router: Sendable {
  private let services: Services
  private let routes: [Route]
  private let metrics: Metrics
  private let policies: RequestPolicies
  private let log: @Sendable (JSONObject) -> Void
  private let refusalLog: RefusalLog
  private let microseconds: @Sendable () -> Int64

  /// - Parameters:
  ///   - log: Gets one object a request; it never holds query strings, bodies or credentials.
  ///   - microseconds: A rising clock.
  package init(
    services: Services, log: @escaping @Sendable (JSONObject) -> Void,
    microseconds: @escaping @Sendable () -> Int64
  ) {
    self.services = services
    self.log = log
    refusalLog = RefusalLog(log: log)
    self.microseconds = microseconds
    metrics = Metrics()
    routes = RouteTable.all(services, metrics)
    policies = RequestPolicies(services.configuration)
  }

  /// The answer to a request.
  package func handle(_ request: Request) async -> Response {
    let start = microseconds()
    let requestID = BytesText.hex(services.random.bytes(8))
    var (response, route) = await answer(request, requestID)
    decorate(&response, request, requestID)
    log(counted(response, requestID, method: request.method, route: route, since: start))
    return response
  }

  /// Counts an answer, and gives its line for the log.
  private func counted(
    _ response: Response, _ requestID: String, method: String?, route: String?, since start: Int64
  ) -> JSONObject {
    let elapsed = microseconds() - start
    metrics.count(route: route ?? "none", status: response.status, microseconds: elapsed)
    return [
      "at": .string(services.clock.now.rfc3339), "requestId": .string(requestID),
      "method": .optional(method.map { String($0.prefix(16)) }), "route": .optional(route),
      "status": .number(response.status), "microseconds": .int(elapsed),
    ]
  }

  private func answer(_ request: Request, _ requestID: String) async -> (Response, route: String?) {
    let matches = matches(request)
    if request.method == "OPTIONS", !matches.isEmpty {
      return (preflight(request, matches.map(\.0)), nil)
    }
    let count = RequestPolicies.Count()
    let fitting = Router.fitting(request, matches)
    var response: Response
    do {
      if let (route, parameters) = fitting {
        response = try await run(route, parameters, request, requestID, count)
      } else {
        try refuseUnrouted(request, matches.map(\.0.method), count)
      }
    } catch let refusal as Refusal {
      response = Problem.response(refusal, requestID: requestID, path: request.path)
      if fitting == nil, !matches.isEmpty {
        let methods = matches.map(\.0.method).joined(separator: ", ")
        response.headers.append((name: "Allow", value: methods))
      }
    } catch is CancellationError {
      let refusal = Refusal(.shuttingDown, "The request was given up.", retryAfterSeconds: 1)
      response = Problem.response(refusal, requestID: requestID, path: request.path)
    } catch {
      // Library messages and SQL go to the log, never to clients.
      log(["requestId": .string(requestID), "error": .string(String(describing: error))])
      let refusal = Refusal(.internal, "Something went wrong here; it is logged.")
      response = Problem.response(refusal, requestID: requestID, path: request.path)
    }
    sayLimit(&response, fitting?.0.budget ?? .standard, count, request)
    return (response, fitting?.0.path)
  }

  /// Addresses where nothing is count too: they are the cheapest to ask for.
  private func refuseUnrouted(
    _ request: Request, _ methods: [String], _ count: RequestPolicies.Count
  ) throws(Refusal) -> Never {
    let address = services.configuration.trustedProxies.client(of: request)
    let caller = Caller(address: address, principal: .anonymous(address: address))
    try policies.require(isAllowed(.standard, caller, request, count), count)
    if methods.isEmpty { throw Refusal(.notFound, "There is nothing here.") }
    throw Refusal(.methodNotAllowed, "Only \(methods.joined(separator: ", ")) here.")
  }

  private func matches(_ request: Request) -> [(Route, [String: String])] {
    let parts = request.path.split(separator: "/", omittingEmptySubsequences: true)
    return routes.compactMap { route in route.match(parts).map { (route, $0) } }
  }

  private static func fitting(
    _ request: Request, _ matches: [(Route, [String: String])]
  ) -> (Route, [String: String])? {
    let method = request.method == "HEAD" ? "GET" : request.method
    // A fixed path goes before a pattern: /v1/sessions/validate is no session's id.
    return matches.filter { $0.0.method == method }.min { $0.1.count < $1.1.count }
  }

  /// What body a request may have, from its head alone: memory is given out by route, and much of it only to
  /// those who have said who they are.
  package func admit(_ head: Request, announced: Int?) -> Admission {
    guard let (route, _) = Router.fitting(head, matches(head)) else {
      return .body(byteCountMax: Route.bodyByteCountMax)
    }
    let byteCountMax = route.bodyLimit.byteCount
    if byteCountMax <= Route.bodyByteCountMax { return .body(byteCountMax: byteCountMax) }
    // A short body may come: the route itself says what is wrong with its credentials, in more words.
    if let announced, announced <= Route.bodyByteCountMax {
      return .body(byteCountMax: Route.bodyByteCountMax)
    }
    if case .signed(let header, _) = route.bodyLimit, head.header(header) != nil {
      return .body(byteCountMax: byteCountMax)
    }
    do throws(Refusal) {
      guard let bearer = Router.bearer(of: head) else {
        throw Refusal(.unauthenticated, "Sign in first.")
      }
      // Keys are in the record, which cannot be asked here; they are checked with the whole request.
      let isKey = Accounts.isKey(bearer)
      let principal = isKey ? nil : try services.accounts.principal(accessToken: bearer)
      switch route.bodyLimit {
      case .anyone: break
      case .provider where isKey || principal?.providerID != nil: break
      case .admin where principal?.isAdmin == true: break
      default: throw Refusal(.forbidden, "Another account may do this.")
      }
      return .body(byteCountMax: byteCountMax)
    } catch {
      return .refused(status: error.code.status, code: error.code.rawValue)
    }
  }

  /// The answer to what never became a request, with the headers of every other; counted and logged like every other,
  /// with its code, since nothing else of it may be known.
  /// - Parameter head: nil where there is none that could be read.
  package func refuse(_ head: Request?, status: Int, code: String) -> Response {
    let start = microseconds()
    let requestID = BytesText.hex(services.random.bytes(8))
    var response = Problem.front(status: status, code: code, requestID: requestID)
    // Nobody is known yet, and a head that cannot be read has no origin.
    let request = head ?? Request(method: "", target: "/")
    if head != nil { sayLimit(&response, .standard, .init(), request) }
    decorate(&response, request, requestID)
    let route = head.flatMap { Router.fitting($0, matches($0))?.0.path }
    var line = counted(response, requestID, method: head?.method, route: route, since: start)
    line["code"] = .string(code)
    refusalLog.add(line)
    return response
  }

  private func run(
    _ route: Route, _ parameters: [String: String], _ request: Request, _ requestID: String,
    _ count: RequestPolicies.Count
  ) async throws -> Response {
    let address = services.configuration.trustedProxies.client(of: request)
    var isKnown = false
    do {
      return try await run(
        route, parameters, request, requestID, from: address, count, isKnown: &isKnown)
    } catch let refusal as Refusal where refusal.code == .tokenInvalid {
      // A provider's server passes on tokens that anybody may have sent it: they are not its own failures.
      if !isKnown {
        try policies.requireFewFailures(of: address, at: services.clock.now, count)
      }
      throw refusal
    }
  }

  /// Refusals go in the order of the specification (core, 8.1): size, syntax, who asks, how often, then the route's.
  ///
  /// - Parameter isKnown: Set where the caller's own credential was found valid.
  private func run(
    _ route: Route, _ parameters: [String: String], _ request: Request, _ requestID: String,
    from address: String, _ count: RequestPolicies.Count, isKnown: inout Bool
  ) async throws -> Response {
    guard request.body.count <= route.bodyLimit.byteCount else {
      throw Refusal(.bodyTooLarge, "The body may have \(route.bodyLimit.byteCount) bytes.")
    }
    let document = RouteDocuments.named[route.key]
    if route.isKeyed || document?.takesJSON ?? false { _ = try request.json() }
    let caller = try await identify(request, for: route, from: address, count)
    isKnown = !caller.isUnknown
    let principal = caller.principal
    let isAllowed = isAllowed(route.budget, caller, request, count)
    if document?.needsCredentials ?? false, caller.isUnknown {
      throw Refusal(.unauthenticated, "Sign in first.")
    }
    try policies.require(isAllowed, count)
    if let grant = caller.grant {
      try policies.require(grant, at: services.clock.now, count)
      try GrantRules.require(grant, for: route)
    }
    let context = Context(
      request: request, parameters: parameters, principal: principal, requestID: requestID,
      login: caller.login, grant: caller.grant, session: caller.session, address: caller.address,
      count: count)
    do {
      return try await withTaskExecutorPreference(route.isSearch ? SearchThreads.shared : nil) {
        try await route.handler(context)
      }
    } catch let refusal as Refusal where refusal.code == .validationFailed {
      try await route.named?(context)
      throw refusal
    }
  }

  /// Who asks, and from where.
  private struct Caller {
    let address: String
    var principal: Principal
    var login: ID<LoginKind>?
    var grant: Grant?
    var session: SessionActor?

    /// Whether nobody has said who they are.
    var isUnknown: Bool {
      if case .anonymous = principal { session == nil } else { false }
    }
  }

  private func identify(
    _ request: Request, for route: Route, from address: String, _ count: RequestPolicies.Count
  ) async throws -> Caller {
    var caller = Caller(address: address, principal: .anonymous(address: address))
    guard route.usesBearer, let bearer = Router.bearer(of: request) else { return caller }
    if RouteTable.takesSessionToken(route.path) {
      caller.session = try? services.sessions.liveActor(bearer)
      if caller.session != nil { return caller }
    }
    // A key costs a read of the record: who has tried too many is not let at it.
    if Accounts.isKey(bearer) {
      try policies.requireFewFailures(
        of: address, at: services.clock.now, isCounted: false, count)
    }
    let credential = try await services.accounts.credential(bearer: bearer)
    caller.principal = credential.principal
    caller.login = credential.login
    caller.grant = credential.grant
    return caller
  }

  private static func bearer(of request: Request) -> String? {
    request.header("authorization").flatMap { header -> String? in
      let parts = header.split(separator: " ", maxSplits: 1)
      return parts.count == 2 && parts[0].lowercased() == "bearer" ? String(parts[1]) : nil
    }
  }

  // MARK: Limits

  /// Counts a request; whether its caller and its address may ask.
  private func isAllowed(
    _ budget: Route.Budget, _ caller: Caller, _ request: Request, _ count: RequestPolicies.Count
  ) -> Bool {
    let name: String
    switch (budget, caller.session) {
    // Sign-in counts by address: the account is not known yet, and must not be locked by others.
    case (.login, _), (.register, _): name = "anon:" + caller.address
    case (.refresh, _):
      let family = RefreshCookie.family(in: request, services.configuration)
      name = family.map { "login:" + $0 } ?? caller.principal.key
    case (_, .bearer(let id, _)?): name = "session:" + id.text
    default:
      let isOthers = caller.grant?.isHeldByOthers ?? false
      name = (isOthers ? "others:" : "") + caller.principal.key
    }
    return policies.take(
      budget, name, from: caller.address, at: services.clock.now, into: count)
  }

  /// The policy that is nearest to its end; of the address' own, where the request was refused before it was counted.
  private func sayLimit(
    _ response: inout Response, _ budget: Route.Budget, _ count: RequestPolicies.Count,
    _ request: Request
  ) {
    guard budget != .none else { return }
    if !count.isByKind {
      let address = services.configuration.trustedProxies.client(of: request)
      _ = policies.take(
        budget, "anon:" + address, from: address, at: services.clock.now, isCounted: false,
        into: count)
    }
    guard let verdict = count.verdict else { return }
    response.headers.append((name: "RateLimit-Policy", value: verdict.policy))
    response.headers.append((name: "RateLimit", value: verdict.state))
  }

  private func isAllowed(origin: String) -> Bool {
    services.configuration.corsOrigins.contains(origin)
      || origin == services.configuration.publicURL
  }

  private func preflight(_ request: Request, _ routes: [Route]) -> Response {
    guard let origin = request.header("origin"), isAllowed(origin: origin) else {
      return Response(status: 403)
    }
    let methods = Set(routes.map(\.method)).sorted().joined(separator: ", ")
    return Response(
      status: 204,
      headers: [
        (name: "Access-Control-Allow-Methods", value: methods),
        (
          name: "Access-Control-Allow-Headers",
          value:
            "Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID, Waypost-Conversation, X-Waypost-Learn"
        ), (name: "Access-Control-Max-Age", value: "600"),
      ])
  }

  /// Headers of every answer (specification core, 7).
  private func decorate(_ response: inout Response, _ request: Request, _ requestID: String) {
    response.addHeader("X-Request-Id", requestID)
    response.addSafetyHeaders(isSecure: services.configuration.isSecure)
    nameResource(&response, request)
    response.addHeader("Vary", "Origin")
    if let origin = request.header("origin"), isAllowed(origin: origin) {
      response.addHeader("Access-Control-Allow-Origin", origin)
      response.addHeader("Access-Control-Allow-Credentials", "true")
      response.addHeader(
        "Access-Control-Expose-Headers",
        "Idempotent-Replayed, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id")
    }
  }

  /// Says where a program finds out how to be let in (RFC 9728 section 5.1), and what it would ask for here, so that
  /// it need not ask for everything.
  private func nameResource(_ response: inout Response, _ request: Request) {
    guard let challenge = response.header("WWW-Authenticate"), challenge.hasPrefix("Bearer") else {
      return
    }
    let part = request.path == AuthorizationServer.toolsPart ? request.path : ""
    let address = services.configuration.publicURL + "/.well-known/oauth-protected-resource" + part
    var facts = ["resource_metadata=\"\(address)\""]
    if response.status == 401, let route = Router.fitting(request, matches(request))?.0 {
      let scopes = GrantRules.needed(route.method, route.path).intersection(Scope.ofPeople)
      let words = scopes.map(\.rawValue).sorted().joined(separator: " ")
      if !words.isEmpty { facts.append("scope=\"\(words)\"") }
    }
    let separator = challenge == "Bearer" ? " " : ", "
    response.headers.removeAll { $0.name == "WWW-Authenticate" }
    response.addHeader("WWW-Authenticate", challenge + separator + facts.joined(separator: ", "))
  }
}
