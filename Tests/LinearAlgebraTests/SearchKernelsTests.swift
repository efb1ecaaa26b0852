import LinearAlgebra
import Primitives
import Testing

// 1. Every level gives what a plain loop gives: bits, distances, selections, text.
// 2. Float products are within rounding of a plain loop, the same gathered or not, and the same bits
//    with AVX2 and AVX-512.
// 3. Ties go to the lower row; what a bitset forbids is as if it were not there.
@Suite("the search kernels equal plain loops at every level")
struct SearchKernelsTests {
  static let counts = [0, 1, 63, 64, 65, 1000]
  static let dimensions = [1, 64, 100, 384]

  /// Runs the body at each level that this processor has, then lifts the limit again.
  private func atEachLevel(_ body: (SearchKernels.Level) throws -> Void) rethrows {
    defer { SearchKernels.limit(.avx512) }
    for level in SearchKernels.Level.allCases {
      SearchKernels.limit(level)
      if SearchKernels.level == level { try body(level) }
    }
  }

  private func floats(_ count: Int, _ random: inout SplitMix64) -> [Float] {
    (0..<count).map { _ in Float.random(in: -1...1, using: &random) }
  }

  private func signBits(_ rows: [Float], _ count: Int, _ dimension: Int) -> [UInt64] {
    var bits = [UInt64](
      repeating: 7, count: count * SearchKernels.wordCount(dimension: dimension))
    SearchKernels.signBits(rows, count: count, dimension: dimension, into: &bits)
    return bits
  }

  @Test("a sign bit is set where the component is above zero", arguments: counts)
  func signs(count: Int) {
    var random = SplitMix64(seed: UInt64(count))
    for dimension in Self.dimensions {
      var rows = floats(count * dimension, &random)
      for index in stride(from: 0, to: rows.count, by: 7) { rows[index] = 0 }
      let words = SearchKernels.wordCount(dimension: dimension)
      var expected = [UInt64](repeating: 0, count: count * words)
      for index in rows.indices where rows[index] > 0 {
        let (row, column) = index.quotientAndRemainder(dividingBy: dimension)
        expected[row * words + column / 64] |= 1 << UInt64(column % 64)
      }
      atEachLevel { level in
        #expect(signBits(rows, count, dimension) == expected, "\(level), \(dimension)")
      }
    }
  }

  @Test("distances weigh the differing bits of each plane", arguments: counts)
  func distances(count: Int) {
    var random = SplitMix64(seed: 100 + UInt64(count))
    for dimension in Self.dimensions {
      let words = SearchKernels.wordCount(dimension: dimension)
      let rows = signBits(floats(count * dimension, &random), count, dimension)
      let query = floats(dimension, &random)
      for planeCount in 1...SearchKernels.planeCountMax {
        var planes = [UInt64](repeating: 7, count: planeCount * words)
        SearchKernels.planes(
          of: query, dimension: dimension, planeCount: planeCount, into: &planes)
        let expected: [UInt16] = (0..<count).map { row in
          var sum = 0
          for plane in 0..<planeCount {
            for word in 0..<words {
              let differing = planes[plane * words + word] ^ rows[row * words + word]
              sum += differing.nonzeroBitCount << plane
            }
          }
          return UInt16(sum)
        }
        atEachLevel { level in
          var found = [UInt16](repeating: 7, count: count)
          SearchKernels.hamming(
            planes: planes, planeCount: planeCount, rows: rows, wordCount: words, count: count,
            into: &found)
          #expect(found == expected, "\(level), \(dimension), \(planeCount) planes")
        }
      }
    }
  }

