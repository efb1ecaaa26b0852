internal import LinearAlgebra

/// Turns needs into the parts of a tuned model; holds every vector, so that learning again embeds nothing.
struct Learner: Sendable {
  /// The needs to learn from, weighed; of feedback those that others corroborate.
  let needs: [TuningNeed]
  private let bench: any TuningBench
  private let settings: TuningRun.Settings
  private let needRows: [String: Int]
  private let serviceRows: [String: Int]
  private let needVectors: Matrix?
  private let serviceVectors: Matrix?

  init(
    _ bench: any TuningBench, _ found: [TuningNeed], _ settings: TuningRun.Settings
  ) async throws {
    self.bench = bench
    self.settings = settings
    let services = try await bench.serviceVectors()
    let rows = services == nil ? nil : try await bench.needVectors(of: found.map(\.text))
    (serviceVectors, needVectors) = rows == nil ? (nil, nil) : (services, rows)
    needRows = Dictionary(
      found.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
    serviceRows = Dictionary(
      bench.serviceIDs.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    needs = FeedbackRules(settings.feedback).weighed(found, vectors: rows, terms: bench.terms(of:))
  }

  var hasVectors: Bool { needVectors != nil }

  func model(
    _ recipe: TuningRun.Recipe, _ needs: [TuningNeed], _ blank: TunedModel
  ) async throws -> TunedModel {
    var model = blank
    model.adapter = recipe.hasAdapter ? try await adapter(needs) : nil
    model.terms = recipe.hasTerms ? terms(needs) : LearnedTerms(weights: [:])
    return model
  }

  func terms(_ needs: [TuningNeed]) -> LearnedTerms {
    let isFeedback = needs.contains { $0.actor != nil }
    return LearnedTerms.learn(
      from: needs.map { need in
        LearnedTerms.Need(
          terms: bench.terms(of: need.text),
          services: need.weights.filter { serviceRows[$0.key] != nil })
      }, settings: settings.terms ?? (isFeedback ? .feedback : .judged), idf: bench.idf)
  }

  /// A softmax over the services that somebody chose: over all of them it would push away those that nobody has
  /// chosen yet, only because they are new.
  func adapter(_ needs: [TuningNeed]) async throws -> Adapter? {
    guard let needVectors, let serviceVectors else { return nil }
    let chosen = Set(needs.flatMap(\.weights.keys)).compactMap { serviceRows[$0] }.sorted()
    let places = Dictionary(uniqueKeysWithValues: chosen.enumerated().map { ($1, $0) })
    var services = Matrix(columnCount: serviceVectors.columnCount)
    services.reserve(rowCount: chosen.count)
    for row in chosen { services.append(serviceVectors.row(row)) }
    let examples = needs.compactMap { need -> AdapterTrainer.Example? in
      guard let row = needRows[need.id] else { return nil }
      // By id, not by the dictionary's order, which differs from run to run.
      let own = need.weights.sorted { $0.key < $1.key }.compactMap { id, weight in
        serviceRows[id].flatMap { places[$0] }.map { (row: $0, weight: Float(weight)) }
      }
      return AdapterTrainer.Example(
        id: need.id, need: row, services: own, weight: Float(need.rowWeight))
    }
    var recipe = settings.adapter
    recipe.seed = settings.seed
    let (trainer, rows) = (AdapterTrainer(recipe), services)
    return try await Offload.run {
      try trainer.train(needs: needVectors, services: rows, examples: examples)
    }
  }
}

/// The class weights of the fusion, taken only where they pay on needs that they were not learnt from.
struct ClassWeights {
  private let bench: any TuningBench
  private let settings: TuningRun.Settings

  init(_ bench: any TuningBench, _ settings: TuningRun.Settings) {
    self.bench = bench
    self.settings = settings
  }

  /// The weights of all folds, or nil where they do not pay; where they do, `measured` is measured with them.
  ///
  /// The weights for a fold come from the held-out scores of the others: scores of needs that an adapter was
  /// trained on flatter the vector leg.
  func learn(_ measured: inout TuningRun.Measured) async throws -> FusionTrainer.Weights? {
    var scored: [[FusionTrainer.Need]] = []
    for trial in measured.trials {
      let legs = try await bench.legs(of: trial.needs, under: trial.model)
      scored.append(
        zip(trial.needs, legs).map { need, legs in
          FusionTrainer.Need(
            set: "marketplace", queryClass: legs.queryClass, candidates: legs.candidates,
            grades: need.grades)
        })
    }
    let trainer = FusionTrainer()
    let start = bench.weights
    let needs = scored
    var weighed = measured
    for index in weighed.trials.indices {
      let others = needs.enumerated().filter { $0.offset != index }.flatMap(\.element)
      let weights = try await Offload.run { trainer.train(others, from: start) }
      weighed.trials[index].model.weights = weights
      // Weights that are the shipped ones change nothing, and need no second look.
      guard weights != start else { continue }
      weighed.trials[index].after = try await bench.ndcg(
        of: weighed.trials[index].needs, under: weighed.trials[index].model)
    }
    guard weighed.mean >= measured.mean + settings.weightsGainMin else { return nil }
    measured = weighed
    return try await Offload.run { trainer.train(needs.flatMap { $0 }, from: start) }
  }
}
