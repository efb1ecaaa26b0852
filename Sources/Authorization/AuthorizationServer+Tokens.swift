internal import Cryptography
public import Identity
public import Primitives
internal import SQLite

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

  /// Ends the grant of a token of the client's own; what is no token, or none any more, is no error (RFC 7009).
  /// - Throws: `OAuthError`: `invalid_grant` for a token that is another client's (section 2.1).
  public func revoke(
    _ form: OAuthForm, proof: ClientProof, ended: @Sendable ([ID<LoginKind>]) -> Void
  ) async throws {
    let client = try await prove(form, proof)
    let token = try form.needed("token")
    let now = clock.now
    guard let known = try await grant(ofRefresh: token, orAccess: true), !known.isRevoked else {
      return
    }
    guard known.clientID == client.id else {
      throw OAuthError(.invalidGrant, "The token is another client's.")
    }
    let id = known.id
    let gone = try await database.write { connection -> [ID<LoginKind>] in
      // Another renewal may have come between: it ends with the same grant.
      guard try GrantStore.grant(id, on: connection)?.isRevoked == false else { return [] }
      try AuditLog.record(
        "grant.revoked", on: "grant:" + id.text, by: .system, at: now, on: connection)
      return try GrantStore.end([id], at: now, on: connection)
    }
    ended(gone)
  }

  /// The grant that a genuine token belongs to, or nil. What anybody can make up costs a read, and no turn of the
  /// one writer.
  private func grant(
    ofRefresh token: String, orAccess isAccessToo: Bool = false
  ) async throws -> GrantStore.Grant? {
    if let text = RefreshText(token) {
      let found = try await database.read { try GrantStore.grant(text.grant, on: $0) }
      return found.flatMap { isGenuine(token, $0) ? $0 : nil }
    }
    guard isAccessToo, let id = ownGrant(ofAccess: token, at: clock.now) else { return nil }
    return try await database.read { try GrantStore.grant(id, on: $0) }
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
    let invalid = OAuthError(.invalidGrant, "The code is not valid.")
    // What anybody can make up costs a read, and no turn of the one writer.
    guard try await database.read({ try GrantStore.code(hash: hash, on: $0) }) != nil else {
      throw invalid
    }
    let outcome = try await database.write { connection -> Outcome in
      guard let code = try GrantStore.code(hash: hash, on: connection) else {
        return .refused(invalid)
      }
      if let used = code.grantID {
        // Somebody has it who should not: whoever came first loses what it got (RFC 9700 section 2.1.1). Once.
        guard try GrantStore.grant(used, on: connection)?.isRevoked == false else {
          return .refused(invalid)
        }
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
    let invalid = OAuthError(.invalidGrant, "The refresh token is not valid.")
    guard let known = try await grant(ofRefresh: token), !known.isRevoked else { throw invalid }
    let id = known.id
    let outcome = try await database.write { connection -> Outcome in
      guard let grant = try GrantStore.grant(id, on: connection), !grant.isRevoked,
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
