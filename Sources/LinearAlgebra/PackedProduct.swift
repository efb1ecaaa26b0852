internal import CKernels
#if canImport(Glibc)
  internal import Glibc
#endif

/// Memory for packed weights: one run of large pages, so that streaming it costs few page walks.
package final class WeightArena: @unchecked Sendable {
  // Safe to share: filled in while the weights are packed by their one owner, constant afterwards.
  private static let pageByteCount = 2 << 20
  private let base: UnsafeMutableRawPointer
  private let byteCount: Int
  private var used = 0

  /// Room for that many bytes, taken from the system as it is filled.
  package init(byteCount: Int) {
    let size = (byteCount + WeightArena.pageByteCount - 1) & ~(WeightArena.pageByteCount - 1)
    self.byteCount = size
    base = .allocate(byteCount: size, alignment: WeightArena.pageByteCount)
    #if canImport(Glibc)
      // Only a wish: small pages do as well, more slowly.
      madvise(base, size, MADV_HUGEPAGE)
    #endif
  }

  deinit { base.deallocate() }

  /// The next `count` elements, aligned to 64 bytes, uninitialised.
  func take<Element: BitwiseCopyable>(
    _ count: Int, of type: Element.Type
  ) -> UnsafeMutablePointer<Element> {
    let size = WeightArena.rounded(count * MemoryLayout<Element>.stride)
    precondition(used + size <= byteCount, "\(used) + \(size) bytes in an arena of \(byteCount)")
    defer { used += size }
    return (base + used).bindMemory(to: type, capacity: count)
  }

  /// The bytes that so many bytes take: whole cache lines.
  static func rounded(_ byteCount: Int) -> Int { (byteCount + 63) & ~63 }
}

/// A matrix product with constant weights, packed for one instruction set:
/// `output[rows x n] = epilogue(input[rows x k] * weights[n x k]^T)`.
package struct PackedProduct: @unchecked Sendable {
  // Safe: a constant description of constant weights, which the arena keeps.

  /// How weights and activations are multiplied.
  package enum Format: Sendable {
    /// fp32.
    case float
    /// int16 with int32 sums: weights quantised per output, activations per row when they come.
    case int16
  }

  /// What follows the sum.
  package enum Epilogue: UInt32, Sendable {
    /// `+ bias`
    case bias
    /// `gelu(. + bias)`, the error function form.
    case biasGELU
    /// `+ bias + residual`
    case biasResidual
  }

  private let product: kernels_product
  private let format: Format
  private let arena: WeightArena

  /// The bytes of an arena that one product takes.
  package static func byteCount(n: Int, k: Int, format: Format) -> Int {
    let vector = WeightArena.rounded(4 * n)
    switch format {
    case .float: return WeightArena.rounded(4 * n * k) + vector
    case .int16: return WeightArena.rounded(2 * n * k) + 2 * vector
    }
  }

  /// Packs weights, which are not read again afterwards.
  ///
  /// - Parameters:
  ///   - parts: Weights `[n / parts.count x k]` and biases `[n / parts.count]`, one below the other.
  ///   - n: Outputs, a multiple of 32 in each part.
  ///   - k: Inputs, a multiple of 16.
  package init(
    _ parts: [(weights: UnsafePointer<Float>, bias: UnsafePointer<Float>)], n: Int, k: Int,
    epilogue: Epilogue, format: Format, instructions: InstructionSet, arena: WeightArena
  ) {
    precondition(
      !parts.isEmpty && n % (32 * parts.count) == 0 && k > 0 && k % 16 == 0,
      "\(parts.count) parts of together [\(n) x \(k)] weights cannot be packed")
    let rows = n / parts.count
    let level = instructions.level
    let bias = arena.take(n, of: Float.self)
    for (index, part) in parts.enumerated() {
      (bias + index * rows).initialize(from: part.bias, count: rows)
    }
    var steps: UnsafeMutablePointer<Float>?
    let panels: UnsafeRawPointer
    switch format {
    case .float:
      let output = arena.take(n * k, of: Float.self)
      for (index, part) in parts.enumerated() {
        kernels_pack_f32(level, part.weights, rows, k, output + index * rows * k)
      }
      panels = UnsafeRawPointer(output)
    case .int16:
      let scales = arena.take(n, of: Float.self)
      let output = arena.take(n * k, of: Int16.self)
      for (index, part) in parts.enumerated() {
        kernels_pack_s16(
          level, part.weights, rows, k, output + index * rows * k, scales + index * rows)
      }
      steps = scales
      panels = UnsafeRawPointer(output)
    }
    product = kernels_product(
      level: level, epilogue: kernels_epilogue(rawValue: epilogue.rawValue), n: n, k: k,
      panels: panels, steps: UnsafePointer(steps), bias: UnsafePointer(bias))
    self.format = format
    self.arena = arena
  }

  /// Computes the product.
  ///
  /// - Parameters:
  ///   - input: `[rows x k]`.
  ///   - residual: `[rows x n]` where the epilogue adds one, else nil.
  ///   - output: `[rows x n]`; apart from the input, but it may be the residual.
  ///   - quantised: Room for `rows * k` integers, used by the int16 format only.
  ///   - scales: Room for `rows` floats, likewise.
  package func apply(
    _ input: UnsafePointer<Float>, rows: Int, residual: UnsafePointer<Float>? = nil,
    output: UnsafeMutablePointer<Float>, quantised: UnsafeMutablePointer<Int16>,
    scales: UnsafeMutablePointer<Float>
  ) {
    precondition(
      (residual != nil) == (product.epilogue == KERNELS_BIAS_RESIDUAL),
      "a residual belongs to its epilogue")
    withUnsafePointer(to: product) { product in
      switch format {
      case .float: kernels_product_f32(product, input, rows, residual, output)
      case .int16:
        let k = product.pointee.k
        kernels_quantise(
          product.pointee.level, input, rows, k, kernels_activation_limit(k), quantised, scales)
        kernels_product_s16(product, quantised, scales, rows, residual, output)
      }
    }
  }
}
