internal import Glibc
public import Primitives
internal import Synchronization

/// A SQLite file with exactly one writing connection and a few reading ones, each on a thread of its own.
///
/// Work goes to a connection as a synchronous closure: it cannot await inside a transaction.
public struct Database: Sendable {
  /// How a file is opened.
  public struct Options: Sendable {
    /// How the writer keeps what a crash must not lose.
    public var journal = Journal.wal
    /// Reading connections, opened when first used.
    public var readerCount = 3
    /// Name of a registered VFS in place of the system's.
    public var vfs: String?

    /// WAL, three readers, the system's files.
    public init(journal: Journal = .wal, readerCount: Int = 3, vfs: String? = nil) {
      self.journal = journal
      self.readerCount = readerCount
      self.vfs = vfs
    }
  }

  /// What operators watch.
  public struct Figures: Sendable, Equatable {
    /// Bytes of the write-ahead log: it grows while a reader holds an old snapshot.
    public let logByteCount: Int64
    /// Writes committed since the file was opened, and the commits that carried them.
    public let writes: Int64
    /// Commits since the file was opened; fewer than the writes where some waited together.
    public let commits: Int64
    /// The longest read transaction that has ended since the file was opened.
    public let longestReadMicroseconds: Int64
    /// The age of the oldest read transaction that runs now.
    public let runningReadMicroseconds: Int64
    /// False once a write or a sync failed: nothing more is written until the next start (D6).
    public let isSound: Bool
    /// Whether ordinary writes are held back (`hold`).
    public let isHeld: Bool
    /// Whether ordinary writes are taken.
    public var isWritable: Bool { isSound && !isHeld }
  }

  private let path: String
  private let writer: WriteLane
  private let readers: ReaderPool
  private let held = WriteHold()
  private var rank = WriteRank.ordinary

  /// Opens the file and brings it to the newest migration.
  public init(path: String, migrations: [Migration], options: Options = Options()) throws {
    self.path = path
    writer = try WriteLane(path: path, options: options) { connection in
      try Migration.apply(migrations, to: connection)
    }
    readers = ReaderPool(path: path, count: options.readerCount, vfs: options.vfs)
  }

  /// Runs the body in a `BEGIN IMMEDIATE` transaction on the writing lane, after those that came before.
  ///
  /// Writes that wait together share one transaction: a body that throws has its own part alone undone, and sees
  /// what those before it wrote. What it gave or threw is handed over only after COMMIT returned; where that fails,
  /// everybody's is `storage_unavailable` and nothing was written. A body may run twice, the first time undone with
  /// all that it wrote: it must not change anything but the record.
  ///
  /// - Throws: The refusal of a hold that does not admit writes of this handle; then the body has not run.
  public func write<T: Sendable>(
    _ body: @escaping @Sendable (Connection) throws -> T
  ) async throws -> T {
    try held.require(rank)
    let handover = Handover<T>()
    try await writer.write { handover.value = try body($0) }
    // Who is answered without an error was run.
    guard let value = handover.value else { throw Database.storageFailed }
    return value
  }

  /// Refuses later writes, from all handles of this database, until `release`. Reads go on.
  ///
  /// A write that has entered the lane before is still carried out.
  /// - Parameters:
  ///   - refusal: What refused writes throw.
  ///   - least: Writes of this rank are taken all the same.
  public func hold(_ refusal: Refusal, admitting least: WriteRank = .opening) {
    held.set(refusal, admitting: least)
  }

  /// Takes writes again.
  public func release() { held.end() }

  /// A handle of the same file whose writes have another rank.
  public func writing(as rank: WriteRank) -> Database {
    var copy = self
    copy.rank = rank
    return copy
  }

  /// Whether ordinary writes are taken now; costs two locks and no query.
  public var isWritable: Bool { !held.isSet && !writer.figures.withLock { $0.isBroken } }

  /// Runs the body in one read transaction: one snapshot of the data.
  public func read<T: Sendable>(_ body: @Sendable (Connection) throws -> T) async throws -> T {
    let lane = try await readers.lend()
    defer { readers.giveBack(lane) }
    return try await lane.run { connection in
      let read = readers.begin()
      defer { readers.end(read) }
      do {
        return try connection.transaction(immediate: false) { try body(connection) }
      } catch {
        throw Database.named(error)
      }
    }
  }

  /// Moves the write-ahead log into the file; called by the server now and then and at the end.
  public func checkpoint(truncate: Bool = false) async throws {
    try await writer.alone { connection in try connection.checkpoint(truncate: truncate) }
  }

  /// Refuses every later write with `shutting_down`, lets those that wait end, and empties the log.
  public func finish() async throws {
    await writer.close()
    try await checkpoint(truncate: true)
  }

  /// Copies the whole record into a new file while it is in use, a few pages at a time on the writing lane.
  ///
  /// - Parameter path: Where no file may be; what was begun is removed where it cannot be finished.
  /// - Throws: `Refusal` `storage_unavailable` where another copy is being made or there is no room.
  public func backup(to path: String) async throws {
    guard access(path, F_OK) != 0 else {
      throw Refusal(.validationFailed, "There is a file where the backup should go.")
    }
    try await writer.beginCopy(to: path)
    do {
      // 4 MiB at a time: other writes come in between.
      while try await !writer.stepCopy(pageCount: 1_024) { try Task.checkCancellation() }
    } catch {
      await writer.endCopy()
      unlink(path)
      throw error
    }
  }

  /// Copies a file that nobody writes into a new one, whole.
  public static func copy(_ source: String, to path: String) throws {
    let copy = try Copy(of: try Connection(path: source, mode: .reader), to: path)
    for _ in 0..<1_000 where try copy.step(pageCount: -1) { return try copy.finish() }
    throw Refusal(.storageUnavailable, "The file is in use by another process.")
  }

  /// What operators watch; costs no query.
  public var figures: Figures {
    let logByteCount = Database.size(of: path + "-wal")
    let lane = writer.figures.withLock { $0 }
    let spans = readers.spans
    return Figures(
      logByteCount: logByteCount, writes: lane.writes, commits: lane.commits,
      longestReadMicroseconds: spans.longest.microseconds,
      runningReadMicroseconds: spans.running.microseconds, isSound: !lane.isBroken,
      isHeld: held.isSet)
  }

  /// Bytes of a file; 0 where there is none.
  static func size(of path: String) -> Int64 {
    var status = stat()
    return stat(path, &status) == 0 ? Int64(status.st_size) : 0
  }

  static let storageFailed = Refusal(
    .storageUnavailable, "The storage cannot take this now.", retryAfterSeconds: 5)

  /// A full disk, a broken file or one that is held too long is the world's failure: the caller may try again.
  static func named(_ error: any Error) -> any Error {
    guard let error = error as? SQLiteError else { return error }
    return error.isFull || error.isIO || error.isBusy ? storageFailed : error
  }
}

extension Duration {
  fileprivate var microseconds: Int64 {
    components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
  }
}
