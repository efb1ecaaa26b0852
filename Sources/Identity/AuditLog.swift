internal import Cryptography
public import Primitives
public import SQLite

/// Who did what to what, and when: append-only, each row chained to the one before by its hash.
///
/// Every function runs inside the caller's transaction, so that what was done and the note of it commit together.
/// Rows hold ids and stable words, never a name, an address or a secret: an erasure leaves the chain whole.
public enum AuditLog {
  /// Who is answerable for an action.
  public struct Author: Sendable {
    /// Such as `user:` and an id, `provider:` and a slug, `system`.
    public let name: String
    /// The request that asked for it; empty where no request did.
    public let requestID: String

    /// The server itself, or the operator at its machine.
    public static let system = Author(name: "system", requestID: "")
    /// The operator at the machine's own terminal.
    public static let terminal = Author(name: "terminal", requestID: "")

    private init(name: String, requestID: String) {
      self.name = name
      self.requestID = requestID
    }

    /// The caller of a request. Nobody known is `anonymous`: an address is personal data.
    public init(_ principal: Principal, requestID: String) {
      if case .anonymous = principal { name = "anonymous" } else { name = principal.key }
      self.requestID = requestID
    }
  }

  /// One row as admins read it.
  public struct Entry: Sendable {
    /// The place in the log's one sequence, from 1.
    public let sequence: Int64
    /// When.
    public let at: Timestamp
    /// Who.
    public let actor: String
    /// What was done, such as `key.revoked`.
    public let action: String
    /// To what: a kind and an id.
    public let subject: String
    /// A few stable words or numbers.
    public let detail: String
    /// The request's id.
    public let requestID: String
  }

  /// What a verification found.
  public struct Report: Sendable, Equatable {
    /// Rows read.
    public let rowCount: Int
    /// What does not hold; empty for a sound log.
    public let faults: [String]
    /// The newest row; 0 where there is none.
    public var sequence: Int64 = 0
    /// Its hash, 32 bytes.
    public var rowHash: [UInt8] = []
    /// Whether everything holds.
    public var isSound: Bool { faults.isEmpty }
  }

  /// Notes an action in the running transaction.
  ///
  /// - Parameters:
  ///   - action: A stable word, such as `role.changed`.
  ///   - subject: A kind and an id, such as `user:01h...`.
  ///   - detail: Stable words and numbers; anything but plain letters, digits and ` =:.,_-` becomes `_`.
  public static func record(
    _ action: String, on subject: String, detail: String = "", by author: Author,
    at now: Timestamp, on connection: Connection
  ) throws {
    let last = try last(on: connection)
    let entry = Entry(
      sequence: (last?.sequence ?? 0) + 1, at: now, actor: plain(author.name),
      action: plain(action), subject: plain(subject), detail: plain(detail),
      requestID: plain(author.requestID))
    let previous = last?.hash ?? firstHash
    try connection.run(
      """
      INSERT INTO audit(
      seq, at_ms, actor, action, subject, detail, request_id, prev_hash, row_hash)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .int(entry.sequence), .int(now.milliseconds), .text(entry.actor), .text(entry.action),
        .text(entry.subject), .text(entry.detail), .text(entry.requestID), .blob(previous),
        .blob(hash(entry, after: previous)),
      ])
  }

  /// Rows below a place, newest first.
  ///
  /// - Parameter subject: Only rows on it; nil for all.
  public static func entries(
    below sequence: Int64, subject: String? = nil, limit: Int, on connection: Connection
  ) throws -> [Entry] {
    try connection.rows(
      """
      SELECT \(columns) FROM audit WHERE seq < ?1 AND (?2 IS NULL OR subject = ?2)
      ORDER BY seq DESC LIMIT ?3
      """, [.int(sequence), .optional(subject), .int(Int64(limit))]
    ) { read($0) }
  }

  /// Recomputes the whole chain in one transaction; time grows with its length. For tests and small logs; a server
  /// goes by `AuditKeeper`, which also knows where the log should end.
  public static func verify(_ connection: Connection) throws -> Report {
    var chain = AuditChain()
    while try !chain.read(limit: 10_000, on: connection) {}
    return Report(
      rowCount: chain.count, faults: chain.faults, sequence: chain.sequence, rowHash: chain.hash)
  }

  /// The newest row's place and hash, or nil.
  static func last(on connection: Connection) throws -> (sequence: Int64, hash: [UInt8])? {
    try connection.first("SELECT seq, row_hash FROM audit ORDER BY seq DESC LIMIT 1") {
      (sequence: $0.int(0), hash: $0.blob(1))
    }
  }

  static let columns = "seq, at_ms, actor, action, subject, detail, request_id"
  static let firstHash = [UInt8](repeating: 0, count: 32)

  static func read(_ row: borrowing Row) -> Entry {
    Entry(
      sequence: row.int(0), at: Timestamp(milliseconds: row.int(1)), actor: row.text(2),
      action: row.text(3), subject: row.text(4), detail: row.text(5), requestID: row.text(6))
  }

  /// SHA-256 of the hash before and the row as canonical JSON (RFC 8785).
  static func hash(_ entry: Entry, after previous: [UInt8]) -> [UInt8] {
    let row: JSON = [
      .int(entry.sequence), .int(entry.at.milliseconds), .string(entry.actor),
      .string(entry.action), .string(entry.subject), .string(entry.detail),
      .string(entry.requestID),
    ]
    return Digest.sha256(previous + row.canonicalBytes)
  }

  /// What goes into a row: no e-mail, and no sentence of a person's, survives this.
  private static func plain(_ text: String) -> String {
    String(
      decoding: text.utf8.prefix(200).map { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: byte
        case UInt8(ascii: " "), UInt8(ascii: "="), UInt8(ascii: ":"), UInt8(ascii: "."),
          UInt8(ascii: ","), UInt8(ascii: "_"), UInt8(ascii: "-"):
          byte
        default: UInt8(ascii: "_")
        }
      }, as: UTF8.self)
  }
}
