import Primitives

/// Random filters of a seed, at most five levels deep, over every kind of field and operator.
struct RandomFilters {
  private var random: SplitMix64
  private var plain: RandomConditions

  init(seed: UInt64) {
    random = SplitMix64(seed: seed ^ 0xF117E4)
    plain = RandomConditions(seed: seed)
  }

  /// A condition whose text is well below the limit of 4,000 characters.
  mutating func condition(levels: Int = 5) -> Condition {
    while true {
      let made = tree(levels)
      if made.text.unicodeScalars.count <= 1_500 { return made }
    }
  }

  private mutating func tree(_ levels: Int) -> Condition {
    guard levels > 0, random.chance(70) else { return leaf() }
    switch random.below(5) {
    case 0, 1: return .every((0..<(2 + random.below(2))).map { _ in tree(levels - 1) })
    case 2, 3: return .either((0..<(2 + random.below(2))).map { _ in tree(levels - 1) })
    default: return .not(tree(levels - 1))
    }
  }

  /// A condition of one field.
  mutating func leaf() -> Condition {
    switch random.below(12) {
    case 0: words()
    case 1: .flagged(path(), isEqual: random.chance(60), random.pick(["yes", "no", "unknown"]))
    case 2: random.chance(50) ? .known(path(), form: random.below(3)) : .unknown(path())
    case 3: .unknown(random.pick(FactTable.wordFields + FactTable.priceFields))
    case 4: .dates("releasedAt", random.some(of: RandomCatalog.dates))
    case 5:
      .dateRange("releasedAt", random.pick(RandomCatalog.dates), random.pick(RandomCatalog.dates))
    case 6: .prices(random.pick(FactTable.priceFields), amounts())
    case 7: price()
    case 8: numbers()
    default: plain.leaf()
    }
  }

  private mutating func path() -> String {
    let paths = [
      "features.vision", "features.jsonMode", "features.streaming", "features.Vision",
      "features.unheard", "compliance.gdpr", "compliance.hipaa", "compliance.soc2",
      "compliance.iso.27001",
    ]
    return random.pick(paths)
  }

  private mutating func words() -> Condition {
    let fields: [(String, [String])] = [
      ("features", ["vision", "jsonMode", "VISION", "unheard"]),
      ("compliance", RandomListings.schemes + ["unheard"]),
      ("categories", RandomListings.categories + ["data"]), ("tags", RandomListings.tags),
      ("license", RandomListings.licenses), ("cors", ["yes", "no", "unknown"]),
      ("openWeights", ["true", "false"]), ("provider", ["Acme", "globex corp", "初音", "nobody"]),
      ("name", ["Storm Voice", "straße", "👩‍👩‍👧 harbor", "İstanbul voice"]),
      ("currency", RandomListings.currencies), ("id", ["service-1", "service-2", "Service-3"]),
      ("verified", ["true", "false"]),
    ]
    let (field, values) = random.pick(fields)
    if random.chance(50) { return .oneOf(field, random.some(of: values)) }
    return .word(field, random.pick(values), isEqual: random.chance(65))
  }

  private mutating func amounts() -> [Condition.Amount] {
    (0..<(1 + random.below(3))).map { _ in
      Condition.Amount(
        milli: random.pick(RandomListings.amounts),
        currency: random.pick(["USD", "EUR", "GBP", "JPY", "CHF"]))
    }
  }

  private mutating func price() -> Condition {
    let field = random.pick(FactTable.priceFields)
    let low = random.pick(RandomListings.amounts)
    let currency = random.pick(["USD", "USD", "EUR", "JPY"])
    if random.chance(30) {
      return .priceRange(field, low, random.pick(RandomListings.amounts), currency)
    }
    return .price(field, random.pick(["=", "!=", "<", "<=", ">", ">="]), low, currency)
  }

  private mutating func numbers() -> Condition {
    let fields: [(String, [Double])] = [
      ("maxOutputTokens", RandomCatalog.contexts.map(Double.init)),
      ("runs", RandomListings.runs.map(Double.init)), ("uptime", [0, 99, 99.5, 99.9, 100]),
      ("reviewCount", [0, 1]),
    ]
    let (field, values) = random.pick(fields)
    switch random.below(3) {
    case 0: return .numbers(field, random.some(of: values))
    case 1: return .range(field, random.pick(values), random.pick(values))
    default:
      let sign = random.pick(["=", "!=", "<", "<=", ">", ">="])
      return .number(field, sign, random.pick(values))
    }
  }
}
