internal import Cryptography
public import Primitives
public import SQLite

extension Accounts {
  /// What the token of a third party may do: it acts for its person, never with a role, within its scopes, and at
  /// the part of the server that it was made for. Session tokens have a scope too, but none of ours.
  ///
  /// The token names its person to the program alone; who that is stands with the grant, which costs a read.
  func credential(thirdParty claims: JSONObject) async throws -> Credential {
    let named: ThirdParty
    do throws(JWTError) {
      named = try ThirdParty(claims, issuer: issuer)
    } catch {
      throw Accounts.refusal(error)
    }
    if logins.contains(named.grant) { throw Accounts.refusal(.expired) }
    let found = try await database.read { connection in
      try connection.first(
        "SELECT user_id, client_id, revoked_ms IS NULL FROM oauth_grant WHERE id = ?",
        [.blob(named.grant.bytes)]
      ) { (user: ID<UserKind>(bytes: $0.blob(0)), client: $0.text(1), isLive: $0.int(2) == 1) }
    }
    guard let found, let user = found.user, found.client == named.client,
      named.subject == names.name(of: user, towardsClient: found.client)
    else { throw Accounts.refusal(.claim("sub")) }
    guard found.isLive else { throw Accounts.refusal(.expired) }
    return Credential(
      principal: .user(user, .user, providerID: nil),
      grant: Grant(
        name: Grant.thirdPartyPrefix + named.grant.text, scopes: named.scopes,
        isHeldByOthers: true, part: named.part))
  }
}

/// What the token of a third party's program says.
private struct ThirdParty {
  let subject: String
  let client: String
  let grant: ID<LoginKind>
  let scopes: Set<Scope>
  let part: String?

  init(_ claims: JSONObject, issuer: String) throws(JWTError) {
    guard let audience = claims["aud"]?.string,
      audience == issuer || audience.hasPrefix(issuer + "/")
    else { throw JWTError.claim("aud") }
    part = audience == issuer ? nil : String(audience.dropFirst(issuer.utf8.count))
    let words = claims["scope"]?.string?.split(separator: " ") ?? []
    scopes = Set(words.compactMap { Scope(rawValue: String($0)) })
    guard !words.isEmpty, scopes.count == words.count, Scope.ofPeople.isSuperset(of: scopes)
    else { throw JWTError.claim("scope") }
    guard let subject = claims["sub"]?.string, let client = claims["client_id"]?.string,
      let grant = claims["sid"]?.string.flatMap({ ID<LoginKind>($0) })
    else { throw JWTError.claim("sub") }
    (self.subject, self.client, self.grant) = (subject, client, grant)
  }
}

extension LoginStore {
  /// Whether a login has not ended, and its account may sign in. It says nothing of a login's age.
  public static func isLive(
    _ login: ID<LoginKind>, of user: ID<UserKind>, on connection: Connection
  ) throws -> Bool {
    try connection.first(
      """
      SELECT 1 FROM refresh_family JOIN user ON user.id = refresh_family.user_id
      WHERE refresh_family.id = ? AND user_id = ? AND revoked_ms IS NULL AND frozen_ms IS NULL
      """, [.blob(login.bytes), .blob(user.bytes)]
    ) { _ in true } ?? false
  }

  /// Notes that access tokens of these logins are refused from now on, although they have not expired.
  ///
  /// Call `Accounts.loginsEnded` with them once the transaction has committed.
  public static func refuse(
    _ logins: [ID<LoginKind>], at now: Timestamp, on connection: Connection
  ) throws {
    for login in logins {
      try connection.run(
        "INSERT OR REPLACE INTO revoked_login(id, until_ms) VALUES (?, ?)",
        [.blob(login.bytes), .int(now.milliseconds + rememberedMilliseconds)])
    }
  }
}
