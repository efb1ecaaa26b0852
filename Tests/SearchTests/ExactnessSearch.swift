import Catalog
import Search

/// What a search must answer, by brute force over the facts. Only the set of services that match the
/// words is given to it; filters, counts and what to drop are its own.
struct ReferenceSearch {
  /// A condition of the search, with its truth for each row.
  struct Part {
    let condition: Condition
    /// The canonical text: the same condition said twice is one.
    let canonical: String
    let label: String
    let isSpoken: Bool
    let truth: [Bool?]
  }

  struct Drop: Equatable {
    let dropped: [String]
    let total: Int
    /// The condition with its bound moved, and its total.
    let loosened: String?

    init(dropped: [String], total: Int, loosened: String?) {
      self.dropped = dropped
      self.total = total
      self.loosened = loosened
    }

    init(_ relaxation: Relaxation) {
      dropped = relaxation.dropped
      total = relaxation.total
      loosened = relaxation.loosened.map { "\($0.expression.range): \($0.total)" }
    }
  }

  let facts: FactTable
  /// Whether each service matches the words.
  let base: [Bool]
  private(set) var parts: [Part]
  /// Labels of spoken conditions that are not applied, since nothing would be left.
  var unapplied: [String] { demoted.map(\.label) }
  private var demoted: [Part] = []

  init(_ facts: FactTable, base: [Bool], parts all: [Part]) {
    self.facts = facts
    self.base = base
    parts = []
    for part in all where !parts.contains(where: { $0.canonical == part.canonical }) {
      parts.append(part)
    }
    demote()
  }

  /// Spoken conditions give way where they leave nothing: they are tried again one by one.
  private mutating func demote() {
    let explicit = parts.filter { !$0.isSpoken }
    guard explicit.count < parts.count, total(of: parts) == 0, total(of: explicit) > 0 else {
      return
    }
    var kept = explicit
    for part in parts where part.isSpoken {
      if total(of: kept + [part]) > 0 { kept.append(part) } else { demoted.append(part) }
    }
    parts = kept
  }

  /// Whether every condition is true for a row.
  func passes(_ row: Int, _ parts: [Part]) -> Bool { parts.allSatisfy { $0.truth[row] == true } }

  /// The matching rows of each service that has one, in order of service.
  func groups(_ parts: [Part]) -> [(service: Int, rows: [Int])] {
    facts.rowsOfService.enumerated().compactMap { service, range in
      guard base[service] else { return nil }
      let rows = range.filter { passes($0, parts) }
      return rows.isEmpty ? nil : (service, rows)
    }
  }

  func total(of parts: [Part]) -> Int {
    zip(base, facts.rowsOfService).count { isIn, range in
      isIn && range.contains { passes($0, parts) }
    }
  }

  var ids: [String] { groups(parts).map { facts.services[$0.service].id } }

  /// Spoken conditions that gave way, each with what is left; then, at fewer than three hits, the fewest
  /// conditions whose removal finds something more: every set of that size, the most first. At most five.
  var drops: [Drop] {
    let left = total(of: parts)
    let spoken = demoted.map { part in
      Drop(
        dropped: [part.label], total: left,
        loosened: loosened(part.condition, others: parts, base: 0))
    }
    guard left < 3, !parts.isEmpty else { return Array(spoken.prefix(5)) }
    for size in 1...parts.count {
      let found = (0..<(1 << parts.count)).filter { $0.nonzeroBitCount == size }
        .map { mask in drop(mask, base: left) }.filter { $0.total > left }
      guard !found.isEmpty else { continue }
      let sorted = found.sorted { left, right in
        left.total == right.total
          ? left.dropped.joined() < right.dropped.joined() : left.total > right.total
      }
      return Array((spoken + sorted).prefix(5))
    }
    return Array(spoken.prefix(5))
  }

  private func drop(_ mask: Int, base: Int) -> Drop {
    let dropped = parts.indices.filter { mask >> $0 & 1 == 1 }.map { parts[$0] }
    let kept = parts.indices.filter { mask >> $0 & 1 == 0 }.map { parts[$0] }
    return Drop(
      dropped: dropped.map(\.label), total: total(of: kept),
      loosened: dropped.count == 1
        ? loosened(dropped[0].condition, others: kept, base: base) : nil)
  }

  /// Every value of the field is tried as the bound, the nearest first.
  private func loosened(_ condition: Condition, others: [Part], base: Int) -> String? {
    guard let range = NumberRange(condition) else { return nil }
    let figures = facts.figures(range)
    for wider in range.wider(figures) {
      let truth = figures.map { $0.map(wider.contains) }
      let part = Part(
        condition: condition, canonical: "", label: "", isSpoken: false, truth: truth)
      let total = total(of: others + [part])
      if total > base { return wider.isSayable ? "\(wider.text): \(total)" : nil }
    }
    return nil
  }
}

