import Catalog
import Primitives

/// Random listings of a seed: several offers each, values that are not known, two currencies.
struct RandomCatalog {
  /// Words of names and taglines, so that queries find some.
  static let words = [
    "weather", "speech", "invoice", "calendar", "robot", "storm", "voice", "harbor", "ledger",
  ]
  static let tags = ["alpha", "Beta", "gamma delta", "quote\"s", "back\\slash", "日本"]
  static let amounts: [Int64] = [0, 100, 500, 1_000, 2_500, 10_000]
  static let dates = ["2023-05-01", "2024-02-29", "2024-12-31", "2026-01-01"]
  static let contexts: [Int64] = [0, 8_000, 32_000, 128_000, 1_000_000]

  private var random: SplitMix64

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  mutating func services(_ count: Int) throws -> [Service] {
    try (0..<count).map { number in try service("service-\(number)") }
  }

  mutating func service(_ id: String) throws -> Service {
    var document: JSONObject = ["id": .string(id), "name": .string(title(2))]
    document["tagline"] = .string(title(3))
    // The same id has the same provider each time, so that it can be written again.
    let sum = id.utf8.reduce(0) { $0 + Int($1) }
    document["providerName"] = .string(["Acme", "Globex Corp", "初音"][sum % 3])
    document["kind"] = .string(random.pick(Field.kinds))
    let statuses = ["active", "active", "active", "active", "maintenance", "deprecated", "draft"]
    document["status"] = .string(random.pick(statuses))
    addWords(&document)
    addNumbers(&document)
    document["offers"] = .array((0..<random.below(4)).map { offer($0) })
    return try Service.read(document)
  }

  private mutating func title(_ count: Int) -> String {
    (0..<count).map { _ in random.pick(RandomCatalog.words).capitalizedFirst }
      .joined(separator: " ")
  }

  private mutating func addWords(_ document: inout JSONObject) {
    if random.chance(60) {
      document["authType"] = .string(random.pick(["apiKey", "oauth2", "none"]))
    }
    if random.chance(60) { document["https"] = .bool(random.chance(50)) }
    if random.chance(70) { document["tags"] = .strings(random.some(of: RandomCatalog.tags)) }
    if random.chance(60) { document["regions"] = .strings(random.some(of: ["eu", "us", "apac"])) }
    if random.chance(60) {
      document["inputModalities"] = .strings(random.some(of: ["text", "image", "audio"]))
    }
    if random.chance(70) {
      var flags = JSONObject()
      for name in ["vision", "jsonMode", "streaming"] where random.chance(65) {
        flags[name] = .bool(random.chance(60))
      }
      document["features"] = .object(flags)
    }
    if random.chance(50) { document["trial"] = ["offered": .bool(random.chance(50))] }
  }

  private mutating func addNumbers(_ document: inout JSONObject) {
    if random.chance(70) { document["contextWindow"] = .int(random.pick(RandomCatalog.contexts)) }
    if random.chance(60) { document["rating"] = .double(random.pick([1.5, 2.5, 4.25, 4.5])) }
    if random.chance(60) { document["releasedAt"] = .string(random.pick(RandomCatalog.dates)) }
    if random.chance(60) {
      let latency = random.pick([50, 120.5, 300])
      document["metrics"] = [
        ["name": "other", "value": 1], ["name": "latencyP95Ms", "value": .double(latency)],
      ]
    }
    if random.chance(60) { document["usage"] = ["stars": .int(random.pick([0, 10, 500]))] }
  }

  private mutating func offer(_ number: Int) -> JSON {
    var offer: JSONObject = [
      "id": .string("offer-\(number)"),
      "plan": .string(random.pick(["usage", "free", "bundle", "tiered"])),
    ]
    let currency = random.pick(["USD", "USD", "EUR"])
    switch random.below(4) {
    case 0: break
    case 1: offer["prices"] = [price("call", currency)]
    case 2: offer["prices"] = [price("call", currency), price("minute", currency)]
    default: offer["prices"] = [price("outputToken", currency), price("inputToken", currency)]
    }
    if random.chance(40) {
      offer["monthlyFeeNano"] = .int(random.pick(RandomCatalog.amounts) * 1_000_000)
      if offer["prices"] == nil { offer["currency"] = .string(currency) }
    }
    if random.chance(30) { offer["region"] = .string(random.pick(["eu", "us"])) }
    return .object(offer)
  }

  /// A price of thousandths from the list; tokens are priced for 1,000,000 or for 1,000 of them.
  private mutating func price(_ meter: String, _ currency: String) -> JSON {
    let nano = random.pick(RandomCatalog.amounts) * 1_000_000
    let isForThousand = meter.hasSuffix("Token") && random.chance(30)
    let per: Int64 = isForThousand ? 1_000 : meter.hasSuffix("Token") ? 1_000_000 : 1
    return [
      "meter": .string(meter), "per": .int(per),
      "amountNano": .int(isForThousand ? nano / 1_000 : nano), "currency": .string(currency),
    ]
  }
}

extension String {
  /// The text with a capital first letter.
  var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}
