internal import Primitives

#if canImport(Glibc)
  internal import Glibc
#endif

/// Files that only the server's own user may read: keys, and the head of the audit log.
enum PrivateFile {
  static let byteCountMax = 65_536

  /// The whole file, or nil where there is none; anything else in the way must not look like a first start.
  ///
  /// - Throws: `Refusal` `storage_unavailable` where others may read or change it: what it holds may be known, and
  ///   only the operator can tell whether it is.
  static func read(_ path: String) throws -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0, errno == ENOENT { return nil }
    let name = name(of: path)
    guard descriptor >= 0 else {
      throw Refusal(.storageUnavailable, "\(name) cannot be read.")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw Refusal(.storageUnavailable, "\(name) is no plain file.")
    }
    try requireOwn(status, named: name)
    var block = [UInt8](repeating: 0, count: byteCountMax + 1)
    let count = Glibc.read(descriptor, &block, block.count)
    guard count >= 0, count <= byteCountMax else {
      throw Refusal(.storageUnavailable, "\(name) cannot be read.")
    }
    return Array(block[..<count])
  }

  /// Writes beside, syncs, renames: the file is the old one or the new one, never half.
  static func write(_ bytes: [UInt8], to path: String) throws {
    let name = name(of: path)
    let fresh = path + ".new"
    unlink(fresh)  // one that a crash left keeps its own mode
    let descriptor = open(fresh, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw Refusal(.storageUnavailable, "\(name) cannot be written.")
    }
    let isWritten =
      Glibc.write(descriptor, bytes, bytes.count) == bytes.count && fsync(descriptor) == 0
    close(descriptor)
    guard isWritten, rename(fresh, path) == 0 else {
      throw Refusal(.storageUnavailable, "\(name) cannot be written.")
    }
    sync(folderOf: path)
  }

  /// A folder whose files others could replace keeps no secret.
  /// - Throws: `Refusal` `storage_unavailable`.
  static func requireOwn(folder: String) throws {
    var status = stat()
    guard stat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw Refusal(.storageUnavailable, "\(name(of: folder)) is no folder.")
    }
    guard status.st_mode & 0o022 == 0 else {
      throw Refusal(
        .storageUnavailable,
        "The folder \(name(of: folder)) may be written by other users of this machine (mode \(mode(status))): chmod 700 it, and make sure that its files are yours."
      )
    }
  }

  private static func requireOwn(_ status: stat, named name: String) throws {
    guard status.st_mode & 0o077 == 0 else {
      throw Refusal(
        .storageUnavailable,
        "\(name) is open to other users of this machine (mode \(mode(status))): chmod 600 it. If it is a key and anybody else may have read it, replace it as well: waypost keys rotate, then keys remove."
      )
    }
  }

  /// A rename lasts once its folder is synced; where that fails, the old file may come back, and it is whole.
  private static func sync(folderOf path: String) {
    let folder = String(path.dropLast(path.split(separator: "/").last?.utf8.count ?? 0))
    let descriptor = open(folder.isEmpty ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }

  /// The last two parts of a path: enough for an operator, and no map of the machine.
  private static func name(of path: String) -> String {
    path.split(separator: "/").suffix(2).joined(separator: "/")
  }

  private static func mode(_ status: stat) -> String {
    let text = String(status.st_mode & 0o777, radix: 8)
    return String(repeating: "0", count: max(0, 4 - text.utf8.count)) + text
  }
}
