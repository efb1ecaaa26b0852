internal import Primitives
internal import Synchronization

/// Token buckets by caller: a minute's allowance that refills evenly.
final class RateLimiter: Sendable {
  struct Verdict {
    let isAllowed: Bool
    let remaining: Int64
    /// Seconds until the next request is allowed, or until the bucket is full.
    let resetSeconds: Int64
  }

  private struct Bucket {
    /// Thousandths of a request.
    var level: Int64
    var updated: Int64
  }

  static let bucketCountMax = 100_000
  let name: String
  let perMinute: Int64
  private let buckets = Mutex<[String: Bucket]>([:])

  init(name: String, perMinute: Int) {
    self.name = name
    self.perMinute = Int64(perMinute)
  }

  /// Counts one request of a caller; with `isCounted` false only looks.
  ///
  /// - Parameter own: The caller's own allowance, where it has one.
  func take(
    _ caller: String, at now: Timestamp, isCounted: Bool = true, perMinute own: Int64? = nil
  ) -> Verdict {
    let perMinute = own ?? self.perMinute
    let full = perMinute * 1_000
    return buckets.withLock { buckets in
      if buckets.count >= RateLimiter.bucketCountMax {
        // A full bucket is the same as none: only callers in debt are remembered.
        buckets = buckets.filter { now.milliseconds - $0.value.updated < 60_000 }
        if buckets.count >= RateLimiter.bucketCountMax { buckets = [:] }
      }
      var bucket = buckets[caller] ?? Bucket(level: full, updated: now.milliseconds)
      let gained = min(60_000, max(0, now.milliseconds - bucket.updated)) * perMinute / 60
      bucket.level = min(full, bucket.level + gained)
      bucket.updated = now.milliseconds
      let isAllowed = bucket.level >= 1_000
      if isAllowed, isCounted { bucket.level -= 1_000 }
      buckets[caller] = bucket
      let missing = isAllowed ? full - bucket.level : 1_000 - bucket.level
      let reset = (missing * 60 + perMinute * 1_000 - 1) / max(perMinute * 1_000, 1)
      return Verdict(
        isAllowed: isAllowed, remaining: bucket.level / 1_000, resetSeconds: max(1, reset))
    }
  }

  var policy: String { "\"\(name)\";q=\(perMinute);w=60" }
}
