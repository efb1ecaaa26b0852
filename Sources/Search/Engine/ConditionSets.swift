/// The conditions of a search, each evaluated once over every row, to be combined with or without some of them.
struct ConditionSets {
  /// Where a condition comes from.
  enum Source {
    /// The filter as it was written.
    case filter
    /// A constraint that the caller gave beside it, as a chat does.
    case caller
    /// The words of the query.
    case query
  }

  struct Part {
    /// What tells it from the others: two conditions may have one label.
    let number: Int
    let expression: FilterExpression
    let label: String
    let source: Source
    /// Rows for which it is true, by segment.
    let rows: [Bitset]

    var isUnderstood: Bool { source == .query }
  }

  private(set) var parts: [Part]

  init(_ conditions: [(FilterExpression, label: String, source: Source)], on snapshot: Snapshot) {
    parts = conditions.enumerated().map { number, condition in
      Part(
        number: number, expression: condition.0, label: condition.label, source: condition.source,
        rows: snapshot.segments.map { FilterEvaluator(segment: $0).truth(condition.0).yes })
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
}

extension SearchRun {
  func conditionSets(_ understanding: Understanding) -> ConditionSets {
    var conditions: [(FilterExpression, label: String, source: ConditionSets.Source)] = []
    for expression in request.filter?.conjuncts ?? [] {
      conditions.append((expression, expression.canonical, .filter))
    }
    for constraint in request.constraints {
      conditions.append((constraint.expression, constraint.label, .caller))
    }
    for constraint in understanding.constraints {
      conditions.append((constraint.expression, constraint.label, .query))
    }
    var seen: [FilterExpression] = []
    conditions.removeAll { condition in
      defer { seen.append(condition.0) }
      return seen.contains(condition.0)
    }
    return ConditionSets(conditions, on: snapshot)
  }

  /// A condition that was only read out of the text and leaves nothing is said, and not applied.
  ///
  /// - Returns: The conditions that are not applied.
  mutating func demote(
    _ conditions: inout ConditionSets, _ relevance: Relevance
  ) -> [ConditionSets.Part] {
    guard conditions.parts.contains(where: \.isUnderstood),
      conditions.total(in: snapshot, within: relevance.matching) == 0
    else { return [] }
    let explicit = conditions.total(in: snapshot, within: relevance.matching) { $0.isUnderstood }
    guard explicit > 0 else { return [] }
    var kept = conditions
    var demoted: [ConditionSets.Part] = []
    kept.remove { $0.isUnderstood }
    // Put them back one by one, in order, as long as something is left.
    for part in conditions.parts where part.isUnderstood {
      var trial = kept
      trial.append(part)
      if trial.total(in: snapshot, within: relevance.matching) > 0 {
        kept = trial
      } else {
        demoted.append(part)
      }
    }
    output.unapplied = output.understood.filter { constraint in
      demoted.contains { $0.expression == constraint.expression }
    }
    conditions = kept
    return demoted
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
