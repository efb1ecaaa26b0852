import Foundation
import Primitives
import Search
import Synchronization

/// `waypost bench http`: clients that search without a pause, and listings that change meanwhile.
enum BenchLoad {
  /// What the clients found, together.
  private struct Tally: Sendable {
    var searches = BenchSample()
    var changes = BenchSample()
    var errorCount = 0
    var changeErrorCount = 0
    /// Answers whose counts of `kind` do not add up to their total.
    var inconsistentCount = 0
  }

  /// A load that goes on until its end.
  private final class Load: Sendable {
    let port: UInt16
    let requests: BenchRequests
    let end: Int64
    private let next = Atomic<Int>(0)
    private let tally = Mutex(Tally())

    init(port: UInt16, requests: BenchRequests, end: Int64) {
      self.port = port
      self.requests = requests
      self.end = end
    }

    var result: Tally { tally.withLock { $0 } }
    var isOver: Bool { DataFolder.microseconds() >= end }

    /// Searches until the end; a broken connection is an error, and made again.
    func search() {
      while !isOver {
        do {
          var client = try BenchClient(port: port)
          while !isOver { try searchOnce(&client) }
        } catch {
          tally.withLock { $0.errorCount += 1 }
          usleep(10_000)
        }
      }
    }

    private func searchOnce(_ client: inout BenchClient) throws {
      let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
      let start = BenchInputs.nanoseconds()
      let answer = try client.send(requests.search(number))
      let time = BenchInputs.nanoseconds() - start
      // Every tenth is read whole: reading costs the machine that the server runs on, too.
      let isRight = number % 10 != 0 || BenchLoad.isConsistent(answer.body)
      tally.withLock { tally in
        tally.searches.note(nanoseconds: time)
        if answer.status != 200 { tally.errorCount += 1 }
        if answer.status == 200, !isRight { tally.inconsistentCount += 1 }
      }
    }

    /// One of several that together change so many listings a second until the end; each change is waited for
    /// until it is searchable, and each listing has one writer.
    func change(_ writer: Int, of count: Int, perSecond: Int, token: String) {
      let step = 1_000_000 / Int64(perSecond)
      let interval = step * Int64(count)
      var due = DataFolder.microseconds() + step * Int64(writer)
      var number = writer - count
      while !isOver {
        do {
          var client = try BenchClient(port: port)
          while !isOver {
            usleep(UInt32(clamping: max(0, due - DataFolder.microseconds())))
            due += interval
            number += count
            try changeOnce(&client, number, token)
          }
        } catch {
          tally.withLock { $0.changeErrorCount += 1 }
          usleep(10_000)
        }
      }
    }

    private func changeOnce(_ client: inout BenchClient, _ number: Int, _ token: String) throws {
      let request = BenchLoad.change(number, requests.text(number), token)
      let start = BenchInputs.nanoseconds()
      let answer = try client.send(request)
      let time = BenchInputs.nanoseconds() - start
      let isSearchable = (try? JSON.parse(answer.body))?["searchable"]?.bool == true
      tally.withLock { tally in
        tally.changes.note(nanoseconds: time)
        if !(200..<300).contains(answer.status) || !isSearchable { tally.changeErrorCount += 1 }
      }
    }
  }

  private static let provider = "waypost-bench"
  /// A divisor of the number of changed listings, so that each has one writer.
  private static let writerCount = 10

  static func rows(_ inputs: BenchInputs) async throws -> [BenchRow] {
    try await BenchCatalog.rows(inputs) { try measure($0, inputs) }
  }

  private static func measure(_ catalog: BenchCatalog, _ inputs: BenchInputs) throws -> [BenchRow] {
    let arguments = inputs.arguments
    let seconds = arguments.integer("seconds")
    let changesPerSecond = arguments.integer("changes")
    // A key is made before the server takes the folder's lock.
    let token = changesPerSecond > 0 ? try makeKey(catalog.path) : nil
    let server = try BenchServer(catalog.path, arguments)
    defer { server.stop() }
    let load = Load(
      port: server.port, requests: BenchRequests(needs: inputs.needs),
      end: DataFolder.microseconds() + Int64(seconds) * 1_000_000)
    let start = DataFolder.microseconds()
    var work: [@Sendable () -> Void] = (0..<arguments.integer("clients")).map { _ in
      { load.search() }
    }
    if let token {
      work += (0..<writerCount).map { writer in
        { load.change(writer, of: writerCount, perSecond: changesPerSecond, token: token) }
      }
    }
    run(work)
    let taken = Double(DataFolder.microseconds() - start) / 1e6
    return rows(load.result, size: catalog.size, seconds: taken, load.requests, inputs)
  }

