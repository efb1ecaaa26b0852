import Identity
import Ledger
import Payments
import Primitives
import SQLite
import Testing
import TestSupport

@Suite("a payment event")
struct WebhookTests {
  @Test("gives the tokens once, however often and under whatever id it comes")
  func paid() async throws {
    let till = try Till()
    let bought = try await till.buy(100, key: "one")
    #expect(try await till.receive(bought.paid) == .applied)
    #expect(try await till.available() == 100_000_000)
    #expect(try await till.receive(bought.paid) == .repeated)
    // Two events of one fact: the processor says that this may happen.
    let twin = bought.session("completed", status: "paid", name: "twin")
    #expect(try await till.receive(twin) == .applied)
    #expect(try await till.available() == 100_000_000)
    #expect(try await till.balance(.bank) == -100_000_000)
    #expect(try await till.number("SELECT count(*) FROM transfer") == 1)
    let view = try await till.desk.purchase(bought.id, of: .anna).json
    #expect(view["state"] == "paid" && view["checkoutUrl"] == .null)
    #expect(try await till.faults().isEmpty)
  }

  @Test("that comes 50 times at once moves units once")
  func parallel() async throws {
    let till = try Till()
    let bought = try await till.buy(100, key: "one")
    let receipts = try await withThrowingTaskGroup(of: PaymentDesk.Receipt.self) { group in
      for _ in 0..<50 { group.addTask { try await till.receive(bought.paid) } }
      return try await group.reduce(into: [PaymentDesk.Receipt]()) { $0.append($1) }
    }
    #expect(receipts.filter { $0 == .applied }.count == 1)
    #expect(receipts.filter { $0 == .repeated }.count == 49)
    #expect(try await till.available() == 100_000_000)
  }

