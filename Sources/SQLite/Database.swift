internal import Dispatch
internal import Synchronization
internal import Primitives

/// A SQLite file with exactly one writing connection and a few reading ones, each on a thread of its own.
///
/// Work goes to a connection as a synchronous closure: it cannot await inside a transaction.
public struct Database: Sendable {
  private let writer: Lane
  private let readers: ReaderPool

  /// Opens the file and brings it to the newest migration.
  ///
  /// - Parameter readerCount: Reading connections, opened when first used.
  public init(path: String, migrations: [Migration], readerCount: Int = 3) throws {
    writer = Lane(label: "writer", path: path, mode: .writer)
    try writer.open { connection in try Migration.apply(migrations, to: connection) }
    readers = ReaderPool(path: path, count: readerCount)
  }

  /// Runs the body in one `BEGIN IMMEDIATE` transaction on the writing lane, after those that came before.
  ///
  /// The result is handed over only after COMMIT returned.
  public func write<T: Sendable>(_ body: @Sendable (Connection) throws -> T) async throws -> T {
    try await writer.run { connection in
      try Database.named { try connection.transaction { try body(connection) } }
    }
  }

  /// Runs the body in one read transaction: one snapshot of the data.
  public func read<T: Sendable>(_ body: @Sendable (Connection) throws -> T) async throws -> T {
    let lane = try await readers.lend()
    defer { readers.giveBack(lane) }
    return try await lane.run { connection in
      try Database.named { try connection.transaction(immediate: false) { try body(connection) } }
    }
  }

  /// Moves the write-ahead log into the file; called by the server now and then and at the end.
  public func checkpoint(truncate: Bool = false) async throws {
    try await writer.run { connection in try connection.checkpoint(truncate: truncate) }
  }

  /// A full disk or a broken file is the world's failure: the caller may try again later.
  private static func named<T>(_ body: () throws -> T) throws -> T {
    do {
      return try body()
    } catch let error as SQLiteError where error.isFull || error.isIO {
      throw Refusal(.storageUnavailable, "The storage cannot take this now.", retryAfterSeconds: 5)
    }
  }
}

/// One connection and its thread.
actor Lane {
  private let executor: QueueExecutor
  private let path: String
  private let mode: Connection.Mode
  private var connection: Connection?

  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  init(label: String, path: String, mode: Connection.Mode) {
    executor = QueueExecutor(label: label)
    self.path = path
    self.mode = mode
  }

  /// Opens at once, from outside the actor, before anybody else can know the lane.
  nonisolated func open(_ prepare: @Sendable (Connection) throws -> Void) throws {
    try executor.queue.sync {
      try assumeIsolated { lane in
        let connection = try lane.opened()
        try prepare(connection)
      }
    }
  }

  func run<T: Sendable>(_ body: @Sendable (Connection) throws -> T) throws -> T {
    try body(opened())
  }

  private func opened() throws -> Connection {
    if let connection { return connection }
    let fresh = try Connection(path: path, mode: mode)
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

/// Lends reading lanes; refuses when too many wait.
final class ReaderPool: Sendable {
  private struct State {
    var idle: [Lane]
    var waiting: [CheckedContinuation<Lane, Never>] = []
  }

  static let waitingMax = 256
  private let state: Mutex<State>

  init(path: String, count: Int) {
    let lanes = (0..<count).map { Lane(label: "reader\($0)", path: path, mode: .reader) }
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
}
