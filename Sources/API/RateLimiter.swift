package import Primitives
internal import Synchronization

/// Token buckets by caller: an allowance for a window of time, which refills evenly.
///
/// A bucket is kept as its debt, which falls by itself: nothing is rounded, so a caller who asks often loses
/// nothing. A caller without debt is not remembered.
package final class RateLimiter: Sendable {
  /// What a caller has left of a policy.
  package struct Verdict: Sendable, Equatable {
    package let isAllowed: Bool
    /// Requests that are left, or what else the policy counts.
    package let remaining: Int64
    /// Seconds until the next request is allowed, or until the bucket is full.
    package let resetSeconds: Int64
    /// The policy.
    package let name: String
    package let quota: Int64
    package let windowSeconds: Int64

    /// The policy, as `RateLimit-Policy` names it.
    package var policy: String { "\"\(name)\";q=\(quota);w=\(windowSeconds)" }

    /// What is left of it, as `RateLimit` says it.
    package var state: String { "\"\(name)\";r=\(remaining);t=\(resetSeconds)" }

    /// Whether less of this policy is left than of another: a refusal has nothing left.
    func isNearer(than other: Verdict) -> Bool {
      if isAllowed != other.isAllowed { return !isAllowed }
      // As shares of their quotas, which are at most 10^12 and so fit when multiplied in 128 bits.
      return Int128(remaining) * Int128(other.quota) < Int128(other.remaining) * Int128(quota)
    }
  }

  private struct Bucket {
    /// A request costs the window's milliseconds; a millisecond pays back the quota.
    var debt: Int64
    var updated: Int64

    func debt(at now: Int64, quota: Int64) -> Int64 {
      let paid = max(0, now - updated).multipliedReportingOverflow(by: quota)
      return paid.overflow ? 0 : max(0, debt - paid.partialValue)
    }
  }

  /// The most callers in debt that are remembered.
  package static let callerCountMax = 100_000
  package let name: String
  /// Requests of a window; 0 lifts the limit.
  package let quota: Int64
  package let windowSeconds: Int64
  private let callerCountMax: Int
  private let buckets = Mutex<[String: Bucket]>([:])

  /// - Parameters:
  ///   - quota: At most 1,000,000 a window; 0 for no limit.
  ///   - windowSeconds: 1 to 86,400.
  package init(
    name: String, quota: Int, windowSeconds: Int = 60,
    callerCountMax: Int = RateLimiter.callerCountMax
  ) {
    self.name = name
    self.quota = Int64(quota)
    self.windowSeconds = Int64(windowSeconds)
    self.callerCountMax = callerCountMax
  }

  package convenience init(name: String, perMinute: Int) {
    self.init(name: name, quota: perMinute)
  }

  /// Counts one request of a caller; with `isCounted` false only looks.
  ///
  /// - Parameter own: The caller's own allowance of a minute, where it has one; its window is a minute then.
  package func take(
    _ caller: String, at now: Timestamp, isCounted: Bool = true, perMinute own: Int64? = nil
  ) -> Verdict {
    let quota = own ?? self.quota
    let cost = (own == nil ? windowSeconds : 60) * 1_000
    let capacity = quota * cost
    return buckets.withLock { buckets in
      var debt = buckets[caller]?.debt(at: now.milliseconds, quota: quota) ?? 0
      let isAllowed = debt + cost <= capacity
      if isAllowed, isCounted {
        debt += cost
        if buckets[caller] == nil { makeRoom(&buckets, at: now.milliseconds) }
        buckets[caller] = Bucket(debt: debt, updated: now.milliseconds)
      }
      let missing = isAllowed ? debt : debt + cost - capacity
      let perSecond = max(1, quota * 1_000)
      return Verdict(
        isAllowed: isAllowed, remaining: max(0, (capacity - debt) / cost),
        resetSeconds: max(1, (missing + perSecond - 1) / perSecond), name: name, quota: quota,
        windowSeconds: own == nil ? windowSeconds : 60)
    }
  }

  /// How many callers are remembered.
  package var callerCount: Int { buckets.withLock { $0.count } }

  /// Forgets who owes nothing any more and then, where that is not enough, the tenth that owes least: callers of a
  /// flood of addresses go before those who have used their allowance up.
  private func makeRoom(_ buckets: inout [String: Bucket], at now: Int64) {
    guard buckets.count >= callerCountMax else { return }
    buckets = buckets.filter { $0.value.debt(at: now, quota: quota) > 0 }
    guard buckets.count > callerCountMax / 10 * 9 else { return }
    let debts = buckets.values.map { $0.debt(at: now, quota: quota) }.sorted()
    let place = min(debts.count - 1, callerCountMax / 10)
    var excess = buckets.count - callerCountMax / 10 * 9
    buckets = buckets.filter { bucket in
      guard excess > 0, bucket.value.debt(at: now, quota: quota) <= debts[place] else {
        return true
      }
      excess -= 1
      return false
    }
  }
}