extension ReferenceSearch {
  /// What is wrong with the counts of a facet: a group is counted without its own conditions.
  func faults(of facet: FacetCounts, limit: Int) -> [String] {
    let field = facet.field
    let own = parts.filter { $0.condition.fields == [field] }
    let groups = groups(parts.filter { $0.condition.fields != [field] })
    let faults =
      facts.numbers[field] != nil || facts.prices[field] != nil
      ? numberFaults(facet, groups.map(\.rows))
      : wordFaults(facet, groups.map(\.rows), own.flatMap(\.condition.chosenWords), limit)
    return faults.map { "facet \(field): " + $0 }
  }

  private func wordFaults(
    _ facet: FacetCounts, _ groups: [[Int]], _ chosen: [String], _ limit: Int
  ) -> [String] {
    var counts: [String: Int] = [:]
    var unknown = 0
    for rows in groups {
      let words = Set(rows.flatMap { shown(facet.field, $0) })
      for word in words { counts[word, default: 0] += 1 }
      if words.isEmpty, !rows.contains(where: { isKnown(facet.field, $0) }) { unknown += 1 }
    }
    let selected = Set(chosen.map { $0.lowercased() })
    for word in selected where counts[word] == nil { counts[word] = 0 }
    let sorted = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    var expected: [String] = []
    var other = 0
    for (place, item) in sorted.enumerated() {
      if place < limit || selected.contains(item.key) {
        expected.append("\(item.key) \(item.value) \(selected.contains(item.key))")
      } else {
        other += item.value
      }
    }
    let given = facet.entries.map { "\($0.value.lowercased()) \($0.count) \($0.isSelected)" }
    var faults: [String] = []
    if given != expected { faults.append("\(given), expected \(expected)") }
    if facet.otherCount != other { faults.append("other \(facet.otherCount), expected \(other)") }
    if facet.unknownCount != unknown {
      faults.append("unknown \(facet.unknownCount), expected \(unknown)")
    }
    // One value a service: then the parts add up to all of them.
    let sum = facet.entries.reduce(0) { $0 + $1.count } + facet.otherCount + facet.unknownCount
    if RandomRequests.single.contains(facet.field), sum != groups.count {
      faults.append("adds up to \(sum) of \(groups.count)")
    }
    return faults
  }

  /// The words of a row in lower case; of flags the names that are true.
  private func shown(_ field: String, _ row: Int) -> [String] {
    if let column = facts.flags[field] {
      return (column[row] ?? [:]).filter(\.value).map(\.key)
    }
    return facts.folded[field]?[row] ?? []
  }

  private func isKnown(_ field: String, _ row: Int) -> Bool {
    facts.flags[field]?[row] != nil || facts.folded[field]?[row] != nil
  }

  /// A service's number is the least of its matching offers; only dollars stand on the scale.
  private func numberFaults(_ facet: FacetCounts, _ groups: [[Int]]) -> [String] {
    let values = groups.compactMap { rows in
      rows.compactMap { number(facet.field, $0) }.min()
    }
    var faults: [String] = []
    if facet.unknownCount != groups.count - values.count {
      faults.append("unknown \(facet.unknownCount), expected \(groups.count - values.count)")
    }
    guard let low = values.min(), let high = values.max() else {
      let isEmpty = facet.statistics == nil && facet.buckets.isEmpty
      return isEmpty ? faults : faults + ["figures of nothing"]
    }
    let average = values.reduce(0, +) / Double(values.count)
    if let given = facet.statistics, given.min == low, given.max == high,
      abs(given.average - average) <= 1e-9 * max(1, abs(average))
    {
      return faults + bucketFaults(facet.buckets, values, low, high)
    }
    let given = facet.statistics.map { "\($0)" } ?? "none"
    return faults + ["\(given), expected \(low) to \(high), on average \(average)"]
  }

  private func number(_ field: String, _ row: Int) -> Double? {
    if let column = facts.numbers[field] { return column[row] }
    guard let amount = facts.prices[field]?[row], amount.currency == "USD" else { return nil }
    return amount.value
  }

  /// The buckets lie end to end from the least to the most; each counts what lies in it, the last
  /// with its end.
  private func bucketFaults(
    _ buckets: [FacetCounts.Bucket], _ values: [Double], _ low: Double, _ high: Double
  ) -> [String] {
    var faults: [String] = []
    if buckets.first?.from != low || buckets.last?.to != high {
      faults.append("buckets fall short")
    }
    if zip(buckets, buckets.dropFirst()).contains(where: { $0.to != $1.from }) {
      faults.append("buckets leave gaps")
    }
    if buckets.contains(where: { $0.from > $0.to }) { faults.append("a bucket runs backwards") }
    for (place, bucket) in buckets.enumerated() {
      let isLast = place == buckets.count - 1
      let count = values.count { value in
        bucket.from <= value && (isLast ? value <= bucket.to : value < bucket.to)
      }
      if count != bucket.count {
        faults.append("\(bucket.from) to \(bucket.to) has \(bucket.count), expected \(count)")
      }
    }
    return faults
  }
}
