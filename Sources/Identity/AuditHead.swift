internal import Cryptography
public import Primitives
public import SQLite

/// The newest row of the audit log that was found sound, in a file beside the record.
///
/// The record alone cannot show that its newest rows and their checkpoints were cut off; this can. It is sealed with
/// the server's secret, which never rotates.
public struct AuditHead: Sendable, Equatable {
  /// The file's name in the data folder.
  public static let fileName = "audit-head.json"

  /// The row.
  public let sequence: Int64
  /// Its hash, 32 bytes.
  public let rowHash: [UInt8]
  /// When it was found sound.
  public let at: Timestamp

  init(sequence: Int64, rowHash: [UInt8], at: Timestamp) {
    self.sequence = sequence
    self.rowHash = rowHash
    self.at = at
  }

  /// The head of a file.
  ///
  /// - Returns: nil where there is none.
  /// - Throws: `Refusal` where it is not this server's, or others may write it.
  static func read(_ path: String, keys: KeyRing) throws -> AuditHead? {
    guard let bytes = try PrivateFile.read(path) else { return nil }
    guard let document = try? JSON.parse(bytes), let sequence = document["seq"]?.int,
      let hash = document["rowHash"]?.string.flatMap({ BytesText.bytes(base64url: $0) }),
      let at = document["atMs"]?.int,
      let seal = document["seal"]?.string.flatMap({ BytesText.bytes(base64url: $0) })
    else { throw Refusal(.internal, "\(fileName) is damaged.") }
    let head = AuditHead(
      sequence: sequence, rowHash: hash, at: Timestamp(milliseconds: at))
    guard Digest.equal(seal, head.seal(keys)) else {
      throw Refusal(.internal, "\(fileName) was not written by this server.")
    }
    return head
  }

  /// Puts it in the place of the one before.
  public func write(to path: String, keys: KeyRing) throws {
    var document = facts
    document["seal"] = .string(BytesText.base64url(seal(keys)))
    try PrivateFile.write(JSON.object(document).bytes, to: path)
  }

  private var facts: JSONObject {
    [
      "seq": .int(sequence), "rowHash": .string(BytesText.base64url(rowHash)),
      "atMs": .int(at.milliseconds),
    ]
  }

  private func seal(_ keys: KeyRing) -> [UInt8] {
    Digest.hmac(key: keys.derived(for: "audit-head"), JSON.object(facts).canonicalBytes)
  }

  /// Notes in a record that it takes another's place, such as a backup that is restored: its log is shorter than
  /// the one that the head was of.
  ///
  /// - Parameter path: The head of the record that goes.
  /// - Returns: The head of the record that comes: to be written once it has taken the place.
  public static func adopt(
    _ record: Database, insteadOf path: String, keys: KeyRing, at now: Timestamp
  ) async throws -> AuditHead {
    // A head that is damaged or not ours must not keep an operator from restoring.
    let old = (try? read(path, keys: keys)) ?? nil
    return try await record.write { connection in
      try AuditLog.record(
        "record.restored", on: "record", detail: "head=\(old?.sequence ?? 0)", by: .terminal,
        at: now, on: connection)
      guard let last = try AuditLog.last(on: connection) else {
        throw Refusal(.internal, "The audit log is empty.")
      }
      return AuditHead(sequence: last.sequence, rowHash: last.hash, at: now)
    }
  }
}
