import Ledger
import Primitives
import SQLite
import Testing
import TestSupport

/// L7: a refused id stays refused, wherever its refusal goes.
@Suite("Ledger: failed ids")
struct FailedIdentityTests {
  /// Fails id 2 in the body's way, funds the account, and expects that id 2 is still refused.
  private static func staysFailed(
    _ fail: @escaping @Sendable (Book) async throws -> Void
  ) async throws {
    let book = try Book()
    try await book.write { till in try till.post(1, 10, from: .bank, to: .anna) }
    try await fail(book)
    try await book.write { till throws in
      #expect(try till.pocket(.anna) == Pocket(10))
      try till.post(3, 1_000, from: .bank, to: .anna)
      #expect(
        try refusal { try till.post(2, 50, from: .anna, to: .bert) } == .insufficientFunds)
      #expect(try till.post(4, 50, from: .anna, to: .bert))
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("also where the refusal leaves the transaction")
  func leavesTransaction() async throws {
    try await Self.staysFailed { book in
      let code = try await awaitedRefusal {
        try await book.write { till in try till.post(2, 50, from: .anna, to: .bert) }
      }
      #expect(code == .insufficientFunds)
    }
  }

  @Test("also where it leaves a savepoint, and the transaction goes on")
  func leavesSavepoint() async throws {
    try await Self.staysFailed { book in
      try await book.write { till throws in
        let code = try refusal {
          try till.connection.savepoint { try till.post(2, 50, from: .anna, to: .bert) }
        }
        #expect(code == .insufficientFunds)
      }
    }
  }

  @Test("also through savepoints in savepoints and the end of all")
  func nested() async throws {
    try await Self.staysFailed { book in
      _ = try await awaitedRefusal {
        try await book.write { till throws in
          _ = try till.connection.savepoint {
            try till.post(9, 5, from: .anna, to: .bert)
            _ = try till.connection.savepoint { try till.post(2, 50, from: .anna, to: .bert) }
          }
        }
      }
    }
  }

  @Test("also where it was caught, and something else undoes everything")
  func caughtThenUndone() async throws {
    try await Self.staysFailed { book in
      do {
        try await book.write { till throws in
          _ = try refusal { try till.post(2, 50, from: .anna, to: .bert) }
          throw Undone()
        }
      } catch is Undone {}  // what it undoes is not what it remembers
    }
  }

  @Test("also where it failed with money that was undone with it")
  func undoneFunds() async throws {
    let book = try Book()
    _ = try await awaitedRefusal {
      try await book.write { till throws in
        try till.post(1, 100, from: .bank, to: .anna)
        try till.post(2, 101, from: .anna, to: .bert)
      }
    }
    try await book.write { till throws in
      #expect(try till.number("SELECT count(*) FROM transfer") == 0)
      #expect(try till.number("SELECT count(*) FROM failed_transfer") == 1)
      #expect(try till.post(1, 1_000, from: .bank, to: .anna))
      #expect(
        try refusal { try till.post(2, 101, from: .anna, to: .bert) } == .insufficientFunds)
    }
  }

  @Test("also after the file was opened again, for every code that is for good")
  func everyCode() async throws {
    let folder = try TemporaryFolder()
    let cases: [(UInt64, ProblemCode, AccountName)] = [
      (50, .insufficientFunds, .anna), (51, .accountFrozen, .bert), (52, .accountClosed, .carl),
    ]
    let book = try Book(in: folder)
    try await book.write { till throws in
      try till.post(1, 10, from: .bank, to: .bert)
      try LedgerStore.freeze(.bert, .test, at: till.now, on: till.connection)
      try LedgerStore.close(.carl, .test, at: till.now, on: till.connection)
    }
    for (id, code, name) in cases {
      let met = try await awaitedRefusal {
        try await book.write { till in try till.hold(id, 10, from: name) }
      }
      #expect(met == code)
    }
    try await Book(in: folder).write { till throws in
      try till.post(2, 100, from: .bank, to: .anna)
      try LedgerStore.unfreeze(.bert, .test, at: till.now, on: till.connection)
      for (id, code, name) in cases {
        #expect(try refusal { try till.hold(id, 10, from: name) } == code)
      }
      #expect(try till.hold(60, 10, from: .anna))
      #expect(try till.hold(61, 10, from: .bert))
    }
  }

  @Test("a refusal that says what to do instead is not for good")
  func notForGood() async throws {
    let book = try Book()
    try await book.write { till in
      try till.post(1, 100, from: .bank, to: .anna)
      try till.hold(10, 50)
    }
    for amount: Int64 in [0, 51] {
      _ = try await awaitedRefusal {
        try await book.write { till in try till.capture(20, of: 10, amount) }
      }
    }
    try await book.write { till throws in #expect(try till.capture(20, of: 10, 50)) }
  }
}
