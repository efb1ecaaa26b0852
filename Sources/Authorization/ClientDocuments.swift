internal import Identity
public import Primitives

/// Clients that describe themselves: the id is the https address of a JSON document of theirs (OAuth Client ID
/// Metadata Documents). Documents are fetched from public addresses only, small, and cached within bounds.
public actor ClientDocuments {
  /// Bytes of a document.
  public static let byteCountMax = 5_120
  /// How long one is kept, whatever its server says, in seconds.
  public static let keptSeconds: ClosedRange<Int64> = 60...86_400
  /// How long one is kept where its server says nothing, in seconds.
  public static let defaultSeconds: Int64 = 300
  /// How long a failure is kept, in seconds: nobody can make us ask a server again and again.
  static let failureSeconds: Int64 = 60
  /// How long a document that is past its time still counts where its server does not answer, in seconds.
  public static let lateSeconds: Int64 = 3_600
  /// How long a fetch may take, in seconds: documents are small, and somebody waits.
  static let fetchSeconds = 3
  /// Documents that are kept, of all hosts and of one, and failures.
  static let countMax = 500
  static let perHostMax = 20
  /// Callers that wait for the same document.
  static let sharersMax = 64

  private struct Known {
    let client: OAuthClient
    let host: String
    let until: Timestamp
    /// Until when it counts where its server is silent.
    let lateUntil: Timestamp
  }

  private let fetcher: DocumentFetcher
  private let clock: Clock
  private let allowsLoopback: Bool
  // Two tables: failures, which anybody can cause, must not push out what people use.
  private var known: [String: Known] = [:]
  private var failed: [String: (error: OAuthError, until: Timestamp)] = [:]
  private var queue = FetchQueue()
  private var turns: [Int: CheckedContinuation<Void, Never>] = [:]
  private var sharers: [String: [CheckedContinuation<Outcome, Never>]] = [:]

  private typealias Outcome = Result<OAuthClient, OAuthError>

  /// - Parameters:
  ///   - fetcher: Gets the documents.
  ///   - allowsLoopback: Whether plain http on loopback is an id too: for development.
  public init(fetcher: DocumentFetcher, clock: Clock, allowsLoopback: Bool = false) {
    self.fetcher = fetcher
    self.clock = clock
    self.allowsLoopback = allowsLoopback
  }

  /// The client of an id. One that is known is not kept waiting by those who ask for others.
  ///
  /// - Parameters:
  ///   - caller: Who is counted where the document must be fetched, such as an address.
  ///   - isUsed: Whether somebody lets it act already: places are kept for such.
  /// - Throws: `OAuthError` `invalid_client`, or `temporarily_unavailable` where the caller or all have too much going.
  public func client(
    _ id: String, for caller: String, isUsed: Bool = false
  ) async throws(OAuthError) -> OAuthClient {
    guard let host = host(of: id) else {
      throw OAuthError(
        .invalidClient, "The client_id must be a registered id or the https address of a document.")
    }
    let now = clock.now
    if let known = known[id], known.until > now { return known.client }
    if let failure = failed[id], failure.until > now { throw failure.error }
    let late = known[id].flatMap { $0.lateUntil > now ? $0.client : nil }
    if let count = sharers[id]?.count {
      if let late { return late }
      guard count < ClientDocuments.sharersMax else { throw ClientDocuments.busy }
      return try await withCheckedContinuation { sharers[id]?.append($0) }.get()
    }
    let isKnown = late != nil || isUsed
    guard let (ticket, goes) = queue.enter(host: host, caller: caller, isKnown: isKnown) else {
      if let late { return late }
      throw ClientDocuments.busy
    }
    sharers[id] = []
    if !goes { await withCheckedContinuation { turns[ticket.number] = $0 } }
    let answer = await fetcher.get(
      id, byteCountMax: ClientDocuments.byteCountMax, seconds: ClientDocuments.fetchSeconds)
    for next in queue.leave(ticket) { turns.removeValue(forKey: next.number)?.resume() }
    let outcome = keep(answer, id: id, host: host)
    for sharer in sharers.removeValue(forKey: id) ?? [] { sharer.resume(returning: outcome) }
    return try outcome.get()
  }

  private static var busy: OAuthError {
    OAuthError(
      .temporarilyUnavailable, "Too many documents are being fetched; try again in a few seconds.")
  }

  /// What an answer, or none, makes of a client.
  private func keep(_ answer: FetchedDocument?, id: String, host: String) -> Outcome {
    let now = clock.now
    if answer.map({ $0.status >= 500 }) ?? true, let late = known[id], late.lateUntil > now {
      // Its server is silent, perhaps for a moment. An answer that is not sound would be a word of its own.
      let until = min(now + ClientDocuments.failureSeconds * 1_000, late.lateUntil)
      known[id] = Known(client: late.client, host: host, until: until, lateUntil: late.lateUntil)
      return .success(late.client)
    }
    let outcome = read(answer, id: id)
    known[id] = nil
    failed[id] = nil
    switch outcome {
    case .success(let client):
      makeRoom(of: host, at: now)
      let until = now + seconds(answer) * 1_000
      known[id] = Known(
        client: client, host: host, until: until,
        lateUntil: until + ClientDocuments.lateSeconds * 1_000)
    case .failure(let error):
      if failed.count >= ClientDocuments.countMax {
        failed = failed.filter { $0.value.until > now }
      }
      if failed.count >= ClientDocuments.countMax,
        let oldest = failed.min(by: { $0.value.until < $1.value.until })
      {
        failed[oldest.key] = nil
      }
      failed[id] = (error, now + ClientDocuments.failureSeconds * 1_000)
    }
    return outcome
  }

  /// The host of an address with a path, so that a whole host is nobody's name; only such is ever asked for.
  private func host(of id: String) -> String? {
    guard id.utf8.count <= 500, let address = WebAddress(id), address.path.utf8.count > 1,
      address.scheme == "https" || (allowsLoopback && address.isLoopback)
    else { return nil }
    return address.host
  }

  private func seconds(_ answer: FetchedDocument?) -> Int64 {
    let bounds = ClientDocuments.keptSeconds
    let asked = answer?.maxAgeSeconds ?? ClientDocuments.defaultSeconds
    return min(max(asked, bounds.lowerBound), bounds.upperBound)
  }

  /// Room for one more: a host has its own share, so that no one's documents push out all the others.
  private func makeRoom(of host: String, at now: Timestamp) {
    let own = known.filter { $0.value.host == host }
    if own.count >= ClientDocuments.perHostMax { drop(own) }
    guard known.count >= ClientDocuments.countMax else { return }
    known = known.filter { $0.value.lateUntil > now }
    while known.count >= ClientDocuments.countMax { drop(known) }
  }

  private func drop(_ entries: [String: Known]) {
    if let oldest = entries.min(by: { $0.value.until < $1.value.until }) {
      known[oldest.key] = nil
    }
  }

  private func read(_ answer: FetchedDocument?, id: String) -> Result<OAuthClient, OAuthError> {
    guard let answer, answer.status == 200 else {
      return .failure(OAuthError(.invalidClient, "The client's document cannot be had."))
    }
    guard let document = try? JSON.parse(answer.bytes, depthMax: 8), document.object != nil,
      document["client_id"] == .string(id)
    else {
      return .failure(
        OAuthError(.invalidClient, "The client's document must be JSON with its own client_id."))
    }
    let secrets = ["client_secret", "client_secret_expires_at"]
    let method = document["token_endpoint_auth_method"] ?? "none"
    let grants = document["grant_types"]?.array ?? ["authorization_code"]
    guard method == "none", secrets.allSatisfy({ document[$0] == nil }),
      grants.contains("authorization_code")
    else {
      return .failure(
        OAuthError(.invalidClient, "The client's document must be of a public client with codes."))
    }
    let host = WebAddress(id)?.host ?? id
    let uris = document["redirect_uris"]?.array ?? []
    let texts = uris.compactMap(\.string)
    guard (1...OAuthClient.redirectCountMax).contains(uris.count), texts.count == uris.count,
      texts.allSatisfy({ RedirectURI.isAcceptableToPublic($0, host: host) })
    else {
      return .failure(
        OAuthError(.invalidClient, "The client's document must have 1 to 20 sound redirect_uris."))
    }
    let name = document["client_name"]?.string.flatMap { ClientName.isSound($0) ? $0 : nil }
    return .success(OAuthClient(id: id, name: name ?? host, redirectURIs: texts))
  }
}
