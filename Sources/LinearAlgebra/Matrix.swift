internal import CBLAS
internal import CKernels

/// Rows of floats of one width, contiguous: shape `[rowCount x columnCount]`.
public struct Matrix: Sendable {
  /// Rows.
  public private(set) var rowCount: Int
  /// Floats a row.
  public let columnCount: Int
  /// Every element, row by row.
  public private(set) var elements: [Float]

  /// A matrix of the given elements.
  public init(columnCount: Int, elements: [Float] = []) {
    precondition(
      columnCount > 0 && elements.count % columnCount == 0,
      "\(elements.count) elements are no rows of \(columnCount)")
    self.columnCount = columnCount
    self.elements = elements
    rowCount = elements.count / columnCount
  }

  /// Adds a row.
  public mutating func append(_ row: [Float]) {
    precondition(row.count == columnCount, "a row has \(columnCount) floats, not \(row.count)")
    elements.append(contentsOf: row)
    rowCount += 1
  }

  /// Makes room for that many rows at once.
  public mutating func reserve(rowCount: Int) { elements.reserveCapacity(rowCount * columnCount) }

  /// One row as a copy.
  public func row(_ index: Int) -> [Float] {
    Array(elements[index * columnCount..<(index + 1) * columnCount])
  }

  /// The products of every row with one vector.
  ///
  /// - Parameter vector: `columnCount` floats.
  /// - Returns: `rowCount` floats in row order.
  /// - Complexity: `rowCount x columnCount` multiply-adds, bound by memory.
  public func products(with vector: [Float]) -> [Float] {
    precondition(vector.count == columnCount, "\(vector.count) floats against \(columnCount)")
    guard rowCount > 0 else { return [] }
    var output = [Float](repeating: 0, count: rowCount)
    cblas_sgemv(
      CblasRowMajor, CblasNoTrans, Int32(rowCount), Int32(columnCount), 1, elements,
      Int32(columnCount), vector, 1, 0, &output, 1)
    return output
  }
}

/// The operations of an encoder layer over raw buffers; shapes are the caller's promise.
package enum Kernels {
  /// `output[m x n] = scale * input[m x k] * weights[n x k]^T`, each with its own row stride.
  package static func multiplyTransposed(
    _ input: UnsafePointer<Float>, _ weights: UnsafePointer<Float>,
    _ output: UnsafeMutablePointer<Float>, m: Int, n: Int, k: Int,
    strides: (input: Int, weights: Int, output: Int)
  ) {
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasTrans, Int32(m), Int32(n), Int32(k), 1, input,
      Int32(strides.input), weights, Int32(strides.weights), 0, output, Int32(strides.output))
  }

  /// `output[m x n] = input[m x k] * other[k x n]`, each with its own row stride.
  package static func multiply(
    _ input: UnsafePointer<Float>, _ other: UnsafePointer<Float>,
    _ output: UnsafeMutablePointer<Float>, m: Int, n: Int, k: Int,
    strides: (input: Int, other: Int, output: Int)
  ) {
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(m), Int32(n), Int32(k), 1, input,
      Int32(strides.input), other, Int32(strides.other), 0, output, Int32(strides.output))
  }

  /// Adds a bias to every row.
  package static func addBias(
    _ x: UnsafeMutablePointer<Float>, _ bias: UnsafePointer<Float>, rows: Int, columns: Int
  ) { kernels_bias(x, bias, rows, columns) }

  /// Adds a bias, then the erf form of GELU.
  package static func biasGELU(
    _ x: UnsafeMutablePointer<Float>, _ bias: UnsafePointer<Float>, rows: Int, columns: Int
  ) { kernels_bias_gelu(x, bias, rows, columns) }

  /// Layer norm of `x + bias + residual`.
  package static func residualNorm(
    _ x: UnsafeMutablePointer<Float>, bias: UnsafePointer<Float>,
    residual: UnsafePointer<Float>, gain: UnsafePointer<Float>, offset: UnsafePointer<Float>,
    rows: Int, columns: Int
  ) { kernels_residual_norm(x, bias, residual, gain, offset, 1e-12, rows, columns) }

  /// Softmax of each row of `scale * x`.
  package static func softmax(
    _ x: UnsafeMutablePointer<Float>, scale: Float, rows: Int, columns: Int
  ) { kernels_softmax(x, scale, rows, columns) }

  /// The mean of the rows at unit length.
  package static func meanUnit(_ x: UnsafePointer<Float>, rows: Int, columns: Int) -> [Float] {
    [Float](unsafeUninitializedCapacity: columns) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      kernels_mean_unit(x, rows, columns, base)
      count = columns
    }
  }
}
