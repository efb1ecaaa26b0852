import Foundation
import Primitives
import Synchronization

/// The peers' scripts, where they and a Python with their packages are.
struct BenchPeer: Sendable {
  private let python: String
  private let folder: String

  /// Longer than this no script runs.
  private static let secondsMax = 900

  /// The peers that `--python` and `--peers` name.
  /// - Returns: nil with the reason where one is missing.
  static func find(_ arguments: Arguments) -> (BenchPeer?, reason: String?) {
    guard let python = arguments.text("python") else { return (nil, "no --python") }
    guard let folder = arguments.text("peers") else { return (nil, "no --peers") }
    for path in [python, folder + "/text_search.py"]
    where !FileManager.default.fileExists(atPath: path) {
      return (nil, "\(path) is not there")
    }
    return (BenchPeer(python: python, folder: folder), nil)
  }

  /// Runs a script to its end.
  /// - Returns: The JSON lines that it printed.
  /// - Throws: `Refusal` with the last line that it wrote of its trouble.
  func run(_ script: String, _ arguments: [String]) throws -> [JSON] {
    Terminal.progress("\(script) \(arguments.joined(separator: " "))")
    defer { Terminal.progress("") }
    let output = try BenchProcess.run(
      python, [folder + "/" + script] + arguments, secondsMax: BenchPeer.secondsMax)
    guard output.status == 0 else {
      let last = output.words.split(whereSeparator: \.isNewline).last.map(String.init)
      throw Refusal(.storageUnavailable, "\(script): \(last ?? "status \(output.status)")")
    }
    return output.data.split(whereSeparator: \.isNewline).compactMap { try? JSON.parse(String($0)) }
  }

  /// The figure of a line with this `peer` and `what`.
  static func figure(_ lines: [JSON], peer: String, what: String) throws -> BenchFigure {
    let line = lines.first { $0["peer"]?.string == peer && $0["what"]?.string == what }
    if let p50 = line?["p50_ms"]?.double, let p95 = line?["p95_ms"]?.double {
      return BenchFigure(p50: p50, p95: p95)
    }
    if let rate = line?["per_second"]?.double { return BenchFigure(rate) }
    throw Refusal(.storageUnavailable, "\(peer) printed no '\(what)'")
  }
}

/// Programs that the benchmark starts and ends: by their own pid, never by a name.
enum BenchProcess {
  struct Output {
    let status: Int32
    let data: String
    let words: String
  }

  /// Runs a program to its end, or for so many seconds.
  static func run(_ path: String, _ arguments: [String], secondsMax: Int) throws -> Output {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    // Files instead of pipes: nobody has to read two streams at a time.
    let folder = try BenchFolder()
    defer { withExtendedLifetime(folder) {} }
    let paths = ["out", "err"].map { folder.path + "/" + $0 }
    for path in paths { try Data().write(to: URL(fileURLWithPath: path)) }
    process.standardOutput = FileHandle(forWritingAtPath: paths[0])
    process.standardError = FileHandle(forWritingAtPath: paths[1])
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let children = BenchChildren.shared
    children.add(process.processIdentifier)
    defer { children.remove(process.processIdentifier) }
    let end = DataFolder.microseconds() + Int64(secondsMax) * 1_000_000
    while process.isRunning, DataFolder.microseconds() < end { usleep(20_000) }
    BenchProcess.end(process)
    let texts = paths.map { path in
      String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }
    return Output(status: process.terminationStatus, data: texts[0], words: texts[1])
  }

  /// Asks a program to end, waits ten seconds, then ends it.
  static func end(_ process: Process) {
    if process.isRunning { process.terminate() }
    for _ in 0..<500 where process.isRunning { usleep(20_000) }
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
  }
}

/// A folder of this run, gone with it.
final class BenchFolder: Sendable {
  let path: String

  /// - Parameter parent: nil for the system's folder of temporary files.
  init(in parent: String? = nil) throws {
    let folder = (parent.map { URL(fileURLWithPath: $0) } ?? FileManager.default.temporaryDirectory)
      .appendingPathComponent("waypost-bench-" + UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    path = folder.path
    BenchChildren.shared.add(folder: path)
  }

  deinit {
    // A folder that cannot be removed is left to the system's own cleaning.
    try? FileManager.default.removeItem(atPath: path)
    BenchChildren.shared.remove(folder: path)
  }
}

/// What must not be left behind where the benchmark is interrupted.
final class BenchChildren: Sendable {
  static let shared = BenchChildren()
  private let state = Mutex((pids: Set<Int32>(), folders: Set<String>()))

  func add(_ pid: Int32) { state.withLock { _ = $0.pids.insert(pid) } }
  func remove(_ pid: Int32) { state.withLock { _ = $0.pids.remove(pid) } }
  func add(folder: String) { state.withLock { _ = $0.folders.insert(folder) } }
  func remove(folder: String) { state.withLock { _ = $0.folders.remove(folder) } }

  /// Ends the children, removes the folders, and the process with them.
  func endAll() -> Never {
    let (pids, folders) = state.withLock { $0 }
    for pid in pids { kill(pid, SIGTERM) }
    if !pids.isEmpty { sleep(2) }
    for pid in pids { kill(pid, SIGKILL) }
    // What cannot be removed is left to the system's own cleaning.
    for folder in folders { try? FileManager.default.removeItem(atPath: folder) }
    exit(Exit.refused.rawValue)
  }
}
