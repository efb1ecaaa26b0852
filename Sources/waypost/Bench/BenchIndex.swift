import Catalog
import Foundation
import Primitives
import SQLite
import Search

/// A data folder of this run, filled with so many services, its base built; and what that took.
struct BenchCatalog {
  let folder: BenchFolder
  /// Services in it.
  let size: Int
  let importSeconds: Double?
  let buildSeconds: Double
  let segmentByteCount: Int

  /// Lines of the file that is imported, at a time.
  private static let lineCount = 1_000

  /// Fills a folder, or copies the one that `--data` names: that one is never written to.
  static func make(_ inputs: BenchInputs, count: Int) async throws -> BenchCatalog {
    let folder = try BenchFolder()
    let path = folder.path + "/data"
    var importSeconds: Double?
    if inputs.arguments.isSet("data"), let source = inputs.arguments.text("data") {
      Terminal.progress("copying \(source)")
      // Nobody may write while it is copied.
      let lock = try DataFolder(source)
      try await lock.record.checkpoint(truncate: true)
      try FileManager.default.copyItem(atPath: source, toPath: path)
      withExtendedLifetime(lock) {}
      try Generations(dataFolder: path).removeBases()
    } else {
      importSeconds = try await fill(inputs, count, path, rowsPath: folder.path + "/rows.jsonl")
    }
    Terminal.progress("building the base")
    defer { Terminal.progress("") }
    let start = DataFolder.microseconds()
    let size = try await load(path)
    let end = DataFolder.microseconds()
    return BenchCatalog(
      folder: folder, size: size, importSeconds: importSeconds,
      buildSeconds: Double(end - start) / 1e6,
      segmentByteCount: try Generations(dataFolder: path).baseByteCount())
  }

  /// What is measured of a catalog of each size, or of the one that `--data` names.
  static func rows(
    _ inputs: BenchInputs, _ measure: (BenchCatalog) throws -> [BenchRow]
  ) async throws -> [BenchRow] {
    var rows: [BenchRow] = []
    for count in try inputs.arguments.isSet("data") ? [0] : inputs.counts() {
      rows += try measure(await make(inputs, count: count))
    }
    return rows
  }

  var path: String { folder.path + "/data" }

  /// Imports a corpus and stores seeded vectors.
  /// - Returns: Seconds of the import alone.
  private static func fill(
    _ inputs: BenchInputs, _ count: Int, _ path: String, rowsPath: String
  ) async throws -> Double {
    Terminal.progress("writing \(count) services")
    try Data().write(to: URL(fileURLWithPath: rowsPath))
    guard let file = FileHandle(forWritingAtPath: rowsPath) else {
      throw Refusal(.storageUnavailable, "\(rowsPath) cannot be written")
    }
    for start in stride(from: 0, to: count, by: lineCount) {
      var bytes: [UInt8] = []
      for index in start..<min(start + lineCount, count) {
        bytes += JSON.object(try inputs.corpus.service(index).document).bytes + [0x0A]
      }
      try file.write(contentsOf: Data(bytes))
    }
    try file.close()
    let data = try DataFolder(path)
    let importer = Importer(
      database: data.record, clock: DataFolder.clock, options: .init(),
      report: { Terminal.words(Terminal.safe($0)) },
      progress: { Terminal.progress("imported \($0) of \(count)") })
    let begun = DataFolder.microseconds()
    _ = try await importer.run([rowsPath])
    let seconds = Double(DataFolder.microseconds() - begun) / 1e6
    try await data.record.checkpoint(truncate: true)
    try FileManager.default.removeItem(atPath: rowsPath)
    Terminal.progress("storing vectors")
    try await BenchVectors().store(inputs.corpus, count: count, dataFolder: path)
    return seconds
  }

  /// Opens the folder, builds the base where there is none, and lets go of it.
  private static func load(_ path: String) async throws -> Int {
    let data = try DataFolder(path)
    let indexer = try data.indexer(encoder: nil, threadCount: 1)
    try await indexer.load()
    return indexer.index.snapshot.liveCount
  }
}

/// `waypost bench index`: import, build, size, start, memory.
enum BenchIndex {
  private static let searchCount = 100

  static func rows(_ inputs: BenchInputs) async throws -> [BenchRow] {
    try await BenchCatalog.rows(inputs) { try measure($0, inputs) }
  }

  private static func measure(_ catalog: BenchCatalog, _ inputs: BenchInputs) throws -> [BenchRow] {
    let size = catalog.size
    func row(_ what: String, _ unit: String, _ value: Double, _ target: BenchTarget? = nil)
      -> BenchRow
    {
      var row = BenchRow(what, size: size, unit: unit)
      row.ours = [BenchFigure(value)]
      row.target = target
      return row
    }
    var rows: [BenchRow] = []
    if let seconds = catalog.importSeconds { rows.append(row("index, import", "s", seconds)) }
    rows.append(row("index, build of the base", "s", catalog.buildSeconds))
    rows.append(row("index, size of the base", "MB", Double(catalog.segmentByteCount) / 1e6))
    let server = try BenchServer(catalog.path, inputs.arguments)
    defer { server.stop() }
    let isReal = (50_000..<100_000).contains(size)
    rows.append(
      row(
        "index, start to serving", "s", server.readySeconds,
        isReal ? .atMost(p50: 1, p95: 1) : nil))
    var client = try BenchClient(port: server.port)
    for number in 0..<searchCount {
      let answer = try client.send(BenchRequests(needs: inputs.needs).search(number))
      guard answer.status == 200 else {
        throw Refusal(.storageUnavailable, "a search answered with status \(answer.status)")
      }
    }
    let bound: Double? = size >= 1_000_000 ? 3_000 : isReal ? 350 : nil
    rows.append(
      row(
        "index, memory after 100 searches", "MB", Double(server.residentByteCount) / 1e6,
        bound.map { .atMost(p50: $0, p95: $0) }))
    return rows
  }
}
