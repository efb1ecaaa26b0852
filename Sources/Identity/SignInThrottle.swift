internal import Dispatch
internal import Primitives
internal import Synchronization

/// How often a password may be guessed. The rules alone: the shell says when, and waits.
///
/// An address that keeps failing at one account is refused there for a minute. An account that fails from many
/// addresses is never locked, for that would lock out its owner: its answers only take longer. An attempt counts from
/// its beginning: many sent at once are not more than the same many one after the other.
struct SignInThrottle: Sendable {
  static let pairWindow: Int64 = 60_000
  static let pairMax = 10
  static let accountWindow: Int64 = 900_000
  static let delayMax: Int64 = 2_000
  static let entryCountMax = 50_000

  private struct Entry {
    /// Failures since `since`.
    var count = 0
    /// Attempts whose end is not known yet.
    var running = 0
    var since: Timestamp

    mutating func age(_ window: Int64, at now: Timestamp) {
      if now - since >= window { (count, since) = (0, now) }
    }
  }

  private var pairs: [String: Entry] = [:]
  private var accounts: [String: Entry] = [:]

  /// Begins an attempt; `end` it, whatever comes of it.
  ///
  /// - Returns: Milliseconds to wait before the password is looked at.
  /// - Throws: `Refusal` `rate_limited` for an address that has failed too often at the account, or tries too often at
  ///   once; nothing has begun then.
  mutating func begin(
    account: String, address: String, at now: Timestamp
  ) throws(Refusal) -> Int64 {
    let name = SignInThrottle.pair(account, address)
    SignInThrottle.makeRoom(&pairs, window: SignInThrottle.pairWindow, at: now)
    SignInThrottle.makeRoom(&accounts, window: SignInThrottle.accountWindow, at: now)
    var pair = pairs[name] ?? Entry(since: now)
    pair.age(SignInThrottle.pairWindow, at: now)
    guard pair.count + pair.running < SignInThrottle.pairMax else {
      let isFull = pair.count >= SignInThrottle.pairMax
      let left = isFull ? SignInThrottle.pairWindow - (now - pair.since) : 1_000
      throw Refusal(
        .rateLimited, isFull ? "Too many failed sign-ins." : "Too many sign-ins at once.",
        retryAfterSeconds: Int((left + 999) / 1_000))
    }
    pair.running += 1
    pairs[name] = pair
    var whole = accounts[account] ?? Entry(since: now)
    whole.age(SignInThrottle.accountWindow, at: now)
    let over = Int64(max(0, whole.count + whole.running - SignInThrottle.pairMax))
    whole.running += 1
    accounts[account] = whole
    return min(over * 100, SignInThrottle.delayMax)
  }

  /// What came of an attempt.
  enum Outcome {
    /// The password was right: what the address has failed before is forgotten.
    case right
    /// It was wrong.
    case wrong
    /// It was not looked at.
    case none
  }

  mutating func end(
    _ outcome: Outcome, account: String, address: String, at now: Timestamp
  ) {
    let name = SignInThrottle.pair(account, address)
    SignInThrottle.end(name, outcome, in: &pairs, window: SignInThrottle.pairWindow, at: now)
    if outcome == .right, var pair = pairs[name] {
      pair.count = 0
      pairs[name] = pair.running > 0 ? pair : nil
    }
    SignInThrottle.end(
      account, outcome, in: &accounts, window: SignInThrottle.accountWindow, at: now)
  }

  private static func pair(_ account: String, _ address: String) -> String {
    address + " " + account
  }

  private static func end(
    _ name: String, _ outcome: Outcome, in entries: inout [String: Entry], window: Int64,
    at now: Timestamp
  ) {
    var entry = entries[name] ?? Entry(since: now)
    entry.age(window, at: now)
    entry.running = max(0, entry.running - 1)
    if outcome == .wrong {
      if entry.count == 0 { entry.since = now }
      entry.count += 1
    }
    entries[name] = entry.count == 0 && entry.running == 0 ? nil : entry
  }

  private static func makeRoom(
    _ entries: inout [String: Entry], window: Int64, at now: Timestamp
  ) {
    guard entries.count >= entryCountMax else { return }
    entries = entries.filter { $0.value.running > 0 || now - $0.value.since < window }
    // Forgetting is the lesser evil: the table itself must not grow without bound. Those that failed least go.
    guard entries.count >= entryCountMax else { return }
    entries = entries.filter { $0.value.running > 0 || $0.value.count > 1 }
    if entries.count >= entryCountMax { entries = entries.filter { $0.value.running > 0 } }
  }
}

extension Accounts {
  /// Looks at a password as the throttle allows it.
  ///
  /// - Parameter account: What the failures are counted by.
  /// - Throws: `Refusal` `rate_limited`, `storage_unavailable`.
  func throttled(
    account: String, address: String, _ look: () async throws -> Bool
  ) async throws -> Bool {
    let wait = try guesses.throttle.withLock { throttle throws(Refusal) in
      try throttle.begin(account: account, address: address, at: clock.now)
    }
    var outcome = SignInThrottle.Outcome.none
    defer {
      let (outcome, now) = (outcome, clock.now)
      guesses.throttle.withLock {
        $0.end(outcome, account: account, address: address, at: now)
      }
    }
    if wait > 0 { try await Task.sleep(for: .milliseconds(wait)) }
    let isRight = try await look()
    outcome = isRight ? .right : .wrong
    return isRight
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
