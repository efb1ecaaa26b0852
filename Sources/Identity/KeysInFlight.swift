internal import Primitives
internal import Synchronization

/// The keyed requests that run in this process: one at a time of each key, its repeats wait.
///
/// It holds what runs, so it is as large as the requests under way are, and never larger than its bound.
public final class KeysInFlight: Sendable {
  /// How long a repeat waits for the first.
  public struct Patience: Sendable {
    /// Milliseconds that a first request may run until its repeats are refused.
    let milliseconds: Int64
    let now: @Sendable () -> Int64
    let sleep: @Sendable (Int64) async throws -> Void

    /// - Parameters:
    ///   - milliseconds: 0 refuses every repeat of what still runs.
    ///   - now: A clock in milliseconds that never goes back.
    ///   - sleep: Returns after so many milliseconds, or throws where its task is cancelled.
    public init(
      milliseconds: Int64 = 2_000,
      now: @escaping @Sendable () -> Int64 = Patience.steady,
      sleep: @escaping @Sendable (Int64) async throws -> Void = Patience.slept
    ) {
      self.milliseconds = milliseconds
      self.now = now
      self.sleep = sleep
    }

    private static let start = ContinuousClock.now

    /// Milliseconds since the process first asked.
    public static let steady: @Sendable () -> Int64 = {
      let (seconds, attoseconds) = start.duration(to: .now).components
      return seconds * 1_000 + attoseconds / 1_000_000_000_000_000
    }

    /// Sleeps by the system's clock.
    public static let slept: @Sendable (Int64) async throws -> Void = {
      try await Task.sleep(for: .milliseconds($0))
    }
  }

  /// What becomes of a request that asked to run.
  private enum Turn: Sendable {
    /// It runs now, alone of its key.
    case own
    /// The first has run meanwhile and was answered so, for a body with this digest.
    case answered(bodyHash: [UInt8], Idempotency.Answer)
    /// The first still runs.
    case refused
  }

  private struct Entry {
    var since: Int64
    /// Whether it waits for the network: nobody waits for it then.
    var isLong = false
    var waiting: [Waiter] = []
  }

  private struct State {
    var entries: [[UInt8]: Entry] = [:]
    var waitingCount = 0
  }

  /// The most requests that run or wait; one more is refused like a repeat.
  public static let requestCountMax = 8_192
  private let patience: Patience
  private let requestCountMax: Int
  private let state = Mutex(State())

  /// - Parameter requestCountMax: Requests that may run and wait at once.
  public init(
    patience: Patience = .init(), requestCountMax: Int = KeysInFlight.requestCountMax
  ) {
    self.patience = patience
    self.requestCountMax = requestCountMax
  }

  /// Keys of which a request runs.
  public var keyCount: Int { state.withLock { $0.entries.count } }

  /// Runs `first` as the only one of its key; where one runs already, waits for its answer and gives that.
  /// - Throws: `Refusal` `idempotency_in_flight` where the other still runs after the patience,
  ///   `idempotency_conflict` where it had another body; what `first` throws.
  public func run(
    _ key: Idempotency.Key, first: () async throws -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    let name = key.fingerprint
    switch await turn(of: name) {
    case .own:
      do {
        let answer = try await first()
        leave(name, .answered(bodyHash: key.bodyHash, answer))
        return answer
      } catch {
        // Nothing was stored: whoever waits longest is the first now.
        leave(name, nil)
        throw error
      }
    case .answered(let bodyHash, var answer):
      guard bodyHash == key.bodyHash else { throw Idempotency.conflict }
      answer.isReplayed = true
      return answer
    case .refused:
      throw Refusal(
        .idempotencyInFlight, "The first request with this key still runs.", retryAfterSeconds: 1)
    }
  }

  /// From now on repeats are refused, also those that wait: what runs waits for the network.
  func refuseRepeats(of key: Idempotency.Key) {
    state.withLock { state in
      guard var entry = state.entries[key.fingerprint] else { return }
      entry.isLong = true
      for waiter in entry.waiting { waiter.settle(.refused) }
      entry.waiting = []
      state.entries[key.fingerprint] = entry
    }
  }

  // MARK: Turns

  private func turn(of name: [UInt8]) async -> Turn {
    let waiter = Waiter()
    let now = patience.now()
    let left: Int64? = state.withLock { state in
      let isFull = state.entries.count + state.waitingCount >= requestCountMax
      guard var entry = state.entries[name] else {
        if isFull { waiter.settle(.refused) } else { state.entries[name] = Entry(since: now) }
        if !isFull { waiter.settle(.own) }
        return nil
      }
      let left = entry.since + patience.milliseconds - now
      guard !isFull, !entry.isLong, left > 0 else {
        waiter.settle(.refused)
        return nil
      }
      entry.waiting.append(waiter)
      state.entries[name] = entry
      state.waitingCount += 1
      return left
    }
    guard let left else { return await waiter.turn }
    let turn = await within(left, waiter)
    state.withLock { state in
      state.waitingCount -= 1
      if case .refused = turn { state.entries[name]?.waiting.removeAll { $0 === waiter } }
    }
    return turn
  }

  /// The turn of one who waits; refused when the time is over, or its own task is cancelled.
  private func within(_ milliseconds: Int64, _ waiter: Waiter) async -> Turn {
    let sleep = patience.sleep
    return await withTaskGroup(of: Void.self) { group in
      group.addTask {
        try? await sleep(milliseconds)  // a cancelled wait ends like one that took too long
        waiter.settle(.refused)
      }
      let turn = await waiter.turn
      group.cancelAll()
      return turn
    }
  }

  /// Ends a turn: with an answer for all who wait, or with the next one's turn.
  private func leave(_ name: [UInt8], _ turn: Turn?) {
    let now = patience.now()
    state.withLock { state in
      guard var waiting = state.entries.removeValue(forKey: name)?.waiting[...] else { return }
      if let turn {
        for waiter in waiting { waiter.settle(turn) }
        return
      }
      while let next = waiting.popFirst() {
        guard next.settle(.own) else { continue }
        state.entries[name] = Entry(since: now, waiting: Array(waiting))
        return
      }
    }
  }

  /// One that waits for its turn, which comes once.
  private final class Waiter: Sendable {
    private enum Stage {
      case open
      case awaited(CheckedContinuation<Turn, Never>)
      case settled(Turn)
    }

    private let stage = Mutex(Stage.open)

    /// Whether this was the first word on it.
    @discardableResult
    func settle(_ turn: Turn) -> Bool {
      stage.withLock { stage in
        switch stage {
        case .settled: return false
        case .open: break
        case .awaited(let continuation): continuation.resume(returning: turn)
        }
        stage = .settled(turn)
        return true
      }
    }

    /// Asked for once.
    var turn: Turn {
      get async {
        await withCheckedContinuation { continuation in
          stage.withLock { stage in
            if case .settled(let turn) = stage {
              continuation.resume(returning: turn)
            } else {
              stage = .awaited(continuation)
            }
          }
        }
      }
    }
  }
}
