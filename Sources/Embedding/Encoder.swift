package import LinearAlgebra
internal import Synchronization

/// all-MiniLM-L6-v2: six BERT layers, hidden 384, 12 heads of 32, feed-forward 1536.
///
/// Texts are packed one behind the other without padding, so that one matrix product serves all of them.
public final class Encoder: Sendable {
  /// How the layers compute.
  public enum Precision: String, CaseIterable, Sendable {
    /// fp32 through BLAS, on any processor: the slowest, and what the others are tested against.
    case portable
    /// fp32 in our own kernels: about twice as fast.
    case float
    /// int16 products with int32 sums: twice as fast again, in half the memory; cosine 0.9999 at least.
    case int16
  }

  /// Floats of a vector.
  public static let dimension = Shape.hidden
  /// Workspaces kept at rest, at most: more threads than that at once get fresh ones.
  private static let restCountMax = 8

  /// How the layers compute here: what was asked for, or `portable` where the processor has no more.
  public let precision: Precision
  private let tokenizer: WordPiece
  private let file: WeightFile
  private let embeddings: TokenEmbeddings
  private let layers: Layers
  /// Workspaces at rest: a fresh one for each group would cost more in page faults than it saves.
  private let workspaces = Mutex<[Workspace]>([])

  /// The layers in one form of the two.
  private enum Layers {
    case portable([PortableLayer])
    case packed([PackedLayer])
  }

  /// Opens a folder with `model.safetensors` and `vocab.txt`.
  ///
  /// - Parameter precision: nil takes the fastest that the processor can do.
  /// - Throws: `ModelError`.
  /// - Complexity: About 50 ms and 25 MB to pack the weights as int16, 45 MB as fp32.
  public convenience init(folder: String, precision: Precision? = nil) throws(ModelError) {
    try self.init(
      folder: folder, precision: precision ?? .int16, instructions: InstructionSet.best)
  }

  /// Opens a folder, with the kernels of one instruction set that the processor has; nil has none.
  package init(
    folder: String, precision: Precision, instructions: InstructionSet?
  ) throws(ModelError) {
    guard let vocabulary = TextFile.read(folder + "/vocab.txt") else {
      throw .missing(file: "vocab.txt")
    }
    guard let tokenizer = WordPiece(vocabulary: vocabulary) else {
      throw .damaged(reason: "vocab.txt lacks a special token")
    }
    self.tokenizer = tokenizer
    file = try WeightFile(path: folder + "/model.safetensors")
    embeddings = try TokenEmbeddings(file: file)
    if let instructions, precision != .portable {
      self.precision = precision
      layers = .packed(
        try PackedLayer.all(
          of: file, format: precision == .int16 ? .int16 : .float, instructions: instructions))
    } else {
      self.precision = .portable
      var list: [PortableLayer] = []
      for index in 0..<Shape.layerCount { list.append(try PortableLayer(index: index, file: file)) }
      layers = .portable(list)
    }
  }

  /// The token ids of a text.
  public func ids(of text: String) -> [Int32] { tokenizer.ids(of: text) }

  /// The vectors of texts, in their order: 384 floats each, unit length.
  ///
  /// One thread computes them; several may call at once.
  /// - Complexity: About 5 ms a text of 88 tokens on one core with AVX-512, 10 ms with AVX2, 20 ms portable.
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
      if tokenCount + count > groupTokenCount { flush() }
      group.append(index)
      tokenCount += count
    }
    flush()
    return output
  }

  /// The vector of one text.
  ///
  /// - Complexity: For 12 tokens about 0.7 ms with AVX-512, 1.5 ms with AVX2.
  public func vector(of text: String) -> [Float] { encode([tokenizer.ids(of: text)])[0] }

  /// Tokens in one group, unless one text alone has more. BLAS is at its best with many; our own kernels
  /// are as fast with few, and few leave the second cache to the weights.
  private var groupTokenCount: Int {
    switch layers {
    case .portable: Workspace.tokenCountMax
    case .packed: 128
    }
  }

  /// Encodes one group: `sequences` of token ids, together at most `Workspace.tokenCountMax`, to a unit
  /// vector each.
  private func encode(_ sequences: [[Int32]]) -> [[Float]] {
    let space = workspaces.withLock { $0.popLast() } ?? Workspace()
    defer {
      workspaces.withLock { if $0.count < Encoder.restCountMax { $0.append(space) } }
    }
    let lengths = sequences.map(\.count)
    embeddings.look(up: sequences, into: space.hidden)
    switch layers {
    case .portable(let list): for layer in list { layer.apply(to: space, lengths: lengths) }
    case .packed(let list): for layer in list { layer.apply(to: space, lengths: lengths) }
    }
    var from = 0
    return lengths.map { length in
      defer { from += length }
      return Kernels.meanUnit(
        space.hidden + from * Shape.hidden, rows: length, columns: Shape.hidden)
    }
  }
}
