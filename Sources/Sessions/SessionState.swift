public import Primitives

/// The kind of a session's id, for `ID`.
public enum SessionKind: Sendable {}

/// The numbers of specification core, 3.1, in milliseconds.
public enum SessionNumbers {
  /// A launch token's first redemption.
  public static let redeemWithin: Int64 = 300_000
  /// No activity for more than this pauses.
  public static let idleMax: Int64 = 120_000
  /// No activity for more than this ends.
  public static let abandonedAfter: Int64 = 1_800_000
  /// The warning comes this long before the end.
  public static let warnBefore: Int64 = 300_000
  /// The longest a session may last on the wall's clock.
  public static let wallClockCap: Int64 = 86_400_000
  /// How long the hold lasts: past every deadline of the session.
  public static let holdFor: Int64 = 86_400_000 + 600_000
  /// The bounds of a session's length.
  public static let durations: ClosedRange<Int64> = 300_000...10_800_000
}

/// What active time costs: integers only, and the same for every split into ticks (L6).
public enum Metering {
  /// floor(rate x milliseconds / 3,600,000), with a 128-bit intermediate.
  ///
  /// - Parameter ratePerHour: Microtokens an hour, at most 10^15.
  public static func charge(ratePerHour: Int64, milliseconds: Int64) -> Int64 {
    let wide = ratePerHour.multipliedFullWidth(by: milliseconds)
    return Int64(3_600_000).dividingFullWidth(wide).quotient
  }

  /// floor(amount x basis points / 10,000), with a 128-bit intermediate: the platform's share of a capture.
  ///
  /// - Parameter basisPoints: 0 to 10,000.
  public static func share(of amount: Int64, basisPoints: Int64) -> Int64 {
    Int64(10_000).dividingFullWidth(amount.multipliedFullWidth(by: basisPoints)).quotient
  }
}

/// The rules of one session (specification core, 3.2). No clock, no storage: same inputs, same outputs.
public struct SessionState: Sendable, Equatable {
  /// Where a session is.
  public enum Phase: String, Sendable, CaseIterable {
    case pending, active, paused, completed, failed, expired
    /// Whether it has ended.
    public var isTerminal: Bool { self == .completed || self == .failed || self == .expired }
  }

  /// What happens to a session from outside.
  public enum Event: Sendable, Equatable {
    /// The launch token was redeemed.
    case validate
    /// A sign of life with its number; only an active one is activity.
    case heartbeat(seq: Int64, isActive: Bool)
    case pause
    case resume
    /// A normal end by the user or the provider.
    case complete(by: String)
    /// The provider reports a fault.
    case fail
    /// The user or an admin takes it back.
    case revoke
    /// The user buys so many milliseconds more.
    case extend(by: Int64)
    /// The provider's reports have used up the holds.
    case deplete
  }

  /// How a session is paid for.
  public enum Plan: String, Sendable, CaseIterable {
    /// By the platform, by the hour.
    case trial
    /// By the user, by the hour.
    case hourly
    /// By the user, by what the provider reports.
    case usage
  }

  /// What the shell must do in the same transaction.
  public enum Effect: Sendable, Equatable {
    /// Capture the charge, release the rest.
    case settle
    /// Release everything.
    case release
    /// Put an event in the outbox, as of this moment.
    case emit(String, at: Int64)
  }

  /// The phase.
  public private(set) var phase: Phase = .pending
  /// Why the phase is what it is, where there is a reason.
  public private(set) var reason: String?
  /// How it is paid for.
  public let plan: Plan
  /// Microtokens an hour; 0 where use is reported.
  public let ratePerHour: Int64
  /// The paid length, extensions included.
  public private(set) var duration: Int64
  /// When it was made.
  public let createdAt: Int64
  /// When it was redeemed.
  public private(set) var startedAt: Int64?
  /// The last activity; time before it is metered, time after it not yet.
  public private(set) var lastActivity: Int64?
  /// When the present pause began.
  public private(set) var pausedAt: Int64?
  /// Pauses that are over.
  public private(set) var pausedTotal: Int64 = 0
  /// Metered time.
  public private(set) var active: Int64 = 0
  /// When it ended.
  public private(set) var endedAt: Int64?
  /// The highest heartbeat number seen.
  public private(set) var lastSeq: Int64 = 0
  /// Whether the warning before the end was given.
  public private(set) var isWarned = false

  /// A new session.
  public init(ratePerHour: Int64, duration: Int64, createdAt: Int64, plan: Plan = .trial) {
    self.plan = plan
    self.ratePerHour = ratePerHour
    self.duration = duration
    self.createdAt = createdAt
  }

  /// The charge of the metered time.
  public var charge: Int64 { Metering.charge(ratePerHour: ratePerHour, milliseconds: active) }

