internal import Index
internal import Primitives

#if canImport(Glibc)
  internal import Glibc
#endif

/// The folders `index/<generation>/`: each belongs to one model, one schema and one ranking configuration.
package struct Generations: Sendable {
  /// The version of what a generation's files hold; a change makes old generations be rebuilt.
  static let schemaVersion = 1

  private let folder: String
  private let modelID: String

  /// - Parameter folder: The data folder.
  package init(dataFolder: String) throws {
    folder = dataFolder + "/index"
    modelID = (try JSON.parse(IndexFiles.model))["id"]?.string ?? "none"
    mkdir(folder, 0o755)
  }

  /// The newest whole generation of this model and schema, or nil.
  package func newest() -> String? {
    guard let directory = opendir(folder) else { return nil }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasPrefix("g"), name.hasSuffix(suffix), access(path(name) + "/whole", F_OK) == 0 {
        names.append(name)
      }
    }
    return names.max()
  }

  /// Makes a new generation's folder; it counts only once `markWhole` was called.
  package func create() throws -> String {
    let number = (newest().flatMap { Int($0.dropFirst().prefix(6)) } ?? 0) + 1
    let digits = String(1_000_000 + number).dropFirst()
    let name = "g\(digits)\(suffix)"
    mkdir(path(name), 0o755)
    return name
  }

  /// Says that a generation is complete, durably.
  package func markWhole(_ name: String) {
    let descriptor = open(path(name) + "/whole", O_CREAT | O_WRONLY | O_CLOEXEC, 0o644)
    if descriptor >= 0 {
      fsync(descriptor)
      close(descriptor)
    }
  }

  /// Deletes every generation but the newest two whole ones: one command back stays possible.
  package func prune(keeping current: String) {
    guard let directory = opendir(folder) else { return }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasPrefix("g"), name != current { names.append(name) }
    }
    for name in names.sorted().dropLast(1) {
      for file in ["index.db", "index.db-wal", "index.db-shm", "whole"] {
        unlink(path(name) + "/" + file)
      }
      rmdir(path(name))
    }
  }

  package func path(_ name: String) -> String { folder + "/" + name }

  private var suffix: String { "-\(modelID)-s\(Generations.schemaVersion)" }
}
