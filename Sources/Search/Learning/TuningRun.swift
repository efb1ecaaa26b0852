package import Primitives
internal import LinearAlgebra

/// Learns from needs, measures by folds of needs kept apart, and says whether the result may be published.
package struct TuningRun: Sendable {
  /// How it is done.
  package struct Settings: Sendable {
    package var foldCount = 5
    package var seed: UInt64 = 7
    package var adapter = AdapterTrainer.Settings()
    package var terms = LearnedTerms.Settings()
    /// Needs below which nothing is learnt.
    package var needCountMin = 50
    /// What the shipped judged needs may lose.
    package var shippedLossMax = 0.005

    package init() {}
  }

  /// The kinds of what is learnt; each is measured alone and together, and the best is taken.
  package enum Recipe: String, Sendable, CaseIterable {
    case terms, adapter
    case both = "adapter and terms"

    var hasAdapter: Bool { self != .terms }
    var hasTerms: Bool { self != .adapter }
  }

  /// The catalog and the needs to learn from, and the ones that must not suffer.
  package struct Input: Sendable {
    package let bench: any TuningBench
    package let needs: [TuningNeed]
    /// `judged` or `feedback`.
    package let source: String
    package var shipped: (bench: any TuningBench, needs: [TuningNeed])?

    package init(
      bench: any TuningBench, needs: [TuningNeed], source: String,
      shipped: (bench: any TuningBench, needs: [TuningNeed])? = nil
    ) {
      self.bench = bench
      self.needs = needs
      self.source = source
      self.shipped = shipped
    }
  }

  /// A fold with what was learnt from all the others.
  private struct Trial {
    let needs: [TuningNeed]
    let model: TunedModel
    let scored: [FusionTrainer.Need]
  }

  private struct Measured {
    let recipe: Recipe
    let folds: [TuningReport.Fold]
    let differences: [Double]
    let scored: [FusionTrainer.Need]

    var mean: Double { TuningRun.mean(folds, \.after) }
  }

  /// Parts of the map that are tried where the whole of it spoils the shipped needs.
  private static let strengths: [Float] = [0.5, 0.25]

  package let settings: Settings

  package init(_ settings: Settings = Settings()) { self.settings = settings }

  /// Trains, measures and judges; writes nothing.
  ///
  /// - Parameter report: Gets a line of words at each step.
  /// - Throws: `Refusal` `validation_failed` where there are too few needs; `AdapterTrainer.Diverged`.
  /// - Complexity: `foldCount + 1` trainings, and twice as many runs over all needs for each recipe.
  package func run(
    _ input: Input, at now: Timestamp, report: @Sendable (String) -> Void = { _ in }
  ) async throws -> TuningReport {
    let bench = input.bench
    let known = Set(bench.serviceIDs)
    let needs = input.needs.filter { need in need.weights.keys.contains { known.contains($0) } }
    guard needs.count >= max(settings.needCountMin, 2 * settings.foldCount) else {
      throw Refusal(
        .validationFailed,
        "Tuning needs at least \(max(settings.needCountMin, 2 * settings.foldCount)) needs whose "
          + "services are in the catalog; there are \(needs.count).")
    }
    let vectors = try await vectors(bench, needs)
    let folds = TuningNeeds.folds(
      needs, count: settings.foldCount, seed: settings.seed, terms: bench.terms(of:))
    let blank = blank(input, needs, now)
    var before: [[Double]] = []
    for fold in folds { before.append(try await bench.ndcg(of: fold, under: nil)) }
    // Both recipes with an adapter share its training: it is what takes the time.
    var adapters: [Adapter?] = []
    for (index, fold) in folds.enumerated() {
      let kept = Set(fold.map(\.id))
      report("fold \(index + 1) of \(folds.count): learning")
      adapters.append(try adapter(needs.filter { !kept.contains($0.id) }, vectors))
    }
    var measured: [Measured] = []
    for recipe in Recipe.allCases where vectors != nil || !recipe.hasAdapter {
      report("measuring \(recipe.rawValue)")
      measured.append(
        try await measure(recipe, bench, folds, before, adapters, blank))
    }
    // The simpler one wins ties: it comes first.
    guard let best = measured.max(by: { $0.mean < $1.mean }) else {
      throw Refusal(.internal, "No recipe was measured.")
    }
    report("learning from all needs")
    let whole = best.recipe.hasAdapter ? try adapter(needs, vectors) : nil
    let means = measured.map { (recipe: $0.recipe, mean: $0.mean) }
    var result = try await conclude(best, whole, needs, input, blank, means)
    for strength in TuningRun.strengths
    where result.verdict == .shippedLoss && best.recipe.hasAdapter {
      report("again with a map of strength \(strength)")
      let weaker = try await measure(
        best.recipe, bench, folds, before, adapters.map { $0?.weakened(to: strength) }, blank)
      result = try await conclude(
        weaker, whole?.weakened(to: strength), needs, input, blank, means)
    }
    return result
  }

  /// The model of all needs with its figures.
  private func conclude(
    _ best: Measured, _ adapter: Adapter?, _ needs: [TuningNeed], _ input: Input,
    _ blank: TunedModel, _ means: [(recipe: Recipe, mean: Double)]
  ) async throws -> TuningReport {
    let bench = input.bench
    var model = model(best.recipe, adapter, needs, bench, blank)
    model.weights = FusionTrainer(constants: bench.constants)
      .train(best.scored, from: bench.weights)
    model.record.heldOutBefore = TuningRun.mean(best.folds, \.before)
    model.record.heldOutAfter = best.mean
    if let shipped = input.shipped, !shipped.needs.isEmpty {
      let old = try await shipped.bench.ndcg(of: shipped.needs, under: nil)
      let new = try await shipped.bench.ndcg(of: shipped.needs, under: model)
      model.record.shippedBefore = old.reduce(0, +) / Double(old.count)
      model.record.shippedAfter = new.reduce(0, +) / Double(new.count)
    }
    return TuningReport(
      model: model, recipe: best.recipe, folds: best.folds,
      interval: Measures.interval(best.differences, seed: settings.seed), recipes: means,
      weightsBefore: bench.weights, shippedLossMax: settings.shippedLossMax)
  }

  /// One recipe over all folds. The fusion's weights for a fold come from the held-out scores of the others:
  /// scores of needs that an adapter was trained on flatter the vector leg.
  private func measure(
    _ recipe: Recipe, _ bench: any TuningBench, _ folds: [[TuningNeed]], _ before: [[Double]],
    _ adapters: [Adapter?], _ blank: TunedModel
  ) async throws -> Measured {
    var trials: [Trial] = []
    for (index, fold) in folds.enumerated() {
      let others = folds.enumerated().filter { $0.offset != index }.flatMap(\.element)
      let model = model(recipe, adapters[index], others, bench, blank)
      let legs = try await bench.legs(of: fold, under: model)
      let scored = zip(fold, legs).map { need, legs in
        FusionTrainer.Need(
          set: "marketplace", queryClass: legs.queryClass, candidates: legs.candidates,
          grades: need.grades)
      }
      trials.append(Trial(needs: fold, model: model, scored: scored))
    }
    let trainer = FusionTrainer(constants: bench.constants)
    var results: [TuningReport.Fold] = []
    var differences: [Double] = []
    for (index, trial) in trials.enumerated() {
      let others = trials.enumerated().filter { $0.offset != index }.flatMap(\.element.scored)
      var model = trial.model
      model.weights = trainer.train(others, from: bench.weights)
      let after = try await bench.ndcg(of: trial.needs, under: model)
      let old = before[index]
      differences += zip(after, old).map { $0 - $1 }
      results.append(
        TuningReport.Fold(
          needCount: trial.needs.count,
          before: old.reduce(0, +) / Double(max(old.count, 1)),
          after: after.reduce(0, +) / Double(max(after.count, 1))))
    }
    return Measured(
      recipe: recipe, folds: results, differences: differences,
      scored: trials.flatMap(\.scored))
  }

  private func model(
    _ recipe: Recipe, _ adapter: Adapter?, _ needs: [TuningNeed], _ bench: any TuningBench,
    _ blank: TunedModel
  ) -> TunedModel {
    var model = blank
    if recipe.hasAdapter { model.adapter = adapter }
    if recipe.hasTerms {
      let known = Set(bench.serviceIDs)
      model.terms = LearnedTerms.learn(
        from: needs.map { need in
          (bench.terms(of: need.text), need.weights.filter { known.contains($0.key) })
        }, settings: settings.terms)
    }
    return model
  }

  /// Vectors of everything, and where each is.
  private struct Vectors {
    let needs: Matrix
    let services: Matrix
    let needRows: [String: Int]
    let serviceRows: [String: Int]
  }

  private func vectors(
    _ bench: any TuningBench, _ needs: [TuningNeed]
  ) async throws -> Vectors? {
    guard let services = try await bench.serviceVectors(),
      let rows = try await bench.needVectors(of: needs.map(\.text))
    else { return nil }
    return Vectors(
      needs: rows, services: services,
      needRows: Dictionary(
        needs.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first }),
      serviceRows: Dictionary(
        bench.serviceIDs.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first }))
  }

  private func adapter(_ needs: [TuningNeed], _ vectors: Vectors?) throws -> Adapter? {
    guard let vectors else { return nil }
    let examples = needs.compactMap { need -> AdapterTrainer.Example? in
      guard let row = vectors.needRows[need.id] else { return nil }
      // By id, not by the dictionary's order, which differs from run to run.
      let services = need.weights.sorted { $0.key < $1.key }.compactMap { id, weight in
        vectors.serviceRows[id].map { (row: $0, weight: Float(weight)) }
      }
      let total = services.reduce(Float(0)) { $0 + $1.weight }
      return AdapterTrainer.Example(need: row, services: services, weight: min(total, 3))
    }
    var recipe = settings.adapter
    recipe.seed = settings.seed
    return try AdapterTrainer(recipe)
      .train(needs: vectors.needs, services: vectors.services, examples: examples)
  }

  private func blank(_ input: Input, _ needs: [TuningNeed], _ now: Timestamp) -> TunedModel {
    TunedModel(
      adapter: nil, weights: nil, terms: LearnedTerms(weights: [:]), modelID: input.bench.modelID,
      record: TunedModel.Record(
        source: input.source, seed: settings.seed, createdAt: now, needCount: needs.count,
        pairCount: needs.reduce(0) { $0 + $1.weights.count },
        serviceCount: Set(needs.flatMap(\.weights.keys)).count, heldOutBefore: 0, heldOutAfter: 0))
  }

  /// The mean over all needs of the folds.
  private static func mean(
    _ folds: [TuningReport.Fold], _ value: KeyPath<TuningReport.Fold, Double>
  ) -> Double {
    let count = folds.reduce(0) { $0 + $1.needCount }
    let sum = folds.reduce(0) { $0 + Double($1.needCount) * $1[keyPath: value] }
    return sum / Double(max(count, 1))
  }
}
