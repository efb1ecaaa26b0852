internal import Dispatch
internal import Primitives
internal import Synchronization

/// The one writing connection and its thread, where writes that wait together commit together.
///
/// The first write of a group opens the transaction; those that have queued behind it run as savepoints of the
/// same one; the last of them, or the bound, commits: one sync for all. Nobody waits for company: a write with
/// nobody behind it commits at once, as if there were no groups.
actor WriteLane {
  /// Writes that may wait; one more is refused.
  static let waitingMax = 1_024
  /// Writes of one group.
  static let groupMax = 128
  /// How long a group takes in others. A write that runs longer than this commits alone or last.
  static let groupSpan = Duration.milliseconds(5)

  /// Commits after which the log's size is looked at, and the size from which it is moved into the file.
  static let commitsPerLook: Int64 = 64
  static let logByteCountMax: Int64 = 16 * 1_048_576

  /// What the lane tells of itself.
  struct Figures: Sendable {
    var writes: Int64 = 0
    var commits: Int64 = 0
    var isBroken = false
  }

  nonisolated let entrance = Entrance()
  nonisolated let figures = Mutex(Figures())
  private let executor = QueueExecutor(label: "writer")
  private let connection: Connection
  /// The write-ahead log's; with another VFS it is no file of this machine, and never looked at.
  private let logPath: String?
  private var group: WriteGroup?
  private var opened = ContinuousClock.now
  private var isClosed = false
  private var copy: Copy?

  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  /// Opens the file at once and prepares it, before anybody else can know the lane.
  init(
    path: String, options: Database.Options, prepare: @Sendable (Connection) throws -> Void
  ) throws {
    connection = try Connection(
      path: path, mode: .writer, journal: options.journal, vfs: options.vfs)
    logPath = options.vfs == nil && options.journal == .wal ? path + "-wal" : nil
    try executor.queue.sync { try assumeIsolated { try prepare($0.connection) } }
  }

  /// Runs a write in the open group or a new one. Call it after `entrance.enter`, exactly once.
  ///
  /// - Returns: What the body gave, and the group whose commit makes it true.
  func write<T: Sendable>(
    _ body: @Sendable (Connection) throws -> T
  ) -> (result: Result<T, any Error>, group: WriteGroup) {
    entrance.leave()
    do {
      try requireOpen()
      let share = group == nil ? try first(body) : try further(body)
      // Whoever has come meanwhile is certain to arrive here, and commits in this one's place.
      if entrance.isEmpty || isFull { commit() }
      return share
    } catch {
      // Those before must not wait for one that failed.
      if entrance.isEmpty { commit() }
      return (.failure(Database.named(error)), .alone)
    }
  }

  /// Runs work that no transaction may surround, such as a checkpoint.
  func alone<T: Sendable>(_ body: @Sendable (Connection) throws -> T) throws -> T {
    commit()
    try requireSound()
    do {
      return try body(connection)
    } catch {
      noteBroken()
      throw Database.named(error)
    }
  }

  /// Refuses every later write, after those that came before have their answer.
  func close() {
    commit()
    isClosed = true
  }

  /// Begins an online copy of the file.
  /// - Throws: `Refusal` `storage_unavailable` where another copy is being made.
  func beginCopy(to path: String) throws {
    commit()
    guard copy == nil else {
      throw Refusal(
        .storageUnavailable, "Another backup is being made now.", retryAfterSeconds: 60)
    }
    copy = try Copy(of: connection, to: path)
  }

  /// Copies so many pages more; what is written meanwhile is copied along.
  /// - Returns: Whether all is copied and on the disk.
  func stepCopy(pageCount: Int32) throws -> Bool {
    commit()
    guard let running = copy else { return true }
    do {
      guard try running.step(pageCount: pageCount) else { return false }
      copy = nil
      try running.finish()
      return true
    } catch {
      copy = nil
      throw Database.named(error)
    }
  }

  /// Gives up a copy that was begun.
  func endCopy() { copy = nil }

  /// The first write of a group: it has the transaction for itself, so it needs no savepoint.
  private func first<T: Sendable>(
    _ body: @Sendable (Connection) throws -> T
  ) throws -> (result: Result<T, any Error>, group: WriteGroup) {
    opened = .now
    try connection.begin()
    do {
      let value = try body(connection)
      guard connection.isInTransaction, !connection.isBroken else { throw Database.storageFailed }
      return (.success(value), newGroup())
    } catch {
      noteBroken()
      // What the refused write wants remembered begins a group: the refusal is true once it is committed.
      guard try connection.undo(after: error) else { throw error }
      return (.failure(Database.named(error)), newGroup())
    }
  }

  private func newGroup() -> WriteGroup {
    let fresh = WriteGroup()
    fresh.size = 1
    group = fresh
    return fresh
  }

  /// A further write of a group, undone alone where it fails.
  private func further<T: Sendable>(
    _ body: @Sendable (Connection) throws -> T
  ) throws -> (result: Result<T, any Error>, group: WriteGroup) {
    guard let group else { return try first(body) }
    group.size += 1
    let result = Result { try connection.savepoint { try body(connection) } }
    guard connection.isInTransaction, !connection.isBroken else {
      // A full disk, say: SQLite has undone the whole transaction, and with it everybody's part.
      noteBroken()
      settle(group, .failure(Database.storageFailed))
      if connection.isInTransaction { try connection.run("ROLLBACK") }
      throw Database.storageFailed
    }
    // A refusal too may rest on what the group has not committed yet: it waits like the rest.
    return (result.mapError { Database.named($0) }, group)
  }

  private var isFull: Bool {
    guard let group else { return false }
    return group.size >= WriteLane.groupMax || .now - opened >= WriteLane.groupSpan
  }

  /// Commits the open group and answers all of it. Its failure is everybody's.
  private func commit() {
    guard let group else { return }
    do {
      try connection.run("COMMIT")
      settle(group, .success(()))
      shortenLog()
    } catch {
      noteBroken()
      if connection.isInTransaction {
        // What cannot even be rolled back is broken for good: the next BEGIN says so.
        _ = try? connection.run("ROLLBACK")
      }
      settle(group, .failure(group.size == 1 ? Database.named(error) : Database.storageFailed))
    }
  }

  /// Keeps the log short under load, after everybody has their answer. What a reader still needs stays in it.
  private func shortenLog() {
    let commits = figures.withLock { $0.commits }
    guard let logPath, commits % WriteLane.commitsPerLook == 0,
      Database.size(of: logPath) > WriteLane.logByteCountMax
    else { return }
    do {
      try connection.checkpoint()
    } catch {
      // The housekeeping's own checkpoint tells of a full disk; a broken one is told of by the next write.
      noteBroken()
    }
  }

  private func settle(_ group: WriteGroup, _ outcome: Result<Void, any Error>) {
    self.group = nil
    if case .success = outcome {
      figures.withLock { figures in
        figures.commits += 1
        figures.writes += Int64(group.size)
      }
    }
    group.settle(outcome)
  }

  private func requireOpen() throws {
    try requireSound()
    guard !isClosed else { throw Refusal(.shuttingDown, "The server ends.", retryAfterSeconds: 5) }
  }

  private func requireSound() throws {
    guard !connection.isBroken else {
      throw Refusal(
        .storageUnavailable,
        "A write to the disk failed: the server takes no more until it is started again.",
        retryAfterSeconds: 60)
    }
  }

  private func noteBroken() {
    guard connection.isBroken else { return }
    figures.withLock { $0.isBroken = true }
  }
}

