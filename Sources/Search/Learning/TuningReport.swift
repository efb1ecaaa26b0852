package import Primitives

/// What a tuning has learnt, what it is worth on needs kept apart, and whether it may be published.
package struct TuningReport: Sendable {
  /// One fold: needs kept apart, with what was learnt from all the others.
  package struct Fold: Sendable, Equatable {
    package let needCount: Int
    /// Mean nDCG@10 under the shipped ranking, and under the tuned one.
    package let before: Double
    package let after: Double
  }

  /// What the needs kept apart say.
  package struct Outcome: Sendable {
    package let folds: [Fold]
    package let before: Double
    package let after: Double
    /// 95 % interval of the gain of a need, by bootstrap.
    package let interval: (low: Double, high: Double)
    /// Needs whose services nobody has chosen in the other folds.
    package let cold: Fold

    init(_ trials: [TuningRun.Trial], seed: UInt64) {
      func fold(_ pairs: [(Double, Double)]) -> Fold {
        let count = Double(max(pairs.count, 1))
        return Fold(
          needCount: pairs.count, before: pairs.reduce(0) { $0 + $1.0 } / count,
          after: pairs.reduce(0) { $0 + $1.1 } / count)
      }
      folds = trials.map { fold(Array(zip($0.before, $0.after))) }
      let all = trials.flatMap { zip($0.before, $0.after) }
      (before, after) = (fold(all).before, fold(all).after)
      interval = Measures.interval(all.map { $1 - $0 }, seed: seed)
      cold = fold(
        trials.flatMap { trial in
          zip(trial.isCold, zip(trial.before, trial.after)).filter(\.0).map(\.1)
        })
    }
  }

  /// The gate's answer.
  package enum Verdict: Sendable, Equatable {
    case publish
    /// The needs kept apart do not rise.
    case noGain
    /// The shipped judged needs fall too far.
    case shippedLoss
    /// Needs for services that nobody has chosen yet fall too far.
    case coldLoss
    /// One actor still moves a rank by more than a place.
    case unstable
  }

  /// Cold needs below which their mean says nothing.
  static let coldCountMin = 20

  package internal(set) var model: TunedModel
  package let recipe: TuningRun.Recipe
  package let outcome: Outcome
  /// Mean nDCG@10 of needs kept apart for each recipe.
  package let recipes: [(recipe: TuningRun.Recipe, mean: Double)]
  package let weightsBefore: FusionTrainer.Weights
  package let settings: TuningRun.Settings
  /// Actors that were left out since each alone would have moved a rank by more than a place.
  package internal(set) var droppedActors = 0
  var isUnstable = false

  init(
    model: TunedModel, recipe: TuningRun.Recipe, outcome: Outcome,
    recipes: [(recipe: TuningRun.Recipe, mean: Double)], weightsBefore: FusionTrainer.Weights,
    settings: TuningRun.Settings
  ) {
    self.model = model
    self.recipe = recipe
    self.outcome = outcome
    self.recipes = recipes
    self.weightsBefore = weightsBefore
    self.settings = settings
  }

  package var folds: [Fold] { outcome.folds }
  package var interval: (low: Double, high: Double) { outcome.interval }

  /// The same with other figures, as the gate would judge them.
  package func with(_ record: TunedModel.Record) -> TuningReport {
    var copy = self
    copy.model.record = record
    return copy
  }

  /// Publish only where the needs kept apart rise, and neither the shipped ones nor the cold ones fall too far.
  package var verdict: Verdict {
    guard model.record.heldOutAfter > model.record.heldOutBefore else { return .noGain }
    if let before = model.record.shippedBefore, let after = model.record.shippedAfter,
      after < before - settings.shippedLossMax
    {
      return .shippedLoss
    }
    let cold = outcome.cold
    if cold.needCount >= TuningReport.coldCountMin,
      cold.after < cold.before - settings.coldLossMax
    {
      return .coldLoss
    }
    return isUnstable ? .unstable : .publish
  }

  /// The verdict in words.
  package var words: String {
    switch verdict {
    case .publish: "would be published"
    case .noGain: "not published: the needs kept apart do not rise"
    case .shippedLoss:
      "not published: the shipped needs fall by more than \(settings.shippedLossMax)"
    case .coldLoss:
      "not published: needs for services that nobody has chosen yet fall by more than "
        + "\(settings.coldLossMax)"
    case .unstable: "not published: single users or providers move ranks by more than one place"
    }
  }

  /// The figures as lines for a terminal.
  package var lines: [String] {
    let record = model.record
    var lines = [
      "\(record.needCount) needs, \(record.pairCount) pairs, \(record.serviceCount) services "
        + "(\(record.source), seed \(record.seed))",
      "needs kept apart    before    after",
    ]
    for (index, fold) in folds.enumerated() {
      lines.append(
        TuningReport.row("fold \(index + 1) (\(fold.needCount))", fold.before, fold.after))
    }
    lines.append(TuningReport.row("mean", record.heldOutBefore, record.heldOutAfter))
    lines.append(
      "gain of a need between \(TuningReport.text(interval.low)) and "
        + "\(TuningReport.text(interval.high)) (95 %)")
    if outcome.cold.needCount > 0 {
      lines.append(
        TuningReport.row(
          "cold (\(outcome.cold.needCount))", outcome.cold.before, outcome.cold.after))
    }
    if droppedActors > 0 { lines.append("\(droppedActors) actors left out by the guard") }
    if let before = record.shippedBefore, let after = record.shippedAfter {
      lines.append(TuningReport.row("shipped needs", before, after))
    }
    for (recipe, mean) in recipes {
      let mark = recipe == self.recipe ? " (taken)" : ""
      lines.append("\(recipe.rawValue): \(TuningReport.text(mean))\(mark)")
    }
    return lines + changes
  }

  /// What differs from the shipped ranking, a line each.
  private var changes: [String] {
    var lines: [String] = []
    if let adapter = model.adapter {
      lines.append("the embedding moves by \(TuningReport.text(adapter.distance)) (Frobenius)")
    }
    if model.terms.serviceCount > 0 {
      lines.append(
        "\(model.terms.termCount) terms learnt for \(model.terms.serviceCount) services")
    }
    for name in RankingConfiguration.QueryClass.allCases {
      let old = weightsBefore.vectorShare[name] ?? 0.5
      let new = model.weights?.vectorShare[name] ?? old
      if new != old {
        let (from, to) = (TuningReport.text(Double(old)), TuningReport.text(Double(new)))
        lines.append("share of the vectors, \(name.rawValue): \(from) -> \(to)")
      }
    }
    return lines
  }

  /// The figures for programs.
  package var json: JSONObject {
    let record = model.record
    var object: JSONObject = [
      "source": .string(record.source), "seed": .string(String(record.seed)),
      "needs": .number(record.needCount), "pairs": .number(record.pairCount),
      "services": .number(record.serviceCount), "recipe": .string(recipe.rawValue),
      "folds": .array(
        folds.map {
          [
            "needs": .number($0.needCount), "before": .double(TuningReport.rounded($0.before)),
            "after": .double(TuningReport.rounded($0.after)),
          ]
        }),
      "before": .double(TuningReport.rounded(record.heldOutBefore)),
      "after": .double(TuningReport.rounded(record.heldOutAfter)),
      "gainLow": .double(TuningReport.rounded(interval.low)),
      "gainHigh": .double(TuningReport.rounded(interval.high)),
      "cold": [
        "needs": .number(outcome.cold.needCount),
        "before": .double(TuningReport.rounded(outcome.cold.before)),
        "after": .double(TuningReport.rounded(outcome.cold.after)),
      ], "droppedActors": .number(droppedActors), "verdict": .string(words),
      "termServices": .number(model.terms.serviceCount), "terms": .number(model.terms.termCount),
      "adapterDistance": model.adapter.map { .double(TuningReport.rounded($0.distance)) } ?? .null,
    ]
    if let before = record.shippedBefore, let after = record.shippedAfter {
      object["shippedBefore"] = .double(TuningReport.rounded(before))
      object["shippedAfter"] = .double(TuningReport.rounded(after))
    }
    var shares = JSONObject()
    for (name, share) in (model.weights?.vectorShare ?? [:]).sorted(by: {
      $0.key.rawValue < $1.key.rawValue
    }) {
      shares[name.rawValue] = .double(TuningReport.rounded(Double(share)))
    }
    object["vectorShare"] = .object(shares)
    return object
  }

  static func rounded(_ value: Double) -> Double { (value * 10_000).rounded() / 10_000 }

  static func text(_ value: Double) -> String {
    let scaled = Int((abs(value) * 10_000).rounded())
    let digits = String(10_000 + scaled % 10_000).dropFirst()
    return (value < 0 && scaled > 0 ? "-" : "") + "\(scaled / 10_000).\(digits)"
  }

  static func row(_ name: String, _ before: Double, _ after: Double) -> String {
    let pad = String(repeating: " ", count: max(1, 20 - name.count))
    return name + pad + text(before) + "    " + text(after)
  }
}
