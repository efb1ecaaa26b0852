import Foundation
import Identity
import Ledger
import Primitives
import SQLite

/// `waypost backup TO`: a copy of the record in one file, made by whoever writes the record.
enum BackupCommand {
  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    guard let target = arguments.words.first, arguments.words.count == 1 else {
      Terminal.words("waypost backup: name the file that is to be made")
      return .misuse
    }
    guard !FileManager.default.fileExists(atPath: target) else {
      throw Refusal(.validationFailed, "\(target) is there already.")
    }
    let path = arguments.text("data") ?? "./data"
    if let link = ServerLink(arguments) {
      try await take(from: link, path, target)
    } else {
      guard FileManager.default.fileExists(atPath: path + "/record.db") else {
        throw Refusal(.notFound, "\(path) has no record.")
      }
      let folder = try DataFolder(path)
      try await AuditLog.around(
        .init("backup.make", done: "backup.made", on: "backup"), in: folder.record,
        clock: DataFolder.clock, by: .terminal
      ) { try await folder.record.backup(to: target) }
    }
    let report = try RecordCheck.check(target)
    try RecordCheck.show(report, of: target, isJSON: arguments.isSet("json"))
    return .done
  }

  /// The server makes it in the data folder's `backups/`; from there it is moved.
  private static func take(from link: ServerLink, _ path: String, _ target: String) async throws {
    let answer = try await link.json(
      "/v1/admin/backups", Array("{}".utf8), seconds: ServerLink.bulkSeconds)
    let made = path + "/backups/" + (answer["name"]?.string ?? "")
    guard FileManager.default.fileExists(atPath: made) else {
      throw Refusal(
        .notFound, "The server has made its backup, but not in \(path): is --data its folder?")
    }
    try FileManager.default.moveItem(atPath: made, toPath: target)
  }
}

/// `waypost restore FROM`: a backup that was checked takes the record's place; the old one is kept beside it.
enum RestoreCommand {
  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    guard let source = arguments.words.first, arguments.words.count == 1 else {
      Terminal.words("waypost restore: name the backup")
      return .misuse
    }
    guard FileManager.default.fileExists(atPath: source) else {
      throw Refusal(.notFound, "\(source) is not there.")
    }
    let path = arguments.text("data") ?? "./data"
    let lock = try FolderLock(path)
    defer { withExtendedLifetime(lock) {} }
    let journal =
      arguments.isSet("journal")
      ? Journal(rawValue: try arguments.choice("journal", of: Journal.allCases.map(\.rawValue)))
      : nil
    let fresh = path + "/record.db.restoring"
    let headPath = path + "/" + AuditHead.fileName
    let clock = DataFolder.clock
    let keys = try KeyRing(folder: path + "/keys", at: clock.now, random: .system)
    let head: AuditHead
    remove(fresh)
    do {
      try Database.copy(source, to: fresh)
      try await bringUp(fresh, journal ?? .wal) { _ in }
      let report = try RecordCheck.check(fresh)
      head = try await bringUp(fresh, journal ?? .wal) { record in
        try await AuditHead.adopt(record, insteadOf: headPath, keys: keys, at: clock.now)
      }
      try RecordCheck.show(report, of: source, isJSON: arguments.isSet("json"))
    } catch {
      remove(fresh)
      throw error
    }
    if let kept = try await replace(path + "/record.db", with: fresh) {
      Terminal.words("what was there before is \(kept)")
    }
    // After the record: the log of the one that went was longer.
    try head.write(to: headPath, keys: keys)
    return .done
  }

  /// To the newest schema, into one file.
  private static func bringUp<T: Sendable>(
    _ file: String, _ journal: Journal, _ body: (Database) async throws -> T
  ) async throws -> T {
    let database = try Database(
      path: file, migrations: DataFolder.migrations, options: Database.Options(journal: journal))
    let result = try await body(database)
    try await database.finish()
    return result
  }

  /// Puts the new file in the record's place in one step.
  /// - Returns: Where the old one is now; nil where there was none.
  private static func replace(_ record: String, with fresh: String) async throws -> String? {
    var kept: String?
    if FileManager.default.fileExists(atPath: record) {
      // Its log goes into it first: moved away alone, it would take the newest commits along. A record
      // that is too damaged for that is kept as it lies.
      try? await DataFolder.emptied(record)
      let name = record + ".before-\(DataFolder.clock.now.milliseconds)"
      guard link(record, name) == 0 else {
        throw Refusal(.storageUnavailable, "The old record cannot be kept as \(name).")
      }
      for suffix in ["-wal", "-shm", "-journal"] { rename(record + suffix, name + suffix) }
      kept = name
    }
    guard rename(fresh, record) == 0 else {
      throw Refusal(.storageUnavailable, "The restored record cannot take its place.")
    }
    remove(fresh)
    sync(folderOf: record)
    return kept
  }

  private static func remove(_ file: String) {
    for suffix in ["", "-wal", "-shm", "-journal"] { unlink(file + suffix) }
  }

  private static func sync(folderOf file: String) {
    let folder = URL(fileURLWithPath: file).deletingLastPathComponent().path
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }
}

/// Whether a record's file is whole and its ledger sound (specification core, D5 and D8).
enum RecordCheck {
  /// Reads the whole file on a connection that cannot write.
  /// - Throws: `Refusal` `validation_failed` with the first fault.
  static func check(_ file: String) throws -> LedgerReport {
    do {
      let connection = try Connection(path: file, mode: .reader)
      if let fault = try connection.quickCheck().first { throw refused(file, fault) }
      let report = try LedgerVerifier.verify(connection)
      if let fault = report.faults.first { throw refused(file, fault) }
      return report
    } catch let error as SQLiteError {
      throw refused(file, error.message)
    }
  }

  static func show(_ report: LedgerReport, of file: String, isJSON: Bool) throws {
    let size = try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int ?? 0
    Terminal.data(
      isJSON
        ? JSON.object([
          "file": .string(file), "byteCount": .number(size),
          "transfers": .number(report.transferCount), "sound": .bool(true),
        ]).text
        : "\(Terminal.safe(file)): \(size) bytes, whole; \(report.transferCount) transfers, sound")
  }

  private static func refused(_ file: String, _ fault: String) -> Refusal {
    Refusal(.validationFailed, "\(file) is no sound record: \(fault)")
  }
}
