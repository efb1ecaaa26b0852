import Catalog
import Embedding
import Foundation
import Primitives
import Search

/// `waypost tune`: learns from judged needs or feedback, and publishes what passes the gate.
struct TuneCommand: Sendable {
  private let arguments: Arguments

  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    let command = TuneCommand(arguments: arguments)
    if arguments.isSet("defaults") { return try await command.defaults() }
    if arguments.text("catalog") != nil { return try await command.measure() }
    if let link = ServerLink(arguments) { return try await command.remote(link) }
    if arguments.isSet("rollback") { return try await command.rollback() }
    return try await command.tune()
  }

  // MARK: One marketplace

  private func tune() async throws -> Exit {
    let source = try arguments.choice("from", of: ["judged", "feedback"])
    let judged = try source == "judged" ? judgedNeeds() : nil
    let tuner = try await tuner()
    let result = try await named {
      try await tuner.tune(
        judged, settings, isDryRun: arguments.isSet("dry-run"), at: DataFolder.clock.now
      ) { Terminal.progress($0) }
    }
    Terminal.progress("")
    if arguments.isSet("json") {
      Terminal.data(JSON.object(result.json).text)
    } else {
      for line in result.report.lines { Terminal.data(line) }
      Terminal.data(result.words)
    }
    return result.report.verdict == .publish ? .done : .refused
  }

  private var settings: TuningRun.Settings {
    var settings = TuningRun.Settings()
    settings.foldCount = arguments.integer("folds")
    settings.seed = UInt64(arguments.integer("seed"))
    return settings
  }

  /// The data folder's tuner, with its index loaded.
  private func tuner() async throws -> MarketplaceTuner {
    let folder = try DataFolder(arguments.text("data") ?? "./data")
    let indexer = try folder.indexer(encoder: encoder(), threadCount: arguments.integer("threads"))
    try await indexer.load()
    return folder.tuner(indexer, gate: arguments.text("gate"))
  }

  private func judgedNeeds() throws -> [TuningNeed] {
    guard let queries = arguments.text("queries"), let qrels = arguments.text("qrels") else {
      throw Refusal(
        .validationFailed, "Name --queries and --qrels, or learn --from feedback.")
    }
    return try JudgedFiles.needs(queries: queries, qrels: qrels)
  }

  private func rollback() async throws -> Exit {
    let tuner = try await tuner()
    let number = try await named { try await tuner.rollback() }
    show(number: number)
    return .done
  }

  private func show(number: Int?) {
    if arguments.isSet("json") {
      Terminal.data(JSON.object(["model": .optional(number)]).text)
    } else {
      Terminal.data(number.map { "model \($0) is in use" } ?? "the shipped ranking is in use")
    }
  }

  /// Through a running server, which holds the data folder.
  private func remote(_ link: ServerLink) async throws -> Exit {
    if arguments.isSet("rollback") {
      let answer = try await link.json("/v1/admin/tune/rollback", [])
      show(number: answer["model"]?.int.map { Int($0) })
      return .done
    }
    guard try arguments.choice("from", of: ["judged", "feedback"]) == "feedback" else {
      throw Refusal(
        .validationFailed,
        "\(link.address) has the data folder: stop it to learn from files, or learn --from feedback."
      )
    }
    let body: JSONObject = [
      "folds": .number(arguments.integer("folds")), "seed": .number(arguments.integer("seed")),
      "dryRun": .bool(arguments.isSet("dry-run")),
    ]
    let answer = try await link.json("/v1/admin/tune", JSON.object(body).bytes)
    if arguments.isSet("json") {
      Terminal.data(answer.text)
    } else {
      let lines = (answer["lines"]?.array ?? []).compactMap(\.string)
      for line in lines { Terminal.data(Terminal.safe(line)) }
      Terminal.data(Terminal.safe(answer["verdict"]?.string ?? ""))
    }
    return answer["isBetter"] == true ? .done : .refused
  }

  // MARK: Files alone

  /// What tuning would give on a catalog of files, by folds of its judged needs.
  private func measure() async throws -> Exit {
    let needs = try judgedNeeds()
    let services = try JudgedFiles.services(
      arguments.text("catalog") ?? "", pool: arguments.text("pool"))
    Terminal.words("\(services.count) services, \(needs.count) needs")
    let bench = try EngineTuningBench(
      services: services, encoder: encoder(), at: DataFolder.clock.now)
    let report = try await named {
      try await TuningRun(settings).run(
        TuningRun.Input(bench: bench, needs: needs, source: "judged"), at: DataFolder.clock.now
      ) { Terminal.progress($0) }
    }
    Terminal.progress("")
    if arguments.isSet("json") {
      Terminal.data(JSON.object(report.json).text)
    } else {
      for line in report.lines { Terminal.data(line) }
    }
    return report.verdict == .publish ? .done : .refused
  }

  // MARK: The shipped weights

  private func defaults() async throws -> Exit {
    let path = arguments.text("defaults") ?? ""
    let ranking = try JudgedFiles.text(path)
    let encoder = encoder()
    var sets: [DefaultsRun.JudgedSet] = []
    for text in arguments.list("set") { sets.append(try set(text, ranking, encoder)) }
    let report = try await DefaultsRun().run(sets) { Terminal.progress($0) }
    Terminal.progress("")
    let isWritten = report.isBetter && !arguments.isSet("dry-run")
    if isWritten {
      let text = try DefaultsRun.ranking(ranking, with: report.weights)
      try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    }
    if arguments.isSet("json") {
      var json = report.json
      json["written"] = .bool(isWritten)
      Terminal.data(JSON.object(json).text)
    } else {
      for line in report.lines { Terminal.data(line) }
      Terminal.data(
        isWritten
          ? "\(path) is written"
          : report.isBetter ? "would be written" : "not written: sets left out do not gain")
    }
    return report.isBetter ? .done : .refused
  }

  /// Reads `name:catalog:queries:qrels[:pool]:family`.
  private func set(
    _ text: String, _ ranking: String, _ encoder: Encoder?
  ) throws -> DefaultsRun.JudgedSet {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard (5...6).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else {
      throw Refusal(
        .validationFailed,
        "--set is name:catalog:queries:qrels[:pool]:family; this is \(text.prefix(200)).")
    }
    let services = try JudgedFiles.services(parts[1], pool: parts.count == 6 ? parts[4] : nil)
    Terminal.progress("preparing \(parts[0])")
    return DefaultsRun.JudgedSet(
      name: parts[0], family: parts[parts.count - 1],
      bench: try EngineTuningBench(
        services: services, encoder: encoder, at: DataFolder.clock.now, ranking: ranking),
      needs: try JudgedFiles.needs(queries: parts[2], qrels: parts[3]))
  }

  private func encoder() -> Encoder? {
    let (encoder, hint) = DataFolder.encoder(home: arguments.text("home") ?? ".waypost")
    if let hint { Terminal.words(hint) }
    return encoder
  }

  /// The errors of learning in words.
  private func named<T>(_ body: () async throws -> T) async throws -> T {
    do {
      return try await body()
    } catch let error as TunedModelError {
      throw Refusal(.validationFailed, error.words)
    } catch let error as AdapterTrainer.Diverged {
      throw Refusal(
        .internal, "Learning ran away at step \(error.step): a vector of the index is no number.")
    }
  }
}
