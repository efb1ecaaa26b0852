internal import HTTPServer
internal import Primitives

/// Every route of the server. The pages and the checks of the repository read this list.
package enum RouteTable {
  static func all(_ services: Services, _ metrics: Metrics) -> [Route] {
    let search = SearchRoutes(services: services)
    var routes =
      system(services, metrics) + catalog(services, search) + accounts(services)
      + sessions(services) + chat(services)
    routes += DiscoveryRoutes(services: services, search: search).routes
    routes += LedgerRoutes(services: services).routes
    routes += LedgerAdminRoutes(services: services).routes
    routes += PlacementRoutes(services: services).routes
    routes += PurchaseRoutes(services: services).all
    routes += ReturnRoutes(services: services).routes
    routes += EventRoutes(services: services).all
    routes += TuneRoutes(services: services).all
    routes += WebhookRoutes(services: services).all
    routes += UserEventRoutes(services: services).all
    routes += AccountRoutes(services: services).routes
    routes += PrivacyRoutes(services: services).routes
    routes += ReauthRoutes(services: services).routes
    routes += AdminRoutes(services: services).routes
    routes += OAuthRoutes(services: services).routes
    routes += OAuthClientRoutes(services: services).routes
    routes += ProviderHubRoutes(services: services).routes
    routes += OpenIDRoutes(services: services).routes
    if services.configuration.isDemo { routes += SandboxRoutes.all }
    // Last: it describes all the others.
    routes += OpenAPIRoutes(describing: routes, version: services.configuration.version).all
    return routes
  }

  private static func system(_ services: Services, _ metrics: Metrics) -> [Route] {
    let system = SystemRoutes(services: services, metrics: metrics)
    return [
      Route("GET", "/healthz", "the process is up", budget: .none, handler: system.health),
      Route(
        "GET", "/readyz", "searches work; whether writes do", budget: .none, handler: system.ready),
      Route("GET", "/metrics", "figures for Prometheus", budget: .none, handler: system.metrics),
      Route(
        "GET", "/.well-known/jwks.json", "public signing keys", budget: .none, handler: system.jwks),
    ]
  }

  private static func catalog(_ services: Services, _ search: SearchRoutes) -> [Route] {
    let catalog = CatalogRoutes(services: services)
    return [
      Route(
        "POST", "/v1/providers/search", "search", budget: .search, isSearch: true,
        handler: search.search),
      Route(
        "GET", "/v1/providers/search", "search by query parameters", budget: .search,
        isSearch: true, handler: search.searchByQuery),
      Route("GET", "/v1/services/{id}", "one service", handler: search.service),
      Route("GET", "/v1/meta/schema", "fields, operators and facets", handler: search.schema),
      Route("GET", "/v1/providers", "providers", handler: catalog.providers),
      Route("GET", "/v1/providers/{id}", "one provider", handler: catalog.provider),
      Route(
        "GET", "/v1/provider/services", "a provider's own listings", handler: catalog.ownServices),
      Route("GET", "/v1/provider/services/{id}", "one own listing", handler: catalog.ownService),
      Route(
        "PUT", "/v1/provider/services/{id}", "write a listing", body: .provider(262_144),
        handler: catalog.put),
      Route("DELETE", "/v1/provider/services/{id}", "remove a listing", handler: catalog.remove),
      Route(
        "POST", "/v1/admin/import", "import JSON Lines", body: .admin(16 * 1_048_576),
        handler: catalog.importLines),
      Route(
        "POST", "/v1/admin/index/rebuild", "build a new index generation", handler: catalog.rebuild),
      Route(
        "POST", "/v1/admin/index/rollback", "go back to the index generation before",
        handler: catalog.rollBack),
      Route(
        "POST", "/v1/admin/backups", "copy the record",
        handler: BackupRoutes(services: services).make),
    ]
  }

  private static func accounts(_ services: Services) -> [Route] {
    let identity = IdentityRoutes(services: services)
    return [
      services.keyed(
        "POST", "/v1/auth/register", "make an account", budget: .register, admit: { _ in },
        scope: identity.proof, perform: identity.register, present: identity.registered),
      Route("POST", "/v1/auth/login", "sign in", budget: .login, handler: identity.login),
      Route(
        "POST", "/v1/auth/refresh", "renew the login", budget: .refresh, handler: identity.refresh),
      Route("POST", "/v1/auth/logout", "end the login", handler: identity.logout),
      Route("GET", "/v1/me", "the account", handler: identity.me),
    ]
  }

  private static func sessions(_ services: Services) -> [Route] {
    let sessions = SessionRoutes(services: services)
    return [
      services.keyed(
        "POST", "/v1/proposals", "propose a session", admit: { try $0.user() },
        perform: sessions.propose),
      Route("GET", "/v1/proposals/{id}", "one proposal", handler: sessions.proposal),
      Route("POST", "/v1/proposals/{id}/decline", "refuse a proposal", handler: sessions.decline),
      services.keyed(
        "POST", "/v1/sessions", "start a session", admit: sessions.starter,
        perform: sessions.confirm, present: sessions.started),
      Route("GET", "/v1/sessions", "own sessions", handler: sessions.list),
      Route("POST", "/v1/sessions/validate", "redeem a launch token", handler: sessions.validate),
      Route("GET", "/v1/sessions/{id}", "one session", handler: sessions.read),
      Route("DELETE", "/v1/sessions/{id}", "revoke a session", handler: sessions.revoke),
      Route(
        "POST", "/v1/sessions/{id}/heartbeat", "sign of life", named: sessions.beating,
        handler: sessions.heartbeat),
      services.keyed(
        "POST", "/v1/sessions/{id}/pause", "pause", admit: sessions.concerned,
        scope: sessions.actorScope, perform: sessions.pause),
      services.keyed(
        "POST", "/v1/sessions/{id}/resume", "resume", admit: sessions.concernedLate,
        scope: sessions.actorScope, perform: sessions.resume),
      services.keyed(
        "POST", "/v1/sessions/{id}/complete", "end", admit: sessions.concerned,
        scope: sessions.actorScope, perform: sessions.complete),
      services.keyed(
        "POST", "/v1/sessions/{id}/extend", "buy more minutes", admit: sessions.own,
        perform: sessions.extend),
      services.keyed(
        "POST", "/v1/provider/tokens/report", "report use", admit: { try $0.provider() },
        perform: sessions.report),
      Route(
        "GET", "/v1/provider/key-set", "keys that sign assertions", handler: sessions.keySet),
      Route(
        "PUT", "/v1/provider/key-set", "register keys that sign assertions",
        handler: sessions.putKeySet),
    ]
  }

  private static func chat(_ services: Services) -> [Route] {
    let chat = ChatRoutes(services: services)
    return [
      Route(
        "POST", "/v1/chat/discovery", "one turn, as SSE", budget: .chat, body: .anyone(8_192),
        handler: chat.turn),
      Route("GET", "/v1/chat/conversations", "own conversations", handler: chat.list),
      Route("GET", "/v1/chat/conversations/{id}", "one conversation", handler: chat.read),
      Route("DELETE", "/v1/chat/conversations/{id}", "delete it", handler: chat.delete),
      Route("GET", "/v1/chat/conversations/{id}/export", "every event", handler: chat.read),
      Route("GET", "/v1/chat/conversations/{id}/stream", "follow a turn", handler: chat.stream),
      Route("POST", "/v1/chat/conversations/{id}/cancel", "stop a turn", handler: chat.cancel),
    ]
  }

  /// Routes whose bearer may be a session token, which is no account's.
  static func takesSessionToken(_ path: String) -> Bool {
    ["/heartbeat", "/pause", "/resume", "/complete"].contains { path.hasSuffix($0) }
      || ProviderHubRoutes.takesSessionToken(path)
  }
}
