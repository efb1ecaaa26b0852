import Catalog
import Primitives
import Testing

/// An offer's JSON text, and where the fault of it lies.
private let refused: [(String, String)] = [
  (#"{}"#, "/offers"),
  (#""free""#, "/offers"),
  (#"[5]"#, "/offers/0"),
  (#"[{},[]]"#, "/offers/1"),
  (#"[{"id":"A B"}]"#, "/offers/0/id"),
  (#"[{"id":""}]"#, "/offers/0/id"),
  (#"[{"plan":"gold"}]"#, "/offers/0/plan"),
  (#"[{"plan":"Usage"}]"#, "/offers/0/plan"),
  (#"[{},{}]"#, "/offers/1/id"),
  (#"[{"id":"a"},{"id":"b"},{"id":"a"}]"#, "/offers/2/id"),
  (#"[{"monthlyFeeNano":-1}]"#, "/offers/0/monthlyFeeNano"),
  (#"[{"monthlyFeeNano":0.5}]"#, "/offers/0/monthlyFeeNano"),
  (#"[{"monthlyFeeNano":9007199254740992}]"#, "/offers/0/monthlyFeeNano"),
  (#"[{"tokenRatePerHour":1000000001}]"#, "/offers/0/tokenRatePerHour"),
  (#"[{"tokenRatePerHour":"5"}]"#, "/offers/0/tokenRatePerHour"),
  (#"[{"unitPriceMicrotokens":0}]"#, "/offers/0/unitPriceMicrotokens"),
  (#"[{"unitPriceMicrotokens":1.5}]"#, "/offers/0/unitPriceMicrotokens"),
  (#"[{"unitPriceMicrotokens":1000000000000001}]"#, "/offers/0/unitPriceMicrotokens"),
  (#"[{"unitPriceMicrotokens":5,"tokenRatePerHour":5}]"#, "/offers/0/unitPriceMicrotokens"),
  (#"[{"unitPriceMicrotokens":5,"unit":""}]"#, "/offers/0/unit"),
  (#"[{"unitPriceMicrotokens":5,"unit":7}]"#, "/offers/0/unit"),
  (#"[{"unitPriceMicrotokens":5,"unit":"a\u202eb"}]"#, "/offers/0/unit"),
  (#"[{"name":5}]"#, "/offers/0/name"),
  (#"[{"name":""}]"#, "/offers/0/name"),
  (#"[{"name":" \u00a0"}]"#, "/offers/0/name"),
  (#"[{"name":"\u200b\ufeff"}]"#, "/offers/0/name"),
  (#"[{"name":"a\nb"}]"#, "/offers/0/name"),
  (#"[{"name":"a\u202eb"}]"#, "/offers/0/name"),
  (#"[{"name":"a\u0000"}]"#, "/offers/0/name"),
  (#"[{},{"id":"b","region":["eu"]}]"#, "/offers/1/region"),
  (#"[{"region":"e\u0085u"}]"#, "/offers/0/region"),
  (
    #"[{"prices":[{"meter":"c\u001ball","per":1,"amountNano":1,"currency":"USD"}]}]"#,
    "/offers/0/prices/0/meter"
  ),
]

/// A price's JSON text, and the member at fault.
private let refusedPrices: [(String, String)] = [
  (#"{"per":1,"amountNano":1,"currency":"USD"}"#, "meter"),
  (#"{"meter":"","per":1,"amountNano":1,"currency":"USD"}"#, "meter"),
  (#"{"meter":5,"per":1,"amountNano":1,"currency":"USD"}"#, "meter"),
  (#"{"meter":"call","amountNano":1,"currency":"USD"}"#, "per"),
  (#"{"meter":"call","per":0,"amountNano":1,"currency":"USD"}"#, "per"),
  (#"{"meter":"call","per":-1,"amountNano":1,"currency":"USD"}"#, "per"),
  (#"{"meter":"call","per":1.5,"amountNano":1,"currency":"USD"}"#, "per"),
  (#"{"meter":"call","per":1000000001,"amountNano":1,"currency":"USD"}"#, "per"),
  (#"{"meter":"call","per":1,"currency":"USD"}"#, "amountNano"),
  (#"{"meter":"call","per":1,"amountNano":-1,"currency":"USD"}"#, "amountNano"),
  (#"{"meter":"call","per":1,"amountNano":0.5,"currency":"USD"}"#, "amountNano"),
  (#"{"meter":"call","per":1,"amountNano":"1","currency":"USD"}"#, "amountNano"),
  (#"{"meter":"call","per":1,"amountNano":9007199254740992,"currency":"USD"}"#, "amountNano"),
  (#"{"meter":"call","per":1,"amountNano":1}"#, "currency"),
  (#"{"meter":"call","per":1,"amountNano":1,"currency":"usd"}"#, "currency"),
  (#"{"meter":"call","per":1,"amountNano":1,"currency":"US"}"#, "currency"),
  (#"{"meter":"call","per":1,"amountNano":1,"currency":"USDX"}"#, "currency"),
  (#"{"meter":"call","per":1,"amountNano":1,"currency":840}"#, "currency"),
]

@Suite("Offers and prices")
struct OfferTests {
  /// The offers of a listing that has this text for them.
  private func offers(_ text: String) throws -> [Offer] {
    try listing(["offers": try JSON.parse(text)]).offers
  }

  private func pointers(_ text: String) throws -> [String] {
    faults(document(["offers": try JSON.parse(text)])).map(\.pointer)
  }

  @Test("a wrong offer is refused where it is wrong", arguments: refused)
  func wrongOffer(text: String, pointer: String) throws {
    let found = try pointers(text)
    #expect(found == [pointer])
  }

  @Test("a name and a region take exactly their limit", arguments: [("name", 200), ("region", 80)])
  func texts(member: String, max: Int) throws {
    for character in ["x", "é", "😀"] {
      let full = String(repeating: character, count: max)
      #expect(try pointers(#"[{"\#(member)":"\#(full)"}]"#) == [])
      #expect(try pointers(#"[{"\#(member)":"\#(full)x"}]"#) == ["/offers/0/" + member])
    }
  }

  @Test("an offer takes exactly its limit of bytes")
  func size() throws {
    // The object {"x":"…"} has eight bytes beside the text.
    let full = String(repeating: "x", count: 16_384 - 8)
    #expect(try pointers(#"[{"x":"\#(full)"}]"#) == [])
    let found = faults(document(["offers": [["x": .string(full + "x")]]]))
    #expect(found == [Refusal.Field("/offers/0", "must be at most 16384 bytes")])
  }

  @Test("a wrong price is refused where it is wrong", arguments: refusedPrices)
  func wrongPrice(text: String, member: String) throws {
    let found = try pointers(#"[{"prices":[\#(text)]}]"#)
    #expect(found == ["/offers/0/prices/0/" + member])
  }

  @Test(
    "a price that cannot be read is refused, never dropped",
    arguments: [
      #"[{"prices":[{"meter":"call","per":1,"amountNano":null,"currency":"USD"}]}]"#,
      #"[{"prices":{"meter":"call","per":1,"amountNano":1,"currency":"USD"}}]"#,
      #"[{"prices":"1 USD a call"}]"#,
    ])
  func unreadablePrice(text: String) throws {
    let found = try pointers(text)
    #expect(!found.isEmpty)
  }

  @Test("at most fifty offers, and at most twenty prices of one")
  func counts() throws {
    let price: JSON = ["meter": "call", "per": 1, "amountNano": 1, "currency": "USD"]
    let twenty = JSON.array([JSON](repeating: price, count: 20))
    let twentyOne = JSON.array([JSON](repeating: price, count: 21))
    #expect(faults(document(["offers": [["prices": twenty]]])).isEmpty)
    let prices = faults(document(["offers": [["prices": twentyOne]]]))
    #expect(prices.map(\.pointer) == ["/offers/0/prices"])
    let many = (0..<51).map { number -> JSON in ["id": .string("offer-\(number)")] }
    #expect(faults(document(["offers": .array(Array(many.dropLast()))])).isEmpty)
    let found = faults(document(["offers": .array(many)]))
    #expect(found.map(\.pointer) == ["/offers"])
  }

  @Test("the largest amounts are kept exactly")
  func largest() throws {
    let found = try offers(
      """
      [{"id":"a","monthlyFeeNano":9007199254740991,"tokenRatePerHour":1000000000,"prices":[
      {"meter":"call","per":1000000000,"amountNano":9007199254740991,"currency":"USD"}]}]
      """)
    let offer = try #require(found.first)
    #expect(offer.prices.first?.money.amountNano == Int64(9_007_199_254_740_991))
    #expect(offer.prices.first?.per == Int64(1_000_000_000))
    #expect(offer.monthlyFee?.amountNano == Int64(9_007_199_254_740_991))
    #expect(offer.tokenRatePerHour == Int64(1_000_000_000))
  }

  @Test("an offer that says nothing is called default and is paid by use")
  func defaults() throws {
    let offer = try #require(try offers("[{}]").first)
    #expect(offer.id == "default")
    #expect(offer.plan == "usage")
    #expect(offer.name == "usage")
    #expect(offer.prices.isEmpty)
    #expect(offer.mainPrice == nil)
    #expect(offer.monthlyFee == nil)
    #expect(offer.region == nil)
    #expect(offer.document["id"]?.string == "default")
    #expect(offer.document["plan"]?.string == "usage")
  }

  @Test("every plan is taken", arguments: Offer.plans)
  func plan(plan: String) throws {
    let offer = try #require(try offers(#"[{"plan":"\#(plan)","region":"eu"}]"#).first)
    #expect(offer.plan == plan)
    #expect(offer.region == "eu")
  }

  @Test(
    "the price of an offer is a model's input price, else the only one",
    arguments: [
      (#"[{"meter":"inputToken","n":3},{"meter":"outputToken","n":9}]"#, 3),
      (#"[{"meter":"outputToken","n":9},{"meter":"inputToken","n":3}]"#, 3),
      (#"[{"meter":"call","n":7}]"#, 7),
      (#"[{"meter":"outputToken","n":9}]"#, 9),
      (#"[{"meter":"call","n":7},{"meter":"minute","n":8}]"#, nil),
      (#"[]"#, nil),
    ] as [(String, Int64?)])
  func mainPrice(text: String, expected: Int64?) throws {
    let meters = try #require(try JSON.parse(text).array)
    let prices = meters.map { meter -> JSON in
      [
        "meter": meter["meter"] ?? .null, "per": 1_000_000, "amountNano": meter["n"] ?? .null,
        "currency": "USD",
      ]
    }
    let service = try listing(["offers": [["prices": .array(prices)]]])
    let offer = try #require(service.offers.first)
    #expect(offer.mainPrice?.money.amountNano == expected)
  }

  @Test("a fee is in the currency of the prices, else in the offer's own")
  func feeCurrency() throws {
    let price = #"{"meter":"call","per":1,"amountNano":1,"currency":"EUR"}"#
    let priced = try offers(#"[{"monthlyFeeNano":5,"prices":[\#(price)]}]"#)
    #expect(priced.first?.monthlyFee == Money(amountNano: 5, currency: "EUR"))
    let plain = try offers(#"[{"monthlyFeeNano":5,"currency":"CHF"}]"#)
    #expect(plain.first?.monthlyFee == Money(amountNano: 5, currency: "CHF"))
    let silent = try offers(#"[{"monthlyFeeNano":5}]"#)
    #expect(silent.first?.monthlyFee == Money(amountNano: 5, currency: "USD"))
  }

  @Test("the terms of an offer do not depend on the order of its members, but on its price")
  func terms() throws {
    let one = try offers(#"[{"id":"a","plan":"time","monthlyFeeNano":5}]"#)
    let other = try offers(#"[{"monthlyFeeNano":5,"plan":"time","id":"a"}]"#)
    let dearer = try offers(#"[{"id":"a","plan":"time","monthlyFeeNano":6}]"#)
    #expect(one.first?.terms == other.first?.terms)
    #expect(one.first?.terms != dearer.first?.terms)
  }
}
