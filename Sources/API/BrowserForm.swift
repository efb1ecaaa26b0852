internal import Authorization
internal import Cryptography
internal import HTTPServer
internal import Identity
internal import Primitives

/// Forms on pages of ours: each belongs to the browser that it was shown to, and to what was shown.
struct BrowserForm: Sendable {
  /// How long a form may be looked at, in milliseconds.
  static let lifeMilliseconds: Int64 = 600_000

  private let services: Services
  private let sealer: Sealer
  /// What the browser is known by: 128 random bits in a cookie that no other site's request brings along.
  let mark: String
  private let isNew: Bool

  init(_ services: Services, _ request: Request) {
    self.services = services
    sealer = Sealer(key: services.keys.derived(for: "browser-form"))
    let known = Cookie.value(BrowserForm.cookieName(services), in: request)
    isNew = known?.utf8.count != 22
    mark =
      isNew ? BytesText.base64url(services.random.bytes(16)) : known ?? ""
  }

  private static func cookieName(_ services: Services) -> String {
    Cookie.name("waypost_form", services.configuration)
  }

  /// Adds the cookie where the browser has none yet.
  func mark(_ response: Response) -> Response {
    guard isNew else { return response }
    var response = response
    response.headers.append(
      (
        name: "Set-Cookie",
        value: Cookie.text(
          "waypost_form", mark, sameSite: "Strict", maxAge: 86_400, services.configuration)
      ))
    return response
  }

  /// What a form carries, sealed for this browser and this purpose.
  func seal(_ value: JSONObject, for purpose: String) -> String {
    var value = value
    value["until"] = .int((services.clock.now + BrowserForm.lifeMilliseconds).milliseconds)
    return BytesText.base64url(
      sealer.seal(
        JSON.object(value).bytes, label: purpose + ":" + mark, nonce: services.random.bytes(12)))
  }

  /// What a form of ours carried.
  /// - Throws: `Refusal` `forbidden` where it is of another browser, another purpose, or too old.
  func open(_ text: String?, for purpose: String) throws(Refusal) -> JSON {
    guard !isNew, let bytes = text.flatMap({ BytesText.bytes(base64url: $0) }),
      let plain = sealer.open(bytes, label: purpose + ":" + mark),
      let value = try? JSON.parse(plain), let until = value["until"]?.int,
      services.clock.now.milliseconds < until
    else {
      throw Refusal(.forbidden, "This form is not of this browser, or too old; begin again.")
    }
    return value
  }

  /// Refuses what another site's page has sent, where the browser says so.
  /// - Throws: `Refusal` `origin_not_allowed`.
  static func requireOwnPage(_ request: Request, _ configuration: Services.Configuration)
    throws(Refusal)
  {
    let origin = request.header("origin") ?? configuration.publicURL
    let site = request.header("sec-fetch-site") ?? "same-origin"
    guard origin == configuration.publicURL, site == "same-origin" else {
      throw Refusal(.originNotAllowed, "Forms are taken from our own pages only.")
    }
  }

  /// The parameters of a form's body.
  /// - Throws: `OAuthError` `invalid_request`.
  static func parameters(_ request: Request) throws(OAuthError) -> OAuthForm {
    let type = request.header("content-type")?.lowercased() ?? ""
    guard type.hasPrefix("application/x-www-form-urlencoded") else {
      throw OAuthError(.invalidRequest, "Send application/x-www-form-urlencoded.")
    }
    // A query has the same form.
    let body = Request(
      method: "GET", target: "/?" + String(decoding: request.body, as: UTF8.self))
    return OAuthForm(body.query)
  }
}

/// Cookies beside the refresh token's.
enum Cookie {
  /// On plain loopback a cookie has no prefix and is not Secure; everywhere else it is both.
  static func name(_ name: String, _ configuration: Services.Configuration) -> String {
    configuration.isSecure ? "__Host-" + name : name
  }

  static func value(_ name: String, in request: Request) -> String? {
    for header in request.headers where header.name == "cookie" {
      for pair in header.value.split(separator: ";") {
        let sides = pair.drop { $0 == " " }.split(separator: "=", maxSplits: 1)
        if sides.count == 2, sides[0] == name { return String(sides[1]) }
      }
    }
    return nil
  }

  static func text(
    _ name: String, _ value: String, sameSite: String, maxAge: Int64,
    _ configuration: Services.Configuration
  ) -> String {
    let secure = configuration.isSecure ? "; Secure" : ""
    return Cookie.name(name, configuration)
      + "=\(value); Path=/; HttpOnly; SameSite=\(sameSite); Max-Age=\(maxAge)\(secure)"
  }
}
