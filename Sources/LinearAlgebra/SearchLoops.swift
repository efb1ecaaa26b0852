internal import CKernels

/// The inner loops of search (`search_kernels.h`): scan of signs, selection, exact products, ranked text.
///
/// Pointers are the caller's promise: each has as many elements as the counts say.
package enum SearchLoops {
  /// The sign of each component (1 where above 0) of rows of a width that 64 divides, 64 to a word.
  package static func signBits(_ rows: [Float], columnCount: Int) -> [UInt64] {
    let count = rows.count / columnCount
    let words = search_words(columnCount)
    return [UInt64](unsafeUninitializedCapacity: count * words) { buffer, filled in
      search_sign_bits(rows, count, columnCount, buffer.baseAddress)
      filled = count * words
    }
  }

  /// A query as bit planes, the least weight first.
  package static func planes(of query: [Float], count: Int) -> [UInt64] {
    let words = search_words(query.count)
    return [UInt64](unsafeUninitializedCapacity: count * words) { buffer, filled in
      search_planes(query, query.count, count, buffer.baseAddress)
      filled = count * words
    }
  }

  /// Distances of a query's planes to `count` rows of signs; they fall as the product rises.
  package static func distances(
    _ planes: [UInt64], planeCount: Int, rows: UnsafePointer<UInt64>, words: Int, count: Int,
    into distances: UnsafeMutablePointer<UInt16>
  ) { search_hamming(planes, planeCount, rows, words, count, distances) }

  /// The allowed rows with the least distances, ties by row number, in rising order of row.
  /// - Returns: How many numbers were written: `wanted`, or all allowed ones where these are fewer.
  package static func select(
    _ distances: UnsafePointer<UInt16>, allowed: [UInt64], count: Int, wanted: Int,
    into rows: UnsafeMutablePointer<UInt32>
  ) -> Int { search_select(distances, allowed, count, wanted, rows) }

  /// The places of the greatest values, ties by place, in rising order of place.
  package static func best(_ values: [Float], count: Int) -> [Int] {
    let wanted = min(count, values.count)
    let places = [UInt32](unsafeUninitializedCapacity: max(wanted, 1)) { buffer, filled in
      filled = search_best(values, values.count, wanted, buffer.baseAddress)
    }
    return places.map { Int($0) }
  }

  /// The exact products of a query with some rows.
  package static func products(
    _ query: [Float], rows: UnsafePointer<Float>, indexes: [UInt32]
  ) -> [Float] {
    [Float](unsafeUninitializedCapacity: indexes.count) { buffer, filled in
      search_dot(query, rows, indexes, indexes.count, query.count, buffer.baseAddress)
      filled = indexes.count
    }
  }

  /// The postings of one form of a query term.
  package struct Postings {
    package var services: UnsafeBufferPointer<UInt32>
    package var impacts: UnsafeBufferPointer<Float>
    /// What the score gains is `weight * impact`; above 0.
    package var weight: Float
    /// What the matched share gains.
    package var share: Float
    /// Neighbours with one number are forms of one term: the best contribution counts, once.
    package var term: Int

    package init(
      services: UnsafeBufferPointer<UInt32>, impacts: UnsafeBufferPointer<Float>, weight: Float,
      share: Float, term: Int
    ) {
      self.services = services
      self.impacts = impacts
      self.weight = weight
      self.share = share
      self.term = term
    }
  }

  /// Which scored services belong to an answer.
  package struct Criteria {
    /// Services that there are, as bits.
    package var allowed: [UInt64]
    /// Services that belong where they have a term at all, as bits; empty for none.
    package var also: [UInt64]
    /// The matched share from which a service belongs.
    package var share: Float
    /// So many of the best by score belong, ties by number; at most 1,024.
    package var best: Int

    package init(allowed: [UInt64], also: [UInt64], share: Float, best: Int) {
      self.allowed = allowed
      self.also = also
      self.share = share
      self.best = best
    }
  }

  /// Scores every service that has a term and hands over those that belong, rising: numbers, scores, shares.
  ///
  /// - Parameter count: Services of the segment; `criteria` has a bit for each.
  /// - Complexity: One step a posting; memory of the matches only.
  package static func text<T>(
    _ postings: [Postings], count: Int, _ criteria: Criteria, _ workspace: TextWorkspace,
    _ body: (
      UnsafeBufferPointer<UInt32>, UnsafeBufferPointer<Float>, UnsafeBufferPointer<Float>
    ) -> T
  ) -> T {
    var lists = postings.map { list in
      search_postings(
        docs: list.services.baseAddress, impacts: list.impacts.baseAddress,
        count: list.services.count, weight: list.weight, share: list.share,
        term: UInt32(list.term), position: 0)
    }
    let capacity = min(count, postings.reduce(0) { $0 + $1.services.count })
    workspace.reserve(capacity)
    return criteria.allowed.withUnsafeBufferPointer { allowed in
      criteria.also.withUnsafeBufferPointer { also in
        var rule = search_criteria(
          allowed: allowed.baseAddress, also: also.isEmpty ? nil : also.baseAddress,
          share_least: criteria.share, floor: min(criteria.best, Int(SEARCH_FLOOR_MAX)))
        var matches = search_matches(
          docs: workspace.services.baseAddress, scores: workspace.scores.baseAddress,
          shares: workspace.shares.baseAddress, capacity: capacity, count: 0)
        // The capacity is what the header asks for, so that the answer always fits.
        _ = search_text(&lists, lists.count, count, &rule, workspace.accumulators, &matches)
        return body(
          UnsafeBufferPointer(rebasing: workspace.services[..<matches.count]),
          UnsafeBufferPointer(rebasing: workspace.scores[..<matches.count]),
          UnsafeBufferPointer(rebasing: workspace.shares[..<matches.count]))
      }
    }
  }
}

/// Buffers of the ranked text loop; one search at a time.
package final class TextWorkspace {
  fileprivate let accumulators: UnsafeMutablePointer<search_workspace>
  fileprivate var services = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: 0)
  fileprivate var scores = UnsafeMutableBufferPointer<Float>.allocate(capacity: 0)
  fileprivate var shares = UnsafeMutableBufferPointer<Float>.allocate(capacity: 0)

  package init() {
    accumulators = .allocate(capacity: 1)
    UnsafeMutableRawPointer(accumulators)
      .initializeMemory(as: UInt8.self, repeating: 0, count: MemoryLayout<search_workspace>.size)
  }

  deinit {
    accumulators.deallocate()
    release()
  }

  fileprivate func reserve(_ count: Int) {
    guard count > services.count else { return }
    release()
    services = .allocate(capacity: count)
    scores = .allocate(capacity: count)
    shares = .allocate(capacity: count)
  }

  private func release() {
    services.deallocate()
    scores.deallocate()
    shares.deallocate()
  }
}
