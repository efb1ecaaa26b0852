internal import Identity
internal import Primitives
internal import Synchronization

/// How often callers may ask (specification core, 8.3): a policy for each kind of request, and over them all one for
/// each address, so that many accounts behind one are bounded together.
struct RequestPolicies: Sendable {
  private let kinds: [Route.Budget: RateLimiter]
  /// Everything that comes from an address, whoever asks.
  private let addresses: RateLimiter
  /// Credentials of an address that were not accepted: a tenth of what it may ask.
  private let failures: RateLimiter
  /// Each key by the rate that it was made with.
  private let grants = RateLimiter(name: "key", perMinute: 1)

  init(_ configuration: Services.Configuration) {
    let perMinute = configuration.requestsPerMinute
    addresses = RateLimiter(name: "address", perMinute: configuration.addressRequestsPerMinute)
    failures = RateLimiter(name: "failures", perMinute: perMinute > 0 ? max(10, perMinute / 10) : 0)
    kinds = [
      .standard: RateLimiter(name: "default", perMinute: perMinute),
      .login: RateLimiter(name: "login", perMinute: configuration.loginsPerMinute),
      .register: RateLimiter(name: "register", perMinute: configuration.registrationsPerMinute),
      .refresh: RateLimiter(name: "refresh", perMinute: perMinute),
      .chat: RateLimiter(name: "chat", perMinute: configuration.chatsPerMinute),
      .tools: RateLimiter(name: "mcp", perMinute: perMinute),
      .search: RateLimiter(
        name: "search", quota: configuration.searchesPerSecond, windowSeconds: 1),
    ]
  }

  /// What a request was counted as; its answer says the policy that is nearest to its end.
  final class Count: Sendable {
    private let state = Mutex((nearest: RateLimiter.Verdict?.none, isByKind: false))

    var verdict: RateLimiter.Verdict? { state.withLock { $0.nearest } }

    /// Whether it was counted, or looked at, by what it asks for: where it was refused before, it was not.
    fileprivate(set) var isByKind: Bool {
      get { state.withLock { $0.isByKind } }
      set { state.withLock { $0.isByKind = newValue } }
    }

    func note(_ verdict: RateLimiter.Verdict) {
      state.withLock { state in
        if let known = state.nearest, !verdict.isNearer(than: known) { return }
        state.nearest = verdict
      }
    }
  }

  /// Counts a request by its caller and by its address, unless one of the two may not ask any more.
  ///
  /// - Parameter isCounted: False only looks, for a request that was refused before it was counted.
  /// - Returns: Whether it may go on.
  func take(
    _ budget: Route.Budget, _ caller: String, from address: String, at now: Timestamp,
    isCounted: Bool = true, into count: Count
  ) -> Bool {
    guard budget != .none else { return true }
    count.isByKind = true
    if let verdict = verdict(addresses, address, at: now, isCounted: false), !verdict.isAllowed {
      count.note(verdict)
      return false
    }
    if let limiter = kinds[budget],
      let verdict = verdict(limiter, caller, at: now, isCounted: isCounted)
    {
      count.note(verdict)
      guard verdict.isAllowed else { return false }
    }
    guard let verdict = verdict(addresses, address, at: now, isCounted: isCounted) else {
      return true
    }
    count.note(verdict)
    return verdict.isAllowed
  }

  private func verdict(
    _ limiter: RateLimiter, _ name: String, at now: Timestamp, isCounted: Bool
  ) -> RateLimiter.Verdict? {
    limiter.quota > 0 ? limiter.take(name, at: now, isCounted: isCounted) : nil
  }

  /// - Throws: `Refusal` `rate_limited` where the last count was one too many.
  func require(_ isAllowed: Bool, _ count: Count) throws(Refusal) {
    if isAllowed { return }
    throw Refusal(
      .rateLimited, "Too many requests.",
      retryAfterSeconds: count.verdict.map { Int($0.resetSeconds) })
  }

  /// Counts a request against a key's own rate.
  /// - Throws: `Refusal` `rate_limited`.
  func require(_ grant: Grant, at now: Timestamp, _ count: Count) throws(Refusal) {
    for limit in grant.limits {
      let verdict = grants.take(limit.name, at: now, perMinute: Int64(limit.perMinute))
      count.note(verdict)
      guard verdict.isAllowed else {
        throw Refusal(
          .rateLimited, "Too many requests with this key.",
          retryAfterSeconds: Int(verdict.resetSeconds))
      }
    }
  }

  /// Counts a credential that is not valid; with `isCounted` false only asks.
  /// - Throws: `Refusal` `rate_limited` where the address has sent too many.
  func requireFewFailures(
    of address: String, at now: Timestamp, isCounted: Bool = true, _ count: Count
  ) throws(Refusal) {
    guard let verdict = verdict(failures, address, at: now, isCounted: isCounted) else { return }
    if isCounted || !verdict.isAllowed { count.note(verdict) }
    guard verdict.isAllowed else {
      throw Refusal(
        .rateLimited, "Too many credentials that are not valid.",
        retryAfterSeconds: Int(verdict.resetSeconds))
    }
  }
}
