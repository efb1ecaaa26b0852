internal import Primitives

/// The schemas of searches and what is around them.
enum SearchSchemas {
  /// What every answer from the index says of itself.
  static let all: [(String, Schema)] = [
    ("SearchRequest", request), ("SearchInBatch", inBatch), ("SearchAnswer", answer),
    ("Hit", hit), ("Facet", facet), ("FacetValue", facetValue), ("Usage", usage),
    ("Understood", understood), ("Relaxation", relaxation),
  ]

  static let facetLimit = Schema.integer(1...200)
  static let revision = Schema.integer(0...Int64.max).about(
    "Waits up to 2 s until the index has this catalog revision, else not_searchable_yet.")
  static let filter = Schema.text(0...4_000).about(
    "A filter expression (Pages/filters.md), such as `region = eu AND price.call <= 0.01`.")

  /// The same in an address, which has at most 8 kB in all.
  static let filterInAddress = Schema.string.about("A filter expression, as long as it fits.")

  private static let understand = Schema.any(of: .one(of: "auto", "off"), .boolean)

  /// The fields of one search, within a batch too.
  private static let members: KeyValuePairs<String, Schema> = [
    "q?": Schema.string.orNull.about("Words; what is past 1,000 characters is cut."),
    "understand?": understand.orNull, "filter?": filter.orNull,
    "facets?": Schema.list(.string, 0...30).orNull, "facetLimit?": facetLimit.orNull,
    "sort?": Schema.list(.string, 0...5).orNull, "limit?": Schema.integer(0...100).orNull,
    "offset?": Schema.integer(0...10_000).orNull, "semantic?": Schema.number(0...1).orNull,
    "usage?": Schema.ref("Usage").orNull, "highlight?": Schema.boolean.orNull,
    "explain?": Schema.boolean.orNull, "prefix?": Schema.boolean.orNull,
    "diversify?": Schema.one(of: "provider", "none").orNull,
    "ignored?": Schema.list(.text(0...200), 0...50).orNull,
  ]

  private static let inBatch = Schema.closed(members)

  private static let request: Schema = {
    var whole = Schema.closed(members).keywords
    var properties = whole["properties"]?.object ?? [:]
    properties["cursor"] = Schema.string.orNull.json
    properties["minRevision"] = revision.orNull.json
    whole["properties"] = .object(properties)
    return Schema(whole)
  }()

  /// The same as parameters of a `GET`.
  static let parameters: [RouteDocument.Parameter] = [
    .query("q", .string), .query("understand", .one(of: "auto", "off")),
    .query("filter", filterInAddress),
    .query("facets", Schema.string.about("Names, separated by commas; at most 30.")),
    .query("facetLimit", facetLimit),
    .query("sort", Schema.string.about("Keys, separated by commas; at most 5.")),
    .query("limit", .integer(0...100)), .query("offset", .integer(0...10_000)),
    .query("cursor", .string), .query("semantic", .number(0...1)),
    .query("usage", Schema.string.about("A usage as JSON.")), .query("highlight", .boolean),
    .query("explain", .boolean), .query("prefix", .boolean),
    .query("diversify", .one(of: "provider", "none")), .query("minRevision", revision),
    .query("ignored", Schema.string.about("A JSON list of texts, or one text.")),
  ]

  private static let amount = Schema.any(
    of: .integer(0...1_000_000_000_000),
    .closed([
      "low?": .integer(0...1_000_000_000_000), "expected": .integer(0...1_000_000_000_000),
      "high?": .integer(0...1_000_000_000_000),
    ]))

  private static let usage = Schema.closed([
    "promptTokens?": amount, "completionTokens?": amount, "calls?": amount, "images?": amount,
    "minutes?": amount, "characters?": amount, "seats?": amount, "gigabytes?": amount,
    "meters?": .map(amount), "months?": .integer(1...120),
  ]).about("What is used in a month; at most 20 counts.")

  private static let hit = Schema.object([
    "id": .slug, "service": .ref("Service"), "offer": Schema.ref("Offer").orNull,
    "offerReason": .string.orNull, "score": .number,
    "scores": .object(["text": .number, "vector": .number]), "cost?": money,
    "label?": .one(of: "pinned", "sponsored"), "highlights?": .document, "explain?": .document,
    "aboveNext?": Schema.document.orNull, "why?": .document,
  ])

  private static let money = Schema.object([
    "amountNano": .integer, "currency": .string.orNull,
  ])

  private static let facet = Schema.object([
    "unknownCount": .count, "values?": .list(.ref("FacetValue")), "otherCount?": .count,
    "stats?": .object([
      "min": .any(of: .number, .string), "max": .any(of: .number, .string),
      "avg": Schema.number.orNull,
    ]),
    "histogram?": .list(
      .object([
        "from": .any(of: .number, .string), "to": .any(of: .number, .string), "count": .count,
      ])),
    "ranges?": .list(
      .object([
        "label": .string, "fromNano": Schema.integer.orNull, "toNano": Schema.integer.orNull,
        "count": .count,
      ])),
  ])

  private static let facetValue = Schema.object([
    "value": .string, "count": .count, "selected": .boolean,
  ])

  private static let understood = Schema.object([
    "key": .string, "label": .string, "filter": .string, "start": .count, "end": .count,
    "applied": .boolean,
  ])

  private static let relaxation = Schema.object([
    "dropped": .list(.string), "keys": .list(.string), "total": .count,
    "loosened?": .object(["filter": .string, "label": .string, "total": .count]),
  ])

  private static let answer = Schema.object([
    "hits": .list(.ref("Hit")), "total": .count, "facets": .map(.ref("Facet")),
    "understood": .list(.ref("Understood")), "notes": .list(.string),
    "relaxations": .list(.ref("Relaxation")), "didYouMean": .string.orNull,
    "filter": .string.orNull, "asOf": .count, "generation": .string,
    "degraded": .list(.string), "nextCursor": .string.orNull, "searchId": .string.orNull,
    "took": .map(.count),
  ])
}
