internal import Cryptography
public import Identity
public import Primitives
public import SQLite

/// What a program asks a person for, checked (OAuth 2.1; RFC 9700).
public struct AuthorizationRequest: Sendable, Equatable {
  /// Who asks.
  public let client: OAuthClient
  /// Where the answer goes; one of the client's own.
  public let redirectURI: String
  /// Given back as it came.
  public let state: String
  /// What it wants to do.
  public let scopes: Set<Scope>
  /// SHA-256 of the verifier, in base64url.
  public let challenge: String
  /// What its tokens will be for: their audience.
  public let resource: String
}

/// The OAuth 2.1 authorization server: codes with PKCE S256 only, rotating refresh tokens, revocation.
public struct AuthorizationServer: Sendable {
  /// How long a code may wait, in milliseconds.
  public static let codeMilliseconds: Int64 = 60_000
  /// The part of the server that speaks MCP.
  public static let toolsPart = "/mcp"

  let database: Database
  let clock: Clock
  let random: RandomSource
  let keys: KeyRing
  let issuer: String
  let refreshKey: [UInt8]
  let names: PairwiseNames
  /// Registered clients.
  public let clients: ClientStore
  private let documents: ClientDocuments

  /// - Parameter issuer: The public address.
  public init(
    database: Database, clock: Clock, random: RandomSource, keys: KeyRing, issuer: String,
    documents: ClientDocuments
  ) {
    self.database = database
    self.clock = clock
    self.random = random
    self.keys = keys
    self.issuer = issuer
    self.documents = documents
    refreshKey = keys.derived(for: "oauth-refresh")
    names = PairwiseNames(keys: keys)
    clients = ClientStore(key: keys.derived(for: "oauth-client"))
  }

  /// Where tokens can be for: the whole server, or its MCP part alone.
  public var resources: [String] { [issuer, issuer + AuthorizationServer.toolsPart] }

  /// The server's own description (RFC 8414).
  public var metadata: JSON {
    [
      "issuer": .string(issuer), "authorization_endpoint": .string(issuer + "/oauth/authorize"),
      "token_endpoint": .string(tokenEndpoint),
      "revocation_endpoint": .string(issuer + "/oauth/revoke"),
      "jwks_uri": .string(issuer + "/.well-known/jwks.json"),
      "scopes_supported": AuthorizationServer.scopeNames, "response_types_supported": ["code"],
      "response_modes_supported": ["query"],
      "grant_types_supported": ["authorization_code", "refresh_token"],
      "token_endpoint_auth_methods_supported": AuthorizationServer.proofs,
      "token_endpoint_auth_signing_alg_values_supported": AuthorizationServer.algorithms,
      "revocation_endpoint_auth_methods_supported": AuthorizationServer.proofs,
      "revocation_endpoint_auth_signing_alg_values_supported": AuthorizationServer.algorithms,
      "code_challenge_methods_supported": ["S256"],
      "authorization_response_iss_parameter_supported": true,
      "client_id_metadata_document_supported": true,
      "protected_resources": .strings(resources),
    ]
  }

  /// The description of what tokens are for (RFC 9728).
  ///
  /// - Parameter part: Empty for the whole server, or `toolsPart`.
  public func resourceMetadata(part: String) -> JSON {
    [
      "resource": .string(issuer + part), "authorization_servers": .strings([issuer]),
      "scopes_supported": AuthorizationServer.scopeNames,
      "bearer_methods_supported": ["header"],
      "resource_name": "Waypost",
    ]
  }

  private static let scopeNames: JSON = .strings(Scope.ofPeople.map(\.rawValue).sorted())
  private static let proofs: JSON = [
    "none", "client_secret_basic", "client_secret_post", "private_key_jwt",
  ]
  private static let algorithms: JSON = .strings(SigningAlgorithm.allCases.map(\.rawValue).sorted())

  /// Where codes and refresh tokens are turned into tokens.
  var tokenEndpoint: String { issuer + "/oauth/token" }

  /// Checks what a program asks for.
  ///
  /// - Parameter caller: Who is counted where a program's own description must be fetched, such as an address.
  /// - Throws: `AuthorizationFault`; nothing goes to an address before it is known to be the client's.
  public func request(
    _ form: OAuthForm, from caller: String
  ) async throws -> AuthorizationRequest {
    let client: OAuthClient
    let redirect: String
    do {
      client = try await self.client(try form.needed("client_id"), for: caller)
      redirect = try form.needed("redirect_uri")
      guard client.redirectURIs.contains(where: { RedirectURI.matches(redirect, registered: $0) })
      else {
        throw OAuthError(.invalidRequest, "The redirect_uri is none of the client's.")
      }
    } catch let error as OAuthError {
      throw AuthorizationFault.shown(error)
    }
    let state = try? form.one("state")
    do throws(OAuthError) {
      return try request(form, client, redirect)
    } catch {
      throw AuthorizationFault.returned(error, to: redirect, state: state ?? nil)
    }
  }

