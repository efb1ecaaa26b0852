/// Finds what a search with few hits may let go of.
///
/// A row is kept out by the conditions that are not true for it. So the smallest sets to drop are the smallest
/// sets of such conditions over the rows of the services that are not found: read off in one pass, with no
/// trial of subsets.
struct Relaxing {
  let snapshot: Snapshot
  let conditions: ConditionSets
  /// Services that the words find, by segment.
  let relevant: [Bitset]
  /// Rows for which every condition is true.
  let rows: [Bitset]
  /// The services of those rows.
  let found: [Bitset]

  /// Smallest sets of conditions; the services that are found without them, beside those that are found.
  private typealias Drop = (places: [Int], gain: Int)

  /// The conditions that were not applied, each with what is found; then, at few hits, the smallest sets
  /// whose removal finds something more, the most first.
  ///
  /// - Parameter demoted: Conditions of the query that were not applied since they leave nothing.
  func relaxations(demoted: [ConditionSets.Part]) -> [Relaxation] {
    let total = found.reduce(0) { $0 + $1.population }
    var all = demoted.map { part in
      Relaxation(
        dropped: [part.label], keys: [part.expression.canonical], total: total,
        loosened: loosened(part, over: rows, base: 0))
    }
    if total < Relaxation.hitCount, !conditions.parts.isEmpty { all += drops(total) }
    return Array(all.prefix(Relaxation.countMax))
  }

  private func drops(_ total: Int) -> [Relaxation] {
    let missing = zip(relevant, found).map { relevant, found in
      var services = relevant
      services.subtract(found)
      return services
    }
    let candidates = zip(snapshot.segments, missing).map {
      FilterEvaluator(segment: $0).rows(of: $1)
    }
    let alone = keptOutByOne(candidates)
    let singles = conditions.parts.indices.map { place in
      (places: [place], gain: services(of: rows(alone, keptOutBy: place)))
    }
    .filter { $0.gain > 0 }
    let drops = singles.isEmpty ? larger(candidates) : singles
    let sorted = drops.map { ($0, labels: $0.places.map { conditions.parts[$0].label }) }
      .sorted { left, right in
        let (one, other) = (left.labels.joined(), right.labels.joined())
        if left.0.gain != right.0.gain { return left.0.gain > right.0.gain }
        return one == other ? left.0.places.lexicographicallyPrecedes(right.0.places) : one < other
      }
    return sorted.prefix(Relaxation.countMax).map { drop, labels in
      let parts = drop.places.map { conditions.parts[$0] }
      let one = parts.count == 1 ? parts.first : nil
      return Relaxation(
        dropped: labels, keys: parts.map(\.expression.canonical), total: total + drop.gain,
        loosened: one.flatMap {
          loosened($0, over: rows(alone, keptOutBy: drop.places[0]), base: total)
        })
    }
  }

  /// The candidates for which one condition is not true, and all others are.
  private func keptOutByOne(_ candidates: [Bitset]) -> [Bitset] {
    snapshot.segments.indices.map { number in
      let count = candidates[number].count
      var (once, twice) = (Bitset(count: count), Bitset(count: count))
      for part in conditions.parts {
        var fails = candidates[number]
        fails.subtract(part.rows[number])
        twice.formUnion(once.intersection(fails))
        once.formUnion(fails)
      }
      once.subtract(twice)
      return once
    }
  }

  private func rows(_ alone: [Bitset], keptOutBy place: Int) -> [Bitset] {
    zip(alone, conditions.parts[place].rows).map { alone, holds in
      var rows = alone
      rows.subtract(holds)
      return rows
    }
  }

  private func services(of rows: [Bitset]) -> Int {
    zip(snapshot.segments, rows).reduce(0) {
      $0 + FilterEvaluator(segment: $1.0).services(of: $1.1).population
    }
  }

  /// The smallest sets where none of one condition gains anything.
  /// - Complexity: Rows x conditions; of most rows only as many conditions as the smallest set has.
  private func larger(_ candidates: [Bitset]) -> [Drop] {
    var gains: [[Int]: (count: Int, last: Place)] = [:]
    var least = conditions.parts.count
    var failed: [Int] = []
    for (number, segment) in snapshot.segments.enumerated() {
      let holds = conditions.parts.map { $0.rows[number] }
      candidates[number].forEach { row in
        failed.removeAll(keepingCapacity: true)
        for (place, rows) in holds.enumerated() where !rows[row] {
          if failed.count == least { return }
          failed.append(place)
        }
        if failed.count < least {
          least = failed.count
          gains.removeAll()
        }
        // Rows of one service stand together: a set is counted once for it.
        let service = Place(segment: number, index: Int(segment.rowService[row]))
        let known = gains[failed]
        if known?.last != service { gains[failed] = ((known?.count ?? 0) + 1, service) }
      }
    }
    return gains.map { ($0.key, $0.value.count) }
  }
}

// MARK: - Bounds

extension Relaxing {
  /// A comparison whose bound is moved to the nearest value beyond it.
  ///
  /// - Parameters:
  ///   - rows: Rows for which all other conditions are true and this one is not.
  ///   - base: How many services are found with the bound as it is.
  private func loosened(
    _ part: ConditionSets.Part, over rows: [Bitset], base: Int
  ) -> Relaxation.Loosened? {
    guard let bound = Loosening(part.expression) else { return nil }
    var nearest = bound.nearest
    for (segment, rows) in zip(snapshot.segments, rows) {
      guard let column = segment.column(bound.field) else { continue }
      rows.forEach { row in
        guard let value = column.number(row), column.unit(row) == bound.unit else { return }
        nearest.take(value)
      }
    }
    guard let (expression, label) = bound.moved(to: nearest),
      let filter = filter(with: expression, inPlaceOf: part)
    else { return nil }
    let passing = zip(snapshot.segments, rows).map { segment, rows in
      rows.intersection(FilterEvaluator(segment: segment).truth(expression).yes)
    }
    return Relaxation.Loosened(
      expression: expression, label: label, filter: filter, total: base + services(of: passing))
  }

  /// The whole filter with one condition in the place of another; nil where it would be no valid filter.
  private func filter(
    with expression: FilterExpression, inPlaceOf part: ConditionSets.Part
  ) -> String? {
    var written = conditions.parts.filter { $0.source == .filter }
      .map { $0.number == part.number ? expression : $0.expression }
    if part.source != .filter { written.append(expression) }
    // A written condition displaces those of the query on the same subject: these are written beside it.
    var spoken = conditions.parts.filter { $0.source == .query && $0.number != part.number }
    var subjects = written.reduce(into: Set<String>()) { $0.formUnion($1.subjects) }
    while let next = spoken.firstIndex(where: { !$0.expression.subjects.isDisjoint(with: subjects) }
    ) {
      let displaced = spoken.remove(at: next).expression
      written.append(displaced)
      subjects.formUnion(displaced.subjects)
    }
    let text = (written.count == 1 ? written[0] : .and(written)).canonical
    return (try? FilterParser.parse(text)).flatMap { $0 }?.canonical
  }
}
