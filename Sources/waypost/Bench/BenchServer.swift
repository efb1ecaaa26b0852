import Foundation
import Primitives
import Search

/// `waypost serve` as a child over a folder of this run, on a free port of 127.0.0.1, ended by its own pid.
final class BenchServer {
  let port: UInt16
  /// From the start of the process to its saying that it serves.
  let readySeconds: Double
  private let process: Process

  /// Longer than this a start does not take: a server that builds a base of a million says nothing before.
  private static let startSecondsMax = 900

  /// Starts a server and waits until it serves.
  /// - Throws: `Refusal` with the last line of its log where it does not.
  init(_ folder: String, _ arguments: Arguments) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try BenchServer.program())
    process.arguments = [
      "serve", "--json", "--data", folder, "--port", "0", "--rate-limit", "0", "--login-limit", "0",
      "--home", arguments.text("home") ?? ".waypost",
    ]
    let outPath = folder + "/bench.out"
    let logPath = folder + "/bench.log"
    for path in [outPath, logPath] { try Data().write(to: URL(fileURLWithPath: path)) }
    process.standardOutput = FileHandle(forWritingAtPath: outPath)
    process.standardError = FileHandle(forWritingAtPath: logPath)
    process.standardInput = FileHandle.nullDevice
    let start = DataFolder.microseconds()
    try process.run()
    BenchChildren.shared.add(process.processIdentifier)
    self.process = process
    let end = start + Int64(BenchServer.startSecondsMax) * 1_000_000
    var found: UInt16?
    while found == nil, process.isRunning, DataFolder.microseconds() < end {
      usleep(2_000)
      found = BenchServer.port(outPath)
    }
    readySeconds = Double(DataFolder.microseconds() - start) / 1e6
    guard let found else {
      BenchProcess.end(process)
      let log = String(
        decoding: FileManager.default.contents(atPath: logPath) ?? Data(), as: UTF8.self)
      let last = log.split(whereSeparator: \.isNewline).last.map(String.init) ?? "no word of why"
      throw Refusal(.storageUnavailable, "the server did not start: \(last)")
    }
    port = found
  }

  deinit { stop() }

  /// Resident memory in bytes, as the kernel counts it: mapped pages that were read belong to it.
  var residentByteCount: Int {
    let path = "/proc/\(process.processIdentifier)/status"
    let status = String(
      decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    let number = line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }
    return (number ?? 0) * 1_024
  }

  func stop() {
    BenchProcess.end(process)
    BenchChildren.shared.remove(process.processIdentifier)
  }

  private static func port(_ path: String) -> UInt16? {
    guard let data = FileManager.default.contents(atPath: path), data.last == 0x0A,
      let address = (try? JSON.parse(Array(data)))?["address"]?.string
    else { return nil }
    return address.split(separator: ":").last.flatMap { UInt16($0) }
  }

  /// This program's own file.
  static func program() throws -> String {
    guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    else { throw Refusal(.storageUnavailable, "/proc/self/exe does not name the program") }
    return path
  }
}
