internal import HTTPServer
internal import Identity
internal import Primitives

/// Who sits at a browser that opens a page of ours.
struct BrowserLogin: Sendable {
  /// The person.
  let user: User
  /// The login, which ends the page's forms with it.
  let login: ID<LoginKind>

  /// From the refresh token's cookie, which is not used up; nil where nobody is signed in, or may be.
  static func read(_ request: Request, _ services: Services) async throws -> BrowserLogin? {
    guard let token = RefreshCookie.value(in: request, services.configuration),
      let owner = try await services.refreshTokens.owner(of: token),
      let user = try await services.accounts.user(owner.user), user.frozenAt == nil
    else { return nil }
    return BrowserLogin(user: user, login: owner.login)
  }

  /// Whether the browser came by another site's link, and so without the login's cookie: opened once more from a page
  /// of ours, with `again` in the query, the same address gets it.
  static func needsSecondLook(_ request: Request) -> Bool {
    guard let site = request.header("sec-fetch-site") else { return false }
    return ["cross-site", "same-site"].contains(site) && request.query("again") == nil
  }
}