/// Counts the writes that have come and not begun: by it the lane knows whether somebody is behind.
final class Entrance: Sendable {
  private let count = Mutex(0)

  /// - Throws: `Refusal` `storage_unavailable` where too many wait.
  func enter() throws {
    let isFull = count.withLock { count -> Bool in
      guard count < WriteLane.waitingMax else { return true }
      count += 1
      return false
    }
    if isFull { throw Refusal(.storageUnavailable, "Too many writes wait.", retryAfterSeconds: 1) }
  }

  func leave() { count.withLock { $0 -= 1 } }

  /// Whether nobody is behind.
  var isEmpty: Bool { count.withLock { $0 == 0 } }
}

/// Writes that commit together, and those who wait for it.
final class WriteGroup: Sendable {
  private struct State {
    var outcome: Result<Void, any Error>?
    var waiting: [CheckedContinuation<Void, any Error>] = []
    var size = 0
  }

  /// Of a write that waits for no commit.
  static let alone: WriteGroup = {
    let group = WriteGroup()
    group.settle(.success(()))
    return group
  }()

  private let state = Mutex(State())

  /// How many writes it has.
  var size: Int {
    get { state.withLock { $0.size } }
    set { state.withLock { $0.size = newValue } }
  }

  /// Returns once the group is committed.
  /// - Throws: Why it could not be.
  func committed() async throws {
    if let outcome = state.withLock({ $0.outcome }) { return try outcome.get() }
    try await withCheckedThrowingContinuation { continuation in
      let outcome = state.withLock { state -> Result<Void, any Error>? in
        if state.outcome == nil { state.waiting.append(continuation) }
        return state.outcome
      }
      if let outcome { continuation.resume(with: outcome) }
    }
  }

  func settle(_ outcome: Result<Void, any Error>) {
    let waiting = state.withLock { state in
      state.outcome = outcome
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume(with: outcome) }
  }
}
