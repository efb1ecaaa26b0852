internal import Glibc
internal import HTTPServer
internal import Identity
internal import Primitives
internal import SQLite

/// Copies of the record, made by the server that writes it (specification core, D3 and D8).
struct BackupRoutes: Sendable {
  let services: Services

  /// Copies that may lie in the folder; whoever asks takes them away.
  private static let countMax = 8

  /// One more copy in the data folder's `backups/`. It holds what was committed when the last page was copied.
  func make(_ context: Context) async throws -> Response {
    try context.admin()
    let folder = services.configuration.backupFolder
    guard !folder.isEmpty else { throw Refusal(.notFound, "This server makes no backups.") }
    guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw BackupRoutes.noRoom }
    guard BackupRoutes.count(in: folder) < BackupRoutes.countMax else {
      throw Refusal(
        .storageUnavailable,
        "There are \(BackupRoutes.countMax) backups already: take them away from the data folder's backups/ first."
      )
    }
    let now = services.clock.now
    let name = "record-\(now.milliseconds)-\(BytesText.hex(services.random.bytes(4))).db"
    try await services.noted(
      .init("backup.make", done: "backup.made", on: "backup:" + name), by: context
    ) { try await services.record.backup(to: folder + "/" + name) }
    var status = stat()
    guard stat(folder + "/" + name, &status) == 0 else { throw BackupRoutes.noRoom }
    return .json(
      [
        "name": .string(name), "byteCount": .int(Int64(status.st_size)), "at": .string(now.rfc3339),
      ], status: 201)
  }

  private static let noRoom = Refusal(
    .storageUnavailable, "The folder of backups cannot be used.", retryAfterSeconds: 60)

  private static func count(in folder: String) -> Int {
    guard let entries = opendir(folder) else { return 0 }
    defer { closedir(entries) }
    var count = 0
    // Two of the entries are the folder itself and the one above.
    while readdir(entries) != nil { count += 1 }
    return max(0, count - 2)
  }
}
