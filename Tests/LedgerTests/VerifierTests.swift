import Ledger
import Primitives
import SQLite
import Testing
import TestSupport

@Suite("Ledger: append-only rows and their verifier")
struct VerifierTests {
  /// One transfer of every kind, an open hold, and a post of 500 that nothing refers to.
  static func fill(_ till: Till) throws {
    try till.post(1, 10_000, from: .bank, to: .anna)
    try till.post(2, 500, from: .bank, to: .bert)
    try till.hold(10, 400)
    try till.capture(20, of: 10, 300)
    try till.fee(21, of: 20, 300)
    try till.refund(22, of: 20, 100)
    try till.hold(11, 200)
    try till.void(23, of: 11)
    try till.hold(12, 120)
    try till.hold(13, 50, until: 2_000)
    try till.at(2_000).expire()
    try till.hold(14, 80)
    try till.capture(24, of: 14, 30, keepsOpen: true)
    try till.void(25, of: 14)
    try till.post(3, 5, from: .anna, to: .bert)
  }

  @Test("an empty ledger is sound")
  func empty() async throws {
    let report = try await Book().verify()
    #expect(report.isSound)
    #expect(report.transferCount == 0)
  }

  @Test("a ledger of every kind of transfer is sound, also after a reopening")
  func sound() async throws {
    let folder = try TemporaryFolder()
    let count = try await Book(in: folder).write { till -> Int64 in
      try Self.fill(till)
      let kinds = try till.texts("SELECT DISTINCT kind FROM transfer ORDER BY kind")
      #expect(kinds == ["capture", "expire", "fee", "hold", "post", "refund", "void"])
      let report = try LedgerVerifier.verify(till.connection)
      #expect(report.faults == [])
      return try till.number("SELECT count(*) FROM transfer")
    }
    let report = try await Book(in: folder).verify()
    #expect(report.faults == [])
    #expect(Int64(report.transferCount) == count)
  }

  static let changes = [
    "UPDATE transfer SET amount = amount + 1",
    "UPDATE transfer SET reason = 'other' WHERE seq = 1",
    "UPDATE transfer SET seq = seq + 1000",
    "UPDATE transfer SET row_hash = zeroblob(32) WHERE seq = 2",
    "DELETE FROM transfer",
    "DELETE FROM transfer WHERE seq = (SELECT max(seq) FROM transfer)",
  ]

  @Test("a transfer can be neither changed nor deleted", arguments: VerifierTests.changes)
  func appendOnly(sql: String) async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.fill(till)
      let before = try till.photograph()
      let error = #expect(throws: SQLiteError.self) { try till.connection.run(sql) }
      #expect(error?.message.contains("append-only") == true)
      #expect(try till.photograph() == before)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  /// What is done to a sound ledger behind its back, and how the fault found begins.
  static let tampers: [(String, String)] = [
    ("UPDATE transfer SET amount = amount + 1 WHERE amount = 500", "I12: the chain"),
    ("UPDATE transfer SET reason = 'other' WHERE amount = 500", "I12: the chain"),
    ("UPDATE transfer SET at_ms = at_ms + 1 WHERE amount = 500", "I12: the chain"),
    ("UPDATE transfer SET id = zeroblob(16) WHERE amount = 500", "I12: the chain"),
    ("UPDATE transfer SET debit = credit, credit = debit WHERE amount = 500", "I12: the chain"),
    ("UPDATE transfer SET kind = 'fee' WHERE amount = 500", "I12: the chain"),
    ("UPDATE transfer SET refers_to = NULL WHERE kind = 'refund'", "I12: the chain"),
    ("UPDATE transfer SET hold_id = NULL WHERE kind = 'expire'", "I12: the chain"),
    ("UPDATE transfer SET prev_hash = zeroblob(32) WHERE amount = 500", "I12: the chain"),
    ("UPDATE transfer SET row_hash = zeroblob(32) WHERE amount = 500", "I12: the chain"),
    ("DELETE FROM transfer WHERE amount = 500", "I12: gap"),
    ("DELETE FROM transfer WHERE seq = (SELECT max(seq) FROM transfer)", "I7"),
    ("UPDATE account SET credits_posted = credits_posted + 1 WHERE kind = 'user_available'", "I7"),
    (
      "UPDATE account SET debits_posted = debits_posted + 1 WHERE kind = 'external_payments'", "I1:"
    ),
    ("UPDATE account SET debits_pending = 0", "I7"),
    ("UPDATE account SET last_transfer = last_transfer - 1 WHERE kind = 'external_payments'", "I7"),
    ("UPDATE account SET last_transfer = NULL WHERE kind = 'provider_earned'", "I7"),
    ("UPDATE transfer SET debit_before = NULL WHERE debit_before IS NOT NULL", "I7"),
    ("UPDATE transfer SET credit_before = credit_before - 1 WHERE credit_before > 1", "I7"),
    ("UPDATE hold SET captured = captured - 1 WHERE captured = 300", "I3"),
    ("UPDATE hold SET amount = amount + 1 WHERE amount = 120", "I3"),
    ("UPDATE hold SET state = 'voided' WHERE amount = 120", "I4"),
    ("UPDATE hold SET state = 'captured' WHERE amount = 120", "I4"),
    ("UPDATE hold SET state = 'open' WHERE amount = 200", "I4"),
    ("UPDATE hold SET state = 'captured' WHERE amount = 200", "I4"),
    ("UPDATE hold SET state = 'expired' WHERE amount = 200", "I4"),
    ("UPDATE hold SET expires_ms = expires_ms + 1 WHERE amount = 120", "I3"),
    ("UPDATE hold SET expires_ms = expires_ms + 1 WHERE amount = 50", "I3"),
    ("UPDATE hold SET reference = x'02' WHERE amount = 400", "I3"),
    ("UPDATE transfer SET expires_ms = expires_ms + 1 WHERE amount = 400", "I12: the chain"),
    ("UPDATE transfer SET reference = x'02' WHERE amount = 400", "I12: the chain"),
    ("UPDATE transfer SET released = released + 1 WHERE amount = 300", "I12: the chain"),
    ("UPDATE transfer SET version = 1 WHERE amount = 400", "I12: the chain"),
    ("UPDATE account SET may_go_negative = 1 WHERE kind = 'user_available'", "I2"),
    (
      "INSERT INTO failed_transfer SELECT id, 'insufficient_funds', 1 FROM transfer WHERE amount = 500",
      "I8"
    ),
  ]

