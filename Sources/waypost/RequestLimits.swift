import API

extension Services.Configuration {
  /// The limits of requests; those that are not set follow `--rate-limit` and `--login-limit`.
  mutating func limit(by arguments: Arguments) {
    func setting(_ flag: String, unlessSet fallback: Int) -> Int {
      arguments.isSet(flag) ? arguments.integer(flag) : fallback
    }
    requestsPerMinute = arguments.integer("rate-limit")
    addressRequestsPerMinute = setting(
      "address-limit", unlessSet: min(1_000_000, requestsPerMinute * 10))
    modelTokensPerDay = arguments.integer("llm-tokens-per-day")
    loginsPerMinute = arguments.integer("login-limit")
    registrationsPerMinute = setting("register-limit", unlessSet: loginsPerMinute)
    searchesPerSecond = setting("search-limit", unlessSet: requestsPerMinute > 0 ? 50 : 0)
    chatsPerMinute = setting(
      "chat-limit", unlessSet: requestsPerMinute > 0 ? max(1, requestsPerMinute / 5) : 0)
  }
}
