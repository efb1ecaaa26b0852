import Ledger
import Primitives
import SQLite
import Testing
import TestSupport

@Suite("Ledger: holds")
struct HoldTests {
  @Test("a hold reserves on both sides and moves nothing")
  func reserves() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .anna)
      #expect(try till.hold(10, 400))
      #expect(try till.pocket(.anna) == Pocket(1_000, held: 400))
      #expect(try till.pocket(.shop) == Pocket(0))
      let balance = try LedgerStore.balance(.anna, on: till.connection)
      #expect(balance.available == Microtokens(600))
      let pending = "SELECT credits_pending FROM account WHERE kind = 'provider_earned'"
      #expect(try till.number(pending) == 400)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("everything that is available can be held")
  func everything() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .anna)
      #expect(try till.hold(10, 400))
      #expect(try till.hold(11, 600))
      #expect(try till.pocket(.anna) == Pocket(1_000, held: 1_000))
    }
  }

  @Test("a hold is never a transfer to its provider before it is captured")
  func cannotBeSpent() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .anna)
      try till.hold(10, 400)
      #expect(
        try refusal { try till.post(2, 1, from: .shop, to: .bert) } == .insufficientFunds)
    }
  }

  static let refusals: [RefusedCase] = [
    RefusedCase("one more than is there", .insufficientFunds, act: { try $0.hold(10, 1_001) }),
    RefusedCase(
      "one more than another hold leaves", .insufficientFunds,
      after: { try $0.hold(10, 400) }, act: { try $0.hold(11, 601) }),
    RefusedCase(
      "an empty trial budget", .insufficientFunds,
      act: { try $0.hold(10, 1, from: .platform(.platformGrants)) }),
    RefusedCase("nothing", .amountOutOfRange, act: { try $0.hold(10, 0) }),
    RefusedCase("less than nothing", .amountOutOfRange, act: { try $0.hold(10, -400) }),
    RefusedCase(
      "more than 10^15", .amountOutOfRange, act: { try $0.hold(10, 1_000_000_000_000_001) }),
    RefusedCase("the id of a post", .idExistsDifferent, act: { try $0.hold(1, 1_000) }),
    RefusedCase(
      "a closed account", .accountClosed,
      after: { try $0.connection.run("UPDATE account SET closed = 1 WHERE may_go_negative = 0") },
      act: { try $0.hold(10, 400) }),
  ]

  @Test("a refused hold has its code and leaves nothing", arguments: HoldTests.refusals)
  func refuses(_ refused: RefusedCase) async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .anna)
      try refused.check(till)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("a hold that failed stays failed when the funds have come")
  func staysFailed() async throws {
    let book = try Book()
    try await book.write { till throws in
      #expect(try refusal { try till.hold(10, 400) } == .insufficientFunds)
      try till.post(1, 1_000, from: .bank, to: .anna)
      #expect(try refusal { try till.hold(10, 400) } == .insufficientFunds)
      #expect(try till.hold(11, 400))
      #expect(try till.number("SELECT count(*) FROM hold") == 1)
    }
  }

  @Test("parallel holds never reserve more than there is")
  func parallel() async throws {
    let book = try Book()
    try await book.write { till in try till.post(1, 1_000, from: .bank, to: .anna) }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for id in UInt64(100)..<130 {
        group.addTask {
          _ = try await awaitedRefusal {
            try await book.write { till in try till.hold(id, 100) }
          }
        }
      }
      try await group.waitForAll()
    }
    try await book.write { till throws in
      #expect(try till.pocket(.anna) == Pocket(1_000, held: 1_000))
      #expect(try till.number("SELECT count(*) FROM hold") == 10)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }
}
