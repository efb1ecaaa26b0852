internal import Primitives
internal import Synchronization

/// A write on its way through the lane. Only the lane runs and answers it, each exactly once for what counts.
protocol WaitingWrite: Sendable {
  /// Runs the body and keeps what it gave or threw, in place of what an earlier run kept.
  /// - Returns: What it threw.
  func run(on connection: Connection) -> (any Error)?
  /// Keeps an error in place of what the body gave.
  func refuse(_ error: any Error)
  /// Tells the caller what was kept, or the failure of the whole group.
  func answer(_ failure: (any Error)?)
}

/// A body, who waits for it, and what it gave.
final class QueuedWrite<Value: Sendable>: WaitingWrite {
  private let body: @Sendable (Connection) throws -> Value
  private let caller: CheckedContinuation<Value, any Error>
  private let kept = Mutex<Result<Value, any Error>?>(nil)

  init(
    _ body: @escaping @Sendable (Connection) throws -> Value,
    _ caller: CheckedContinuation<Value, any Error>
  ) {
    self.body = body
    self.caller = caller
  }

  func run(on connection: Connection) -> (any Error)? {
    do {
      let value = try body(connection)
      kept.withLock { $0 = .success(value) }
      return nil
    } catch {
      refuse(error)
      return error
    }
  }

  func refuse(_ error: any Error) { kept.withLock { $0 = .failure(error) } }

  func answer(_ failure: (any Error)?) {
    let outcome = failure.map { .failure($0) } ?? kept.withLock { $0 }
    // What was neither run nor failed is the lane's mistake: nobody may wait for ever because of it.
    caller.resume(
      with: (outcome ?? .failure(Database.storageFailed)).mapError { Database.named($0) })
  }
}

/// The writes that have come and not begun, in their order.
final class WriteQueue: Sendable {
  private struct State {
    var writes: [any WaitingWrite] = []
    /// Where the next one is: what is before it has been taken.
    var head = 0
    /// Whether the lane is awake, or about to be.
    var isServed = false
  }

  private let state = Mutex(State())

  /// Puts a write behind the others.
  /// - Returns: Whether the lane must be woken; nil where too many wait, and this one does not.
  func add(_ write: any WaitingWrite, max: Int) -> Bool? {
    state.withLock { state in
      guard state.writes.count - state.head < max else { return nil }
      state.writes.append(write)
      defer { state.isServed = true }
      return !state.isServed
    }
  }

  /// Takes the next write, if there is one.
  func next() -> (any WaitingWrite)? {
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
