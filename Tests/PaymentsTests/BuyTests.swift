import HTTPClient
import Identity
import Payments
import Primitives
import Testing
import TestSupport

@Suite("a purchase")
struct BuyTests {
  @Test("waits to be paid where the processor says, and moves nothing")
  func opened() async throws {
    let till = try Till()
    let answer = try await till.answer(250, key: "one")
    let view = try JSON.parse(answer.body)
    let id = try #require(view["purchaseId"]?.string)
    #expect(answer.status == 201 && !answer.isReplayed)
    #expect(view["state"] == "open" && view["tokenAmount"] == 250)
    #expect(view["amountMinor"] == 750 && view["currency"] == "eur")
    #expect(view["checkoutUrl"]?.string == "https://checkout.example/c/" + id)
    #expect(try await till.available() == 0)
    #expect(try await till.number("SELECT count(*) FROM transfer") == 0)
  }

  @Test("asks the processor with its id as the key, and for exactly its price")
  func asked() async throws {
    let till = try Till()
    let bought = try await till.buy(250, key: "one")
    let asked = try #require(till.processor.asked.first)
    let id = bought.id.text
    #expect(till.processor.asked.count == 1 && asked.path == "/v1/checkout/sessions")
    #expect(asked.headers["Authorization"] == "Bearer " + Till.key)
    #expect(asked.headers["Idempotency-Key"] == id)
    #expect(asked.headers["Stripe-Version"] == StripeClient.version)
    #expect(asked.headers["Content-Type"] == "application/x-www-form-urlencoded")
    let expected = [
      "mode": "payment", "client_reference_id": id,
      "success_url": "https://waypost.example/purchases/\(id)?checkout=done",
      "cancel_url": "https://waypost.example/purchases/\(id)?checkout=cancelled",
      "line_items[0][quantity]": "1", "line_items[0][price_data][currency]": "eur",
      "line_items[0][price_data][unit_amount]": "750",
      "line_items[0][price_data][product_data][name]": "250 Waypost tokens",
      "adaptive_pricing[enabled]": "false", "metadata[purchaseId]": id,
      "payment_intent_data[metadata][purchaseId]": id,
    ]
    #expect(asked.form == expected)
  }

  @Test(
    "has 100 to 100,000 tokens",
    arguments: [
      (Int64?(100), true), (100_000, true), (99, false), (100_001, false), (0, false),
      (-100, false),
      (Int64.max, false), (nil, false),
    ])
  func bounds(tokens: Int64?, isTaken: Bool) async throws {
    let till = try Till(price: 999)
    let found = try await awaitedRefusal { try await till.answer(tokens, key: "one") }
    #expect(found == (isTaken ? nil : .validationFailed))
    #expect(till.processor.asked.count == (isTaken ? 1 : 0))
    #expect(try await till.number("SELECT count(*) FROM purchase") == (isTaken ? 1 : 0))
  }

