internal import Primitives
internal import Synchronization

/// Bytes that callers may leave in the record in a day (UTC), counted by name.
final class DailyBudget: Sendable {
  private struct State {
    var day: Int64 = 0
    var used: [String: Int] = [:]
  }

  static let callerCountMax = 100_000
  /// Bytes a caller; 0 where there is no bound.
  let byteCountMax: Int
  private let state = Mutex(State())

  init(byteCountMax: Int) { self.byteCountMax = byteCountMax }

  /// - Throws: `Refusal` `rate_limited` until the next day, where the caller has used its bytes up.
  func require(_ caller: String, at now: Timestamp) throws(Refusal) {
    let used = today(now) { $0[caller] ?? 0 }
    guard byteCountMax > 0, used >= byteCountMax else { return }
    throw Refusal(
      .rateLimited, "This address has stored enough for a day; sign in to go on.",
      retryAfterSeconds: Int(86_400 - now.seconds % 86_400))
  }

  /// Counts what a caller has stored.
  func add(_ byteCount: Int, for caller: String, at now: Timestamp) {
    today(now) { used in
      // Forgetting is the lesser evil: the table itself must not grow without bound.
      if used.count >= DailyBudget.callerCountMax, used[caller] == nil { used = [:] }
      used[caller, default: 0] += byteCount
    }
  }

  private func today<T>(_ now: Timestamp, _ body: (inout [String: Int]) -> T) -> T {
    state.withLock { state in
      if state.day != now.seconds / 86_400 { state = State(day: now.seconds / 86_400) }
      return body(&state.used)
    }
  }
}
