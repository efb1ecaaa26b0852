import Primitives

/// Random conditions of a seed, over the values of `RandomCatalog` and some that it never gives.
struct RandomConditions {
  private static let words: [(String, [String])] = [
    ("kind", ["api", "model", "app", "tool", "API"]),
    ("status", ["active", "maintenance", "deprecated", "draft"]),
    ("authType", ["apiKey", "oauth2", "none", "APIKEY", "nothing"]),
    ("https", ["true", "false"]),
    ("tags", RandomCatalog.tags + ["absent", "ALPHA"]),
    ("regions", ["eu", "us", "apac", "uk"]),
    ("inputModalities", ["text", "image", "audio", "video"]),
    ("plan", ["usage", "free", "bundle", "tiered", "time"]),
    ("currency", ["USD", "EUR", "GBP"]),
    ("offerRegion", ["eu", "us"]),
    ("trialOffered", ["true", "false"]),
    ("providerId", ["acme", "globex-corp", "nobody"]),
  ]
  private static let numbers: [(String, [Double])] = [
    ("contextWindow", [0, 8_000, 32_000, 100_000, 128_000, 1_000_000]),
    ("rating", [1.5, 2.5, 3, 4.25, 4.5]), ("stars", [0, 5, 10, 500]),
    ("latencyP95", [50, 120.5, 200, 300]),
  ]
  private static let prices = ["price", "inputPrice", "outputPrice", "pricePerCall", "monthlyFee"]
  private static let signs = ["=", "!=", "<", "<=", ">", ">="]
  private static let flags = ["vision", "jsonMode", "streaming"]
  private static let days = ["2023-05-01", "2024-01-01", "2024-02-29", "2024-12-31", "2026-01-01"]

  private var random: SplitMix64

  init(seed: UInt64) { random = SplitMix64(seed: seed ^ 0x5EED) }

  /// A condition of at most so many levels.
  mutating func condition(levels: Int = 3) -> Condition {
    guard levels > 0, random.chance(75) else { return leaf() }
    switch random.below(5) {
    case 0, 1: return .every(parts(levels))
    case 2, 3: return .either(parts(levels))
    default: return .not(condition(levels: levels - 1))
    }
  }

  /// A condition of one field.
  mutating func leaf() -> Condition {
    switch random.below(12) {
    case 0, 1, 2:
      let (field, words) = random.pick(RandomConditions.words)
      return .word(field, random.pick(words), isEqual: random.chance(70))
    case 3:
      let (field, words) = random.pick(RandomConditions.words)
      return .oneOf(field, random.some(of: words))
    case 4: return number()
    case 5:
      let (field, values) = random.pick(RandomConditions.numbers)
      return .numbers(field, random.some(of: values))
    case 6:
      let (field, values) = random.pick(RandomConditions.numbers)
      return .range(field, random.pick(values), random.pick(values))
    case 7, 8: return price()
    case 9:
      let day = random.pick(RandomConditions.days)
      return .date("releasedAt", random.pick(RandomConditions.signs), day)
    case 10: return .flag(random.pick(RandomConditions.flags), random.chance(50))
    default: return known()
    }
  }

  /// A flag that must not be known: its canonical text has tests of its own.
  mutating func unknownFlag() -> Condition {
    let condition = Condition.unknownFlag(random.pick(RandomConditions.flags))
    return random.chance(50) ? condition : .not(condition)
  }

  mutating func word() -> Condition {
    let (field, words) = random.pick(RandomConditions.words)
    return .word(field, random.pick(words), isEqual: true)
  }

  private mutating func parts(_ levels: Int) -> [Condition] {
    (0..<(2 + random.below(2))).map { _ in condition(levels: levels - 1) }
  }

  private mutating func number() -> Condition {
    let (field, values) = random.pick(RandomConditions.numbers)
    return .number(field, random.pick(RandomConditions.signs), random.pick(values))
  }

  private mutating func price() -> Condition {
    let field = random.pick(RandomConditions.prices)
    let currency = random.pick(["USD", "USD", "EUR", "GBP"])
    let amounts = RandomCatalog.amounts + [700]
    let low = random.pick(amounts)
    if random.chance(25) { return .priceRange(field, low, random.pick(amounts), currency) }
    return .price(field, random.pick(RandomConditions.signs), low, currency)
  }

  private mutating func known() -> Condition {
    let fields = [
      "authType", "https", "tags", "regions", "inputModalities", "features", "trialOffered",
      "contextWindow", "rating", "stars", "latencyP95", "releasedAt", "plan", "currency", "price",
      "inputPrice", "monthlyFee", "offerRegion", "kind",
    ]
    let condition = Condition.known(random.pick(fields), form: random.below(3))
    return random.chance(60) ? condition : .not(condition)
  }
}
