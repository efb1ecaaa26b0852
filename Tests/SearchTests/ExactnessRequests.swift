import Catalog
import Primitives
import Search

/// A condition in words, the text of the filter that it means, and the same as a condition.
struct SpokenCondition: Sendable {
  let phrase: String
  let canonical: String
  let condition: Condition

  static let all: [SpokenCondition] = [
    .init(
      phrase: "under $5 per call", canonical: "pricePerCall < 5.00",
      condition: .price("pricePerCall", "<", 5_000, "USD")),
    .init(
      phrase: "128k context", canonical: "contextWindow >= 128000",
      condition: .number("contextWindow", ">=", 128_000)),
    .init(
      phrase: "within 200 ms", canonical: "latencyP95 <= 200",
      condition: .number("latencyP95", "<=", 200)),
    .init(
      phrase: "image input", canonical: #"inputModalities = "image""#,
      condition: .word("inputModalities", "image", isEqual: true)),
    .init(
      phrase: "json mode", canonical: #"features = "jsonMode""#,
      condition: .word("features", "jsonMode", isEqual: true)),
    .init(
      phrase: "gdpr", canonical: "compliance.gdpr = true",
      condition: .flagged("compliance.gdpr", isEqual: true, "yes")),
    .init(
      phrase: "free", canonical: #"plan = "free" OR price = 0"#,
      condition: .either([.word("plan", "free", isEqual: true), .price("price", "=", 0, "USD")])),
  ]
}

/// A query and what is known of it without asking the engine.
struct RandomQuery: Sendable {
  /// What is sent.
  var text = ""
  /// What is searched as words: without conditions and exclusions, phrases without their quotes.
  var words = ""
  var phrases: [String] = []
  var exclusions: [String] = []
  var spoken: [SpokenCondition] = []
  /// Whether `words` are words of the catalog and nothing else.
  var isPlain = true
  /// The word that was meant, where `words` is one with a typo.
  var meant: String?
}

/// One request of a seed.
struct RandomRequest: Sendable, CustomStringConvertible {
  var query = RandomQuery()
  var conditions: [Condition] = []
  var chips: [Condition] = []
  var facets: [String] = []
  var facetLimit = 20
  var order: [OrderKey] = []
  var limit = 10
  var highlights = false
  var explains = false
  var isPrefix = false
  var byCursor = false

  /// The explicit filter as text, or nil.
  var filter: String? { conditions.isEmpty ? nil : Condition.every(conditions).text }

  var description: String {
    """
    q=[\(query.text)] filter=[\(filter ?? "")] chips=\(chips.map(\.text)) facets=\(facets) \
    facetLimit=\(facetLimit) sort=\(order.map(\.text)) limit=\(limit) prefix=\(isPrefix) \
    cursor=\(byCursor)
    """
  }

  /// The request as the engine takes it.
  func made() throws -> SearchRequest {
    var request = SearchRequest()
    request.query = query.text
    request.filter = try filter.flatMap { text throws in try FilterParser.parse(text) }
    request.constraints = try chips.enumerated().compactMap { number, chip in
      try FilterParser.parse(chip.text).map { expression in
        Constraint(expression: expression, label: "chip \(number)", span: 0..<0)
      }
    }
    request.facets = facets
    request.facetLimit = facetLimit
    request.sort = try order.map { key throws in try SortKey.read(key.text) }
    request.limit = limit
    request.highlights = highlights
    request.explains = explains
    request.isPrefix = isPrefix
    return request
  }
}

/// Random requests of a seed over a world's own words and values.
struct RandomRequests {
  static let single = [
    "kind", "status", "authType", "https", "cors", "openWeights", "license", "providerId",
    "provider", "verified", "trialOffered",
  ]
  private static let several = [
    "tags", "categories", "regions", "inputModalities", "features", "compliance", "plan",
    "currency", "offerRegion",
  ]
  private static let typos = ["wether": "weather", "robt": "robot", "calendra": "calendar"]

  private var random: SplitMix64
  private var filters: RandomFilters
  private let names: [String]
  private let taglines: [String]

  init(seed: UInt64, world: RandomWorld) {
    random = SplitMix64(seed: seed ^ 0x4E90)
    filters = RandomFilters(seed: seed)
    names = world.facts.services.map(\.name)
    taglines = world.facts.services.compactMap { $0.text("tagline") }
  }

