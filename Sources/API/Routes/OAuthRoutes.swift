internal import Authorization
internal import HTTPServer
internal import Identity
internal import Primitives

/// The OAuth 2.1 authorization server: its descriptions, the page where a person decides, tokens.
struct OAuthRoutes: Sendable {
  let services: Services

  var routes: [Route] {
    [
      Route(
        "GET", "/.well-known/oauth-authorization-server", "the authorization server",
        budget: .none, handler: metadata),
      Route(
        "GET", "/.well-known/oauth-protected-resource", "what tokens are for", budget: .none,
        handler: resource),
      Route(
        "GET", "/.well-known/oauth-protected-resource/mcp", "what tokens for MCP are for",
        budget: .none, handler: toolsResource),
      Route("GET", Page.stylePath, "the style of the pages", budget: .none, handler: style),
      Route(
        "GET", "/oauth/authorize", "a program asks a person; a page", handler: authorize),
      Route(
        "POST", "/oauth/authorize", "sign-in and decision on that page", budget: .login,
        handler: decide),
      Route("POST", "/oauth/token", "tokens for a code or a refresh token", handler: token),
      Route("POST", "/oauth/revoke", "end a token", handler: revoke),
    ]
  }

  private var server: AuthorizationServer { services.authorization }

  // MARK: Descriptions

  func metadata(_ context: Context) async throws -> Response { described(server.metadata) }

  func resource(_ context: Context) async throws -> Response {
    described(server.resourceMetadata(part: ""))
  }

  func toolsResource(_ context: Context) async throws -> Response {
    described(server.resourceMetadata(part: AuthorizationServer.toolsPart))
  }

  private func described(_ value: JSON) -> Response {
    var response = Response.json(value)
    response.headers.append((name: "Cache-Control", value: "public, max-age=300"))
    return response
  }

  func style(_ context: Context) async throws -> Response {
    Response(
      status: 200,
      headers: [
        (name: "Content-Type", value: "text/css; charset=utf-8"),
        (name: "Cache-Control", value: "public, max-age=300"),
      ], body: .bytes(Array(Page.style.utf8)))
  }

  // MARK: The page

  func authorize(_ context: Context) async throws -> Response {
    // Our own mark of a second look is not the program's.
    let form = OAuthForm(context.request.query.filter { $0.name != "again" })
    let request: AuthorizationRequest
    do {
      request = try await server.request(form, from: context.address)
    } catch let fault as AuthorizationFault {
      return answer(fault, to: form, isForm: false)
    }
    let browser = BrowserForm(services, context.request)
    if let person = try await BrowserLogin.read(context.request, services) {
      return browser.mark(
        OAuthPages.consent(
          request, email: person.user.email,
          sealed: browser.seal(["query": .string(form.encoded)], for: consent(of: person.login))))
    }
    if BrowserLogin.needsSecondLook(context.request) {
      return Page.again(OAuthForm([("again", "1")]).added(to: "/oauth/authorize?" + form.encoded))
    }
    return browser.mark(signIn(request, form.encoded, browser))
  }

  private func signIn(
    _ request: AuthorizationRequest, _ query: String, _ browser: BrowserForm,
    warning: String? = nil, status: Int = 200
  ) -> Response {
    let sealed = browser.seal(["query": .string(query)], for: "signin")
    let elsewhere = OpenIDRoutes.start(returningTo: "/oauth/authorize?" + query)
    return OAuthPages.signIn(
      request, sealed: sealed, openID: services.openID == nil ? nil : elsewhere,
      warning: warning, status: status)
  }

  func decide(_ context: Context) async throws -> Response {
    try BrowserForm.requireOwnPage(context.request, services.configuration)
    let browser = BrowserForm(services, context.request)
    do {
      let form = try BrowserForm.parameters(context.request)
      if try form.one("step") == "signin" { return try await signIn(form, browser, context) }
      return try await decide(form, browser, context)
    } catch let error as OAuthError {
      return OAuthPages.fault(error)
    }
  }

