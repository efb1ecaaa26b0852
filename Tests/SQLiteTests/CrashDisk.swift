import CCrashDisk
import SQLite

/// A disk in memory that a seed decides: at a crash it loses, tears or spoils a part of what was not synced.
final class CrashDisk: @unchecked Sendable {
  // Safe: the C side takes a lock in every function.
  private let disk: OpaquePointer

  struct CannotBoot: Error {}

  init(seed: UInt64) throws {
    guard let disk = crash_disk_create(seed) else { throw CannotBoot() }
    self.disk = disk
  }

  deinit { crash_disk_free(disk) }

  /// Switches it on; what was opened before gets I/O errors for ever.
  func boot(_ journal: Journal = .wal) throws -> Database.Options {
    guard let name = crash_disk_boot(disk) else { throw CannotBoot() }
    return Database.Options(journal: journal, vfs: String(cString: name))
  }

  /// Boots and opens the notes.
  func database(_ journal: Journal = .wal) throws -> Database {
    try Database(path: "record.db", migrations: noteMigrations, options: try boot(journal))
  }

  func crash() { crash_disk_crash(disk) }
  /// Crashes in the middle of the operation after so many more.
  func crash(after operations: Int64) { crash_disk_crash_after(disk, operations) }
  func fail(_ fault: crash_fault, after: Int64 = 0, times: Int64 = 1) {
    crash_disk_fail(disk, fault, after, times)
  }
  /// Bytes that there is room for beside what is there.
  func leaveRoom(_ bytes: Int64) { crash_disk_capacity(disk, crash_disk_size(disk) + bytes) }
  func makeRoom() { crash_disk_capacity(disk, 0) }
  func slow(milliseconds: Int64) { crash_disk_slow(disk, milliseconds * 1_000) }
  var isOff: Bool { crash_disk_is_off(disk) }
  var counts: crash_counts { crash_disk_counts(disk) }
}
