internal import Cryptography
public import Primitives
public import SQLite

extension Accounts {
  /// What the token of a third party may do: it acts for its person, never with a role, within its scopes, and at
  /// the part of the server that it was made for. Session tokens have a scope too, but none of ours.
  func thirdParty(_ claims: JSONObject) throws(JWTError) -> Credential {
    guard let audience = claims["aud"]?.string,
      audience == issuer || audience.hasPrefix(issuer + "/")
    else { throw JWTError.claim("aud") }
    let words = claims["scope"]?.string?.split(separator: " ") ?? []
    let scopes = words.compactMap { Scope(rawValue: String($0)) }
    guard !words.isEmpty, scopes.count == words.count,
      Scope.ofPeople.isSuperset(of: scopes)
    else { throw JWTError.claim("scope") }
    guard let user = claims["sub"]?.string.flatMap({ ID<UserKind>($0) }),
      let login = claims["sid"]?.string.flatMap({ ID<LoginKind>($0) }),
      claims["client_id"]?.string != nil
    else { throw JWTError.claim("sub") }
    if logins.contains(login) { throw JWTError.expired }
    let part = audience == issuer ? nil : String(audience.dropFirst(issuer.utf8.count))
    return Credential(
      principal: .user(user, .user, providerID: nil),
      grant: Grant(
        name: Grant.thirdPartyPrefix + login.text, scopes: Set(scopes), isHeldByOthers: true,
        part: part))
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