  private func signIn(
    _ form: OAuthForm, _ browser: BrowserForm, _ context: Context
  ) async throws -> Response {
    let query = try browser.open(try form.one("request"), for: "signin")["query"]?.string ?? ""
    let user: User
    do {
      user = try await services.accounts.signIn(
        email: try form.one("email") ?? "", password: try form.one("password") ?? "",
        from: context.address)
    } catch let refusal as Refusal
      where [.unauthenticated, .rateLimited, .forbidden].contains(refusal.code)
    {
      let asked = OAuthRoutes.form(of: query)
      do {
        let request = try await server.request(asked, from: context.address)
        return signIn(
          request, query, browser, warning: refusal.detail, status: refusal.code.status)
      } catch let fault as AuthorizationFault {
        return answer(fault, to: asked, isForm: true)
      }
    }
    // The decision is asked on a page of its own: a reload must not send the password again.
    return try await IdentityRoutes(services: services).entered(
      user, context, at: "/oauth/authorize?" + query)
  }

  private func decide(
    _ form: OAuthForm, _ browser: BrowserForm, _ context: Context
  ) async throws -> Response {
    guard let person = try await BrowserLogin.read(context.request, services) else {
      throw Refusal(.unauthenticated, "Sign in first.")
    }
    let kept = try browser.open(try form.one("request"), for: consent(of: person.login))
    let asked = OAuthRoutes.form(of: kept["query"]?.string ?? "")
    let request: AuthorizationRequest
    do {
      request = try await server.request(asked, from: context.address)
    } catch let fault as AuthorizationFault {
      return answer(fault, to: asked, isForm: true)
    }
    guard try form.one("decision") == "allow" else {
      let error = OAuthError(.accessDenied, "The person said no.")
      return OAuthPages.leave(
        to: server.refusal(error, to: request.redirectURI, state: request.state))
    }
    let author = AuditLog.Author(
      .user(person.user.id, person.user.role, providerID: person.user.providerID),
      requestID: context.requestID)
    return OAuthPages.leave(
      to: try await server.allow(request, by: person.user.id, in: person.login, author: author))
  }

  private func consent(of login: ID<LoginKind>) -> String { "consent:" + login.text }

  private static func form(of query: String) -> OAuthForm {
    OAuthForm(Request(method: "GET", target: "/?" + query).query)
  }

  /// - Parameter isForm: Whether a form is answered, which may lead to pages of ours alone.
  private func answer(
    _ fault: AuthorizationFault, to form: OAuthForm, isForm: Bool
  ) -> Response {
    switch fault {
    case .shown(let error): return OAuthPages.fault(error)
    case .returned(let error, let redirect, let state):
      let address = server.refusal(error, to: redirect, state: state)
      if OAuthClient.isDocument((try? form.one("client_id")) ?? "") {
        return OAuthPages.fault(error, returningTo: address)
      }
      return isForm ? OAuthPages.leave(to: address) : OAuthRoutes.redirect(address)
    }
  }

  /// 303, so that no browser sends a form on to the client (RFC 9700 section 4.12).
  static func redirect(_ address: String) -> Response {
    Response(status: 303, headers: [(name: "Location", value: address)])
  }

  // MARK: Tokens

  func token(_ context: Context) async throws -> Response {
    try await answered {
      let accounts = services.accounts
      let form = try BrowserForm.parameters(context.request)
      let proof = try ClientProof(authorization: context.request.header("authorization"))
      return .json(
        try await server.token(form, proof: proof) { accounts.loginsEnded($0) })
    }
  }

  func revoke(_ context: Context) async throws -> Response {
    try await answered {
      let accounts = services.accounts
      let form = try BrowserForm.parameters(context.request)
      let proof = try ClientProof(authorization: context.request.header("authorization"))
      try await server.revoke(form, proof: proof) { accounts.loginsEnded($0) }
      return Response(status: 200)
    }
  }

  /// Refusals in the words of OAuth (RFC 6749 section 5.2); what else fails is the router's to tell.
  private func answered(
    _ body: () async throws -> Response
  ) async throws -> Response {
    do {
      return try await body()
    } catch let error as OAuthError {
      var response = Response.json(
        ["error": .string(error.code.rawValue), "error_description": .string(error.detail)],
        status: error.status)
      if error.code == .invalidClient {
        response.headers.append((name: "WWW-Authenticate", value: "Basic realm=\"oauth\""))
      }
      if let seconds = error.retryAfterSeconds {
        response.headers.append((name: "Retry-After", value: String(seconds)))
      }
      return response
    }
  }
}
