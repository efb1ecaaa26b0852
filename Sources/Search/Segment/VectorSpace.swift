internal import Embedding
internal import Index
internal import Primitives

/// The space in which needs and services are compared: the model's vectors, centred, and, where a marketplace has
/// been learnt, mapped.
///
/// All vectors of a model share a common part that says nothing. Taken off the services it is the mean of the
/// catalog, taken off the needs the mean of needs (Mu and Viswanath, 2018, for centring; measured in Pages/ranking.md).
struct VectorSpace: Sendable {
  /// Mean of the catalog's vectors, 384 floats.
  let mean: [Float]
  /// The learnt map, or nil.
  let adapter: Adapter?

  /// The mean vector of needs.
  static let needMean: [Float] = {
    let values = ((try? JSON.parse(IndexFiles.needMean))?.array ?? []).compactMap(\.double)
    precondition(values.count == Encoder.dimension, "Index/need-mean.json has 384 numbers")
    return values.map { Float($0) }
  }()

  /// The mean of unit vectors; with few of them drawn to zero, since they say little of what is common.
  static func mean(of vectors: [Float], known: [Int]) -> [Float] {
    var sums = [Double](repeating: 0, count: Encoder.dimension)
    for index in known {
      for place in 0..<Encoder.dimension {
        sums[place] += Double(vectors[index * Encoder.dimension + place])
      }
    }
    return sums.map { Float($0 / Double(known.count + 50)) }
  }

  /// The unit vectors of services, in place: `count x 384`.
  func transform(services vectors: inout [Float], known: [Int]) {
    for index in known {
      let range = index * Encoder.dimension..<(index + 1) * Encoder.dimension
      var vector = zip(vectors[range], mean).map { $0 - $1 }
      VectorSpace.normalize(&vector)
      if let adapter { vector = adapter.applied(to: vector) }
      vectors.replaceSubrange(range, with: vector)
    }
  }

  /// What is multiplied with the services' vectors for a need.
  func query(_ vector: [Float]) -> [Float] {
    var query = zip(vector, VectorSpace.needMean).map { $0 - $1 }
    guard let adapter else { return query }
    // The map turns the need; how long it is stays, for the text score is weighed against it.
    let length = VectorSpace.normalize(&query)
    return adapter.applied(to: query).map { $0 * length }
  }

  /// - Returns: The length it had.
  @discardableResult
  private static func normalize(_ vector: inout [Float]) -> Float {
    let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
    guard length > 0 else { return 0 }
    for place in vector.indices { vector[place] /= length }
    return length
  }
}
