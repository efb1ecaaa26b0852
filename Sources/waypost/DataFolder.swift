import Embedding
import Foundation
import Index
import Primitives
import SQLite
import Search

/// The data folder of one process: its lock, the record, the model.
final class DataFolder: Sendable {
  let path: String
  let record: Database
  private let lock: Int32

  /// Takes the folder's lock and opens the record.
  /// - Throws: `Refusal` where another process holds it, or it cannot be made.
  init(_ path: String) throws {
    self.path = path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    lock = open(path + "/record.db.lock", O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
    guard lock >= 0, flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      throw Refusal(
        .storageUnavailable,
        "\(path) is in use by another waypost. import, search, chat and reindex can go through it (--server); for anything else stop it first."
      )
    }
    record = try Database(
      path: path + "/record.db",
      migrations: IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) })
  }

  deinit { close(lock) }

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
  static func encoder(home: String) -> (Encoder?, hint: String?) {
    do {
      return (try Encoder(folder: home + "/model"), nil)
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
