internal import Cryptography
public import Primitives
public import SQLite
internal import Synchronization

/// Accounts of people, sign-in, API keys.
public struct Accounts: Sendable {
  /// The life of an access token, in seconds.
  public static let accessTokenSeconds: Int64 = 900

  /// The longest password.
  public static let passwordByteCountMax = 1_024
  /// How every API key of a provider begins.
  public static let keyPrefix = "wpk_"

  private let database: Database
  private let clock: Clock
  private let random: RandomSource
  private let keys: KeyRing
  private let issuer: String
  // Its hash takes as long to check as a real one: an unknown e-mail costs the same time.
  private let decoyHash: String
  private let lane = PasswordLane()
  private let guesses = Guesses()

  private final class Guesses: Sendable {
    let throttle = Mutex(SignInThrottle())
  }

  /// - Parameter issuer: The public address: `iss` and `aud` of access tokens.
  public init(
    database: Database, clock: Clock, random: RandomSource, keys: KeyRing, issuer: String
  ) {
    self.database = database
    self.clock = clock
    self.random = random
    self.keys = keys
    self.issuer = issuer
    decoyHash = PasswordHash.make("decoy", random: random)
  }

  /// Makes an account.
  /// - Throws: `Refusal` `validation_failed`, or `email_taken`.
  public func register(
    email: String, password: String, name: String?, role: Role = .user, providerID: String? = nil
  ) async throws -> User {
    let email = email.lowercased()
    try Accounts.check(email: email, password: password, name: name)
    let random = random
    let hash = try await lane.run { PasswordHash.make(password, random: random) }
    let user = User(
      id: ID(at: clock.now, random: random), email: email, name: name, role: role,
      providerID: providerID)
    let now = clock.now
    try await database.write { connection in
      do {
        try connection.run(
          """
          INSERT INTO user(id, email, name, password_hash, role, provider_id, created_ms)
          VALUES (?, ?, ?, ?, ?, ?, ?)
          """,
          [
            .blob(user.id.bytes), .text(email), .optional(name), .text(hash), .text(role.rawValue),
            .optional(providerID), .int(now.milliseconds),
          ])
      } catch let error as SQLiteError where error.isUnique {
        throw Refusal(.emailTaken, "There is an account with this e-mail already.")
      }
    }
    return user
  }

  /// The account of an e-mail and password.
  ///
  /// - Parameter address: Where the caller is: ten failures a minute at one account are taken from it.
  /// - Throws: `Refusal` `unauthenticated`, the same for an unknown e-mail and a wrong password; `rate_limited`.
  public func signIn(
    email: String, password: String, from address: String = ""
  ) async throws -> User {
    // Longer ones were never let in; hashing them would only cost.
    guard password.utf8.count <= Accounts.passwordByteCountMax, email.utf8.count <= 254 else {
      throw Refusal(.unauthenticated, "The e-mail or the password is not right.")
    }
    let account = email.lowercased()
    let wait = try guesses.throttle.withLock { throttle throws(Refusal) in
      try throttle.delay(account: account, address: address, at: clock.now)
    }
    if wait > 0 { try await Task.sleep(for: .milliseconds(wait)) }
    let found = try await database.read { connection in
      try connection.first(
        "SELECT id, email, name, role, provider_id, password_hash FROM user WHERE email = ?",
        [.text(account)]
      ) { row in (Accounts.user(row), row.text(5)) }
    }
    let hash = found?.1 ?? decoyHash
    let isRight = try await lane.run { PasswordHash.verify(password, against: hash) }
    guard isRight, let user = found?.0 else {
      let now = clock.now
      guesses.throttle.withLock { $0.failed(account: account, address: address, at: now) }
      throw Refusal(.unauthenticated, "The e-mail or the password is not right.")
    }
    guesses.throttle.withLock { $0.succeeded(account: account, address: address) }
    return user
  }

  /// The account of an id, or nil.
  public func user(_ id: ID<UserKind>) async throws -> User? {
    try await database.read { connection in
      try connection.first(
        "SELECT id, email, name, role, provider_id FROM user WHERE id = ?", [.blob(id.bytes)]
      ) { Accounts.user($0) } ?? nil
    }
  }

  /// An access token of 15 minutes (RFC 9068).
  public func accessToken(of user: User) -> String {
    let now = clock.now
    var claims: JSONObject = [
      "iss": .string(issuer), "aud": .string(issuer), "sub": .string(user.id.text),
      "client_id": "waypost", "iat": .int(now.seconds),
      "exp": .int(now.seconds + Accounts.accessTokenSeconds),
      "jti": .string(BytesText.base64url(random.bytes(16))), "role": .string(user.role.rawValue),
    ]
    if let providerID = user.providerID { claims["provider_id"] = .string(providerID) }
    return JWT.sign(type: "at+jwt", claims: claims, with: keys.signing(at: now))
  }

  /// Who a bearer credential belongs to: an access token or a provider's API key.
  /// - Throws: `Refusal` `token_expired` or `token_invalid`.
  public func principal(bearer: String) async throws -> Principal {
    if bearer.hasPrefix(Accounts.keyPrefix) { return try await principal(apiKey: bearer) }
    return try principal(accessToken: bearer)
  }

