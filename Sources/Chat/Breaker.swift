internal import Primitives

/// Keeps turns from a model's server that fails (chat.md 4.8): it opens when half of the recent calls failed,
/// and after 30 s lets one call through to see.
struct Breaker: Sendable {
  static let openMilliseconds: Int64 = 30_000
  private static let recentMax = 6
  private static let recentMin = 4

  private var recent: [Bool] = []
  /// Until when no call goes through; nil while the breaker is closed.
  private var openUntil: Timestamp?
  private var isProbing = false

  /// Whether a call would go through now.
  func admits(at now: Timestamp) -> Bool {
    guard let openUntil else { return true }
    return openUntil <= now && !isProbing
  }

  /// Lets a call through, or not. Who got through says with `end` how it went.
  mutating func begin(at now: Timestamp) -> Bool {
    guard admits(at: now) else { return false }
    isProbing = openUntil != nil
    return true
  }

  /// - Parameter isGood: nil where the end says nothing of the server.
  mutating func end(_ isGood: Bool?, at now: Timestamp) {
    guard openUntil == nil else {
      isProbing = false
      if isGood == true { self = Breaker() }
      if isGood == false { openUntil = now + Breaker.openMilliseconds }
      return
    }
    guard let isGood else { return }
    recent.append(isGood)
    if recent.count > Breaker.recentMax { recent.removeFirst() }
    let bad = recent.count { !$0 }
    if recent.count >= Breaker.recentMin, bad * 2 >= recent.count {
      openUntil = now + Breaker.openMilliseconds
      recent = []
    }
  }
}
