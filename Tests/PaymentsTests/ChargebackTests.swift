import HTTPClient
import Identity
import Ledger
import Payments
import Primitives
import SQLite
import Testing
import TestSupport

@Suite("money that goes back")
struct ChargebackTests {
  /// 100 tokens, 70 of them spent.
  private func spender() async throws -> (till: Till, bought: Bought) {
    let till = try Till()
    let bought = try await till.buy(100, key: "one")
    try await till.receive(bought.paid)
    try await till.spend(70_000_000, id: 1)
    return (till, bought)
  }

  private func owed(_ till: Till, _ bought: Bought) async throws -> Int64 {
    try await till.desk.purchase(bought.id, of: bought.user).owed.count
  }

  @Test("by a dispute of spent tokens is paid by the platform, and the user is frozen")
  func dispute() async throws {
    let (till, bought) = try await spender()
    try await till.receive(bought.dispute("created"))
    #expect(try await till.available() == 30_000_000)
    #expect(try await till.isFrozen() == false)
    try await till.receive(bought.dispute("funds_withdrawn"))
    #expect(try await till.available() == 0)
    #expect(try await till.balance(.losses) == -70_000_000)
    #expect(try await till.balance(.bank) == 0)
    #expect(try await owed(till, bought) == 70_000_000)
    #expect(try await till.isFrozen())
    let found = try await awaitedRefusal {
      try await till.database.read { connection throws in
        try StandingStore.requireNotFrozen(.anna, on: connection)
      }
    }
    #expect(found == .accountFrozen)
    let refused = try await till.answer(100, key: "more")
    #expect(try code(refused) == "account_frozen")
    #expect(try await till.answer(100, key: "more").isReplayed)
    let debtors = try await till.desk.debtors(after: nil, limit: 10)
    #expect(debtors.count == 1 && debtors[0]["owedMicrotokens"] == 70_000_000)
    #expect(debtors[0]["frozenAt"]?.string != nil)
    #expect(try await till.faults().isEmpty)
  }

  @Test("and comes back again is the platform's first, then the user's, who is free again")
  func reinstated() async throws {
    let (till, bought) = try await spender()
    try await till.receive(bought.dispute("funds_withdrawn"))
    try await till.receive(bought.dispute("funds_reinstated"))
    #expect(try await till.available() == 30_000_000)
    #expect(try await till.balance(.losses) == 0)
    #expect(try await till.balance(.bank) == -100_000_000)
    #expect(try await owed(till, bought) == 0)
    #expect(try await till.isFrozen() == false)
    try await till.receive(bought.dispute("closed", status: "won"))
    #expect(try await till.available() == 30_000_000)
    #expect(try await till.faults().isEmpty)
  }

  @Test("and is settled by an admin frees the user; what comes back later is the platform's")
  func settled() async throws {
    let (till, bought) = try await spender()
    try await till.receive(bought.dispute("funds_withdrawn"))
    let answer = try await till.settle(.anna, key: "one")
    let body = try JSON.parse(answer.body)
    #expect(body["forgivenMicrotokens"] == 70_000_000 && body["collectedMicrotokens"] == 0)
    #expect(try await till.isFrozen() == false)
    #expect(try await till.settle(.anna, key: "one").isReplayed)
    #expect(try code(await till.settle(.anna, key: "two")) == "not_found")
    #expect(try await till.balance(.losses) == -70_000_000)
    let other = try await till.buy(100, key: "other")
    try await till.receive(other.paid)
    #expect(try await till.available() == 100_000_000)
    try await till.receive(bought.dispute("funds_reinstated"))
    #expect(try await till.available() == 130_000_000)
    #expect(try await till.balance(.losses) == 0)
    #expect(try await till.faults().isEmpty)
  }

  @Test("by a refund takes what is there, and the rest from what comes next")
  func refund() async throws {
    let (till, bought) = try await spender()
    let next = try await till.buy(100, key: "next")
    try await till.receive(bought.refunded(300))
    #expect(try await till.available() == 0)
    #expect(try await till.balance(.losses) == -70_000_000)
    // No dispute: the user owes, but is not frozen.
    #expect(try await till.isFrozen() == false)
    try await till.receive(next.paid)
    #expect(try await till.available() == 30_000_000)
    #expect(try await till.balance(.losses) == 0)
    #expect(try await owed(till, bought) == 0)
    #expect(try await till.desk.debtors(after: nil, limit: 10).isEmpty)
    #expect(try await till.faults().isEmpty)
  }

