import Catalog
import Foundation
import Identity
import Primitives
import SQLite
import Search

/// `waypost import`: files into the record, then their vectors into the index.
enum ImportCommand {
  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    guard !arguments.words.isEmpty else {
      Terminal.words("waypost import: name a file, a folder, or - for standard input")
      return .misuse
    }
    if let link = ServerLink(arguments) { return try await remote(link, arguments) }
    let folder = try DataFolder(arguments.text("data") ?? "./data")
    var options = Importer.Options()
    options.isAtomic = arguments.isSet("atomic")
    options.isDryRun = arguments.isSet("dry-run")
    options.note = { report, connection in
      try AuditLog.noteImport(
        report?.detail, by: .terminal, at: DataFolder.clock.now, on: connection)
    }
    let meter = RateMeter()
    let importer = Importer(
      database: folder.record, clock: DataFolder.clock, options: options,
      report: { Terminal.words(Terminal.safe($0)) },
      progress: { Terminal.progress(meter.line("read", $0, total: nil)) })
    let report = try await importer.run(arguments.words)
    Terminal.progress("")
    try await folder.record.checkpoint(truncate: true)
    if arguments.isSet("json") {
      Terminal.data(report.json.text)
    } else {
      Terminal.data(
        "\(report.created) new, \(report.changed) changed, \(report.same) the same, \(report.refused) refused"
      )
    }
    if !arguments.isSet("no-embed"), !arguments.isSet("dry-run") {
      try await embed(folder, arguments)
    }
    return report.taken == 0 && report.refused > 0 ? .refused : .done
  }

  /// Through a running server, in bodies of about four megabytes, cut between lines.
  private static func remote(_ link: ServerLink, _ arguments: Arguments) async throws -> Exit {
    var total = ImportReport()
    var query = arguments.isSet("dry-run") ? "?dryRun=true" : "?dryRun=false"
    if arguments.isSet("atomic") { query += "&atomic=true" }
    let byteCountMax = arguments.isSet("atomic") ? 15_000_000 : 4_000_000
    func send(_ body: [UInt8]) async throws {
      let answer = try await link.json(
        "/v1/admin/import" + query, body, type: "application/x-ndjson",
        seconds: ServerLink.bulkSeconds)
      for line in answer["refusedLines"]?.array ?? [] {
        Terminal.words(Terminal.safe(line.string ?? ""))
      }
      total.created += Int(answer["created"]?.int ?? 0)
      total.changed += Int(answer["changed"]?.int ?? 0)
      total.same += Int(answer["same"]?.int ?? 0)
      total.refused += Int(answer["refused"]?.int ?? 0)
    }
    for file in try Importer.files(of: arguments.words) {
      guard var reader = LineReader(path: file) else {
        throw Refusal(.validationFailed, "\(file) cannot be read.")
      }
      var body: [UInt8] = []
      while let line = reader.next() {
        body += line.bytes + [0x0A]
        if body.count >= byteCountMax, !arguments.isSet("atomic") {
          try await send(body)
          body.removeAll(keepingCapacity: true)
        }
      }
      if !body.isEmpty { try await send(body) }
    }
    Terminal.data(
      arguments.isSet("json")
        ? total.json.text
        : "\(total.created) new, \(total.changed) changed, \(total.same) the same, \(total.refused) refused"
    )
    return total.taken == 0 && total.refused > 0 ? .refused : .done
  }

  private static func embed(_ folder: DataFolder, _ arguments: Arguments) async throws {
    let (encoder, hint) = DataFolder.encoder(home: arguments.text("home") ?? ".waypost")
    if let hint { Terminal.words(hint) }
    let indexer = try folder.indexer(encoder: encoder, threadCount: arguments.integer("threads"))
    try await indexer.load()
    let meter = RateMeter()
    try await indexer.embedMissing { progress in
      Terminal.progress(meter.line("embedded", progress.done, total: progress.total))
    }
    Terminal.progress("")
  }
}

/// Rate and time left, for a line of progress.
final class RateMeter: Sendable {
  private let start = DataFolder.microseconds()

  func line(_ verb: String, _ done: Int, total: Int?) -> String {
    let seconds = max(Double(DataFolder.microseconds() - start) / 1e6, 0.001)
    let rate = Double(done) / seconds
    guard let total else { return "\(verb) \(done), \(Int(rate)) a second" }
    let left = rate > 0 ? Int(Double(total - done) / rate) : 0
    return "\(verb) \(done) of \(total), \(Int(rate)) a second, \(left) s left"
  }
}

