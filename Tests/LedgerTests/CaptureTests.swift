import Ledger
import Primitives
import SQLite
import Testing

@Suite("Ledger: captures and voids")
struct CaptureTests {
  /// Anna has 1,000 and hold 10 keeps 400 of them for the shop until 60,000 ms.
  private static func open(_ till: Till) throws {
    try till.post(1, 1_000, from: .bank, to: .anna)
    try till.hold(10, 400)
  }

  private static func state(_ till: Till) throws -> String {
    try till.texts("SELECT state FROM hold").joined(separator: " ")
  }

  @Test("a full capture posts the hold")
  func full() async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.open(till)
      #expect(try till.capture(20, of: 10, 400))
      #expect(try till.pocket(.anna) == Pocket(600))
      #expect(try till.pocket(.shop) == Pocket(400))
      #expect(try Self.state(till) == "captured")
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test(
    "a partial capture closes the hold and releases the rest", arguments: [1, 150, 399] as [Int64])
  func partial(amount: Int64) async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.open(till)
      #expect(try till.capture(20, of: 10, amount))
      #expect(try till.pocket(.anna) == Pocket(1_000 - amount))
      #expect(try till.pocket(.shop) == Pocket(amount))
      #expect(try Self.state(till) == "captured")
      #expect(try refusal { try till.capture(21, of: 10, 1) } == .holdAlreadyCaptured)
      #expect(try till.number("SELECT sum(debits_pending + credits_pending) FROM account") == 0)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("captures that keep the hold open repeat up to its amount and no further")
  func keepsOpen() async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.open(till)
      #expect(try till.capture(20, of: 10, 100, keepsOpen: true))
      #expect(try till.pocket(.anna) == Pocket(900, held: 300))
      #expect(try till.capture(21, of: 10, 250, keepsOpen: true))
      #expect(try till.pocket(.anna) == Pocket(650, held: 50))
      #expect(
        try refusal { try till.capture(22, of: 10, 51, keepsOpen: true) } == .exceedsHold)
      #expect(try Self.state(till) == "open")
      #expect(try till.capture(23, of: 10, 50, keepsOpen: true))
      #expect(try till.pocket(.anna) == Pocket(600))
      #expect(try Self.state(till) == "captured")
      #expect(try refusal { try till.void(24, of: 10) } == .holdAlreadyCaptured)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("the last capture after open ones closes the hold and releases the rest")
  func closesLater() async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.open(till)
      try till.capture(20, of: 10, 100, keepsOpen: true)
      #expect(try till.capture(21, of: 10, 50))
      #expect(try till.pocket(.anna) == Pocket(850))
      #expect(try till.pocket(.shop) == Pocket(150))
      #expect(try Self.state(till) == "captured")
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  static let refusals: [RefusedCase] = [
    RefusedCase("no such hold", .notFound, act: { try $0.capture(20, of: 99, 10) }),
    RefusedCase("nothing", .amountOutOfRange, act: { try $0.capture(20, of: 10, 0) }),
    RefusedCase("less than nothing", .amountOutOfRange, act: { try $0.capture(20, of: 10, -1) }),
    RefusedCase(
      "more than 10^15", .amountOutOfRange,
      act: { try $0.capture(20, of: 10, 1_000_000_000_000_001) }),
    RefusedCase("one more than held", .exceedsHold, act: { try $0.capture(20, of: 10, 401) }),
    RefusedCase(
      "one more than open captures leave", .exceedsHold,
      after: { try $0.capture(20, of: 10, 300, keepsOpen: true) },
      act: { try $0.capture(21, of: 10, 101) }),
    RefusedCase(
      "a second capture", .holdAlreadyCaptured,
      after: { try $0.capture(20, of: 10, 100) }, act: { try $0.capture(21, of: 10, 100) }),
    RefusedCase(
      "a voided hold", .holdAlreadyVoided,
      after: { try $0.void(20, of: 10) }, act: { try $0.capture(21, of: 10, 100) }),
    RefusedCase(
      "a hold that the sweep expired", .holdAlreadyExpired,
      after: { try $0.at(60_000).expire() },
      act: { try $0.at(60_000).capture(20, of: 10, 100) }),
    RefusedCase(
      "a hold past its time that no sweep has seen", .holdAlreadyExpired,
      act: { try $0.at(60_000).capture(20, of: 10, 100) }),
    RefusedCase(
      "the id of its own hold", .idExistsDifferent, act: { try $0.capture(10, of: 10, 400) }),
  ]

  @Test("a refused capture has its code and leaves nothing", arguments: CaptureTests.refusals)
  func refuses(_ refused: RefusedCase) async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.open(till)
      try refused.check(till)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("a void releases everything")
  func voids() async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.open(till)
      #expect(try till.void(20, of: 10))
      #expect(try till.pocket(.anna) == Pocket(1_000))
      #expect(try till.pocket(.shop) == Pocket(0))
      #expect(try Self.state(till) == "voided")
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("a void after open captures releases the rest, and the captures stand")
  func voidsRest() async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.open(till)
      try till.capture(20, of: 10, 150, keepsOpen: true)
      #expect(try till.void(21, of: 10))
      #expect(try till.pocket(.anna) == Pocket(850))
      #expect(try till.pocket(.shop) == Pocket(150))
      #expect(try refusal { try till.capture(22, of: 10, 1) } == .holdAlreadyCaptured)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  static let voidRefusals: [RefusedCase] = [
    RefusedCase("no such hold", .notFound, act: { try $0.void(20, of: 99) }),
    RefusedCase(
      "a captured hold", .holdAlreadyCaptured,
      after: { try $0.capture(20, of: 10, 400) }, act: { try $0.void(21, of: 10) }),
    RefusedCase(
      "a partly captured hold", .holdAlreadyCaptured,
      after: { try $0.capture(20, of: 10, 100) }, act: { try $0.void(21, of: 10) }),
    RefusedCase(
      "a second void", .holdAlreadyVoided,
      after: { try $0.void(20, of: 10) }, act: { try $0.void(21, of: 10) }),
    RefusedCase(
      "an expired hold", .holdAlreadyExpired,
      after: { try $0.at(60_000).expire() }, act: { try $0.at(60_000).void(21, of: 10) }),
    RefusedCase(
      "a hold past its time", .holdAlreadyExpired, act: { try $0.at(60_000).void(21, of: 10) }),
    RefusedCase("the id of its own hold", .idExistsDifferent, act: { try $0.void(10, of: 10) }),
  ]

  @Test("a refused void has its code and leaves nothing", arguments: CaptureTests.voidRefusals)
  func refusesVoid(_ refused: RefusedCase) async throws {
    let book = try Book()
    try await book.write { till throws in
      try Self.open(till)
      try refused.check(till)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }
}
