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
  /// Documents in the cache, and fetches at once.
  static let countMax = 500
  static let fetchesMax = 8

  private struct Entry {
    let outcome: Result<OAuthClient, OAuthError>
    let until: Timestamp
  }

  private let fetcher: DocumentFetcher
  private let clock: Clock
  private let allowsLoopback: Bool
  private var entries: [String: Entry] = [:]
  private var fetchCount = 0

  /// - Parameters:
  ///   - fetcher: Gets the documents.
  ///   - allowsLoopback: Whether plain http on loopback is an id too: for development.
  public init(fetcher: DocumentFetcher, clock: Clock, allowsLoopback: Bool = false) {
    self.fetcher = fetcher
    self.clock = clock
    self.allowsLoopback = allowsLoopback
  }

  /// The client of an id.
  /// - Throws: `OAuthError` `invalid_client` or `temporarily_unavailable`.
  public func client(_ id: String) async throws(OAuthError) -> OAuthClient {
    guard isAddress(id) else {
      throw OAuthError(
        .invalidClient, "The client_id must be a registered id or the https address of a document.")
    }
    let now = clock.now
    if let entry = entries[id], entry.until > now { return try entry.outcome.get() }
    guard fetchCount < ClientDocuments.fetchesMax else {
      throw OAuthError(.temporarilyUnavailable, "Too many documents are being fetched; try again.")
    }
    fetchCount += 1
    let answer = await fetcher.get(id, byteCountMax: ClientDocuments.byteCountMax)
    fetchCount -= 1
    let outcome = read(answer, id: id)
    makeRoom(at: now)
    entries[id] = Entry(outcome: outcome, until: now + seconds(answer, outcome) * 1_000)
    return try outcome.get()
  }

  /// An address with a path, so that a whole host is nobody's name; only such is ever asked for.
  private func isAddress(_ id: String) -> Bool {
    guard id.utf8.count <= 500, let address = WebAddress(id), address.path.utf8.count > 1 else {
      return false
    }
    return address.scheme == "https" || (allowsLoopback && address.isLoopback)
  }

  private func seconds(_ answer: FetchedDocument?, _ outcome: Result<OAuthClient, OAuthError>)
    -> Int64
  {
    guard case .success = outcome else { return ClientDocuments.failureSeconds }
    let bounds = ClientDocuments.keptSeconds
    let asked = answer?.maxAgeSeconds ?? ClientDocuments.defaultSeconds
    return min(max(asked, bounds.lowerBound), bounds.upperBound)
  }

  private func makeRoom(at now: Timestamp) {
    guard entries.count >= ClientDocuments.countMax else { return }
    entries = entries.filter { $0.value.until > now }
    while entries.count >= ClientDocuments.countMax,
      let oldest = entries.min(by: { $0.value.until < $1.value.until })
    {
      entries[oldest.key] = nil
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
    let uris = document["redirect_uris"]?.array ?? []
    let texts = uris.compactMap(\.string)
    guard (1...OAuthClient.redirectCountMax).contains(uris.count), texts.count == uris.count,
      texts.allSatisfy(RedirectURI.isAcceptable)
    else {
      return .failure(
        OAuthError(.invalidClient, "The client's document must have 1 to 20 sound redirect_uris."))
    }
    let host = WebAddress(id)?.host ?? id
    let name = document["client_name"]?.string.flatMap { ClientName.isSound($0) ? $0 : nil }
    return .success(OAuthClient(id: id, name: name ?? host, redirectURIs: texts))
  }
}
