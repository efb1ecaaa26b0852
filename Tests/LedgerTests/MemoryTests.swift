import Ledger
import Primitives
import SQLite
import Testing
import TestSupport

/// The connection remembers the chain's end and where accounts are. No undoing may leave it with what is gone.
@Suite("what the ledger remembers is never what was undone")
struct MemoryTests {
  @Test("an account whose making was undone gives its row to another one")
  func accounts() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .carl)
      try? till.connection.savepoint { () -> Void in
        try till.post(2, 100, from: .carl, to: .anna)
        try till.hold(3, 50, from: .anna, to: .shop)
        throw Stop()
      }
      // Bert and the kiosk now have the rows that Anna and the shop had.
      try till.post(4, 200, from: .carl, to: .bert)
      try till.hold(5, 70, from: .bert, to: .kiosk)
      try till.post(6, 300, from: .carl, to: .anna)
      try till.hold(7, 80, from: .anna, to: .shop)
      #expect(try till.pocket(.bert) == Pocket(200, held: 70))
      #expect(try till.pocket(.anna) == Pocket(300, held: 80))
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }

  @Test("the chain goes on from what stands, after savepoints and writes that were undone")
  func chain() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .anna)
      for id in UInt64(10)..<20 {
        try? till.connection.savepoint { () -> Void in
          try till.hold(id, 10)
          throw Stop()
        }
        try till.hold(id + 100, 10)
      }
    }
    await #expect(throws: Stop.self) {
      try await book.write { till -> Void in
        try till.hold(200, 10)
        throw Stop()
      }
    }
    try await book.write { till throws in try till.hold(201, 10) }
    let report = try await book.verify()
    #expect(report.faults == [])
    #expect(report.transferCount == 12)
  }

  @Test("writes in a group, some of them undone late, leave one sound chain")
  func groups() async throws {
    let book = try Book()
    try await book.write { till throws in try till.post(1, 100_000, from: .bank, to: .anna) }
    await withTaskGroup(of: Void.self) { group in
      for id in UInt64(1_000)..<1_200 {
        group.addTask {
          // Every seventh makes an account and a hold, and takes both back.
          _ = try? await book.write { till -> Void in
            let shop = AccountName.provider("shop \(id % 13)")
            try till.hold(id, 10, to: id % 7 == 0 ? .provider("gone \(id)") : shop)
            if id % 7 == 0 { throw Stop() }
          }
        }
      }
    }
    let report = try await book.verify()
    #expect(report.faults == [])
    #expect(report.transferCount == 1 + (1_000..<1_200).count { $0 % 7 != 0 })
  }

  @Test("a hold of a known hold's id is found without looking, and every term counts")
  func repeats() async throws {
    let book = try Book()
    try await book.write { till throws in
      try till.post(1, 1_000, from: .bank, to: .anna)
      #expect(try till.hold(10, 1_000))
      // Nothing is left for it: a repeat is one all the same.
      #expect(try till.hold(10, 1_000) == false)
      #expect(try refusal { try till.hold(10, 999) } == .idExistsDifferent)
      #expect(try refusal { try till.hold(10, 1_000, to: .kiosk) } == .idExistsDifferent)
      #expect(try refusal { try till.hold(10, 1_000, reference: [2]) } == .idExistsDifferent)
    }
    let report = try await book.verify()
    #expect(report.faults == [])
  }
}

/// What a test throws to undo something.
private struct Stop: Error {}
