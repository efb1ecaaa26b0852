import Catalog
import Embedding
import Foundation
import Index
import Primitives
import SQLite
import Search

/// Where `tune` gets its engines from.
protocol TuningBenches: Sendable {
  /// The catalog of a data folder, under the shipped ranking.
  func marketplace(_ folder: DataFolder, encoder: Encoder?) async throws -> any TuningBench
  /// The shipped demo catalog with its judged needs, which no tuning may spoil.
  func shipped(encoder: Encoder?) async throws -> (bench: any TuningBench, needs: [TuningNeed])
  /// A catalog of files, some of its ids, under a ranking configuration.
  func catalog(
    _ services: [Service], encoder: Encoder?, ranking: String
  ) async throws -> any TuningBench
}

/// `waypost tune`: learns from judged needs or feedback, and publishes what passes the gate.
struct TuneCommand: Sendable {
  private let arguments: Arguments
  private let benches: any TuningBenches

  static func run(_ arguments: Arguments, _ benches: any TuningBenches) async throws -> Exit {
    let command = TuneCommand(arguments: arguments, benches: benches)
    if arguments.isSet("defaults") { return try await command.defaults() }
    if arguments.isSet("rollback") { return try await command.rollback() }
    return try await command.tune()
  }

  // MARK: One marketplace

  private func tune() async throws -> Exit {
    let source = try arguments.choice("from", of: ["judged", "feedback"])
    let judged = try source == "judged" ? judgedNeeds() : nil
    let folder = try DataFolder(arguments.text("data") ?? "./data")
    let encoder = encoder()
    let bench = try await benches.marketplace(folder, encoder: encoder)
    let needs: [TuningNeed]
    if let judged { needs = judged } else { needs = try await feedbackNeeds(folder, bench) }
    var settings = TuningRun.Settings()
    settings.foldCount = arguments.integer("folds")
    settings.seed = UInt64(arguments.integer("seed"))
    let input = TuningRun.Input(
      bench: bench, needs: needs, source: source,
      shipped: try await benches.shipped(encoder: encoder))
    let report = try await named {
      try await TuningRun(settings).run(input, at: DataFolder.clock.now) {
        Terminal.progress($0)
      }
    }
    Terminal.progress("")
    return try await publish(report, folder, encoder)
  }

  private func judgedNeeds() throws -> [TuningNeed] {
    guard let queries = arguments.text("queries"), let qrels = arguments.text("qrels") else {
      throw Refusal(
        .validationFailed, "Name --queries and --qrels, or learn --from feedback.")
    }
    return try needs(queries: queries, qrels: qrels)
  }

  private func feedbackNeeds(
    _ folder: DataFolder, _ bench: any TuningBench
  ) async throws -> [TuningNeed] {
    let counts = try await folder.record.read { try FeedbackStore.counts($0) }
    let words = FeedbackKind.allCases.map { "\(counts[$0] ?? 0) \($0.rawValue)" }
    Terminal.words("events: " + words.joined(separator: ", "))
    let records = try await FeedbackDesk.records(of: folder.record)
    let pairs = FeedbackPairs(terms: bench.terms(of:))
      .pairs(from: records, at: DataFolder.clock.now)
    Terminal.words("\(pairs.count) pairs that enough people agree on")
    return TuningNeeds.needs(of: pairs, terms: bench.terms(of:))
  }

  /// Through the gate, or with the reason why not.
  private func publish(
    _ report: TuningReport, _ folder: DataFolder, _ encoder: Encoder?
  ) async throws -> Exit {
    let verdict = report.verdict
    var number: Int?
    if verdict == .publish, !arguments.isSet("dry-run") {
      let models = try models(folder)
      number = try await named { try models.publish(report.model) }
      do {
        try await rebuild(folder, encoder)
      } catch {
        // The old generation still serves: the model that it does not have must not be named.
        _ = try models.rollback()
        throw error
      }
    }
    let words =
      switch verdict {
      case .publish: number.map { "model \($0) is in use" } ?? "would be published"
      case .noGain: "not published: the needs kept apart do not rise"
      case .shippedLoss:
        "not published: the shipped needs fall by more than \(report.shippedLossMax)"
      }
    if arguments.isSet("json") {
      var json = report.json
      json["published"] = .bool(number != nil)
      json["model"] = .optional(number)
      json["verdict"] = .string(words)
      Terminal.data(JSON.object(json).text)
    } else {
      for line in report.lines { Terminal.data(line) }
      Terminal.data(words)
    }
    return verdict == .publish ? .done : .refused
  }

