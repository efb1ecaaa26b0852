internal import Authorization
internal import Identity
internal import Primitives
internal import Search

/// Which routes a key may use: what no scope names is closed to every key but a provider's unbounded one.
enum GrantRules {
  /// - Throws: `Refusal` `forbidden`.
  static func require(_ grant: Grant, for route: Route) throws(Refusal) {
    if !grant.filters.isEmpty {
      // What does not narrow its answer by the filter would show what the key is not to see.
      let narrowed = ["/v1/providers/search", "/v1/search:batch", "/v1/meta/schema"]
      guard narrowed.contains(route.path) else {
        throw Refusal(.forbidden, "This key may only search.")
      }
    }
    if let part = grant.part, route.path != part {
      // A token for one part of the server must not be worth anything at another (RFC 8707).
      throw Refusal(.tokenInvalid, "This token is for \(part) only.")
    }
    if route.path.hasSuffix("/extend") { throw spending }
    let isOwn = route.path == "/v1/me" || route.path.hasPrefix("/v1/me/")
    if isOwn || route.path.hasPrefix("/v1/admin/") {
      throw Refusal(.forbidden, "This is for people who have signed in, not for API keys.")
    }
    guard let scopes = grant.scopes else { return }
    let needed = needed(route.method, route.path)
    guard !scopes.isDisjoint(with: needed) else {
      let words = needed.map(\.rawValue).sorted().joined(separator: " ")
      throw Refusal(
        .forbidden,
        needed.isEmpty
          ? "This is not for API keys or programs." : "This needs the scope \(words).",
        facts: needed.isEmpty ? [:] : ["scope": .string(words)])
    }
  }

  /// `trials:start` is for what the platform pays for.
  static var spending: Refusal {
    Refusal(.forbidden, "A key or a program may start trials, not paid sessions: the person does.")
  }

  /// The scopes of which one opens a route.
  static func needed(_ method: String, _ path: String) -> Set<Scope> {
    if discovery.contains(where: { path == $0 || path.hasPrefix($0 + "/") }) {
      return [.discoveryRead]
    }
    // Each tool asks for its own.
    if path == AuthorizationServer.toolsPart { return Scope.ofPeople }
    if path.hasPrefix("/v1/proposals") { return [.trialsStart] }
    if path.hasPrefix("/v1/sessions") { return session(method, path) }
    if path.hasPrefix("/v1/provider/services") { return [.listingsWrite] }
    if path == "/v1/provider/tokens/report" || path.hasPrefix("/v1/sso/")
      || path.hasPrefix("/v1/users/")
    {
      return [.sessionsRun]
    }
    // Who registers a key that signs assertions may do all that they prove: no scope gives that.
    if path == "/v1/provider/key-set", method != "GET" { return [] }
    if path.hasPrefix("/v1/provider/") { return [.providerManage] }
    // What was paid for, and where to pay, is between the person and the processor.
    if path.hasPrefix("/v1/tokens/purchases") { return [] }
    if path.hasPrefix("/v1/tokens/"), method == "GET" { return [.sessionsRead] }
    return []
  }

  private static let discovery = [
    "/v1/providers", "/v1/services", "/v1/compare", "/v1/cost", "/v1/suggest",
    "/v1/facets/search", "/v1/search:batch", "/v1/ranking", "/v1/meta/schema", "/v1/events",
  ]

  private static func session(_ method: String, _ path: String) -> Set<Scope> {
    switch (method, path) {
    case ("GET", _): [.sessionsRead]
    case ("DELETE", _): [.sessionsEnd]
    case ("POST", "/v1/sessions"): [.trialsStart]
    case ("POST", _) where path.hasSuffix("/extend"): [.trialsStart]
    case ("POST", _) where path.hasSuffix("/validate") || path.hasSuffix("/heartbeat"):
      [.sessionsRun]
    default: [.sessionsEnd, .sessionsRun]
    }
  }
}

extension Context {
  /// Narrows a search by the filters of the key that was sent. Counts of the fields that they name are refused:
  /// a facet is counted without its own filter, and would show what the key is not to see.
  /// - Throws: `Refusal` `filter_invalid`, `forbidden`.
  func narrow(_ request: inout SearchRequest) throws(Refusal) {
    guard let grant, !grant.filters.isEmpty else { return }
    for text in grant.filters {
      guard let bound = try FilterParser.parse(text) else { continue }
      let closed = bound.fields.intersection(request.facets)
      guard closed.isEmpty else {
        throw Refusal(
          .forbidden,
          "This key is bound by \(closed.sorted().joined(separator: ", "))"
            + " and cannot count it.")
      }
      request.filter = request.filter.map { .and([$0, bound]) } ?? bound
    }
  }

  /// The answer of a narrowed search, without the counts of what would be found without conditions.
  func narrowed(_ answer: JSON) -> JSON {
    guard grant?.filters.isEmpty == false, case .object(var object) = answer else { return answer }
    object["relaxations"] = []
    return .object(object)
  }
}
