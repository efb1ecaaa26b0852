import Primitives
import Search
import Testing

/// An offer of prices by meter: amount in billionths and how many it buys.
private func priced(
  _ prices: [(meter: String, nano: Int64, per: Int64)], currency: String = "USD",
  _ more: JSONObject = [:]
) -> OfferTerms {
  var object: JSONObject = [
    "id": "usage", "plan": "usage",
    "prices": .array(
      prices.map {
        [
          "meter": .string($0.meter), "per": .int($0.per), "amountNano": .int($0.nano),
          "currency": .string(currency),
        ]
      }),
  ]
  for member in more.members { object[member.key] = member.value }
  return OfferTerms(.object(object))
}

private func reasons(_ answer: CostTable.Answer) -> [String] {
  if case .unknown(let reasons) = answer { reasons } else { [] }
}

@Suite("Costs of a usage")
struct DiscoveryCostTests {
  @Test("a cost is the sum of its lines, and each line count x amount / per")
  func sum() throws {
    let offer = priced(
      [("inputToken", 2_500_000_000, 1_000_000), ("outputToken", 10_000_000_000, 1_000_000)],
      ["monthlyFeeNano": 5_000_000_000])
    let usage = UsageProfile(["inputToken": 3_000_000, "outputToken": 500_000], months: 2)
    let quote = try #require(CostTable.answer(offer, usage: usage).quote)
    #expect(quote.amountNano == 2 * (7_500_000_000 + 5_000_000_000 + 5_000_000_000))
    #expect(quote.amountNano == quote.lines.reduce(0) { $0 + $1.amountNano })
    #expect(quote.lines.map(\.meter) == ["inputToken", "outputToken", "monthlyFee"])
    #expect(quote.currency == "USD")
  }

  @Test(
    "a line is rounded half up to a billionth",
    arguments: [
      (1, 1, 3, 0), (2, 1, 3, 1), (1, 1, 2, 1), (3, 1, 2, 2), (1, 499_999, 1_000_000, 0),
      (1, 500_000, 1_000_000, 1), (0, 7, 3, 0),
    ] as [(Int64, Int64, Int64, Int64)])
  func rounding(count: Int64, nano: Int64, per: Int64, expected: Int64) {
    let offer = priced([("call", nano, per)])
    let quote = CostTable.answer(offer, usage: UsageProfile(["call": count])).quote
    #expect(quote?.amountNano == expected)
  }

  @Test("the widest product is exact, and a sum above 64 bits is unknown and not wrapped")
  func overflow() {
    let usage = UsageProfile(["call": UsageProfile.countMax], months: UsageProfile.monthsMax)
    let wide = priced([("call", 9_007_199_254_740_991, 1_000_000_000)])
    #expect(CostTable.answer(wide, usage: usage).quote == nil)
    #expect(reasons(CostTable.answer(wide, usage: usage)).first?.contains("billionths") == true)
    let narrow = priced([("call", 9_007_199_254_740_991, 1_000_000_000)])
    let one = UsageProfile(["call": 1_000_000_000_000])
    #expect(CostTable.answer(narrow, usage: one).quote?.amountNano == 9_007_199_254_740_991_000)
  }

  @Test("a price that is needed and not stated makes the cost unknown, never 0")
  func unknown() {
    let usage = UsageProfile(["inputToken": 1, "outputToken": 1])
    let half = CostTable.answer(priced([("inputToken", 5, 1)]), usage: usage)
    #expect(reasons(half) == ["no price is stated for completionTokens"])
    let none = CostTable.answer(OfferTerms(["id": "x", "plan": "usage"]), usage: usage)
    #expect(reasons(none) == ["no price is stated"])
    // What is not used needs no price.
    let unused = UsageProfile(["inputToken": 1, "outputToken": 0])
    #expect(CostTable.answer(priced([("inputToken", 5, 1)]), usage: unused).quote?.amountNano == 5)
  }

  @Test("a free plan without prices costs nothing, and a price of 0 is a price")
  func free() {
    let usage = UsageProfile(["call": 1_000])
    let plan = CostTable.answer(OfferTerms(["id": "x", "plan": "free"]), usage: usage)
    #expect(plan.quote?.amountNano == 0)
    #expect(plan.quote?.currency == nil)
    #expect(CostTable.answer(priced([("call", 0, 1)]), usage: usage).quote?.amountNano == 0)
  }

  @Test(
    "included units are free, in each form that states them",
    arguments: [["call": 100], [["meter": "call", "count": 100]], 100] as [JSON])
  func included(units: JSON) throws {
    let offer = priced([("call", 7, 1)], ["includedUnits": units])
    for (count, expected) in [(0, 0), (99, 0), (100, 0), (101, 7), (200, 700)] as [(Int64, Int64)] {
      let quote = CostTable.answer(offer, usage: UsageProfile(["call": count])).quote
      #expect(quote?.amountNano == expected, "\(count)")
    }
    let months = CostTable.answer(offer, usage: UsageProfile(["call": 101], months: 3)).quote
    #expect(months?.lines.first?.included == 300)
    #expect(months?.amountNano == 21)
  }

