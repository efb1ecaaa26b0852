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

  /// Services that have a value in none of the rows.
  private func unknownCount(_ rows: [Bitset]) -> Int {
    var count = 0
    for (number, segment) in snapshot.segments.enumerated() {
      let evaluator = FilterEvaluator(segment: segment)
      count += evaluator.services(of: rows[number]).population
      if let column = segment.column(field.name) {
        let known = rows[number].intersection(column.known)
        count -= evaluator.services(of: known).population
      }
    }
    return count
  }

  private func words(_ rows: [Bitset], _ selected: [String]) -> FacetCounts {
    let chosen = Set(selected.map { $0.lowercased() })
    var entries: [String: FacetCounts.Entry] = [:]
    var total = 0
    func add(_ word: String, _ count: Int) {
      let key = word.lowercased()
      let before = entries[key]
      entries[key] = .init(
        value: before?.value ?? word, count: (before?.count ?? 0) + count,
        isSelected: chosen.contains(key))
    }
    let holders = snapshot.segments.indices
      .compactMap { number -> (number: Int, column: Column)? in
        guard !rows[number].isEmpty else { return nil }
        return snapshot.segments[number].column(field.name).map { (number, $0) }
      }
      .sorted { $0.column.wordCount > $1.column.wordCount }
    if let (number, column) = holders.first {
      // Counts of the other segments join the largest one's, so that only what is shown becomes text.
      var counts = perCode(column, snapshot.segments[number], rows[number])
      for (number, other) in holders.dropFirst() {
        for (code, count) in perCode(other, snapshot.segments[number], rows[number]).enumerated()
        where count > 0 {
          total += count
          let word = other.word(code)
          if let same = column.code(of: word) {
            counts[Int(same)] += count
            total -= count
          } else {
            add(word, count)
          }
        }
      }
      total += counts.reduce(0, +)
      for code in best(column, counts, chosen) { add(column.word(code), counts[code]) }
    }
    // A selected value is always shown, with 0 too.
    for word in selected where entries[word.lowercased()] == nil { add(word, 0) }
    let sorted = entries.sorted { ($1.value.count, $0.key) < ($0.value.count, $1.key) }
    var facet = FacetCounts(field: field.name)
    facet.unknownCount = unknownCount(rows)
    facet.entries = sorted.enumerated().filter { $0.offset < limit || $0.element.value.isSelected }
      .map(\.element.value)
    facet.otherCount = total - facet.entries.reduce(0) { $0 + $1.count }
    return facet
  }

  /// How many services of the rows have each word.
  private func perCode(_ column: Column, _ segment: Segment, _ rows: Bitset) -> [Int] {
    guard case .words(let starts, let codes, _, _) = column.values else { return [] }
    var counts = [Int](repeating: 0, count: column.wordCount)
    // Several offers of a service may have a word; it counts once.
    var lastService = [Int32](repeating: -1, count: column.wordCount)
    counts.withUnsafeMutableBufferPointer { counts in
      lastService.withUnsafeMutableBufferPointer { lastService in
        rows.forEach { row in
          let service = segment.rowService[row]
          for place in Int(starts[row])..<Int(starts[row + 1]) {
            let code = Int(codes[place])
            if lastService[code] != service {
              lastService[code] = service
              counts[code] += 1
            }
          }
        }
      }
    }
    return counts
  }

  /// The codes of the words that will be shown: the most frequent, ties in order of the folded word.
  private func best(_ column: Column, _ counts: [Int], _ chosen: Set<String>) -> [Int] {
    let used = counts.indices.filter { counts[$0] > 0 }
    guard used.count > limit, let order = column.foldedCodes else { return used }
    let bound = used.map { counts[$0] }.sorted(by: >)[max(limit, 1) - 1]
    var codes = used.filter { counts[$0] > bound }
    for code in order.buffer where codes.count < limit && counts[Int(code)] == bound {
      codes.append(Int(code))
    }
    for word in chosen {
      if let code = column.code(of: word), !codes.contains(Int(code)) { codes.append(Int(code)) }
    }
    return codes
  }

  /// A service's number is the least of its matching offers: what "from" means in a price list.
  private func numbers(_ rows: [Bitset]) -> FacetCounts {
    var values: [Double] = []
    for (number, segment) in snapshot.segments.enumerated() {
      guard let column = segment.column(field.name),
        case .numbers(let numbers, let units) = column.values
      else { continue }
      var current: Int32 = -1
      rows[number].intersection(column.known).forEach { row in
        // Another currency than the first of the list has no place on the same scale.
        guard units[row] <= 0 else { return }
        let service = segment.rowService[row]
        if service != current {
          current = service
          values.append(numbers[row])
        } else if let last = values.indices.last {
          values[last] = min(values[last], numbers[row])
        }
      }
    }
    var facet = FacetCounts(field: field.name)
    let services = snapshot.segments.indices.reduce(0) { count, number in
      count
        + FilterEvaluator(segment: snapshot.segments[number]).services(of: rows[number]).population
    }
    facet.unknownCount = services - values.count
    guard let low = values.min(), let high = values.max() else { return facet }
    facet.statistics = .init(
      min: low, max: high, average: values.reduce(0, +) / Double(values.count))
    if field.kind == .price { facet.ranges = PriceRanges.ranges(values) }
    facet.buckets = Histogram.buckets(
      values, low: low, high: high, isLogarithmic: field.kind == .price)
    return facet
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
    // Rounding must not carry an edge past the ends.
    edges = edges.map { min(max($0, low), high) }
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
