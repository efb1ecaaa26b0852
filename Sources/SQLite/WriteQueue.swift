internal import Primitives
internal import Synchronization

/// A write on its way through the lane, which alone runs and answers it.
final class QueuedWrite: Sendable {
  private let body: @Sendable (Connection) throws -> Void
  private let caller: CheckedContinuation<Void, any Error>
  // Touched by nobody but the lane, which runs one thing at a time.
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
  // Written by the lane before it answers, read by the caller after the answer: never by both at once.
  nonisolated(unsafe) var value: Value?
}

/// The writes that have come and not begun, in their order.
final class WriteQueue: Sendable {
  private struct State {
    var writes: [QueuedWrite] = []
    /// Where the next one is: what is before it has been taken.
    var head = 0
    /// Whether the lane is awake, or about to be.
    var isServed = false
  }

  private let state = Mutex(State())

  /// Puts a write behind the others.
  /// - Returns: Whether the lane must be woken; nil where too many wait, and this one does not.
  func add(_ write: QueuedWrite, max: Int) -> Bool? {
    state.withLock { state in
      guard state.writes.count - state.head < max else { return nil }
      state.writes.append(write)
      defer { state.isServed = true }
      return !state.isServed
    }
  }

  /// Takes the next write, if there is one.
  func next() -> QueuedWrite? {
    state.withLock { state in
      guard state.head < state.writes.count else { return nil }
      defer {
        state.head += 1
        if state.head == state.writes.count {
          state.writes.removeAll(keepingCapacity: true)
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
