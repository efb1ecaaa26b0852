internal import Cryptography
public import Primitives
public import SQLite

/// Refresh tokens that rotate at each use; using an old one again ends the login (RFC 9700 section 4.14.2).
///
/// A token is family, generation and an HMAC over both with the family's seed: it can be made again, so a
/// client that lost the reply gets the same successor, and nothing usable is stored.
public struct RefreshTokens: Sendable {
  /// How long a login may rest.
  public static let idleMilliseconds: Int64 = 7 * 86_400_000
  /// How long a login may last.
  public static let absoluteMilliseconds: Int64 = 90 * 86_400_000
  /// How long the previous token may be repeated.
  public static let repeatMilliseconds: Int64 = 10_000

  private let database: Database
  private let clock: Clock
  private let random: RandomSource
  private let key: [UInt8]
  private let revoked: RevokedLogins

  /// - Parameters:
  ///   - key: A 32-byte key of the server.
  ///   - revoked: Hears of each login that ends, so that its access tokens end with it.
  public init(
    database: Database, clock: Clock, random: RandomSource, key: [UInt8],
    revoked: RevokedLogins = RevokedLogins()
  ) {
    self.revoked = revoked
    self.database = database
    self.clock = clock
    self.random = random
    self.key = key
  }

  /// The first token of a new login.
  ///
  /// - Parameter proof: What the sign-in was let in by, `User.proof`: a login must not begin after the password or
  ///   the role that it was asked for has changed, for nothing would end it then.
  /// - Throws: `Refusal` `unauthenticated` where the account has been stopped or has changed meanwhile.
  public func start(
    for user: ID<UserKind>, client: String, proof: SignInProof? = nil
  ) async throws -> String {
    let family = ID<LoginKind>.secret(random)
    let seed = random.bytes(32)
    let now = clock.now.milliseconds
    let count = try await database.write { connection in
      try connection.run(
        """
        INSERT INTO refresh_family(id, user_id, seed, generation, rotated_ms, created_ms, client)
        SELECT ?, id, ?, 0, ?, ?, ? FROM user
        WHERE id = ? AND frozen_ms IS NULL
        AND (?7 IS NULL OR (password_hash = ?7 AND role = ?8 AND provider_id IS ?9))
        """,
        [
          .blob(family.bytes), .blob(seed), .int(now), .int(now),
          .text(String(client.prefix(200))), .blob(user.bytes), .optional(proof?.hash),
          .optional(proof?.role.rawValue), .optional(proof?.providerID),
        ])
    }
    guard count == 1 else {
      throw Refusal(.unauthenticated, "The account has changed meanwhile; sign in again.")
    }
    return token(family.bytes, 0, seed)
  }

  /// The login that a token belongs to, whether or not the token is good.
  public static func login(of token: String) -> ID<LoginKind>? {
    BytesText.bytes(base64url: token).flatMap { bytes in
      bytes.count == 56 ? ID<LoginKind>(bytes: Array(bytes[..<16])) : nil
    }
  }

  /// Whose login a token is of, without using it up: for pages that only a browser with the login may see.
  public func owner(of token: String) async throws -> (user: ID<UserKind>, login: ID<LoginKind>)? {
    let now = clock.now.milliseconds
    guard let bytes = BytesText.bytes(base64url: token), bytes.count == 56 else { return nil }
    let family = Array(bytes[..<16])
    let generation = bytes[16..<24].reduce(Int64(0)) { $0 << 8 | Int64($1) }
    return try await database.read { connection in
      guard let row = try read(family, connection), row.revoked == nil,
        Digest.equal(Array(token.utf8), Array(self.token(family, generation, row.seed).utf8)),
        generation == row.generation
          || (generation == row.generation - 1
            && now - row.rotated <= RefreshTokens.repeatMilliseconds),
        now - row.rotated <= RefreshTokens.idleMilliseconds,
        now - row.created <= RefreshTokens.absoluteMilliseconds,
        let user = ID<UserKind>(bytes: row.user), let login = ID<LoginKind>(bytes: family)
      else { return nil }
      return (user, login)
    }
  }

