internal import CKernels

/// The instruction sets that the fast kernels are written for; each includes the ones before it.
///
/// A processor without any of them uses `Kernels`, which runs everywhere.
package enum InstructionSet: UInt32, CaseIterable, Sendable {
  /// AVX2 and FMA: x86-64 since about 2013.
  case avx2 = 1
  /// AVX-512 F, BW, VL and DQ.
  case avx512
  /// And its dot products of int16 (VNNI).
  case avx512VNNI

  /// Those that this processor has, in rising order.
  package static let available: [InstructionSet] = {
    let best = kernels_level_best().rawValue
    return allCases.filter { $0.rawValue <= best }
  }()

  /// The best that this processor has, or nil where only the portable kernels run.
  package static var best: InstructionSet? { available.last }

  var level: kernels_level { kernels_level(rawValue: rawValue) }

  /// Floats of scratch that `attend` needs for a text of so many tokens.
  package static func attentionScratchCount(length: Int) -> Int {
    kernels_attention_scratch(length)
  }

  /// Layer norm of each row, in place; `columns` is a multiple of 16.
  package func norm(
    _ x: UnsafeMutablePointer<Float>, gain: UnsafePointer<Float>, offset: UnsafePointer<Float>,
    rows: Int, columns: Int
  ) {
    precondition(columns % 16 == 0, "\(columns) columns are no multiple of 16")
    kernels_norm(level, x, gain, offset, 1e-12, rows, columns)
  }

  /// Scaled dot-product attention of one text, heads of 32 floats.
  ///
  /// - Parameters:
  ///   - projected: `[length x 3 * headCount * 32]`: query, key and value side by side.
  ///   - scratch: `attentionScratchCount(length:)` floats.
  ///   - output: `[length x headCount * 32]`.
  package func attend(
    _ projected: UnsafePointer<Float>, length: Int, headCount: Int,
    scratch: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>
  ) {
    // 1 / sqrt(32)
    kernels_attention(level, projected, length, headCount, 0.176_776_695_3, scratch, output)
  }
}
