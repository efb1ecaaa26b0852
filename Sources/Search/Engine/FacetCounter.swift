/// Counts facets over exactly the result set; a group's own conditions are left out by the caller.
struct FacetCounter {
  let snapshot: Snapshot
  let field: IndexField
  let limit: Int

  /// - Parameters:
  ///   - rows: Rows (offers) that match, by segment.
  ///   - selected: The words that the group's own filter names.
  func count(rows: [Bitset], selected: [String]) -> FacetCounts {
    switch field.kind {
    case .words, .flags: words(rows, selected)
    case .number, .price, .date: numbers(rows)
    }
  }

  private func words(_ rows: [Bitset], _ selected: [String]) -> FacetCounts {
    var counts: [String: (word: String, count: Int)] = [:]
    var unknown = 0
    for (number, segment) in snapshot.segments.enumerated() {
      guard let column = segment.columns[field.name],
        case .words(let starts, let codes, _, _) = column.values
      else { continue }
      var perCode = [Int](repeating: 0, count: column.dictionary.count)
      forEachService(segment, rows[number]) { rows in
        var seen: [Int32] = []
        for row in rows {
          for code in codes[Int(starts[row])..<Int(starts[row + 1])] where !seen.contains(code) {
            seen.append(code)
            perCode[Int(code)] += 1
          }
        }
        if seen.isEmpty, !rows.contains(where: { column.known[$0] }) { unknown += 1 }
      }
      for (code, count) in perCode.enumerated() where count > 0 {
        let word = column.dictionary[code]
        counts[word.lowercased(), default: (word, 0)].count += count
      }
    }
    // A selected value is always shown, with 0 too.
    for word in selected where counts[word.lowercased()] == nil {
      counts[word.lowercased()] = (word, 0)
    }
    let chosen = Set(selected.map { $0.lowercased() })
    let sorted = counts.sorted { ($1.value.count, $0.key) < ($0.value.count, $1.key) }
    var facet = FacetCounts(field: field.name)
    facet.unknownCount = unknown
    for (index, item) in sorted.enumerated() {
      if index < limit || chosen.contains(item.key) {
        facet.entries.append(
          .init(
            value: item.value.word, count: item.value.count, isSelected: chosen.contains(item.key)))
      } else {
        facet.otherCount += item.value.count
      }
    }
    return facet
  }

  /// A service's number is the least of its matching offers: what "from" means in a price list.
  private func numbers(_ rows: [Bitset]) -> FacetCounts {
    var values: [Double] = []
    var unknown = 0
    for (number, segment) in snapshot.segments.enumerated() {
      guard let column = segment.columns[field.name],
        case .numbers(let numbers, let units) = column.values
      else { continue }
      forEachService(segment, rows[number]) { rows in
        // Another currency than the first of the list has no place on the same scale.
        let known = rows.filter { !numbers[$0].isNaN && units[$0] <= 0 }.map { numbers[$0] }
        if let least = known.min() { values.append(least) } else { unknown += 1 }
      }
    }
    var facet = FacetCounts(field: field.name)
    facet.unknownCount = unknown
    guard let low = values.min(), let high = values.max() else { return facet }
    facet.statistics = .init(
      min: low, max: high, average: values.reduce(0, +) / Double(values.count))
    facet.buckets = Histogram.buckets(
      values, low: low, high: high, isLogarithmic: field.kind == .price)
    return facet
  }

  /// Calls the body with the matching rows of each service that has one.
  private func forEachService(_ segment: Segment, _ rows: Bitset, _ body: ([Int]) -> Void) {
    var current = -1
    var group: [Int] = []
    rows.forEach { row in
      let service = Int(segment.rowService[row])
      if service != current {
        if !group.isEmpty { body(group) }
        group = []
        current = service
      }
      group.append(row)
    }
    if !group.isEmpty { body(group) }
  }
}

/// Ranges of numbers with counts.
enum Histogram {
  static let bucketCount = 12

  /// Buckets that cover every value: the last one includes its end, the others do not.
  static func buckets(
    _ values: [Double], low: Double, high: Double, isLogarithmic: Bool
  ) -> [FacetCounts.Bucket] {
    guard high > low else { return [.init(from: low, to: high, count: values.count)] }
    var edges: [Double]
    if isLogarithmic {
      // Decades of thirds from the least price above zero; free ones lie in the first bucket.
      let least = max(values.filter { $0 > 0 }.min() ?? 1, 1)
      let step = max(pow10(log10(high / least) / Double(bucketCount)), 1.000_001)
      edges = (0...bucketCount).map { (least * power(step, $0)).rounded() }
      edges[0] = low
    } else {
      let step = (high - low) / Double(bucketCount)
      edges = (0...bucketCount).map { low + step * Double($0) }
    }
    edges[bucketCount] = high
    var counts = [Int](repeating: 0, count: bucketCount)
    for value in values {
      let place = edges.dropFirst().firstIndex { value < $0 } ?? bucketCount
      counts[min(place - 1, bucketCount - 1)] += 1
    }
    return (0..<bucketCount).map { .init(from: edges[$0], to: edges[$0 + 1], count: counts[$0]) }
  }

  private static func power(_ base: Double, _ exponent: Int) -> Double {
    (0..<exponent).reduce(1) { product, _ in product * base }
  }
}
