internal import SQLite

/// What some movements of an account come to.
struct LedgerChange: Equatable, Sendable {
  var balance: Int64 = 0
  var held: Int64 = 0
  /// The earliest moment, and the latest: the sequence does not quite follow time.
  var first = Int64.max
  var last = Int64.min
  /// A bit for each kind that there is.
  var kinds: Int64 = 0

  static let allKinds: Int64 = 1 << Int64(LedgerFilter.kinds.count) - 1

  /// The bit of a kind; 0 where there is no such kind.
  static func bit(of kind: String) -> Int64 {
    LedgerFilter.kinds.firstIndex(of: kind).map { 1 << Int64($0) } ?? 0
  }

  /// Wraps where a forged row would overflow: what is compared with it differs all the same.
  mutating func add(_ other: LedgerChange) {
    balance &+= other.balance
    held &+= other.held
    first = min(first, other.first)
    last = max(last, other.last)
    kinds |= other.kinds
  }
}

/// A place in the list of an account's movements, and what those since its mark before come to.
struct LedgerMark: Sendable {
  let account: Int64
  /// The newest movement that it covers.
  let sequence: Int64
  let change: LedgerChange

  /// The account's newest mark below a transfer; 0 where there is none.
  static func newest(
    of account: Int64, below sequence: Int64 = Int64.max, on connection: Connection
  ) throws -> Int64 {
    try connection.first(
      "SELECT max(seq) FROM ledger_mark WHERE account = ? AND seq < ?",
      [.int(account), .int(sequence)]
    ) { $0.int(0) } ?? 0
  }

  /// Where the marks end; 0 where there are none.
  static func end(on connection: Connection) throws -> Int64 {
    try connection.first("SELECT max(seq) FROM ledger_mark") { $0.int(0) } ?? 0
  }

  /// Those after a transfer, up to and with another one, in the order of the sequence.
  static func read(
    after sequence: Int64, to last: Int64, limit: Int = Int.max, on connection: Connection
  ) throws -> [LedgerMark] {
    try connection.rows(
      """
      SELECT account, seq, balance_change, held_change, first_ms, last_ms, kinds FROM ledger_mark
      WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?
      """, [.int(sequence), .int(last), .int(Int64(limit))]
    ) { row in
      LedgerMark(
        account: row.int(0), sequence: row.int(1),
        change: LedgerChange(
          balance: row.int(2), held: row.int(3), first: row.int(4), last: row.int(5),
          kinds: row.int(6)))
    }
  }

  /// Stores it; one of the same place that is there already stays.
  func insert(on connection: Connection) throws {
    try connection.run(
      """
      INSERT INTO ledger_mark(account, seq, balance_change, held_change, first_ms, last_ms, kinds)
      VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
      """,
      [
        .int(account), .int(sequence), .int(change.balance), .int(change.held), .int(change.first),
        .int(change.last), .int(change.kinds),
      ])
  }
}
