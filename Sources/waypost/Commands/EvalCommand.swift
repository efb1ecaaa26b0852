import Catalog
import Embedding
import Foundation
import Primitives
import Search

/// `waypost eval`: nDCG and its company for text, vectors and both, on judged needs; needs no server.
enum EvalCommand {
  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    guard let catalog = arguments.text("catalog"), let queries = arguments.text("queries"),
      let qrels = arguments.text("qrels")
    else {
      Terminal.words("waypost eval: --catalog, --queries and --qrels name the files")
      return .misuse
    }
    if let other = arguments.text("compare") {
      return try await compare(with: other, arguments, catalog, queries, qrels)
    }
    let pool = try arguments.text("pool").map { Set(try lines(of: $0)) }
    let services = try read(catalog, pool: pool)
    let needs = try needs(queries, first: arguments.integer("first"))
    let judgements = try judgements(qrels)
    let (encoder, hint) = DataFolder.encoder(home: arguments.text("home") ?? ".waypost")
    if let hint { Terminal.words(hint) }
    Terminal.words("\(services.count) services, \(needs.count) needs")
    let ranking = try arguments.text("ranking").map { try lines(of: $0).joined(separator: "\n") }
    let evaluation = try Evaluation(
      services: services, encoder: encoder, at: DataFolder.clock.now, ranking: ranking)
    let figures = try evaluation.figures(needs, judgements)
    if arguments.isSet("json") {
      Terminal.data(
        JSON.object([
          "services": .number(services.count), "needs": .number(needs.count),
          "legs": .array(figures.map(\.json)),
        ]).text)
    } else {
      for figure in figures { Terminal.data(line(figure)) }
    }
    return .done
  }

  /// The shipped ranking, or that of `--ranking`, against another configuration or a tuned model's folder.
  private static func compare(
    with other: String, _ arguments: Arguments, _ catalog: String, _ queries: String,
    _ qrels: String
  ) async throws -> Exit {
    let services = try JudgedFiles.services(catalog, pool: arguments.text("pool"))
    var needs = try JudgedFiles.needs(queries: queries, qrels: qrels)
    let first = arguments.integer("first")
    if first > 0 { needs = Array(needs.prefix(first)) }
    let (encoder, hint) = DataFolder.encoder(home: arguments.text("home") ?? ".waypost")
    if let hint { Terminal.words(hint) }
    Terminal.words("\(services.count) services, \(needs.count) needs")
    let entries = EngineTuningBench.entries(services, encoder: encoder, at: DataFolder.clock.now)
    func bench(_ ranking: String?) throws -> EngineTuningBench {
      try EngineTuningBench(
        entries, embedder: encoder.map(TextEmbedder.init(encoder:)),
        ranking: try ranking.map(JudgedFiles.text))
    }
    let one = try bench(arguments.text("ranking"))
    let before = try await one.ndcg(of: needs, under: nil)
    let after: [Double]
    if FileManager.default.fileExists(atPath: other + "/tuned.json") {
      do {
        let model = try TunedModels.model(at: other, modelID: one.modelID)
        after = try await one.ndcg(of: needs, under: model)
      } catch let error as TunedModelError {
        throw Refusal(.validationFailed, error.words)
      }
    } else {
      after = try await bench(other).ndcg(of: needs, under: nil)
    }
    let test = PairedTest(before: before, after: after)
    Terminal.data(arguments.isSet("json") ? test.json.text : test.line)
    return .done
  }

  private static func line(_ figures: Evaluation.Figures) -> String {
    func text(_ value: Double) -> String { String(format: "%.4f", value) }
    let classes = figures.byClass.sorted { $0.key < $1.key }
      .map { "\($0.key) \(text($0.value))" }.joined(separator: ", ")
    return
      "\(figures.leg.padding(toLength: 8, withPad: " ", startingAt: 0)) nDCG@10 \(text(figures.ndcg10)) "
      + "[\(text(figures.interval.low)), \(text(figures.interval.high))]  recall@10 \(text(figures.recall10))  "
      + "recall@50 \(text(figures.recall50))  MRR \(text(figures.reciprocalRank))  P@10 \(text(figures.precision10))  "
      + "zero \(text(figures.zeroHitRate))  (\(classes))"
  }

  private static func lines(of path: String) throws -> [String] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Refusal(.validationFailed, "\(path) cannot be read.")
    }
    return String(decoding: data, as: UTF8.self).split(whereSeparator: \.isNewline).map(String.init)
  }

  /// Services of a file, or of every `.jsonl` of a folder.
  private static func read(_ path: String, pool: Set<String>?) throws -> [Service] {
    try Importer.services(of: path).filter { $0.isPublic && pool?.contains($0.id) ?? true }
  }

  private static func needs(_ path: String, first: Int) throws -> [Evaluation.Need] {
    let all = try lines(of: path).compactMap { line -> Evaluation.Need? in
      let row = try JSON.parse(line)
      guard let id = row["qid"]?.string, let query = row["query"]?.string else { return nil }
      return Evaluation.Need(id: id, query: query, queryClass: row["class"]?.string ?? "all")
    }
    return first > 0 ? Array(all.prefix(first)) : all
  }

  private static func judgements(_ path: String) throws -> [String: [String: Int]] {
    var judgements: [String: [String: Int]] = [:]
    for line in try lines(of: path) {
      let cells = line.split { $0 == "\t" || $0 == " " }
      guard cells.count == 4, let grade = Int(cells[3]) else { continue }
      judgements[String(cells[0]), default: [:]][String(cells[2])] = grade
    }
    return judgements
  }
}
