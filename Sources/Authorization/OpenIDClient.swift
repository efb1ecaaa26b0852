internal import Cryptography
public import Primitives

/// What the operator says of the OpenID provider that people may sign in with.
public struct OpenIDSettings: Sendable {
  /// The provider: an https address, or http on loopback for development.
  public let issuer: String
  /// Our id there.
  public let clientID: String
  /// Our secret there; nil for a public client.
  public let secret: String?

  /// Settings.
  /// - Throws: `Refusal` `validation_failed`.
  public init(issuer: String, clientID: String, secret: String?) throws(Refusal) {
    guard let address = WebAddress(issuer), !address.rest.contains("?"),
      !address.rest.hasSuffix("/"), address.scheme == "https" || address.isLoopback
    else {
      throw Refusal(
        .validationFailed,
        "--oidc-issuer must be an https address without query or slash at the end.")
    }
    guard (1...255).contains(clientID.utf8.count) else {
      throw Refusal(.validationFailed, "--oidc-client-id must have 1 to 255 characters.")
    }
    self.issuer = issuer
    self.clientID = clientID
    self.secret = secret
  }
}

/// Who the OpenID provider says has signed in.
public struct OpenIDPerson: Sendable, Equatable {
  /// Who it is there.
  public let identity: ExternalIdentity
  /// The e-mail, in lower case; nil where the provider gives none or has not verified it.
  public let verifiedEmail: String?
  /// The name, where it gives one.
  public let name: String?
  /// When the provider says that it saw the person; nil where it does not say.
  public var signedInAt: Timestamp?

  /// A person.
  public init(identity: ExternalIdentity, verifiedEmail: String?, name: String?) {
    self.identity = identity
    self.verifiedEmail = verifiedEmail
    self.name = name
  }
}

/// Sign-in through an OpenID provider: code with PKCE S256, state, nonce, the issuer's name in the answer (OpenID
/// Connect Core 1.0; RFC 9700; RFC 9207).
public struct OpenIDClient: Sendable {
  /// How long a sign-in may take at the provider, in milliseconds.
  public static let attemptMilliseconds: Int64 = 600_000

  private let settings: OpenIDSettings
  private let provider: OpenIDProvider
  private let fetcher: DocumentFetcher
  private let clock: Clock
  private let random: RandomSource
  private let sealer: Sealer
  private let redirectURI: String

  /// - Parameters:
  ///   - key: A 32-byte key of the server; it seals what the browser keeps during a sign-in.
  ///   - redirectURI: Where the provider sends the browser back to.
  public init(
    settings: OpenIDSettings, fetcher: DocumentFetcher, clock: Clock, random: RandomSource,
    key: [UInt8], redirectURI: String
  ) {
    self.settings = settings
    self.fetcher = fetcher
    self.clock = clock
    self.random = random
    self.redirectURI = redirectURI
    sealer = Sealer(key: key)
    provider = OpenIDProvider(issuer: settings.issuer, fetcher: fetcher, clock: clock)
  }

  /// A sign-in that has begun.
  public struct Attempt: Sendable {
    /// Where the browser goes.
    public let address: String
    /// What the browser keeps until it comes back; sealed.
    public let cookie: String
  }

  /// Begins a sign-in.
  ///
  /// - Parameters:
  ///   - place: Where the browser goes in the end: a path of our own.
  ///   - again: Where it is to stand for a password: the provider must ask its person, whoever is signed in there.
  /// - Throws: `Refusal` `storage_unavailable`.
  public func begin(
    returningTo place: String, again: SignInAgain? = nil
  ) async throws -> Attempt {
    let endpoint = try await provider.description().authorizationEndpoint
    let state = BytesText.base64url(random.bytes(32))
    let nonce = BytesText.base64url(random.bytes(32))
    let verifier = BytesText.base64url(random.bytes(32))
    let kept: JSON = [
      "state": .string(state), "nonce": .string(nonce), "verifier": .string(verifier),
      "place": .string(place), "again": again?.json ?? .null,
      "begun": .int(clock.now.seconds),
      "until": .int((clock.now + OpenIDClient.attemptMilliseconds).milliseconds),
    ]
    let challenge = BytesText.base64url(Digest.sha256(Array(verifier.utf8)))
    let form = OAuthForm(
      [
        ("response_type", "code"), ("client_id", settings.clientID), ("redirect_uri", redirectURI),
        ("scope", "openid email profile"), ("state", state), ("nonce", nonce),
        ("code_challenge", challenge), ("code_challenge_method", "S256"),
      ] + (again == nil ? [] : [("prompt", "login"), ("max_age", "0")]))
    return Attempt(
      address: form.added(to: endpoint),
      cookie: BytesText.base64url(
        sealer.seal(kept.bytes, label: "attempt", nonce: random.bytes(12))))
  }

  /// Ends a sign-in with what the provider sent the browser back with.
  ///
  /// - Returns: Who it was, and the place and the wish that `begin` was told.
  /// - Throws: `Refusal` `unauthenticated` where anything is not right; `storage_unavailable`.
  public func finish(_ form: OAuthForm, cookie: String?) async throws -> (
    person: OpenIDPerson, place: String, again: SignInAgain?
  ) {
    let kept = try attempt(cookie)
    let metadata = try await provider.description()
    let code = try code(of: form, state: kept["state"]?.string ?? "", metadata)
    let token = try await idToken(
      for: code, verifier: kept["verifier"]?.string ?? "", from: metadata)
    let claims = try await claims(of: token, nonce: kept["nonce"]?.string ?? "")
    let again = SignInAgain(kept["again"])
    if again != nil { try requireFresh(claims, since: kept["begun"]?.int ?? .max) }
    return (person(claims), kept["place"]?.string ?? "/", again)
  }

