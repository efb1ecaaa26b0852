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

  /// How every API key of a person begins.
  public static let userKeyPrefix = "wpu_"

  /// Whether a bearer credential is an API key or made from one: it then costs a read of the record.
  public static func isKey(_ bearer: String) -> Bool {
    [keyPrefix, userKeyPrefix, ScopedToken.prefix].contains { bearer.hasPrefix($0) }
  }

  let database: Database
  let clock: Clock
  let random: RandomSource
  let lane = PasswordLane()
  let guesses = Guesses()
  let passwords: PasswordList
  let logins: RevokedLogins
  /// API keys of people and providers.
  public let apiKeyStore: APIKeyStore
  /// Sends e-mail; nil where the server has no SMTP settings.
  public let mail: MailDesk?
  private let keys: KeyRing
  let names: PairwiseNames
  let issuer: String
  // Its hash takes as long to check as a real one: an unknown e-mail costs the same time.
  private let decoyHash: String

  final class Guesses: Sendable {
    let throttle = Mutex(SignInThrottle())
    /// Failed sign-ins since they were noted last, by the account's name in the audit log.
    let failures = Mutex<[String: Int]>([:])
  }

  /// - Parameters:
  ///   - issuer: The public address: `iss` and `aud` of access tokens.
  ///   - passwords: Those that nobody may choose.
  ///   - logins: Logins whose access tokens are refused although they have not expired.
  ///   - mail: Sends e-mail; nil where there is no way to.
  public init(
    database: Database, clock: Clock, random: RandomSource, keys: KeyRing, issuer: String,
    passwords: PasswordList = .common, logins: RevokedLogins = RevokedLogins(),
    mail: MailDesk? = nil
  ) {
    self.database = database
    self.clock = clock
    self.random = random
    self.keys = keys
    names = PairwiseNames(keys: keys)
    self.issuer = issuer
    self.passwords = passwords
    self.logins = logins
    self.mail = mail
    apiKeyStore = APIKeyStore(key: keys.derived(for: "api-key"))
    decoyHash = PasswordHash.make(BytesText.base64url(random.bytes(32)), random: random)
  }

  /// Makes an account.
  /// - Throws: `Refusal` `validation_failed`, or `email_taken`.
  public func register(
    email: String, password: String, name: String?, role: Role = .user, providerID: String? = nil,
    by author: AuditLog.Author = .terminal
  ) async throws -> User {
    var form = Registration(email: email, password: password, name: name)
    form.role = role
    form.providerID = providerID
    let (user, hash) = try await prepare(form)
    let now = clock.now
    try await database.write { connection in
      try Accounts.insert(user, hash: hash, by: author, at: now, on: connection)
    }
    return user
  }

  /// The account of a sound form, not yet stored, and the hash of its password.
  func prepare(_ form: Registration) async throws -> (User, hash: String) {
    try form.check(against: passwords)
    let (random, password) = (random, form.password)
    let hash = try await lane.run { PasswordHash.make(password, random: random) }
    var user = User(
      id: ID(at: clock.now, random: random), email: form.email, name: form.name, role: form.role,
      providerID: form.providerID)
    user.createdAt = clock.now
    return (user, hash)
  }

  static func insert(
    _ user: User, hash: String, by author: AuditLog.Author, at now: Timestamp,
    on connection: Connection
  ) throws {
    do {
      try connection.run(
        """
        INSERT INTO user(id, email, name, password_hash, role, provider_id, created_ms, verified_ms)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        """,
        [
          .blob(user.id.bytes), .text(user.email), .optional(user.name), .text(hash),
          .text(user.role.rawValue), .optional(user.providerID), .int(now.milliseconds),
          .optional(user.verifiedAt?.milliseconds),
        ])
    } catch let error as SQLiteError where error.isUnique {
      throw Refusal(.emailTaken, "There is an account with this e-mail already.")
    }
    try AuditLog.record(
      "user.made", on: "user:" + user.id.text, detail: user.role.rawValue, by: author, at: now,
      on: connection)
  }

  /// The account of an e-mail and password.
  ///
  /// - Parameters:
  ///   - address: Where the caller is: ten failures a minute at one account are taken from it.
  ///   - isGuess: Whether the password may be one. The repeat of a registration under its key is none, however many come
  ///     at once: another password is another body.
  /// - Throws: `Refusal` `unauthenticated`, the same for an unknown e-mail and a wrong password; `rate_limited`.
  public func signIn(
    email: String, password: String, from address: String = "", isGuess: Bool = true
  ) async throws -> User {
    // Longer ones were never let in; hashing them would only cost.
    guard password.utf8.count <= Accounts.passwordByteCountMax, email.utf8.count <= 254 else {
      throw Refusal(.unauthenticated, "The e-mail or the password is not right.")
    }
    let account = email.lowercased()
    var (known, hash): (User?, String) = (nil, "")
    func look() async throws -> Bool {
      let found = try await database.read { connection in
        try connection.first(
          "SELECT \(Accounts.columns), password_hash FROM user WHERE email = ?", [.text(account)]
        ) { row in (Accounts.user(row), row.text(9)) }
      }
      (known, hash) = found ?? (nil, "")
      return try await isRight(password, hash)
    }
    let isKnown =
      try await isGuess ? throttled(account: account, address: address, look) : look()
    guard isKnown, var user = known else {
      note(failureOf: known?.id)
      throw Refusal(.unauthenticated, "The e-mail or the password is not right.")
    }
    guard user.frozenAt == nil else {
      throw Refusal(.forbidden, "This account may not sign in; ask the operator.")
    }
    // A sign-in must not fail for what can be done at the next one.
    let isWeak = PasswordHash.isWeak(hash) && database.isWritable
    let stored = isWeak ? try await rehash(password, of: user.id, instead: hash) : hash
    user.proof = SignInProof(hash: stored, role: user.role, providerID: user.providerID)
    return user
  }

  /// Whether a password is the one of a hash; it takes as long where there is none, which nothing is right for.
  func isRight(_ password: String, _ hash: String) async throws(Refusal) -> Bool {
    let compared = hash.isEmpty ? decoyHash : hash
    let isEqual = try await lane.run { PasswordHash.verify(password, against: compared) }
    return isEqual && !hash.isEmpty
  }

  /// Parameters have risen since the hash was made: now is the only time that the password is here.
  ///
  /// - Returns: The hash made; where another sign-in or a change was faster, it is not the stored one.
  private func rehash(
    _ password: String, of user: ID<UserKind>, instead old: String
  ) async throws -> String {
    let random = random
    let hash = try await lane.run { PasswordHash.make(password, random: random) }
    try await database.write { connection -> Void in
      try connection.run(
        "UPDATE user SET password_hash = ? WHERE id = ? AND password_hash = ?",
        [.text(hash), .blob(user.bytes), .text(old)])
    }
    return hash
  }

  func note(failureOf user: ID<UserKind>?) {
    let name = user.map { "user:" + $0.text } ?? "unknown"
    guesses.failures.withLock { failures in
      // Beyond that many accounts in a minute it matters only how many.
      failures[failures.count < 1_000 ? name : "unknown", default: 0] += 1
    }
  }

  /// The account of an id, or nil.
  public func user(_ id: ID<UserKind>) async throws -> User? {
    try await database.read { try Accounts.user(id, on: $0) }
  }

  static func user(_ id: ID<UserKind>, on connection: Connection) throws -> User? {
    try connection.first(
      "SELECT \(columns) FROM user WHERE id = ?", [.blob(id.bytes)]
    ) { Accounts.user($0) } ?? nil
  }

  static let columns = """
    id, email, name, role, provider_id, verified_ms, frozen_ms, created_ms, conversation_days
    """

  /// An access token of 15 minutes (RFC 9068).
  ///
  /// - Parameter login: The login that it belongs to and ends with.
  public func accessToken(of user: User, login: ID<LoginKind>? = nil) -> String {
    let now = clock.now
    var claims: JSONObject = [
      "iss": .string(issuer), "aud": .string(issuer), "sub": .string(user.id.text),
      "client_id": "waypost", "iat": .int(now.seconds),
      "exp": .int(now.seconds + Accounts.accessTokenSeconds),
      "jti": .string(BytesText.base64url(random.bytes(16))), "role": .string(user.role.rawValue),
    ]
    if let providerID = user.providerID { claims["provider_id"] = .string(providerID) }
    if let login { claims["sid"] = .string(login.text) }
    return JWT.sign(type: "at+jwt", claims: claims, with: keys.signing(at: now))
  }

  /// Who a bearer credential belongs to, and within which bounds: an access token, an API key, or a scoped token
  /// made from one.
  /// - Throws: `Refusal` `token_expired` or `token_invalid`.
  public func credential(bearer: String) async throws -> Credential {
    if bearer.hasPrefix(ScopedToken.prefix) { return try await credential(scoped: bearer) }
    if Accounts.isKey(bearer) { return try await credential(apiKey: bearer) }
    let claims = try claims(of: bearer)
    // Only a third party's token has a scope, and with it bounds.
    if claims["scope"] != nil { return try await credential(thirdParty: claims) }
    return try credential(of: claims)
  }

  /// Who an access token belongs to, without a look at the record.
  /// - Throws: `Refusal` `token_expired` or `token_invalid`, which a third party's token is here.
  public func principal(accessToken bearer: String) throws(Refusal) -> Principal {
    let claims = try claims(of: bearer)
    // A third party's token has bounds, and here nobody looks at them.
    guard claims["scope"] == nil else {
      throw Refusal(.tokenInvalid, "A program's token is not for this.")
    }
    return try credential(of: claims).principal
  }

  /// The claims of an access token that verifies; for whom and what it is has not been looked at.
  private func claims(of bearer: String) throws(Refusal) -> JSONObject {
    let now = clock.now
    do throws(JWTError) {
      return try JWT.verify(
        bearer, expecting: .init(type: "at+jwt", issuer: issuer, audience: nil), at: now
      ) { keys.verifying($0, at: now) }
    } catch {
      throw Accounts.refusal(error)
    }
  }

  private func credential(of claims: JSONObject) throws(Refusal) -> Credential {
    guard claims["aud"] == .string(issuer),
      let id = claims["sub"]?.string.flatMap({ ID<UserKind>($0) }),
      let role = claims["role"]?.string.flatMap(Role.init(rawValue:))
    else { throw Accounts.refusal(.claim("sub")) }
    let login = claims["sid"]?.string.flatMap { ID<LoginKind>($0) }
    if let login, logins.contains(login) { throw Accounts.refusal(.expired) }
    return Credential(
      principal: .user(id, role, providerID: claims["provider_id"]?.string), login: login)
  }

  static func refusal(_ error: JWTError) -> Refusal {
    error == .expired
      ? Refusal(.tokenExpired, "The access token has expired.")
      : Refusal(.tokenInvalid, "The access token is not valid.")
  }

  private func credential(apiKey: String) async throws -> Credential {
    let now = clock.now
    let found = try await database.read {
      try apiKeyStore.live(secret: apiKey, at: now, on: $0)
    }
    guard let found else { throw Refusal(.tokenInvalid, "The API key is not valid.") }
    apiKeyStore.used(found.id, at: now)
    return Credential(
      principal: Accounts.principal(of: found),
      grant: Grant(
        // A key with all that a provider may have is open to what is not named yet, too.
        name: "key:" + found.id.text,
        scopes: found.scopes == Scope.ofProviders ? nil : found.scopes,
        filters: found.filter.map { [$0] } ?? [], limits: Accounts.limits(of: found)))
  }

  private static func limits(of key: APIKey) -> [Grant.Limit] {
    key.perMinute.map { [Grant.Limit(name: "key:" + key.id.text, perMinute: $0)] } ?? []
  }

  private func credential(scoped text: String) async throws -> Credential {
    let now = clock.now
    guard let token = ScopedToken(text) else {
      throw Refusal(.tokenInvalid, "The scoped token is not valid.")
    }
    let found = try await database.read {
      try apiKeyStore.live(id: token.keyID, at: now, on: $0)
    }
    guard let found, found.scopes?.contains(.discoveryRead) == true,
      token.isSigned(by: apiKeyStore.secret(of: found.id, owner: found.owner))
    else { throw Refusal(.tokenInvalid, "The scoped token is not valid.") }
    if let end = token.expiresAt, end <= now {
      throw Refusal(.tokenExpired, "The scoped token has expired.")
    }
    apiKeyStore.used(found.id, at: now)
    let own = token.perMinute.map { [Grant.Limit(name: token.name, perMinute: $0)] } ?? []
    return Credential(
      principal: Accounts.principal(of: found),
      grant: Grant(
        name: token.name, scopes: [.discoveryRead],
        filters: [found.filter, token.filter].compactMap { $0 },
        limits: own + Accounts.limits(of: found), isHeldByOthers: true))
  }

  /// A key never has a person's role: it acts for the person, and no more.
  private static func principal(of key: APIKey) -> Principal {
    switch key.owner {
    case .user(let id): .user(id, .user, providerID: nil)
    case .provider(let id): .providerKey(providerID: id)
    }
  }

  static func user(_ row: borrowing Row) -> User? {
    guard let id = ID<UserKind>(bytes: row.blob(0)), let role = Role(rawValue: row.text(3)) else {
      return nil
    }
    return User(
      id: id, email: row.text(1), name: row.optionalText(2), role: role,
      providerID: row.optionalText(4),
      verifiedAt: row.optionalInt(5).map(Timestamp.init(milliseconds:)),
      frozenAt: row.optionalInt(6).map(Timestamp.init(milliseconds:)),
      createdAt: Timestamp(milliseconds: row.int(7)), conversationDays: Int(row.int(8)))
  }
}
