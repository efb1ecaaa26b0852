internal import LinearAlgebra

/// The sizes of the model.
enum Shape {
  static let layerCount = 6
  static let hidden = 384
  static let headCount = 12
  static let headSize = 32
  static let inner = 1_536
}

/// Buffers of one group of texts, T tokens in all. The system gives their memory as it is touched.
final class Workspace: @unchecked Sendable {
  // Safe: taken out of the pool by one thread, which alone writes to it, and put back afterwards.

  /// Tokens of one group at most: any one text fits.
  static let tokenCountMax = WordPiece.tokenCountMax

  /// `[T x 384]`: the state between layers.
  let hidden: UnsafeMutablePointer<Float>
  /// `[T x 1152]`, query, key and value; later in the same layer `[T x 1536]`, the feed-forward state.
  let wide: UnsafeMutablePointer<Float>
  /// `[T x 384]`: what attention gives.
  let mixed: UnsafeMutablePointer<Float>
  /// `[T x 384]`: the state in the middle of a layer.
  let output: UnsafeMutablePointer<Float>
  /// Scores of one head `[length x length]`, or what the fast attention needs.
  let scratch: UnsafeMutablePointer<Float>
  /// A scale for each row of `quantised`.
  let scales: UnsafeMutablePointer<Float>
  /// `[T x 1536]` integers.
  let quantised: UnsafeMutablePointer<Int16>
  private let base: UnsafeMutableRawPointer

  init() {
    let count = Workspace.tokenCountMax
    let scratchCount = max(
      count * count, InstructionSet.attentionScratchCount(length: count))
    // Every part is a multiple of 64 bytes, so that all of them start at one.
    let sizes = [
      count * Shape.hidden, count * Shape.inner, count * Shape.hidden, count * Shape.hidden,
      scratchCount, count, count * Shape.inner / 2,
    ].map { ($0 * MemoryLayout<Float>.stride + 63) & ~63 }
    base = .allocate(byteCount: sizes.reduce(0, +), alignment: 64)
    var at = base
    func next<Element>(_ index: Int, _ type: Element.Type) -> UnsafeMutablePointer<Element> {
      defer { at += sizes[index] }
      return at.bindMemory(to: type, capacity: sizes[index] / MemoryLayout<Element>.stride)
    }
    hidden = next(0, Float.self)
    wide = next(1, Float.self)
    mixed = next(2, Float.self)
    output = next(3, Float.self)
    scratch = next(4, Float.self)
    scales = next(5, Float.self)
    quantised = next(6, Int16.self)
  }

  deinit { base.deallocate() }
}

/// Word, position and type embeddings with their norm.
struct TokenEmbeddings: @unchecked Sendable {
  // Safe: pointers into the file's read-only mapping, which the encoder keeps.
  private let words, positions, types, gain, offset: UnsafePointer<Float>

  init(file: WeightFile) throws(ModelError) {
    words = try file.tensor("embeddings.word_embeddings.weight", shape: [30_522, Shape.hidden])
    positions = try file.tensor(
      "embeddings.position_embeddings.weight", shape: [512, Shape.hidden])
    types = try file.tensor("embeddings.token_type_embeddings.weight", shape: [2, Shape.hidden])
    gain = try file.tensor("embeddings.LayerNorm.weight", shape: [Shape.hidden])
    offset = try file.tensor("embeddings.LayerNorm.bias", shape: [Shape.hidden])
  }

  /// Writes a row for each token, text behind text.
  func look(up sequences: [[Int32]], into hidden: UnsafeMutablePointer<Float>) {
    var output = hidden
    for sequence in sequences {
      for (position, id) in sequence.enumerated() {
        // The norm adds "bias" and "residual": here the type and position rows.
        output.update(from: words + Int(id) * Shape.hidden, count: Shape.hidden)
        Kernels.residualNorm(
          output, bias: types, residual: positions + position * Shape.hidden, gain: gain,
          offset: offset, rows: 1, columns: Shape.hidden)
        output += Shape.hidden
      }
    }
  }
}
