internal import Embedding
internal import LinearAlgebra
internal import Primitives

// The two legs alone, as the peers are measured: nothing but the search itself is timed.
extension SearchBench {
  /// The ranked text leg: any term, the best 100 of all services, in order.
  ///
  /// A query's words are cut and its stop words left out beforehand; the terms are looked up, their idf computed, every
  /// posting added up and the best sorted inside of the time. Facts: `postings`, of a query on average.
  package func text(_ queries: [String]) -> BenchSample {
    var sample = BenchSample()
    var postingCount = 0
    let all = Bitset(count: segment.count, filled: true)
    for query in queries {
      let words = scratch.analyzer.queryTerms(query)
      let start = clock()
      let terms = words.map {
        QueryTerm(alternatives: [.init(text: $0, factor: 1)], idf: snapshot.idf($0))
      }
      let best = bestOfText(terms, all, count: 100)
      sample.note(nanoseconds: clock() - start)
      postingCount += best.isEmpty ? 0 : postings(of: terms)
    }
    sample.note("postings", Double(postingCount) / Double(max(queries.count, 1)))
    return sample
  }

  /// Services by falling score, ties by number.
  private func bestOfText(_ terms: [QueryTerm], _ all: Bitset, count: Int) -> [UInt32] {
    let matches = TextLeg(segment: segment, scratch: scratch).matches(
      terms, live: all, share: .greatestFiniteMagnitude, best: count, also: nil)
    // One whole number orders by falling score, then by rising number: scores are above 0, so their bits rise with them.
    var keys = zip(matches.scores, matches.documents).map { score, document in
      UInt64(~score.bitPattern) << 32 | UInt64(document)
    }
    keys.sort()
    return keys.map { UInt32(truncatingIfNeeded: $0) }
  }

  /// How many postings the terms and what else means them have.
  func postings(of terms: [QueryTerm]) -> Int {
    terms.reduce(0) { sum, term in
      sum
        + term.alternatives.reduce(0) { sum, alternative in
          sum + (segment.postings(alternative.text)?.services.count ?? 0)
        }
    }
  }

  /// The vector leg: the best ten of the services that a filter leaves, and how many of the exact ten they are.
  ///
  /// - Parameter share: What the filter leaves, 0...1 of the services, chosen by seed.
  /// - Returns: Facts `recall`, of the exact ten (or as many as there are); `bytes` of vectors read by a query; `allowed`.
  package func vectors(_ queries: [[Float]], share: Double, seed: UInt64 = 11) -> BenchSample {
    var sample = BenchSample()
    var random = SplitMix64(seed: seed)
    let bound = UInt64(share * Double(1 << 32))
    let allowed = Bitset(count: segment.count) { _ in random.next() >> 32 < bound }
    let wanted = min(10, allowed.population)
    var found: [Set<UInt32>] = []
    var byteCount = 0
    for query in queries {
      let start = clock()
      let leg = VectorLeg(segment: segment, scratch: scratch, query: query)
      // No cosine reaches the cut, so that the leg looks no further than for the best.
      let matches = leg.nearest(allowed: allowed, cut: 2)
      let best = SearchBench.best(matches.cosines, matches.services, count: wanted)
      sample.note(nanoseconds: clock() - start)
      found.append(Set(best))
      byteCount += bytesScanned(allowed: allowed, rescored: matches.services.count)
    }
    var hitCount = 0
    for (query, found) in zip(queries, found) {
      hitCount += found.intersection(exact(query, allowed, count: wanted)).count
    }
    let queryCount = Double(max(queries.count, 1))
    sample.note("recall", wanted > 0 ? Double(hitCount) / (Double(wanted) * queryCount) : 1)
    sample.note("bytes", Double(byteCount) / queryCount)
    sample.note("allowed", Double(allowed.population))
    return sample
  }

  /// Bytes of vectors that one query reads: the signs of all where there is a scan, the floats of what is rescored.
  func bytesScanned(allowed: Bitset, rescored: Int) -> Int {
    let isScanned = allowed.population > VectorLeg.exactCountMax
    let signs = isScanned ? segment.count * Segment.bitWordCount * MemoryLayout<UInt64>.size : 0
    return signs + rescored * Encoder.dimension * MemoryLayout<Float>.size
  }

  /// The best by the products of all floats, nothing left out.
  private func exact(_ query: [Float], _ allowed: Bitset, count: Int) -> Set<UInt32> {
    let services = allowed.integers
    let matches = VectorLeg(segment: segment, scratch: scratch, query: query).rescored(services)
    return Set(SearchBench.best(matches.cosines, services, count: count))
  }

  private static func best(_ values: [Float], _ services: [UInt32], count: Int) -> [UInt32] {
    guard count > 0, !values.isEmpty else { return [] }
    return [UInt32](unsafeUninitializedCapacity: count) { buffer, filled in
      guard let base = buffer.baseAddress else { return }
      filled = SearchKernels.best(values, count: values.count, wanted: count, into: base)
    }.sorted { (values[Int($1)], $0) < (values[Int($0)], $1) }.map { services[Int($0)] }
  }
}
