package import Primitives
import Synchronization

/// A clock that stands until the test moves it.
package final class MovableClock: Sendable {
  private let moment: Mutex<Timestamp>

  package init(_ start: Timestamp) { moment = Mutex(start) }

  /// - Parameter milliseconds: The start, since the epoch.
  package convenience init(_ milliseconds: Int64) {
    self.init(Timestamp(milliseconds: milliseconds))
  }

  package var now: Timestamp { moment.withLock { $0 } }

  /// The clock as production code reads it.
  package var clock: Primitives.Clock { Primitives.Clock { self.now } }

  package func move(seconds: Int64 = 0, milliseconds: Int64 = 0) {
    moment.withLock { $0 = $0 + (seconds * 1_000 + milliseconds) }
  }

  /// Moves on to a time; never back.
  package func move(to time: Timestamp) { moment.withLock { $0 = max($0, time) } }
}

/// Random bytes that a seed decides.
private final class SeededBytes: Sendable {
  private let generator: Mutex<SplitMix64>

  init(seed: UInt64) { generator = Mutex(SplitMix64(seed: seed)) }

  func next(_ count: Int) -> [UInt8] {
    generator.withLock { generator -> [UInt8] in
      (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }
  }
}

extension RandomSource {
  /// The same bytes for the same seed.
  package static func seeded(_ seed: UInt64) -> RandomSource {
    let bytes = SeededBytes(seed: seed)
    return RandomSource { bytes.next($0) }
  }
}

/// The code of the refusal that the body throws, or nil where it succeeds.
package func awaitedRefusal<T>(of body: () async throws -> T) async throws -> ProblemCode? {
  do {
    _ = try await body()
    return nil
  } catch let refusal as Refusal {
    return refusal.code
  }
}
