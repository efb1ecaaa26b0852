public import Cryptography
public import Primitives

/// `private_key_jwt`: who runs a server proves who it is by a token that it signs itself, with a key whose public
/// half it has registered (RFC 7523, sections 2.2 and 3). Providers and OAuth clients do so alike.
public struct ClientAssertion: Sendable, Equatable {
  /// What names this way of proof.
  public static let type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
  /// How far ahead its end may lie, in seconds: what was signed long before may have leaked.
  public static let secondsMax: Int64 = 600
  /// Keys of one client, at most.
  public static let keysMax = 10

  /// Who signed it, about itself.
  public let client: String
  /// Its own id: it counts once.
  public let id: String
  /// How long its id must be remembered: a minute longer than its leeway lets it be used.
  public let rememberedUntil: Timestamp

  /// Verifies an assertion: by one of the client's keys, from and about itself, to us, short-lived. Whether it was
  /// used before is the caller's to find out.
  ///
  /// - Parameters:
  ///   - keys: The client's keys by their ids.
  ///   - audiences: Our own names; it must have exactly one of them.
  public init(
    verifying assertion: String, of client: String, keys: [String: VerifyingKey],
    audiences: [String], at now: Timestamp
  ) throws(JWTError) {
    let claims = try ClientAssertion.claims(of: assertion, client, keys, at: now)
    guard let audience = claims["aud"]?.string, audiences.contains(audience) else {
      throw .claim("aud")
    }
    guard claims["sub"] == .string(client) else { throw .claim("sub") }
    guard let end = claims["exp"]?.int, end <= now.seconds + ClientAssertion.secondsMax else {
      throw .claim("exp")
    }
    guard let id = claims["jti"]?.string, (8...128).contains(id.utf8.count) else {
      throw .claim("jti")
    }
    self.client = client
    self.id = id
    rememberedUntil = Timestamp(milliseconds: (end + 90) * 1_000)
  }

  private static func claims(
    of assertion: String, _ client: String, _ keys: [String: VerifyingKey], at now: Timestamp
  ) throws(JWTError) -> JSONObject {
    // The plain type, and the one of the draft that follows RFC 7523.
    for type in ["JWT", "client-authentication+jwt"] {
      do throws(JWTError) {
        return try JWT.verify(
          assertion,
          expecting: .init(
            type: type, issuer: client, audience: nil,
            algorithms: Set(SigningAlgorithm.allCases)), at: now
        ) { keys[$0] }
      } catch {
        if error != .header { throw error }
      }
    }
    throw .header
  }

  /// Whose an assertion says it is, which decides only which keys may verify it; nil where it says nothing.
  public static func issuer(of assertion: String) -> String? {
    guard assertion.utf8.count <= 8_192 else { return nil }
    let segments = assertion.split(separator: ".", omittingEmptySubsequences: false)
    guard segments.count == 3, let body = BytesText.bytes(base64url: segments[1]) else {
      return nil
    }
    return (try? JSON.parse(body, depthMax: 8))?["iss"]?.string
  }

  /// The members of a key set that may be stored, which is what verifies and nothing else: at most 10 public keys
  /// (P-256, Ed25519 or RSA), each with a `kid` of its own.
  ///
  /// - Parameter pointer: Where the set stands in the request, for the faults.
  public static func publicKeys(
    _ keySet: JSON, at pointer: String = ""
  ) -> (keys: [JSON], faults: [Refusal.Field]) {
    var faults: [Refusal.Field] = []
    let rows = keySet["keys"]?.array ?? []
    if keySet["keys"]?.array == nil || rows.count > keysMax {
      faults.append(.init(pointer + "/keys", "must be a list of at most \(keysMax) keys"))
    }
    var keys: [JSON] = []
    var names: Set<String> = []
    for (index, row) in rows.prefix(keysMax).enumerated() {
      let place = pointer + "/keys/\(index)"
      if row["d"] != nil { faults.append(.init(place + "/d", "is a private part; send none")) }
      guard let kid = row["kid"]?.string, JWT.isKeyID(kid), names.insert(kid).inserted else {
        faults.append(.init(place + "/kid", "must be 1 to 64 of A-Z a-z 0-9 - _, once in the set"))
        continue
      }
      guard let key = VerifyingKey(jwk: row), var jwk = key.jwk.object else {
        faults.append(
          .init(place, "must be a public P-256, Ed25519 or RSA key for signatures"))
        continue
      }
      jwk["kid"] = .string(kid)
      keys.append(.object(jwk))
    }
    return (keys, faults)
  }
}