  @Test("use that is all included needs no price beyond")
  func onlyIncluded() {
    let offer = priced(
      [], ["includedUnits": ["call": 10], "monthlyFeeNano": 4, "currency": "EUR"])
    #expect(CostTable.answer(offer, usage: UsageProfile(["call": 10])).quote?.amountNano == 4)
    #expect(CostTable.answer(offer, usage: UsageProfile(["call": 11])).quote == nil)
  }

  @Test("a minimum lifts the price of use, and the fee comes on top")
  func minimum() {
    let offer = priced([("call", 10, 1)], ["minimumNano": 100, "monthlyFeeNano": 3])
    for (count, expected) in [(0, 103), (10, 103), (11, 113)] as [(Int64, Int64)] {
      let quote = CostTable.answer(offer, usage: UsageProfile(["call": count])).quote
      #expect(quote?.amountNano == expected)
      #expect(quote?.lines.reduce(0) { $0 + $1.amountNano } == expected)
    }
  }

  @Test("what cannot be worked out is said in words")
  func faults() {
    let usage = UsageProfile(["call": 1])
    let tiers = priced([("call", 1, 1)], ["tiers": [["upTo": 10]]])
    #expect(reasons(CostTable.answer(tiers, usage: usage)).first?.contains("tiers") == true)
    let twice = priced([("call", 1, 1), ("call", 2, 1)])
    #expect(reasons(CostTable.answer(twice, usage: usage)).first?.contains("two prices") == true)
    let vague = priced([("call", 1, 1), ("image", 2, 1)], ["includedUnits": 10])
    #expect(reasons(CostTable.answer(vague, usage: usage)).count == 1)
  }

  @Test("the cheapest is chosen within each currency, and none is converted")
  func cheapest() {
    let usage = UsageProfile(["call": 10])
    let offers = [
      priced([("call", 5, 1)]), priced([("call", 4, 1)]), priced([("call", 9, 1)], currency: "EUR"),
      priced([("image", 1, 1)], currency: "EUR"),
    ]
    let best = CostTable.cheapest(offers, usage: usage)
    #expect(best.map(\.offer) == [2, 1])
    #expect(best.map(\.quote.amountNano) == [90, 40])
    #expect(!best[0].quote.isComparable(to: best[1].quote))
  }

  @Test(
    "the break-even is the very count at which the order turns", arguments: 0..<300 as Range<UInt64>
  )
  func breakEven(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    func offer() -> OfferTerms {
      priced(
        [("call", Int64(random.below(50)), random.pick([1, 3, 10])), ("image", 7, 2)],
        [
          "monthlyFeeNano": .int(Int64(random.below(400))),
          "minimumNano": .int(Int64(random.pick([0, 0, 90]))),
          "includedUnits": ["call": .int(Int64(random.pick([0, 0, 25, 60])))],
        ])
    }
    let (left, right) = (offer(), offer())
    let count = Int64(random.below(120))
    let usage = UsageProfile(["call": count, "image": 4])
    // Thirds and tenths: thirty months' worth of counts is free of rounding.
    func order(_ calls: Int64) -> Int {
      func cost(_ offer: OfferTerms) -> Int64 {
        let free = max(0, calls - (offer.included["call"] ?? 0))
        let rate = offer.rates["call"]
        let used = 30 * 14 + free * (rate?.amountNano ?? 0) * (30 / (rate?.per ?? 1))
        return max(used, 30 * offer.minimumNano) + 30 * (offer.feeNano ?? 0)
      }
      return cost(left) < cost(right) ? -1 : cost(left) > cost(right) ? 1 : 0
    }
    let found = BreakEven.of("call", left, right, usage: usage)
    let now = order(count)
    let above = now == 0 ? nil : ((count + 1)...(count + 3_000)).first { order($0) == -now }
    let below =
      now == 0 || count == 0 ? nil : (0..<count).last { order($0) == -now }
    #expect(found?.below == below)
    if let above { #expect(found?.above == above) }
    if let turn = found?.above {
      #expect(order(turn) == -now)
      #expect(order(turn - 1) != -now)
    }
  }

  @Test("there is no break-even across currencies, nor where one price is unknown")
  func noBreakEven() {
    let usage = UsageProfile(["call": 10])
    let left = priced([("call", 5, 1)], ["monthlyFeeNano": 100])
    let right = priced([("call", 9, 1)], currency: "EUR")
    #expect(BreakEven.of("call", left, right, usage: usage) == nil)
    #expect(BreakEven.of("call", left, priced([("image", 9, 1)]), usage: usage) == nil)
    #expect(BreakEven.of("call", left, left, usage: usage) == nil)
  }
}
