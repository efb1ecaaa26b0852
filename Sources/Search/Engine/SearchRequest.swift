package import Primitives

/// One key of a sort.
package struct SortKey: Sendable, Equatable {
  package let field: String
  package let isDescending: Bool

  /// Reads `relevance`, `newest`, `name`, or a field with `:asc` or `:desc`.
  package static func read(_ text: String) throws(Refusal) -> SortKey {
    let halves = text.split(separator: ":", maxSplits: 1).map(String.init)
    guard let name = halves.first, !name.isEmpty else {
      throw Refusal(.validationFailed, "A sort key is empty.", fields: [.init("/sort", "is empty")])
    }
    let direction = halves.count > 1 ? halves[1] : nil
    guard direction == nil || direction == "asc" || direction == "desc" else {
      throw Refusal(
        .validationFailed, "A sort key ends in :asc or :desc.",
        fields: [.init("/sort", "must end in :asc or :desc")])
    }
    switch name {
    case "relevance": return SortKey(field: "relevance", isDescending: true)
    case "newest": return SortKey(field: "releasedAt", isDescending: direction != "asc")
    case "popularity": return SortKey(field: "runs", isDescending: direction != "asc")
    case "latency": return SortKey(field: "latencyP95", isDescending: direction == "desc")
    case "cost": return SortKey(field: "cost", isDescending: direction == "desc")
    case "name": return SortKey(field: "name", isDescending: direction == "desc")
    default: break
    }
    guard let field = IndexField.named[name], field.kind != .words, field.kind != .flags else {
      let known = IndexField.all.filter { $0.kind != .words && $0.kind != .flags }.map(\.name)
      let near = Spelling.nearest(
        to: name, in: known + ["relevance", "newest", "name", "cost", "popularity"])
      throw Refusal(
        .validationFailed, "Nothing can be sorted by \(name.prefix(80)).",
        fields: [
          .init(
            "/sort",
            "must be relevance, newest, name, cost or a number field"
              + (near.map { ", perhaps \($0)" } ?? ""))
        ])
    }
    let startsHigh = ["rating", "reviewCount", "stars", "tokensPerSecond", "uptime"].contains(name)
    return SortKey(field: name, isDescending: direction.map { $0 == "desc" } ?? startsHigh)
  }
}

/// One search.
package struct SearchRequest: Sendable {
  package static let limitMax = 100
  package static let offsetMax = 10_000
  package static let facetMax = 30

  package var query = ""
  /// Whether conditions are read out of the query.
  package var understands = true
  /// Keys or labels of understood conditions that the user removed.
  package var ignored: Set<String> = []
  package var filter: FilterExpression?
  /// Further conditions that must hold, as a chat collects them.
  package var constraints: [Constraint] = []
  package var facets: [String] = []
  package var facetLimit = 20
  package var sort: [SortKey] = []
  package var limit = 20
  package var offset = 0
  /// Share of the vector leg in place of the learnt one, 0...1.
  package var semantic: Double?
  /// What the caller uses, for the cost of offers and the sort by it.
  package var usage: UsageProfile?
  package var highlights = false
  package var explains = false
  /// Whether the last word may be the start of one.
  package var isPrefix = false
  /// "Services like this one": its id.
  package var like: String?
  /// Whether providers are spread over the head of the order.
  package var diversify = false
  /// Placements in force; those that belong to this search are shown and labelled.
  package var placements: [Placement] = []

  package init() {}
}

/// One hit of a page.
package struct Hit: Sendable {
  package let id: String
  package let name: String
  package let place: Place
  /// The service as JSON text.
  package let service: [UInt8]
  /// The best matching offer as JSON text, or empty.
  package let offer: [UInt8]
  /// Why that offer stands here.
  package let offerReason: String?
  package let score: Double
  package let textScore: Double
  package let vectorScore: Double
  /// What the caller's usage costs under that offer; nil where that is unknown or no usage was given.
  package let cost: CostTable.Quote?
  package let highlights: JSON?
  package let explanation: JSON?
  /// What the hit is called where an operator placed it.
  package var label: Placement.Label?
}

/// The counts of one facet.
package struct FacetCounts: Sendable {
  package struct Entry: Sendable, Equatable {
    package let value: String
    package let count: Int
    package let isSelected: Bool
  }
  package struct Bucket: Sendable, Equatable {
    package let from: Double
    package let to: Double
    package let count: Int
  }
  package struct Statistics: Sendable, Equatable {
    package let min: Double
    package let max: Double
    package let average: Double
  }

  package let field: String
  package var entries: [Entry] = []
  /// Services in values beyond the limit.
  package var otherCount = 0
  /// Services that do not say.
  package var unknownCount = 0
  package var statistics: Statistics?
  package var buckets: [Bucket] = []
  /// Prices in ranges with labels.
  package var ranges: [PriceRanges.Range] = []
}

/// What a search with few hits may let go of, and how many services that finds.
package struct Relaxation: Sendable, Equatable {
  /// A search with as many hits has no need of one.
  package static let hitCount = 3
  package static let countMax = 5

  /// A bound that is moved as far as it takes to find something more, with all other conditions kept.
  package struct Loosened: Sendable, Equatable {
    /// The condition in place of the one that is too tight.
    package let expression: FilterExpression
    /// For people: "input price per 1M tokens up to 0.02 USD".
    package let label: String
    /// The search's whole filter with that condition in it, canonical: what to send in its place.
    package let filter: String
    package let total: Int
  }

  /// The labels of a smallest set of conditions to drop.
  package let dropped: [String]
  /// The same conditions as canonical texts, which tell two of one label apart.
  package let keys: [String]
  /// How many services are found without them.
  package let total: Int
  /// Where the set is one comparison of numbers and a known value lies beyond its bound.
  package let loosened: Loosened?
}

/// The answer to one search.
package struct SearchAnswer: Sendable {
  package var hits: [Hit] = []
  package var total = 0
  package var facets: [FacetCounts] = []
  package var understood: [Constraint] = []
  /// Conditions that were understood but would leave nothing, so that they were not applied.
  package var unapplied: [Constraint] = []
  /// At fewer than `Relaxation.hitCount` hits, at most `Relaxation.countMax`.
  package var relaxations: [Relaxation] = []
  /// What was seen in the query and could not become a condition.
  package var notes: [String] = []
  package var didYouMean: String?
  package var filter: FilterExpression?
  package var revision: Int64 = 0
  package var generation = ""
  package var degraded: [String] = []
  package var queryClass = RankingConfiguration.QueryClass.keywords
  package var isCut = false
  /// Microseconds of each stage, in order.
  package var took: [(stage: String, microseconds: Int64)] = []
  /// The offset of the next page, where there is one.
  package var nextOffset: Int?
  package var snapshot: Snapshot?
}
