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
      var rows = FilterEvaluator(segment: snapshot.segments[number]).rows(of: matching[number])
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
    guard count > 0 else { return [] }
    // Beyond ten conditions the subsets are too many: then one or two, or all of them.
    let sizes = count <= 10 ? Array(1...count) : [1, 2, count]
    for size in sizes {
      var found: [Relaxation] = []
      for dropped in ConditionSets.subsets(of: count, size: size) {
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
    var seen: [FilterExpression] = []
    conditions.removeAll { condition in
      defer { seen.append(condition.0) }
      return seen.contains(condition.0)
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

  /// - Parameter rows: Rows for which every condition is true.
  func facets(
    _ conditions: ConditionSets, _ relevance: Relevance, rows: [Bitset]
  ) throws -> [FacetCounts] {
    try request.facets.map { name in
      guard let field = IndexField.named[name], field.isFacet else {
        throw SearchRun.unknownFacet(name)
      }
      let own = conditions.parts.filter { $0.expression.fields == [name] }
      let counted =
        own.isEmpty
        ? rows
        : conditions.all(in: snapshot, within: relevance.matching) { part in
          part.expression.fields == [name]
        }
      return FacetCounter(snapshot: snapshot, field: field, limit: request.facetLimit)
        .count(rows: counted, selected: own.flatMap { $0.expression.words })
    }
  }
}

extension ConditionSets {
  /// The subsets of 0..<count of one size, in order.
  static func subsets(of count: Int, size: Int) -> [[Int]] {
    if size == count { return [Array(0..<count)] }
    if size == 1 { return (0..<count).map { [$0] } }
    return (0...(count - size)).flatMap { first in
      subsets(of: count - first - 1, size: size - 1).map { rest in
        [first] + rest.map { $0 + first + 1 }
      }
    }
  }

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
