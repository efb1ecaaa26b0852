import Foundation
import LinearAlgebra
import Primitives
import Testing

/// Every kernel at every level that this processor has, against plain loops in double precision:
///
/// 1. a product is the sum, its bias, and what the epilogue adds, at any number of rows;
/// 2. int16 sums do not overflow where every product is the largest and of one sign;
/// 3. GELU is off by a millionth at most;
/// 4. attention is softmax(query * key / sqrt(32)) * value within one text, at any length;
/// 5. a row's result does not depend on the rows beside it, to the bit.
@Suite("the fast kernels compute what plain loops do")
struct KernelTests {
  private typealias Product = PackedProduct

  /// What one product is made of.
  private struct Case {
    let n, k, rows: Int
    var weights, bias, input, residual: [Float]

    init(n: Int, k: Int, rows: Int, _ value: (Int) -> Float) {
      (self.n, self.k, self.rows) = (n, k, rows)
      weights = (0..<n * k).map(value)
      bias = (0..<n).map(value)
      input = (0..<rows * k).map(value)
      residual = (0..<rows * n).map(value)
    }

    func computed(
      _ epilogue: Product.Epilogue, _ format: Product.Format, _ instructions: InstructionSet,
      rows: Range<Int>
    ) -> [Float] {
      let arena = WeightArena(byteCount: Product.byteCount(n: n, k: k, format: format))
      var output = [Float](repeating: .nan, count: rows.count * n)
      var quantised = [Int16](repeating: 0, count: rows.count * k)
      var scales = [Float](repeating: 0, count: rows.count)
      weights.withUnsafeBufferPointer { weights in
        bias.withUnsafeBufferPointer { bias in
          guard let weights = weights.baseAddress, let bias = bias.baseAddress else { return }
          // Two parts where the panels allow it: query, key and value are packed so.
          let half = n / 2
          let parts =
            n % 64 == 0
            ? [(weights, bias), (weights + half * k, bias + half)] : [(weights, bias)]
          let product = Product(
            parts.map { (weights: $0.0, bias: $0.1) }, n: n, k: k, epilogue: epilogue,
            format: format, instructions: instructions, arena: arena)
          let rest = Array(residual[rows.lowerBound * n..<rows.upperBound * n])
          rest.withUnsafeBufferPointer { rest in
            product.apply(
              Array(input[rows.lowerBound * k..<rows.upperBound * k]), rows: rows.count,
              residual: epilogue == .biasResidual ? rest.baseAddress : nil, output: &output,
              quantised: &quantised, scales: &scales)
          }
        }
      }
      return output
    }

    func expected(_ epilogue: Product.Epilogue) -> [Double] {
      (0..<rows * n).map { place in
        let (row, column) = (place / n, place % n)
        var sum = Double(bias[column])
        for i in 0..<k { sum += Double(input[row * k + i]) * Double(weights[column * k + i]) }
        switch epilogue {
        case .bias: return sum
        case .biasGELU: return gelu(sum)
        case .biasResidual: return sum + Double(residual[place])
        }
      }
    }
  }

  @Test("a product equals a plain loop", arguments: 0..<16 as Range<UInt64>)
  func products(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let n = 32 * Int.random(in: 1...5, using: &random)
    let k = seed % 4 == 0 ? 1_536 : 16 * Int.random(in: 1...26, using: &random)
    let rows = seed % 4 == 1 ? Int(seed) : Int.random(in: 1...45, using: &random)
    let given = Case(n: n, k: k, rows: rows) { _ in Float.random(in: -1...1, using: &random) }
    for epilogue in [Product.Epilogue.bias, .biasGELU, .biasResidual] {
      let expected = given.expected(epilogue)
      for set in InstructionSet.available {
        let float = given.computed(epilogue, .float, set, rows: 0..<rows)
        // The rounding of a long fp32 sum grows with its length, and so does that of the integers.
        let root = Double(k).squareRoot()
        #expect(worst(float, expected) < 4e-6 * root, "\(set), float, [\(rows) x \(k)] to \(n)")
        let int16 = given.computed(epilogue, .int16, set, rows: 0..<rows)
        #expect(worst(int16, expected) < 0.002 * root, "\(set), int16, [\(rows) x \(k)] to \(n)")
      }
    }
  }

  @Test(
    "sums of largest products of one sign do not overflow",
    arguments: [(16, 1), (384, 1), (512, -1), (528, 1), (1_536, 1), (1_536, -1), (1_552, 1)])
  func overflow(k: Int, sign: Float) {
    let given = Case(n: 32, k: k, rows: 3) { _ in 1 }
    var turned = given
    turned.weights = given.weights.map { $0 * sign }
    let expected = turned.expected(.bias)
    for set in InstructionSet.available {
      let output = turned.computed(.bias, .int16, set, rows: 0..<3)
      #expect(worst(output, expected) < Double(k) * 0.003, "\(set), \(k)")
    }
  }

