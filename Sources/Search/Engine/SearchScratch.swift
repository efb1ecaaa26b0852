internal import LinearAlgebra
internal import Synchronization

/// What one search needs beside the snapshot: a tokenizer and buffers, kept for the next search.
///
/// Making them anew would cost more than the search: the tokenizer opens a private connection, and fresh
/// memory faults page by page.
final class SearchScratch: @unchecked Sendable {
  // Safe to share: the pool hands it to one search at a time, and takes it back when that search has ended.
  let analyzer: Analyzer
  /// The terms of the stop words.
  let stopTerms: [String]
  /// Accumulators of the text leg, a block of services at a time.
  let text = TextKernel()
  /// Distances of the vector leg by service.
  private(set) var distances = UnsafeMutablePointer<UInt16>.allocate(capacity: 1)
  /// Selected services, rising.
  private(set) var selected = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
  private var capacity = 1

  init() throws {
    analyzer = try Analyzer(weights: RankingConfiguration.shipped.fields)
    stopTerms = analyzer.stopTerms()
  }

  deinit { release() }

  /// Makes room for a segment of that many services.
  func reserve(_ count: Int) {
    guard count > capacity else { return }
    release()
    capacity = count
    distances = .allocate(capacity: count)
    selected = .allocate(capacity: count)
  }

  private func release() {
    distances.deallocate()
    selected.deallocate()
  }
}

/// Scratches at rest.
final class ScratchPool: Sendable {
  private let idle = Mutex<[SearchScratch]>([])
  /// More than this many at rest are let go.
  private static let idleMax = 16

  /// Runs a search with a scratch of its own.
  func with<T>(_ body: (SearchScratch) throws -> T) throws -> T {
    let scratch = try idle.withLock { $0.popLast() } ?? SearchScratch()
    defer {
      idle.withLock { if $0.count < ScratchPool.idleMax { $0.append(scratch) } }
    }
    return try body(scratch)
  }
}
