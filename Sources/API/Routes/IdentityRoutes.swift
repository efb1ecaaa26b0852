internal import Cryptography
internal import HTTPServer
internal import Identity
internal import Primitives

/// Accounts and logins.
struct IdentityRoutes: Sendable {
  let services: Services

  /// Kept is an HMAC of the body: a plain hash would let the record's reader guess e-mail and password.
  func proof(_ context: Context, _: Void, _ body: JSON) -> KeyScope {
    let proof = Digest.hmac(key: services.keys.derived(for: "register"), body.canonicalBytes)
    return KeyScope(
      principal: context.principal, body: ["proof": .string(BytesText.base64url(proof))])
  }

  private static func form(_ body: JSON) -> Registration {
    Registration(
      email: body["email"]?.string ?? "", password: body["password"]?.string ?? "",
      name: body["name"]?.string)
  }

  func register(_ request: KeyedRequest<Void>) async throws -> Idempotency.Answer {
    let body = request.body
    try request.context.known(body, ["email", "password", "name"])
    if let name = body["name"], name != .null, name.string == nil {
      throw Refusal(
        .validationFailed, "The account is not valid.", fields: [.init("/name", "must be text")])
    }
    let form = IdentityRoutes.form(body)
    if services.accounts.mail != nil {
      return try await services.accounts.requestRegistration(
        form, key: request.key, services.idempotency, from: request.context.address,
        refused: request.refused)
    }
    return try await services.accounts.register(
      form, key: request.key, services.idempotency, by: request.context.author,
      refused: request.refused)
  }

  /// A new account is signed in; where an e-mail must be answered first there is none yet.
  func registered(_ context: Context, _ answer: Idempotency.Answer) async throws -> Response {
    guard answer.status == 201 else { return Response(answer) }
    if answer.isReplayed {
      return try await again(IdentityRoutes.form(try context.json()), context)
    }
    let id = (try? JSON.parse(answer.body))?["userId"]?.string.flatMap { ID<UserKind>($0) }
    guard let id, let user = try await services.accounts.user(id) else {
      throw Refusal(.tokenInvalid, "The account is gone.")
    }
    return try await signedIn(user, context, status: 201)
  }

  /// A repeated registration is a sign-in: no stored answer has tokens, and the password may have changed.
  private func again(_ form: Registration, _ context: Context) async throws -> Response {
    let user = try await services.accounts.signIn(
      email: form.email, password: form.password, from: context.address, isGuess: false)
    var response = try await signedIn(user, context, status: 201)
    response.headers.append((name: "Idempotent-Replayed", value: "true"))
    return response
  }

  func login(_ context: Context) async throws -> Response {
    let body = try context.json()
    try context.known(body, ["email", "password"])
    let user = try await services.accounts.signIn(
      email: body["email"]?.string ?? "", password: body["password"]?.string ?? "",
      from: context.address)
    return try await signedIn(user, context, status: 200)
  }

  func refresh(_ context: Context) async throws -> Response {
    guard let token = RefreshCookie.value(in: context.request, services.configuration) else {
      throw Refusal(.unauthenticated, "Sign in first.")
    }
    let (id, next) = try await services.refreshTokens.rotate(token)
    guard let user = try await services.accounts.user(id), user.frozenAt == nil else {
      throw Refusal(.tokenInvalid, "Sign in again.")
    }
    return answer(user, refresh: next, status: 200)
  }

  func logout(_ context: Context) async throws -> Response {
    if let token = RefreshCookie.value(in: context.request, services.configuration) {
      try await services.refreshTokens.end(token)
    }
    var response = Response.noContent
    response.headers.append((name: "Set-Cookie", value: cookieText("", maxAge: 0)))
    return response
  }

  func me(_ context: Context) async throws -> Response {
    let id = try context.user()
    guard let user = try await services.accounts.user(id) else {
      throw Refusal(.tokenInvalid, "The account is gone.")
    }
    return .json(view(user))
  }

  func signedIn(_ user: User, _ context: Context, status: Int) async throws -> Response {
    let client = context.request.header("user-agent") ?? ""
    let token = try await services.refreshTokens.start(
      for: user.id, client: client, proof: user.proof)
    return answer(user, refresh: token, status: status)
  }

  /// A sign-in on a page of ours: the browser gets the login's cookie and goes on to a place.
  func entered(_ user: User, _ context: Context, at place: String) async throws -> Response {
    let client = context.request.header("user-agent") ?? ""
    let token = try await services.refreshTokens.start(
      for: user.id, client: client, proof: user.proof)
    let age = RefreshTokens.idleMilliseconds / 1_000
    return Response(
      status: 303,
      headers: [
        (name: "Location", value: place),
        (name: "Set-Cookie", value: cookieText(token, maxAge: age)),
      ])
  }

  private func answer(_ user: User, refresh: String, status: Int) -> Response {
    var response = Response.json(
      [
        "user": view(user),
        "accessToken": .string(
          services.accounts.accessToken(of: user, login: RefreshTokens.login(of: refresh))),
        "tokenType": "Bearer", "expiresInSeconds": .int(Accounts.accessTokenSeconds),
      ], status: status)
    let age = RefreshTokens.idleMilliseconds / 1_000
    response.headers.append((name: "Set-Cookie", value: cookieText(refresh, maxAge: age)))
    return response
  }

  func view(_ user: User) -> JSON {
    [
      "id": .string(user.id.text), "email": .string(user.email), "name": .optional(user.name),
      "role": .string(user.role.rawValue), "providerId": .optional(user.providerID),
      "verified": .bool(user.verifiedAt != nil), "createdAt": .string(user.createdAt.rfc3339),
      "conversationDays": .number(user.conversationDays),
    ]
  }

  func cookieText(_ value: String, maxAge: Int64) -> String {
    let secure = services.configuration.isSecure ? "; Secure" : ""
    return
      "\(RefreshCookie.name(services.configuration))=\(value); Path=/; HttpOnly; SameSite=Strict; Max-Age=\(maxAge)\(secure)"
  }
}

/// The cookie that carries a login's refresh token.
enum RefreshCookie {
  /// On plain loopback the cookie has no prefix and is not Secure; everywhere else it is both.
  static func name(_ configuration: Services.Configuration) -> String {
    configuration.isSecure ? "__Host-waypost_refresh" : "waypost_refresh"
  }

  /// Its value in a request, or nil.
  static func value(in request: Request, _ configuration: Services.Configuration) -> String? {
    for header in request.headers where header.name == "cookie" {
      for pair in header.value.split(separator: ";") {
        let sides = pair.drop { $0 == " " }.split(separator: "=", maxSplits: 1)
        if sides.count == 2, sides[0] == name(configuration) { return String(sides[1]) }
      }
    }
    return nil
  }

  /// What the limits count a login by: the part of the token that its rotations share (16 bytes in base64url).
  static func family(in request: Request, _ configuration: Services.Configuration) -> String? {
    value(in: request, configuration).map { String($0.prefix(21)) }
  }
}
