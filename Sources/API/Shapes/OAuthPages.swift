internal import Authorization
internal import HTTPServer
internal import Identity
internal import Primitives

/// The pages on which a person lets a program act.
enum OAuthPages {
  /// Back to a program with what came of its request. The code stands in the page's text and not in its address, and
  /// the program's site is not told where the browser comes from.
  static func leave(to address: String) -> Response {
    Page.leave(to: address, "Go back to \(Page.escaped(place(address)))")
  }

  static func fault(_ error: OAuthError) -> Response {
    if let seconds = error.retryAfterSeconds {
      var response = Page.response(
        "This cannot be answered now", "<p>\(Page.escaped(error.detail))</p>", status: error.status)
      response.headers.append((name: "Retry-After", value: String(seconds)))
      return response
    }
    return Page.response(
      "This request cannot be answered",
      """
      <p>\(Page.escaped(error.detail))</p>
      <p>The program that sent you here has made a mistake (\(error.code.rawValue)). You can close
      this page.</p>
      """, status: error.status)
  }

  /// A mistake of a program that describes itself: anybody can make one up whose address is anywhere, so nobody is
  /// sent there unasked (RFC 9700 section 4.11.2).
  static func fault(_ error: OAuthError, returningTo address: String) -> Response {
    Page.response(
      "This request cannot be answered",
      """
      <p>\(Page.escaped(error.detail))</p>
      <p>A program that nobody here has checked has sent you and made a mistake
      (\(error.code.rawValue)). You can close this page, or
      <a rel="noreferrer" href="\(Page.escaped(address))">go back to
      <span class="address">\(Page.escaped(place(address)))</span></a>.</p>
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
      <p>Afterwards you go to <span class="address">\(Page.escaped(place(request.redirectURI)))</span>.
      You can take this back under your account at any time.</p>
      <form method="post" action="/oauth/authorize">
      \(Page.hidden("step", "decision"))
      \(Page.hidden("request", sealed))
      <button type="submit" name="decision" value="allow">Allow</button>
      <button type="submit" name="decision" value="deny">Do not allow</button>
      </form>
      """)
  }

  /// A program that describes itself can call itself anything: what is sure is where its document is.
  private static func origin(_ client: OAuthClient) -> String {
    guard client.isDescribedByItself, let host = WebAddress(client.id)?.host else { return "" }
    return """
      <p class="warning">Nobody here has checked this program. It is described at
      <strong class="address">\(Page.escaped(host))</strong>.</p>
      """
  }

  /// What stands behind an address, for people.
  private static func place(_ address: String) -> String {
    if let app = AppAddress(address) { return "the app \(app.scheme) on this device" }
    guard let web = WebAddress(address) else { return "the program" }
    return web.isLoopback ? "a program on this computer" : web.host
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
