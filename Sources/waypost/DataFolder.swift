import Embedding
import Foundation
import Identity
import Index
import Primitives
import SQLite
import Search

/// The lock of a data folder: one process at a time (specification core, D3).
final class FolderLock: Sendable {
  private let descriptor: Int32

  /// Makes the folder where it is new.
  /// - Throws: `Refusal` where another process holds it, or it cannot be made.
  init(_ path: String) throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    descriptor = open(path + "/record.db.lock", O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
    guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      if descriptor >= 0 { close(descriptor) }
      throw Refusal(
        .storageUnavailable,
        "\(path) is in use by another waypost. import, search, chat, reindex, tune, backup, ledger, and keys rotate and remove can go through it (--server); for anything else stop it first."
      )
    }
  }

  deinit { close(descriptor) }
}

/// The data folder of one process: its lock, the record, the model.
final class DataFolder: Sendable {
  let path: String
  let record: Database
  let journal: Journal
  private let lock: FolderLock

  /// Takes the folder's lock and opens the record.
  /// - Parameter journal: nil keeps what the record has; a new one gets a write-ahead log.
  /// - Throws: `Refusal` where another process holds it, or it cannot be made.
  init(_ path: String, journal: Journal? = nil) throws {
    self.path = path
    lock = try FolderLock(path)
    self.journal = journal ?? DataFolder.journal(of: path + "/record.db")
    record = try Database(
      path: path + "/record.db", migrations: DataFolder.migrations,
      options: Database.Options(journal: self.journal))
  }

  /// The file that says how long the audit log is.
  var auditHead: String { path + "/" + AuditHead.fileName }

  static var migrations: [Migration] {
    IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) }
  }

  /// Moves a record's log into its file. The caller holds the folder's lock.
  static func emptied(_ file: String) async throws {
    let database = try Database(
      path: file, migrations: migrations, options: Database.Options(journal: journal(of: file)))
    try await database.finish()
  }

  /// The journal that a file was written with: byte 18 of its header is 1 without a write-ahead log
  /// (sqlite.org/fileformat.html, 1.3.3).
  private static func journal(of file: String) -> Journal {
    guard let handle = FileHandle(forReadingAtPath: file),
      let header = try? handle.read(upToCount: 20), header.count == 20
    else { return .wal }
    return header[header.startIndex + 18] == 1 ? .truncate : .wal
  }

  static let clock = Clock {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(milliseconds: Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000)
  }

  /// Microseconds of a clock that only rises.
  @Sendable static func microseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
  }

  /// The embedding model, or nil with a sentence that says what to do.
  ///
  /// - Parameter precision: nil takes the fastest that the processor can do.
  static func encoder(
    home: String, precision: Encoder.Precision? = nil
  ) -> (Encoder?, hint: String?) {
    do {
      return (try Encoder(folder: home + "/model", precision: precision), nil)
    } catch {
      switch error {
      case .missing(let file):
        return (
          nil,
          "the embedding model is missing (\(home)/model/\(file)): run 'make model'; until then search is by words only"
        )
      case .damaged(let reason):
        return (
          nil,
          "the embedding model is damaged (\(reason)): delete \(home)/model and run 'make model'"
        )
      }
    }
  }

  func indexer(encoder: Encoder?, threadCount: Int) throws -> Indexer {
    try Indexer(
      record: record, encoder: encoder, dataFolder: path, threadCount: threadCount)
  }

  /// - Parameter gate: The folder of judged needs that no tuning may spoil.
  func tuner(_ indexer: Indexer, gate: String?) -> MarketplaceTuner {
    MarketplaceTuner(record: record, indexer: indexer) { try JudgedFiles.gate(gate) }
  }
}
