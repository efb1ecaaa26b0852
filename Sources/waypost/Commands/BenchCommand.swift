import Catalog
import Dispatch
import Foundation
import Primitives
import Search

/// `waypost bench`: times of the parts and of the whole, beside the peers' of the same minutes.
enum BenchCommand {
  private static let parts = [
    "embed", "text", "vectors", "search", "http", "index", "ledger", "counts",
  ]

  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    let wanted = arguments.words
    guard !wanted.isEmpty, wanted.allSatisfy(parts.contains) else {
      Terminal.words("waypost bench: name one or more of \(parts.joined(separator: ", "))")
      return .misuse
    }
    if wanted.contains("counts") {
      guard wanted.count == 1 else {
        Terminal.words("waypost bench: counts stand alone")
        return .misuse
      }
      return try counts(arguments)
    }
    let interrupts = armed()
    defer { withExtendedLifetime(interrupts) {} }
    if wanted.contains("ledger") {
      guard wanted.count == 1 else {
        Terminal.words("waypost bench: ledger stands alone")
        return .misuse
      }
      BenchReport.show(try await BenchLedger.rows(arguments), isJSON: arguments.isSet("json"))
      return .done
    }
    let inputs = try BenchInputs(arguments)
    _ = try inputs.counts()
    let needsVectors = !Set(wanted).isDisjoint(with: ["text", "vectors", "search"])
    let vectors = needsVectors ? try await inputs.vectors() : BenchVectors()
    var rows: [BenchRow] = []
    for part in wanted { rows += try await measure(part, inputs, vectors) }
    BenchReport.show(rows, isJSON: arguments.isSet("json"))
    return .done
  }

  private static func measure(
    _ part: String, _ inputs: BenchInputs, _ vectors: BenchVectors
  ) async throws -> [BenchRow] {
    switch part {
    case "embed": try BenchEmbedding.rows(inputs)
    case "text": try BenchLegs.text(inputs, vectors)
    case "vectors": try BenchLegs.vectors(inputs, vectors)
    case "search": try BenchLegs.search(inputs, vectors)
    case "http": try await BenchLoad.rows(inputs)
    default: try await BenchIndex.rows(inputs)
    }
  }

  /// Counts that repeat, on the shipped catalog: `Fixtures/bench-counts.json` holds their limits.
  private static func counts(_ arguments: Arguments) throws -> Exit {
    let services = try Importer.services(of: arguments.text("catalog") ?? "Fixtures")
      .filter(\.isPublic)
    let path = arguments.text("queries") ?? "Fixtures/judged/needs.jsonl"
    let needs = BenchInputs.lines(of: path).compactMap { $0["query"]?.string }
    guard !services.isEmpty, !needs.isEmpty else {
      throw Refusal(
        .validationFailed, "Run it in the project's folder, or name --catalog and --queries.")
    }
    let folder = try BenchFolder()
    defer { withExtendedLifetime(folder) {} }
    let counts = try BenchCounts(
      services, needs: needs, path: folder.path + "/counts.segment",
      allocations: allocations())
    if arguments.isSet("json") {
      Terminal.data(counts.json.text)
    } else {
      for (name, count) in counts.all {
        Terminal.data(name.padding(toLength: 14, withPad: " ", startingAt: 0) + String(count))
      }
    }
    return .done
  }

  /// The counter of a preloaded library, as Tests/EndToEnd/allocations.c is one; nil without it.
  private static func allocations() -> (() -> Int)? {
    guard let symbol = dlsym(nil, "waypost_bench_allocations") else { return nil }
    let counter = unsafeBitCast(symbol, to: (@convention(c) () -> Int).self)
    return { counter() }
  }

  /// Ends children and removes folders where the benchmark is interrupted; in force as long as it is kept.
  private static func armed() -> [any DispatchSourceSignal] {
    [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { @Sendable in BenchChildren.shared.endAll() }
      source.resume()
      return source
    }
  }
}
