internal import LinearAlgebra

/// One transformer layer over BLAS. Query, key and value weights are joined: one product instead of three.
struct PortableLayer: @unchecked Sendable {
  // Safe: pointers into the file's read-only mapping, which the encoder keeps; the arrays are constant.
  private let joined: [Float]
  private let joinedBias: [Float]
  private let tensors: LayerTensors

  init(index: Int, file: WeightFile) throws(ModelError) {
    tensors = try LayerTensors(index: index, file: file)
    var weights: [Float] = []
    var biases: [Float] = []
    for part in tensors.projections {
      weights += UnsafeBufferPointer(start: part.weights, count: Shape.hidden * Shape.hidden)
      biases += UnsafeBufferPointer(start: part.bias, count: Shape.hidden)
    }
    joined = weights
    joinedBias = biases
  }

  /// Replaces the hidden state of a group by the next one.
  func apply(to space: Workspace, lengths: [Int]) {
    let rows = lengths.reduce(0, +)
    let (hidden, inner) = (Shape.hidden, Shape.inner)
    Kernels.multiplyTransposed(
      space.hidden, joined, space.wide, m: rows, n: 3 * hidden, k: hidden,
      strides: (hidden, hidden, 3 * hidden))
    Kernels.addBias(space.wide, joinedBias, rows: rows, columns: 3 * hidden)
    attend(space, lengths: lengths)
    Kernels.multiplyTransposed(
      space.mixed, tensors.out.weights, space.output, m: rows, n: hidden, k: hidden,
      strides: (hidden, hidden, hidden))
    Kernels.residualNorm(
      space.output, bias: tensors.out.bias, residual: space.hidden, gain: tensors.outNorm.gain,
      offset: tensors.outNorm.offset, rows: rows, columns: hidden)
    Kernels.multiplyTransposed(
      space.output, tensors.up.weights, space.wide, m: rows, n: inner, k: hidden,
      strides: (hidden, hidden, inner))
    Kernels.biasGELU(space.wide, tensors.up.bias, rows: rows, columns: inner)
    Kernels.multiplyTransposed(
      space.wide, tensors.down.weights, space.hidden, m: rows, n: hidden, k: inner,
      strides: (inner, inner, hidden))
    Kernels.residualNorm(
      space.hidden, bias: tensors.down.bias, residual: space.output, gain: tensors.downNorm.gain,
      offset: tensors.downNorm.offset, rows: rows, columns: hidden)
  }

  /// Scaled dot-product attention inside each text, head by head.
  private func attend(_ space: Workspace, lengths: [Int]) {
    let hidden = Shape.hidden
    let stride = 3 * hidden
    var from = 0
    for length in lengths {
      for head in 0..<Shape.headCount {
        let query = UnsafePointer(space.wide) + from * stride + head * Shape.headSize
        Kernels.multiplyTransposed(
          query, query + hidden, space.scratch, m: length, n: length, k: Shape.headSize,
          strides: (stride, stride, length))
        // 1 / sqrt(32)
        Kernels.softmax(space.scratch, scale: 0.176_776_695_3, rows: length, columns: length)
        Kernels.multiply(
          space.scratch, query + 2 * hidden, space.mixed + from * hidden + head * Shape.headSize,
          m: length, n: Shape.headSize, k: length, strides: (length, stride, hidden))
      }
      from += length
    }
  }
}
