import Payments
import Primitives
import Testing
import TestSupport

/// One event as the facts take it.
private struct Told: Sendable {
  let kind: PaymentEvent.Kind
  var object = "dp_1"
  var amount: Int64 = 0
  var refunded: Int64 = 0
  var status = ""
}

extension PurchaseFacts {
  fileprivate mutating func add(_ told: Told) {
    add(
      told.kind, object: told.object, amountMinor: told.amount, refundedMinor: told.refunded,
      status: told.status)
  }

  fileprivate init(_ all: [Told]) {
    self.init()
    for told in all { add(told) }
  }
}

private let paid = Told(kind: .completed, status: "paid")
private func refund(_ total: Int64) -> Told { Told(kind: .refunded, refunded: total) }
private func dispute(
  _ kind: PaymentEvent.Kind, _ amount: Int64 = 300, of object: String = "dp_1",
  _ status: String = ""
) -> Told {
  Told(kind: kind, object: object, amount: amount, status: status)
}

/// What was told of a purchase of 300 minor units, what must be gone, and how it is called then.
private let table: [(name: String, told: [Told], clawed: Int64, state: PurchaseState)] = [
  ("nothing", [], 0, .open),
  ("paid", [paid], 0, .paid),
  ("not paid at once", [Told(kind: .completed, status: "unpaid")], 0, .processing),
  ("paid late", [Told(kind: .completed, status: "unpaid"), Told(kind: .asyncSucceeded)], 0, .paid),
  (
    "failed late", [Told(kind: .completed, status: "unpaid"), Told(kind: .asyncFailed)], 0, .failed
  ),
  ("expired", [Told(kind: .expired)], 0, .expired),
  ("expired, then paid after all", [Told(kind: .expired), paid], 0, .paid),
  ("refunded in part", [paid, refund(100)], 100, .partiallyRefunded),
  ("refunds are cumulative", [paid, refund(100), refund(250)], 250, .partiallyRefunded),
  ("refunded", [paid, refund(300)], 300, .refunded),
  ("refunded, never paid", [refund(300)], 0, .open),
  ("disputed", [paid, dispute(.disputeCreated)], 0, .disputed),
  ("taken", [paid, dispute(.disputeWithdrawn)], 300, .chargedBack),
  ("taken in part", [paid, dispute(.disputeWithdrawn, 90)], 90, .chargedBack),
  (
    "taken and given back", [paid, dispute(.disputeWithdrawn), dispute(.disputeReinstated)], 0,
    .paid
  ),
  ("lost", [paid, dispute(.disputeClosed, 300, of: "dp_1", "lost")], 300, .chargedBack),
  (
    "won", [paid, dispute(.disputeWithdrawn), dispute(.disputeClosed, 300, of: "dp_1", "won")], 0,
    .paid
  ),
  (
    "an inquiry that ended",
    [paid, dispute(.disputeCreated), dispute(.disputeClosed, 300, of: "dp_1", "warning_closed")],
    0, .paid
  ),
  (
    "two disputes",
    [paid, dispute(.disputeWithdrawn, 90), dispute(.disputeWithdrawn, 30, of: "b")],
    120, .chargedBack
  ),
  (
    "refund and dispute together take no more than there was",
    [paid, refund(300), dispute(.disputeWithdrawn)], 300, .chargedBack
  ),
]

@Suite("the facts of a purchase")
struct PurchaseFactsTests {
  @Test("say what must be gone and what it is called", arguments: table.indices)
  func said(index: Int) {
    let (name, told, clawed, state) = table[index]
    for order in permutations(told) {
      let facts = PurchaseFacts(order + order)
      let gone = facts.clawed(of: Microtokens(300), price: 300)
      #expect(gone.count == clawed, "\(name)")
      #expect(facts.state(price: 300, isOpen: true) == state, "\(name)")
    }
  }

  @Test("are the same in each of 5,040 orders")
  func orders() {
    let all = [
      paid, refund(40), refund(90), dispute(.disputeCreated, 120), dispute(.disputeWithdrawn, 120),
      dispute(.disputeReinstated, 120), dispute(.disputeClosed, 120, of: "dp_1", "won"),
    ]
    let expected = PurchaseFacts(all)
    var count = 0
    for order in permutations(all) {
      count += 1
      #expect(PurchaseFacts(order) == expected)
    }
    #expect(count == 5_040)
  }

  @Test("take the floor in microtokens, and all of it at the full price")
  func rounding() {
    let third = PurchaseFacts([paid, refund(1)])
    #expect(third.clawed(of: Microtokens(100_000_000), price: 3).count == 33_333_333)
    #expect(third.clawed(of: Microtokens(100_000_000), price: 7).count == 14_285_714)
    // 10^11 microtokens x 99,999,999 minor units need more than 64 bits.
    let large = PurchaseFacts([paid, refund(99_999_998)])
    #expect(
      large.clawed(of: Microtokens(100_000_000_000), price: 99_999_999).count == 99_999_998_999)
    let whole = PurchaseFacts([paid, refund(99_999_999)])
    #expect(
      whole.clawed(of: Microtokens(100_000_000_000), price: 99_999_999).count == 100_000_000_000)
  }
}

@Suite("an inbound event")
struct PaymentEventTests {
  @Test("is read without the person in it")
  func read() throws {
    let text = #"""
      {"id":"evt_1","type":"checkout.session.completed","created":1800000000,"data":{"object":
      {"id":"cs_1","payment_intent":{"id":"pi_1"},"payment_status":"paid","amount_total":500,
      "currency":"EUR","metadata":{"purchaseId":"00000000000000000000000001"},
      "customer_details":{"email":"person@example.org"}}}}
      """#
    let event = try #require(try PaymentEvent.read(Array(text.utf8)))
    #expect(event.kind == .completed && event.object == "cs_1" && event.paymentIntent == "pi_1")
    #expect(event.purchaseID == ID(high: 0, low: 1) && event.amountMinor == 500)
    #expect(event.currency == "eur" && event.status == "paid")
    #expect(event.contradiction(amountMinor: 500, currency: "eur") == nil)
    #expect(event.contradiction(amountMinor: 501, currency: "eur") != nil)
    #expect(event.contradiction(amountMinor: 500, currency: "usd") != nil)
    #expect(!String(describing: event).contains("person"))
  }

  @Test(
    "of another type, or of a type that is near, counts for nothing",
    arguments: ["payment_intent.succeeded", "charge.refund.updated", "Charge.refunded", ""])
  func ignored(type: String) throws {
    let event: JSON = [
      "id": "evt_1", "type": .string(type), "data": ["object": ["id": "ch_1"]],
    ]
    #expect(try PaymentEvent.read(event.bytes) == nil)
  }

  @Test(
    "that is none is refused",
    arguments: [
      ("", ProblemCode.malformedJSON), ("{", .malformedJSON), ("[]", .validationFailed),
      ("null", .validationFailed), ("{}", .validationFailed),
      (#"{"id":"","type":"charge.refunded","data":{"object":{"id":"x"}}}"#, .validationFailed),
      (#"{"id":"e","type":"charge.refunded","data":{"object":{}}}"#, .validationFailed),
      (#"{"id":"e","type":"charge.refunded","data":{"object":{"id":7}}}"#, .validationFailed),
      (#"{"id":"e","type":"charge.refunded","data":[]}"#, .validationFailed),
      (#"{"id":"e","data":{"object":{"id":"x"}}}"#, .validationFailed),
    ])
  func refused(text: String, expected: ProblemCode) async throws {
    let found = try await awaitedRefusal { try PaymentEvent.read(Array(text.utf8)) }
    #expect(found == expected)
  }
}
