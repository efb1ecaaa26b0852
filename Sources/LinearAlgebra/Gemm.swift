internal import CBLAS

/// Products of whole matrices, for the trainers: row-major floats, shapes checked at the door.
package enum Gemm {
  /// A matrix as it enters a product: its elements row by row, and whether its transpose is meant.
  package struct Operand {
    let elements: [Float]
    let columnCount: Int
    let isTransposed: Bool

    /// The matrix itself: `elements.count / columnCount` rows.
    package static func plain(_ elements: [Float], columnCount: Int) -> Operand {
      Operand(elements: elements, columnCount: columnCount, isTransposed: false)
    }

    /// Its transpose.
    package static func transposed(_ elements: [Float], columnCount: Int) -> Operand {
      Operand(elements: elements, columnCount: columnCount, isTransposed: true)
    }

    /// Rows and columns of what is meant.
    var shape: (rows: Int, columns: Int) {
      let rows = elements.count / columnCount
      return isTransposed ? (columnCount, rows) : (rows, columnCount)
    }
  }

  /// `output = scale * left * right + keeping * output`.
  ///
  /// - Parameter output: Has the product's shape, row by row.
  /// - Complexity: rows x columns x inner multiply-adds.
  package static func multiply(
    _ left: Operand, _ right: Operand, into output: inout [Float], scale: Float = 1,
    keeping: Float = 0
  ) {
    let (m, k) = left.shape
    let (inner, n) = right.shape
    precondition(
      k == inner && output.count == m * n,
      "[\(m) x \(k)] * [\(inner) x \(n)] into \(output.count) floats")
    guard m > 0, n > 0, k > 0 else { return }
    cblas_sgemm(
      CblasRowMajor, left.isTransposed ? CblasTrans : CblasNoTrans,
      right.isTransposed ? CblasTrans : CblasNoTrans, Int32(m), Int32(n), Int32(k), scale,
      left.elements, Int32(left.columnCount), right.elements, Int32(right.columnCount), keeping,
      &output, Int32(n))
  }
}
