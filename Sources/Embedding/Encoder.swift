internal import LinearAlgebra
internal import Synchronization

/// all-MiniLM-L6-v2: six BERT layers, hidden 384, 12 heads of 32, feed-forward 1536 (notes/embedding.md).
///
/// Texts are packed one behind the other without padding, so that one matrix product serves all of them.
public final class Encoder: Sendable {
  /// Floats of a vector.
  public static let dimension = 384
  /// Tokens in one packed group: where BLAS is at its best.
  static let groupTokenCount = 256
  private static let headCount = 12
  private static let headSize = 32
  private static let innerSize = 1_536

  private let tokenizer: WordPiece
  private let file: WeightFile
  private let embeddings: Embeddings
  private let layers: [Layer]
  /// Workspaces at rest: a fresh one for each group would cost more in page faults than it saves.
  private let workspaces = Mutex<[Workspace]>([])

  /// Opens a folder with `model.safetensors` and `vocab.txt`.
  /// - Throws: `ModelError`.
  public init(folder: String) throws(ModelError) {
    guard let vocabulary = TextFile.read(folder + "/vocab.txt") else {
      throw .missing(file: "vocab.txt")
    }
    guard let tokenizer = WordPiece(vocabulary: vocabulary) else {
      throw .damaged(reason: "vocab.txt lacks a special token")
    }
    self.tokenizer = tokenizer
    file = try WeightFile(path: folder + "/model.safetensors")
    embeddings = try Embeddings(file: file)
    var layers: [Layer] = []
    for index in 0..<6 { layers.append(try Layer(index: index, file: file)) }
    self.layers = layers
  }

  /// The token ids of a text.
  public func ids(of text: String) -> [Int32] { tokenizer.ids(of: text) }

  /// The vectors of texts, in their order: 384 floats each, unit length.
  ///
  /// - Complexity: About 20 ms a text of 88 tokens on one core, with a good BLAS.
  public func vectors(of texts: [String]) -> [[Float]] {
    let sequences = texts.map { tokenizer.ids(of: $0) }
    // Longest first keeps the groups full; the order of the output is the caller's.
    let order = sequences.indices.sorted { sequences[$0].count > sequences[$1].count }
    var output = [[Float]](repeating: [], count: texts.count)
    var group: [Int] = []
    var tokenCount = 0
    func flush() {
      guard !group.isEmpty else { return }
      for (index, vector) in zip(group, encode(group.map { sequences[$0] })) {
        output[index] = vector
      }
      group = []
      tokenCount = 0
    }
    for index in order {
      let count = sequences[index].count
      if tokenCount + count > Encoder.groupTokenCount { flush() }
      group.append(index)
      tokenCount += count
    }
    flush()
    return output
  }

  /// The vector of one text.
  public func vector(of text: String) -> [Float] { encode([tokenizer.ids(of: text)])[0] }

  /// Encodes one packed group: `sequences` of token ids to a unit vector each.
  private func encode(_ sequences: [[Int32]]) -> [[Float]] {
    let tokenCount = sequences.reduce(0) { $0 + $1.count }
    var space = workspaces.withLock { $0.popLast() } ?? Workspace()
    space.tokenCount = tokenCount
    defer { workspaces.withLock { [space] in $0.append(space) } }
    embeddings.look(up: sequences, into: &space.hidden)
    for layer in layers { layer.apply(to: &space, lengths: sequences.map(\.count)) }
    var from = 0
    return space.hidden.withUnsafeBufferPointer { hidden in
      sequences.map { sequence in
        defer { from += sequence.count }
        guard let base = hidden.baseAddress else { return [] }
        return Kernels.meanUnit(
          base + from * Encoder.dimension, rows: sequence.count, columns: Encoder.dimension)
      }
    }
  }

  /// Buffers of one group: hidden `[T x 384]`, projected `[T x 1152]`, mixed `[T x 384]`, inner `[T x 1536]`.
  struct Workspace {
    var tokenCount = 0
    var hidden: [Float]
    var projected: [Float]
    var mixed: [Float]
    var output: [Float]
    var inner: [Float]
    var scores: [Float]

    /// Room for one group, whose texts together have at most `groupTokenCount` tokens.
    init() {
      let tokenCount = groupTokenCount
      func zeros(_ count: Int) -> [Float] { [Float](repeating: 0, count: count) }
      hidden = zeros(tokenCount * dimension)
      projected = zeros(tokenCount * dimension * 3)
      mixed = zeros(tokenCount * dimension)
      output = zeros(tokenCount * dimension)
      inner = zeros(tokenCount * innerSize)
      scores = zeros(tokenCount * tokenCount)
    }
  }

  /// Word, position and type embeddings with their norm.
  struct Embeddings: @unchecked Sendable {
    // Safe: pointers into the file's read-only mapping, which the encoder keeps.
    let words, positions, types, gain, offset: UnsafePointer<Float>

    init(file: WeightFile) throws(ModelError) {
      words = try file.tensor("embeddings.word_embeddings.weight", shape: [30_522, dimension])
      positions = try file.tensor("embeddings.position_embeddings.weight", shape: [512, dimension])
      types = try file.tensor("embeddings.token_type_embeddings.weight", shape: [2, dimension])
      gain = try file.tensor("embeddings.LayerNorm.weight", shape: [dimension])
      offset = try file.tensor("embeddings.LayerNorm.bias", shape: [dimension])
    }

