internal import Catalog
internal import Cryptography
internal import Primitives
internal import Search

/// The JSON of a search, in and out.
enum SearchShapes {
  static let fields: Set<String> = [
    "q", "understand", "filter", "facets", "facetLimit", "sort", "limit", "offset", "cursor",
    "semantic", "usage", "highlight", "explain", "minRevision", "prefix",
    "diversify", "ignored",
  ]

  /// The most understood conditions that a search may leave out, and the characters of each.
  private static let ignoredCountMax = 50
  private static let ignoredCharacterMax = 200

  /// A search read from a body; the cursor and the awaited revision come beside it.
  struct Incoming {
    var request = SearchRequest()
    var cursor: String?
    var minRevision: Int64 = 0
    /// What a cursor is bound to: everything but the place.
    var fingerprint: String = ""
  }

  static func read(_ body: JSON) throws(Refusal) -> Incoming {
    var incoming = Incoming()
    var faults: [Refusal.Field] = []
    func integer(_ name: String, _ range: ClosedRange<Int64>, _ fallback: Int64) -> Int64 {
      guard let value = body[name], value != .null else { return fallback }
      if let number = value.int, range.contains(number) { return number }
      faults.append(
        .init("/" + name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)"))
      return fallback
    }
    func flag(_ name: String) -> Bool {
      guard let value = body[name], value != .null else { return false }
      if value.bool == nil { faults.append(.init("/" + name, "must be true or false")) }
      return value.bool ?? false
    }
    func text(_ name: String) -> String? {
      guard let value = body[name], value != .null else { return nil }
      if value.string == nil { faults.append(.init("/" + name, "must be text")) }
      return value.string
    }
    func list(_ name: String, max: Int) -> [String] {
      guard let value = body[name], value != .null else { return [] }
      let words = value.array?.compactMap(\.string)
      guard let words, words.count == value.array?.count, words.count <= max else {
        faults.append(.init("/" + name, "must be a list of at most \(max) texts"))
        return []
      }
      return words
    }
    incoming.request.query = text("q") ?? ""
    incoming.request.understands = understands(body["understand"], &faults)
    let filter = text("filter")
    incoming.request.facets = list("facets", max: SearchRequest.facetMax)
    incoming.request.ignored = ignored(list("ignored", max: ignoredCountMax), &faults)
    incoming.request.facetLimit = Int(integer("facetLimit", 1...200, 20))
    let sort = list("sort", max: 5)
    incoming.request.limit = Int(integer("limit", 0...Int64(SearchRequest.limitMax), 20))
    incoming.request.offset = Int(integer("offset", 0...Int64(SearchRequest.offsetMax), 0))
    incoming.cursor = text("cursor")
    incoming.minRevision = integer("minRevision", 0...Int64.max, 0)
    incoming.request.highlights = flag("highlight")
    incoming.request.explains = flag("explain")
    incoming.request.isPrefix = flag("prefix")
    incoming.request.semantic = semantic(body["semantic"], &faults)
    incoming.request.usage = usage(body, &faults)
    incoming.request.diversify = diversifies(body["diversify"], &faults)
    guard faults.isEmpty else {
      throw Refusal(.validationFailed, "The search is not valid.", fields: faults)
    }
    if let filter { incoming.request.filter = try FilterParser.parse(filter) }
    incoming.request.sort = try sortKeys(sort, hasUsage: incoming.request.usage != nil)
    incoming.fingerprint = fingerprint(body)
    return incoming
  }

  private static func understands(_ value: JSON?, _ faults: inout [Refusal.Field]) -> Bool {
    switch value {
    case nil, .null?, "auto": return true
    case "off", .bool(false)?: return false
    case .bool(true)?: return true
    default:
      faults.append(.init("/understand", "must be auto or off"))
      return true
    }
  }

  private static func ignored(
    _ names: [String], _ faults: inout [Refusal.Field]
  ) -> Set<String> {
    if names.contains(where: { $0.unicodeScalars.count > ignoredCharacterMax }) {
      faults.append(
        .init("/ignored", "must have texts of at most \(ignoredCharacterMax) characters"))
    }
    return Set(names)
  }

  private static func semantic(_ value: JSON?, _ faults: inout [Refusal.Field]) -> Double? {
    guard let value, value != .null else { return nil }
    if let share = value.double, (0...1).contains(share) { return share }
    faults.append(.init("/semantic", "must be a number from 0 to 1"))
    return nil
  }

  private static func sortKeys(
    _ texts: [String], hasUsage: Bool
  ) throws(Refusal) -> [SortKey] {
    var keys: [SortKey] = []
    for text in texts { keys.append(try SortKey.read(text)) }
    guard hasUsage || !keys.contains(where: { $0.field == "cost" }) else {
      throw Refusal(
        .validationFailed, "The search is not valid.",
        fields: [.init("/sort", "needs usage to sort by cost")])
    }
    return keys
  }

  private static func diversifies(_ value: JSON?, _ faults: inout [Refusal.Field]) -> Bool {
    switch value {
    case nil, .null?, "none": return false
    case "provider": return true
    default:
      faults.append(.init("/diversify", "must be provider or none"))
      return false
    }
  }

  /// What is expected of each meter, in the shape of `POST /v1/cost`.
  private static func usage(_ body: JSON, _ faults: inout [Refusal.Field]) -> UsageProfile? {
    var reader = DiscoveryShapes.Reader(body: body)
    let usage = DiscoveryShapes.usage(&reader)
    faults += reader.faults
    return usage?.expected
  }

  private static func fingerprint(_ body: JSON) -> String {
    var object = body.object ?? [:]
    for name in ["cursor", "offset", "limit", "minRevision", "facets", "facetLimit"] {
      object[name] = nil
    }
    return BytesText.hex(Digest.sha256(JSON.object(object).canonicalBytes).prefix(8))
  }

  /// A cursor: the snapshot, the place in it, and what it belongs to.
  static func cursor(
    _ answer: SearchAnswer, offset: Int, fingerprint: String, placements: String
  ) -> String {
    let value: JSON = [
      "r": .int(answer.revision), "g": .string(answer.generation), "o": .number(offset),
      "h": .string(fingerprint), "p": .string(placements),
    ]
    return BytesText.base64url(value.bytes)
  }

  static func readCursor(
    _ text: String, fingerprint: String
  ) throws(Refusal) -> (revision: Int64, generation: String, offset: Int, placements: String) {
    guard text.utf8.count <= 1_000, let bytes = BytesText.bytes(base64url: text),
      let value = try? JSON.parse(bytes), let revision = value["r"]?.int,
      let generation = value["g"]?.string, let offset = value["o"]?.int,
      (0...Int64(SearchRequest.offsetMax)).contains(offset)
    else { throw Refusal(.cursorInvalid, "The cursor is not one of ours.") }
    guard value["h"]?.string == fingerprint else {
      throw Refusal(.cursorInvalid, "The cursor belongs to another search.")
    }
    return (revision, generation, Int(offset), value["p"]?.string ?? "")
  }

  static func json(_ answer: SearchAnswer, cursor: String?, searchID: String? = nil) -> JSON {
    let cut = answer.isCut ? ["The query was cut at 1000 characters."] : []
    return [
      "hits": .array(hits(answer.hits)), "total": .number(answer.total),
      "facets": .object(
        answer.facets.reduce(into: JSONObject()) { $0[$1.field] = facet($1) }),
      "understood": .array(
        answer.understood.map {
          constraint(
            $0, isApplied: !answer.unapplied.contains($0))
        }),
      "notes": .strings(cut + answer.notes),
      "relaxations": .array(answer.relaxations.map(relaxation)),
      "didYouMean": .optional(answer.didYouMean), "filter": .optional(answer.filter?.canonical),
      "asOf": .int(answer.revision), "generation": .string(answer.generation),
      "degraded": .strings(answer.degraded), "nextCursor": .optional(cursor),
      "searchId": .optional(searchID),
      "took": .object(
        answer.took.reduce(into: JSONObject()) { $0[$1.stage + "Us"] = .int($1.microseconds) }),
    ]
  }

  private static func constraint(_ constraint: Constraint, isApplied: Bool) -> JSON {
    [
      "key": .string(constraint.key), "label": .string(constraint.label),
      "filter": .string(constraint.expression.canonical),
      "start": .number(constraint.span.lowerBound), "end": .number(constraint.span.upperBound),
      "applied": .bool(isApplied),
    ]
  }

  private static func relaxation(_ relaxation: Relaxation) -> JSON {
    var object: JSONObject = [
      "dropped": .strings(relaxation.dropped), "keys": .strings(relaxation.keys),
      "total": .number(relaxation.total),
    ]
    if let loosened = relaxation.loosened {
      object["loosened"] = [
        "filter": .string(loosened.filter), "label": .string(loosened.label),
        "total": .number(loosened.total),
      ]
    }
    return .object(object)
  }

  /// Hits in order; where they are explained, each says why it stands above the next of the page.
  static func hits(_ hits: [Hit]) -> [JSON] {
    hits.enumerated().map { place, one in
      let json = hit(one)
      guard place + 1 < hits.count, let why = PairwiseWhy.why(one, over: hits[place + 1]),
        case .object(var object) = json
      else { return json }
      object["aboveNext"] = why
      return .object(object)
    }
  }

  static func hit(_ hit: Hit) -> JSON {
    var object: JSONObject = [
      "id": .string(hit.id), "service": .raw(hit.service),
      "offer": hit.offer.isEmpty ? .null : .raw(hit.offer),
      "offerReason": .optional(hit.offerReason), "score": .double(rounded(hit.score)),
      "scores": [
        "text": .double(rounded(hit.textScore)), "vector": .double(rounded(hit.vectorScore)),
      ],
    ]
    if let cost = hit.cost { object["cost"] = .object(CostShape.money(cost)) }
    if let label = hit.label { object["label"] = .string(label.rawValue) }
    if let highlights = hit.highlights { object["highlights"] = highlights }
    if let explanation = hit.explanation { object["explain"] = explanation }
    return .object(object)
  }

  private static func rounded(_ value: Double) -> Double { (value * 1e6).rounded() / 1e6 }

  static func facet(_ facet: FacetCounts) -> JSON {
    let kind = IndexField.named[facet.field]?.kind ?? .words
    func number(_ value: Double) -> JSON {
      switch kind {
      case .price: .double(value / 1e9)
      case .date: .string(Timestamp(milliseconds: Int64(value)).date)
      default: .double(value)
      }
    }
    var object: JSONObject = [:]
    if kind == .words || kind == .flags {
      object["values"] = .array(
        facet.entries.map {
          [
            "value": .string($0.value), "count": .number($0.count),
            "selected": .bool($0.isSelected),
          ]
        })
      object["otherCount"] = .number(facet.otherCount)
    }
    object["unknownCount"] = .number(facet.unknownCount)
    if let statistics = facet.statistics {
      object["stats"] = [
        "min": number(statistics.min), "max": number(statistics.max),
        "avg": kind == .date ? .null : number(statistics.average),
      ]
      object["histogram"] = .array(
        facet.buckets.map {
          ["from": number($0.from), "to": number($0.to), "count": .number($0.count)]
        })
    }
    if !facet.ranges.isEmpty { object["ranges"] = .array(facet.ranges.map(DiscoveryShapes.range)) }
    return .object(object)
  }

  /// Fields, types, operators and facets: a frontend can build itself from it.
  static func schema() -> JSON {
    let fields = IndexField.all.map { field -> JSON in
      let operators: [String] =
        switch field.kind {
        case .words: ["=", "!=", "IN", "EXISTS", "IS UNKNOWN"]
        case .flags: ["=", "!=", "IN", "EXISTS", "IS UNKNOWN", "."]
        default: ["=", "!=", "<", "<=", ">", ">=", "TO", "IN", "EXISTS", "IS UNKNOWN"]
        }
      return [
        "name": .string(field.name), "type": .string(field.kind.rawValue),
        "facet": .bool(field.isFacet), "offerField": .bool(field.isOfferField),
        "sortable": .bool(field.kind != .words && field.kind != .flags),
        "operators": .strings(operators), "help": .string(field.help),
      ]
    }
    return [
      "fields": .array(fields),
      "sort": ["relevance", "newest", "popularity", "latency", "name", "cost"],
      "currencies": .strings(IndexField.currencies),
      "limits": [
        "limit": .number(SearchRequest.limitMax), "offset": .number(SearchRequest.offsetMax),
        "facets": .number(SearchRequest.facetMax), "queryCharacters": 1_000,
        "filterCharacters": 4_000,
      ],
    ]
  }
}
