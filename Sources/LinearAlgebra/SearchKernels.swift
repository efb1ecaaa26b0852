internal import CKernels

/// The inner loops of search over raw buffers: vectors as bits, selection, exact products, ranked text.
///
/// Shapes are the caller's promise; nothing is allocated; an output overlaps no input unless said. Rows
/// are contiguous, row and document numbers below 2^31, floats finite. Any thread may call.
package enum SearchKernels {
  /// The instruction sets, each with all of the one before.
  package enum Level: Int32, CaseIterable, Sendable {
    case portable, avx2, avx512
  }

  /// The level in use: the processor's best, or the limit where that is lower.
  package static var level: Level { Level(rawValue: search_kernels_level()) ?? .portable }

  /// Uses no level above this one on this thread, from the next call on; for tests.
  package static func limit(_ level: Level) { search_kernels_limit(level.rawValue) }

  /// 64-bit words of one row of so many bits.
  package static func wordCount(dimension: Int) -> Int { search_words(dimension) }

  /// The signs of vectors: a bit is 1 where its component is above 0.
  ///
  /// - Parameters:
  ///   - rows: `[count x dimension]`.
  ///   - bits: Receives `[count x wordCount]`; component c is bit c % 64 of word c / 64.
  package static func signBits(
    _ rows: UnsafePointer<Float>, count: Int, dimension: Int,
    into bits: UnsafeMutablePointer<UInt64>
  ) { search_sign_bits(rows, count, dimension, bits) }

  /// How many bit planes a query can have.
  package static let planeCountMax = Int(SEARCH_PLANES_MAX)

  /// A query as bit planes, the least weight first; one plane is its signs.
  ///
  /// - Parameters:
  ///   - planeCount: 1...4.
  ///   - planes: Receives `[planeCount x wordCount]`.
  package static func planes(
    of query: UnsafePointer<Float>, dimension: Int, planeCount: Int,
    into planes: UnsafeMutablePointer<UInt64>
  ) { search_planes(query, dimension, planeCount, planes) }

  /// The weighted Hamming distance of every row to a query: Hamming's own with one plane; with more, one
  /// that falls as the product of the query with the row's signs rises.
  ///
  /// - Parameters:
  ///   - rows: `[count x wordCount]`.
  ///   - distances: Receives `count` distances, each at most (2^planeCount - 1) x 64 x wordCount,
  ///     which must be below 65,536.
  /// - Complexity: bound by memory at 6 words with AVX-512.
  package static func hamming(
    planes: UnsafePointer<UInt64>, planeCount: Int, rows: UnsafePointer<UInt64>, wordCount: Int,
    count: Int, into distances: UnsafeMutablePointer<UInt16>
  ) { search_hamming(planes, planeCount, rows, wordCount, count, distances) }

  /// From here on all distances count as one for `select`.
  package static let distanceMax = UInt16(SEARCH_DISTANCE_MAX)

  /// The allowed rows with the least distances, ties by row number, in rising row order.
  ///
  /// - Parameters:
  ///   - allowed: A bitset of `count` bits, or nil for all rows.
  ///   - out: Receives the row numbers; room for min(wanted, count).
  /// - Returns: min(wanted, allowed rows), the numbers written.
  package static func select(
    _ distances: UnsafePointer<UInt16>, allowed: UnsafePointer<UInt64>?, count: Int, wanted: Int,
    into out: UnsafeMutablePointer<UInt32>
  ) -> Int { search_select(distances, allowed, count, wanted, out) }

  /// The positions of the greatest values, ties by position, in rising order of position.
  ///
  /// - Parameter out: Room for min(wanted, count).
  /// - Returns: min(wanted, count).
  package static func best(
    _ values: UnsafePointer<Float>, count: Int, wanted: Int, into out: UnsafeMutablePointer<UInt32>
  ) -> Int { search_best(values, count, wanted, out) }

  /// The products of a query with gathered rows, or with all where `indexes` is nil.
  ///
  /// A row's product has the same bits wherever it is asked for on one machine.
  package static func dot(
    _ query: UnsafePointer<Float>, rows: UnsafePointer<Float>, indexes: UnsafePointer<UInt32>?,
    count: Int, dimension: Int, into out: UnsafeMutablePointer<Float>
  ) { search_dot(query, rows, indexes, count, dimension, out) }
}
