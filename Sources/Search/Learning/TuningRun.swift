package import Primitives
internal import LinearAlgebra

/// Learns from needs, measures by folds of needs kept apart, and says whether the result may be published.
package struct TuningRun: Sendable {
  /// How it is done.
  package struct Settings: Sendable {
    package var foldCount = 5
    package var seed: UInt64 = 7
    package var adapter = AdapterTrainer.Settings()
    /// Nil takes those of the needs' source.
    package var terms: LearnedTerms.Settings?
    package var feedback = FeedbackRules.Settings()
    /// Needs below which nothing is learnt.
    package var needCountMin = 50
    /// What the shipped judged needs may lose.
    package var shippedLossMax = 0.005
    /// What needs may lose whose services nobody has chosen yet.
    package var coldLossMax = 0.03
    /// What class weights must gain on needs kept apart to be taken.
    package var weightsGainMin = 0.002

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
    /// Whether what one actor has moved is looked for. Takes a training an actor.
    package var isGuarded: Bool { needs.contains { $0.actor != nil } }

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
  struct Trial: Sendable {
    let needs: [TuningNeed]
    var model: TunedModel
    /// Whether nobody has chosen any of the need's services in the other folds.
    let isCold: [Bool]
    let before: [Double]
    var after: [Double] = []
  }

  struct Measured: Sendable {
    let recipe: Recipe
    var trials: [Trial]

    var mean: Double {
      let all = trials.flatMap(\.after)
      return all.reduce(0, +) / Double(max(all.count, 1))
    }
  }

  /// Parts of the map that are tried where more of it spoils shipped or cold needs, or lets one actor move ranks.
  private static let strengths: [Float] = [1, 0.5, 0.25, 0.125]

  package let settings: Settings

  package init(_ settings: Settings = Settings()) { self.settings = settings }

  /// Trains, measures and judges; writes nothing.
  ///
  /// - Parameter report: Gets a line of words at each step.
  /// - Throws: `Refusal` `validation_failed` where there are too few needs; `AdapterTrainer.Diverged`.
  /// - Complexity: `foldCount + 1` trainings, and a run over all needs for each recipe; from feedback up to twenty
  ///   trainings more for each round of the guard.
  package func run(
    _ input: Input, at now: Timestamp, report: @Sendable (String) -> Void = { _ in }
  ) async throws -> TuningReport {
    let bench = input.bench
    let known = Set(bench.serviceIDs)
    let found = input.needs.filter { need in need.weights.keys.contains { known.contains($0) } }
    let learner = try await Learner(bench, found, settings)
    let needs = learner.needs
    let least = max(settings.needCountMin, 2 * settings.foldCount)
    guard needs.count >= least else {
      throw Refusal(
        .validationFailed,
        "Tuning needs at least \(least) needs whose services are in the catalog"
          + (input.isGuarded ? " and that others agree with" : "") + "; there are \(needs.count).")
    }
    let blank = blank(input, needs, now)
    let trials = try await learnt(self.trials(bench, needs, blank), learner, report)
    var measured: [Measured] = []
    for recipe in Recipe.allCases where learner.hasVectors || !recipe.hasAdapter {
      report("measuring \(recipe.rawValue)")
      measured.append(try await measure(recipe, bench, trials, learner))
    }
    // The simpler one wins ties: it comes first.
    guard var best = measured.max(by: { $0.mean < $1.mean }) else {
      throw Refusal(.internal, "No recipe was measured.")
    }
    let weights = try await ClassWeights(bench, settings).learn(&best)
    report("learning from all needs")
    var model = try await learner.model(best.recipe, needs, blank)
    model.weights = weights
    let means = measured.map { (recipe: $0.recipe, mean: $0.mean) }
    return try await gated(best, model, input, means, learner, report)
  }

  /// The report on the strongest map that passes the gate, or on the last one that was tried.
  private func gated(
    _ best: Measured, _ model: TunedModel, _ input: Input,
    _ means: [(recipe: Recipe, mean: Double)], _ learner: Learner,
    _ report: @Sendable (String) -> Void
  ) async throws -> TuningReport {
    var guardian = TuningGuard(input, learner, settings)
    var result = try await conclude(best, model, input, means)
    for strength in TuningRun.strengths {
      if strength < 1 {
        guard best.recipe.hasAdapter else { break }
        report("again with a map of strength \(strength)")
        var weaker = best
        for index in weaker.trials.indices {
          weaker.trials[index].model.adapter =
            best.trials[index].model.adapter?.weakened(to: strength)
        }
        weaker.trials = try await after(weaker.trials, input.bench)
        var weak = model
        weak.adapter = model.adapter?.weakened(to: strength)
        result = try await conclude(weaker, weak, input, means)
      }
      if input.isGuarded, result.verdict == .publish {
        result = try await guardian.guarded(result, strength, report)
      }
      if result.verdict == .publish || result.verdict == .noGain { break }
    }
    return result
  }

  /// The folds with the maps of the needs outside of each, which both recipes with a map share: they are what
  /// takes the time.
  private func learnt(
    _ trials: [Trial], _ learner: Learner, _ report: @Sendable (String) -> Void
  ) async throws -> [Trial] {
    guard learner.hasVectors else { return trials }
    var trials = trials
    for index in trials.indices {
      report("fold \(index + 1) of \(trials.count): learning")
      let kept = Set(trials[index].needs.map(\.id))
      trials[index].model.adapter = try await learner.adapter(
        learner.needs.filter { !kept.contains($0.id) })
    }
    return trials
  }

  /// The folds, with how the shipped ranking does on each.
  private func trials(
    _ bench: any TuningBench, _ needs: [TuningNeed], _ blank: TunedModel
  ) async throws -> [Trial] {
    let folds = TuningNeeds.folds(
      needs, count: settings.foldCount, seed: settings.seed, terms: bench.terms(of:))
    var trials: [Trial] = []
    for (index, fold) in folds.enumerated() {
      let others = folds.enumerated().filter { $0.offset != index }.flatMap(\.element)
      let warm = Set(others.flatMap(\.weights.keys))
      trials.append(
        Trial(
          needs: fold, model: blank,
          isCold: fold.map { need in need.weights.keys.allSatisfy { !warm.contains($0) } },
          before: try await bench.ndcg(of: fold, under: nil)))
    }
    return trials
  }

  /// One recipe over all folds.
  private func measure(
    _ recipe: Recipe, _ bench: any TuningBench, _ trials: [Trial], _ learner: Learner
  ) async throws -> Measured {
    var own = trials
    for index in own.indices {
      let kept = Set(own[index].needs.map(\.id))
      if !recipe.hasAdapter { own[index].model.adapter = nil }
      if recipe.hasTerms {
        own[index].model.terms = learner.terms(learner.needs.filter { !kept.contains($0.id) })
      }
    }
    return Measured(recipe: recipe, trials: try await after(own, bench))
  }

  private func after(_ trials: [Trial], _ bench: any TuningBench) async throws -> [Trial] {
    var trials = trials
    for index in trials.indices {
      trials[index].after = try await bench.ndcg(
        of: trials[index].needs, under: trials[index].model)
    }
    return trials
  }

  /// The model of all needs with its figures.
  private func conclude(
    _ best: Measured, _ learnt: TunedModel, _ input: Input,
    _ means: [(recipe: Recipe, mean: Double)]
  ) async throws -> TuningReport {
    var model = learnt
    let outcome = TuningReport.Outcome(best.trials, seed: settings.seed)
    model.record.heldOutBefore = outcome.before
    model.record.heldOutAfter = outcome.after
    if let shipped = input.shipped, !shipped.needs.isEmpty {
      let old = try await shipped.bench.ndcg(of: shipped.needs, under: nil)
      let new = try await shipped.bench.ndcg(of: shipped.needs, under: model)
      model.record.shippedBefore = old.reduce(0, +) / Double(old.count)
      model.record.shippedAfter = new.reduce(0, +) / Double(new.count)
    }
    return TuningReport(
      model: model, recipe: best.recipe, outcome: outcome, recipes: means,
      weightsBefore: input.bench.weights, settings: settings)
  }

  private func blank(_ input: Input, _ needs: [TuningNeed], _ now: Timestamp) -> TunedModel {
    TunedModel(
      adapter: nil, weights: nil, terms: LearnedTerms(weights: [:]), modelID: input.bench.modelID,
      record: TunedModel.Record(
        source: input.source, seed: settings.seed, createdAt: now, needCount: needs.count,
        pairCount: needs.reduce(0) { $0 + $1.weights.count },
        serviceCount: Set(needs.flatMap(\.weights.keys)).count, heldOutBefore: 0, heldOutAfter: 0))
  }
}