  @Test("planes keep the order of a query's components, and one plane its signs")
  func planes() {
    var random = SplitMix64(seed: 5)
    let query = floats(384, &random)
    for planeCount in 1...4 {
      var planes = [UInt64](repeating: 0, count: planeCount * 6)
      SearchKernels.planes(of: query, dimension: 384, planeCount: planeCount, into: &planes)
      let steps = query.indices.map { index in
        (0..<planeCount).reduce(0) { sum, plane in
          sum + Int(planes[plane * 6 + index / 64] >> UInt64(index % 64) & 1) << plane
        }
      }
      let order = query.indices.sorted { query[$0] < query[$1] }
      for (low, high) in zip(order, order.dropFirst()) { #expect(steps[low] <= steps[high]) }
      #expect(Set(steps).isSubset(of: 0..<(1 << planeCount)))
      #expect(Set(steps).count > 1 << (planeCount - 1))
      if planeCount == 1 { #expect(steps == query.map { $0 > 0 ? 1 : 0 }) }
    }
  }

  @Test("selection takes the nearest allowed rows, ties by row", arguments: counts + [70_001])
  func selection(count: Int) {
    var random = SplitMix64(seed: 200 + UInt64(count))
    for range: UInt16 in [1, 5, 400, 5760, 65_535] {
      let distances = (0..<count).map { _ in UInt16.random(in: 0...range, using: &random) }
      let mask = (0..<(count + 63) / 64).map { _ in random.next() & random.next() }
      for isFiltered in [false, true] {
        let rows = (0..<count).filter {
          !isFiltered || mask[$0 / 64] >> UInt64($0 % 64) & 1 == 1
        }
        let nearest = rows.sorted {
          (min(distances[$0], SearchKernels.distanceMax), $0)
            < (min(distances[$1], SearchKernels.distanceMax), $1)
        }
        for wanted in [0, 1, 10, 600, 100_000] {
          let expected = nearest.prefix(wanted).sorted().map { UInt32($0) }
          atEachLevel { level in
            var out = [UInt32](repeating: .max, count: min(wanted, count))
            let found = mask.withUnsafeBufferPointer {
              SearchKernels.select(
                distances, allowed: isFiltered ? $0.baseAddress : nil, count: count,
                wanted: wanted, into: &out)
            }
            // An empty bitset has no address, and then allows every one of no rows.
            #expect(Array(out.prefix(found)) == expected, "\(level), \(range), \(wanted)")
          }
        }
      }
    }
  }

  @Test("the best values come with ties by position", arguments: counts)
  func best(count: Int) {
    var random = SplitMix64(seed: 300 + UInt64(count))
    let values = (0..<count).map { _ in Float(Int.random(in: -20...20, using: &random)) / 3 }
    let order = values.indices.sorted { (-values[$0], $0) < (-values[$1], $1) }
    for wanted in [0, 1, 10, 64, 2000] {
      let expected = order.prefix(wanted).sorted().map { UInt32($0) }
      atEachLevel { level in
        var out = [UInt32](repeating: .max, count: min(wanted, count))
        let found = SearchKernels.best(values, count: count, wanted: wanted, into: &out)
        #expect(Array(out.prefix(found)) == expected, "\(level), \(wanted)")
      }
    }
  }

  @Test("float products are exact within rounding and the same gathered or not", arguments: counts)
  func products(count: Int) {
    var random = SplitMix64(seed: 400 + UInt64(count))
    for dimension in Self.dimensions {
      let rows = floats(count * dimension, &random)
      let query = floats(dimension, &random)
      let indexes = (0..<count).map { _ in UInt32.random(in: 0..<UInt32(count), using: &random) }
      var fused: [[Float]] = []
      atEachLevel { level in
        var all = [Float](repeating: .nan, count: count)
        var gathered = all
        SearchKernels.dot(
          query, rows: rows, indexes: nil, count: count, dimension: dimension, into: &all)
        SearchKernels.dot(
          query, rows: rows, indexes: indexes, count: count, dimension: dimension, into: &gathered)
        for row in 0..<count {
          let exact = (0..<dimension).reduce(0.0) {
            $0 + Double(query[$1]) * Double(rows[row * dimension + $1])
          }
          #expect(abs(Double(all[row]) - exact) < 1e-4, "\(level), \(dimension), row \(row)")
        }
        #expect(gathered == indexes.map { all[Int($0)] }, "\(level), \(dimension)")
        if level != .portable { fused.append(all) }
      }
      #expect(Set(fused).count <= 1, "AVX2 and AVX-512 differ in \(dimension)")
    }
  }
}
