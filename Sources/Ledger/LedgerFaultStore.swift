internal import Primitives
internal import SQLite

/// What is remembered of a ledger that was found unsound, so that a restart does not forget it.
enum LedgerFaultStore {
  static let faultsMax = 10

  /// Whether something was found that no whole verification has taken back.
  static func isOpen(on connection: Connection) throws -> Bool {
    try connection.first("SELECT 1 FROM ledger_fault WHERE cleared_ms IS NULL") { _ in true }
      ?? false
  }

  /// Remembers what was found; one that is remembered already stays as it is.
  static func open(_ faults: [String], at now: Timestamp, on connection: Connection) throws {
    guard try !isOpen(on: connection) else { return }
    try connection.run(
      "INSERT INTO ledger_fault(found_ms, faults) VALUES (?, ?)",
      [.int(now.milliseconds), .text(faults.prefix(faultsMax).joined(separator: "\n"))])
  }

  static func clear(at now: Timestamp, on connection: Connection) throws {
    try connection.run(
      "UPDATE ledger_fault SET cleared_ms = max(found_ms, ?) WHERE cleared_ms IS NULL",
      [.int(now.milliseconds)])
  }
}
