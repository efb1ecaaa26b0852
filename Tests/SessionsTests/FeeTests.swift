import Identity
import Ledger
import Primitives
import SQLite
import Sessions
import Testing
import TestSupport

/// The platform's share of captures, and what of it comes back with a refund (specification core, 2.1).
@Suite("Sessions: shares and refunds")
struct FeeTests {
  static let shares: [(Int64, Int64, Int64)] = [
    (0, 2_000, 0), (1, 2_000, 0), (4, 2_000, 0), (5, 2_000, 1), (9, 2_000, 1),
    (8_333_333, 2_000, 1_666_666), (8_333_333, 2_500, 2_083_333), (10_000, 0, 0),
    (9_999, 1, 0), (10_000, 1, 1), (1_000_000_000_000_000, 10_000, 1_000_000_000_000_000),
    (999_999_999_999_999, 2_000, 199_999_999_999_999),
  ]

  @Test("a share is floor(amount x basis points / 10,000)", arguments: shares)
  func share(amount: Int64, basisPoints: Int64, share: Int64) {
    #expect(Metering.share(of: amount, basisPoints: basisPoints) == share)
  }

  static let rates: [Int64] = [0, 1, 2_000, 2_333, 2_500, 10_000]

  @Test("what the view says is what the ledger moved", arguments: rates)
  func moved(basisPoints: Int64) async throws {
    let stage = try await Stage.shop(money: Stage.Money(feeBasisPoints: basisPoints))
    let session = try await stage.buy()
    stage.clock.move(milliseconds: 61_237)
    let done = try await stage.finish(session.id)
    let charged = Metering.charge(ratePerHour: 500_000_000, milliseconds: 61_237)
    let fee = charged * basisPoints / 10_000
    #expect(done.int("chargedMicrotokens") == charged)
    #expect(done.int("feeMicrotokens") == fee)
    #expect(done.int("feeBasisPoints") == basisPoints)
    #expect(try await stage.balance(.fees).balance == Microtokens(fee))
    #expect(try await stage.balance(.acme).balance == Microtokens(charged - fee))
    #expect(try await stage.faults() == [])
  }

  private func refund(
    _ stage: Stage, _ amount: Int64, number: UInt64
  ) async throws {
    let now = stage.clock.now
    try await stage.database.write { connection throws in
      let capture = try connection.first("SELECT id FROM transfer WHERE kind = 'capture'") { row in
        ID<TransferKind>(bytes: row.blob(0))
      }
      let id = try #require(capture ?? nil)
      _ = try LedgerStore.refund(
        ID(high: 5, low: number), capture: id, Microtokens(amount), reason: "refund", at: now,
        on: connection)
    }
  }

  @Test("a refund gives its part of the share back, cumulatively, and the session says so")
  func refunds() async throws {
    let stage = try await Stage.shop()
    let session = try await stage.buy()
    stage.clock.move(seconds: 60)
    _ = try await stage.finish(session.id)
    let charged: Int64 = 8_333_333
    let fee: Int64 = 1_666_666
    var given: Int64 = 0
    for (number, part) in [Int64(1), 2, 333, 4_000_000, 4_332_997].enumerated() {
      try await refund(stage, part, number: UInt64(number))
      given += part
      let view = try await stage.view(session.id)
      #expect(view.int("refundedMicrotokens") == given)
      #expect(view.int("chargedMicrotokens") == charged)
      let kept = fee - fee * given / charged
      #expect(try await stage.balance(.fees).balance == Microtokens(kept))
      #expect(try await stage.balance(.acme).balance == Microtokens(charged - given - kept))
      #expect(
        try await stage.balance(.anna).balance == Microtokens(1_000_000_000 - charged + given))
    }
    #expect(given == charged)
    let more = try await awaitedRefusal { try await refund(stage, 1, number: 99) }
    #expect(more == ProblemCode.exceedsCapture)
    let list = try await stage.desk.sessions(of: .user(.anna), before: nil, limit: 5)
    #expect(list.first?.int("refundedMicrotokens") == charged)
    let again = try await stage.finish(session.id)
    #expect(again.int("refundedMicrotokens") == charged, "whoever ends it again is told too")
    #expect(try await stage.faults() == [])
  }

  @Test("a trial carries no share")
  func trial() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    try await stage.beat(session.id, times: 3)
    let done = try await stage.finish(session.id)
    #expect(done.int("feeMicrotokens") == 0)
    #expect(done.int("feeBasisPoints") == 0)
    #expect(try await stage.number("SELECT count(*) FROM transfer WHERE kind = 'fee'") == 0)
    // I14: no account of a user was touched.
    let users = try await stage.number("SELECT count(*) FROM account WHERE kind = 'user_available'")
    #expect(users == 0)
  }
}