  /// The next token and whose it is.
  /// - Throws: `Refusal` `token_invalid`; the whole login is then ended where an old token came back.
  public func rotate(_ token: String) async throws -> (user: ID<UserKind>, token: String) {
    let now = clock.now.milliseconds
    guard let bytes = BytesText.bytes(base64url: token), bytes.count == 56 else { throw refusal }
    let family = Array(bytes[..<16])
    let generation = bytes[16..<24].reduce(Int64(0)) { $0 << 8 | Int64($1) }
    // A token that is none of ours costs a read, and no turn of the one writer.
    let isOurs = try await database.read { connection in
      try read(family, connection).map {
        Digest.equal(Array(token.utf8), Array(self.token(family, generation, $0.seed).utf8))
      }
    }
    guard isOurs == true else { throw refusal }
    let outcome = try await database.write { connection -> Rotation in
      guard let row = try read(family, connection), row.revoked == nil,
        Digest.equal(Array(token.utf8), Array(self.token(family, generation, row.seed).utf8)),
        now - row.rotated <= RefreshTokens.idleMilliseconds,
        now - row.created <= RefreshTokens.absoluteMilliseconds,
        let user = ID<UserKind>(bytes: row.user)
      else { return .refused }
      if generation == row.generation {
        try connection.run(
          "UPDATE refresh_family SET generation = generation + 1, rotated_ms = ? WHERE id = ?",
          [.int(now), .blob(family)])
        return .next(user, self.token(family, generation + 1, row.seed))
      }
      if generation == row.generation - 1, now - row.rotated <= RefreshTokens.repeatMilliseconds {
        return .next(user, self.token(family, row.generation, row.seed))
      }
      try AuditLog.record(
        "login.ended", on: "user:" + user.text, detail: "reused", by: .system, at: clock.now,
        on: connection)
      return .ended(try LoginStore.end([family], at: clock.now, on: connection))
    }
    switch outcome {
    case .next(let user, let token): return (user, token)
    case .ended(let logins):
      revoked.add(logins, at: clock.now)
      throw refusal
    case .refused: throw refusal
    }
  }

  private enum Rotation {
    case next(ID<UserKind>, String)
    case ended([ID<LoginKind>])
    case refused
  }

  /// Ends the login that a token belongs to; a token that is no token is no error.
  public func end(_ token: String) async throws {
    guard let bytes = BytesText.bytes(base64url: token), bytes.count == 56 else { return }
    let now = clock.now
    let ended = try await database.write { connection -> [ID<LoginKind>] in
      let family = Array(bytes[..<16])
      guard let row = try read(family, connection),
        let generation = [row.generation, row.generation - 1].first(where: {
          $0 >= 0 && self.token(family, $0, row.seed) == token
        }), generation >= 0
      else { return [] }
      return try LoginStore.end([family], at: now, on: connection)
    }
    revoked.add(ended, at: now)
  }

  /// Deletes logins that are past their time.
  public func prune() async throws {
    let now = clock.now.milliseconds
    var count = 0
    repeat {
      count = try await database.write { connection in
        try connection.run(
          """
          DELETE FROM refresh_family WHERE id IN
          (SELECT id FROM refresh_family WHERE rotated_ms < ? OR created_ms < ? LIMIT 500)
          """,
          [
            .int(now - RefreshTokens.idleMilliseconds),
            .int(now - RefreshTokens.absoluteMilliseconds),
          ])
      }
    } while count == 500
    let moment = clock.now
    try await LoginStore.prune(in: database, at: moment)
    revoked.forget(at: moment)
  }

  private var refusal: Refusal { Refusal(.tokenInvalid, "Sign in again.") }

  private struct Family {
    let user: [UInt8]
    let seed: [UInt8]
    let generation: Int64
    let rotated: Int64
    let created: Int64
    let revoked: Int64?
  }

  private func read(_ family: [UInt8], _ connection: Connection) throws -> Family? {
    try connection.first(
      """
      SELECT user_id, seed, generation, rotated_ms, created_ms, revoked_ms
      FROM refresh_family WHERE id = ?
      """, [.blob(family)]
    ) {
      Family(
        user: $0.blob(0), seed: $0.blob(1), generation: $0.int(2), rotated: $0.int(3),
        created: $0.int(4), revoked: $0.optionalInt(5))
    }
  }

  /// family (16) || generation (8) || HMAC (32), base64url.
  private func token(_ family: [UInt8], _ generation: Int64, _ seed: [UInt8]) -> String {
    let number = (0..<8).map { UInt8(truncatingIfNeeded: generation >> (56 - 8 * $0)) }
    let proof = Digest.hmac(key: key, family + number + seed)
    return BytesText.base64url(family + number + proof)
  }
}