  @Test("what was changed behind the ledger's back is found", arguments: VerifierTests.tampers)
  func finds(sql: String, fault: String) async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.fill(till)
      try till.unguard()
      #expect(try till.connection.run(sql) > 0)
    }
    let report = try await book.verify()
    #expect(!report.isSound)
    let found = report.faults.filter { $0.hasPrefix(fault) }
    #expect(!found.isEmpty, "found \(report.faults)")
  }

  /// Rows that never could be, in a chain that fits them: the hashes are right, the rules are not.
  static let forgeries: [(String, String)] = [
    ("UPDATE transfer SET amount = 400 WHERE kind = 'capture' AND amount = 300", "I5"),
    ("UPDATE transfer SET amount = 401 WHERE kind = 'capture' AND amount = 300", "I5: over"),
    ("UPDATE transfer SET released = 99 WHERE kind = 'capture' AND amount = 300", "I5"),
    ("UPDATE transfer SET amount = 301 WHERE kind = 'refund' AND amount = 100", "I6"),
    ("UPDATE transfer SET amount = 301 WHERE kind = 'fee'", "I6"),
    ("UPDATE transfer SET amount = 61 WHERE kind = 'refund' AND amount = 20", "I6"),
    ("UPDATE transfer SET refers_to = id WHERE kind = 'fee'", "I6"),
    (
      "UPDATE transfer SET debit = credit, credit = debit WHERE kind = 'refund' AND amount = 100",
      "I6"
    ),
    (
      "UPDATE transfer SET at_ms = 60000 WHERE kind = 'capture' AND amount = 300",
      "I10: capture on the wrong side"
    ),
    ("UPDATE transfer SET at_ms = 60000 WHERE kind = 'void' AND amount = 200", "I10: void"),
    ("UPDATE transfer SET at_ms = 1999 WHERE kind = 'expire'", "I10: expire"),
    ("UPDATE transfer SET amount = 199 WHERE kind = 'void' AND amount = 200", "I4"),
    (
      "UPDATE transfer SET hold_id = (SELECT id FROM hold WHERE amount = 400) WHERE kind = 'void'"
        + " AND amount = 200", "I4: no open hold"
    ),
    ("UPDATE transfer SET kind = 'hold' WHERE amount = 500", "I4: no hold of its own"),
    ("UPDATE transfer SET amount = 501 WHERE amount = 500", "I7"),
  ]

  @Test("what no rule allows is found in a chain that fits", arguments: VerifierTests.forgeries)
  func findsForged(sql: String, fault: String) async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.fill(till)
      try till.rechainIsIdentity()
      try till.unguard()
      #expect(try till.connection.run(sql) > 0)
      try till.rechain()
    }
    let report = try await book.verify()
    let found = report.faults.filter { $0.hasPrefix(fault) }
    #expect(!found.isEmpty, "found \(report.faults)")
    #expect(!report.faults.contains { $0.hasPrefix("I12") })
  }

  @Test("a ledger of the first version verifies, and goes on in the second")
  func firstVersion() async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.fill(till)
      try till.hold(15, 90)
      try till.capture(26, of: 15, 10, keepsOpen: true)
      try till.makeOld()
    }
    let old = try await book.verify()
    #expect(old.faults == [])
    try await book.write { till throws in
      try till.capture(27, of: 15, 30)
      try till.void(28, of: 12)
      try till.hold(16, 5)
    }
    let mixed = try await book.verify()
    #expect(mixed.faults == [])
    try await book.write { till throws in
      try till.unguard()
      try till.connection.run(
        "UPDATE transfer SET at_ms = 60000 WHERE kind = 'capture' AND amount = 30")
      try till.rechain()
    }
    let forged = try await book.verify()
    #expect(
      forged.faults.contains { $0.hasPrefix("I10") }, "an old hold's time-out holds by its row")
  }

  @Test("every row's chain begins where the one before ends")
  func chain() async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.fill(till)
      let breaks = try till.number(
        """
        SELECT count(*) FROM transfer t LEFT JOIN transfer b ON b.seq = t.seq - 1
        WHERE t.prev_hash <> coalesce(b.row_hash, zeroblob(32))
        """)
      #expect(breaks == 0)
      let gaps = try till.number("SELECT max(seq) - count(*) FROM transfer")
      #expect(gaps == 0)
    }
  }
}
