internal import Cryptography
internal import Primitives
internal import SQLite

/// What a verification found sound: the audit log up to a row.
///
/// Signed, so that the next verification may start there: whoever can write the file cannot make one.
struct AuditCheckpoint: Sendable, Equatable {
  /// The last row that it covers.
  let sequence: Int64
  /// That row's hash, 32 bytes.
  let rowHash: [UInt8]
  /// When it was written.
  let at: Timestamp
  private(set) var keyID = ""
  private(set) var signature: [UInt8] = []

  init(sequence: Int64, rowHash: [UInt8], at: Timestamp) {
    self.sequence = sequence
    self.rowHash = rowHash
    self.at = at
  }

  /// What is signed: the canonical JSON (RFC 8785) of everything but key and signature.
  var message: [UInt8] {
    let object: JSON = [
      "type": "waypost audit checkpoint", "seq": .int(sequence),
      "rowHash": .string(BytesText.hex(rowHash)), "atMs": .int(at.milliseconds),
    ]
    return object.canonicalBytes
  }

  func signed(by keys: KeyRing) -> AuditCheckpoint {
    let key = keys.signing(at: at)
    var copy = self
    copy.keyID = key.verifying.thumbprint
    copy.signature = key.sign(message)
    return copy
  }

  /// Whether the signature is the server's; nil where its key is not known any more.
  func isGenuine(_ keys: KeyRing) -> Bool? {
    keys.entries.first { $0.id == keyID }?.key.verifying.verifies(signature, of: message)
  }

  /// The newest checkpoints, newest first.
  static func newest(_ limit: Int, on connection: Connection) throws -> [AuditCheckpoint] {
    try connection.rows(
      """
      SELECT seq, row_hash, at_ms, key_id, signature FROM audit_checkpoint
      ORDER BY seq DESC LIMIT ?
      """, [.int(Int64(limit))]
    ) { row in
      var checkpoint = AuditCheckpoint(
        sequence: row.int(0), rowHash: row.blob(1), at: Timestamp(milliseconds: row.int(2)))
      checkpoint.keyID = row.text(3)
      checkpoint.signature = row.blob(4)
      return checkpoint
    }
  }

  /// Checkpoints from a place on whose row is not there, or is another.
  static func strangers(from sequence: Int64, on connection: Connection) throws -> [Int64] {
    try connection.rows(
      """
      SELECT c.seq FROM audit_checkpoint c LEFT JOIN audit a ON a.seq = c.seq
      WHERE c.seq >= ? AND (a.row_hash IS NULL OR a.row_hash <> c.row_hash)
      ORDER BY c.seq LIMIT 10
      """, [.int(sequence)]
    ) { $0.int(0) }
  }

  /// Stores it; one of the same row that is there already stays.
  func insert(on connection: Connection) throws {
    try connection.run(
      """
      INSERT INTO audit_checkpoint(seq, row_hash, at_ms, key_id, signature)
      VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
      """,
      [
        .int(sequence), .blob(rowHash), .int(at.milliseconds), .text(keyID), .blob(signature),
      ])
  }
}
