internal import Cryptography
internal import Primitives

/// What an OpenID provider says of itself (OpenID Connect Discovery 1.0).
struct OpenIDMetadata: Sendable, Equatable {
  let authorizationEndpoint: String
  let tokenEndpoint: String
  let keysAddress: String
  /// Whether its answers name it (RFC 9207): one without the name is then refused.
  let namesItself: Bool
  /// Whether the secret may stand in the form alone.
  let takesSecretInForm: Bool

  init?(_ document: JSON, issuer: String) {
    // The exact issuer: a document of somebody else's would send codes there.
    guard document["issuer"] == .string(issuer),
      let authorize = document["authorization_endpoint"]?.string,
      let token = document["token_endpoint"]?.string, let keys = document["jwks_uri"]?.string,
      [authorize, token, keys].allSatisfy({ OpenIDMetadata.isSafe($0, issuer: issuer) })
    else { return nil }
    authorizationEndpoint = authorize
    tokenEndpoint = token
    keysAddress = keys
    namesItself = document["authorization_response_iss_parameter_supported"]?.bool ?? false
    let methods = document["token_endpoint_auth_methods_supported"]?.array ?? []
    takesSecretInForm =
      methods.contains("client_secret_post") && !methods.contains("client_secret_basic")
  }

  /// A provider on https has all of it on https.
  private static func isSafe(_ text: String, issuer: String) -> Bool {
    guard let address = WebAddress(text) else { return false }
    return address.scheme == "https" || (issuer.hasPrefix("http://") && address.isLoopback)
  }
}

/// An OpenID provider as it is now: its description and its keys, kept as long as it allows.
actor OpenIDProvider {
  /// Bytes of a document of a provider's.
  static let byteCountMax = 262_144
  /// How long its documents are kept, whatever it says, in seconds.
  static let keptSeconds: ClosedRange<Int64> = 60...86_400
  /// How long where it says nothing, in seconds.
  static let defaultSeconds: Int64 = 300
  /// How long after a fetch an unknown key may cause another, in seconds.
  static let refetchSeconds: Int64 = 60
  /// How long nobody asks a service that was silent, in seconds: it must not hold up every sign-in.
  static let silentSeconds: Int64 = 5

  let issuer: String
  private let fetcher: DocumentFetcher
  private let clock: Clock
  private var metadata: (value: OpenIDMetadata, until: Timestamp)?
  private var silentUntil = Timestamp(milliseconds: 0)
  private var isAsking = false
  private var waiting: [CheckedContinuation<Void, Never>] = []
  private var keys: [String: VerifyingKey] = [:]
  private var keysUntil = Timestamp(milliseconds: 0)
  private var keysFetchedAt: Timestamp?

  init(issuer: String, fetcher: DocumentFetcher, clock: Clock) {
    self.issuer = issuer
    self.fetcher = fetcher
    self.clock = clock
  }

  /// - Throws: `Refusal` `storage_unavailable` where the provider does not answer soundly.
  func description() async throws(Refusal) -> OpenIDMetadata {
    if isAsking, metadata == nil { await withCheckedContinuation { waiting.append($0) } }
    if let metadata, metadata.until > clock.now { return metadata.value }
    if !isAsking, silentUntil <= clock.now { await ask() }
    // Perhaps late, but still its own words: better than nobody signing in.
    guard let metadata else { throw OpenIDProvider.silence }
    return metadata.value
  }

  /// Asks for the description, once for all who want it.
  private func ask() async {
    isAsking = true
    let answer = await fetcher.get(
      issuer + "/.well-known/openid-configuration", byteCountMax: OpenIDProvider.byteCountMax)
    isAsking = false
    if let answer, answer.status == 200, let document = try? JSON.parse(answer.bytes),
      let value = OpenIDMetadata(document, issuer: issuer)
    {
      metadata = (value, clock.now + OpenIDProvider.kept(answer) * 1_000)
    } else {
      silentUntil = clock.now + OpenIDProvider.silentSeconds * 1_000
    }
    let others = waiting
    waiting = []
    for other in others { other.resume() }
  }

  /// The key of an id, or nil: fetched anew where the set is old, or, at most once a minute, where the id is new.
  ///
  /// - Parameter id: nil for the only key of a set of one, which need not be named (OpenID Connect Core 10.1).
  /// - Throws: `Refusal` `storage_unavailable`.
  func key(_ id: String?) async throws(Refusal) -> VerifyingKey? {
    let now = clock.now
    let isFresh = keysUntil > now
    if isFresh, let key = found(id) { return key }
    let mayAsk = keysFetchedAt.map { now - $0 >= OpenIDProvider.refetchSeconds * 1_000 } ?? true
    guard mayAsk || !isFresh else { return nil }
    let address = try await description().keysAddress
    // Before the answer: whoever comes meanwhile must not ask too.
    keysFetchedAt = now
    let answer = await fetcher.get(address, byteCountMax: OpenIDProvider.byteCountMax)
    guard let answer, answer.status == 200, let document = try? JSON.parse(answer.bytes),
      let set = VerifyingKey.set(document)
    else { throw OpenIDProvider.silence }
    keys = set
    keysUntil = now + OpenIDProvider.kept(answer) * 1_000
    return found(id)
  }

  private func found(_ id: String?) -> VerifyingKey? {
    if let id { return keys[id] }
    return keys.count == 1 ? keys.values.first : nil
  }

  private static func kept(_ answer: FetchedDocument) -> Int64 {
    let asked = answer.maxAgeSeconds ?? defaultSeconds
    return min(max(asked, keptSeconds.lowerBound), keptSeconds.upperBound)
  }

  private static var silence: Refusal {
    Refusal(
      .storageUnavailable, "The sign-in service does not answer; try again in a minute.",
      retryAfterSeconds: 60)
  }
}
