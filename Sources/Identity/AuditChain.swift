internal import SQLite

/// A walk along the audit log that goes on from page to page.
struct AuditChain: Sendable {
  static let faultCountMax = 20

  /// The row that was read last; 0 before the first.
  private(set) var sequence: Int64
  /// Its hash.
  private(set) var hash: [UInt8]
  /// Rows read.
  private(set) var count = 0
  private(set) var faults: [String] = []

  /// - Parameter base: Where to start; its signature is the caller's to check. Nil reads everything.
  init(from base: AuditCheckpoint? = nil) {
    sequence = base?.sequence ?? 0
    hash = base?.rowHash ?? AuditLog.firstHash
  }

  /// Reads on.
  ///
  /// - Returns: Whether the end is reached.
  mutating func read(limit: Int, on connection: Connection) throws -> Bool {
    if sequence == 0 { try lookBelow(on: connection) }
    let rows = try connection.rows(
      """
      SELECT \(AuditLog.columns), prev_hash, row_hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?
      """, [.int(sequence), .int(Int64(limit))]
    ) { (entry: AuditLog.read($0), previous: $0.blob(7), hash: $0.blob(8)) }
    for row in rows {
      if faults.count >= AuditChain.faultCountMax { return true }
      add(row.entry, previous: row.previous, hash: row.hash)
    }
    return rows.count < limit
  }

  /// The walk begins at row 1: a row below it would never be read.
  private mutating func lookBelow(on connection: Connection) throws {
    let below = try connection.first("SELECT min(seq) FROM audit WHERE seq < 1") {
      $0.optionalInt(0)
    }
    if let row = below ?? nil { faults.append("audit row \(row) stands before the first") }
  }

  private mutating func add(_ entry: AuditLog.Entry, previous: [UInt8], hash: [UInt8]) {
    if entry.sequence != sequence + 1 {
      faults.append("audit row \(entry.sequence) stands in the place of \(sequence + 1)")
    }
    if previous != self.hash {
      faults.append("audit row \(entry.sequence) does not follow the row before it")
    }
    if hash != AuditLog.hash(entry, after: previous) {
      faults.append("audit row \(entry.sequence) was changed")
    }
    sequence = entry.sequence
    self.hash = hash
    count += 1
  }
}
