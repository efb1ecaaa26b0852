public import Primitives

/// Why a token was not accepted. One code leaves the server; the case is for logs and tests.
public enum JWTError: Error, Equatable, Sendable {
  /// Not three strict base64url segments of JSON within 8 kB.
  case malformed
  /// A header that we do not accept: algorithm, type, `crit`, embedded keys.
  case header
  /// No key of that id, or the signature does not verify.
  case signature
  /// A claim is missing, of the wrong type, or not what was asked for.
  case claim(String)
  /// Past `exp` and the leeway.
  case expired
}

/// JSON Web Tokens (RFC 7519, with the advice of RFC 8725).
public enum JWT {
  /// What a token must be to be accepted.
  public struct Expectation: Sendable {
    /// The exact `typ`: token kinds exclude each other.
    public let type: String
    /// The exact `iss`.
    public let issuer: String
    /// The exact `aud`; nil where the caller checks it.
    public let audience: String?
    /// Seconds of clock difference granted, at most 60.
    public let leewaySeconds: Int64
    /// Seconds after `exp` for which the caller still has a use for the token.
    public let expiredGraceSeconds: Int64
    /// What may sign it here.
    public let algorithms: Set<SigningAlgorithm>

    /// An expectation.
    public init(
      type: String, issuer: String, audience: String?, leewaySeconds: Int64 = 30,
      expiredGraceSeconds: Int64 = 0, algorithms: Set<SigningAlgorithm> = [.es256]
    ) {
      self.algorithms = algorithms
      self.expiredGraceSeconds = expiredGraceSeconds
      self.type = type
      self.issuer = issuer
      self.audience = audience
      self.leewaySeconds = min(leewaySeconds, 60)
    }
  }

  /// The compact form of signed claims; the header is exactly `{alg, kid, typ}`.
  public static func sign(type: String, claims: JSONObject, with key: SigningKey) -> String {
    let header: JSON = [
      "alg": .string(key.algorithm.rawValue), "kid": .string(key.verifying.thumbprint),
      "typ": .string(type),
    ]
    let head = BytesText.base64url(header.bytes)
    let body = BytesText.base64url(JSON.object(claims).bytes)
    let signature = key.sign(Array("\(head).\(body)".utf8))
    return "\(head).\(body).\(BytesText.base64url(signature))"
  }

  /// The claims of a token that passes every check of specification core, 6.1.
  ///
  /// - Parameter key: The key of an id; ids are used only for this look-up.
  public static func verify(
    _ token: String, expecting: Expectation, at now: Timestamp, key: (String) -> VerifyingKey?
  ) throws(JWTError) -> JSONObject {
    // A JWS may be empty, a JWT has claims.
    guard !token.contains("..") else { throw .malformed }
    let payload = try JWS.open(
      token, algorithms: expecting.algorithms, type: expecting.type, key: key)
    guard let claims = JWS.object(payload) else { throw .malformed }
    try check(claims: claims, expecting: expecting, now: now)
    return claims
  }

  /// Whether a text may be a key's id: 1 to 64 of `[A-Za-z0-9_-]`.
  public static func isKeyID(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: true
        default: false
        }
      }
  }

  private static func check(
    claims: JSONObject, expecting: Expectation, now: Timestamp
  ) throws(JWTError) {
    let leeway = expecting.leewaySeconds
    guard claims["iss"] == .string(expecting.issuer) else { throw .claim("iss") }
    if let audience = expecting.audience {
      guard claims["aud"] == .string(audience) else { throw .claim("aud") }
    }
    guard let subject = claims["sub"]?.string, !subject.isEmpty else { throw .claim("sub") }
    guard case .int(let expiry)? = claims["exp"], expiry >= 0 else { throw .claim("exp") }
    guard case .int(let issued)? = claims["iat"], issued <= now.seconds + 60 else {
      throw .claim("iat")
    }
    if let notBefore = claims["nbf"] {
      guard case .int(let start) = notBefore, start <= now.seconds + leeway else {
        throw .claim("nbf")
      }
    }
    // Compared without a sum: `exp` comes from outside and could be as large as it likes.
    guard now.seconds - leeway - expecting.expiredGraceSeconds < expiry else { throw .expired }
  }
}
