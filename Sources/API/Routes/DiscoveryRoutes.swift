internal import Catalog
internal import HTTPServer
internal import Primitives
internal import Search

/// What surrounds a search: similar services, comparisons, costs, suggestions, facet values, batches, and the
/// disclosure of the ranking.
struct DiscoveryRoutes: Sendable {
  /// The most searches of a batch.
  static let batchMax = 20
  /// The most services of a cost table.
  static let costMax = 50
  /// The most similar services of an answer.
  static let similarMax = 50
  /// Every value of a facet: more than any catalog of a million services has.
  static let valueMax = 4_000_000

  let services: Services
  let search: SearchRoutes

  var routes: [Route] {
    [
      Route(
        "GET", "/v1/services/{id}/similar", "services like one", budget: .search, isSearch: true,
        handler: similar),
      Route("POST", "/v1/compare", "services side by side", isSearch: true, handler: compare),
      Route(
        "POST", "/v1/cost", "what a usage costs under every offer", isSearch: true, handler: cost),
      Route(
        "GET", "/v1/suggest", "completions while typing", budget: .search, isSearch: true,
        handler: suggest),
      Route(
        "POST", "/v1/facets/search", "values of a facet by what is typed", budget: .search,
        isSearch: true, handler: facets),
      Route(
        "POST", "/v1/search:batch", "several searches on one snapshot", body: .anyone(262_144),
        isSearch: true, handler: batch),
      Route("GET", "/v1/ranking", "how results are ranked", handler: ranking),
    ]
  }

  private var snapshot: Snapshot { services.indexer.index.snapshot }

  // MARK: Similar

  func similar(_ context: Context) async throws -> Response {
    let known: Set<String> = ["filter", "limit", "facets", "minRevision"]
    let unknown = context.request.query.map(\.name).filter { !known.contains($0) }
    guard unknown.isEmpty else {
      throw Refusal(
        .validationFailed, "The query has parameters that are not known.",
        fields: unknown.prefix(20).map { .init("/" + $0.prefix(64), "is not known") })
    }
    let id = context.parameter("id")
    let revision = try context.integer("minRevision", default: 0, in: 0...Int.max)
    let snapshot = try await search.current(revision: Int64(revision))
    let base = try documents(of: [id], on: snapshot)[0]
    var request = SearchRequest()
    request.like = id
    request.understands = false
    request.limit = try context.integer("limit", default: 10, in: 1...DiscoveryRoutes.similarMax)
    if let filter = context.request.query("filter") {
      request.filter = try FilterParser.parse(filter)
    }
    let facets = (context.request.query("facets") ?? "").split(separator: ",").map(String.init)
    guard facets.count <= SearchRequest.facetMax else {
      throw Refusal(
        .validationFailed, "There are too many facets.",
        fields: [.init("/facets", "must name at most \(SearchRequest.facetMax) facets")])
    }
    request.facets = facets
    let answer = try services.engine.search(request, on: snapshot)
    let hits = answer.hits.map { hit -> JSON in
      guard case .object(var object) = SearchShapes.hit(hit),
        let document = try? JSON.parse(hit.service)
      else { return SearchShapes.hit(hit) }
      object["why"] = Similarity.why(base.document, document)
      return .object(object)
    }
    return .json([
      "service": ["id": .string(base.id), "name": base.document["name"] ?? .null],
      "hits": .array(hits), "total": .number(answer.total),
      "facets": .object(
        answer.facets.reduce(into: JSONObject()) { $0[$1.field] = SearchShapes.facet($1) }),
      "filter": .optional(answer.filter?.canonical), "asOf": .int(answer.revision),
      "generation": .string(answer.generation), "degraded": .strings(answer.degraded),
    ])
  }