  @Test("is one for a key, and its answer the same byte for byte")
  func replayed() async throws {
    let till = try Till()
    let first = try await till.answer(100, key: "one")
    let again = try await till.answer(100, key: "one")
    #expect(again.body == first.body && again.status == 201 && again.isReplayed)
    #expect(till.processor.asked.count == 1)
    #expect(
      try await awaitedRefusal { try await till.answer(101, key: "one") } == .idempotencyConflict)
    let other = try await till.answer(100, by: .bert, key: "one")
    #expect(other.body != first.body && !other.isReplayed)
    #expect(try await till.number("SELECT count(*) FROM purchase") == 2)
  }

  /// What the processor does, and whether a retry may send the same key.
  static let failures: [(name: String, reply: Processor.Reply, isSameKey: Bool)] = [
    ("time-out", .failure(.timedOut), true), ("broken", .failure(.connection("reset")), true),
    ("busy", .failure(.busy), true), ("409", .status(409, [:]), true),
    ("429", .status(429, ["error": ["type": "rate_limit_error"]]), true),
    ("401", .status(401, ["error": ["message": "Invalid API Key"]]), true),
    ("400", .status(400, ["error": ["code": "parameter_unknown"]]), true),
    ("302", .status(302, [:]), true), ("no link", .status(200, ["id": "cs_1"]), true),
    ("a link to elsewhere", .status(200, ["id": "cs_1", "url": "javascript:1"]), true),
    ("402", .status(402, ["error": ["code": "card_declined"]]), false),
    ("500", .status(500, ["error": ["type": "api_error"]]), false),
    ("503", .status(503, [:]), false),
  ]

  @Test(
    "is 503 where the processor fails, and the same key goes on with it",
    arguments: BuyTests.failures.indices)
  func failing(index: Int) async throws {
    let (name, reply, isSameKey) = BuyTests.failures[index]
    let till = try Till()
    till.processor.play(reply)
    #expect(
      try await awaitedRefusal { try await till.answer(100, key: "one") } == .paymentsUnavailable,
      "\(name)")
    #expect(try await till.number("SELECT count(*) FROM idempotency") == 0)
    #expect(try await till.number("SELECT count(*) FROM transfer") == 0)
    #expect(
      try await awaitedRefusal { try await till.answer(200, key: "one") } == .idempotencyConflict)
    let bought = try await till.buy(key: "one")
    #expect(try await till.number("SELECT count(*) FROM purchase") == 1)
    let keys = till.processor.asked.map { $0.headers["Idempotency-Key"] ?? "" }
    #expect(keys == [bought.id.text, bought.id.text + (isSameKey ? "" : "-1")], "\(name)")
    #expect(till.processor.asked[0].form == till.processor.asked[1].form)
    #expect(till.notes.all.count == 1)
    #expect(!till.notes.all.joined().contains(Till.key))
    #expect(!till.notes.all.joined().contains("Invalid"))
  }

  @Test("is in flight while the processor is asked")
  func inFlight() async throws {
    let till = try Till()
    till.processor.play(.held)
    async let first = till.answer(100, key: "one")
    while till.processor.asked.isEmpty { try await Task.sleep(for: .milliseconds(2)) }
    #expect(
      try await awaitedRefusal { try await till.answer(100, key: "one") } == .idempotencyInFlight)
    #expect(try await till.answer(100, key: "two").status == 201)
    till.processor.letGo()
    #expect(try await first.status == 201)
    #expect(try await till.answer(100, key: "one").isReplayed)
    #expect(till.processor.asked.count == 2)
  }

  @Test("100 at once with one key make one purchase, once paid once")
  func parallel() async throws {
    let till = try Till()
    let codes = try await withThrowingTaskGroup(of: String.self) { group in
      for _ in 0..<100 {
        group.addTask {
          let found = try await awaitedRefusal { try await till.answer(100, key: "one") }
          return found?.rawValue ?? "done"
        }
      }
      return try await group.reduce(into: Set<String>()) { $0.insert($1) }
    }
    #expect(codes.isSubset(of: ["done", "idempotency_in_flight"]) && codes.contains("done"))
    #expect(try await till.number("SELECT count(*) FROM purchase") == 1)
    #expect(Set(till.processor.asked.map { $0.headers["Idempotency-Key"] }).count == 1)
  }

  @Test("without a key of a processor is refused, also its events")
  func notOffered() async throws {
    let till = try Till(isOffered: false)
    #expect(
      try await awaitedRefusal { try await till.answer(100, key: "one") } == .purchasesNotOffered)
    #expect(
      try await awaitedRefusal { try await till.receive(["id": "evt_1"]) } == .purchasesNotOffered)
    #expect(try await till.number("SELECT count(*) FROM purchase") == 0)
  }

  @Test("waits beside at most 49 others of a day")
  func limit() async throws {
    let till = try Till()
    for index in 0..<50 { _ = try await till.buy(key: "k\(index)") }
    #expect(try await awaitedRefusal { try await till.answer(100, key: "more") } == .rateLimited)
    _ = try await till.buy(by: .bert, key: "more")
    till.clock.move(seconds: 86_401)
    _ = try await till.buy(key: "more")
  }

  @Test("is its buyer's alone, and listed newest first")
  func own() async throws {
    let till = try Till()
    let first = try await till.buy(key: "one")
    till.clock.move(seconds: 1)
    let second = try await till.buy(key: "two")
    #expect(try await till.desk.purchase(first.id, of: .anna).state == .open)
    #expect(
      try await awaitedRefusal { try await till.desk.purchase(first.id, of: .bert) } == .notFound)
    let all = try await till.desk.purchases(of: .anna, before: nil, limit: 10)
    #expect(all.map(\.id) == [second.id, first.id])
    let older = try await till.desk.purchases(of: .anna, before: second.id, limit: 10)
    #expect(older.map(\.id) == [first.id])
    #expect(try await till.desk.purchases(of: .bert, before: nil, limit: 10).isEmpty)
  }

  @Test("forgets its key after 48 hours; what was never answered has expired")
  func pruned() async throws {
    let till = try Till()
    till.processor.play(.failure(.timedOut))
    _ = try await awaitedRefusal { try await till.answer(100, key: "one") }
    till.clock.move(seconds: 48 * 3_600 + 1)
    try await till.desk.prune()
    #expect(try await till.number("SELECT count(*) FROM purchase WHERE state = 'expired'") == 1)
    _ = try await till.buy(key: "one")
    #expect(try await till.number("SELECT count(*) FROM purchase") == 2)
  }

  @Test("is not sold over plain HTTP, with half a key, or at no price")
  func settings() async throws {
    for url in ["http://processor.example", "ftp://127.0.0.1", "", "http://127.0.0.1.example"] {
      let found = try await awaitedRefusal {
        try StripeClient(url: url, key: "sk_1", webhookSecret: "whsec_1")
      }
      #expect(found == .validationFailed, "\(url)")
    }
    for url in ["https://api.stripe.com", "http://127.0.0.1:8420/", "http://[::1]:1"] {
      _ = try StripeClient(url: url, key: "sk_1", webhookSecret: "whsec_1")
    }
    for (key, secret) in [("", "whsec_1"), ("sk_1", ""), ("sk_1\r\nX: y", "whsec_1")] {
      let found = try await awaitedRefusal {
        try StripeClient(url: "https://api.stripe.com", key: key, webhookSecret: secret)
      }
      #expect(found == .validationFailed)
    }
    for (price, currency) in [
      (Int64(0), "eur"), (1_000, "eur"), (-1, "eur"), (1, "euro"), (1, "e1"),
    ] {
      let found = try await awaitedRefusal {
        try TokenPrice(minorPerToken: price, currency: currency)
      }
      #expect(found == .validationFailed, "\(price) \(currency)")
    }
    #expect(try TokenPrice(minorPerToken: 999, currency: "EUR").currency == "eur")
  }
}
