internal import Cryptography
internal import Identity
internal import Primitives

/// Launch tokens (one redemption, in the redirect's URL) and session tokens (bearer, for heartbeats).
struct SessionTokens: Sendable {
  static let sessionTokenSeconds: Int64 = 900

  let keys: KeyRing
  let issuer: String

  /// The launch token of a session: its life is the session's and five minutes (specification core, 5).
  ///
  /// - Parameter algorithm: What its provider has chosen; while no key of it signs yet, ES256.
  func launch(_ record: SessionRecord, algorithm: SigningAlgorithm = .es256) -> String {
    let issued = Timestamp(milliseconds: record.state.createdAt)
    let claims: JSONObject = [
      "iss": .string(issuer), "aud": .string(record.appID),
      "sub": .string(subject(of: record)), "session_id": .string(record.id.text),
      "service_id": .string(record.serviceID), "jti": .string(BytesText.base64url(record.launchID)),
      "iat": .int(issued.seconds), "nbf": .int(issued.seconds),
      "exp": .int(issued.seconds + record.state.duration / 1_000 + 300),
      "duration_limit": .int(record.state.duration / 1_000),
      "tokens_allocated": .int(record.held / 1_000_000), "scope": "session",
    ]
    let key = keys.signing(at: issued, algorithm: algorithm)
    return JWT.sign(type: "launch+jwt", claims: claims, with: key)
  }

  /// The user's name towards the session's provider, and towards nobody else (pairwise).
  func subject(of record: SessionRecord) -> String {
    PairwiseNames(keys: keys).name(of: record.userID, atProvider: record.providerID)
  }

  /// The session and token id that a launch token names.
  /// - Throws: `Refusal` `token_invalid` or `token_expired`.
  func launched(_ token: String, at now: Timestamp) throws(Refusal) -> (
    ID<SessionKind>, jti: [UInt8]
  ) {
    let claims = try verify(
      token, type: "launch+jwt", audience: nil, at: now,
      algorithms: Set(SigningAlgorithm.allCases))
    guard let id = claims["session_id"]?.string.flatMap({ ID<SessionKind>($0) }),
      let jti = claims["jti"]?.string.flatMap({ BytesText.bytes(base64url: $0) }), jti.count == 16
    else { throw Refusal(.tokenInvalid, "The launch token is not valid.") }
    return (id, jti)
  }

  /// A bearer token for one session.
  func session(_ record: SessionRecord, at now: Timestamp, random: RandomSource) -> String {
    let claims: JSONObject = [
      "iss": .string(issuer), "aud": .string(issuer), "sub": .string(record.id.text),
      "client_id": .string(record.appID), "iat": .int(now.seconds),
      "exp": .int(now.seconds + SessionTokens.sessionTokenSeconds),
      "jti": .string(BytesText.base64url(random.bytes(16))), "scope": "session",
    ]
    return JWT.sign(type: "at+jwt", claims: claims, with: keys.signing(at: now))
  }

  /// How long after its end a token can still wake a paused session, in seconds.
  static let lateSeconds: Int64 = 1_800

  /// A token with no more than this left is replaced by the next reply, in seconds.
  static let ageingSeconds: Int64 = 300

  /// The session that a bearer token is for, and how old the token is.
  func bearer(_ token: String, at now: Timestamp) throws(Refusal) -> SessionActor {
    let claims = try verify(
      token, type: "at+jwt", audience: issuer, at: now, grace: SessionTokens.lateSeconds)
    guard claims["scope"] == "session",
      let id = claims["sub"]?.string.flatMap({ ID<SessionKind>($0) })
    else { throw Refusal(.tokenInvalid, "The session token is not valid.") }
    let left = (claims["exp"]?.int ?? 0) - now.seconds
    // The verifier's own leeway of 30 s counts as not late.
    return .bearer(
      id, left <= -30 ? .late : left <= SessionTokens.ageingSeconds ? .ageing : .fresh)
  }

  private func verify(
    _ token: String, type: String, audience: String?, at now: Timestamp, grace: Int64 = 0,
    algorithms: Set<SigningAlgorithm> = [.es256]
  ) throws(Refusal) -> JSONObject {
    do throws(JWTError) {
      return try JWT.verify(
        token,
        expecting: .init(
          type: type, issuer: issuer, audience: audience, expiredGraceSeconds: grace,
          algorithms: algorithms), at: now
      ) { keys.verifying($0, at: now) }
    } catch {
      if error == .expired { throw Refusal(.tokenExpired, "The token has expired.") }
      throw Refusal(.tokenInvalid, "The token is not valid.")
    }
  }
}
