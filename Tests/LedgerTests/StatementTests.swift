import Ledger
import Primitives
import SQLite
import Testing

@Suite("Ledger: balances of the past and statements")
struct StatementTests {
  /// What happens at which moment, and what Anna has after it.
  private static let story: [(at: Int64, pocket: Pocket, act: @Sendable (Till) throws -> Void)] = [
    (100, Pocket(1_000), { till in try till.post(1, 1_000, from: .bank, to: .anna) }),
    (200, Pocket(1_000, held: 400), { till in try till.hold(10, 400) }),
    (300, Pocket(900, held: 300), { till in try till.capture(20, of: 10, 100, keepsOpen: true) }),
    (400, Pocket(850), { till in try till.capture(21, of: 10, 50) }),
    (500, Pocket(850, held: 70), { till in try till.hold(11, 70) }),
    (600, Pocket(850), { till in try till.void(22, of: 11) }),
    (700, Pocket(850, held: 30), { till in try till.hold(12, 30, until: 750) }),
    (800, Pocket(850), { till in try till.expire() }),
    (900, Pocket(890), { till in try till.refund(30, of: 20, 40) }),
    (1_000, Pocket(880), { till in try till.post(2, 10, from: .anna, to: .bert) }),
  ]

  private static func told(isOld: Bool = false) async throws -> Book {
    let book = try Book()
    try await book.write { till throws in
      for step in story {
        try step.act(till.at(step.at))
        #expect(try till.pocket(.anna) == step.pocket)
      }
      if isOld { try till.makeOld() }
    }
    return book
  }

  static func pocket(_ balance: Balance) -> Pocket {
    Pocket(balance.balance.count, held: balance.held.count)
  }

  @Test("a balance of a moment is what it was then, also from old rows", arguments: [false, true])
  func asOf(isOld: Bool) async throws {
    let book = try await Self.told(isOld: isOld)
    try await book.write { till throws in
      func at(_ moment: LedgerMoment) throws -> Pocket {
        Self.pocket(try LedgerStore.balance(.anna, at: moment, on: till.connection))
      }
      #expect(try at(.time(Timestamp(milliseconds: 99))) == Pocket(0))
      #expect(try at(.sequence(0)) == Pocket(0))
      for (index, step) in Self.story.enumerated() {
        #expect(try at(.time(Timestamp(milliseconds: step.at))) == step.pocket)
        #expect(try at(.time(Timestamp(milliseconds: step.at + 99))) == step.pocket)
        #expect(try at(.sequence(Int64(index + 1))) == step.pocket)
      }
      let shop = try LedgerStore.balance(.shop, at: .sequence(9), on: till.connection)
      #expect(Self.pocket(shop) == Pocket(110))
      let nobody = try LedgerStore.balance(.kiosk, at: .sequence(9), on: till.connection)
      #expect(nobody == .zero)
    }
  }

  @Test("opening and movements give the closing, for every period")
  func statements() async throws {
    let book = try await Self.told()
    try await book.write { till throws in
      let moments = [0] + Self.story.map(\.at) + [2_000]
      for (index, from) in moments.enumerated() {
        for to in moments[(index + 1)...] {
          let statement = try LedgerStore.statement(
            of: .anna, from: Timestamp(milliseconds: from), to: Timestamp(milliseconds: to),
            on: till.connection)
          let before = Self.story.last { $0.at < from }?.pocket ?? Pocket(0)
          let after = Self.story.last { $0.at < to }?.pocket ?? Pocket(0)
          #expect(Self.pocket(statement.opening) == before)
          #expect(Self.pocket(statement.closing) == after)
          #expect(statement.entries.count == Self.story.filter { from..<to ~= $0.at }.count)
        }
      }
      let empty = try refusal {
        try LedgerStore.statement(
          of: .anna, from: Timestamp(milliseconds: 5), to: Timestamp(milliseconds: 5),
          on: till.connection)
      }
      #expect(empty == .validationFailed)
    }
  }

  @Test("movements are picked by time and kind, newest first")
  func filters() async throws {
    let book = try await Self.told()
    try await book.write { till throws in
      func kinds(_ filter: LedgerFilter, limit: Int = 100) throws -> [String] {
        try LedgerStore.page(of: .anna, filter: filter, limit: limit, on: till.connection)
          .entries.map(\.kind)
      }
      #expect(try kinds(LedgerFilter(kind: "hold")).count == 3)
      #expect(try kinds(LedgerFilter(from: Timestamp(milliseconds: 900))) == ["post", "refund"])
      #expect(try kinds(LedgerFilter(to: Timestamp(milliseconds: 300))) == ["hold", "post"])
      #expect(try kinds(LedgerFilter(), limit: 2) == ["post", "refund"])
      let refund = try LedgerStore.page(
        of: .anna, filter: LedgerFilter(kind: "refund"), limit: 1, on: till.connection)
      #expect(refund.entries.first?.refersTo == ID(high: 0, low: 20))
      #expect(refund.entries.first?.counterparty == .providerEarned)
    }
  }

