internal import Dispatch
internal import Primitives
internal import Synchronization

/// How often a password may be guessed. The rules alone: the shell says when, and waits.
///
/// An address that keeps failing at one account is refused there for a minute. An account that fails from many
/// addresses is never locked, for that would lock out its owner: its answers only take longer.
struct SignInThrottle: Sendable {
  static let pairWindow: Int64 = 60_000
  static let pairMax = 10
  static let accountWindow: Int64 = 900_000
  static let delayMax: Int64 = 2_000
  static let entryCountMax = 50_000

  private struct Entry {
    var count: Int
    let since: Timestamp
  }

  private var pairs: [String: Entry] = [:]
  private var accounts: [String: Entry] = [:]

  /// Milliseconds to wait before the password is looked at.
  /// - Throws: `Refusal` `rate_limited` for an address that has failed too often at the account.
  mutating func delay(
    account: String, address: String, at now: Timestamp
  ) throws(Refusal) -> Int64 {
    if let pair = pairs[SignInThrottle.pair(account, address)], pair.count >= SignInThrottle.pairMax
    {
      let left = SignInThrottle.pairWindow - (now - pair.since)
      if left > 0 {
        throw Refusal(
          .rateLimited, "Too many failed sign-ins.", retryAfterSeconds: Int((left + 999) / 1_000))
      }
    }
    guard let entry = accounts[account], now - entry.since < SignInThrottle.accountWindow else {
      return 0
    }
    let over = Int64(max(0, entry.count - SignInThrottle.pairMax))
    return min(over * 100, SignInThrottle.delayMax)
  }

  mutating func failed(account: String, address: String, at now: Timestamp) {
    let pair = SignInThrottle.pair(account, address)
    SignInThrottle.count(pair, in: &pairs, window: SignInThrottle.pairWindow, at: now)
    SignInThrottle.count(account, in: &accounts, window: SignInThrottle.accountWindow, at: now)
  }

  mutating func succeeded(account: String, address: String) {
    pairs[SignInThrottle.pair(account, address)] = nil
  }

  private static func pair(_ account: String, _ address: String) -> String {
    address + " " + account
  }

  private static func count(
    _ name: String, in entries: inout [String: Entry], window: Int64, at now: Timestamp
  ) {
    if let known = entries[name], now - known.since < window {
      entries[name]?.count += 1
      return
    }
    if entries.count >= entryCountMax {
      entries = entries.filter { now - $0.value.since < window }
      // Forgetting is the lesser evil: the table itself must not grow without bound.
      if entries.count >= entryCountMax { entries = [:] }
    }
    entries[name] = Entry(count: 1, since: now)
  }
}

/// Hashes passwords one after the other, on a thread outside of Swift's pool: each takes 20 ms and 19 MiB.
final class PasswordLane: Sendable {
  static let waitingMax = 64

  private let queue = DispatchQueue(label: "waypost.passwords")
  private let waiting = Mutex(0)

  /// - Throws: `Refusal` `storage_unavailable` where too many wait.
  func run<T: Sendable>(_ work: @escaping @Sendable () -> T) async throws(Refusal) -> T {
    let isFull = waiting.withLock { waiting in
      if waiting < PasswordLane.waitingMax { waiting += 1 } else { return true }
      return false
    }
    if isFull {
      throw Refusal(.storageUnavailable, "Too many sign-ins wait.", retryAfterSeconds: 2)
    }
    let result = await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: work()) }
    }
    waiting.withLock { $0 -= 1 }
    return result
  }
}
