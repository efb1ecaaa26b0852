package import Primitives
package import SQLite
internal import Synchronization

/// Learns from the marketplace of a data folder beside its running index, and puts in use what passes the gate.
package final class MarketplaceTuner: Sendable {
  /// What came out of it.
  package struct Result: Sendable {
    package let report: TuningReport
    /// The number of the model that is in use now, or nil where nothing was published.
    package let number: Int?

    /// The verdict in words.
    package var words: String { number.map { "model \($0) is in use" } ?? report.words }

    /// The figures for programs.
    package var json: JSONObject {
      var json = report.json
      json["published"] = .bool(number != nil)
      json["model"] = .optional(number)
      json["verdict"] = .string(words)
      return json
    }
  }

  /// Services of a catalog that a bench holds in memory at most; of more, those that needs name and a part of the
  /// others.
  static let serviceCountMax = 60_000

  private let record: Database
  private let indexer: Indexer
  private let gate: @Sendable () throws -> [TuningNeed]
  private let isBusy = Mutex(false)

  /// - Parameter gate: Judged needs that no tuning may spoil, where the catalog is theirs.
  package init(
    record: Database, indexer: Indexer, gate: @escaping @Sendable () throws -> [TuningNeed]
  ) {
    self.record = record
    self.indexer = indexer
    self.gate = gate
  }

  /// Learns, measures, and publishes through the gate.
  ///
  /// - Parameters:
  ///   - judged: Needs with their services; nil learns from the record's feedback.
  ///   - isDryRun: Publishes nothing.
  /// - Throws: `Refusal` where there is too little to learn from, or another tuning or rebuild runs;
  ///   `TunedModelError` where the model cannot be written.
  package func tune(
    _ judged: [TuningNeed]?, _ settings: TuningRun.Settings, isDryRun: Bool, at now: Timestamp,
    report: @escaping @Sendable (String) -> Void = { _ in }
  ) async throws -> Result {
    try await alone {
      let needs: [TuningNeed]
      if let judged { needs = judged } else { needs = try await self.feedback(at: now, report) }
      let shipped = try self.gate()
      let named = Set((needs + shipped).flatMap(\.weights.keys))
      let bench = try await self.indexer.tuningBench(
        including: named, countMax: MarketplaceTuner.serviceCountMax)
      let own = MarketplaceTuner.own(shipped, Set(bench.serviceIDs))
      let input = TuningRun.Input(
        bench: bench, needs: needs, source: judged == nil ? "feedback" : "judged",
        shipped: own.isEmpty ? nil : (bench, own))
      let result = try await TuningRun(settings).run(input, at: now, report: report)
      guard result.verdict == .publish, !isDryRun else {
        return Result(report: result, number: nil)
      }
      return Result(report: result, number: try await self.publish(result.model))
    }
  }

  /// Puts the model before the present one in use, or the shipped ranking where there is none.
  ///
  /// - Returns: The number now in use, nil for the shipped ranking.
  /// - Throws: `Refusal` where no tuned model is in use; `TunedModelError`.
  package func rollback() async throws -> Int? {
    try await alone {
      let models = self.indexer.tunedModels
      guard models.currentNumber != nil else {
        throw Refusal(
          .validationFailed, "No tuned model is in use; the ranking is the shipped one.")
      }
      let number = try models.rollback()
      try await self.indexer.retune()
      return number
    }
  }

  private func publish(_ model: TunedModel) async throws -> Int {
    let models = indexer.tunedModels
    let number = try models.publish(model)
    do {
      try await indexer.retune()
    } catch {
      // The old base still serves: the model that it does not have must not be named.
      _ = try models.rollback()
      throw error
    }
    return number
  }

  private func feedback(
    at now: Timestamp, _ report: @Sendable (String) -> Void
  ) async throws -> [TuningNeed] {
    let records = try await FeedbackDesk.records(of: record)
    let providers = try await record.read { try FeedbackStore.providers($0) }
    let pairs = FeedbackPairs().pairs(from: records, providers: providers, at: now)
    report("\(records.count) events, \(pairs.count) pairs")
    return TuningNeeds.needs(of: pairs)
  }

  /// The shipped needs, where the catalog has at least half of their services.
  private static func own(_ needs: [TuningNeed], _ known: Set<String>) -> [TuningNeed] {
    let services = Set(needs.flatMap(\.weights.keys))
    guard 2 * services.count(where: known.contains) >= services.count else { return [] }
    return needs.filter { $0.weights.keys.contains(where: known.contains) }
  }

  /// One tuning or way back at a time.
  private func alone<Value: Sendable>(
    _ body: @Sendable () async throws -> Value
  ) async throws -> Value {
    let isFree = isBusy.withLock { busy in
      defer { busy = true }
      return !busy
    }
    guard isFree else { throw Refusal(.invalidTransition, "Another tuning is running.") }
    defer { isBusy.withLock { $0 = false } }
    return try await body()
  }
}