  /// Who an access token belongs to, without a look at the record.
  /// - Throws: `Refusal` `token_expired` or `token_invalid`.
  public func principal(accessToken bearer: String) throws(Refusal) -> Principal {
    let now = clock.now
    do throws(JWTError) {
      let claims = try JWT.verify(
        bearer, expecting: .init(type: "at+jwt", issuer: issuer, audience: issuer), at: now
      ) { keys.verifying($0, at: now) }
      guard claims["scope"] == nil, let id = claims["sub"]?.string.flatMap({ ID<UserKind>($0) }),
        let role = claims["role"]?.string.flatMap(Role.init(rawValue:))
      else { throw JWTError.claim("sub") }
      return .user(id, role, providerID: claims["provider_id"]?.string)
    } catch {
      if error == .expired { throw Refusal(.tokenExpired, "The access token has expired.") }
      throw Refusal(.tokenInvalid, "The access token is not valid.")
    }
  }

  private func principal(apiKey: String) async throws -> Principal {
    let hash = Digest.sha256(Array(apiKey.utf8))
    let providerID = try await database.read { connection in
      try connection.first(
        "SELECT provider_id FROM api_key WHERE secret_hash = ? AND revoked_ms IS NULL",
        [.blob(hash)]
      ) { $0.text(0) }
    }
    guard let providerID else { throw Refusal(.tokenInvalid, "The API key is not valid.") }
    return .providerKey(providerID: providerID)
  }

  /// Makes an API key of a provider; the secret is shown only here.
  public func makeAPIKey(providerID: String, name: String) async throws -> (
    id: String, secret: String
  ) {
    let secret = Accounts.keyPrefix + BytesText.base64url(random.bytes(32))
    let id = ID<UserKind>(at: clock.now, random: random)
    let now = clock.now
    try await database.write { connection in
      let exists = try connection.first(
        "SELECT 1 FROM provider WHERE id = ?", [.text(providerID)]
      ) { _ in true }
      guard exists == true else { throw Refusal(.notFound, "There is no provider \(providerID).") }
      try connection.run(
        "INSERT INTO api_key(id, secret_hash, provider_id, name, created_ms) VALUES (?, ?, ?, ?, ?)",
        [
          .blob(id.bytes), .blob(Digest.sha256(Array(secret.utf8))), .text(providerID), .text(name),
          .int(now.milliseconds),
        ])
    }
    return (id.text, secret)
  }

  /// An API key as its owner's operator sees it; never the secret.
  public struct APIKey: Sendable {
    /// The id.
    public let id: String
    /// The provider.
    public let providerID: String
    /// The name.
    public let name: String
    /// When it was made.
    public let createdAt: Timestamp
    /// When it was revoked, or nil.
    public let revokedAt: Timestamp?
  }

  /// Every API key, oldest first.
  public func apiKeys() async throws -> [APIKey] {
    try await database.read { connection in
      try connection.rows(
        "SELECT id, provider_id, name, created_ms, revoked_ms FROM api_key ORDER BY id"
      ) { row in
        APIKey(
          id: ID<UserKind>(bytes: row.blob(0))?.text ?? "", providerID: row.text(1),
          name: row.text(2), createdAt: Timestamp(milliseconds: row.int(3)),
          revokedAt: row.optionalInt(4).map(Timestamp.init(milliseconds:)))
      }
    }
  }

  /// Ends an API key for good, from the next request on; repeating it changes nothing.
  /// - Throws: `Refusal` `not_found`.
  public func revokeAPIKey(_ id: String) async throws {
    let now = clock.now
    try await database.write { connection in
      let changed = try ID<UserKind>(id).map { id in
        try connection.run(
          "UPDATE api_key SET revoked_ms = coalesce(revoked_ms, ?) WHERE id = ?",
          [.int(now.milliseconds), .blob(id.bytes)])
      }
      guard changed == 1 else { throw Refusal(.notFound, "There is no such API key.") }
    }
  }

  private static func user(_ row: borrowing Row) -> User? {
    guard let id = ID<UserKind>(bytes: row.blob(0)), let role = Role(rawValue: row.text(3)) else {
      return nil
    }
    return User(
      id: id, email: row.text(1), name: row.optionalText(2), role: role,
      providerID: row.optionalText(4))
  }

  private static func check(email: String, password: String, name: String?) throws(Refusal) {
    var faults: [Refusal.Field] = []
    let sides = email.split(separator: "@", omittingEmptySubsequences: false)
    let isSound =
      sides.count == 2 && !sides[0].isEmpty && sides[1].contains(".") && email.utf8.count <= 254
      && email.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }
    if !isSound { faults.append(.init("/email", "must be an e-mail address")) }
    if password.unicodeScalars.count < 8 {
      faults.append(.init("/password", "must have at least 8 characters"))
    }
    if password.utf8.count > passwordByteCountMax {
      faults.append(.init("/password", "must have at most \(passwordByteCountMax) bytes"))
    }
    if let name, name.unicodeScalars.count > 200 {
      faults.append(.init("/name", "must have at most 200 characters"))
    }
    guard faults.isEmpty else {
      throw Refusal(.validationFailed, "The account is not valid.", fields: faults)
    }
  }
}