  @Test("by a refund while all is held is paid before anything else is spent")
  func heldAndReleased() async throws {
    let till = try Till()
    let bought = try await till.buy(100, key: "one")
    try await till.receive(bought.paid)
    let now = till.clock.now
    try await till.database.write { connection throws in
      _ = try LedgerStore.hold(
        ID(high: 6, low: 6), reference: [1], from: .user(ID<UserKind>.anna), to: .provider("shop"),
        Microtokens(bought.microtokens), expiresAt: now + 60_000, reason: "session", at: now,
        on: connection)
    }
    try await till.receive(bought.refunded(300))
    #expect(try await till.balance(.losses) == -100_000_000)
    #expect(try await till.isFrozen() == false)
    for (part, left) in [(Int64(60), Int64(-40)), (40, 0)] {
      try await till.database.write { connection throws in
        // What a session gives back comes in parts.
        if part == 60 {
          try LedgerStore.void(
            ID(high: 6, low: 7), hold: ID(high: 6, low: 6), reason: "unused", at: now,
            on: connection)
          try LedgerStore.hold(
            ID(high: 6, low: 8), reference: [1], from: .user(ID<UserKind>.anna),
            to: .provider("shop"), Microtokens(40_000_000), expiresAt: now + 60_000,
            reason: "session", at: now, on: connection)
        } else {
          try LedgerStore.void(
            ID(high: 6, low: 9), hold: ID(high: 6, low: 8), reason: "unused", at: now,
            on: connection)
        }
        try StandingStore.requireSettled(.anna, at: now, on: connection)
      }
      #expect(try await till.balance(.losses) == left * 1_000_000)
    }
    #expect(try await till.available() == 0)
    #expect(try await owed(till, bought) == 0)
    #expect(try await till.faults().isEmpty)
  }

  @Test("and comes back again leaves an account frozen that an admin has frozen")
  func frozenByAdmin() async throws {
    let (till, bought) = try await spender()
    let now = till.clock.now
    try await till.database.write { connection throws in
      try LedgerStore.freeze(
        .user(ID<UserKind>.anna),
        LedgerOrder(actor: ID<UserKind>.admin.bytes, reason: "stolen card"), at: now,
        on: connection)
    }
    try await till.receive(bought.dispute("funds_withdrawn"))
    try await till.receive(bought.dispute("funds_reinstated"))
    #expect(try await owed(till, bought) == 0)
    #expect(try await till.isFrozen())
  }

  @Test("does not touch what a running session holds")
  func held() async throws {
    let till = try Till()
    let bought = try await till.buy(100, key: "one")
    try await till.receive(bought.paid)
    let now = till.clock.now
    try await till.database.write { connection throws in
      _ = try LedgerStore.hold(
        ID(high: 6, low: 6), reference: [1], from: .user(ID<UserKind>.anna), to: .provider("shop"),
        Microtokens(40_000_000), expiresAt: now + 60_000, reason: "session", at: now,
        on: connection)
    }
    try await till.receive(bought.dispute("funds_withdrawn"))
    #expect(try await till.available() == 40_000_000)
    #expect(try await owed(till, bought) == 40_000_000)
    try await till.database.write { connection throws in
      _ = try LedgerStore.void(
        ID(high: 6, low: 7), hold: ID(high: 6, low: 6), reason: "unused", at: now, on: connection)
    }
    let body = try JSON.parse(await till.settle(.anna, key: "one").body)
    #expect(body["collectedMicrotokens"] == 40_000_000 && body["forgivenMicrotokens"] == 0)
    #expect(try await till.available() == 0)
    #expect(try await till.balance(.losses) == 0)
    #expect(try await till.faults().isEmpty)
  }

  @Test("and is settled under a key whose answer is not kept any more is settled anew")
  func oldKey() async throws {
    let till = try Till()
    for round in 1...2 as ClosedRange<UInt64> {
      let bought = try await till.buy(100, key: "purchase \(round)")
      try await till.receive(bought.paid)
      let now = till.clock.now
      try await till.database.write { connection throws in
        _ = try LedgerStore.hold(
          ID(high: 6, low: round), reference: [1], from: .user(ID<UserKind>.anna),
          to: .provider("shop"), Microtokens(40_000_000), expiresAt: now + 60_000,
          reason: "session", at: now, on: connection)
      }
      try await till.receive(bought.dispute("funds_withdrawn"))
      try await till.database.write { connection throws in
        _ = try LedgerStore.void(
          ID(high: 7, low: round), hold: ID(high: 6, low: round), reason: "unused", at: now,
          on: connection)
      }
      let body = try JSON.parse(await till.settle(.anna, key: "one").body)
      #expect(body["collectedMicrotokens"] == 40_000_000)
      #expect(try await till.available() == 0, "round \(round)")
      #expect(try await till.balance(.losses) == 0, "round \(round)")
      till.clock.move(seconds: 49 * 3_600)
      try await till.database.write { connection throws in
        _ = try connection.run("DELETE FROM idempotency")
      }
    }
    #expect(try await till.faults().isEmpty)
  }
}