  /// When the paid time is used up, or nil before the start. It moves on while paused.
  public func end(at now: Int64) -> Int64? {
    guard let startedAt else { return nil }
    let pause = pausedAt.map { max(0, now - $0) } ?? 0
    return min(startedAt + duration + pausedTotal + pause, startedAt + SessionNumbers.wallClockCap)
  }

  /// Paid time left; it stands still while paused.
  public func remaining(at now: Int64) -> Int64 {
    switch phase {
    case .pending: duration
    case .active: max(0, (end(at: now) ?? now) - now)
    case .paused: max(0, duration - active)
    default: 0
    }
  }

  /// The next moment at which something happens by itself, or nil where nothing will.
  public var deadline: Int64? { nextTimer?.at }

  private enum Timer: Int {
    // The order of ties (3.3).
    case timeLimit, cap, abandoned, idle, warning, notRedeemed
  }

  private var nextTimer: (at: Int64, timer: Timer)? {
    var timers: [(Int64, Timer)] = []
    switch phase {
    case .pending: timers.append((createdAt + SessionNumbers.redeemWithin + 1, .notRedeemed))
    case .active:
      guard let startedAt, let lastActivity else { return nil }
      let limit = startedAt + duration + pausedTotal
      timers.append((limit, .timeLimit))
      timers.append((startedAt + SessionNumbers.wallClockCap, .cap))
      timers.append((lastActivity + SessionNumbers.idleMax + 1, .idle))
      if !isWarned {
        let end = min(limit, startedAt + SessionNumbers.wallClockCap)
        timers.append((max(end - SessionNumbers.warnBefore, startedAt), .warning))
      }
    case .paused:
      guard let startedAt, let lastActivity else { return nil }
      timers.append((startedAt + SessionNumbers.wallClockCap, .cap))
      timers.append((lastActivity + SessionNumbers.abandonedAfter + 1, .abandoned))
    default: return nil
    }
    return timers.min { ($0.0, $0.1.rawValue) < ($1.0, $1.1.rawValue) }.map {
      (at: $0.0, timer: $0.1)
    }
  }

  /// Applies the first thing that was due by now; nil where nothing was. The shell goes by these steps, so that
  /// each event tells of the session as it was then.
  public mutating func step(to now: Int64) -> [Effect]? {
    guard let next = nextTimer, next.at <= now else { return nil }
    return fire(next.timer, at: next.at)
  }

  private mutating func fire(_ timer: Timer, at moment: Int64) -> [Effect] {
    switch timer {
    case .notRedeemed:
      end(.expired, "not_redeemed", at: moment - 1)
      return [.release, .emit("session.expired", at: moment - 1)]
    case .timeLimit:
      meter(upTo: moment)
      end(.completed, "time_limit", at: moment)
      return [.settle, .emit("session.completed", at: moment)]
    case .cap:
      if phase == .active { meter(upTo: moment) }
      end(.expired, "wall_clock_cap", at: moment)
      return [.settle, .emit("session.expired", at: moment)]
    case .abandoned:
      end(.expired, "abandoned", at: moment - 1)
      return [.settle, .emit("session.expired", at: moment - 1)]
    case .idle:
      // The meter and the clock of the pause both stand at the last activity, not at its detection.
      phase = .paused
      reason = "idle"
      pausedAt = lastActivity
      return [.emit("session.paused", at: moment - 1)]
    case .warning:
      isWarned = true
      return [.emit("session.expiring", at: moment)]
    }
  }

