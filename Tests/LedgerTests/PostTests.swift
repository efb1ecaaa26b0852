import Ledger
import Primitives
import SQLite
import Testing
import TestSupport

@Suite("Ledger: posts")
struct PostTests {
  @Test("a post moves units at once and says that it is new")
  func moves() async throws {
    let book = try Book()
    try await book.write { till throws in
      #expect(try till.post(1, 100, from: .bank, to: .anna))
      #expect(try till.post(2, 30, from: .anna, to: .bert))
      #expect(try till.pocket(.bank) == Pocket(-100))
      #expect(try till.pocket(.anna) == Pocket(70))
      #expect(try till.pocket(.bert) == Pocket(30))
    }
    let report = try await book.verify()
    #expect(report.faults == [])
    #expect(report.transferCount == 2)
  }

  @Test("an account that was never used has nothing")
  func unused() async throws {
    let book = try Book()
    try await book.write { till throws in
      #expect(try till.pocket(.anna) == Pocket(0))
      #expect(try LedgerStore.balance(.anna, on: till.connection).available == Microtokens(0))
    }
  }

  @Test("all of an account can be posted away")
  func everything() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 100, from: .bank, to: .anna)
      #expect(try till.post(2, 100, from: .anna, to: .bert))
      #expect(try till.pocket(.anna) == Pocket(0))
    }
  }

  @Test(
    "an amount is from 1 to 10^15 microtokens", arguments: [1, 1_000_000_000_000_000] as [Int64])
  func bounds(amount: Int64) async throws {
    let book = try Book()
    try await book.write { till throws in
      #expect(try till.post(1, amount, from: .bank, to: .anna))
      #expect(try till.pocket(.anna) == Pocket(amount))
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  static let refusals: [RefusedCase] = [
    RefusedCase(
      "one more than is there", .insufficientFunds,
      act: { try $0.post(2, 101, from: .anna, to: .bert) }),
    RefusedCase(
      "an account that was never used", .insufficientFunds,
      act: { try $0.post(2, 1, from: .bert, to: .anna) }),
    RefusedCase(
      "what a hold reserves", .insufficientFunds,
      after: { try $0.hold(10, 60) },
      act: { try $0.post(2, 41, from: .anna, to: .bert) }),
    RefusedCase(
      "grants below zero", .insufficientFunds,
      act: { try $0.post(2, 1, from: .platform(.platformGrants), to: .anna) }),
    RefusedCase(
      "nothing", .amountOutOfRange, act: { try $0.post(2, 0, from: .anna, to: .bert) }),
    RefusedCase(
      "less than nothing", .amountOutOfRange,
      act: { try $0.post(2, -1, from: .anna, to: .bert) }),
    RefusedCase(
      "more than 10^15", .amountOutOfRange,
      act: { try $0.post(2, 1_000_000_000_000_001, from: .bank, to: .anna) }),
    RefusedCase(
      "a known id", .idExistsDifferent, act: { try $0.post(1, 99, from: .bank, to: .anna) }),
    RefusedCase(
      "from a closed account", .accountClosed,
      after: { try $0.connection.run("UPDATE account SET closed = 1 WHERE may_go_negative = 0") },
      act: { try $0.post(2, 1, from: .anna, to: .bert) }),
    RefusedCase(
      "to a closed account", .accountClosed,
      after: { try $0.connection.run("UPDATE account SET closed = 1 WHERE may_go_negative = 0") },
      act: { try $0.post(2, 1, from: .bank, to: .anna) }),
  ]

  @Test("a refused post has its code and leaves nothing", arguments: PostTests.refusals)
  func refuses(_ refused: RefusedCase) async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 100, from: .bank, to: .anna)
      try refused.check(till)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("promotion, chargebacks and payments may go below zero, all others never")
  func negative() async throws {
    let book = try Book()
    try await book.write { till throws in
      let mayGo: Set<AccountKind> = [
        .platformPromoExpense, .platformChargebacks, .externalPayments,
      ]
      for (index, kind) in AccountKind.allCases.enumerated() {
        let code = try refusal {
          try till.post(UInt64(index + 1), 5, from: .platform(kind), to: .anna)
        }
        #expect((code == nil) == mayGo.contains(kind), "\(kind)")
      }
    }
  }

  @Test("an id that failed stays failed when the funds have come")
  func staysFailed() async throws {
    let book = try Book()
    try await book.write { till throws in
      #expect(
        try refusal { try till.post(2, 50, from: .anna, to: .bert) } == .insufficientFunds)
    }
    try await book.write { till throws in
      try till.post(1, 100, from: .bank, to: .anna)
      #expect(
        try refusal { try till.post(2, 50, from: .anna, to: .bert) } == .insufficientFunds)
      #expect(try till.post(3, 50, from: .anna, to: .bert))
    }
  }

  @Test("an id that met a closed account stays failed when the account is open again")
  func staysClosed() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 100, from: .bank, to: .anna)
      try till.connection.run("UPDATE account SET closed = 1 WHERE may_go_negative = 0")
      #expect(try refusal { try till.post(2, 50, from: .anna, to: .bert) } == .accountClosed)
      try till.connection.run("UPDATE account SET closed = 0")
      #expect(try refusal { try till.post(2, 50, from: .anna, to: .bert) } == .accountClosed)
    }
  }

  @Test("a refusal that leaves the transaction undoes all of it")
  func undoes() async throws {
    let book = try Book()
    try await book.write { till in try till.post(1, 100, from: .bank, to: .anna) }
    let code = try await awaitedRefusal {
      try await book.write { till throws in
        try till.post(2, 60, from: .anna, to: .bert)
        try till.post(3, 60, from: .anna, to: .bert)
      }
    }
    #expect(code == ProblemCode.insufficientFunds)
    try await book.write { till throws in
      #expect(try till.pocket(.anna) == Pocket(100))
      #expect(try till.number("SELECT count(*) FROM transfer") == 1)
    }
  }

  @Test("parallel posts never spend more than there is")
  func parallel() async throws {
    let book = try Book()
    try await book.write { till in try till.post(1, 100, from: .bank, to: .anna) }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for id in UInt64(100)..<130 {
        group.addTask {
          _ = try await awaitedRefusal {
            try await book.write { till in try till.post(id, 10, from: .anna, to: .bert) }
          }
        }
      }
      try await group.waitForAll()
    }
    try await book.write { till throws in
      #expect(try till.pocket(.anna) == Pocket(0))
      #expect(try till.pocket(.bert) == Pocket(100))
    }
    let report = try await book.verify()
    #expect(report.faults == [])
    #expect(report.transferCount == 11)
  }

  @Test("the newest movements come first, with the sign of their account")
  func entries() async throws {
    let book = try Book()
    try await book.write { till throws in
      for id in UInt64(1)...5 { try till.post(id, Int64(id) * 10, from: .bank, to: .anna) }
      try till.post(6, 7, from: .anna, to: .bert)
      let all = try LedgerStore.page(
        of: .anna, below: Int64.max, limit: 100, on: till.connection)
      #expect(all.entries.map(\.amount.count) == [-7, 50, 40, 30, 20, 10])
      #expect(all.entries.map(\.sequence) == [6, 5, 4, 3, 2, 1])
      let page = try LedgerStore.page(of: .anna, below: 5, limit: 2, on: till.connection)
      #expect(page.entries.map(\.sequence) == [4, 3])
      #expect(page.next == 3)
      let none = try LedgerStore.page(of: .shop, below: 5, limit: 2, on: till.connection)
      #expect(none.entries.isEmpty)
    }
  }
}
