import Ledger
import Primitives
import SQLite
import Testing

/// A first act and a second one with the same id.
struct TwiceCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let first: @Sendable (Till) throws -> Void
  let second: @Sendable (Till) throws -> Bool

  init(
    _ testDescription: String, first: @escaping @Sendable (Till) throws -> Void,
    second: @escaping @Sendable (Till) throws -> Bool
  ) {
    self.testDescription = testDescription
    self.first = first
    self.second = second
  }
}

/// L7: an id names one transfer for ever.
@Suite("Ledger: ids of transfers")
struct TransferIdentityTests {
  /// Two open holds of 300 (10 and 11) and two captures of 300 (30 and 31).
  private static func prepare(_ till: Till) throws {
    try till.post(1, 2_000, from: .bank, to: .anna)
    for id in UInt64(10)...13 { try till.hold(id, 300) }
    try till.capture(30, of: 12, 300)
    try till.capture(31, of: 13, 300)
  }

  static let repeats: [TwiceCase] = [
    TwiceCase(
      "post", first: { try $0.post(50, 100, from: .anna, to: .bert) },
      second: { try $0.post(50, 100, from: .anna, to: .bert) }),
    TwiceCase("hold", first: { try $0.hold(50, 100) }, second: { try $0.hold(50, 100) }),
    TwiceCase(
      "hold that was captured since",
      first: {
        try $0.hold(50, 100)
        try $0.capture(51, of: 50, 100)
      }, second: { try $0.hold(50, 100) }),
    TwiceCase(
      "full capture", first: { try $0.capture(50, of: 10, 300) },
      second: { try $0.capture(50, of: 10, 300) }),
    TwiceCase(
      "partial capture", first: { try $0.capture(50, of: 10, 200) },
      second: { try $0.capture(50, of: 10, 200) }),
    TwiceCase(
      "open capture", first: { try $0.capture(50, of: 10, 200, keepsOpen: true) },
      second: { try $0.capture(50, of: 10, 200, keepsOpen: true) }),
    TwiceCase(
      "capture after the time-out", first: { try $0.capture(50, of: 10, 200) },
      second: { try $0.at(60_000).capture(50, of: 10, 200) }),
    TwiceCase("void", first: { try $0.void(50, of: 10) }, second: { try $0.void(50, of: 10) }),
    TwiceCase(
      "void after an open capture",
      first: {
        try $0.capture(49, of: 10, 200, keepsOpen: true)
        try $0.void(50, of: 10)
      }, second: { try $0.void(50, of: 10) }),
    TwiceCase(
      "refund", first: { try $0.refund(50, of: 30, 100) },
      second: { try $0.refund(50, of: 30, 100) }),
    TwiceCase(
      "full refund", first: { try $0.refund(50, of: 30, 300) },
      second: { try $0.refund(50, of: 30, 300) }),
  ]

