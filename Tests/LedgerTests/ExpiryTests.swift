import Ledger
import Primitives
import SQLite
import Testing

@Suite("Ledger: time-outs of holds")
struct ExpiryTests {
  /// Moments around the time-out at 60,000 ms and whether the hold can still be resolved there.
  static let moments: [(Int64, Bool)] = [
    (1_000, true), (59_998, true), (59_999, true), (60_000, false), (60_001, false),
    (90_000_000, false),
  ]

  @Test(
    "a capture succeeds before the time-out and never from it on", arguments: ExpiryTests.moments)
  func capture(moment: Int64, isOpen: Bool) async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .anna)
      try till.hold(10, 400)
      let code = try refusal { try till.at(moment).capture(20, of: 10, 400) }
      let expected: ProblemCode? = isOpen ? nil : .holdAlreadyExpired
      #expect(code == expected)
      #expect(try till.pocket(.shop) == Pocket(isOpen ? 400 : 0))
    }
  }

  @Test("a void succeeds before the time-out and never from it on", arguments: ExpiryTests.moments)
  func void(moment: Int64, isOpen: Bool) async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .anna)
      try till.hold(10, 400)
      let code = try refusal { try till.at(moment).void(20, of: 10) }
      let expected: ProblemCode? = isOpen ? nil : .holdAlreadyExpired
      #expect(code == expected)
    }
  }

  @Test(
    "the sweep releases a hold at its time-out and never before", arguments: ExpiryTests.moments)
  func sweep(moment: Int64, isOpen: Bool) async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .anna)
      try till.hold(10, 400)
      try till.at(moment).expire()
      #expect(try till.pocket(.anna) == Pocket(1_000, held: isOpen ? 400 : 0))
      #expect(try till.texts("SELECT state FROM hold") == [isOpen ? "open" : "expired"])
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("holds are released in the order of their time-outs, each once")
  func order() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .anna)
      try till.hold(10, 101, until: 30_000)
      try till.hold(11, 102, until: 20_000)
      try till.hold(12, 103, until: 90_000)
      try till.hold(13, 104, until: 25_000)
      try till.at(30_000).expire(seed: 1)
      try till.at(30_001).expire(seed: 2)
      let amounts = try till.texts("SELECT amount FROM transfer WHERE kind = 'expire' ORDER BY seq")
      #expect(amounts == ["102", "104", "101"])
      #expect(try till.pocket(.anna) == Pocket(1_000, held: 103))
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("resolved holds do not expire")
  func resolved() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .anna)
      try till.hold(10, 100)
      try till.hold(11, 100)
      try till.capture(20, of: 10, 60)
      try till.void(21, of: 11)
      let before = try till.photograph()
      try till.at(60_000).expire()
      #expect(try till.photograph() == before)
    }
  }

  @Test("captures that kept the hold open stand when its rest expires")
  func keepsCaptures() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .anna)
      try till.hold(10, 400)
      try till.capture(20, of: 10, 150, keepsOpen: true)
      try till.at(60_000).expire()
      #expect(try till.pocket(.anna) == Pocket(850))
      #expect(try till.pocket(.shop) == Pocket(150))
      #expect(
        try refusal { try till.at(60_000).capture(21, of: 10, 1) } == .holdAlreadyExpired)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("many due holds are all released by repeated sweeps")
  func many() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 10_000, from: .bank, to: .anna)
      for id in UInt64(100)..<400 { try till.hold(id, 10) }
      for seed in UInt64(1)...3 { try till.at(60_000).expire(seed: seed) }
      #expect(try till.pocket(.anna) == Pocket(10_000))
    }
    let report = try await book.verify()
    #expect(report.faults == [])
    #expect(report.transferCount == 601)
  }
}