  private func request(
    _ form: OAuthForm, _ client: OAuthClient, _ redirect: String
  ) throws(OAuthError) -> AuthorizationRequest {
    guard try form.needed("response_type") == "code" else {
      throw OAuthError(.unsupportedResponseType, "Only response_type=code is served.")
    }
    if let mode = try form.one("response_mode"), mode != "query" {
      throw OAuthError(.invalidRequest, "Only response_mode=query is served.")
    }
    let state = try form.needed("state")
    guard state.utf8.count <= 1_000 else {
      throw OAuthError(.invalidRequest, "The state may have 1,000 bytes.")
    }
    let challenge = try form.needed("code_challenge")
    guard try form.one("code_challenge_method") == "S256", challenge.utf8.count == 43,
      BytesText.bytes(base64url: challenge)?.count == 32
    else {
      throw OAuthError(
        .invalidRequest, "Send a code_challenge of 43 characters with the method S256.")
    }
    let words = try form.one("scope") ?? Scope.discoveryRead.rawValue
    guard let scopes = ScopeWords.asked(words), client.scopes.isSuperset(of: scopes) else {
      throw OAuthError(.invalidScope, "The scope is unknown, or more than this client may have.")
    }
    return AuthorizationRequest(
      client: client, redirectURI: redirect, state: state, scopes: scopes, challenge: challenge,
      resource: try resource(form) ?? issuer)
  }

  /// The resource that a request names (RFC 8707), or nil where it names none.
  func resource(_ form: OAuthForm) throws(OAuthError) -> String? {
    let named = form.pairs.filter { $0.name == "resource" && !$0.value.isEmpty }.map(\.value)
    guard let first = named.first else { return nil }
    let plain = first.hasSuffix("/") ? String(first.dropLast()) : first
    guard named.count == 1, resources.contains(plain) else {
      throw OAuthError(
        .invalidTarget, "The resource must be one of \(resources.joined(separator: ", ")).")
    }
    return plain
  }

  /// A client by its id: registered, or described by its own document.
  private func client(_ id: String, for caller: String) async throws -> OAuthClient {
    guard OAuthClient.isDocument(id) else { return try await registered(id) }
    let isUsed = try await database.read { try GrantStore.isUsed(client: id, on: $0) }
    return try await documents.client(id, for: caller, isUsed: isUsed)
  }

  func registered(_ id: String) async throws -> OAuthClient {
    guard let client = try await database.read({ try clients.client(id, on: $0) }) else {
      throw OAuthError(.invalidClient, "The client_id is not known.")
    }
    return client
  }

  /// The address that a person's yes sends the browser to, with the code.
  ///
  /// - Parameter login: The login that the person said it in: with one that has ended meanwhile nothing is allowed,
  ///   or a program could be let in after the new password that puts all of them out.
  /// - Throws: `Refusal` `unauthenticated`.
  public func allow(
    _ request: AuthorizationRequest, by user: ID<UserKind>, in login: ID<LoginKind>,
    author: AuditLog.Author
  ) async throws -> String {
    let code = BytesText.base64url(random.bytes(32))
    let hash = Digest.sha256(Array(code.utf8))
    let now = clock.now
    let row = GrantStore.Code(
      userID: user, clientID: request.client.id, clientName: request.client.name,
      redirectURI: request.redirectURI, challenge: request.challenge, scopes: request.scopes,
      resource: request.resource, expires: now + AuthorizationServer.codeMilliseconds)
    try await database.write { connection in
      guard try LoginStore.isLive(login, of: user, on: connection) else {
        throw Refusal(.unauthenticated, "Sign in again.")
      }
      try GrantStore.insert(row, hash: hash, on: connection)
      try AuditLog.record(
        "grant.allowed", on: "user:" + user.text,
        detail: ScopeWords.text(request.scopes) + " client=" + AuthorizationServer.name(request),
        by: author, at: now, on: connection)
    }
    return OAuthForm([("code", code), ("state", request.state), ("iss", issuer)])
      .added(to: request.redirectURI)
  }

  /// A client in the audit log: its id, or what its document's address hashes to.
  private static func name(_ request: AuthorizationRequest) -> String {
    guard request.client.isDescribedByItself else { return request.client.id }
    return BytesText.hex(Digest.sha256(Array(request.client.id.utf8)).prefix(8))
  }

  /// The address that tells a program why it gets nothing (RFC 6749 section 4.1.2.1, RFC 9207).
  public func refusal(_ error: OAuthError, to redirect: String, state: String?) -> String {
    var pairs = [("error", error.code.rawValue), ("error_description", error.detail)]
    if let state { pairs.append(("state", state)) }
    pairs.append(("iss", issuer))
    return OAuthForm(pairs.map { (name: $0.0, value: $0.1) }).added(to: redirect)
  }

  /// Deletes codes, grants and assertions that are past their time.
  public func prune() async throws {
    let now = clock.now
    while try await database.write({ try GrantStore.prune(at: now, on: $0) }) {}
    while try await database.write({ try ClientStore.prune(at: now, on: $0) }) {}
  }
}
