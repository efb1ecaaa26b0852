internal import Cryptography
public import Identity
public import Primitives
internal import SQLite

/// How a program says who it is at the token endpoint.
public struct ClientProof: Sendable {
  let id: String?
  let secret: String?

  /// What the `Authorization` header says.
  ///
  /// - Parameter authorization: The header, or nil. Any scheme but Basic is left to others.
  /// - Throws: `OAuthError` `invalid_client`.
  public init(authorization: String?) throws(OAuthError) {
    guard let parts = authorization?.split(separator: " ", maxSplits: 1), parts.count == 2,
      parts[0].lowercased() == "basic"
    else {
      (id, secret) = (nil, nil)
      return
    }
    let text = parts[1].replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    let bytes = BytesText.bytes(base64url: text) ?? []
    let halves = String(decoding: bytes, as: UTF8.self).split(
      separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard halves.count == 2, let id = ClientProof.unescaped(halves[0]),
      let secret = ClientProof.unescaped(halves[1]), !id.isEmpty
    else { throw OAuthError(.invalidClient, "The Authorization header is not sound.") }
    self.id = id
    self.secret = secret
  }

  /// Both halves are form-encoded first (RFC 6749 section 2.3.1).
  private static func unescaped(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte == UInt8(ascii: "+") ? 0x20 : byte)
        continue
      }
      let digits = String(decoding: rest.prefix(2), as: UTF8.self)
      guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else { return nil }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
  }
}

extension AuthorizationServer {
  /// The answer to a code or a refresh token (RFC 6749 section 5.1).
  ///
  /// - Parameter ended: Hears of grants that a stolen token has ended.
  /// - Throws: `OAuthError`.
  public func token(
    _ form: OAuthForm, proof: ClientProof, ended: @Sendable ([ID<LoginKind>]) -> Void
  ) async throws -> JSON {
    let client = try await prove(form, proof)
    switch try form.needed("grant_type") {
    case "authorization_code": return try await exchange(form, client, ended)
    case "refresh_token": return try await refresh(form, client, ended)
    default:
      throw OAuthError(
        .unsupportedGrantType, "Only authorization_code and refresh_token are served.")
    }
  }

  /// Ends the grant of a token of the client's own; what is no token is no error (RFC 7009).
  public func revoke(
    _ form: OAuthForm, proof: ClientProof, ended: @Sendable ([ID<LoginKind>]) -> Void
  ) async throws {
    let client = try await prove(form, proof)
    let token = try form.needed("token")
    let now = clock.now
    guard let id = ownGrant(ofRefresh: token) ?? ownGrant(ofAccess: token, at: now) else { return }
    let isRefresh = ownGrant(ofRefresh: token) != nil
    let gone = try await database.write { connection -> [ID<LoginKind>] in
      guard let grant = try GrantStore.grant(id, on: connection), grant.clientID == client.id,
        !grant.isRevoked, !isRefresh || isGenuine(token, grant)
      else { return [] }
      try AuditLog.record(
        "grant.revoked", on: "grant:" + id.text, by: .system, at: now, on: connection)
      return try GrantStore.end([id], at: now, on: connection)
    }
    ended(gone)
  }

  // MARK: Clients

  /// Who asks: a confidential client with its secret, a public one by its id alone.
  private func prove(_ form: OAuthForm, _ proof: ClientProof) async throws -> OAuthClient {
    let named = try form.one("client_id")
    let sent = try form.one("client_secret")
    guard proof.id == nil || (sent == nil && (named == nil || named == proof.id)) else {
      throw OAuthError(.invalidRequest, "Say who you are in one way only.")
    }
    guard let id = proof.id ?? named else {
      throw OAuthError(.invalidClient, "Send the client_id.")
    }
    let secret = proof.secret ?? sent
    // Its document says nothing that a code or a refresh token is not bound to already.
    let client: OAuthClient
    if OAuthClient.isDocument(id) {
      guard WebAddress(id) != nil else {
        throw OAuthError(.invalidClient, "The client_id is no address of a document.")
      }
      client = OAuthClient(id: id, name: "", redirectURIs: [])
    } else {
      client = try await self.client(id)
    }
    let isRight =
      client.isConfidential
      ? Digest.equal(Array((secret ?? "").utf8), Array(clients.secret(of: id).utf8))
      : secret == nil
    guard isRight else { throw OAuthError(.invalidClient, "The client is not who it says.") }
    return client
  }

