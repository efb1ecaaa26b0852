internal import Authorization
internal import HTTPServer
internal import Identity
internal import Primitives
internal import SQLite

/// Sign-in through another service (OpenID Connect), where the operator has named one.
struct OpenIDRoutes: Sendable {
  let services: Services

  static let callbackPath = "/v1/auth/oidc/callback"

  var routes: [Route] {
    [
      Route(
        "GET", "/v1/auth/oidc/start", "sign in through another service", budget: .login,
        handler: start),
      Route(
        "GET", OpenIDRoutes.callbackPath, "come back from it", budget: .login, handler: callback),
      Route(
        "POST", "/v1/auth/oidc/link", "connect it with an account, by its password",
        budget: .login, handler: link),
    ]
  }

  /// Where a sign-in begins that ends at a page of ours.
  static func start(returningTo address: String) -> String {
    OAuthForm([("returnTo", address)]).added(to: "/v1/auth/oidc/start")
  }

  private func client() throws(Refusal) -> OpenIDClient {
    guard let client = services.openID else {
      throw Refusal(.notFound, "There is no other service to sign in through.")
    }
    return client
  }

  func start(_ context: Context) async throws -> Response {
    let client = try client()
    let attempt = try await client.begin(
      returningTo: try OpenIDRoutes.place(context.request.query("returnTo")))
    var response = OAuthRoutes.redirect(attempt.address)
    response.headers.append(
      cookie(attempt.cookie, maxAge: OpenIDClient.attemptMilliseconds / 1_000))
    return response
  }

  /// A path of our own, so that nobody can make a sign-in here end somewhere else.
  static func place(_ text: String?) throws(Refusal) -> String {
    let place = text ?? "/"
    let isOwn =
      place.hasPrefix("/") && !place.hasPrefix("//") && place.utf8.count <= 2_000
      && place.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }
    guard isOwn else {
      throw Refusal(
        .validationFailed, "A query parameter is not valid.",
        fields: [.init("/returnTo", "must be a path of this server")])
    }
    return place
  }

  /// It comes from another site's page, so it brings no cookie but the one that allows that.
  func cookie(_ value: String, maxAge: Int64) -> (name: String, value: String) {
    (
      name: "Set-Cookie",
      value: Cookie.text(
        "waypost_oidc", value, sameSite: "Lax", maxAge: maxAge, services.configuration)
    )
  }

  func callback(_ context: Context) async throws -> Response {
    let client = try client()
    let name = Cookie.name("waypost_oidc", services.configuration)
    let (person, place, again) = try await client.finish(
      OAuthForm(context.request.query), cookie: Cookie.value(name, in: context.request))
    var response =
      if let again {
        try await signedIn(person, again, context, at: place)
      } else {
        try await signIn(person, context, at: place)
      }
    response.headers.append(cookie("", maxAge: 0))
    return response
  }

  /// The person of a login has shown again who it is; the browser stays signed in as it was.
  private func signedIn(
    _ person: OpenIDPerson, _ again: SignInAgain, _ context: Context, at place: String
  ) async throws -> Response {
    let now = services.clock.now
    try await services.record.write { connection in
      let user = try ExternalIdentityStore.user(of: person.identity, on: connection)
      guard user == again.user else {
        throw Refusal(.forbidden, "You have signed in there as somebody else; begin again.")
      }
      try ExternalIdentityStore.used(person.identity, at: now, on: connection)
      try services.accounts.signedInAgain(
        again.user, login: again.login, for: again.purpose, at: person.signedInAt ?? now,
        by: context.author, on: connection)
    }
    return OAuthRoutes.redirect(place)
  }

  private func signIn(
    _ person: OpenIDPerson, _ context: Context, at place: String
  ) async throws -> Response {
    let identity = person.identity
    let now = services.clock.now
    let known = try await services.record.writing(as: .essential).write { connection in
      try ExternalIdentityStore.used(identity, at: now, on: connection)
      return try ExternalIdentityStore.user(of: identity, on: connection)
    }
    if let known { return try await enter(known, context, at: place) }
    guard let email = person.verifiedEmail else {
      throw Refusal(.forbidden, "The other service has not verified your e-mail.")
    }
    if try await services.accounts.user(email: email) != nil {
      return ask(person, email: email, place: place, context)
    }
    let user: User
    do {
      user = try await services.accounts.registerExternal(
        email: email, name: person.name, by: context.author
      ) { user, connection in
        let linked = try ExternalIdentityStore.link(
          identity, to: user.id, by: context.author, at: now, on: connection)
        guard linked == user.id else {
          throw Refusal(.emailTaken, "There is an account with this identity already.")
        }
      }
    } catch let refusal as Refusal where refusal.code == .emailTaken {
      // Somebody was faster; perhaps the same browser, twice.
      return ask(person, email: email, place: place, context)
    }
    return try await enter(user.id, context, at: place)
  }

  private func enter(
    _ id: ID<UserKind>, _ context: Context, at place: String
  ) async throws -> Response {
    guard let user = try await services.accounts.user(id), user.frozenAt == nil else {
      throw Refusal(.forbidden, "This account may not sign in; ask the operator.")
    }
    return try await IdentityRoutes(services: services).entered(user, context, at: place)
  }

  // MARK: Linking

  /// An account of the same e-mail is only joined by whoever can sign in to it: the other service's word is not
  /// enough to take it over.
  private func ask(
    _ person: OpenIDPerson, email: String, place: String, _ context: Context
  ) -> Response {
    let browser = BrowserForm(services, context.request)
    let sealed = browser.seal(
      [
        "source": .string(person.identity.source), "id": .string(person.identity.externalID),
        "email": .string(email), "place": .string(place),
      ], for: "link")
    return browser.mark(page(email: email, sealed: sealed))
  }

  private func page(
    email: String, sealed: String, warning: String? = nil, status: Int = 200
  ) -> Response {
    Page.response(
      "Connect your account",
      """
      <p>There is an account of \(Page.escaped(email)) already. Enter its password once to sign in
      through the other service from now on.</p>
      \(Page.warning(warning))
      <form method="post" action="/v1/auth/oidc/link">
      \(Page.hidden("request", sealed))
      <label>Password
      <input type="password" name="password" autocomplete="current-password" required></label>
      <button type="submit">Connect</button>
      </form>
      """, status: status)
  }

  func link(_ context: Context) async throws -> Response {
    _ = try client()
    try BrowserForm.requireOwnPage(context.request, services.configuration)
    let form: (sealed: String?, password: String?)
    do {
      let parameters = try BrowserForm.parameters(context.request)
      form = (try parameters.one("request"), try parameters.one("password"))
    } catch {
      throw Refusal(.validationFailed, error.detail)
    }
    let kept = try BrowserForm(services, context.request).open(form.sealed, for: "link")
    let email = kept["email"]?.string ?? ""
    let user: User
    do {
      user = try await services.accounts.signIn(
        email: email, password: form.password ?? "", from: context.address)
    } catch let refusal as Refusal where refusal.code == .unauthenticated {
      return page(
        email: email, sealed: form.sealed ?? "", warning: "The password is not right.", status: 401)
    }
    let identity = ExternalIdentity(
      source: kept["source"]?.string ?? "", externalID: kept["id"]?.string ?? "")
    let now = services.clock.now
    let linked = try await services.record.write { connection in
      try ExternalIdentityStore.link(
        identity, to: user.id, by: context.author, at: now, on: connection)
    }
    return try await enter(linked, context, at: kept["place"]?.string ?? "/")
  }
}
