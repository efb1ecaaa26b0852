internal import Dispatch
internal import Primitives
internal import Synchronization

/// The one writing connection and its thread, where writes that wait together commit together.
///
/// The first write of a group opens the transaction; those that have queued behind it run in the same one; the
/// last of them, or the bound, commits: one sync for all. Nobody waits for company: a write with nobody behind it
/// commits at once, as if there were no groups.
///
/// A write that fails is undone alone. Nearly all that fail do so before they change anything, so a group begins
/// without savepoints, which cost each write a copy of every page it touches. Where one fails after a change, the
/// group is undone and run again with a savepoint for each: bodies may run twice, as their callers know.
actor WriteLane {
  /// Writes of one group.
  static let groupMax = 128
  /// How long a group takes in others. A write that runs longer than this commits alone or last.
  static let groupSpan = Duration.milliseconds(5)
  /// Groups that have savepoints from the start, after one had to be run again: failures come in rows.
  static let carefulGroupsMax = 64

  /// Pages (of 4 KiB) from which the log is moved into the file, and commits between two tries: a reader may hold it.
  static let logPagesMax = 4_096
  static let commitsPerTry: Int64 = 64
  /// What a long log leaves of its file. It is more than the log has before it is moved: to cut the file and let it grow
  /// again costs as much as the move.
  static let logByteCountKept: Int64 = 32 * 1_048_576

  /// What the lane tells of itself.
  struct Figures: Sendable {
    var writes: Int64 = 0
    var commits: Int64 = 0
    var isBroken = false
  }

  nonisolated let figures = Mutex(Figures())
  private nonisolated let waiting = WriteQueue()
  private nonisolated let executor = QueueExecutor(label: "writer")
  private let connection: Connection
  private var carefulGroups = 0
  /// The commit from which on the log may be moved.
  private var nextMove: Int64 = 0
  private var copy: Copy?

  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  /// Opens the file at once and prepares it, before anybody else can know the lane.
  init(
    path: String, options: Database.Options, prepare: @Sendable (Connection) throws -> Void
  ) throws {
    connection = try Connection(
      path: path, mode: .writer, journal: options.journal, vfs: options.vfs)
    try executor.queue.sync { try assumeIsolated { try prepare($0.connection) } }
  }

  /// Runs a write in the open group or a new one, and returns once it is committed.
  ///
  /// - Throws: What the body threw; `Refusal` `storage_unavailable` where too many wait or the commit failed,
  ///   `shutting_down` after `close`.
  nonisolated func write(_ body: @escaping @Sendable (Connection) throws -> Void) async throws {
    try await withCheckedThrowingContinuation { caller in
      let write = QueuedWrite(body, caller)
      do {
        if try waiting.add(write) { wake() }
      } catch {
        write.answer(error)
      }
    }
  }

  /// Runs work that no transaction may surround, such as a checkpoint.
  func alone<T: Sendable>(_ body: @Sendable (Connection) throws -> T) throws -> T {
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
    waiting.close()
    while !waiting.rest() { runGroup() }
  }

  /// Begins an online copy of the file.
  /// - Throws: `Refusal` `storage_unavailable` where another copy is being made.
  func beginCopy(to path: String) throws {
    guard copy == nil else {
      throw Refusal(
        .storageUnavailable, "Another backup is being made now.", retryAfterSeconds: 60)
    }
    copy = try Copy(of: connection, to: path)
  }

  /// Copies so many pages more; what is written meanwhile is copied along.
  /// - Returns: Whether all is copied and on the disk.
  func stepCopy(pageCount: Int32) throws -> Bool {
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

  /// Has the lane serve its queue, behind what else it has to do.
  private nonisolated func wake() {
    executor.queue.async { self.assumeIsolated { $0.serve() } }
  }

  /// One group, then the next one behind whatever else waits for the lane.
  private func serve() {
    runGroup()
    if !waiting.rest() { wake() }
  }

  /// Runs what waits, and what comes meanwhile, in one transaction, commits it and answers all of it.
  private func runGroup() {
    var group: [QueuedWrite] = []
    do {
      try requireSound()
      try run(&group)
      if connection.isInTransaction { try commit(group.count) }
      for write in group { write.answer(nil) }
      shortenLog()
    } catch {
      if connection.isInTransaction {
        // What cannot even be rolled back is broken for good: the next BEGIN says so.
        _ = try? connection.run("ROLLBACK")
      }
      // Also those that have not been run: the next BEGIN would fail as well.
      if group.isEmpty { while let write = waiting.next() { group.append(write) } }
      let isOwn = group.count == 1 || error is Refusal
      for write in group { write.answer(isOwn ? error : Database.storageFailed) }
    }
    noteBroken()
  }

  private func commit(_ writeCount: Int) throws {
    try connection.run("COMMIT")
    figures.withLock { figures in
      figures.commits += 1
      figures.writes += Int64(writeCount)
    }
  }

  /// Runs writes until nobody waits or the group is full.
  /// - Throws: What undoes the whole group.
  private func run(_ group: inout [QueuedWrite]) throws {
    let end = ContinuousClock.now + WriteLane.groupSpan
    // A rollback has a running copy begin anew, a savepoint's does not.
    var isCareful = carefulGroups > 0 || copy != nil
    carefulGroups = max(0, carefulGroups - 1)
    try connection.begin()
    while group.count < WriteLane.groupMax, let write = waiting.next() {
      group.append(write)
      if isCareful {
        try runUndoable(write)
      } else if let error = runPlain(write) {
        // What a lone write wants remembered is in a transaction of its own then, or none is open.
        if group.count == 1 {
          _ = try connection.undo(after: error)
          return
        }
        try connection.run("ROLLBACK")
        try connection.begin()
        isCareful = true
        carefulGroups = WriteLane.carefulGroupsMax
        for write in group { try runUndoable(write) }
      }
      try requireWhole()
      if ContinuousClock.now >= end { return }
    }
  }

  /// - Returns: What it threw, where it had changed something before.
  private func runPlain(_ write: QueuedWrite) -> (any Error)? {
    let before = connection.changeCount
    guard let error = write.run(on: connection), connection.isInTransaction else { return nil }
    return connection.changeCount == before ? nil : error
  }

  /// - Throws: Where the transaction is gone: nothing may follow in it, least of all a savepoint, which would be a
  ///   transaction of its own.
  private func runUndoable(_ write: QueuedWrite) throws {
    do {
      try connection.savepoint { if let error = write.run(on: connection) { throw error } }
    } catch {
      write.refuse(error)
    }
    try requireWhole()
  }

  /// A full disk, say, has SQLite undo the whole transaction, and with it everybody's part.
  private func requireWhole() throws {
    guard connection.isInTransaction, !connection.isBroken else { throw Database.storageFailed }
  }

  /// Keeps the log short under load, after everybody has their answer. What a reader still needs stays in it.
  private func shortenLog() {
    let commits = figures.withLock { $0.commits }
    guard connection.logPageCount >= WriteLane.logPagesMax, commits >= nextMove else { return }
    nextMove = commits + WriteLane.commitsPerTry
    do {
      try connection.checkpoint()
    } catch {
      // The housekeeping's own checkpoint tells of a full disk; a broken one is told of by the next write.
    }
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
