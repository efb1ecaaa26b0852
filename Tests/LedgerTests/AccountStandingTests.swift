import Ledger
import Primitives
import SQLite
import Testing

@Suite("Ledger: frozen and closed accounts, disputes and orders")
struct AccountStandingTests {
  private static func freeze(_ till: Till, _ name: AccountName = .anna) throws {
    try LedgerStore.freeze(name, .test, at: till.now, on: till.connection)
  }

  @Test("a frozen account spends nothing, receives, and its holds are captured")
  func frozen() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .anna)
      try till.hold(10, 300)
      try Self.freeze(till)
      try Self.freeze(till)
      #expect(try refusal { try till.hold(11, 1) } == .accountFrozen)
      #expect(try refusal { try till.post(2, 1, from: .anna, to: .bert) } == .accountFrozen)
      #expect(try till.post(3, 5, from: .bank, to: .anna))
      #expect(try till.capture(20, of: 10, 200))
      #expect(try till.refund(30, of: 20, 50))
      #expect(try till.pocket(.anna) == Pocket(855))
      let standing = try LedgerStore.standing(.anna, on: till.connection)
      #expect(standing == .frozen(since: till.now))
      #expect(try till.post(4, 55, from: .anna, to: .bank, settles: true), "a dispute's debt")
      #expect(try till.pocket(.anna) == Pocket(800))
      try LedgerStore.unfreeze(.anna, .test, at: till.now, on: till.connection)
      #expect(try LedgerStore.standing(.anna, on: till.connection) == .open)
      #expect(try till.hold(12, 1))
      #expect(
        try till.texts("SELECT action FROM ledger_order ORDER BY seq") == ["freeze", "unfreeze"])
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("only an empty account closes, and for ever")
  func closes() async throws {
    let book = try Book()
    try await book.write { till throws in
      func close(_ name: AccountName) throws {
        try LedgerStore.close(name, .test, at: till.now, on: till.connection)
      }
      try till.post(1, 10, from: .bank, to: .anna)
      #expect(try refusal { try close(.anna) } == .balanceNotEmpty)
      try till.hold(10, 10)
      #expect(try refusal { try close(.shop) } == .balanceNotEmpty)
      try till.void(11, of: 10)
      try close(.shop)
      try close(.shop)
      try till.post(2, 10, from: .anna, to: .bert)
      try close(.anna)
      #expect(try refusal { try till.post(3, 1, from: .bank, to: .anna) } == .accountClosed)
      #expect(try refusal { try till.hold(12, 1, from: .bert) } == .accountClosed)
      #expect(try LedgerStore.standing(.anna, on: till.connection) == .closed)
      #expect(try till.number("SELECT count(*) FROM ledger_order WHERE action = 'close'") == 2)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("a refund to or from a closed account is refused")
  func closedRefund() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 10, from: .bank, to: .anna)
      try till.hold(10, 10)
      try till.capture(20, of: 10, 10)
      try LedgerStore.close(.anna, .test, at: till.now, on: till.connection)
      #expect(try refusal { try till.refund(30, of: 20, 1) } == .accountClosed)
    }
  }

  @Test("a grant goes straight or through the trial grants, whose balance stays")
  func grants() async throws {
    let book = try Book()
    try await book.write { till throws in
      #expect(try till.grant(1, 100))
      #expect(try till.grant(2, 30, throughGrants: true))
      #expect(try !till.grant(2, 30, throughGrants: true))
      #expect(try refusal { try till.grant(2, 31, throughGrants: true) } == .idExistsDifferent)
      #expect(try till.pocket(.anna) == Pocket(130))
      #expect(try till.pocket(.platform(.platformGrants)) == Pocket(0))
      #expect(try till.pocket(.promo) == Pocket(-130))
      #expect(try till.number("SELECT count(*) FROM ledger_order WHERE action = 'grant'") == 2)
      let wordless = LedgerOrder(actor: [], reason: "")
      let code = try refusal {
        try LedgerStore.grant(
          ID(high: 0, low: 3), to: .anna, Microtokens(5), throughGrants: false, wordless,
          at: till.now, on: till.connection)
      }
      #expect(code == .validationFailed)
      #expect(try till.pocket(.anna) == Pocket(130))
    }
  }

  @Test("a payout is booked once for its reference, and never above what was earned")
  func payouts() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .anna)
      try till.hold(10, 1_000)
      try till.capture(20, of: 10, 1_000)
      try till.fee(21, of: 20, 1_000)
      #expect(try refusal { try till.payOut(801, reference: "a-1") } == .insufficientFunds)
      #expect(try refusal { try till.payOut(800, reference: "a-1") } == .insufficientFunds)
      #expect(try till.payOut(500, reference: "a-2"))
      #expect(try !till.payOut(500, reference: "a-2"))
      #expect(try refusal { try till.payOut(300, reference: "a-2") } == .idExistsDifferent)
      #expect(try till.payOut(300, reference: "a-3"))
      for reference in ["", "with space", "=1+1", String(repeating: "x", count: 65)] {
        #expect(try refusal { try till.payOut(1, reference: reference) } == .validationFailed)
      }
      #expect(try till.pocket(.shop) == Pocket(0))
      #expect(try till.pocket(.payouts) == Pocket(800))
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("a provider below zero still pays the fees of what it earns")
  func feeBelowZero() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 2_000, from: .bank, to: .anna)
      try till.hold(10, 1_000)
      try till.capture(20, of: 10, 1_000)
      try till.payOut(1_000, reference: "all")
      try till.refund(30, of: 20, 1_000)
      #expect(try till.pocket(.shop) == Pocket(-1_000))
      try till.hold(11, 100)
      try till.capture(21, of: 11, 100)
      try till.fee(22, of: 21, 100)
      #expect(try till.pocket(.shop) == Pocket(-920))
      #expect(try refusal { try till.payOut(1, reference: "more") } == .insufficientFunds)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }
}
