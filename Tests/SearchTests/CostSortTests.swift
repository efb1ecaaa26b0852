import Catalog
import Primitives
import Search
import Testing

// Properties, over seeded catalogs in base and delta, with fractions of billionths, included units,
// minimums, tiers, fees, free plans and prices in several currencies:
// 1. A sort by cost stands in the order of what each service's cheapest (or dearest) matching offer costs,
//    by integers, half up; currencies apart, unknown last, id at the end.
// 2. The cost and the offer of a hit are those of the cheapest matching offer.

/// Random offers whose cost takes more than a product.
private struct CostlyOffers {
  var random: SplitMix64

  mutating func service(_ id: String) throws -> Service {
    try listing(id, ["offers": .array((0..<random.below(4)).map { offer($0) })])
  }

  private mutating func offer(_ number: Int) -> JSON {
    let currency = random.pick(["USD", "USD", "USD", "EUR", "SEK"])
    var offer: JSONObject = [
      "id": .string("offer-\(number)"), "plan": .string(random.pick(["usage", "usage", "free"])),
      "region": .string(random.pick(["eu", "us"])),
    ]
    let meters = random.pick([
      [], ["call"], ["inputToken", "outputToken"], ["inputToken", "call"], ["character", "call"],
    ])
    offer["prices"] = .array(
      meters.map { meter in
        [
          "meter": .string(meter), "per": .int(random.pick([1, 1, 3, 7, 1_000, 1_000_000])),
          "amountNano": .int(random.pick([0, 1, 5, 333, 1_000_000, 1 << 52])),
          "currency": .string(random.chance(4) ? "GBP" : currency),
        ]
      })
    if random.chance(30) { offer["monthlyFeeNano"] = .int(Int64(random.below(4)) * 500) }
    if random.chance(20) { offer["currency"] = .string(currency) }
    if random.chance(20) { offer["minimumNano"] = .int(Int64(random.below(2_000))) }
    if random.chance(20) { offer["includedUnits"] = ["call": .int(Int64(random.below(30)))] }
    if random.chance(10) { offer["tiers"] = random.chance(50) ? [] : [["upTo": 10]] }
    return .object(offer)
  }
}

/// A usage with what the reference needs of it.
private struct Used {
  let counts: [String: Int64]
  let months: Int64
}

/// What an offer costs, read from its document alone; nil where that is unknown.
private func cost(_ offer: JSON, _ used: Used) -> (nano: Int128, currency: String)? {
  let prices = offer["prices"]?.array ?? []
  let fee = offer["monthlyFeeNano"]?.int
  if offer["plan"]?.string == "free", prices.isEmpty, fee == nil {
    return (0, offer["currency"]?.string ?? "")
  }
  let currencies = Set(prices.compactMap { $0["currency"]?.string })
  guard currencies.count <= 1, offer["tiers"]?.array?.isEmpty != false else { return nil }
  guard
    let currency = currencies.first ?? offer["currency"]?.string ?? (fee == nil ? nil : "USD")
  else { return nil }
  var sum: Int128 = 0
  for (meter, count) in used.counts where count > 0 {
    let included = offer["includedUnits"]?[meter]?.int ?? 0
    let paid = Int128(max(0, count - included)) * Int128(used.months)
    guard let price = prices.first(where: { $0["meter"]?.string == meter }) else {
      if paid == 0 { continue }
      return nil
    }
    let (nano, per) = (Int128(price["amountNano"]?.int ?? 0), Int128(price["per"]?.int ?? 1))
    let line = (2 * paid * nano + per) / (2 * per)
    if line > Int128(Int64.max) { return nil }
    sum += line
  }
  sum = max(sum, Int128(offer["minimumNano"]?.int ?? 0) * Int128(used.months))
  sum += Int128(fee ?? 0) * Int128(used.months)
  return sum > Int128(Int64.max) ? nil : (sum, currency)
}

/// The place of a currency in a sort; nil for one that sorts do not know.
private func rank(_ currency: String) -> Int? {
  currency.isEmpty ? -1 : FactTable.currencies.firstIndex(of: currency)
}

@Suite("A sort by cost")
struct CostSortTests {
  private static let usages: [Used] = [
    Used(counts: ["inputToken": 2_000_000, "outputToken": 333], months: 1),
    Used(counts: ["call": 17], months: 3), Used(counts: ["call": 1], months: 1),
    Used(counts: ["inputToken": 1, "call": 1_000], months: 120),
    Used(counts: ["character": 5], months: 1), Used(counts: ["call": 1_000_000_000], months: 1),
    Used(counts: [:], months: 2), Used(counts: ["minute": 1], months: 1),
  ]

  @Test("it is the order of the exact costs", arguments: 0..<12 as Range<UInt64>)
  func order(seed: UInt64) async throws {
    var offers = CostlyOffers(random: SplitMix64(seed: seed ^ 0xC057))
    let services = try (0..<70).map { try offers.service("s\($0)") }
    let world = try await World(Array(services.prefix(50)), later: Array(services.dropFirst(50)))
    for (number, used) in CostSortTests.usages.enumerated() {
      for (filter, text) in [
        (nil, "cost"), (nil, "cost:desc"), ("offerRegion = eu", "cost"),
        ("offerRegion = eu", "cost:desc"),
      ] {
        let answer = try world.search(filter: filter) {
          $0.usage = UsageProfile(used.counts, months: used.months)
          $0.sort = [try SortKey.read(text)]
        }
        let shown = services.filter { filter == nil || !matching($0, filter).isEmpty }
        let expected = sorted(shown, used, filter, isDescending: text != "cost")
        #expect(answer.ids == expected, "seed \(seed), usage \(number), \(text), \(filter ?? "")")
        for hit in answer.hits { try check(hit, services, used, filter) }
      }
    }
  }

  private func matching(_ service: Service, _ filter: String?) -> [JSON] {
    service.offers.map { JSON.object($0.document) }
      .filter { filter == nil || $0["region"] == "eu" }
  }

  private func sorted(
    _ services: [Service], _ used: Used, _ filter: String?, isDescending: Bool
  ) -> [String] {
    let ranked = services.map { service -> (id: String, key: (Int, Double)) in
      let keys = matching(service, filter).compactMap { offer -> (Int, Double)? in
        guard let cost = cost(offer, used), let place = rank(cost.currency) else { return nil }
        return (place, isDescending ? -Double(cost.nano) : Double(cost.nano))
      }
      return (service.id, keys.min { $0 < $1 } ?? (.max, .infinity))
    }
    return ranked.sorted { left, right in
      left.key == right.key ? left.id < right.id : left.key < right.key
    }.map(\.id)
  }

  private func check(
    _ hit: Hit, _ services: [Service], _ used: Used, _ filter: String?
  ) throws {
    let service = try #require(services.first { $0.id == hit.id })
    let costs = matching(service, filter).compactMap { cost($0, used) }
    let best = costs.min { left, right in
      let (one, other) = (rank(left.currency) ?? .max, rank(right.currency) ?? .max)
      return (one, left.currency, left.nano) < (other, right.currency, right.nano)
    }
    #expect(hit.cost.map { Int128($0.amountNano) } == best?.nano, "\(hit.id)")
    #expect(hit.cost.map { $0.currency ?? "" } == best?.currency, "\(hit.id)")
    if let best {
      let given = cost(try JSON.parse(hit.offer), used)
      #expect(given?.nano == best.nano && given?.currency == best.currency, "\(hit.id)")
    }
  }
}
