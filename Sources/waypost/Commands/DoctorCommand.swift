import Cryptography
import Foundation
import Index
import LinearAlgebra
import Primitives
import SQLite

/// `waypost doctor`: looks at what Waypost stands on, and says what to do.
enum DoctorCommand {
  private enum State: String { case good = "ok", warning = "warning", bad = "problem" }

  private struct Finding {
    let name: String
    let state: State
    let detail: String
  }

  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    let path = arguments.text("data") ?? "./data"
    let findings = [
      model(arguments.text("home") ?? ".waypost"), blas(), sqlite(), disk(path), folder(path),
      port(arguments.integer("port")),
    ]
    for finding in findings {
      if arguments.isSet("json") {
        Terminal.data(
          JSON.object([
            "check": .string(finding.name), "state": .string(finding.state.rawValue),
            "detail": .string(finding.detail),
          ]).text)
      } else {
        let name = finding.name.padding(toLength: 8, withPad: " ", startingAt: 0)
        let state = finding.state.rawValue.padding(toLength: 9, withPad: " ", startingAt: 0)
        Terminal.data("\(name) \(state) \(finding.detail)")
      }
    }
    return findings.contains { $0.state == .bad } ? .refused : .done
  }

  /// The files of the manifest, by their sums.
  private static func model(_ home: String) -> Finding {
    let manifest = (try? JSON.parse(IndexFiles.model)) ?? [:]
    for file in manifest["files"]?.array ?? [] {
      guard let name = file["name"]?.string, let sum = file["sha256"]?.string else { continue }
      guard let data = FileManager.default.contents(atPath: "\(home)/model/\(name)") else {
        return Finding(
          name: "model", state: .warning,
          detail:
            "\(name) is not in \(home)/model: run 'make model'; until then search is by words only")
      }
      guard BytesText.hex(Digest.sha256(Array(data))) == sum else {
        return Finding(
          name: "model", state: .bad,
          detail: "\(name) is damaged: delete \(home)/model and run 'make model'")
      }
    }
    return Finding(name: "model", state: .good, detail: "all-MiniLM-L6-v2, both sums right")
  }

  /// Speed of a 256 x 384 x 1536 product, the encoder's largest.
  private static func blas() -> Finding {
    let (rows, inner, outer) = (256, 384, 1_536)
    let input = [Float](repeating: 0.5, count: rows * inner)
    let weights = [Float](repeating: 0.25, count: outer * inner)
    var output = [Float](repeating: 0, count: rows * outer)
    var best = Int64.max
    for _ in 0..<5 {
      let start = DataFolder.microseconds()
      Kernels.multiplyTransposed(
        input, weights, &output, m: rows, n: outer, k: inner, strides: (inner, inner, outer))
      best = min(best, max(1, DataFolder.microseconds() - start))
    }
    let speed = Double(2 * rows * inner * outer) / Double(best) / 1_000
    let detail = String(format: "%.0f GFLOP/s on one thread; ", speed) + BLASLibrary.name
    return speed > 10
      ? Finding(name: "blas", state: .good, detail: detail)
      : Finding(
        name: "blas", state: .warning,
        detail: detail
          + "; this is slow: install libopenblas0-pthread, it becomes the default by itself")
  }

  private static func sqlite() -> Finding {
    Finding(
      name: "sqlite", state: .good,
      detail: Connection.version
        + (Connection.hasWALResetBug
          ? "; has the WAL-reset bug, which one writing connection avoids" : ""))
  }

  private static func disk(_ path: String) -> Finding {
    var status = statvfs()
    guard statvfs(FileManager.default.fileExists(atPath: path) ? path : ".", &status) == 0 else {
      return Finding(name: "disk", state: .bad, detail: "the data folder's disk cannot be read")
    }
    let free = UInt64(status.f_bavail) * UInt64(status.f_frsize) / 1_048_576
    return free < 1_024
      ? Finding(
        name: "disk", state: .bad, detail: "\(free) MiB free: a catalog of 60,000 needs about 1 GiB"
      )
      : Finding(name: "disk", state: .good, detail: "\(free) MiB free")
  }

  private static func folder(_ path: String) -> Finding {
    guard FileManager.default.fileExists(atPath: path + "/record.db") else {
      return Finding(
        name: "data", state: .warning, detail: "\(path) has no record yet: waypost import makes it")
    }
    guard (try? DataFolder(path)) != nil else {
      return Finding(name: "data", state: .good, detail: "\(path) is served by another waypost now")
    }
    return Finding(name: "data", state: .good, detail: "\(path) opens")
  }

  private static func port(_ port: Int) -> Finding {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    let status = Loopback.address(port: UInt16(port)) { bind(descriptor, $0, $1) }
    return status == 0
      ? Finding(name: "port", state: .good, detail: "\(port) is free")
      : Finding(
        name: "port", state: .warning, detail: "\(port) is taken: choose another with --port")
  }
}