  private func rollback() async throws -> Exit {
    let folder = try DataFolder(arguments.text("data") ?? "./data")
    let models = try models(folder)
    guard models.currentNumber != nil else {
      throw Refusal(.validationFailed, "No tuned model is in use; the ranking is the shipped one.")
    }
    let number = try await named { try models.rollback() }
    try await rebuild(folder, encoder())
    if arguments.isSet("json") {
      Terminal.data(JSON.object(["model": .optional(number)]).text)
    } else {
      Terminal.data(number.map { "model \($0) is in use" } ?? "the shipped ranking is in use")
    }
    return .done
  }

  /// A new generation with the model in use.
  private func rebuild(_ folder: DataFolder, _ encoder: Encoder?) async throws {
    let indexer = try folder.indexer(encoder: encoder, threadCount: arguments.integer("threads"))
    let meter = RateMeter()
    _ = try await indexer.reindex { progress in
      Terminal.progress(meter.line("embedded", progress.done, total: progress.total))
    }
    Terminal.progress("")
  }

  private func models(_ folder: DataFolder) throws -> TunedModels {
    let modelID = try JSON.parse(IndexFiles.model)["id"]?.string ?? "none"
    return TunedModels(dataFolder: folder.path, modelID: modelID)
  }

  // MARK: The shipped weights

  private func defaults() async throws -> Exit {
    let path = arguments.text("defaults") ?? ""
    let ranking = String(decoding: try read(path), as: UTF8.self)
    let encoder = encoder()
    var sets: [DefaultsRun.JudgedSet] = []
    for text in arguments.list("set") { sets.append(try await set(text, ranking, encoder)) }
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
  ) async throws -> DefaultsRun.JudgedSet {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard (5...6).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else {
      throw Refusal(
        .validationFailed,
        "--set is name:catalog:queries:qrels[:pool]:family; this is \(text.prefix(200)).")
    }
    var services = try Importer.services(of: parts[1]).filter(\.isPublic)
    if parts.count == 6 {
      let pool = Set(try lines(of: parts[4]))
      services.removeAll { !pool.contains($0.id) }
    }
    Terminal.progress("preparing \(parts[0])")
    return DefaultsRun.JudgedSet(
      name: parts[0], family: parts[parts.count - 1],
      bench: try await benches.catalog(services, encoder: encoder, ranking: ranking),
      needs: try needs(queries: parts[2], qrels: parts[3]))
  }

  // MARK: Files

  private func needs(queries: String, qrels: String) throws -> [TuningNeed] {
    let (questions, judgements) = (try lines(of: queries), try lines(of: qrels))
    do {
      return try TuningNeeds.judged(queries: questions, qrels: judgements)
    } catch {
      throw Refusal(
        .validationFailed, "A line of \(queries) or \(qrels) is not valid.",
        fields: [.init("line \(error.line)", error.reason)])
    }
  }

  private func lines(of path: String) throws -> [String] {
    String(decoding: try read(path), as: UTF8.self)
      .split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map(String.init)
  }

  private func read(_ path: String) throws -> Data {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Refusal(.validationFailed, "\(path) cannot be read.")
    }
    return data
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
      throw Refusal(.validationFailed, TuneCommand.words(for: error))
    } catch let error as AdapterTrainer.Diverged {
      throw Refusal(
        .internal, "Learning ran away at step \(error.step): a vector of the index is no number.")
    }
  }

  private static func words(for error: TunedModelError) -> String {
    switch error {
    case .missing(let file): "A tuned model's \(file) is missing; waypost tune learns a new one."
    case .unwritable(let file): "A tuned model's \(file) cannot be written."
    case .otherVersion(let found):
      "A tuned model has version \(found), this program reads \(TunedFiles.version); learn it anew."
    case .foreign(let modelID, let expected):
      "A tuned model belongs to the embedding model \(modelID), this program has \(expected)."
    case .damaged(let file, let fault):
      "A tuned model's \(file) is damaged (\(fault.rawValue)); waypost tune learns a new one."
    }
  }
}
