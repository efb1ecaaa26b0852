internal import Synchronization

/// Counts for Prometheus, in its text format 0.0.4.
package final class Metrics: Sendable {
  private struct Series {
    var count: [String: Int64] = [:]
    var microseconds: [String: Int64] = [:]
  }

  private let series = Mutex(Series())

  package init() {}

  func count(route: String, status: Int, microseconds: Int64) {
    series.withLock { series in
      series.count["route=\"\(route)\",status=\"\(status)\"", default: 0] += 1
      series.microseconds["route=\"\(route)\"", default: 0] += microseconds
    }
  }

  func text(gauges: [(name: String, help: String, value: Int64)]) -> String {
    let (count, microseconds) = series.withLock { ($0.count, $0.microseconds) }
    var lines = [
      "# HELP waypost_requests_total Requests answered.", "# TYPE waypost_requests_total counter",
    ]
    lines += count.sorted { $0.key < $1.key }.map {
      "waypost_requests_total{\($0.key)} \($0.value)"
    }
    lines += [
      "# HELP waypost_request_microseconds_total Time spent answering.",
      "# TYPE waypost_request_microseconds_total counter",
    ]
    lines += microseconds.sorted { $0.key < $1.key }
      .map { "waypost_request_microseconds_total{\($0.key)} \($0.value)" }
    return lines.joined(separator: "\n") + "\n" + Metrics.text(of: gauges)
  }

  static func text(of gauges: [(name: String, help: String, value: Int64)]) -> String {
    gauges.map { gauge in
      """
      # HELP \(gauge.name) \(gauge.help)
      # TYPE \(gauge.name) gauge
      \(gauge.name) \(gauge.value)

      """
    }.joined()
  }
}
