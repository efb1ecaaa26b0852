import Foundation
import Primitives
import Search

/// p50 and p95 of one round, or one figure for both.
struct BenchFigure: Sendable {
  let p50: Double
  let p95: Double

  init(p50: Double, p95: Double) {
    self.p50 = p50
    self.p95 = p95
  }

  init(_ sample: BenchSample) {
    self.init(p50: sample.percentile(0.5), p95: sample.percentile(0.95))
  }

  init(_ value: Double) { self.init(p50: value, p95: value) }
}

/// What a row has to reach; the table is in Pages/benchmarks.md.
enum BenchTarget: Sendable {
  /// Ours over the peer's, by the median of the rounds.
  case ratioAtMost(Double)
  case ratioAtLeast(Double)
  case atMost(p50: Double, p95: Double)
  case atLeast(Double)

  var words: String {
    switch self {
    case .ratioAtMost(let bound): "ratio <= " + BenchReport.short(bound)
    case .ratioAtLeast(let bound): "ratio >= " + BenchReport.short(bound)
    case .atMost(let p50, let p95) where p50 == p95: "<= " + BenchReport.short(p50)
    case .atMost(let p50, let p95):
      "p50 <= \(BenchReport.short(p50)), p95 <= \(BenchReport.short(p95))"
    case .atLeast(let bound): ">= " + BenchReport.short(bound)
    }
  }
}

/// One measured thing: rounds of ours, rounds of the peer's where there is one.
struct BenchRow: Sendable {
  let what: String
  /// Services.
  let size: Int
  let unit: String
  var ours: [BenchFigure] = []
  var peer: [BenchFigure] = []
  var target: BenchTarget?
  /// Facts beside the times.
  var facts: [(name: String, value: Double)] = []
  /// A fact without which the target is missed: its name, and where it has to lie.
  var condition: (name: String, range: ClosedRange<Double>)?
  /// Why the peer, or the whole row, was not measured.
  var skipped: String?

  init(_ what: String, size: Int, unit: String) {
    self.what = what
    self.size = size
    self.unit = unit
  }

  /// Ours over the peer's, round by round.
  var ratios: [Double] { zip(ours, peer).map { $0.p50 / $1.p50 } }

  var oursMedian: BenchFigure? { BenchRow.median(ours) }
  var peerMedian: BenchFigure? { BenchRow.median(peer) }

  /// Whether the target is reached; nil without target, or without what it compares.
  var isMet: Bool? {
    guard let target, let ours = oursMedian else { return nil }
    let reached: Bool
    switch target {
    case .ratioAtMost(let bound):
      guard !ratios.isEmpty else { return nil }
      reached = BenchRow.median(ratios) <= bound
    case .ratioAtLeast(let bound):
      guard !ratios.isEmpty else { return nil }
      reached = BenchRow.median(ratios) >= bound
    case .atMost(let p50, let p95): reached = ours.p50 <= p50 && ours.p95 <= p95
    case .atLeast(let bound): reached = ours.p50 >= bound
    }
    guard let condition else { return reached }
    return reached
      && facts.contains { $0.name == condition.name && condition.range.contains($0.value) }
  }

  static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    guard !sorted.isEmpty else { return .nan }
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }

  private static func median(_ figures: [BenchFigure]) -> BenchFigure? {
    guard !figures.isEmpty else { return nil }
    return BenchFigure(p50: median(figures.map(\.p50)), p95: median(figures.map(\.p95)))
  }

  var json: JSON {
    func figure(_ value: BenchFigure?) -> JSON {
      value.map { ["p50": BenchReport.number($0.p50), "p95": BenchReport.number($0.p95)] } ?? .null
    }
    return .object([
      "what": .string(what), "n": .number(size), "unit": .string(unit), "ours": figure(oursMedian),
      "peer": figure(peerMedian), "ratios": .array(ratios.map(BenchReport.number)),
      "target": .optional(target?.words), "met": isMet.map { .bool($0) } ?? .null,
      "facts": .object(
        facts.reduce(into: JSONObject()) { $0[$1.name] = BenchReport.number($1.value) }),
      "skipped": .optional(skipped),
    ])
  }
}

/// The table of a run.
enum BenchReport {
  private static let titles = [
    "what", "n", "unit", "ours p50", "p95", "peer p50", "p95", "ratio", "spread", "target", "",
  ]

  /// Prints rows: a table with its facts below, or an object a line.
  static func show(_ rows: [BenchRow], isJSON: Bool) {
    guard !isJSON else {
      for row in rows { Terminal.data(row.json.text) }
      return
    }
    let lines = [titles] + rows.map(cells)
    let widths = titles.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    for line in lines {
      let padded = zip(line, widths).map {
        $0.padding(toLength: $1, withPad: " ", startingAt: 0)
      }
      Terminal.data(padded.joined(separator: "  ").trimmingCharacters(in: .whitespaces))
    }
    for row in rows {
      if !row.facts.isEmpty {
        let facts = row.facts.map { "\($0.name) \(short($0.value))" }.joined(separator: ", ")
        Terminal.data("  \(row.what), \(row.size): \(facts)")
      }
      if let reason = row.skipped {
        Terminal.data("  \(row.what), \(row.size): skipped: \(reason)")
      }
    }
  }

  private static func cells(_ row: BenchRow) -> [String] {
    let ours = row.oursMedian
    let peer = row.peerMedian
    let ratios = row.ratios
    let spread = ratios.min().flatMap { low in
      ratios.max().map { "\(short(low))..\(short($0))" }
    }
    return [
      row.what, String(row.size), row.unit, ours.map { short($0.p50) } ?? "-",
      ours.map { short($0.p95) } ?? "-", peer.map { short($0.p50) } ?? "-",
      peer.map { short($0.p95) } ?? "-",
      ratios.isEmpty ? "-" : short(BenchRow.median(ratios)), spread ?? "-",
      row.target?.words ?? "-", row.isMet.map { $0 ? "met" : "missed" } ?? "",
    ]
  }

  /// Four digits that count.
  static func short(_ value: Double) -> String {
    guard value.isFinite else { return "-" }
    if abs(value) >= 1_000 || value == value.rounded() { return String(format: "%.0f", value) }
    return String(format: "%.4g", value)
  }

  static func number(_ value: Double) -> JSON {
    guard value.isFinite else { return .null }
    return .double(Double(String(format: "%.6g", value)) ?? value)
  }
}
