internal import Authorization
internal import HTTPServer
internal import Identity
internal import Primitives
internal import SQLite

/// A fresh sign-in through another service, in place of a password: for accounts that have none.
struct ReauthRoutes: Sendable {
  let services: Services

  var routes: [Route] {
    [
      Route(
        "POST", "/v1/me/reauth", "sign in again through the other service", budget: .login,
        handler: begin)
    ]
  }

  /// Where the browser goes to sign in again. It comes back as from any sign-in, to `returnTo`; the login that asked
  /// may then do once, within five minutes, what it asked for.
  func begin(_ context: Context) async throws -> Response {
    let user = try context.user()
    let body = try context.json()
    try context.known(body, ["purpose", "returnTo"])
    let word = body["purpose"]?.string
    guard let purpose = word.flatMap({ FreshPurpose(rawValue: $0) }) else {
      throw Refusal(
        .validationFailed, "Say what it is for.",
        fields: [.init("/purpose", "must be erase or password")])
    }
    if let place = body["returnTo"], place.string == nil {
      throw Refusal(
        .validationFailed, "The place to come back to is not valid.",
        fields: [.init("/returnTo", "must be a path of this server")])
    }
    let place = try OpenIDRoutes.place(body["returnTo"]?.string)
    guard let login = context.login, let client = services.openID,
      try await services.isLinked(user)
    else {
      throw Refusal(
        .notFound, "This account is connected with no other service to sign in through.")
    }
    let attempt = try await client.begin(
      returningTo: place, again: SignInAgain(user: user, login: login, purpose: purpose))
    var response = Response.json([
      "address": .string(attempt.address),
      "expiresInSeconds": .int(OpenIDClient.attemptMilliseconds / 1_000),
    ])
    response.headers.append(
      OpenIDRoutes(services: services).cookie(
        attempt.cookie, maxAge: OpenIDClient.attemptMilliseconds / 1_000))
    return response
  }
}

extension Services {
  /// A fresh proof of the person, by its password or by a sign-in through the other service just now.
  /// - Throws: `Refusal` `reauth_required` with the ways that are open to this account.
  func fresh(
    _ password: String?, for purpose: FreshPurpose, _ context: Context
  ) async throws -> FreshProof {
    let user = try context.user()
    return try await telling(purpose, context) {
      try await accounts.requireFresh(
        password, for: purpose, of: user, login: context.login, from: context.address)
    }
  }

  /// Adds to a refusal `reauth_required` the ways that are open to the caller.
  func telling<T>(
    _ purpose: FreshPurpose, _ context: Context, _ work: () async throws -> T
  ) async throws -> T {
    do {
      return try await work()
    } catch let refusal as Refusal where refusal.code == .reauthRequired {
      let methods = try await methods(of: try context.user(), context)
      throw Refusal(
        .reauthRequired, Services.words(methods),
        facts: ["methods": .strings(methods), "purpose": .string(purpose.rawValue)])
    }
  }

  /// `password`: with the request; `oidc`: `POST /v1/me/reauth`; `reset`: a first password by e-mail.
  private func methods(of user: ID<UserKind>, _ context: Context) async throws -> [String] {
    let hasPassword = try await accounts.hasPassword(user)
    var methods = hasPassword ? ["password"] : []
    if context.login != nil, try await isLinked(user) { methods.append("oidc") }
    if !hasPassword, accounts.mail != nil { methods.append("reset") }
    return methods
  }

  private static func words(_ methods: [String]) -> String {
    if methods.contains("password") {
      return methods.contains("oidc")
        ? "Send the account's password with this request, or sign in again: POST /v1/me/reauth."
        : "Send the account's password with this request."
    }
    return methods.contains("oidc")
      ? "Sign in again through the other service first: POST /v1/me/reauth."
      : "This account has no password: set one first, by a reset by e-mail."
  }

  /// Whether an account is connected with the service that people sign in through.
  func isLinked(_ user: ID<UserKind>) async throws -> Bool {
    guard let source = openID?.source else { return false }
    return try await record.read { connection in
      try ExternalIdentityStore.identities(of: user, on: connection).contains {
        $0.identity.source == source && $0.identity.tenant.isEmpty
      }
    }
  }
}
