public import Primitives

/// What came of one attempt.
public enum WebhookOutcome: Sendable, Equatable {
  /// The receiver answered.
  ///
  /// - `retryAfterSeconds`: What its `Retry-After` asks for, if anything.
  case answered(status: Int, retryAfterSeconds: Int? = nil)
  /// There was no answer.
  case failed(Failure)
  /// It was not sent, for want of room on our side: no attempt at all.
  case notSent

  /// Why there was no answer; the raw value stands in the log.
  public enum Failure: String, Sendable, CaseIterable {
    /// Fifteen seconds were not enough.
    case timedOut = "timed_out"
    /// The host's address is one that webhooks do not go to.
    case addressRefused = "address_refused"
    /// No connection, a broken one, or a certificate that does not verify.
    case connection
    /// The endpoint's secret cannot be opened with the server's key: a rotation gives it a new one.
    case secretUnreadable = "secret_unreadable"
  }
}

/// When a delivery is tried, and when it is given up (specification core, 9.1). No clock, no storage.
public enum DeliverySchedule {
  /// Milliseconds from one attempt to the next: 75 h 35 min 5 s in all, jitter left out.
  public static let gaps: [Int64] = [
    5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000,
    86_400_000,
  ]
  /// The longest that `wait` gives, jitter included, in milliseconds.
  static let waitMax = gaps.reduce(0, max) * 11 / 10
  /// Attempts before a delivery is dead.
  public static let attemptsMax = gaps.count + 1
  /// The longest wait that a receiver's `Retry-After` is granted, in seconds.
  public static let retryAfterSecondsMax = 86_400
  /// The first pause of an endpoint that asks to slow down; it doubles with each such answer in a row.
  public static let pauseFirst: Int64 = 30_000
  /// The longest pause without a `Retry-After`.
  public static let pauseMax: Int64 = 3_600_000

  /// What is to be done after an attempt.
  public struct Decision: Sendable, Equatable {
    /// What becomes of the delivery.
    public enum Fate: Sendable, Equatable {
      case delivered
      /// Again, not before this moment.
      case retry(at: Timestamp)
      /// Never again by itself; the endpoint is disabled for this reason.
      case dead(DisableReason)
    }

    /// What becomes of the delivery.
    public let fate: Fate
    /// Until when nothing is sent to the endpoint, where it has asked for less.
    public let pausedUntil: Timestamp?
  }

  /// Why an endpoint is disabled; the raw value stands in the record.
  public enum DisableReason: String, Sendable, CaseIterable {
    /// Its owner said so.
    case owner
    /// It answered 410.
    case gone
    /// A delivery failed ten times.
    case deadLetter = "dead_letter"
    /// Too many deliveries wait for it.
    case overflow
  }

  /// What is to be done after an attempt.
  ///
  /// - Parameters:
  ///   - tries: Attempts of this delivery, this one included.
  ///   - slowdowns: Answers in a row that asked for less, before this one.
  ///   - noise: Random bits for the jitter: up to a tenth of the gap is added, never taken off.
  public static func decide(
    _ outcome: WebhookOutcome, tries: Int, slowdowns: Int, at now: Timestamp, noise: UInt64
  ) -> Decision {
    switch outcome {
    case .answered(let status, _) where (200...299).contains(status):
      return Decision(fate: .delivered, pausedUntil: nil)
    case .answered(410, _): return Decision(fate: .dead(.gone), pausedUntil: nil)
    case .notSent: return Decision(fate: .retry(at: now + 1_000), pausedUntil: nil)
    default: break
    }
    let pause = pause(after: outcome, slowdowns: slowdowns)
    let pausedUntil = pause.map { now + $0 }
    guard tries < attemptsMax else {
      return Decision(fate: .dead(.deadLetter), pausedUntil: pausedUntil)
    }
    let wait = wait(after: tries, noise: noise)
    return Decision(fate: .retry(at: now + max(wait, pause ?? 0)), pausedUntil: pausedUntil)
  }

  /// Milliseconds from the attempt of that number to the next.
  ///
  /// - Parameter noise: As for `decide`.
  static func wait(after tries: Int, noise: UInt64) -> Int64 {
    let gap = gaps[min(max(0, tries - 1), gaps.count - 1)]
    return gap + Int64(noise % UInt64(gap / 10 + 1))
  }

  /// Random bits for the jitter.
  static func noise(from random: RandomSource) -> UInt64 {
    random.bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// How long an endpoint is left alone after so many failures in a row, over all of its deliveries: one that is dead
  /// must not take up places all the time. A delivery that is alone keeps its schedule.
  public static func rest(failures: Int) -> Int64 {
    failures <= 5 ? 0 : failures <= 20 ? 30_000 : 300_000
  }

  /// How long the endpoint is left alone: what it asks for, else longer with each 429, 502 or 504 in a row.
  private static func pause(after outcome: WebhookOutcome, slowdowns: Int) -> Int64? {
    guard case .answered(let status, let seconds) = outcome else { return nil }
    if let seconds, status >= 400 {
      return Int64(min(max(seconds, 1), retryAfterSecondsMax)) * 1_000
    }
    guard [429, 502, 504].contains(status) else { return nil }
    return min(pauseMax, pauseFirst << Int64(min(max(slowdowns, 0), 10)))
  }
}
