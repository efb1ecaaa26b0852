internal import Primitives
internal import Search

/// What retrieval found for a constraint list.
struct Retrieved {
  var candidates: [Candidate] = []
  var total = 0
  /// How many matched before the newest topic.
  var totalBefore = 0
  /// Whether every topic is met by each candidate.
  var isFull = true
  var relaxations: [Relaxation] = []
  var revision: Int64 = 0
}

extension Guide {
  /// Services that meet every condition and every topic; where none meets all topics, those that come nearest.
  func retrieve(_ state: ConversationState, on snapshot: Snapshot) throws -> Retrieved {
    var topics: [String] = []
    var conditions: [Constraint] = []
    for constraint in state.constraints {
      switch constraint.meaning {
      case .topic(let text): topics.append(text)
      case .filter(let expression):
        conditions.append(Constraint(expression: expression, label: constraint.label, span: 0..<0))
      }
    }
    var found = Retrieved()
    var scores: [String: (sum: Double, count: Int, hit: Hit)] = [:]
    for topic in topics.isEmpty ? [""] : topics {
      var request = SearchRequest()
      request.query = topic
      request.understands = false
      request.constraints = conditions
      request.limit = Guide.candidateMax
      let answer = try engine.search(request, on: snapshot)
      found.revision = answer.revision
      found.totalBefore = found.total
      found.total = answer.total
      found.relaxations = answer.relaxations
      for hit in answer.hits where !state.excluded.contains(hit.id) {
        let known = scores[hit.id]
        scores[hit.id] = ((known?.sum ?? 0) + hit.score, (known?.count ?? 0) + 1, hit)
      }
    }
    let needed = max(topics.count, 1)
    var kept = scores.values.filter { $0.count == needed }
    if needed > 1 {
      if kept.count < Guide.cardCount {
        found.isFull = false
        kept = Array(scores.values)
      }
      found.total = kept.count
    }
    let ranked = kept.sorted { ($1.sum, $0.hit.id) < ($0.sum, $1.hit.id) }
    found.candidates = ranked.prefix(Guide.candidateMax).map {
      Candidate($0.hit, score: $0.sum / Double(needed))
    }
    return found
  }

  /// Services by id, in that order; those that are gone are left out.
  func candidates(ids: [String], _ snapshot: Snapshot) throws -> [Candidate] {
    guard !ids.isEmpty else { return [] }
    var request = SearchRequest()
    request.filter = .oneOf(field: "id", ids.map(FilterExpression.Value.word))
    request.limit = ids.count
    let hits = try engine.search(request, on: snapshot).hits
    return ids.compactMap { id in hits.first { $0.id == id }.map { Candidate($0, score: $0.score) }
    }
  }

  /// The shown service that a reference means.
  func pick(_ reference: Intent.Reference, _ shown: [Candidate]) -> Candidate? {
    switch reference {
    case .place(let place): place < shown.count ? shown[place] : nil
    case .name(let name): shown.first { $0.name.lowercased() == name }
    }
  }
}
