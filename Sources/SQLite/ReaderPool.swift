internal import Dispatch
internal import Primitives
internal import Synchronization

/// One reading connection and its thread.
actor Lane {
  private let executor: QueueExecutor
  private let path: String
  private let vfs: String?
  private var connection: Connection?

  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  init(label: String, path: String, vfs: String?) {
    executor = QueueExecutor(label: label)
    self.path = path
    self.vfs = vfs
  }

  func run<T: Sendable>(_ body: @Sendable (Connection) throws -> T) throws -> T {
    try body(opened())
  }

  private func opened() throws -> Connection {
    if let connection { return connection }
    let fresh = try Connection(path: path, mode: .reader, vfs: vfs)
    connection = fresh
    return fresh
  }
}

/// Gives an actor its own thread: blocking calls must not hold Swift's few pool threads.
final class QueueExecutor: SerialExecutor {
  let queue: DispatchQueue

  init(label: String) { queue = DispatchQueue(label: "waypost.sqlite." + label) }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let executor = asUnownedSerialExecutor()
    queue.async { job.runSynchronously(on: executor) }
  }

  func checkIsolated() { dispatchPrecondition(condition: .onQueue(queue)) }
}

/// Lends reading lanes; refuses when too many wait; knows how long reads take.
final class ReaderPool: Sendable {
  private struct State {
    var idle: [Lane]
    var waiting: [CheckedContinuation<Lane, Never>] = []
    /// When each running read began.
    var running: [Int: ContinuousClock.Instant] = [:]
    var nextRead = 0
    var longest = Duration.zero
  }

  static let waitingMax = 256
  private let state: Mutex<State>

  init(path: String, count: Int, vfs: String?) {
    let lanes = (0..<count).map { Lane(label: "reader\($0)", path: path, vfs: vfs) }
    state = Mutex(State(idle: lanes))
  }

  func lend() async throws -> Lane {
    let full = state.withLock { $0.idle.isEmpty && $0.waiting.count >= ReaderPool.waitingMax }
    if full { throw Refusal(.storageUnavailable, "Too many reads wait.", retryAfterSeconds: 1) }
    return await withCheckedContinuation { continuation in
      let lane = state.withLock { state -> Lane? in
        if let lane = state.idle.popLast() { return lane }
        state.waiting.append(continuation)
        return nil
      }
      if let lane { continuation.resume(returning: lane) }
    }
  }

  func giveBack(_ lane: Lane) {
    let next = state.withLock { state -> CheckedContinuation<Lane, Never>? in
      if state.waiting.isEmpty {
        state.idle.append(lane)
        return nil
      }
      return state.waiting.removeFirst()
    }
    next?.resume(returning: lane)
  }

  /// Marks the begin of a read transaction.
  /// - Returns: What `end` takes.
  func begin() -> Int {
    state.withLock { state in
      state.nextRead += 1
      state.running[state.nextRead] = .now
      return state.nextRead
    }
  }

  func end(_ read: Int) {
    state.withLock { state in
      guard let began = state.running.removeValue(forKey: read) else { return }
      state.longest = max(state.longest, .now - began)
    }
  }

  /// The longest read transaction that has ended, and the oldest that runs.
  var spans: (longest: Duration, running: Duration) {
    state.withLock { state in
      (state.longest, state.running.values.min().map { .now - $0 } ?? .zero)
    }
  }
}
