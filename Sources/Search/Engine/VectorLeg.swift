internal import Embedding
internal import LinearAlgebra

/// Services of a segment with their cosines, rising.
struct VectorMatches {
  var services: [UInt32] = []
  var cosines: [Float] = []
}

/// The vector score: a scan over the signs of all vectors, then exact products for the nearest.
///
/// An exact scan is bound by memory. Signs are a thirty-second of the bytes, and the nearest by signs hold the
/// nearest by cosine with near certainty when enough of them are rescored; `waypost bench vectors` measures it.
struct VectorLeg {
  let segment: Segment
  let scratch: SearchScratch
  /// The query's unit vector.
  let query: [Float]

  /// Up to this many services every product is exact and nothing is scanned first.
  static let exactCountMax = 4_096
  /// Rescored at least.
  static let rescoredMin = 2_048

  /// Exact cosines of the services that may be near: all allowed ones where these are few.
  ///
  /// - Parameter cut: Cosine that matters. While more than a quarter of what was rescored reaches it, more is.
  func nearest(allowed: Bitset, cut: Float) -> VectorMatches {
    let known = segment.hasVector == allowed ? allowed : segment.hasVector.intersection(allowed)
    let count = known.population
    scratch.reserve(segment.count)
    if count <= VectorLeg.exactCountMax { return rescored(known.integers) }
    var planes = [UInt64](repeating: 0, count: VectorLeg.planeCount * Segment.bitWordCount)
    SearchKernels.planes(
      of: query, dimension: Encoder.dimension, planeCount: VectorLeg.planeCount, into: &planes)
    SearchKernels.hamming(
      planes: planes, planeCount: VectorLeg.planeCount, rows: segment.vectorBits.base,
      wordCount: Segment.bitWordCount, count: segment.count, into: scratch.distances)
    var wanted = max(VectorLeg.rescoredMin, segment.count / 32)
    while true {
      let selected = SearchKernels.select(
        scratch.distances, allowed: known.words, count: segment.count, wanted: min(wanted, count),
        into: scratch.selected)
      let matches = rescored(
        Array(UnsafeBufferPointer(start: scratch.selected, count: selected)))
      guard wanted < count, matches.cosines.count(where: { $0 >= cut }) > selected / 4 else {
        return matches
      }
      wanted *= 4
    }
  }

  /// How many bits of each component of the query are compared with the services' signs.
  static let planeCount = 4

  /// Exact cosines of services, in their order.
  func rescored(_ services: [UInt32]) -> VectorMatches {
    let cosines = [Float](unsafeUninitializedCapacity: services.count) { buffer, filled in
      guard let base = buffer.baseAddress else { return }
      SearchKernels.dot(
        query, rows: segment.vectors.base, indexes: services, count: services.count,
        dimension: Encoder.dimension, into: base)
      filled = services.count
    }
    return VectorMatches(services: services, cosines: cosines)
  }
}
