import Catalog
import Primitives
import SQLite
import Search

/// Richer random listings of a seed, on the ground of `RandomCatalog`: up to four offers in several
/// currencies, prices of nothing and of millions, names that are equal or in other scripts.
struct RandomListings {
  static let schemes = ["gdpr", "hipaa", "soc2"]
  static let categories = ["Data", "Media", "Maps & Places", "Finance"]
  static let tags = RandomCatalog.tags + ["ALPHA", "R AND D", "naïve", "x\"y' [z]"]
  static let licenses = ["MIT", "mit", "Apache-2.0"]
  /// Thousandths; the last is near to the most that an amount may be.
  static let amounts = RandomCatalog.amounts + [1, 7, 9_007_199_254]
  static let currencies = ["USD", "USD", "EUR", "GBP", "JPY", "SEK"]
  static let runs: [Int64] = [0, 1, 40, 40, 1_000_000_000]
  private static let equalNames = ["Storm Voice", "storm voice", "Robot Ledger"]
  private static let otherNames = [
    "Überblick Zürich", "天気 予報 weather", "Погода Сейчас", "weather ☂ storm", "naïve café robot",
    "Straße", "İstanbul voice", "👩‍👩‍👧 harbor",
  ]

  private var base: RandomCatalog
  private var random: SplitMix64

  init(seed: UInt64) {
    base = RandomCatalog(seed: seed)
    random = SplitMix64(seed: seed ^ 0xCA7A)
  }

  mutating func service(_ id: String) throws -> Service {
    var document = try base.service(id).document
    if random.chance(25) {
      document["name"] = .string(random.pick(RandomListings.equalNames))
    } else if random.chance(25) {
      document["name"] = .string(random.pick(RandomListings.otherNames))
    }
    addWords(&document)
    addNumbers(&document)
    document["offers"] = .array((0..<random.below(5)).map { offer($0) })
    return try Service.read(document)
  }

  private mutating func addWords(_ document: inout JSONObject) {
    if random.chance(40) {
      let words = (0..<(3 + random.below(5))).map { _ in random.pick(RandomCatalog.words) }
      document["description"] = .string(words.joined(separator: " "))
    }
    if random.chance(60) { document["tags"] = .strings(random.some(of: RandomListings.tags)) }
    if random.chance(60) {
      document["categories"] = .strings(random.some(of: RandomListings.categories))
    }
    if random.chance(50) { document["license"] = .string(random.pick(RandomListings.licenses)) }
    if random.chance(40) { document["openWeights"] = .bool(random.chance(50)) }
    if random.chance(40) { document["cors"] = .string(random.pick(["yes", "no", "unknown"])) }
    guard random.chance(50) else { return }
    let schemes = random.some(of: RandomListings.schemes)
    document["compliance"] = .array(
      schemes.map { scheme in
        ["scheme": .string(scheme), "state": .string(random.pick(["yes", "no", "unknown"]))]
      })
  }

  private mutating func addNumbers(_ document: inout JSONObject) {
    if random.chance(50) {
      document["maxOutputTokens"] = .int(random.pick(RandomCatalog.contexts))
    }
    if random.chance(50) {
      var usage = document["usage"]?.object ?? [:]
      usage["runs"] = .int(random.pick(RandomListings.runs))
      document["usage"] = .object(usage)
    }
    if random.chance(40) {
      let metrics = document["metrics"]?.array ?? []
      let uptime = random.pick([0, 99, 99.9, 100])
      document["metrics"] = .array(
        metrics + [["name": "uptime30d", "value": .double(uptime)]])
    }
  }

  private mutating func offer(_ number: Int) -> JSON {
    let currency = random.pick(RandomListings.currencies)
    var offer: JSONObject = [
      "id": .string("offer-\(number)"), "plan": .string(random.pick(Offer.plans)),
      "currency": .string(currency),
    ]
    let meters = random.pick([
      [], ["call"], ["call", "minute"], ["outputToken", "inputToken"], ["inputToken"], ["image"],
      ["character"],
    ])
    offer["prices"] = .array(meters.map { price($0, currency) })
    if random.chance(40) {
      offer["monthlyFeeNano"] = .int(random.pick(RandomListings.amounts) * 1_000_000)
    }
    if random.chance(30) { offer["region"] = .string(random.pick(["eu", "us"])) }
    return .object(offer)
  }

  /// Divided by `per`, every amount is a whole number of billionths, so that each is exact.
  private mutating func price(_ meter: String, _ currency: String) -> JSON {
    let per: [Int64] =
      meter.hasSuffix("Token") ? [1_000_000, 1_000_000, 1_000] : [1, 1, 100, 1_000]
    return [
      "meter": .string(meter), "per": .int(random.pick(per)),
      "amountNano": .int(random.pick(RandomListings.amounts) * 1_000_000),
      "currency": .string(currency),
    ]
  }
}

/// A world of random listings with the facts of those that search may find. Some listings lie in the
/// base of the index, some in its delta; some were replaced and some removed.
struct RandomWorld: Sendable {
  let seed: UInt64
  let world: World
  /// Every listing in force, drafts too, by id.
  private(set) var services: [String: Service]
  private(set) var facts: FactTable
  private var listings: RandomListings
  private var random: SplitMix64

  /// - Parameter counts: How many listings there may be at first; one of these.
  init(seed: UInt64, counts: [Int] = [20, 60, 100, 100, 140, 300]) async throws {
    self.seed = seed
    var made = RandomListings(seed: seed)
    random = SplitMix64(seed: seed ^ 0x0DD)
    services = [:]
    facts = FactTable([])
    let count = random.pick(counts)
    let first = try (0..<count).map { try made.service("service-\($0)") }
    listings = made
    world = try await World(first)
    for service in first { services[service.id] = service }
    switch random.below(3) {
    case 0: facts = FactTable(publicServices)
    default: try await land(changes(count / 5, ids: count + count / 10))
    }
  }

  /// In order of id, as the index is.
  private var publicServices: [Service] {
    services.values.filter(\.isPublic).sorted { $0.id < $1.id }
  }

  /// One change: a listing as it is now, or nil where it is removed.
  struct Step: Sendable {
    let id: String
    let service: Service?
  }

  /// Random changes of listings `service-0` up to the bound; one in five is a removal.
  mutating func changes(_ count: Int, ids: Int) throws -> [Step] {
    try (0..<count).map { _ in
      let id = "service-\(random.below(ids))"
      if random.chance(20) { return Step(id: id, service: nil) }
      return Step(id: id, service: try listings.service(id))
    }
  }

  /// Lands changes in one transaction, and waits until they are searchable.
  mutating func land(_ steps: [Step]) async throws {
    note(steps)
    try await world.land(steps)
  }

  /// Takes changes into the facts, which a caller lands itself.
  mutating func note(_ steps: [Step]) {
    for step in steps { services[step.id] = step.service }
    facts = FactTable(publicServices)
  }
}

extension World {
  /// Lands changes in one transaction, and waits until they are searchable.
  func land(_ steps: [RandomWorld.Step]) async throws {
    try await record.write { connection -> Void in
      for step in steps {
        if let service = step.service {
          _ = try CatalogStore.put(service, at: Moment.first, on: connection)
        } else {
          _ = try CatalogStore.remove(
            id: step.id, providerID: nil, at: Moment.first, on: connection)
        }
      }
    }
    try await indexer.catchUp()
  }
}