  mutating func next() -> RandomRequest {
    var request = RandomRequest()
    if random.chance(65) {
      request.conditions = (0..<(1 + random.below(3))).map { _ in
        random.chance(70) ? filters.leaf() : filters.condition(levels: 2)
      }
      // The brute force tries every subset of them.
      request.conditions = Array(request.conditions.flatMap(\.conjuncts).prefix(6))
    }
    if random.chance(10) { request.chips = [filters.leaf()] }
    request.query = query(besides: request.conditions, request.chips)
    let facets = RandomRequests.single + RandomRequests.several + FacetNames.numeric
    for _ in 0..<random.below(6) {
      let name = random.pick(facets)
      if !request.facets.contains(name) { request.facets.append(name) }
    }
    // A group that has conditions of its own is the interesting one.
    if let field = request.conditions.first?.fields.sorted().first, facets.contains(field),
      !request.facets.contains(field)
    {
      request.facets.append(field)
    }
    request.facetLimit = random.pick([0, 1, 3, 20, 100])
    request.order = (0..<random.below(4)).map { _ in random.pick(OrderKey.all) }
    request.limit = random.pick([12, 40, 100])
    request.highlights = random.chance(25)
    request.explains = random.chance(25)
    request.isPrefix = random.chance(10)
    request.byCursor = random.chance(50)
    return request
  }

  private mutating func query(
    besides conditions: [Condition], _ chips: [Condition]
  ) -> RandomQuery {
    var query = RandomQuery()
    switch random.below(8) {
    case 0, 1: break
    case 2: query.words = random.pick(names.isEmpty ? [""] : names)
    case 3:
      let (typo, word) = random.pick(RandomRequests.typos.sorted { $0.key < $1.key })
      query.words = typo
      query.meant = word
    case 4: query.words = random.pick(["zzqx", "storm zzqx", "?!", "the", "STORM, (voice)!", "予報"])
    default: query.words = some(1 + random.below(3))
    }
    query.isPlain = query.words.split(separator: " ").allSatisfy {
      RandomCatalog.words.contains(String($0))
    }
    query.text = query.words
    if query.isPlain, random.chance(20) { addPhrase(&query) }
    if query.isPlain, random.chance(20) {
      query.exclusions = [random.pick(RandomCatalog.words)]
      query.text += " -" + query.exclusions[0]
    }
    if query.isPlain, random.chance(35) { addSpoken(&query, conditions, chips) }
    return query
  }

  private mutating func some(_ count: Int) -> String {
    (0..<count).map { _ in random.pick(RandomCatalog.words) }.joined(separator: " ")
  }

  /// Two words that follow each other in some tagline, or any two.
  private mutating func addPhrase(_ query: inout RandomQuery) {
    var pair = some(2)
    if !taglines.isEmpty, random.chance(70) {
      let words = random.pick(taglines).split(separator: " ").suffix(2)
      pair = words.joined(separator: " ").lowercased()
    }
    query.phrases = [pair]
    query.text += " \"\(pair)\""
    query.words += (query.words.isEmpty ? "" : " ") + pair
  }

  /// Conditions in words, where it is plain whether the explicit ones leave room for them: not where
  /// those only ask whether the field is known, nor beside another flag of the field.
  private mutating func addSpoken(
    _ query: inout RandomQuery, _ conditions: [Condition], _ chips: [Condition]
  ) {
    for _ in 0..<(1 + random.below(2)) {
      let spoken = random.pick(SpokenCondition.all)
      let fields = spoken.condition.fields
      let asked = conditions.reduce(into: Set<String>()) { $0.formUnion($1.askedFields) }
      let chosen = chips.reduce(into: Set<String>()) { $0.formUnion($1.fields) }
      let explicit = conditions.reduce(into: Set<String>()) { $0.formUnion($1.fields) }
      let isFlag = !fields.isDisjoint(with: ["features", "compliance"])
      if !fields.isDisjoint(with: asked.union(chosen)) { continue }
      if isFlag, !fields.isDisjoint(with: explicit) { continue }
      if query.spoken.contains(where: { $0.phrase == spoken.phrase }) { continue }
      query.spoken.append(spoken)
      query.text += (query.text.isEmpty ? "" : ", ") + spoken.phrase
    }
  }
}

/// The facets of numbers and prices.
enum FacetNames {
  static let numeric = [
    "contextWindow", "maxOutputTokens", "rating", "stars", "runs", "latencyP95", "uptime", "price",
    "inputPrice", "outputPrice", "pricePerCall", "monthlyFee",
  ]
}
