import Search

/// Every page of a search, one behind the other.
struct Walk {
  var answers: [SearchAnswer] = []

  var ids: [String] { answers.flatMap(\.ids) }
  var hits: [Hit] { answers.flatMap(\.hits) }

  /// What is wrong with the pages, where the set must be these ids.
  func faults(expecting expected: [String]) -> [String] {
    var faults: [String] = []
    let ids = self.ids
    let unique = Set(ids)
    if unique.count != ids.count { faults.append("a service on two pages: \(ids)") }
    let totals = Set(answers.map(\.total))
    if totals != [expected.count] { faults.append("total \(totals), expected \(expected.count)") }
    let missing = Set(expected).subtracting(unique).sorted()
    if !missing.isEmpty { faults.append("not found: \(missing)") }
    let extra = unique.subtracting(expected).sorted()
    if !extra.isEmpty { faults.append("should not be found: \(extra)") }
    return faults
  }
}

extension RandomWorld {
  /// Every page of the search for a filter alone.
  func walk(filter: FilterExpression) throws -> Walk {
    var request = SearchRequest()
    request.filter = filter
    request.limit = SearchRequest.limitMax
    return try world.walk(request)
  }
}

extension World {
  /// Every page of a search, by offset on one snapshot, or as a cursor finds its way: by the revision
  /// and the generation of the first page.
  func walk(_ first: SearchRequest, byCursor: Bool = false) throws -> Walk {
    var request = first
    var current = snapshot
    var walk = Walk()
    while true {
      let answer = try engine.search(request, on: current)
      walk.answers.append(answer)
      guard let next = answer.nextOffset, next > request.offset else { return walk }
      request.offset = next
      // Facets are those of the set and not of a page: the first page's are judged.
      request.facets = []
      guard byCursor else { continue }
      indexer.index.pin(current)
      guard
        let pinned = indexer.index.snapshot(
          revision: answer.revision, generation: answer.generation)
      else { return walk }
      current = pinned
    }
  }
}