  /// Where the provider says when it saw its person, that was in this sign-in (OpenID Connect Core 3.1.2.1, max_age).
  private func requireFresh(_ claims: JSONObject, since begun: Int64) throws(Refusal) {
    guard let claim = claims["auth_time"] else { return }
    guard case .int(let second) = claim, second >= begun - IDToken.leewaySeconds,
      second <= clock.now.seconds + IDToken.leewaySeconds
    else {
      throw OpenIDClient.refusal("The sign-in service has not asked you again; begin anew.")
    }
  }

  private func attempt(_ cookie: String?) throws(Refusal) -> JSON {
    guard let bytes = cookie.flatMap({ BytesText.bytes(base64url: $0) }),
      let text = sealer.open(bytes, label: "attempt"), let kept = try? JSON.parse(text),
      let until = kept["until"]?.int, clock.now.milliseconds < until
    else { throw OpenIDClient.refusal("This sign-in was not begun here, or long ago.") }
    return kept
  }

  private func code(
    of form: OAuthForm, state: String, _ metadata: OpenIDMetadata
  ) throws(Refusal) -> String {
    let sent: (state: String?, issuer: String?, error: String?, code: String?)
    do {
      sent = (
        try form.one("state"), try form.one("iss"), try form.one("error"), try form.one("code")
      )
    } catch {
      throw OpenIDClient.refusal("The answer names something twice.")
    }
    guard let given = sent.state, Digest.equal(Array(given.utf8), Array(state.utf8)) else {
      throw OpenIDClient.refusal("The answer is not to this sign-in.")
    }
    guard sent.issuer == settings.issuer || (sent.issuer == nil && !metadata.namesItself) else {
      throw OpenIDClient.refusal("The answer is of another sign-in service.")
    }
    guard sent.error == nil, let code = sent.code else {
      throw OpenIDClient.refusal("The sign-in service did not let you in.")
    }
    return code
  }

  private func idToken(
    for code: String, verifier: String, from metadata: OpenIDMetadata
  ) async throws(Refusal) -> String {
    var pairs = [
      ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirectURI),
      ("code_verifier", verifier),
    ]
    var headers: [(name: String, value: String)] = []
    if let secret = settings.secret, !metadata.takesSecretInForm {
      let text = OAuthForm.escaped(settings.clientID) + ":" + OAuthForm.escaped(secret)
      headers.append((name: "Authorization", value: "Basic " + Base64Text.padded(Array(text.utf8))))
    } else {
      pairs.append(("client_id", settings.clientID))
      if let secret = settings.secret { pairs.append(("client_secret", secret)) }
    }
    let answer = await fetcher.post(
      metadata.tokenEndpoint, form: OAuthForm(pairs.map { (name: $0.0, value: $0.1) }),
      headers: headers, byteCountMax: OpenIDProvider.byteCountMax)
    guard let answer else {
      throw Refusal(
        .storageUnavailable, "The sign-in service does not answer; try again in a minute.",
        retryAfterSeconds: 60)
    }
    guard answer.status == 200, let token = (try? JSON.parse(answer.bytes))?["id_token"]?.string
    else { throw OpenIDClient.refusal("The sign-in service did not accept the answer.") }
    return token
  }

  /// The claims of an ID token by the checklist (specification core, 6.1; OpenID Connect Core 3.1.3.7).
  private func claims(of token: String, nonce: String) async throws(Refusal) -> JSONObject {
    let refusal = OpenIDClient.refusal("The sign-in service's token is not valid.")
    let id: String?
    do throws(JWTError) { id = try IDToken.keyID(of: token) } catch { throw refusal }
    guard let key = try await provider.key(id) else { throw refusal }
    do throws(JWTError) {
      return try IDToken.verify(
        token, issuer: settings.issuer, clientID: settings.clientID, nonce: nonce, at: clock.now,
        key: key)
    } catch {
      throw refusal
    }
  }

  private func person(_ claims: JSONObject) -> OpenIDPerson {
    // Another's address must not come out of one that only looks like it: the Kelvin sign in lower case is a k.
    let email = claims["email"]?.string.flatMap { $0.utf8.allSatisfy { $0 < 0x80 } ? $0 : nil }
    let isVerified = claims["email_verified"]?.bool ?? false
    let name = claims["name"]?.string.flatMap { ClientName.isSound($0) ? $0 : nil }
    var person = OpenIDPerson(
      identity: ExternalIdentity(source: source, externalID: claims["sub"]?.string ?? ""),
      verifiedEmail: isVerified ? email?.lowercased() : nil, name: name)
    if case .int(let second)? = claims["auth_time"], second >= 0, second < Int64.max / 1_000 {
      person.signedInAt = Timestamp(milliseconds: second * 1_000)
    }
    return person
  }

  /// As whose word the provider's identities are kept.
  public var source: String { "oidc:" + settings.issuer }

  static func refusal(_ detail: String) -> Refusal { Refusal(.unauthenticated, detail) }
}

/// base64 with padding (RFC 4648 section 4), which Basic authentication wants.
enum Base64Text {
  static func padded(_ bytes: [UInt8]) -> String {
    let text = BytesText.base64url(bytes).replacing("-", with: "+").replacing("_", with: "/")
    return text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
  }
}
