import Ledger
import Primitives
import SQLite
import Testing
import TestSupport

@Suite("Ledger: signed checkpoints")
struct CheckpointTests {
  /// A ledger with a checkpoint in its middle: holds and captures from before it go on after it.
  private static func marked() async throws -> Book {
    let book = try Book()
    try await book.write { till throws in
      try VerifierTests.fill(till)
      try till.hold(30, 100)
      try till.capture(31, of: 30, 40, keepsOpen: true)
    }
    try await book.auditor().tend()
    try await book.write { till throws in
      try till.capture(40, of: 30, 20)
      try till.refund(41, of: 31, 40)
      try till.refund(42, of: 20, 50)
      try till.void(43, of: 12)
      try till.post(44, 7, from: .bank, to: .carl)
      try till.hold(45, 3, from: .carl)
    }
    return book
  }

  private static func mark(_ book: Book) async throws -> LedgerCheckpoint? {
    try await book.database.read { try LedgerCheckpoint.last(on: $0) }
  }

  @Test("what follows a checkpoint verifies from it, and gets the next one")
  func tail() async throws {
    let book = try await Self.marked()
    let first = try #require(try await Self.mark(book))
    let report = try await book.auditor().tend()
    #expect(report.faults == [])
    #expect(report.from == first.sequence)
    #expect(report.transferCount == 7)
    #expect(report.sequence == first.sequence + 7)
    let second = try #require(try await Self.mark(book))
    #expect(second.sequence == report.sequence)
    let whole = try await book.auditor().audit()
    #expect(whole.faults == [])
    #expect(whole.from == 0)
    let again = try await book.auditor().tend()
    #expect(again.transferCount == 0)
  }

  @Test("without its key the whole is verified; with a wrong one nothing is sound")
  func keys() async throws {
    let book = try await Self.marked()
    let unknown = try await book.auditor(knows: false).tend()
    #expect(unknown.from == 0)
    #expect(unknown.isSound)
    let foreign = try await book.auditor(key: [8]).tend()
    #expect(!foreign.isSound)
  }

  /// Changes behind the ledger's back whose chain fits: only the signed checkpoint knows better.
  static let forgeries: [(String, String)] = [
    ("UPDATE transfer SET amount = 600 WHERE amount = 500", "I12: checkpoint"),
    ("UPDATE transfer SET reason = 'other' WHERE seq = 1", "I12: checkpoint"),
    ("UPDATE account SET owner = x'00' WHERE kind = 'provider_earned'", "I7: the accounts differ"),
    (
      "UPDATE account SET credits_posted = credits_posted + 1, debits_posted = debits_posted + 1",
      "I7: the accounts differ"
    ),
    ("UPDATE transfer SET amount = 8 WHERE amount = 7", "I7"),
    ("UPDATE hold SET state = 'open' WHERE amount = 120", "I4"),
    ("UPDATE hold SET expires_ms = 1 WHERE amount = 100", "I3"),
    ("UPDATE transfer SET amount = 60 WHERE kind = 'refund' AND amount = 50", "I7"),
    ("UPDATE ledger_checkpoint SET signature = x'00'", "I12: the signature"),
    ("UPDATE ledger_checkpoint SET accounts_hash = zeroblob(32)", "I12: the signature"),
    ("UPDATE ledger_checkpoint SET at_ms = at_ms + 1", "I12: the signature"),
  ]

  @Test("the checkpoint gives forgers away", arguments: CheckpointTests.forgeries)
  func finds(sql: String, fault: String) async throws {
    let book = try await Self.marked()
    try await book.write { till throws in
      try till.unguard()
      #expect(try till.connection.run(sql) > 0)
      try till.rechain()
    }
    let report = try await book.auditor().tend()
    let found = report.faults.filter { $0.hasPrefix(fault) }
    #expect(!found.isEmpty, "found \(report.faults)")
  }

  @Test("a resolution twice over the checkpoint is found")
  func twice() async throws {
    let book = try await Self.marked()
    try await book.write { till throws in
      try till.unguard()
      try till.connection.run(
        """
        UPDATE transfer SET kind = 'capture', released = 0, debit = (SELECT debit FROM transfer
        WHERE amount = 100), credit = (SELECT credit FROM transfer WHERE amount = 100), hold_id =
        (SELECT id FROM hold WHERE amount = 100) WHERE amount = 7
        """)
      try till.rechain()
    }
    let report = try await book.auditor().tend()
    #expect(report.faults.contains { $0.hasPrefix("I4: no open hold") }, "found \(report.faults)")
  }

  @Test("a long ledger is verified in pages")
  func pages() async throws {
    let book = try Book()
    try await book.write { till throws in
      for id in UInt64(1)...4_100 { try till.post(id, 1, from: .bank, to: .anna) }
    }
    let report = try await book.auditor().audit()
    #expect(report.faults == [])
    #expect(report.transferCount == 4_100)
  }

  @Test("nothing that is not sound gets a checkpoint")
  func unsound() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 100, from: .bank, to: .anna)
      try till.connection.run("UPDATE account SET credits_posted = 101 WHERE credits_posted = 100")
    }
    let auditor = book.auditor()
    let report = try await auditor.tend()
    #expect(!report.isSound)
    #expect(auditor.report == report)
    #expect(try await Self.mark(book) == nil)
  }
}