/// `waypost reindex`: a new generation, swapped in when it is whole; or back to the one before.
enum ReindexCommand {
  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    let isBack = arguments.isSet("rollback")
    if let link = ServerLink(arguments) {
      let path = isBack ? "/v1/admin/index/rollback" : "/v1/admin/index/rebuild"
      let answer = try await link.json(path, [], seconds: ServerLink.bulkSeconds)
      return show(answer["generation"]?.string ?? "", arguments)
    }
    let folder = try DataFolder(arguments.text("data") ?? "./data")
    let (encoder, hint) = DataFolder.encoder(home: arguments.text("home") ?? ".waypost")
    guard let encoder else {
      Terminal.words(hint ?? "")
      return .refused
    }
    let indexer = try folder.indexer(encoder: encoder, threadCount: arguments.integer("threads"))
    if isBack {
      let generation = try await AuditLog.around(
        .init("index.roll_back", done: "index.rolled_back", on: "index"), in: folder.record,
        clock: DataFolder.clock, by: .terminal, outcome: { ("index:" + $0, "") }
      ) { try await indexer.rollBack() }
      return show(generation, arguments)
    }
    let meter = RateMeter()
    let generation = try await AuditLog.around(
      .init("index.rebuild", done: "index.rebuilt", on: "index"), in: folder.record,
      clock: DataFolder.clock, by: .terminal, outcome: { ("index:" + $0, "") }
    ) {
      try await indexer.reindex { progress in
        Terminal.progress(meter.line("embedded", progress.done, total: progress.total))
      }
    }
    Terminal.progress("")
    return show(generation, arguments)
  }

  private static func show(_ generation: String, _ arguments: Arguments) -> Exit {
    Terminal.data(
      arguments.isSet("json")
        ? JSON.object(["generation": .string(generation)]).text
        : "generation \(generation) is in place")
    return .done
  }
}

/// `waypost search`: the answer of a search in the terminal.
enum SearchCommand {
  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    if let link = ServerLink(arguments) { return try await remote(link, arguments) }
    let folder = try DataFolder(arguments.text("data") ?? "./data")
    let (encoder, hint) = DataFolder.encoder(home: arguments.text("home") ?? ".waypost")
    if let hint { Terminal.words(hint) }
    let indexer = try folder.indexer(encoder: encoder, threadCount: 1)
    try await indexer.load()
    var request = SearchRequest()
    request.query = arguments.words.joined(separator: " ")
    request.filter = try arguments.text("filter").flatMap { try FilterParser.parse($0) }
    request.limit = arguments.integer("limit")
    let engine = SearchEngine(
      encoder: .init(encoder: encoder), microseconds: DataFolder.microseconds)
    let answer = try engine.search(request, on: indexer.index.snapshot)
    for constraint in answer.understood { Terminal.words("understood: \(constraint.label)") }
    for relaxation in answer.relaxations {
      Terminal.words(
        "without \(relaxation.dropped.joined(separator: " and ")): \(relaxation.total)")
      if let loosened = relaxation.loosened {
        Terminal.words("with \(loosened.label): \(loosened.total)")
      }
    }
    show(answer.total, try answer.hits.map { try JSON.parse($0.service) }, arguments)
    return answer.total == 0 ? .refused : .done
  }

  /// A line a hit for people, or one object for programs.
  private static func show(_ total: Int, _ services: [JSON], _ arguments: Arguments) {
    if arguments.isSet("json") {
      let object: JSONObject = ["total": .number(total), "services": .array(services)]
      return Terminal.data(JSON.object(object).text)
    }
    Terminal.words("\(total) services")
    for service in services {
      let words = ["id", "name", "tagline"].compactMap { service[$0]?.string }
      Terminal.data(Terminal.safe(words.joined(separator: "  ")))
    }
  }

  private static func remote(_ link: ServerLink, _ arguments: Arguments) async throws -> Exit {
    var body: JSONObject = [
      "q": .string(arguments.words.joined(separator: " ")),
      "limit": .number(arguments.integer("limit")),
    ]
    if let filter = arguments.text("filter") { body["filter"] = .string(filter) }
    let answer = try await link.json("/v1/providers/search", JSON.object(body).bytes)
    for constraint in answer["understood"]?.array ?? [] {
      Terminal.words("understood: " + Terminal.safe(constraint["label"]?.string ?? ""))
    }
    let total = Int(answer["total"]?.int ?? 0)
    show(total, (answer["hits"]?.array ?? []).compactMap { $0["service"] }, arguments)
    return answer["total"] == 0 ? .refused : .done
  }
}

/// `waypost export`: every service as the import reads it.
enum ExportCommand {
  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    let folder = try DataFolder(arguments.text("data") ?? "./data")
    var pages = CatalogPages(of: folder.record, count: 500)
    while let page = try await pages.next() {
      for stored in page { Terminal.data(JSON.object(stored.service.document).text) }
    }
    return .done
  }
}
