internal import LinearAlgebra

/// One transformer layer over our own kernels, its weights packed when the model is opened.
struct PackedLayer: @unchecked Sendable {
  // Safe: constant weights; the norms point into the file's read-only mapping, which the encoder keeps.
  private let projection, out, up, down: PackedProduct
  private let outNorm, downNorm: LayerTensors.Norm
  private let instructions: InstructionSet

  /// Packs every layer of a model; the file's copy of the matrices leaves the memory.
  static func all(
    of file: WeightFile, format: PackedProduct.Format, instructions: InstructionSet
  ) throws(ModelError) -> [PackedLayer] {
    let (hidden, inner) = (Shape.hidden, Shape.inner)
    let byteCount = [(3 * hidden, hidden), (hidden, hidden), (inner, hidden), (hidden, inner)]
      .reduce(0) { $0 + PackedProduct.byteCount(n: $1.0, k: $1.1, format: format) }
    let arena = WeightArena(byteCount: Shape.layerCount * byteCount)
    var layers: [PackedLayer] = []
    for index in 0..<Shape.layerCount {
      let tensors = try LayerTensors(index: index, file: file)
      layers.append(PackedLayer(tensors, format, instructions, arena))
      LayerTensors.release(index: index, file: file)
    }
    return layers
  }

  private init(
    _ tensors: LayerTensors, _ format: PackedProduct.Format, _ instructions: InstructionSet,
    _ arena: WeightArena
  ) {
    func pack(
      _ parts: [LayerTensors.Dense], n: Int, k: Int, _ epilogue: PackedProduct.Epilogue
    ) -> PackedProduct {
      PackedProduct(
        parts, n: n, k: k, epilogue: epilogue, format: format, instructions: instructions,
        arena: arena)
    }
    projection = pack(tensors.projections, n: 3 * Shape.hidden, k: Shape.hidden, .bias)
    out = pack([tensors.out], n: Shape.hidden, k: Shape.hidden, .biasResidual)
    up = pack([tensors.up], n: Shape.inner, k: Shape.hidden, .biasGELU)
    down = pack([tensors.down], n: Shape.hidden, k: Shape.inner, .biasResidual)
    outNorm = tensors.outNorm
    downNorm = tensors.downNorm
    self.instructions = instructions
  }

  /// Replaces the hidden state of a group by the next one.
  func apply(to space: Workspace, lengths: [Int]) {
    let rows = lengths.reduce(0, +)
    projection.apply(
      space.hidden, rows: rows, output: space.wide, quantised: space.quantised,
      scales: space.scales)
    var from = 0
    for length in lengths {
      instructions.attend(
        space.wide + from * 3 * Shape.hidden, length: length, headCount: Shape.headCount,
        scratch: space.scratch, output: space.mixed + from * Shape.hidden)
      from += length
    }
    out.apply(
      space.mixed, rows: rows, residual: space.hidden, output: space.output,
      quantised: space.quantised, scales: space.scales)
    instructions.norm(
      space.output, gain: outNorm.gain, offset: outNorm.offset, rows: rows,
      columns: Shape.hidden)
    up.apply(
      space.output, rows: rows, output: space.wide, quantised: space.quantised,
      scales: space.scales)
    down.apply(
      space.wide, rows: rows, residual: space.output, output: space.hidden,
      quantised: space.quantised, scales: space.scales)
    instructions.norm(
      space.hidden, gain: downNorm.gain, offset: downNorm.offset, rows: rows,
      columns: Shape.hidden)
  }
}
