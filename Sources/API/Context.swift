package import HTTPServer
package import Identity
internal import Primitives
internal import Sessions

/// One request on its way through a route.
package struct Context: Sendable {
  package let request: Request
  /// The values of the path's `{names}`.
  package let parameters: [String: String]
  package let principal: Principal
  package let requestID: String
  /// The login of the access token that was sent, where it has one.
  var login: ID<LoginKind>?
  /// The bounds of the API key that was sent, or of a token made from one.
  var grant: Grant?
  /// The session whose token was sent, on the routes that take one.
  let session: SessionActor?
  /// What the caller is counted by where nobody is signed in.
  let address: String
  /// Where a route notes what else it counts: the answer says the policy that is nearest to its end.
  let count: RequestPolicies.Count

  /// A parameter of the path. The router only calls a route whose pattern has it.
  func parameter(_ name: String) -> String { parameters[name] ?? "" }

  /// The body as a JSON object; an empty body is an empty object. The router has checked its size.
  /// - Throws: `Refusal` `malformed_json`, `unsupported_media_type`.
  func json() throws(Refusal) -> JSON { try request.json() }

  /// Refuses body fields that the route does not know.
  func known(_ body: JSON, _ fields: Set<String>) throws(Refusal) {
    let unknown = (body.object?.keys ?? []).filter { !fields.contains($0) }
    guard unknown.isEmpty else {
      throw Refusal(
        .validationFailed, "The body has fields that are not known.",
        fields: unknown.map { .init("/" + $0, "is not known") })
    }
  }

  /// Who is answerable for what this request does, as the audit log names it.
  var author: AuditLog.Author { AuditLog.Author(principal, requestID: requestID) }

  /// The signed-in person.
  /// - Throws: `Refusal` `unauthenticated`, or `forbidden` for a program's key.
  func user() throws(Refusal) -> ID<UserKind> {
    if let id = principal.userID { return id }
    if case .providerKey = principal {
      throw Refusal(.forbidden, "This is for people, not for API keys.")
    }
    throw Refusal(.unauthenticated, "Sign in first.")
  }

  /// The provider that the caller acts for.
  func provider() throws(Refusal) -> String {
    if let id = principal.providerID { return id }
    if case .anonymous = principal { throw Refusal(.unauthenticated, "Send a provider's token.") }
    throw Refusal(.forbidden, "This is for providers.")
  }

  func admin() throws(Refusal) {
    if principal.isAdmin { return }
    if case .anonymous = principal { throw Refusal(.unauthenticated, "Sign in first.") }
    throw Refusal(.forbidden, "This is for admins.")
  }

  /// The row of `?before=ID` that a page of a list comes after, or nil for the first page.
  func before<Kind>() throws(Refusal) -> ID<Kind>? {
    guard let text = request.query("before") else { return nil }
    guard let id = ID<Kind>(text) else {
      throw Refusal(.cursorInvalid, "before must be the next of the page before.")
    }
    return id
  }

  /// Whether a switch of the query is `true`; false where it is not sent.
  func flag(_ name: String) throws(Refusal) -> Bool {
    switch request.query(name) {
    case nil, "false": return false
    case "true": return true
    default:
      throw Refusal(
        .validationFailed, "A query parameter is not valid.",
        fields: [.init("/" + name, "must be true or false")])
    }
  }

  /// A whole number of the query within bounds.
  func integer(_ name: String, default fallback: Int, in range: ClosedRange<Int>) throws(Refusal)
    -> Int
  {
    guard let text = request.query(name) else { return fallback }
    guard let number = Int(text), range.contains(number) else {
      throw Refusal(
        .validationFailed, "A query parameter is not valid.",
        fields: [
          .init(
            "/" + name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        ])
    }
    return number
  }
}

/// One row of the route table.
package struct Route: Sendable {
  /// Which limit a request counts against.
  package enum Budget: String, Sendable {
    case standard, login, register, refresh, chat, search, none
    /// Calls of tools by programs (MCP).
    case tools
  }

  /// Bytes of a body, and who may send that many: it is asked before any of it is taken.
  package enum BodyLimit: Sendable {
    case anyone(Int)
    /// Whoever sends the header of a signature over the body.
    case signed(header: String, Int)
    case provider(Int)
    case admin(Int)

    var byteCount: Int {
      switch self {
      case .anyone(let count), .signed(_, let count), .provider(let count), .admin(let count):
        count
      }
    }
  }

  /// The body of most routes; whoever may send more says who they are first.
  package static let bodyByteCountMax = 65_536

  package let method: String
  /// Such as `/v1/services/{id}`.
  package let path: String
  package let summary: String
  package let budget: Budget
  package let bodyLimit: BodyLimit
  /// Whether the handler computes for milliseconds, and so runs on `SearchThreads`.
  let isSearch: Bool
  /// Whether it was made by `Services.keyed`, which holds the order of a keyed request's refusals.
  package let isKeyed: Bool
  /// Throws `not_found`, or `forbidden`, where what the address names is not there for the caller. Asked only where
  /// the handler finds fault with the fields: then this is told first (specification core, 8.1).
  let named: (@Sendable (Context) async throws -> Void)?
  package let handler: @Sendable (Context) async throws -> Response
  let segments: [Substring]

  package init(
    _ method: String, _ path: String, _ summary: String, budget: Budget = .standard,
    body: BodyLimit = .anyone(Route.bodyByteCountMax), isSearch: Bool = false,
    isKeyed: Bool = false, named: (@Sendable (Context) async throws -> Void)? = nil,
    handler: @escaping @Sendable (Context) async throws -> Response
  ) {
    self.method = method
    self.path = path
    self.summary = summary
    self.budget = budget
    bodyLimit = body
    self.isSearch = isSearch
    self.isKeyed = isKeyed
    self.named = named
    self.handler = handler
    segments = path.split(separator: "/")
  }

  /// Whether a bearer credential is looked at. A stale one must not keep anybody from signing in or out, nor a
  /// probe from its answer.
  var usesBearer: Bool {
    budget != .none && !path.hasPrefix("/oauth/")
      && (!path.hasPrefix("/v1/auth/") || path.hasPrefix("/v1/auth/sessions"))
  }

  /// The parameters where the path fits the pattern, else nil.
  func match(_ parts: [Substring]) -> [String: String]? {
    guard parts.count == segments.count else { return nil }
    var parameters: [String: String] = [:]
    for (part, segment) in zip(parts, segments) {
      if segment.hasPrefix("{") {
        parameters[String(segment.dropFirst().dropLast())] = String(part)
      } else if part != segment {
        return nil
      }
    }
    return parameters
  }
}

extension Request {
  /// The body as a JSON object; an empty body is an empty object.
  /// - Throws: `Refusal` `malformed_json`, `unsupported_media_type`.
  func json() throws(Refusal) -> JSON {
    if body.isEmpty { return [:] }
    let type = header("content-type") ?? "application/json"
    guard type.lowercased().hasPrefix("application/json") else {
      throw Refusal(.unsupportedMediaType, "Send application/json.")
    }
    do {
      let value = try JSON.parse(body)
      guard value.object != nil else {
        throw Refusal(.malformedJSON, "The body must be a JSON object.")
      }
      return value
    } catch let error as JSONError {
      throw Refusal(
        .malformedJSON, "The body is no JSON: \(error.reason.rawValue) at byte \(error.offset).",
        facts: ["position": .number(error.offset)])
    } catch let refusal as Refusal {
      throw refusal
    } catch {
      throw Refusal(.malformedJSON, "The body is no JSON.")
    }
  }
}
