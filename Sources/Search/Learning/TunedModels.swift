internal import Primitives

#if canImport(Glibc)
  internal import Glibc
#endif

/// The folders `index/tuned/<n>/` and the file `index/tuned/current`, which names the one in use.
///
/// A model is written whole before it is named; the one before it stays, so that one command goes back.
package struct TunedModels: Sendable {
  /// Models that are kept.
  static let keptCount = 5
  private let folder: String
  private let modelID: String

  /// - Parameter modelID: The embedding model of this program; files of another are refused.
  package init(dataFolder: String, modelID: String) {
    mkdir(dataFolder + "/index", 0o755)
    folder = dataFolder + "/index/tuned"
    mkdir(folder, 0o755)
    self.modelID = modelID
  }

  /// The number in use, or nil where the shipped ranking is.
  package var currentNumber: Int? {
    guard let bytes = try? TunedModels.read(folder + "/current", max: 64) else { return nil }
    let text = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace).first
    return text.flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
  }

  /// The model in use, or nil where there is none.
  /// - Throws: `TunedModelError` where one is named and cannot be used.
  package func current() throws(TunedModelError) -> (number: Int, model: TunedModel)? {
    guard let number = currentNumber else { return nil }
    return (number, try model(number))
  }

  /// One model.
  /// - Throws: `TunedModelError`.
  package func model(_ number: Int) throws(TunedModelError) -> TunedModel {
    try TunedModels.model(at: folder + "/\(number)", modelID: modelID)
  }

  /// The model in a folder.
  /// - Throws: `TunedModelError`.
  package static func model(
    at folder: String, modelID: String
  ) throws(TunedModelError) -> TunedModel {
    let path = folder + "/"
    let document = try TunedModels.read(path + TunedFiles.document, max: TunedFiles.byteCountMax)
    return try TunedFiles.decode(document: document, modelID: modelID) {
      () throws(TunedModelError) in
      try TunedModels.read(path + TunedFiles.adapter, max: TunedFiles.byteCountMax)
    }
  }

  /// Writes a model beside the others and puts it in use.
  ///
  /// - Returns: Its number.
  package func publish(_ model: TunedModel) throws(TunedModelError) -> Int {
    let number = (numbers.last ?? 0) + 1
    let path = folder + "/\(number)"
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw .unwritable(file: path) }
    let (document, adapter) = TunedFiles.encode(model)
    if let adapter { try TunedModels.write(adapter, to: path + "/" + TunedFiles.adapter) }
    try TunedModels.write(document, to: path + "/" + TunedFiles.document)
    // Read back before it is named: a disk that lies must not cost the running ranking.
    _ = try self.model(number)
    try name(number)
    for old in numbers.dropLast(TunedModels.keptCount) where old != number { remove(old) }
    return number
  }

  /// Puts the model before the present one in use, or the shipped ranking where there is none.
  ///
  /// - Returns: The number now in use, nil for the shipped ranking.
  /// - Throws: `TunedModelError` where the one before cannot be used, or nothing is in use.
  package func rollback() throws(TunedModelError) -> Int? {
    guard let present = currentNumber else { throw .missing(file: "current") }
    let previous = numbers.last { $0 < present }
    if let previous { _ = try model(previous) }
    try name(previous ?? 0)
    // It was not wanted: a later way back must not lead to it.
    remove(present)
    return previous
  }

  private func name(_ number: Int) throws(TunedModelError) {
    try TunedModels.write(Array("\(number)\n".utf8), to: folder + "/current")
  }

  /// The numbers that are there, rising.
  private var numbers: [Int] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var found: [Int] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if let number = Int(name), number > 0, String(number) == name { found.append(number) }
    }
    return found.sorted()
  }

  private func remove(_ number: Int) {
    let path = folder + "/\(number)"
    for file in [TunedFiles.document, TunedFiles.adapter] { unlink(path + "/" + file) }
    rmdir(path)
  }

  private static func read(_ path: String, max: Int) throws(TunedModelError) -> [UInt8] {
    let name = String(path.split(separator: "/").last ?? "")
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .missing(file: name) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .missing(file: name) }
    guard (0...max).contains(Int(status.st_size)) else {
      throw .damaged(file: name, fault: .wrongSize)
    }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var start = 0
    while start < bytes.count {
      let count = bytes.withUnsafeMutableBytes { buffer in
        Glibc.read(descriptor, buffer.baseAddress.map { $0 + start }, buffer.count - start)
      }
      guard count > 0 else { throw .damaged(file: name, fault: .wrongSize) }
      start += count
    }
    return bytes
  }

  /// Writes beside, syncs, renames: the file is the old one or the new one, never half.
  private static func write(_ bytes: [UInt8], to path: String) throws(TunedModelError) {
    let name = String(path.split(separator: "/").last ?? "")
    let fresh = path + ".new"
    let descriptor = open(fresh, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .unwritable(file: name) }
    var start = 0
    while start < bytes.count {
      let count = bytes.withUnsafeBytes { buffer in
        Glibc.write(descriptor, buffer.baseAddress.map { $0 + start }, buffer.count - start)
      }
      guard count > 0 else { break }
      start += count
    }
    let isWritten = start == bytes.count && fsync(descriptor) == 0
    close(descriptor)
    guard isWritten, rename(fresh, path) == 0 else { throw .unwritable(file: name) }
  }
}
