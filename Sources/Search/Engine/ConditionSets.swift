/// The conditions of a search, each evaluated once over every row, to be combined with or without some of them.
struct ConditionSets {
  struct Part {
    let expression: FilterExpression
    let label: String
    /// Read out of the query, and not written as a filter.
    let isUnderstood: Bool
    /// Rows for which it is true, by segment.
    let rows: [Bitset]
  }

  private(set) var parts: [Part]

  init(_ conditions: [(FilterExpression, label: String, isUnderstood: Bool)], on snapshot: Snapshot)
  {
    parts = conditions.map { expression, label, isUnderstood in
      Part(
        expression: expression, label: label, isUnderstood: isUnderstood,
        rows: snapshot.segments.map { FilterEvaluator(segment: $0).truth(expression).yes })
    }
  }

  mutating func remove(where isRemoved: (Part) -> Bool) { parts.removeAll(where: isRemoved) }

  /// Rows of matching services for which every condition is true, but those that `except` names.
  func all(
    in snapshot: Snapshot, within matching: [Bitset], except: (Part) -> Bool = { _ in false }
  ) -> [Bitset] {
    let used = parts.filter { !except($0) }
    return snapshot.segments.indices.map { number in
      let segment = snapshot.segments[number]
      var rows = Bitset(count: segment.rowCount)
      matching[number].forEach { service in
        for row in Int(segment.rowStarts[service])..<Int(segment.rowStarts[service + 1]) {
          rows.insert(row)
        }
      }
      for part in used { rows.formIntersection(part.rows[number]) }
      return rows
    }
  }

  func total(
    in snapshot: Snapshot, within matching: [Bitset], except: (Part) -> Bool = { _ in false }
  ) -> Int {
    zip(snapshot.segments, all(in: snapshot, within: matching, except: except)).reduce(0) {
      $0 + FilterEvaluator(segment: $1.0).services(of: $1.1).population
    }
  }

  /// The smallest sets of conditions whose removal leaves something, by rising size: the first size that
  /// gives anything, at most five sets, the most results first.
  func relaxations(_ snapshot: Snapshot, _ matching: [Bitset]) -> [Relaxation] {
    let count = parts.count
    // Beyond ten conditions the subsets are too many; the last ones are then always kept.
    guard count > 0, count <= 10 else { return [] }
    for size in 1...count {
      var found: [Relaxation] = []
      for mask in 1..<(1 << count) where mask.nonzeroBitCount == size {
        let dropped = parts.indices.filter { mask >> $0 & 1 == 1 }
        let labels = dropped.map { parts[$0].label }
        let total = total(in: snapshot, within: matching) { part in labels.contains(part.label) }
        if total > 0 { found.append(Relaxation(dropped: labels, total: total)) }
      }
      if !found.isEmpty {
        return Array(
          found.sorted { ($1.total, $0.dropped.joined()) < ($0.total, $1.dropped.joined()) }.prefix(
            5))
      }
    }
    return []
  }
}

extension SearchRun {
  func conditionSets(_ understanding: Understanding) -> ConditionSets {
    var conditions: [(FilterExpression, label: String, isUnderstood: Bool)] = []
    for expression in request.filter?.conjuncts ?? [] {
      conditions.append((expression, expression.canonical, false))
    }
    for constraint in request.constraints {
      conditions.append((constraint.expression, constraint.label, false))
    }
    for constraint in understanding.constraints {
      conditions.append((constraint.expression, constraint.label, true))
    }
    return ConditionSets(conditions, on: snapshot)
  }

  /// A condition that was only read out of the text and leaves nothing is said, and not applied.
  mutating func demote(_ conditions: inout ConditionSets, _ relevance: Relevance) {
    guard conditions.parts.contains(where: \.isUnderstood),
      conditions.total(in: snapshot, within: relevance.matching) == 0
    else { return }
    let explicit = conditions.total(in: snapshot, within: relevance.matching) { $0.isUnderstood }
    guard explicit > 0 else { return }
    var kept = conditions
    kept.remove { $0.isUnderstood }
    // Put them back one by one, in order, as long as something is left.
    for part in conditions.parts where part.isUnderstood {
      var trial = kept
      trial.append(part)
      if trial.total(in: snapshot, within: relevance.matching) > 0 {
        kept = trial
      } else if let constraint = output.understood.first(where: { $0.expression == part.expression }
      ) {
        output.unapplied.append(constraint)
      }
    }
    output.relaxations = output.unapplied.map { constraint in
      Relaxation(
        dropped: [constraint.label],
        total: kept.total(in: snapshot, within: relevance.matching))
    }
    conditions = kept
  }

  func facets(_ conditions: ConditionSets, _ relevance: Relevance) throws -> [FacetCounts] {
    try request.facets.map { name in
      guard let field = IndexField.named[name], field.isFacet else {
        throw SearchRun.unknownFacet(name)
      }
      let rows = conditions.all(in: snapshot, within: relevance.matching) { part in
        part.expression.fields == [name]
      }
      let own = conditions.parts.filter { $0.expression.fields == [name] }
      return FacetCounter(snapshot: snapshot, field: field, limit: request.facetLimit)
        .count(rows: rows, selected: own.flatMap { $0.expression.words })
    }
  }
}

extension ConditionSets {
  mutating func append(_ part: Part) { parts.append(part) }
}

extension FilterExpression {
  /// The words that the expression asks for, where it asks for words.
  var words: [String] {
    switch self {
    case .compare(_, .equal, .word(let word)): [word]
    case .oneOf(_, let values):
      values.compactMap { if case .word(let word) = $0 { word } else { nil } }
    case .flag(_, let name, true): [name]
    case .or(let parts): parts.flatMap(\.words)
    default: []
    }
  }
}
