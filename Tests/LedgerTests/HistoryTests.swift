import Index
import Ledger
import Primitives
import SQLite
import Testing
import TestSupport

@Suite("the movements of an account hang together from the newest to the oldest")
struct HistoryTests {
  static let names: [AccountName] = [.bank, .anna, .bert, .shop, .fees, .promo, .payouts]

  /// What the account's owner is shown, from the transfers alone: sequence numbers, newest first.
  private static func expected(_ name: AccountName, _ till: Till) throws -> [Int64] {
    try till.connection.rows(
      """
      SELECT t.seq FROM transfer t JOIN account a ON a.id IN (t.debit, t.credit)
      WHERE a.kind = ? AND a.owner = ? ORDER BY t.seq DESC
      """, [.text(name.kind.rawValue), .blob(name.owner)]
    ) { $0.int(0) }
  }

  private static func paged(
    _ name: AccountName, _ limit: Int, _ till: Till
  ) throws -> [Int64] {
    var found: [Int64] = []
    while true {
      let page = try LedgerStore.page(
        of: name, below: found.last ?? Int64.max, limit: limit, on: till.connection)
      found += page.entries.map(\.sequence)
      #expect(page.next == nil || page.next == found.last)
      if page.next == nil { return found }
    }
  }

  @Test("pages of any length show every movement once", arguments: [1, 2, 3, 7, 100])
  func pages(limit: Int) async throws {
    let book = try Book()
    try await book.write { till throws in
      try VerifierTests.fill(till)
      for name in Self.names {
        #expect(try Self.paged(name, limit, till) == Self.expected(name, till), "of \(name)")
      }
    }
  }

  @Test("a page begins below any number, also one of other accounts")
  func below() async throws {
    let book = try Book()
    try await book.write { till throws in
      try VerifierTests.fill(till)
      let last = try till.number("SELECT max(seq) FROM transfer")
      for name in Self.names {
        let all = try Self.expected(name, till)
        for sequence in 0...(last + 1) {
          let page = try LedgerStore.page(
            of: name, below: sequence, limit: 100, on: till.connection)
          #expect(page.entries.map(\.sequence) == all.filter { $0 < sequence })
        }
      }
    }
  }

  @Test("a ledger of before the list is brought to it, and shows what it showed")
  func migrated() async throws {
    let book = try Book()
    let older = IndexFiles.migrations.filter { $0.name < "m0015" }
      .map { Migration(name: $0.name, sql: $0.sql) }
    let folder = try TemporaryFolder()
    let copied = try await book.write { till throws in
      try VerifierTests.fill(till)
      return try Self.tables.map { try Self.read($0, till.connection) }
    }
    do {
      let old = try Database(path: folder.path + "/record.db", migrations: older)
      try await old.write { connection throws in
        for (table, rows) in zip(Self.tables, copied) {
          let marks = Array(repeating: "?", count: table.columns.count).joined(separator: ", ")
          let names = table.columns.joined(separator: ", ")
          for row in rows {
            try connection.run("INSERT INTO \(table.name)(\(names)) VALUES (\(marks))", row)
          }
        }
      }
    }
    let new = try Book(in: folder)
    let report = try await new.verify()
    #expect(report.faults == [])
    #expect(report.transferCount == copied[2].count)
    let before = try await book.write { till in try Self.lists(till) }
    let after = try await new.write { till in try Self.lists(till) }
    #expect(before == after)
    #expect(before.contains { $0.count > 3 })
    // And the ledger goes on from there.
    try await new.write { till throws in
      try till.at(900_000).post(9_001, 5, from: .bank, to: .anna)
    }
    #expect(try await new.verify().isSound)
  }

  private static func lists(_ till: Till) throws -> [[Int64]] {
    try names.map { try paged($0, 4, till) }
  }

  private struct Table {
    let name: String
    let columns: [String]
    /// What to read them from now, where that is not the table alone.
    var now: String?
  }

  /// The tables of the ledger as they were, parents first.
  private static let tables = [
    Table(
      name: "account",
      columns: [
        "id", "kind", "owner", "closed", "may_go_negative", "debits_pending", "debits_posted",
        "credits_pending", "credits_posted", "frozen_ms",
      ]),
    Table(
      name: "hold",
      columns: [
        "id", "reference", "debit", "credit", "amount", "captured", "state", "expires_ms",
        "created_ms",
      ],
      now: "(SELECT h.*, t.debit, t.credit FROM hold h JOIN transfer t ON t.id = h.id)"),
    Table(
      name: "transfer",
      columns: [
        "seq", "id", "kind", "debit", "credit", "amount", "hold_id", "refers_to", "reason", "at_ms",
        "version", "expires_ms", "reference", "released", "prev_hash", "row_hash",
      ]),
  ]

  private static func read(_ table: Table, _ connection: Connection) throws -> [[SQLValue]] {
    let kinds = table.columns.map { "typeof(\($0))" }.joined(separator: ", ")
    let names = table.columns.joined(separator: ", ")
    let count = Int32(table.columns.count)
    return try connection.rows(
      "SELECT \(names), \(kinds) FROM \(table.now ?? table.name) ORDER BY 1"
    ) {
      row in
      (0..<count).map { column in
        switch row.text(column + count) {
        case "integer": .int(row.int(column))
        case "text": .text(row.text(column))
        case "blob": .blob(row.blob(column))
        default: .null
        }
      }
    }
  }
}
