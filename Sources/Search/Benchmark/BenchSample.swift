/// The times of one measurement, and facts that belong to it.
package struct BenchSample: Sendable {
  /// Milliseconds of each run, in order.
  package private(set) var milliseconds: [Double] = []
  /// What else was counted, by name, in order.
  package private(set) var facts: [(name: String, value: Double)] = []

  package init() {}

  /// Notes the time of one run in nanoseconds.
  package mutating func note(nanoseconds: Int64) {
    milliseconds.append(Double(nanoseconds) / 1e6)
  }

  /// Notes a fact.
  package mutating func note(_ name: String, _ value: Double) { facts.append((name, value)) }

  /// The time below which a share of the runs stays, 0...1; NaN where nothing ran.
  ///
  /// The same rule as the peers' scripts: the element at `share * count`, cut to a place.
  package func percentile(_ share: Double) -> Double {
    guard !milliseconds.isEmpty else { return .nan }
    let place = Int(share * Double(milliseconds.count))
    return milliseconds.sorted()[min(place, milliseconds.count - 1)]
  }
}

/// Nanoseconds of a clock that only rises; injected, as every clock is.
package typealias BenchClock = @Sendable () -> Int64
