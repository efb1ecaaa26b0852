internal import Cryptography
public import Primitives
public import SQLite

/// Signs checkpoints, and tells whether a signature is the server's own.
public struct ChainSeal: Sendable {
  /// Signs a message; gives the key's id with it.
  public let sign: @Sendable ([UInt8]) -> (keyID: String, signature: [UInt8])
  /// Whether a signature is the key's, of its id, over a message; nil where the key is not known any more.
  public let verifies:
    @Sendable (_ keyID: String, _ signature: [UInt8], _ message: [UInt8]) -> Bool?

  /// A seal of two closures.
  public init(
    sign: @escaping @Sendable ([UInt8]) -> (keyID: String, signature: [UInt8]),
    verifies:
      @escaping @Sendable (_ keyID: String, _ signature: [UInt8], _ message: [UInt8]) -> Bool?
  ) {
    self.sign = sign
    self.verifies = verifies
  }
}

/// What a verification found sound: the chain up to a transfer, and the sums of all accounts there.
///
/// Signed, so that the next verification may start there: whoever can write the file cannot make one.
public struct LedgerCheckpoint: Sendable, Equatable {
  /// The last transfer that it covers.
  public let sequence: Int64
  /// That transfer's hash, 32 bytes.
  public let rowHash: [UInt8]
  /// Over every account up to `accountMax`: its id, name and four sums (`AccountsDigest`), 32 bytes.
  public let accountsHash: [UInt8]
  /// The highest account that it covers.
  public let accountMax: Int64
  /// When it was written.
  public let at: Timestamp
  /// The key that signed it.
  public private(set) var keyID = ""
  /// The signature over `message`.
  public private(set) var signature: [UInt8] = []

  init(
    sequence: Int64, rowHash: [UInt8], accountsHash: [UInt8], accountMax: Int64, at: Timestamp
  ) {
    self.sequence = sequence
    self.rowHash = rowHash
    self.accountsHash = accountsHash
    self.accountMax = accountMax
    self.at = at
  }

  /// What is signed: the canonical JSON (RFC 8785) of everything but key and signature.
  public var message: [UInt8] {
    let object: JSON = [
      "type": "waypost ledger checkpoint", "seq": .int(sequence),
      "rowHash": .string(BytesText.hex(rowHash)),
      "accountsHash": .string(BytesText.hex(accountsHash)), "accountMax": .int(accountMax),
      "atMs": .int(at.milliseconds),
    ]
    return object.canonicalBytes
  }

  func signed(by seal: ChainSeal) -> LedgerCheckpoint {
    var copy = self
    (copy.keyID, copy.signature) = seal.sign(message)
    return copy
  }

  /// Whether the signature is the server's; nil where its key is not known any more.
  public func isGenuine(_ seal: ChainSeal) -> Bool? { seal.verifies(keyID, signature, message) }

  /// The newest checkpoints, newest first.
  static func newest(_ limit: Int, on connection: Connection) throws -> [LedgerCheckpoint] {
    try connection.rows(
      """
      SELECT seq, row_hash, accounts_hash, account_max, at_ms, key_id, signature
      FROM ledger_checkpoint ORDER BY seq DESC LIMIT ?
      """, [.int(Int64(limit))]
    ) { row in
      var checkpoint = LedgerCheckpoint(
        sequence: row.int(0), rowHash: row.blob(1), accountsHash: row.blob(2),
        accountMax: row.int(3), at: Timestamp(milliseconds: row.int(4)))
      checkpoint.keyID = row.text(5)
      checkpoint.signature = row.blob(6)
      return checkpoint
    }
  }

  /// The newest checkpoint, or nil.
  public static func last(on connection: Connection) throws -> LedgerCheckpoint? {
    try newest(1, on: connection).first
  }

  /// Stores it; one of the same transfer that is there already stays.
  func insert(on connection: Connection) throws {
    try connection.run(
      """
      INSERT INTO ledger_checkpoint(seq, row_hash, accounts_hash, account_max, at_ms, key_id, signature)
      VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
      """,
      [
        .int(sequence), .blob(rowHash), .blob(accountsHash), .int(accountMax),
        .int(at.milliseconds), .text(keyID), .blob(signature),
      ])
  }
}

/// One hash over accounts in the order of their ids.
struct AccountsDigest {
  private(set) var hash = [UInt8](repeating: 0, count: 32)
  private(set) var accountMax: Int64 = 0

  mutating func add(_ id: Int64, kind: String, owner: [UInt8], _ sums: LedgerReplay.Sums) {
    let line = [
      String(id), kind, BytesText.hex(owner), String(sums.debitsPending),
      String(sums.debitsPosted), String(sums.creditsPending), String(sums.creditsPosted),
    ].joined(separator: "|")
    hash = Digest.sha256(hash + Array(line.utf8))
    accountMax = id
  }
}
