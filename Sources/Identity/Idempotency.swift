public import Cryptography
public import Primitives
public import SQLite

/// Stored answers of keyed requests: a key has at most one effect (specification core, 8.2).
///
/// `once` runs inside the write transaction of the effect itself, so both commit or neither does. `answer` goes
/// around it: of the requests of one key one runs at a time, and nobody's body is looked at before its key is.
public struct Idempotency: Sendable {
  /// How long an answer is kept.
  public static let keptMilliseconds: Int64 = 48 * 3_600_000

  /// One keyed request.
  public struct Key: Sendable {
    let principal: [UInt8]
    let route: String
    let key: String
    let bodyHash: [UInt8]

    /// A key in the scope of its caller and route; the body counts by its canonical JSON.
    /// - Throws: `Refusal` `idempotency_key_required` where the key is absent, empty or over 255 characters.
    public init(principal: Principal, route: String, key: String?, body: JSON) throws(Refusal) {
      guard let key, (1...255).contains(key.utf8.count) else {
        throw Refusal(
          .idempotencyKeyRequired, "Send an Idempotency-Key header of 1 to 255 characters.")
      }
      self.principal = Digest.sha256(Array(principal.key.utf8))
      self.route = route
      self.key = key
      bodyHash = Digest.sha256(body.canonicalBytes)
    }
  }

  /// A stored answer.
  public struct Answer: Sendable, Equatable {
    /// The HTTP status.
    public let status: Int
    /// The body, as it was sent first.
    public let body: [UInt8]
    /// Whether it was stored before this request.
    public var isReplayed = false

    /// An answer to be stored.
    public init(status: Int, body: [UInt8]) {
      self.status = status
      self.body = body
    }
  }

  private let sealer: Sealer
  private let random: RandomSource
  let running: KeysInFlight

  /// - Parameters:
  ///   - sealer: Seals stored answers: they may hold launch URLs.
  ///   - patience: How long a repeat waits for a first request that still runs.
  public init(sealer: Sealer, random: RandomSource, patience: KeysInFlight.Patience = .init()) {
    self.sealer = sealer
    self.random = random
    running = KeysInFlight(patience: patience)
  }

  /// Runs the effect once for a key, or gives back the stored answer. Call it inside a write transaction.
  ///
  /// A business refusal of the effect is stored as its answer and its writes are undone; another error undoes all.
  /// - Throws: `Refusal` `idempotency_conflict` where the key was used with another body.
  public func once(
    _ key: Key, at now: Timestamp, on connection: Connection, refused: (Refusal) -> Answer,
    effect: () throws -> Answer
  ) throws -> Answer {
    if let stored = try stored(key, on: connection) { return stored }
    let answer: Answer
    do {
      answer = try connection.savepoint(effect)
    } catch let refusal as Refusal where Idempotency.isBusiness(refusal.code) {
      answer = refused(refusal)
    }
    try connection.run(
      """
      INSERT INTO idempotency(principal, route, key, body_hash, status, response, created_ms)
      VALUES (?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .blob(key.principal), .text(key.route), .text(key.key), .blob(key.bodyHash),
        .int(Int64(answer.status)),
        .blob(sealer.seal(answer.body, label: key.route, nonce: random.bytes(12))),
        .int(now.milliseconds),
      ])
    return answer
  }

  /// Deletes answers past their time, at most 500.
  ///
  /// - Returns: Whether there may be more.
  @discardableResult
  public func prune(at now: Timestamp, on connection: Connection) throws -> Bool {
    let count = try connection.run(
      """
      DELETE FROM idempotency WHERE (principal, route, key) IN
      (SELECT principal, route, key FROM idempotency WHERE created_ms < ? LIMIT 500)
      """, [.int(now.milliseconds - Idempotency.keptMilliseconds)])
    return count == 500
  }

  /// Deletes the answer of one request, whose effect has failed after all.
  func forget(_ key: Key, on connection: Connection) throws {
    try connection.run(
      "DELETE FROM idempotency WHERE principal = ? AND route = ? AND key = ?",
      [.blob(key.principal), .text(key.route), .text(key.key)])
  }

  /// Deletes every answer of a caller.
  static func erase(of principal: Principal, on connection: Connection) throws {
    try connection.run(
      "DELETE FROM idempotency WHERE principal = ?",
      [.blob(Digest.sha256(Array(principal.key.utf8)))])
  }

  /// The stored answer of a key, or nil.
  /// - Throws: `Refusal` `idempotency_conflict` where the key was used with another body.
  func stored(_ key: Key, on connection: Connection) throws -> Answer? {
    let row = try connection.first(
      """
      SELECT body_hash, status, response FROM idempotency
      WHERE principal = ? AND route = ? AND key = ?
      """, [.blob(key.principal), .text(key.route), .text(key.key)]
    ) { (hash: $0.blob(0), status: Int($0.int(1)), sealed: $0.blob(2)) }
    guard let row else { return nil }
    guard row.hash == key.bodyHash else { throw Idempotency.conflict }
    guard let body = sealer.open(row.sealed, label: key.route) else {
      throw Refusal(.internal, "A stored answer cannot be opened.")
    }
    var answer = Answer(status: row.status, body: body)
    answer.isReplayed = true
    return answer
  }

  static let conflict = Refusal(
    .idempotencyConflict, "This Idempotency-Key was used with another body.")

  /// Refusals of executed operations are answers; those before execution, and failures of ours, are not kept.
  private static func isBusiness(_ code: ProblemCode) -> Bool {
    switch code.status {
    case 402, 404, 409, 410: true
    default: code == .exceedsHold || code == .exceedsCapture || code == .proposalRequired
    }
  }
}