  @Test("GELU is off by a millionth at most, of its argument where that is more than one")
  func activation() {
    let values = stride(from: Float(-30), through: 30, by: 0.003).map { $0 }
    var given = Case(n: 32, k: 16, rows: values.count) { _ in 0 }
    for column in 0..<32 { given.weights[column * 16] = 1 }
    for (row, value) in values.enumerated() { given.input[row * 16] = value }
    for set in InstructionSet.available {
      let output = given.computed(.biasGELU, .float, set, rows: 0..<values.count)
      let isNear = values.indices.allSatisfy { row in
        let error = abs(Double(output[row * 32 + row % 32]) - gelu(Double(values[row])))
        return error <= 1e-6 * max(1, abs(Double(values[row])))
      }
      #expect(isNear, "\(set)")
    }
  }

  @Test("a row of zeros gives the bias")
  func zeros() {
    var given = Case(n: 64, k: 48, rows: 2) { Float($0 % 7) - 3 }
    given.input = [Float](repeating: 0, count: 96)
    for set in InstructionSet.available {
      for format in [Product.Format.float, .int16] {
        let output = given.computed(.bias, format, set, rows: 0..<2)
        #expect(output == given.bias + given.bias, "\(set), \(format)")
      }
    }
  }

  @Test("a row's bits do not depend on its neighbours", arguments: 0..<4 as Range<UInt64>)
  func neighbours(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let rows = Int.random(in: 15...40, using: &random)
    let given = Case(n: 96, k: 384, rows: rows) { _ in Float.random(in: -1...1, using: &random) }
    for set in InstructionSet.available {
      for format in [Product.Format.float, .int16] {
        let all = given.computed(.biasGELU, format, set, rows: 0..<rows)
        let row = Int.random(in: 0...rows - 1, using: &random)
        let alone = given.computed(.biasGELU, format, set, rows: row..<row + 1)
        #expect(alone == Array(all[row * 96..<(row + 1) * 96]), "\(set), \(format), row \(row)")
      }
    }
  }

  @Test(
    "attention equals a plain loop",
    arguments: [1, 2, 3, 6, 7, 14, 15, 16, 17, 31, 32, 33, 88, 129, 256])
  func attention(length: Int) {
    var random = SplitMix64(seed: UInt64(length))
    let heads = 3
    let stride = 3 * heads * 32
    let projected = (0..<length * stride).map { _ in Float.random(in: -1...1, using: &random) * 4 }
    let expected = plainAttention(projected, length: length, heads: heads)
    for set in InstructionSet.available {
      var output = [Float](repeating: .nan, count: length * heads * 32)
      var scratch = [Float](
        repeating: .nan, count: InstructionSet.attentionScratchCount(length: length))
      set.attend(
        projected, length: length, headCount: heads, scratch: &scratch, output: &output)
      #expect(worst(output, expected) < 1e-5, "\(set)")
    }
  }

  @Test("layer norm equals a plain loop", arguments: 0..<4 as Range<UInt64>)
  func norm(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let rows = Int.random(in: 1...5, using: &random)
    let columns = 16 * Int.random(in: 1...24, using: &random)
    let x = (0..<rows * columns).map { _ in Float.random(in: -1...1, using: &random) * 3 + 1 }
    let gain = (0..<columns).map { _ in Float.random(in: -1...1, using: &random) }
    let offset = (0..<columns).map { _ in Float.random(in: -1...1, using: &random) }
    var expected: [Double] = []
    for row in 0..<rows {
      let values = x[row * columns..<(row + 1) * columns].map(Double.init)
      let mean = values.reduce(0, +) / Double(columns)
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(columns)
      expected += values.indices.map {
        (values[$0] - mean) / (variance + 1e-12).squareRoot() * Double(gain[$0])
          + Double(offset[$0])
      }
    }
    for set in InstructionSet.available {
      var output = x
      set.norm(&output, gain: gain, offset: offset, rows: rows, columns: columns)
      #expect(worst(output, expected) < 1e-5, "\(set)")
    }
  }
}

private func gelu(_ x: Double) -> Double { 0.5 * x * erfc(-x / 2.0.squareRoot()) }

/// The largest distance; infinite where something is no number.
private func worst(_ found: [Float], _ expected: [Double]) -> Double {
  guard found.count == expected.count else { return .infinity }
  return zip(found, expected).reduce(0) {
    let distance = abs(Double($1.0) - $1.1)
    return distance.isNaN ? .infinity : max($0, distance)
  }
}

private func plainAttention(_ projected: [Float], length: Int, heads: Int) -> [Double] {
  let hidden = heads * 32
  var output = [Double](repeating: 0, count: length * hidden)
  func at(_ row: Int, _ part: Int, _ column: Int) -> Double {
    Double(projected[row * 3 * hidden + part * hidden + column])
  }
  for head in 0..<heads {
    for query in 0..<length {
      let columns = head * 32..<head * 32 + 32
      let weights = (0..<length).map { key in
        exp(columns.reduce(0) { $0 + at(query, 0, $1) * at(key, 1, $1) } / 32.0.squareRoot())
      }
      let sum = weights.reduce(0, +)
      for column in columns {
        output[query * hidden + column] =
          (0..<length).reduce(0) { $0 + weights[$1] * at($1, 2, column) } / sum
      }
    }
  }
  return output
}
