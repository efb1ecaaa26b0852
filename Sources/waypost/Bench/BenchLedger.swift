import Foundation
import Ledger
import Primitives
import SQLite

/// Durable holds a second beside PostgreSQL's durable single-row updates, on the same disk with as many clients.
enum BenchLedger {
  private static let users = 1_000
  private static let providers: UInt64 = 100
  private static let script = "Scripts/bench-postgres.py"
  /// A hold is five statements; the peer's update is one.
  private static let ratioAtLeast = 1.5

  static func rows(_ arguments: Arguments) async throws -> [BenchRow] {
    let clients = arguments.integer("clients")
    let seconds = arguments.integer("seconds")
    let disk = try disk(arguments)
    var row = BenchRow("ledger, durable holds", size: clients, unit: "1/s")
    row.target = .ratioAtLeast(ratioAtLeast)
    var slowest: [Double] = []
    for round in 0..<arguments.integer("rounds") {
      if row.skipped == nil {
        do {
          row.peer.append(try peer(arguments, clients, seconds, on: disk))
        } catch let refusal as Refusal { row.skipped = "the peer: " + refusal.detail }
      }
      Terminal.progress("ledger, round \(round + 1)")
      let measured = try await ours(clients, seconds, on: disk)
      row.ours.append(BenchFigure(measured.rate))
      row.facts = measured.facts
      slowest.append(measured.p99)
    }
    Terminal.progress("")
    row.facts.append(("p99 ms, median", BenchRow.median(slowest)))
    return [row]
  }

  /// The folder whose disk is measured: that of `--data`, else the system's for temporary files.
  private static func disk(_ arguments: Arguments) throws -> String {
    guard arguments.isSet("data"), let path = arguments.text("data") else {
      return FileManager.default.temporaryDirectory.path
    }
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return URL(fileURLWithPath: path).path
  }

  private static func peer(
    _ arguments: Arguments, _ clients: Int, _ seconds: Int, on disk: String
  ) throws -> BenchFigure {
    guard FileManager.default.fileExists(atPath: script) else {
      throw Refusal(.notFound, "\(script) is not there: run it in the project's folder")
    }
    let output = try BenchProcess.run(
      arguments.text("python") ?? "/usr/bin/python3",
      [script, "--clients", String(clients), "--seconds", String(seconds), "--folder", disk],
      secondsMax: seconds + 180)
    guard output.status == 0 else {
      let last = output.words.split(whereSeparator: \.isNewline).last.map(String.init)
      throw Refusal(.storageUnavailable, last ?? "status \(output.status)")
    }
    let lines = output.data.split(whereSeparator: \.isNewline).compactMap {
      try? JSON.parse(String($0))
    }
    guard lines.first?["same_disk"]?.bool == true else {
      throw Refusal(.storageUnavailable, "PostgreSQL cannot reach \(disk)")
    }
    return try BenchPeer.figure(lines, peer: "postgresql", what: "durable updates")
  }

  private struct Measured {
    let rate: Double
    let p99: Double
    let facts: [(name: String, value: Double)]
  }

  /// One round on a record of its own.
  private static func ours(_ clients: Int, _ seconds: Int, on disk: String) async throws -> Measured
  {
    let folder = try BenchFolder(in: disk)
    defer { withExtendedLifetime(folder) {} }
    let record = try Database(path: folder.path + "/record.db", migrations: DataFolder.migrations)
    try await fund(record)
    let before = record.figures
    let start = DataFolder.microseconds()
    let end = start + Int64(seconds) * 1_000_000
    let times = try await withThrowingTaskGroup(of: [Double].self) { group in
      for client in 0..<clients {
        group.addTask { try await hold(as: UInt64(client), until: end, in: record) }
      }
      return try await group.reduce(into: [Double]()) { $0 += $1 }
    }
    let span = Double(DataFolder.microseconds() - start) / 1_000_000
    let report = try await record.read { try LedgerVerifier.verify($0) }
    guard report.isSound, report.transferCount == users + times.count else {
      throw Refusal(.internal, "the ledger of the benchmark is not sound: \(report.faults)")
    }
    let after = record.figures
    let sorted = times.sorted()
    func percentile(_ share: Double) -> Double {
      sorted.isEmpty ? .nan : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }
    return Measured(
      rate: Double(times.count) / span, p99: percentile(0.99),
      facts: [
        ("p50 ms", percentile(0.5)), ("p95 ms", percentile(0.95)), ("p99 ms", percentile(0.99)),
        ("holds a commit", Double(times.count) / Double(max(1, after.commits - before.commits))),
      ])
  }

  /// Every user gets a million tokens.
  private static func fund(_ record: Database) async throws {
    try await record.write { connection in
      for user in 0..<UInt64(users) {
        try LedgerStore.post(
          ID(high: 1, low: user), from: .platform(.externalPayments),
          to: .user(ID<BenchUser>(high: 0, low: user)), Microtokens(1_000_000_000_000),
          reason: "bench", at: Timestamp(milliseconds: 1), on: connection)
      }
    }
  }

  /// Holds of random users, one after the other.
  /// - Returns: How long each took until it was durable, in milliseconds.
  private static func hold(
    as client: UInt64, until end: Int64, in record: Database
  ) async throws -> [Double] {
    var random = SplitMix64(seed: client)
    var times: [Double] = []
    var now = DataFolder.microseconds()
    while now < end {
      let user = ID<BenchUser>(high: 0, low: random.next() % UInt64(users))
      let provider = AccountName.provider("provider-\(random.next() % providers)")
      let at = DataFolder.clock.now
      let id = ID<HoldKind>(at: at, random: .system)
      try await record.write { connection -> Void in
        try LedgerStore.hold(
          id, reference: id.bytes, from: .user(user), to: provider, Microtokens(250_000),
          expiresAt: Timestamp(milliseconds: at.milliseconds + 86_400_000), reason: "bench",
          at: at, on: connection)
      }
      let done = DataFolder.microseconds()
      times.append(Double(done - now) / 1_000)
      now = done
    }
    return times
  }

  private enum BenchUser {}
}
