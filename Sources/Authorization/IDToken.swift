public import Cryptography
public import Primitives

/// ID tokens of an OpenID provider (OpenID Connect Core 1.0 section 2).
public enum IDToken {
  /// Seconds of clock difference granted.
  static let leewaySeconds: Int64 = 60

  /// The id of the key that a token says it is signed with; nil where it names none.
  /// - Throws: `JWTError` `header` where what it names is no id of a key.
  static func keyID(of token: String) throws(JWTError) -> String? {
    guard let named = header(of: token)?["kid"] else { return nil }
    guard let id = named.string, JWT.isKeyID(id) else { throw .header }
    return id
  }

  private static func header(of token: String) -> JSON? {
    guard token.utf8.count <= JWS.byteCountMax,
      let head = token.split(separator: ".", omittingEmptySubsequences: false).first,
      let bytes = BytesText.bytes(base64url: head)
    else { return nil }
    return try? JSON.parse(bytes, depthMax: 8)
  }

  /// The claims of a token that is this provider's, for this client, and of this sign-in.
  ///
  /// - Parameter key: The key that the token's header names.
  public static func verify(
    _ token: String, issuer: String, clientID: String, nonce: String, at now: Timestamp,
    key: VerifyingKey
  ) throws(JWTError) -> JSONObject {
    // Access and logout tokens have types of their own; an ID token has this one or none.
    if let type = header(of: token)?["typ"] {
      guard type.string?.lowercased() == "jwt" else { throw .header }
    }
    let payload = try JWS.open(
      token, algorithms: Set(SigningAlgorithm.allCases), type: nil, needsKeyID: false,
      key: { _ in key })
    guard let claims = JWS.object(payload) else { throw .malformed }
    try check(claims, issuer: issuer, clientID: clientID, nonce: nonce, now: now)
    return claims
  }

  private static func check(
    _ claims: JSONObject, issuer: String, clientID: String, nonce: String, now: Timestamp
  ) throws(JWTError) {
    guard claims["iss"] == .string(issuer) else { throw .claim("iss") }
    // A list of this client alone says the same; with another in it, the token is not ours only.
    guard claims["aud"] == .string(clientID) || claims["aud"] == .array([.string(clientID)]) else {
      throw .claim("aud")
    }
    if let party = claims["azp"], party != .string(clientID) { throw .claim("azp") }
    guard let subject = claims["sub"]?.string, (1...255).contains(subject.utf8.count) else {
      throw .claim("sub")
    }
    guard !nonce.isEmpty, claims["nonce"] == .string(nonce) else { throw .claim("nonce") }
    guard case .int(let expiry)? = claims["exp"], expiry >= 0 else { throw .claim("exp") }
    guard case .int(let issued)? = claims["iat"], issued >= 0,
      issued <= now.seconds + leewaySeconds
    else { throw .claim("iat") }
    if let start = claims["nbf"] {
      guard case .int(let second) = start, second <= now.seconds + leewaySeconds else {
        throw .claim("nbf")
      }
    }
    guard now.seconds - leewaySeconds < expiry else { throw .expired }
  }
}
