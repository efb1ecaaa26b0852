/// Where one layer's tensors stand in the file.
struct LayerTensors {
  /// A matrix `[outputs x inputs]` with its bias.
  typealias Dense = (weights: UnsafePointer<Float>, bias: UnsafePointer<Float>)
  /// Gain and offset of a layer norm.
  typealias Norm = (gain: UnsafePointer<Float>, offset: UnsafePointer<Float>)

  private static let projections = ["query", "key", "value"]

  /// Query, key and value, in this order.
  let projections: [Dense]
  let out, up, down: Dense
  let outNorm, downNorm: Norm

  init(index: Int, file: WeightFile) throws(ModelError) {
    func dense(_ name: String, _ outputs: Int, _ inputs: Int) throws(ModelError) -> Dense {
      let path = LayerTensors.path(index, name)
      return (
        try file.tensor(path + ".weight", shape: [outputs, inputs]),
        try file.tensor(path + ".bias", shape: [outputs])
      )
    }
    func norm(_ name: String) throws(ModelError) -> Norm {
      let path = LayerTensors.path(index, name)
      return (
        try file.tensor(path + ".weight", shape: [Shape.hidden]),
        try file.tensor(path + ".bias", shape: [Shape.hidden])
      )
    }
    var list: [Dense] = []
    for name in LayerTensors.projections {
      list.append(try dense("attention.self." + name, Shape.hidden, Shape.hidden))
    }
    projections = list
    out = try dense("attention.output.dense", Shape.hidden, Shape.hidden)
    outNorm = try norm("attention.output.LayerNorm")
    up = try dense("intermediate.dense", Shape.inner, Shape.hidden)
    down = try dense("output.dense", Shape.hidden, Shape.inner)
    downNorm = try norm("output.LayerNorm")
  }

  /// Gives the memory of a layer's matrices back to the system: they are not needed for a while.
  static func release(index: Int, file: WeightFile) {
    let names =
      projections.map { "attention.self." + $0 } + [
        "attention.output.dense", "intermediate.dense", "output.dense",
      ]
    for name in names { file.release(path(index, name) + ".weight") }
  }

  private static func path(_ index: Int, _ name: String) -> String {
    "encoder.layer.\(index).\(name)"
  }
}
