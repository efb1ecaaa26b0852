/// How much of what a caller uses in a month, by the meter that a price counts.
package struct UsageProfile: Sendable, Equatable {
  /// The most of one meter in a month.
  package static let countMax: Int64 = 1_000_000_000_000
  /// The most months.
  package static let monthsMax: Int64 = 120
  /// The most meters.
  package static let meterMax = 20

  /// What requests call a meter, and what prices call it.
  package static let names: [(request: String, meter: String)] = [
    ("promptTokens", "inputToken"), ("completionTokens", "outputToken"), ("calls", "call"),
    ("images", "image"), ("minutes", "minute"), ("characters", "character"),
    ("seats", "seatMonth"), ("gigabytes", "gigabyte"),
  ]

  /// Counts of a month by meter; a meter that is absent is not used.
  package var counts: [String: Int64]
  /// How many such months.
  package var months: Int64

  /// A profile; counts must lie in 0...`countMax`, months in 1...`monthsMax`.
  package init(_ counts: [String: Int64], months: Int64 = 1) {
    precondition(
      counts.values.allSatisfy { (0...UsageProfile.countMax).contains($0) }
        && (1...UsageProfile.monthsMax).contains(months), "a usage outside its limits")
    self.counts = counts
    self.months = months
  }

  /// The meters that are used, sorted by name, with their counts above 0.
  package var used: [(meter: String, count: Int64)] {
    counts.filter { $0.value > 0 }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// What a request calls a meter.
  package static func requestName(of meter: String) -> String {
    names.first { $0.meter == meter }?.request ?? meter
  }
}