  @Test(
    "the same transfer again is there already and moves nothing",
    arguments: TransferIdentityTests.repeats)
  func again(_ twice: TwiceCase) async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.prepare(till)
      try twice.first(till)
      let before = try till.photograph()
      #expect(try !twice.second(till))
      #expect(try till.photograph() == before)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("the same fee again moves nothing")
  func feeAgain() async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.prepare(till)
      try till.fee(50, of: 30, 300)
      let before = try till.photograph()
      try till.fee(50, of: 30, 300)
      #expect(try till.photograph() == before)
      #expect(try till.pocket(.fees) == Pocket(60))
    }
  }

  @Test("another moment is no other field: it is the server's")
  func moment() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 100, from: .bank, to: .anna)
      #expect(try !till.at(5_000).post(1, 100, from: .bank, to: .anna))
    }
  }

  static let others: [TwiceCase] = [
    TwiceCase(
      "post: amount", first: { try $0.post(50, 100, from: .anna, to: .bert) },
      second: { try $0.post(50, 101, from: .anna, to: .bert) }),
    TwiceCase(
      "post: debit", first: { try $0.post(50, 100, from: .anna, to: .bert) },
      second: { try $0.post(50, 100, from: .bank, to: .bert) }),
    TwiceCase(
      "post: credit", first: { try $0.post(50, 100, from: .anna, to: .bert) },
      second: { try $0.post(50, 100, from: .anna, to: .shop) }),
    TwiceCase(
      "post: reason", first: { try $0.post(50, 100, from: .anna, to: .bert) },
      second: { try $0.post(50, 100, from: .anna, to: .bert, reason: "other") }),
    TwiceCase(
      "post: kind", first: { try $0.post(50, 100, from: .anna, to: .shop) },
      second: { try $0.hold(50, 100) }),
    TwiceCase("hold: amount", first: { try $0.hold(50, 100) }, second: { try $0.hold(50, 99) }),
    TwiceCase(
      "hold: account", first: { try $0.hold(50, 100) },
      second: { try $0.hold(50, 100, to: .bert) }),
    TwiceCase(
      "hold: time-out", first: { try $0.hold(50, 100) },
      second: { try $0.hold(50, 100, until: 60_001) }),
    TwiceCase(
      "hold: reference", first: { try $0.hold(50, 100) },
      second: { try $0.hold(50, 100, reference: [2]) }),
    TwiceCase(
      "capture: amount", first: { try $0.capture(50, of: 10, 100, keepsOpen: true) },
      second: { try $0.capture(50, of: 10, 101, keepsOpen: true) }),
    TwiceCase(
      "capture: hold", first: { try $0.capture(50, of: 10, 100) },
      second: { try $0.capture(50, of: 11, 100) }),
    TwiceCase(
      "void: hold", first: { try $0.void(50, of: 10) }, second: { try $0.void(50, of: 11) }),
    TwiceCase(
      "refund: amount", first: { try $0.refund(50, of: 30, 100) },
      second: { try $0.refund(50, of: 30, 101) }),
    TwiceCase(
      "refund: capture", first: { try $0.refund(50, of: 30, 100) },
      second: { try $0.refund(50, of: 31, 100) }),
    TwiceCase(
      "fee: amount", first: { try $0.fee(50, of: 30, 300) },
      second: {
        try $0.fee(50, of: 30, 200)
        return true
      }),
  ]

  @Test(
    "the same id with any other field is refused and moves nothing",
    arguments: TransferIdentityTests.others)
  func different(_ twice: TwiceCase) async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.prepare(till)
      try twice.first(till)
      let before = try till.photograph()
      #expect(try refusal { try twice.second(till) } == .idExistsDifferent)
      #expect(try till.photograph() == before)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  /// Specification core, 8.1: not found, other fields, state, range, exceeds, funds.
  static let precedence: [RefusedCase] = [
    RefusedCase(
      "not found before range", .notFound, act: { try $0.capture(50, of: 99, 0) }),
    RefusedCase("not found before range, refund", .notFound, act: { try $0.refund(50, of: 99, 0) }),
    RefusedCase(
      "other fields before range, post", .idExistsDifferent,
      act: { try $0.post(1, 0, from: .bank, to: .anna) }),
    RefusedCase("other fields before range, hold", .idExistsDifferent, act: { try $0.hold(10, 0) }),
    RefusedCase(
      "other fields before range, capture", .idExistsDifferent,
      act: { try $0.capture(30, of: 12, 0) }),
    RefusedCase(
      "other fields before range, refund", .idExistsDifferent,
      after: { try $0.refund(50, of: 30, 100) }, act: { try $0.refund(50, of: 30, 0) }),
    RefusedCase(
      "other fields before state", .idExistsDifferent, act: { try $0.capture(30, of: 12, 299) }),
    RefusedCase(
      "other fields before funds", .idExistsDifferent,
      act: { try $0.post(1, 5_000, from: .bert, to: .anna) }),
    RefusedCase(
      "state before range, voided", .holdAlreadyVoided,
      after: { try $0.void(50, of: 10) }, act: { try $0.capture(51, of: 10, 0) }),
    RefusedCase(
      "state before range, captured", .holdAlreadyCaptured,
      act: { try $0.capture(51, of: 12, 1_000_000_000_000_001) }),
    RefusedCase(
      "state before range, timed out", .holdAlreadyExpired,
      act: { try $0.at(60_000).capture(51, of: 10, 0) }),
    RefusedCase(
      "state before exceeds", .holdAlreadyCaptured, act: { try $0.capture(51, of: 12, 301) }),
    RefusedCase(
      "range before exceeds", .amountOutOfRange,
      act: { try $0.capture(51, of: 10, 1_000_000_000_000_001) }),
    RefusedCase(
      "range before exceeds, refund", .amountOutOfRange,
      act: { try $0.refund(51, of: 30, 1_000_000_000_000_001) }),
    RefusedCase(
      "range before funds", .amountOutOfRange,
      act: { try $0.post(51, 1_000_000_000_000_001, from: .bert, to: .anna) }),
  ]

  @Test(
    "of several reasons the first in the fixed order is given",
    arguments: TransferIdentityTests.precedence)
  func precedes(_ refused: RefusedCase) async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.prepare(till)
      try refused.check(till)
    }
  }
}
