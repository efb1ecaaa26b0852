/// Spreads providers over the head of an order: one a provider first, among hits of about the same score.
///
/// A pure function of the whole order's head, never of a page, so that pages stay parts of one order.
package enum Diversifier {
  /// How many hits of the head take part; what follows stays as it is.
  package static let window = 100
  /// How far below the best hit that is left, as a share of its score, another may be to go before it.
  /// It bounds the loss: nobody is overtaken by a hit that is more than this much worse.
  package static let tolerance = 0.15

  /// The order in which to show hits.
  ///
  /// At each place the best score that is left opens a bucket of those within the tolerance; of them, the
  /// provider that was shown least goes first, and equal ones keep their order.
  /// - Parameters:
  ///   - scores: Scores of the order, falling; scores below 0 open a bucket of their own.
  ///   - providers: The provider of each.
  /// - Returns: A permutation of the indices.
  /// - Complexity: `window`² at most.
  package static func order<Provider: Hashable>(
    scores: [Double], providers: [Provider]
  ) -> [Int] {
    precondition(scores.count == providers.count, "one provider a score")
    var left = Array(scores.indices.prefix(window))
    var shown: [Provider: Int] = [:]
    var output: [Int] = []
    while !left.isEmpty {
      let best = left.reduce(-Double.infinity) { max($0, scores[$1]) }
      let least = best > 0 ? best * (1 - tolerance) : best
      var chosen = 0
      var fewest = Int.max
      for (place, index) in left.enumerated() where scores[index] >= least {
        let count = shown[providers[index], default: 0]
        if count < fewest { (chosen, fewest) = (place, count) }
      }
      let index = left.remove(at: chosen)
      shown[providers[index], default: 0] += 1
      output.append(index)
    }
    return output + Array(scores.indices.dropFirst(window))
  }
}