  @Test("a provider's statement shows captures, fees, refunds and payouts")
  func provider() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .anna)
      try till.hold(10, 1_000)
      try till.capture(20, of: 10, 1_000)
      try till.fee(21, of: 20, 1_000)
      try till.refund(22, of: 20, 100)
      try till.payOut(500, reference: "bank-7")
      let statement = try LedgerStore.statement(
        of: .shop, from: Timestamp(milliseconds: 0), to: Timestamp(milliseconds: 5_000),
        on: till.connection)
      let lines = statement.entries.map { "\($0.kind) \($0.balanceChange.count) \($0.reason)" }
      #expect(
        lines == [
          "hold 0 test", "capture 1000 test", "fee -200 platform fee",
          "refund 20 platform fee returned", "refund -100 test", "post -500 payout bank-7",
        ])
      #expect(statement.entries.last?.counterparty == .externalPayouts)
      #expect(statement.closing.balance == Microtokens(220))
    }
  }

  @Test("a table's text is quoted where it must be, and cannot be a formula")
  func csv() {
    let cells: [(TableCell, String)] = [
      (.text("plain"), "plain"), (.text(""), ""), (.text("a,b"), "\"a,b\""),
      (.text("say \"no\""), "\"say \"\"no\"\"\""), (.text("two\nlines"), "\"two\nlines\""),
      (.text("two\r\nlines"), "\"two\r\nlines\""),
      (.text("=1+1"), "'=1+1"), (.text("+1"), "'+1"), (.text("-1"), "'-1"), (.text("@a"), "'@a"),
      (.text("=\"a\""), "\"'=\"\"a\"\"\""), (.text("\ta"), "'\ta"), (.number(-5), "-5"),
      (.text("a=b"), "a=b"), (.text("ü"), "ü"),
    ]
    for (cell, expected) in cells {
      #expect(TableCell.csv(header: ["h"], [[cell]]) == "h\r\n\(expected)\r\n")
    }
  }

  @Test("a statement as a table opens, runs along and closes")
  func statementTable() async throws {
    let book = try await Self.told()
    try await book.write { till throws in
      let statement = try LedgerStore.statement(
        of: .anna, from: Timestamp(milliseconds: 200), to: Timestamp(milliseconds: 500),
        on: till.connection)
      let lines = statement.csv.split(separator: "\r\n").map { $0.split(separator: ",") }
      #expect(lines.count == 6)
      #expect(lines[1].suffix(2) == ["1000", "0"])
      #expect(lines[2].suffix(2) == ["1000", "400"])
      #expect(lines[3].suffix(2) == ["900", "300"])
      #expect(lines[4].suffix(2) == ["850", "0"])
      #expect(lines[5].suffix(2) == ["850", "0"])
    }
  }

  @Test("names of accounts are read as people write them")
  func names() {
    let user = ID<TransferKind>(high: 0, low: 1)
    #expect(AccountName("user:" + user.text) == .anna)
    #expect(AccountName("provider:shop") == .shop)
    #expect(AccountName("platform_fees") == .fees)
    for text in ["", "user:", "user:x", "provider:", "user_available", "shop", "platform"] {
      #expect(AccountName(text) == nil)
    }
  }

  @Test("moments are read as RFC 3339 writes them")
  func moments() {
    let good: [(String, Int64)] = [
      ("1970-01-01T00:00:00Z", 0), ("1970-01-01T00:00:01.250Z", 1_250),
      ("1970-01-01T01:00:00+01:00", 0), ("1969-12-31T23:30:00-00:30", 0),
      ("2026-11-20T18:05:00Z", 1_795_197_900_000), ("1970-01-01T00:00:00.1239Z", 123),
    ]
    for (text, milliseconds) in good {
      #expect(Timestamp(rfc3339: text)?.milliseconds == milliseconds, "\(text)")
    }
    for text in [
      "", "2026-11-20", "2026-11-20T18:05:00", "2026-11-20 18:05:00Z", "2026-13-20T18:05:00Z",
      "2026-11-20T24:05:00Z", "2026-11-20T18:60:00Z", "2026-11-20T18:05:60Z",
      "2026-11-20T18:05:00.Z", "2026-11-20T18:05:00+1:00", "2026-11-20T18:05:00Zz",
    ] {
      #expect(Timestamp(rfc3339: text) == nil, "\(text)")
    }
  }
}
