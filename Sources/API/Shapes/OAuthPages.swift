internal import Authorization
internal import HTTPServer
internal import Identity
internal import Primitives

/// The pages on which a person lets a program act.
enum OAuthPages {
  static func fault(_ error: OAuthError) -> Response {
    Page.response(
      "This request cannot be answered",
      """
      <p>\(Page.escaped(error.detail))</p>
      <p>The program that sent you here has made a mistake (\(error.code.rawValue)). You can close
      this page.</p>
      """, status: error.status)
  }

  /// - Parameter openID: Where a sign-in through the other service begins, where there is one.
  static func signIn(
    _ request: AuthorizationRequest, sealed: String, openID: String?, warning: String?, status: Int
  ) -> Response {
    let other = openID.map {
      "<p><a href=\"\(Page.escaped($0))\">Sign in with your organisation's account</a></p>"
    }
    return Page.response(
      "Sign in",
      """
      <p>\(Page.escaped(request.client.name)) wants to use Waypost for you. Sign in to decide.</p>
      \(Page.warning(warning))
      <form method="post" action="/oauth/authorize">
      \(Page.hidden("step", "signin"))
      \(Page.hidden("request", sealed))
      <label>E-mail
      <input type="email" name="email" autocomplete="username" required></label>
      <label>Password
      <input type="password" name="password" autocomplete="current-password" required></label>
      <button type="submit">Sign in</button>
      </form>
      \(other ?? "")
      """, status: status)
  }

  static func consent(
    _ request: AuthorizationRequest, email: String, sealed: String
  ) -> Response {
    let items = request.scopes.sorted { $0.rawValue < $1.rawValue }.map { scope in
      "<li>\(Page.escaped(words(scope)))</li>"
    }
    return Page.response(
      "Let \(request.client.name) act for you?",
      """
      <p>You are signed in as \(Page.escaped(email)).</p>
      \(origin(request.client))
      <p>It will be able to:</p>
      <ul>
      \(items.joined(separator: "\n"))
      </ul>
      <p>Afterwards you go to <span class="address">\(Page.escaped(place(request)))</span>.
      You can take this back under your account at any time.</p>
      <form method="post" action="/oauth/authorize">
      \(Page.hidden("step", "decision"))
      \(Page.hidden("request", sealed))
      <button type="submit" name="decision" value="allow">Allow</button>
      <button type="submit" name="decision" value="deny">Do not allow</button>
      </form>
      """, formTarget: WebAddress(request.redirectURI)?.origin)
  }

  /// A program that describes itself can call itself anything: what is sure is where its document is.
  private static func origin(_ client: OAuthClient) -> String {
    guard client.isDescribedByItself, let host = WebAddress(client.id)?.host else { return "" }
    return """
      <p class="warning">Nobody here has checked this program. It is described at
      <strong class="address">\(Page.escaped(host))</strong>.</p>
      """
  }

  private static func place(_ request: AuthorizationRequest) -> String {
    guard let address = WebAddress(request.redirectURI) else { return request.redirectURI }
    return address.isLoopback ? "a program on this computer" : address.host
  }

  private static func words(_ scope: Scope) -> String {
    switch scope {
    case .discoveryRead: "search and compare services"
    case .trialsStart: "propose trials and start them"
    case .sessionsRead: "see your sessions and what they cost"
    case .sessionsEnd: "pause and end your sessions"
    default: scope.rawValue
    }
  }
}