  // MARK: Codes

  private enum Outcome {
    case issued(GrantStore.Grant)
    case ended([ID<LoginKind>])
    case refused(OAuthError)
  }

  private func exchange(
    _ form: OAuthForm, _ client: OAuthClient, _ ended: ([ID<LoginKind>]) -> Void
  ) async throws -> JSON {
    let hash = Digest.sha256(Array(try form.needed("code").utf8))
    // OAuth 2.1 asks for it no more: the verifier says the same and better. One that is sent must be right.
    let redirect = try form.one("redirect_uri")
    let verifier = try form.needed("code_verifier")
    let asked = try resource(form)
    let now = clock.now
    let id = ID<LoginKind>.secret(random)
    let seed = random.bytes(32)
    let outcome = try await database.write { connection -> Outcome in
      let invalid = OAuthError(.invalidGrant, "The code is not valid.")
      guard let code = try GrantStore.code(hash: hash, on: connection) else {
        return .refused(invalid)
      }
      if let used = code.grantID {
        // Somebody has it who should not: whoever came first loses what it got (RFC 9700 section 2.1.1).
        return .ended(try end(used, at: now, on: connection))
      }
      guard code.clientID == client.id, redirect == nil || redirect == code.redirectURI,
        now < code.expires, isVerifier(verifier, of: code.challenge),
        try isLive(code.userID, on: connection)
      else { return .refused(invalid) }
      guard asked == nil || asked == code.resource else {
        return .refused(OAuthError(.invalidTarget, "The code is for another resource."))
      }
      try GrantStore.redeem(code, hash: hash, as: id, seed: seed, at: now, on: connection)
      return try GrantStore.grant(id, on: connection).map(Outcome.issued) ?? .refused(invalid)
    }
    return try answer(outcome, scopes: nil, ended)
  }

  /// 43 to 128 unreserved characters whose SHA-256 is the challenge (RFC 7636 section 4).
  private func isVerifier(_ text: String, of challenge: String) -> Bool {
    guard (43...128).contains(text.utf8.count), OAuthForm.escaped(text) == text else {
      return false
    }
    let made = BytesText.base64url(Digest.sha256(Array(text.utf8)))
    return Digest.equal(Array(made.utf8), Array(challenge.utf8))
  }

  private func isLive(_ user: ID<UserKind>, on connection: Connection) throws -> Bool {
    try connection.first(
      "SELECT frozen_ms IS NULL FROM user WHERE id = ?", [.blob(user.bytes)]
    ) { $0.int(0) == 1 } ?? false
  }

  // MARK: Refresh tokens

  private func refresh(
    _ form: OAuthForm, _ client: OAuthClient, _ ended: ([ID<LoginKind>]) -> Void
  ) async throws -> JSON {
    let token = try form.needed("refresh_token")
    let asked = try resource(form)
    let narrowed = try form.one("scope").map { text throws(OAuthError) in
      guard let scopes = ScopeWords.asked(text) else {
        throw OAuthError(.invalidScope, "The scope is not known.")
      }
      return scopes
    }
    let now = clock.now
    let outcome = try await database.write { connection -> Outcome in
      let invalid = OAuthError(.invalidGrant, "The refresh token is not valid.")
      guard let id = ownGrant(ofRefresh: token),
        let grant = try GrantStore.grant(id, on: connection), !grant.isRevoked,
        grant.clientID == client.id, isGenuine(token, grant),
        now - grant.rotated <= RefreshTokens.idleMilliseconds,
        now - grant.created <= RefreshTokens.absoluteMilliseconds,
        try isLive(grant.userID, on: connection)
      else { return .refused(invalid) }
      guard asked == nil || asked == grant.resource else {
        return .refused(OAuthError(.invalidTarget, "The refresh token is for another resource."))
      }
      guard narrowed.map({ grant.scopes.isSuperset(of: $0) }) ?? true else {
        return .refused(OAuthError(.invalidScope, "The scope is more than was allowed."))
      }
      let generation = RefreshText(token)?.generation
      if generation == grant.generation {
        try GrantStore.rotate(id, at: now, on: connection)
        return try GrantStore.grant(id, on: connection).map(Outcome.issued) ?? .refused(invalid)
      }
      // A program that lost the reply gets the same successor.
      if generation == grant.generation - 1,
        now - grant.rotated <= RefreshTokens.repeatMilliseconds
      {
        return .issued(grant)
      }
      return .ended(try end(id, at: now, on: connection))
    }
    return try answer(outcome, scopes: narrowed, ended)
  }

