internal import Primitives
internal import Synchronization

/// A write on its way through the lane, which alone runs and answers it.
final class QueuedWrite: Sendable {
  private let body: @Sendable (Connection) throws -> Void
  private let caller: CheckedContinuation<Void, any Error>
  // Safe: touched by nobody but the lane, which runs one thing at a time.
  private nonisolated(unsafe) var failure: (any Error)?

  init(
    _ body: @escaping @Sendable (Connection) throws -> Void,
    _ caller: CheckedContinuation<Void, any Error>
  ) {
    self.body = body
    self.caller = caller
  }

  /// Runs the body and keeps what it threw, in place of what an earlier run threw.
  /// - Returns: What it threw.
  func run(on connection: Connection) -> (any Error)? {
    do {
      try body(connection)
      failure = nil
    } catch {
      failure = error
    }
    return failure
  }

  /// Has it fail, whatever the body gave.
  func refuse(_ error: any Error) { failure = error }

  /// Tells the caller what became of it, or of the whole group.
  func answer(_ groupFailure: (any Error)?) {
    guard let error = groupFailure ?? failure else { return caller.resume() }
    caller.resume(throwing: Database.named(error))
  }
}

/// What a body gave, on its way from the lane to the caller.
final class Handover<Value: Sendable>: Sendable {
  // Safe: written by the lane before it answers, read by the caller after the answer: never by both at once.
  nonisolated(unsafe) var value: Value?
}

/// The writes that have come and not begun, in their order.
final class WriteQueue: Sendable {
  /// Writes that may wait; one more is refused.
  private static let waitingMax = 1_024

  private struct State {
    var writes: [QueuedWrite] = []
    /// Where the next one is: what is before it has been taken.
    var head = 0
    /// Whether the lane is awake, or about to be.
    var isServed = false
    var isClosed = false
  }

  private let state = Mutex(State())

  /// Puts a write behind the others.
  ///
  /// - Returns: Whether the lane must be woken.
  /// - Throws: `Refusal` `shutting_down` after `close`, `storage_unavailable` where too many wait.
  func add(_ write: QueuedWrite) throws -> Bool {
    try state.withLock { state in
      if state.isClosed {
        throw Refusal(.shuttingDown, "The server ends.", retryAfterSeconds: 5)
      }
      guard state.writes.count - state.head < WriteQueue.waitingMax else {
        throw Refusal(.storageUnavailable, "Too many writes wait.", retryAfterSeconds: 1)
      }
      state.writes.append(write)
      defer { state.isServed = true }
      return !state.isServed
    }
  }

  /// Takes no more writes; those that wait stay.
  func close() { state.withLock { $0.isClosed = true } }

  /// Takes the next write, if there is one.
  func next() -> QueuedWrite? {
    state.withLock { state in
      guard state.head < state.writes.count else { return nil }
      defer {
        state.head += 1
        // Also under a load that never lets it run empty: what was taken must not stay.
        if state.head == state.writes.count || state.head >= WriteQueue.waitingMax {
          state.writes.removeFirst(state.head)
          state.head = 0
        }
      }
      return state.writes[state.head]
    }
  }

  /// Lets the lane sleep where nobody waits.
  /// - Returns: Whether it may: else it has to go on.
  func rest() -> Bool {
    state.withLock { state in
      state.isServed = state.head < state.writes.count
      return !state.isServed
    }
  }
}