@Suite("a refund by an admin")
struct AdminRefundTests {
  private func paid() async throws -> (till: Till, bought: Bought) {
    let till = try Till()
    let bought = try await till.buy(100, key: "one")
    try await till.receive(bought.paid)
    return (till, bought)
  }

  @Test("asks the processor once for a key, and moves units on its event alone")
  func asked() async throws {
    let (till, bought) = try await paid()
    let answer = try await till.refund(bought.id, 120, key: "one")
    let body = try JSON.parse(answer.body)
    let id = try #require(body["refundId"]?.string)
    #expect(answer.status == 201 && body["state"] == "accepted" && body["amountMinor"] == 120)
    #expect(body["processorId"]?.string == "re_" + id)
    let asked = try #require(till.processor.asked.last)
    #expect(asked.path == "/v1/refunds" && asked.headers["Idempotency-Key"] == id)
    let form = [
      "payment_intent": bought.payment, "amount": "120", "metadata[purchaseId]": bought.id.text,
      "metadata[refundId]": id,
    ]
    #expect(asked.form == form)
    #expect(try await till.available() == 100_000_000)
    let again = try await till.refund(bought.id, 120, key: "one")
    #expect(again.body == answer.body && again.isReplayed)
    #expect(till.processor.asked.count == 2)
    try await till.receive(bought.refunded(120))
    #expect(try await till.available() == 60_000_000)
    #expect(try await till.desk.purchase(bought.id, of: .anna).state == .partiallyRefunded)
  }

  @Test("goes on under the same key at the processor after any failure")
  func failing() async throws {
    let (till, bought) = try await paid()
    till.processor.play(
      .failure(.timedOut), .status(500, [:]), .status(402, [:]), .status(429, [:]))
    for _ in 0..<4 {
      let found = try await awaitedRefusal { try await till.refund(bought.id, nil, key: "one") }
      #expect(found == .paymentsUnavailable)
    }
    #expect(
      try await awaitedRefusal { try await till.refund(bought.id, 1, key: "one") }
        == .idempotencyConflict)
    #expect(try await till.refund(bought.id, nil, key: "one").status == 201)
    let keys = till.processor.asked.dropFirst().map { $0.headers["Idempotency-Key"] }
    #expect(keys.count == 5 && Set(keys).count == 1)
    #expect(try await till.number("SELECT count(*) FROM purchase_refund") == 1)
  }

  @Test("is not asked for again once the processor may have forgotten its key")
  func forgotten() async throws {
    let (till, bought) = try await paid()
    till.processor.play(.failure(.timedOut))
    let lost = try await awaitedRefusal { try await till.refund(bought.id, 100, key: "one") }
    #expect(lost == .paymentsUnavailable)
    till.clock.move(seconds: 23 * 3_600)
    #expect(try code(await till.refund(bought.id, 100, key: "one")) == "invalid_transition")
    #expect(till.processor.asked.filter { $0.path == "/v1/refunds" }.count == 1)
    // It may have come to pass: only what is left beside it can be refunded now.
    #expect(try code(await till.refund(bought.id, 201, key: "two")) == "exceeds_capture")
    #expect(try await till.refund(bought.id, 200, key: "three").status == 201)
  }

  @Test("is of what was paid, and of no more than is left")
  func bounds() async throws {
    let (till, bought) = try await paid()
    let open = try await till.buy(100, key: "open")
    #expect(try code(await till.refund(open.id, 1, key: "a")) == "invalid_transition")
    #expect(try code(await till.refund(ID(high: 1, low: 1), 1, key: "b")) == "not_found")
    #expect(try code(await till.refund(bought.id, 301, key: "c")) == "exceeds_capture")
    #expect(try await till.refund(bought.id, 200, key: "d").status == 201)
    #expect(try code(await till.refund(bought.id, 101, key: "e")) == "exceeds_capture")
    #expect(try await till.refund(bought.id, nil, key: "f").status == 201)
    #expect(try code(await till.refund(bought.id, nil, key: "g")) == "exceeds_capture")
    #expect(try await till.number("SELECT sum(amount_minor) FROM purchase_refund") == 300)
    #expect(till.processor.asked.filter { $0.path == "/v1/refunds" }.count == 2)
  }

  @Test("that the processor refuses is refused for good, and counts for nothing")
  func refused() async throws {
    let (till, bought) = try await paid()
    till.processor.play(.status(400, ["error": ["code": "charge_disputed"]]))
    #expect(try code(await till.refund(bought.id, 300, key: "one")) == "invalid_transition")
    #expect(try await till.refund(bought.id, 300, key: "one").isReplayed)
    #expect(
      try await till.number("SELECT count(*) FROM purchase_refund WHERE state = 'refused'") == 1)
    #expect(try await till.refund(bought.id, 300, key: "two").status == 201)
  }
}