  /// Ends a grant of which somebody has a token who should not.
  private func end(
    _ grant: ID<LoginKind>, at now: Timestamp, on connection: Connection
  ) throws -> [ID<LoginKind>] {
    try AuditLog.record(
      "grant.revoked", on: "grant:" + grant.text, detail: "reused", by: .system, at: now,
      on: connection)
    return try GrantStore.end([grant], at: now, on: connection)
  }

  private func answer(
    _ outcome: Outcome, scopes: Set<Scope>?, _ ended: ([ID<LoginKind>]) -> Void
  ) throws(OAuthError) -> JSON {
    switch outcome {
    case .issued(let grant):
      let scopes = scopes ?? grant.scopes
      return [
        "access_token": .string(accessToken(grant, scopes)), "token_type": "Bearer",
        "expires_in": .int(Accounts.accessTokenSeconds),
        "refresh_token": .string(RefreshText.make(grant, key: refreshKey)),
        "scope": .string(ScopeWords.text(scopes)),
      ]
    case .ended(let grants):
      ended(grants)
      throw OAuthError(.invalidGrant, "It was used before; its tokens have ended.")
    case .refused(let error): throw error
    }
  }

  /// RFC 9068, bound to the resource and, by `sid`, to the grant it ends with: by that we know the person again, for
  /// `sub` names it to this program alone.
  private func accessToken(_ grant: GrantStore.Grant, _ scopes: Set<Scope>) -> String {
    let now = clock.now
    let claims: JSONObject = [
      "iss": .string(issuer), "aud": .string(grant.resource),
      "sub": .string(names.name(of: grant.userID, towardsClient: grant.clientID)),
      "client_id": .string(grant.clientID), "scope": .string(ScopeWords.text(scopes)),
      "iat": .int(now.seconds), "exp": .int(now.seconds + Accounts.accessTokenSeconds),
      "jti": .string(BytesText.base64url(random.bytes(16))), "sid": .string(grant.id.text),
    ]
    return JWT.sign(type: "at+jwt", claims: claims, with: keys.signing(at: now))
  }

  private func isGenuine(_ token: String, _ grant: GrantStore.Grant) -> Bool {
    guard let text = RefreshText(token), text.generation <= grant.generation else { return false }
    let made = RefreshText.make(grant, generation: text.generation, key: refreshKey)
    return Digest.equal(Array(made.utf8), Array(token.utf8))
  }

  private func ownGrant(ofRefresh token: String) -> ID<LoginKind>? { RefreshText(token)?.grant }

  private func ownGrant(ofAccess token: String, at now: Timestamp) -> ID<LoginKind>? {
    // What does not verify or has expired needs no end.
    let claims = try? JWT.verify(
      token, expecting: .init(type: "at+jwt", issuer: issuer, audience: nil), at: now
    ) { keys.verifying($0, at: now) }
    guard claims?["scope"] != nil else { return nil }
    return claims?["sid"]?.string.flatMap { ID<LoginKind>($0) }
  }
}

/// A refresh token: grant (16 bytes), generation (8), HMAC over both and the grant's seed (32), in base64url.
/// It can be made again, so nothing usable is stored.
private struct RefreshText {
  let grant: ID<LoginKind>
  let generation: Int64

  init?(_ text: String) {
    guard text.utf8.count < 100, let bytes = BytesText.bytes(base64url: text), bytes.count == 56,
      let grant = ID<LoginKind>(bytes: Array(bytes[..<16]))
    else { return nil }
    self.grant = grant
    generation = bytes[16..<24].reduce(Int64(0)) { $0 << 8 | Int64($1) }
    if generation < 0 { return nil }
  }

  static func make(_ grant: GrantStore.Grant, generation: Int64? = nil, key: [UInt8]) -> String {
    let count = generation ?? grant.generation
    let number = (0..<8).map { UInt8(truncatingIfNeeded: count >> (56 - 8 * $0)) }
    let body = grant.id.bytes + number
    return BytesText.base64url(body + Digest.hmac(key: key, body + grant.seed))
  }
}
