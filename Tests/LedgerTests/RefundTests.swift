import Ledger
import Primitives
import SQLite
import Testing

@Suite("Ledger: refunds and fees")
struct RefundTests {
  /// Anna has 9,000 left of 10,000; the shop has captured 1,000 (transfer 20).
  private static func captured(_ till: Till) throws {
    try till.post(1, 10_000, from: .bank, to: .anna)
    try till.hold(10, 1_000)
    try till.capture(20, of: 10, 1_000)
  }

  @Test("a refund gives back part of a capture, which stays")
  func part() async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.captured(till)
      #expect(try till.refund(30, of: 20, 300))
      #expect(try till.pocket(.anna) == Pocket(9_300))
      #expect(try till.pocket(.shop) == Pocket(700))
      #expect(try till.number("SELECT count(*) FROM transfer WHERE kind = 'capture'") == 1)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("refunds add up to the capture and never beyond")
  func upToTheCapture() async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.captured(till)
      #expect(try till.refund(30, of: 20, 400))
      #expect(try till.refund(31, of: 20, 599))
      #expect(try refusal { try till.refund(32, of: 20, 2) } == .exceedsCapture)
      #expect(try till.refund(33, of: 20, 1))
      #expect(try refusal { try till.refund(34, of: 20, 1) } == .exceedsCapture)
      #expect(try till.pocket(.anna) == Pocket(10_000))
      #expect(try till.pocket(.shop) == Pocket(0))
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("a refund counts against its own capture only")
  func ownCapture() async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.captured(till)
      try till.hold(11, 50)
      try till.capture(21, of: 11, 50)
      #expect(try refusal { try till.refund(30, of: 21, 51) } == .exceedsCapture)
      #expect(try till.refund(31, of: 21, 50))
      #expect(try till.refund(32, of: 20, 1_000))
    }
  }

  static let refusals: [RefusedCase] = [
    RefusedCase("no such capture", .notFound, act: { try $0.refund(30, of: 99, 10) }),
    RefusedCase("a post", .notFound, act: { try $0.refund(30, of: 1, 10) }),
    RefusedCase("a hold", .notFound, act: { try $0.refund(30, of: 10, 10) }),
    RefusedCase(
      "a refund", .notFound,
      after: { try $0.refund(30, of: 20, 10) }, act: { try $0.refund(31, of: 30, 10) }),
    RefusedCase("nothing", .amountOutOfRange, act: { try $0.refund(30, of: 20, 0) }),
    RefusedCase("less than nothing", .amountOutOfRange, act: { try $0.refund(30, of: 20, -1) }),
    RefusedCase(
      "more than 10^15", .amountOutOfRange,
      act: { try $0.refund(30, of: 20, 1_000_000_000_000_001) }),
    RefusedCase(
      "one more than captured", .exceedsCapture, act: { try $0.refund(30, of: 20, 1_001) }),
    RefusedCase("a known id", .idExistsDifferent, act: { try $0.refund(1, of: 20, 100) }),
  ]

  @Test("a refused refund has its code and leaves nothing", arguments: RefundTests.refusals)
  func refuses(_ refused: RefusedCase) async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.captured(till)
      try refused.check(till)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("a refund that follows a payout takes the provider below zero (2.1)")
  func afterPayout() async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.captured(till)
      try till.post(40, 1_000, from: .shop, to: .payouts)
      #expect(try till.refund(30, of: 20, 1_000))
      #expect(try till.pocket(.shop) == Pocket(-1_000))
      #expect(try till.pocket(.anna) == Pocket(10_000))
    }
  }

  static let fees: [(captured: Int64, basisPoints: Int64, fee: Int64)] = [
    (1, 2_000, 0), (4, 2_000, 0), (5, 2_000, 1), (9, 2_000, 1), (10, 2_000, 2),
    (9_999, 2_000, 1_999), (10_000, 1, 1), (9_999, 1, 0), (10_000, 0, 0), (10_000, 2_500, 2_500),
    (10_000, 10_000, 10_000), (999_999_999_999_999, 2_000, 199_999_999_999_999),
    (1_000_000_000_000_000, 2_500, 250_000_000_000_000),
  ]

  @Test("a fee is floor(captured x basis points / 10,000)", arguments: 0..<RefundTests.fees.count)
  func floor(index: Int) async throws {
    let (captured, basisPoints, fee) = RefundTests.fees[index]
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, captured, from: .bank, to: .anna)
      try till.hold(10, captured)
      try till.capture(20, of: 10, captured)
      try till.fee(30, of: 20, captured, basisPoints: basisPoints)
      #expect(try till.pocket(.fees) == Pocket(fee))
      #expect(try till.pocket(.shop) == Pocket(captured - fee))
      let rows = try till.number("SELECT count(*) FROM transfer WHERE kind = 'fee'")
      #expect(rows == (fee == 0 ? 0 : 1))
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("a refused fee has its code and leaves nothing")
  func refusesFee() async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.captured(till)
      let known = RefusedCase(
        "a known id", .idExistsDifferent, act: { try $0.fee(1, of: 20, 1_000) })
      try known.check(till)
      let closed = RefusedCase(
        "a closed account", .accountClosed,
        after: { try $0.connection.run("UPDATE account SET closed = 1 WHERE may_go_negative = 0") },
        act: { try $0.fee(30, of: 20, 1_000) })
      try closed.check(till)
    }
  }

  @Test("a refund returns its share of the fee, rounded down over all refunds together (2.1)")
  func feeShare() async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.captured(till)
      try till.fee(25, of: 20, 1_000, basisPoints: 2_001)
      #expect(try till.pocket(.fees) == Pocket(200))
      #expect(try till.refund(30, of: 20, 333))
      // floor(200 x 333 / 1,000) = 66
      #expect(try till.pocket(.fees) == Pocket(134))
      #expect(try till.pocket(.shop) == Pocket(533))
      #expect(try till.refund(31, of: 20, 333))
      // floor(200 x 666 / 1,000) = 133 in all
      #expect(try till.pocket(.fees) == Pocket(67))
      #expect(try till.refund(32, of: 20, 334))
      #expect(try till.pocket(.fees) == Pocket(0))
      #expect(try till.pocket(.shop) == Pocket(0))
      #expect(try till.pocket(.anna) == Pocket(10_000))
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }
}