  /// The stored hits of some services, in order.
  /// - Throws: `Refusal` `not_found` with the ids that searches do not see.
  private func documents(
    of ids: [String], on snapshot: Snapshot
  ) throws -> [Comparison.Subject] {
    var missing: [String] = []
    var subjects: [Comparison.Subject] = []
    for id in ids {
      if let bytes = snapshot.document(of: id) {
        subjects.append(Comparison.Subject(id: id, document: try JSON.parse(bytes)))
      } else {
        missing.append(id)
      }
    }
    guard missing.isEmpty else {
      throw Refusal(
        .notFound, "There is no such service.",
        facts: ["missing": .strings(missing.map { String($0.prefix(128)) })])
    }
    return subjects
  }

  // MARK: Compare and cost

  func compare(_ context: Context) async throws -> Response {
    let body = try context.json()
    try context.known(body, ["ids", "usage", "minRevision"])
    var reader = DiscoveryShapes.Reader(body: body)
    let ids = reader.ids("ids", 2...Comparison.serviceMax)
    let usage = DiscoveryShapes.usage(&reader)
    let revision = reader.integer("minRevision", 0...Int64.max, 0)
    if ids == nil, reader.faults.isEmpty { reader.fail("/ids", "is missing") }
    try reader.finish("comparison")
    let snapshot = try await search.current(revision: revision)
    let subjects = try documents(of: ids ?? [], on: snapshot)
    guard case .object(var object) = Comparison(subjects, usage: usage?.expected).json else {
      preconditionFailure("a comparison is an object")
    }
    object["usage"] = usage.map { DiscoveryShapes.json($0.expected) } ?? .null
    object["asOf"] = .int(snapshot.revision)
    object["generation"] = .string(snapshot.generation)
    return .json(.object(object))
  }

  func cost(_ context: Context) async throws -> Response {
    let body = try context.json()
    try context.known(body, ["ids", "q", "filter", "understand", "limit", "usage", "minRevision"])
    var reader = DiscoveryShapes.Reader(body: body)
    let ids = reader.ids("ids", 1...DiscoveryRoutes.costMax)
    let usage = DiscoveryShapes.usage(&reader)
    let limit = reader.integer("limit", 1...Int64(DiscoveryRoutes.costMax), 20)
    let revision = reader.integer("minRevision", 0...Int64.max, 0)
    if usage == nil, reader.faults.isEmpty { reader.fail("/usage", "is missing") }
    if ids != nil {
      for name in ["q", "filter", "understand", "limit"] where body[name] ?? .null != .null {
        reader.fail("/" + name, "does not go with ids")
      }
    }
    try reader.finish("question")
    guard let usage else { preconditionFailure("a missing usage was refused") }
    let snapshot = try await search.current(revision: revision)
    var total = ids?.count ?? 0
    var found = ids ?? []
    if ids == nil {
      var object: JSONObject = ["limit": .int(limit)]
      for name in ["q", "filter", "understand"] { object[name] = body[name] }
      let request = try SearchShapes.read(.object(object)).request
      let answer = try services.engine.search(request, on: snapshot)
      total = answer.total
      found = answer.hits.map(\.id)
    }
    let subjects = try documents(of: found, on: snapshot)
    return .json([
      "usage": [
        "low": DiscoveryShapes.json(usage.low), "expected": DiscoveryShapes.json(usage.expected),
        "high": DiscoveryShapes.json(usage.high),
      ],
      "services": .array(subjects.map { DiscoveryShapes.costs($0, usage) }),
      "total": .number(total), "asOf": .int(snapshot.revision),
      "generation": .string(snapshot.generation),
    ])
  }

  // MARK: Typing

  func suggest(_ context: Context) async throws -> Response {
    let unknown = context.request.query.map(\.name).filter { !["q", "limit"].contains($0) }
    guard unknown.isEmpty else {
      throw Refusal(
        .validationFailed, "The query has parameters that are not known.",
        fields: unknown.prefix(20).map { .init("/" + $0.prefix(64), "is not known") })
    }
    let limit = try context.integer(
      "limit", default: Suggester.limitMax, in: 1...Suggester.limitMax)
    let snapshot = snapshot
    let suggestions = services.suggester.suggestions(
      for: context.request.query("q") ?? "", limit: limit, on: snapshot)
    guard case .object(var object) = DiscoveryShapes.json(suggestions) else {
      preconditionFailure("suggestions are an object")
    }
    object["asOf"] = .int(snapshot.revision)
    return .json(.object(object))
  }

