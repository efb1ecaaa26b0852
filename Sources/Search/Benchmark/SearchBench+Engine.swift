// Whole searches, as a server runs them after it has read a request.
extension SearchBench {
  /// The facet groups that every measured search counts.
  package static let facets = [
    "kind", "categories", "features", "regions", "compliance", "inputPrice", "providerId",
    "authType",
  ]

  /// Conditions on fields that real catalogs have; none on `kind`, whose counts then add up to the total.
  package static let filters = [
    "EXISTS categories", "status = active AND NOT https = false", "contextWindow >= 32k",
    "inputPrice < 1 OR inputPrice IS UNKNOWN", "authType = apiKey OR authType IS UNKNOWN",
    "features.functionCalling = yes", "stars > 10 OR runs > 1000 OR EXISTS contextWindow",
  ]

  /// The condition of the search with a number: every third has one.
  package static func filter(_ number: Int) -> String? {
    number % 3 == 0 ? filters[number / 3 % filters.count] : nil
  }

  /// A search for each need: 8 facet groups, every third with a filter.
  /// - Throws: `Refusal` where a filter is none.
  package static func requests(_ needs: [String]) throws -> [SearchRequest] {
    try needs.enumerated().map { number, need in
      var request = SearchRequest()
      request.query = need
      request.facets = facets
      request.filter = try filter(number).flatMap { try FilterParser.parse($0) }
      return request
    }
  }

  /// Times of whole searches, and of each stage, in its order.
  ///
  /// Every search runs once before, so that its query's vector is known: embedding is measured by itself.
  /// - Throws: What a search throws.
  package func searches(
    _ requests: [SearchRequest], encoder: SearchEngine.QueryEncoder
  ) throws -> (whole: BenchSample, stages: [(stage: String, sample: BenchSample)]) {
    // The stages' clock counts nanoseconds here, for the shortest take less than a microsecond.
    let engine = SearchEngine(encoder: encoder, microseconds: clock)
    var whole = BenchSample()
    var names: [String] = []
    var stages: [String: BenchSample] = [:]
    var total = 0
    for request in requests { _ = try engine.search(request, on: snapshot) }
    for request in requests {
      let start = clock()
      let answer = try engine.search(request, on: snapshot)
      whole.note(nanoseconds: clock() - start)
      total += answer.total
      for (stage, time) in answer.took {
        if stages[stage] == nil { names.append(stage) }
        stages[stage, default: BenchSample()].note(nanoseconds: time)
      }
    }
    whole.note("total", Double(total) / Double(max(requests.count, 1)))
    return (whole, names.map { ($0, stages[$0] ?? BenchSample()) })
  }
}
