internal import Index
internal import Primitives

#if canImport(Glibc)
  internal import Glibc
#endif

/// The folders `index/<generation>/`: each belongs to one model and one way of embedding. It holds the vectors of
/// texts (`index.db`) and the base segment (`base-<number>.segment`), and is whole once everything has its vector.
package struct Generations: Sendable {
  /// The version of what is embedded; a change makes every text be embedded again.
  static let schemaVersion = 1

  private let folder: String
  private let modelID: String
  /// What a marketplace has learnt, beside the generations.
  package let tuned: TunedModels

  /// - Parameter dataFolder: The data folder.
  package init(dataFolder: String) throws {
    folder = dataFolder + "/index"
    modelID = (try JSON.parse(IndexFiles.model))["id"]?.string ?? "none"
    mkdir(folder, 0o755)
    tuned = TunedModels(dataFolder: dataFolder, modelID: modelID)
  }

  /// The newest whole generation of this model and schema; else the newest that was begun; else nil.
  package func newest() -> String? {
    let names = all()
    return names.last(where: isWhole) ?? names.last
  }

  /// The whole generation before a given one, for going back.
  package func previous(of name: String) -> String? {
    all().last { $0 < name && isWhole($0) }
  }

  /// Makes a new generation's folder; it counts only once `markWhole` was called.
  package func create() throws -> String {
    let number = (entries(of: folder).compactMap { Int($0.dropFirst().prefix(6)) }.max() ?? 0) + 1
    let digits = String(1_000_000 + number).dropFirst()
    let name = "g\(digits)\(suffix)"
    guard mkdir(path(name), 0o755) == 0 else { throw SegmentError.unwritable(path: path(name)) }
    return name
  }

  /// Says that a generation is complete, durably.
  package func markWhole(_ name: String) {
    for file in [path(name) + "/whole", path(name)] {
      let flags = file.hasSuffix("/whole") ? O_CREAT | O_WRONLY | O_CLOEXEC : O_RDONLY | O_CLOEXEC
      let descriptor = open(file, flags, 0o644)
      guard descriptor >= 0 else { return }
      fsync(descriptor)
      close(descriptor)
    }
  }

  /// Takes a generation out of the choice: the one before it is the newest then.
  package func discard(_ name: String) { unlink(path(name) + "/whole") }

  /// Deletes every generation but the given one and the newest whole one before it, which is the way back.
  package func prune(keeping current: String) {
    let kept = [current, previous(of: current)]
    for name in entries(of: folder) where name.hasPrefix("g") && !kept.contains(name) {
      for file in entries(of: path(name)) { unlink(path(name) + "/" + file) }
      rmdir(path(name))
    }
  }

  package func path(_ name: String) -> String { folder + "/" + name }

  /// The base segments of a generation, the newest first.
  func bases(of name: String) -> [String] {
    entries(of: path(name)).filter { $0.hasPrefix("base-") && $0.hasSuffix(".segment") }
      .sorted(by: >).map { path(name) + "/" + $0 }
  }

  /// The path of a generation's next base segment.
  func nextBase(of name: String) -> String {
    let last = bases(of: name).first.flatMap { path in
      path.split(separator: "/").last.flatMap { Int($0.dropFirst(5).prefix(9)) }
    }
    let digits = String(1_000_000_000 + (last ?? 0) + 1).dropFirst()
    return path(name) + "/base-\(digits).segment"
  }

  /// Deletes the base segments but one; what is mapped stays readable until it is let go.
  func pruneBases(of name: String, keeping kept: String) {
    for file in entries(of: path(name))
    where file.hasPrefix("base-") && !kept.hasSuffix("/" + file) {
      unlink(path(name) + "/" + file)
    }
  }

  private func isWhole(_ name: String) -> Bool { access(path(name) + "/whole", F_OK) == 0 }

  /// The generations of this model and schema, rising.
  private func all() -> [String] {
    entries(of: folder).filter { $0.hasPrefix("g") && $0.hasSuffix(suffix) }.sorted()
  }

  private func entries(of path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }

  private var suffix: String { "-\(modelID)-s\(Generations.schemaVersion)" }
}