  /// `q` is what is typed into the facet, `query` the search beside it.
  func facets(_ context: Context) async throws -> Response {
    let body = try context.json()
    let own: Set<String> = ["field", "q", "query", "limit", "filter", "understand", "semantic"]
    try context.known(body, own.union(["minRevision", "prefix", "ignored"]))
    var reader = DiscoveryShapes.Reader(body: body)
    let name = reader.text("field", characterMax: 64)
    let typed = reader.text("q", characterMax: 200) ?? ""
    let limit = reader.integer("limit", 1...200, 20)
    let field = name.flatMap { IndexField.named[$0] }
    if field.map({ !$0.isFacet || ($0.kind != .words && $0.kind != .flags) }) ?? true {
      reader.fail("/field", "must name a facet of words")
    }
    try reader.finish("question")
    var object: JSONObject = [
      "q": body["query"] ?? .null, "facets": .strings([name ?? ""]), "limit": 0,
    ]
    for name in ["filter", "understand", "ignored", "semantic", "minRevision", "prefix"] {
      object[name] = body[name]
    }
    var incoming = try SearchShapes.read(.object(object))
    incoming.request.facetLimit = DiscoveryRoutes.valueMax
    let snapshot = try await search.current(revision: incoming.minRevision)
    let answer = try services.engine.search(incoming.request, on: snapshot)
    let found = FacetSearch.matches(answer.facets.first?.entries ?? [], typed: typed)
    return .json([
      "field": .string(name ?? ""),
      "values": .array(
        found.prefix(Int(limit)).map {
          [
            "value": .string($0.value), "count": .number($0.count),
            "selected": .bool($0.isSelected),
          ]
        }),
      "matchCount": .number(found.count), "total": .number(answer.total),
      "asOf": .int(answer.revision), "generation": .string(answer.generation),
    ])
  }

  // MARK: Batch and disclosure

  func batch(_ context: Context) async throws -> Response {
    let body = try context.json()
    try context.known(body, ["searches", "minRevision"])
    var reader = DiscoveryShapes.Reader(body: body)
    let revision = reader.integer("minRevision", 0...Int64.max, 0)
    let searches = body["searches"]?.array ?? []
    if !(1...DiscoveryRoutes.batchMax).contains(searches.count) {
      reader.fail("/searches", "must be a list of 1 to \(DiscoveryRoutes.batchMax) searches")
    }
    try reader.finish("batch")
    let snapshot = try await search.current(revision: revision)
    let edition = try await services.placements.edition(
      at: services.clock.now, from: services.record)
    let answers = try searches.map { one -> JSON in
      do {
        guard one.object != nil else {
          throw Refusal(.malformedJSON, "A search of a batch is an object.")
        }
        // All of a batch see one snapshot: another one cannot be asked for inside.
        try context.known(one, SearchShapes.fields.subtracting(["cursor", "minRevision"]))
        let incoming = try SearchShapes.read(one)
        return ["status": 200, "answer": try search.run(incoming, on: snapshot, edition, context)]
      } catch let refusal as Refusal {
        return [
          "status": .number(refusal.code.status),
          "problem": Problem.body(
            refusal, requestID: context.requestID, path: context.request.path),
        ]
      }
    }
    return .json([
      "answers": .array(answers), "asOf": .int(snapshot.revision),
      "generation": .string(snapshot.generation),
    ])
  }

  func ranking(_ context: Context) async throws -> Response {
    guard context.request.query.isEmpty else {
      throw Refusal(.validationFailed, "The disclosure takes no parameters.")
    }
    return .json(RankingDisclosure.json(of: snapshot))
  }
}