  private static func rows(
    _ tally: Tally, size: Int, seconds: Double, _ requests: BenchRequests, _ inputs: BenchInputs
  ) -> [BenchRow] {
    let count = tally.searches.milliseconds.count
    var rate = BenchRow("http, searches", size: size, unit: "a second")
    rate.ours = [BenchFigure(Double(count) / seconds)]
    if (50_000..<100_000).contains(size) { rate.target = .atLeast(250) }
    rate.facts = [
      ("clients", Double(inputs.arguments.integer("clients"))),
      ("errors", Double(tally.errorCount)),
      ("inconsistencies", Double(tally.inconsistentCount)),
      ("repeated queries", Double(max(0, count - requests.count))),
    ]
    // A rate with wrong answers in it is none.
    rate.facts.append(("wrong answers", Double(tally.errorCount + tally.inconsistentCount)))
    rate.condition = ("wrong answers", 0...0)
    var time = BenchRow("http, time of a search", size: size, unit: "ms")
    time.ours = [BenchFigure(tally.searches)]
    time.facts = [("p99", tally.searches.percentile(0.99))]
    guard inputs.arguments.integer("changes") > 0 else { return [rate, time] }
    var change = BenchRow("http, a change until searchable", size: size, unit: "ms")
    change.ours = [BenchFigure(tally.changes)]
    change.facts = [
      ("changes", Double(tally.changes.milliseconds.count)),
      ("p99", tally.changes.percentile(0.99)), ("errors", Double(tally.changeErrorCount)),
    ]
    return [rate, time, change]
  }

  /// Runs work on threads of its own, for it blocks, and waits for all.
  private static func run(_ work: [@Sendable () -> Void]) {
    let group = DispatchGroup()
    for body in work {
      group.enter()
      let thread = Thread {
        body()
        group.leave()
      }
      thread.start()
    }
    group.wait()
  }

  private static func makeKey(_ folder: String) throws -> String {
    let output = try BenchProcess.run(
      try BenchServer.program(), ["keys", "new", "--provider", provider, "--data", folder],
      secondsMax: 60)
    guard output.status == 0, let key = output.data.split(whereSeparator: \.isNewline).last else {
      throw Refusal(.storageUnavailable, "no key for the provider of the changes: \(output.words)")
    }
    return String(key)
  }

  private static func change(_ number: Int, _ text: String, _ token: String) -> BenchRequest {
    // A hundred listings, changed again and again.
    let id = "\(provider)-\(number % 100)"
    let body: JSONObject = [
      "name": .string("Benchmark \(number % 100)"), "kind": "api",
      "tagline": "Changes while others search.",
      "description": .string("\(text) (\(number))"), "categories": ["Benchmarks"],
    ]
    return BenchRequest(
      method: "PUT", path: "/v1/provider/services/\(id)?wait=searchable",
      body: JSON.object(body).bytes, token: token)
  }

  /// Whether an answer's counts of kinds and its services without one add up to its total.
  private static func isConsistent(_ body: [UInt8]) -> Bool {
    guard let answer = try? JSON.parse(body), let total = answer["total"]?.int,
      let kinds = answer["facets"]?["kind"], let unknown = kinds["unknownCount"]?.int,
      let other = kinds["otherCount"]?.int
    else { return false }
    // A condition on kinds that was read out of the text does not count for their own group.
    let conditions = (answer["understood"]?.array ?? []).compactMap { $0["filter"]?.string }
    if conditions.contains(where: { $0.contains("kind") }) { return true }
    let counted = (kinds["values"]?.array ?? []).reduce(0) { $0 + ($1["count"]?.int ?? 0) }
    return counted + unknown + other == total
  }
}
