import Catalog
import Embedding
import Foundation
import Primitives
import Search

/// What every measurement starts from: real services, needs, vectors, the model, the peers.
struct BenchInputs: Sendable {
  let arguments: Arguments
  let corpus: BenchCorpus
  let needs: [String]
  let encoder: Encoder?
  let peer: BenchPeer?
  /// Why there is no peer.
  let peerReason: String?
  let rounds: Int

  /// Sizes that `--n` takes.
  private static let sizes = 100...2_000_000
  /// Needs of one judged set, as the peer takes them.
  private static let needsOfSet = 75
  private static let sets = ["metatool", "toolbench", "bfcl-live", "apibench-hf"]
  /// More would not fit into the engine's memory of query vectors, and embedding would be measured.
  private static let needsMax = 1_000

  init(_ arguments: Arguments) throws {
    self.arguments = arguments
    let shared = arguments.text("peers").map { $0 + "/../data" }
    let catalog = arguments.text("catalog") ?? shared.map { $0 + "/catalog" } ?? "Fixtures"
    let services = try Importer.services(of: catalog).filter(\.isPublic)
    guard !services.isEmpty else {
      throw Refusal(
        .validationFailed, "\(catalog) has no services; --catalog names a file or folder.")
    }
    corpus = BenchCorpus(services)
    let queries =
      arguments.text("queries") ?? shared.map { $0 + "/judged" } ?? "Fixtures/judged/needs.jsonl"
    needs = try BenchInputs.needs(queries)
    let (encoder, hint) = DataFolder.encoder(home: arguments.text("home") ?? ".waypost")
    self.encoder = encoder
    if let hint { Terminal.words(hint) }
    (peer, peerReason) = BenchPeer.find(arguments)
    rounds = arguments.integer("rounds")
    Terminal.words(
      "\(services.count) real services of \(catalog), \(needs.count) needs of \(queries)")
  }

  /// The needs of a file, or the first of each judged set of a folder.
  private static func needs(_ path: String) throws -> [String] {
    var isFolder: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
    guard exists else {
      throw Refusal(.validationFailed, "\(path) is not there; --queries names needs.")
    }
    let files = isFolder.boolValue ? sets.map { "\(path)/queries-\($0).jsonl" } : [path]
    let all = files.flatMap { file -> [String] in
      let texts = lines(of: file).compactMap { $0["query"]?.string }
      return Array(texts.prefix(isFolder.boolValue ? needsOfSet : needsMax))
    }
    guard !all.isEmpty else { throw Refusal(.validationFailed, "\(path) has no needs.") }
    return all
  }

  /// The JSON lines of a file; none where it cannot be read.
  static func lines(of path: String) -> [JSON] {
    String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
      .split(whereSeparator: \.isNewline).compactMap { try? JSON.parse(String($0)) }
  }

  /// The numbers of services that `--n` names.
  /// - Throws: `Refusal` for anything but whole numbers in range, separated by commas.
  func counts() throws -> [Int] {
    let texts = (arguments.text("n") ?? "").split(separator: ",", omittingEmptySubsequences: false)
    return try texts.map { text in
      guard let count = Int(text), BenchInputs.sizes.contains(count) else {
        throw Refusal(
          .validationFailed,
          "--n is \(Terminal.safe(String(text.prefix(40)))), but must be whole numbers from "
            + "\(BenchInputs.sizes.lowerBound) to \(BenchInputs.sizes.upperBound), separated by commas."
        )
      }
      return count
    }
  }

  /// The vectors of the data folder where `--data` names one, else seeded ones.
  func vectors() async throws -> BenchVectors {
    guard arguments.isSet("data"), let folder = arguments.text("data") else {
      Terminal.words("vectors: seeded, in clusters; --data takes real ones from a data folder")
      return BenchVectors()
    }
    // Held while it is read, so that no other process writes into it.
    let lock = try DataFolder(folder)
    let vectors = try await BenchVectors(dataFolder: folder, corpus: corpus)
    withExtendedLifetime(lock) {}
    Terminal.words("vectors: \(vectors.realCount) real ones of \(folder)")
    return vectors
  }

  /// A bench over so many services, in a file of the folder.
  func bench(_ count: Int, _ vectors: BenchVectors, in folder: BenchFolder) throws -> SearchBench {
    Terminal.progress("building \(count) services")
    defer { Terminal.progress("") }
    return try SearchBench(
      corpus, vectors, count: count, path: "\(folder.path)/\(count).segment",
      clock: BenchInputs.nanoseconds)
  }

  /// Nanoseconds of a clock that only rises.
  @Sendable static func nanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  /// Rounds of the peer's and ours, one after the other.
  ///
  /// - Parameters:
  ///   - peers: A round of the peer's: a figure for each row. Where one fails, ours goes on alone.
  ///   - ours: A round of ours: a figure for each row.
  func interleave(
    _ rows: [BenchRow], peers: (BenchPeer) throws -> [BenchFigure],
    ours: () throws -> [BenchFigure]
  ) throws -> [BenchRow] {
    var rows = rows
    var reason = peerReason
    for _ in 0..<rounds {
      if let peer, reason == nil {
        do {
          let figures = try peers(peer)
          for (place, figure) in figures.enumerated() { rows[place].peer.append(figure) }
        } catch let refusal as Refusal { reason = refusal.detail }
      }
      for (place, figure) in try ours().enumerated() { rows[place].ours.append(figure) }
    }
    guard let reason else { return rows }
    return rows.map { row in
      var row = row
      // Ratios pair rounds: one that the peer did not finish counts for nothing.
      row.skipped = "the peer: " + reason
      return row
    }
  }
}
