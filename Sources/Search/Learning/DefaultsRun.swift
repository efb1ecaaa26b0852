package import Primitives

/// Learns the shipped weights of the fusion on several judged sets, with families of sets left out.
package struct DefaultsRun: Sendable {
  /// One judged set. Sets of one family resemble each other, and are left out together.
  package struct JudgedSet: Sendable {
    package let name: String
    package let family: String
    package let bench: any TuningBench
    package let needs: [TuningNeed]

    package init(name: String, family: String, bench: any TuningBench, needs: [TuningNeed]) {
      self.name = name
      self.family = family
      self.bench = bench
      self.needs = needs
    }
  }

  /// A set under weights that were learnt without its family.
  package struct Row: Sendable, Equatable {
    package let set: String
    package let family: String
    package let needCount: Int
    package let text: Double
    package let vectors: Double
    package let before: Double
    package let after: Double
  }

  /// What was learnt.
  package struct Report: Sendable {
    package let rows: [Row]
    /// Learnt on every set; what is shipped.
    package let weights: FusionTrainer.Weights
    package let weightsBefore: FusionTrainer.Weights

    /// Mean over sets, left out.
    package var before: Double { mean(\.before) }
    /// Mean over sets, left out.
    package var after: Double { mean(\.after) }
    /// Whether unseen sets gain.
    package var isBetter: Bool { after > before }

    private func mean(_ value: KeyPath<Row, Double>) -> Double {
      rows.reduce(0) { $0 + $1[keyPath: value] } / Double(max(rows.count, 1))
    }

    /// The figures as lines for a terminal.
    package var lines: [String] {
      var lines = ["set, learnt without its family    text    vectors    before    after"]
      for row in rows {
        let figures = [row.text, row.vectors, row.before, row.after].map(TuningReport.text)
        lines.append("\(row.set) (\(row.needCount))    " + figures.joined(separator: "    "))
      }
      lines.append(TuningReport.row("mean", before, after))
      for name in RankingConfiguration.QueryClass.allCases {
        let old = TuningReport.text(Double(weightsBefore.vectorShare[name] ?? 0.5))
        let new = TuningReport.text(Double(weights.vectorShare[name] ?? 0.5))
        lines.append("share of the vectors, \(name.rawValue): \(old) -> \(new)")
      }
      return lines
    }

    /// The figures for programs.
    package var json: JSONObject {
      [
        "sets": .array(
          rows.map { row in
            [
              "set": .string(row.set), "family": .string(row.family),
              "needs": .number(row.needCount), "text": .double(TuningReport.rounded(row.text)),
              "vectors": .double(TuningReport.rounded(row.vectors)),
              "before": .double(TuningReport.rounded(row.before)),
              "after": .double(TuningReport.rounded(row.after)),
            ]
          }), "before": .double(TuningReport.rounded(before)),
        "after": .double(TuningReport.rounded(after)),
      ]
    }
  }

  package init() {}

  /// - Throws: `Refusal` `validation_failed` where there are fewer than two families.
  package func run(
    _ sets: [JudgedSet], report: @Sendable (String) -> Void = { _ in }
  ) async throws -> Report {
    let families = Set(sets.map(\.family)).sorted()
    guard families.count > 1, let first = sets.first, sets.allSatisfy({ !$0.needs.isEmpty }) else {
      throw Refusal(
        .validationFailed,
        "Learning defaults takes judged sets of at least two families, so that each can be left out."
      )
    }
    guard Set(sets.map(\.name)).count == sets.count else {
      throw Refusal(.validationFailed, "Two sets have one name.")
    }
    let trainer = FusionTrainer()
    let start = first.bench.weights
    var scored: [(family: String, needs: [FusionTrainer.Need])] = []
    for set in sets {
      report("scoring \(set.name)")
      let legs = try await set.bench.legs(of: set.needs, under: nil)
      let needs = zip(set.needs, legs).map { need, legs in
        FusionTrainer.Need(
          set: set.name, queryClass: legs.queryClass, candidates: legs.candidates,
          grades: need.grades)
      }
      scored.append((set.family, needs))
    }
    var rows: [Row] = []
    for family in families {
      report("learning without \(family)")
      let others = scored.filter { $0.family != family }.flatMap(\.needs)
      let weights = trainer.train(others, from: start)
      for (set, own) in zip(sets, scored) where set.family == family {
        rows.append(row(set, own.needs, trainer, start, weights))
      }
    }
    report("learning from every set")
    let all = trainer.train(scored.flatMap(\.needs), from: start)
    return Report(rows: rows, weights: all, weightsBefore: start)
  }

  private func row(
    _ set: JudgedSet, _ needs: [FusionTrainer.Need], _ trainer: FusionTrainer,
    _ start: FusionTrainer.Weights, _ weights: FusionTrainer.Weights
  ) -> Row {
    func leg(_ share: Float) -> Double {
      let shares = RankingConfiguration.QueryClass.allCases.map { ($0, share) }
      return trainer.mean(
        needs, FusionTrainer.Weights(vectorShare: Dictionary(uniqueKeysWithValues: shares)))
    }
    return Row(
      set: set.name, family: set.family, needCount: needs.count, text: leg(0), vectors: leg(1),
      before: trainer.mean(needs, start), after: trainer.mean(needs, weights))
  }

  /// A ranking configuration with learnt numbers in place of its own, a member a line.
  ///
  /// - Throws: `JSONError` where the text is no JSON.
  package static func ranking(
    _ text: String, with weights: FusionTrainer.Weights
  ) throws -> String {
    var object = try JSON.parse(text).object ?? [:]
    var shares = object["vectorShare"]?.object ?? [:]
    for name in RankingConfiguration.QueryClass.allCases {
      if let share = weights.vectorShare[name] { shares[name.rawValue] = number(share) }
    }
    object["vectorShare"] = .object(shares)
    let lines = object.members.map { member in
      "  " + JSON.string(member.key).text + ": " + member.value.text
    }
    return "{\n" + lines.joined(separator: ",\n") + "\n}\n"
  }

  private static func number(_ value: Float) -> JSON {
    .double((Double(value) * 1_000).rounded() / 1_000)
  }
}
