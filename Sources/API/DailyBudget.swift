internal import Primitives
internal import Synchronization

/// What each caller may use of something in a day (UTC): bytes that are stored, tokens of the model.
final class DailyBudget: Sendable {
  private struct State {
    var day: Int64 = 0
    var used: [String: Int] = [:]
  }

  static let callerCountMax = 100_000
  static let daySeconds: Int64 = 86_400
  /// What the policy is called.
  let name: String
  /// Units a caller; 0 where there is no bound.
  let countMax: Int
  private let state = Mutex(State())

  init(name: String, countMax: Int) {
    self.name = name
    self.countMax = countMax
  }

  /// What a caller has left today, or nil where there is no bound.
  func verdict(_ caller: String, at now: Timestamp) -> RateLimiter.Verdict? {
    guard countMax > 0 else { return nil }
    let left = countMax - today(now) { $0[caller] ?? 0 }
    return RateLimiter.Verdict(
      isAllowed: left > 0, remaining: Int64(max(0, left)),
      resetSeconds: DailyBudget.daySeconds - now.seconds % DailyBudget.daySeconds, name: name,
      quota: Int64(countMax), windowSeconds: DailyBudget.daySeconds)
  }

  /// Counts what a caller has used.
  func add(_ count: Int, for caller: String, at now: Timestamp) {
    today(now) { used in
      // Forgetting is the lesser evil: the table itself must not grow without bound.
      if used.count >= DailyBudget.callerCountMax, used[caller] == nil { used = [:] }
      used[caller, default: 0] += count
    }
  }

  private func today<T>(_ now: Timestamp, _ body: (inout [String: Int]) -> T) -> T {
    state.withLock { state in
      let day = now.seconds / DailyBudget.daySeconds
      if state.day != day { state = State(day: day) }
      return body(&state.used)
    }
  }
}