  @Test("that is forged, late or early changes nothing")
  func forged() async throws {
    let till = try Till()
    let bought = try await till.buy(100, key: "one")
    let body = bought.paid.bytes
    let good = StripeSignature.header(body: body, secret: Till.secret, at: till.clock.now)
    let forged = StripeSignature.header(body: body, secret: "whsec_other", at: till.clock.now)
    let other = bought.session("completed", status: "paid", amount: 1).bytes
    for (bytes, header) in [(body, nil), (body, "t=1,v1=00"), (body, forged), (other, good)] {
      let found = try await awaitedRefusal { try await till.desk.receive(bytes, signature: header) }
      #expect(found == .signatureInvalid)
    }
    till.clock.move(seconds: 301)
    #expect(
      try await awaitedRefusal { try await till.desk.receive(body, signature: good) }
        == .signatureInvalid)
    till.clock.move(seconds: -602)
    #expect(
      try await awaitedRefusal { try await till.desk.receive(body, signature: good) }
        == .signatureInvalid)
    #expect(try await till.number("SELECT count(*) FROM payment_event") == 0)
    #expect(try await till.available() == 0)
    till.clock.move(seconds: 1)
    #expect(try await till.desk.receive(body, signature: good) == .applied)
  }

  @Test("of a later payment moves units when that is certain")
  func asynchronous() async throws {
    let till = try Till()
    let slow = try await till.buy(100, key: "one")
    try await till.receive(slow.session("completed", status: "unpaid"))
    #expect(try await till.desk.purchase(slow.id, of: .anna).state == .processing)
    #expect(try await till.available() == 0)
    try await till.receive(slow.session("async_payment_succeeded", status: "paid"))
    #expect(try await till.available() == 100_000_000)
    let failed = try await till.buy(100, key: "two")
    try await till.receive(failed.session("completed", status: "unpaid"))
    try await till.receive(failed.session("async_payment_failed", status: "unpaid"))
    #expect(try await till.desk.purchase(failed.id, of: .anna).state == .failed)
    let left = try await till.buy(100, key: "three")
    try await till.receive(left.session("expired", status: "unpaid"))
    #expect(try await till.desk.purchase(left.id, of: .anna).state == .expired)
    #expect(try await till.available() == 100_000_000)
  }

  @Test("that contradicts its purchase is recorded, flagged, and moves nothing")
  func mismatches() async throws {
    let till = try Till()
    let bought = try await till.buy(100, key: "one")
    let other = try await till.buy(100, key: "two")
    try await till.receive(other.paid)
    let wrong: [JSON] = [
      bought.session("completed", status: "paid", amount: 299, name: "less"),
      bought.session("completed", status: "paid", amount: 301, name: "more"),
      bought.session("completed", status: "paid", currency: "usd", name: "currency"),
      bought.session("completed", status: "paid", session: "cs_other", name: "session"),
    ]
    for event in wrong { #expect(try await till.receive(event) == .recorded) }
    #expect(try await till.available() == 100_000_000)
    #expect(try await till.number("SELECT count(*) FROM transfer") == 1)
    #expect(try await till.desk.purchase(bought.id, of: .anna).state == .open)
    #expect(try await till.purchase(bought.id)["flag"]?.string != nil)
    var query = PaymentDesk.Query()
    query.isFlagged = true
    #expect(try await till.desk.purchases(query).map(\.id) == [bought.id])
    #expect(try await till.desk.events("mismatch", limit: 10).count == 4)
    #expect(till.notes.all.count == 4)
    #expect(try await till.desk.unflag(bought.id, author: .terminal).flag == nil)
    // The right one still counts.
    #expect(try await till.receive(bought.paid) == .applied)
    #expect(try await till.receive(bought.refunded(301)) == .recorded)
    #expect(try await till.receive(bought.dispute("funds_withdrawn", 301)) == .recorded)
    #expect(try await till.receive(bought.refunded(0)) == .recorded)
    #expect(try await till.available() == 200_000_000)
  }

  @Test("of what is not ours is left alone; of a purchase that is gone it is kept for an operator")
  func strangers() async throws {
    let till = try Till()
    let stranger: JSON = [
      "id": "evt_s", "type": "checkout.session.completed", "created": 1,
      "data": ["object": ["id": "cs_s", "payment_intent": "pi_s", "metadata": ["order": "7"]]],
    ]
    #expect(try await till.receive(stranger) == .ignored)
    let plain: JSON = [
      "id": "evt_p", "type": "payment_intent.succeeded", "data": ["object": ["id": "pi_1"]],
    ]
    #expect(try await till.receive(plain) == .ignored)
    #expect(try await till.number("SELECT count(*) FROM payment_event") == 0)
    let gone = Bought(id: ID(high: 5, low: 5), user: .anna, amount: 300, tokens: 100)
    #expect(try await till.receive(gone.paid) == .recorded)
    #expect(try await till.desk.events("unknown", limit: 10).count == 1)
    #expect(till.notes.all.count == 1)
  }

  @Test("waits where its purchase is not known yet, and is let go after 90 days")
  func waiting() async throws {
    let till = try Till()
    let bought = try await till.buy(100, key: "one")
    #expect(try await till.receive(bought.refunded(120)) == .waiting)
    #expect(try await till.receive(bought.dispute("created", 120)) == .waiting)
    #expect(try await till.available() == 0)
    #expect(try await till.receive(bought.paid) == .applied)
    #expect(try await till.available() == 60_000_000)
    #expect(
      try await till.number("SELECT count(*) FROM payment_event WHERE outcome='waiting'") == 0)
    let other = try await till.buy(100, key: "two")
    #expect(try await till.receive(other.refunded(120)) == .waiting)
    till.clock.move(seconds: 91 * 86_400)
    try await till.desk.prune()
    #expect(
      try await till.number("SELECT count(*) FROM payment_event WHERE outcome='waiting'") == 0)
    #expect(try await till.number("SELECT count(*) FROM payment_event") == 3)
  }

  @Test("of a closed account does not fail, and waits for an operator")
  func closed() async throws {
    let till = try Till()
    let first = try await till.buy(100, key: "one")
    let second = try await till.buy(100, key: "two")
    let third = try await till.buy(100, key: "three")
    try await till.receive(first.paid)
    try await till.database.write { connection throws in
      _ = try connection.run("UPDATE account SET closed = 1 WHERE kind = 'user_available'")
    }
    #expect(try await till.receive(second.paid) == .applied)
    #expect(try await till.receive(second.paid) == .repeated)
    #expect(try await till.available() == 100_000_000)
    #expect(try await till.purchase(second.id)["flag"]?.string?.contains("account_closed") == true)
    #expect(till.notes.all.count == 1)
    #expect(try await till.refund(second.id, nil, key: "back").status == 201)
    #expect(till.processor.asked.last?.form["amount"] == "300")
    #expect(try code(await till.refund(second.id, nil, key: "again")) == "exceeds_capture")
    // What went back by the processor's own pages counts, too, although the ledger could book nothing of it.
    try await till.receive(third.paid)
    try await till.receive(third.refunded(200))
    #expect(try await till.refund(third.id, nil, key: "rest").status == 201)
    #expect(till.processor.asked.last?.form["amount"] == "100")
    #expect(try await till.faults().isEmpty)
  }

  @Test("leaves nothing of the person in the record")
  func privacy() async throws {
    let till = try Till()
    let bought = try await till.buy(100, key: "one")
    try await till.receive(bought.paid)
    let found = try await till.database.read { connection throws in
      try connection.rows("SELECT name FROM sqlite_schema WHERE type = 'table'") { $0.text(0) }
        .filter { table in
          try connection.rows("PRAGMA table_info(\(table))") { $0.text(1) }.contains { column in
            let sql = "SELECT 1 FROM \(table) WHERE \"\(column)\" LIKE '%person@example%'"
            return try connection.first(sql) { _ in true } ?? false
          }
        }
    }
    #expect(found.isEmpty)
  }
}
