package import LinearAlgebra

/// A learnt linear map of embeddings, the same for needs and services: what is compared is the unit length of
/// `vector x W`.
package struct Adapter: Sendable, Equatable {
  /// Floats of a vector.
  package let dimension: Int
  /// `dimension x dimension`, row by row; all finite.
  package let elements: [Float]

  package init(dimension: Int, elements: [Float]) {
    precondition(
      dimension > 0 && elements.count == dimension * dimension,
      "\(elements.count) elements are no \(dimension) x \(dimension)")
    self.dimension = dimension
    self.elements = elements
  }

  /// The map that changes nothing.
  package static func identity(_ dimension: Int) -> Adapter {
    var elements = [Float](repeating: 0, count: dimension * dimension)
    for index in 0..<dimension { elements[index * (dimension + 1)] = 1 }
    return Adapter(dimension: dimension, elements: elements)
  }

  /// Every row mapped and brought to unit length; a row of zeros stays one.
  ///
  /// - Complexity: rows x dimension^2 multiply-adds: about 0.1 s for 10,000 rows of 384.
  package func applied(to rows: Matrix) -> Matrix {
    precondition(rows.columnCount == dimension, "\(rows.columnCount) floats against \(dimension)")
    var output = [Float](repeating: 0, count: rows.elements.count)
    Gemm.multiply(
      .plain(rows.elements, columnCount: dimension), .plain(elements, columnCount: dimension),
      into: &output)
    _ = UnitRows.normalize(&output, columnCount: dimension)
    return Matrix(columnCount: dimension, elements: output)
  }

  /// One vector mapped and brought to unit length.
  package func applied(to vector: [Float]) -> [Float] {
    applied(to: Matrix(columnCount: dimension, elements: vector)).elements
  }

  /// Part of the way from the identity: 0 is the identity, 1 the map itself.
  package func weakened(to strength: Float) -> Adapter {
    guard strength != 1 else { return self }
    let identity = Adapter.identity(dimension).elements
    return Adapter(
      dimension: dimension,
      elements: zip(elements, identity).map { $1 + strength * ($0 - $1) })
  }

  /// The Frobenius norm of what it differs from the identity by.
  package var distance: Double {
    var sum = 0.0
    for (index, element) in elements.enumerated() {
      let difference = Double(element) - (index % (dimension + 1) == 0 ? 1 : 0)
      sum += difference * difference
    }
    return sum.squareRoot()
  }
}

/// Rows brought to unit length, and the way back for gradients.
enum UnitRows {
  /// Divides each row by its length.
  ///
  /// - Returns: The lengths; 0 for rows of zeros, which stay as they are.
  static func normalize(_ rows: inout [Float], columnCount: Int) -> [Float] {
    var lengths: [Float] = []
    lengths.reserveCapacity(rows.count / columnCount)
    rows.withUnsafeMutableBufferPointer { rows in
      for start in stride(from: 0, to: rows.count, by: columnCount) {
        var sum: Float = 0
        for index in start..<start + columnCount { sum += rows[index] * rows[index] }
        let length = sum.squareRoot()
        lengths.append(length)
        guard length > 0 else { continue }
        let scale = 1 / length
        for index in start..<start + columnCount { rows[index] *= scale }
      }
    }
    return lengths
  }

  /// The gradient by the rows as they were, from the one by the unit rows: `(g - (g . u) u) / length`.
  static func backward(
    _ gradient: inout [Float], unit: [Float], lengths: [Float], columnCount: Int
  ) {
    gradient.withUnsafeMutableBufferPointer { gradient in
      unit.withUnsafeBufferPointer { unit in
        for (row, length) in lengths.enumerated() {
          let range = row * columnCount..<(row + 1) * columnCount
          var product: Float = 0
          for index in range { product += gradient[index] * unit[index] }
          let scale = length > 0 ? 1 / length : 0
          for index in range { gradient[index] = (gradient[index] - product * unit[index]) * scale }
        }
      }
    }
  }
}
