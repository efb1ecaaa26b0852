internal import SQLite

/// What the writing connection remembers of the ledger, so that not every transfer asks for it again.
///
/// Nothing here is believed for longer than the record cannot have changed: the chain's end is of one epoch of the
/// connection, which each BEGIN and each rollback ends; an account's row is only where to look, and whoever looks
/// asks for the name as well.
final class LedgerMemory {
  private var rows: [AccountName: Int64] = [:]
  private var end: (epoch: Int, chain: ChainEnd)?

  /// Accounts that are remembered; with one more all are forgotten.
  private static let rowsMax = 8_192

  /// The connection's own.
  static func of(_ connection: Connection) -> LedgerMemory {
    connection.companion(LedgerMemory.self) { LedgerMemory() }
  }

  /// Where an account was last seen.
  func row(of name: AccountName) -> Int64? { rows[name] }

  /// Remembers where an account is.
  func note(_ row: Int64, of name: AccountName) {
    if rows.count >= LedgerMemory.rowsMax { rows.removeAll(keepingCapacity: true) }
    rows[name] = row
  }

  /// The end of the chain, read where it is not known.
  func chainEnd(on connection: Connection) throws -> ChainEnd {
    if let end, end.epoch == connection.epoch { return end.chain }
    let chain = try ChainEnd.read(on: connection)
    note(chain, on: connection)
    return chain
  }

  /// Remembers a chain's end that was just read or written.
  func note(_ chain: ChainEnd, on connection: Connection) { end = (connection.epoch, chain) }
}

/// The ledger's last transfer: its place in the sequence and its hash.
struct ChainEnd {
  let sequence: Int64
  let rowHash: [UInt8]

  /// Of a ledger without transfers.
  private static let empty = ChainEnd(sequence: 0, rowHash: [UInt8](repeating: 0, count: 32))

  static func read(on connection: Connection) throws -> ChainEnd {
    try connection.first("SELECT seq, row_hash FROM transfer ORDER BY seq DESC LIMIT 1") {
      ChainEnd(sequence: $0.int(0), rowHash: $0.blob(1))
    } ?? .empty
  }
}