  /// Applies an event at a moment. Call `advance` for that moment first, and again afterwards: an event can
  /// bring a deadline that is due at once, such as the warning of a session of five minutes.
  ///
  /// - Returns: The effects; none where the event only repeats what led here.
  /// - Throws: `Refusal` `invalid_transition` for a pair that the table does not list.
  public mutating func apply(_ event: Event, at moment: Int64) throws(Refusal) -> [Effect] {
    // The clock may be set back, and writes wait in a queue: no time may be metered twice.
    let now = max(moment, lastActivity ?? createdAt)
    switch (phase, event) {
    case (.pending, .validate):
      phase = .active
      startedAt = now
      lastActivity = now
      return [.emit("session.started", at: now)]
    case (.pending, .fail):
      end(.failed, "provider_refused", at: now)
      return [.release, .emit("session.failed", at: now)]
    case (.pending, .revoke):
      end(.expired, "revoked", at: now)
      return [.release, .emit("session.expired", at: now)]
    case (.active, .heartbeat(let seq, let isActive)): return beat(seq, isActive, at: now)
    case (.paused, .heartbeat(let seq, let isActive)):
      guard seq > lastSeq else { return [] }
      lastSeq = seq
      return isActive ? resume(at: now) : []
    case (.active, .pause):
      meter(upTo: now)
      lastActivity = now
      phase = .paused
      reason = "manual"
      pausedAt = now
      return [.emit("session.paused", at: now)]
    case (.paused, .resume): return resume(at: now)
    case (.active, .complete(let by)), (.paused, .complete(let by)):
      if phase == .active { meter(upTo: now) }
      end(.completed, by, at: now)
      return [.settle, .emit("session.completed", at: now)]
    case (.active, .fail), (.paused, .fail):
      if phase == .active { meter(upTo: now) }
      end(.failed, "provider_error", at: now)
      return [.settle, .emit("session.failed", at: now)]
    case (.active, .revoke), (.paused, .revoke):
      if phase == .active { meter(upTo: now) }
      end(.expired, "revoked", at: now)
      return [.settle, .emit("session.expired", at: now)]
    case (.active, .extend(let more)), (.paused, .extend(let more)):
      return try extend(by: more, at: now)
    case (.active, .deplete) where plan == .usage:
      meter(upTo: now)
      end(.failed, "tokens_depleted", at: now)
      return [.settle, .emit("tokens.depleted", at: now), .emit("session.failed", at: now)]
    default:
      guard isRepeat(of: event) else { throw refused() }
      return []
    }
  }

  /// Whether the event is the one that led here: repeating it changes nothing.
  private func isRepeat(of event: Event) -> Bool {
    switch (phase, event) {
    case (.paused, .pause): reason == "manual"
    case (.active, .resume): reason == "resumed"
    case (.completed, .complete): reason != "time_limit"
    case (.failed, .fail): reason != "tokens_depleted"
    case (.expired, .revoke): reason == "revoked"
    default: false
    }
  }

  /// What a pair gets that the table does not list.
  public func refused() -> Refusal {
    Refusal(
      .invalidTransition, "The session is \(phase.rawValue).",
      facts: ["state": .string(phase.rawValue), "reason": .optional(reason)])
  }

  private mutating func extend(by more: Int64, at now: Int64) throws(Refusal) -> [Effect] {
    guard plan != .trial, more > 0, more <= SessionNumbers.durations.upperBound - duration else {
      throw refused()
    }
    duration += more
    // Armed again only where the new warning lies ahead: a late extension does not warn twice of one end.
    if isWarned, remaining(at: now) > SessionNumbers.warnBefore { isWarned = false }
    return [.emit("session.extended", at: now)]
  }

  private mutating func beat(_ seq: Int64, _ isActive: Bool, at now: Int64) -> [Effect] {
    guard seq > lastSeq else { return [] }
    lastSeq = seq
    if isActive {
      meter(upTo: now)
      lastActivity = now
    }
    return []
  }

  private mutating func resume(at now: Int64) -> [Effect] {
    pausedTotal += max(0, now - (pausedAt ?? now))
    pausedAt = nil
    phase = .active
    reason = "resumed"
    lastActivity = now
    return [.emit("session.resumed", at: now)]
  }

  /// Counts the time since the last activity, up to a moment at most the idle bound later.
  private mutating func meter(upTo moment: Int64) {
    guard let lastActivity, moment > lastActivity,
      moment - lastActivity <= SessionNumbers.idleMax
    else { return }
    active = min(duration, active + moment - lastActivity)
  }

  private mutating func end(_ phase: Phase, _ reason: String, at moment: Int64) {
    self.phase = phase
    self.reason = reason
    endedAt = moment
    if let pausedAt {
      pausedTotal += max(0, moment - pausedAt)
      self.pausedAt = nil
    }
  }
}

extension SessionState {
  /// The stored numbers of a session, for the store.
  package struct Stored: Sendable {
    package var phase: Phase
    package var reason: String?
    package var startedAt: Int64?
    package var lastActivity: Int64?
    package var pausedAt: Int64?
    package var pausedTotal: Int64
    package var active: Int64
    package var endedAt: Int64?
    package var lastSeq: Int64
    package var isWarned: Bool
  }

  /// A session as it was stored.
  package init(
    ratePerHour: Int64, duration: Int64, createdAt: Int64, plan: Plan, stored: Stored
  ) {
    self.init(ratePerHour: ratePerHour, duration: duration, createdAt: createdAt, plan: plan)
    phase = stored.phase
    reason = stored.reason
    startedAt = stored.startedAt
    lastActivity = stored.lastActivity
    pausedAt = stored.pausedAt
    pausedTotal = stored.pausedTotal
    active = stored.active
    endedAt = stored.endedAt
    lastSeq = stored.lastSeq
    isWarned = stored.isWarned
  }
}