    func look(up sequences: [[Int32]], into hidden: inout [Float]) {
      var row = 0
      hidden.withUnsafeMutableBufferPointer { hidden in
        guard let base = hidden.baseAddress else { return }
        for sequence in sequences {
          for (position, id) in sequence.enumerated() {
            let output = base + row * dimension
            let word = words + Int(id) * dimension
            // The norm adds "bias" and "residual": here the type and position rows.
            output.update(from: word, count: dimension)
            Kernels.residualNorm(
              output, bias: types, residual: positions + position * dimension, gain: gain,
              offset: offset, rows: 1, columns: dimension)
            row += 1
          }
        }
      }
    }
  }

  /// One transformer layer. Query, key and value weights are joined: one product instead of three.
  struct Layer: @unchecked Sendable {
    // Safe: pointers into the file's read-only mapping, which the encoder keeps; the arrays are constant.
    let joined: [Float]
    let joinedBias: [Float]
    let out, outBias, outGain, outOffset: UnsafePointer<Float>
    let up, upBias, down, downBias, downGain, downOffset: UnsafePointer<Float>

    init(index: Int, file: WeightFile) throws(ModelError) {
      let name = "encoder.layer.\(index)."
      var weights: [Float] = []
      var biases: [Float] = []
      for part in ["query", "key", "value"] {
        let path = name + "attention.self." + part
        let weight = try file.tensor(path + ".weight", shape: [dimension, dimension])
        weights += UnsafeBufferPointer(start: weight, count: dimension * dimension)
        biases += UnsafeBufferPointer(
          start: try file.tensor(path + ".bias", shape: [dimension]), count: dimension)
      }
      joined = weights
      joinedBias = biases
      let attention = name + "attention.output."
      out = try file.tensor(attention + "dense.weight", shape: [dimension, dimension])
      outBias = try file.tensor(attention + "dense.bias", shape: [dimension])
      outGain = try file.tensor(attention + "LayerNorm.weight", shape: [dimension])
      outOffset = try file.tensor(attention + "LayerNorm.bias", shape: [dimension])
      up = try file.tensor(name + "intermediate.dense.weight", shape: [innerSize, dimension])
      upBias = try file.tensor(name + "intermediate.dense.bias", shape: [innerSize])
      down = try file.tensor(name + "output.dense.weight", shape: [dimension, innerSize])
      downBias = try file.tensor(name + "output.dense.bias", shape: [dimension])
      downGain = try file.tensor(name + "output.LayerNorm.weight", shape: [dimension])
      downOffset = try file.tensor(name + "output.LayerNorm.bias", shape: [dimension])
    }

    func apply(to space: inout Workspace, lengths: [Int]) {
      let rows = space.tokenCount
      Kernels.multiplyTransposed(
        space.hidden, joined, &space.projected, m: rows, n: 3 * dimension, k: dimension,
        strides: (dimension, dimension, 3 * dimension))
      Kernels.addBias(&space.projected, joinedBias, rows: rows, columns: 3 * dimension)
      attend(&space, lengths: lengths)
      Kernels.multiplyTransposed(
        space.mixed, out, &space.output, m: rows, n: dimension, k: dimension,
        strides: (dimension, dimension, dimension))
      Kernels.residualNorm(
        &space.output, bias: outBias, residual: space.hidden, gain: outGain, offset: outOffset,
        rows: rows, columns: dimension)
      Kernels.multiplyTransposed(
        space.output, up, &space.inner, m: rows, n: innerSize, k: dimension,
        strides: (dimension, dimension, innerSize))
      Kernels.biasGELU(&space.inner, upBias, rows: rows, columns: innerSize)
      Kernels.multiplyTransposed(
        space.inner, down, &space.hidden, m: rows, n: dimension, k: innerSize,
        strides: (innerSize, innerSize, dimension))
      Kernels.residualNorm(
        &space.hidden, bias: downBias, residual: space.output, gain: downGain, offset: downOffset,
        rows: rows, columns: dimension)
    }

    /// Scaled dot-product attention inside each text, head by head.
    private func attend(_ space: inout Workspace, lengths: [Int]) {
      let stride = 3 * dimension
      space.projected.withUnsafeBufferPointer { projected in
        guard let base = projected.baseAddress else { return }
        var from = 0
        for length in lengths {
          for head in 0..<headCount {
            let query = base + from * stride + head * headSize
            Kernels.multiplyTransposed(
              query, query + dimension, &space.scores, m: length, n: length, k: headSize,
              strides: (stride, stride, length))
            Kernels.softmax(
              &space.scores, scale: 0.176_776_695_3, rows: length, columns: length)
            space.mixed.withUnsafeMutableBufferPointer { mixed in
              guard let output = mixed.baseAddress else { return }
              Kernels.multiply(
                space.scores, query + 2 * dimension, output + from * dimension + head * headSize,
                m: length, n: headSize, k: length, strides: (length, stride, dimension))
            }
          }
          from += length
        }
      }
    }
  }
}
