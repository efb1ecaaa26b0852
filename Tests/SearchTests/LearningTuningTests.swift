import Primitives
import Search
import Testing

@Suite("Tuning from needs to verdict")
struct LearningTuningTests {
  private func run(
    _ world: LearningWorld, _ settings: TuningRun.Settings = .small,
    shipped: LearningWorld? = nil
  ) async throws -> TuningReport {
    let input = TuningRun.Input(
      bench: world, needs: world.needs, source: "judged",
      shipped: shipped.map { ($0, $0.needs) })
    return try await TuningRun(settings).run(input, at: Moment.first)
  }

  @Test("a world with a secret is learnt, and measured on needs kept apart")
  func learns() async throws {
    let world = LearningWorld()
    let report = try await run(world)
    #expect(report.verdict == .publish)
    #expect(report.recipe == .both)
    #expect(report.model.record.heldOutAfter > report.model.record.heldOutBefore + 0.1)
    #expect(report.interval.low > 0)
    #expect(report.folds.map(\.needCount).reduce(0, +) == 240)
    #expect(report.folds.allSatisfy { $0.after > $0.before })
    let means = Dictionary(uniqueKeysWithValues: report.recipes.map { ($0.recipe, $0.mean) })
    let before = report.model.record.heldOutBefore
    #expect((means[.adapter] ?? 0) > before)
    #expect((means[.terms] ?? 0) > before)
    #expect(report.model.terms.weights["s3"]?["slang3"] ?? 0 > 0.5)
    #expect(report.model.adapter?.dimension == LearningWorld.dimension)
    #expect(report.lines.contains { $0.hasPrefix("fold 3 (80)") })
    #expect(report.json["recipe"] == "adapter and terms")
  }

  @Test("the same seed gives the same model; another seed other folds")
  func determinism() async throws {
    let world = LearningWorld(serviceCount: 20)
    let first = try await run(world)
    let second = try await run(world)
    #expect(first.model == second.model)
    #expect(first.folds == second.folds)
    var settings = TuningRun.Settings.small
    settings.seed = 99
    let other = try await run(world, settings)
    #expect(other.model != first.model)
  }

  @Test("needs that say nothing are not published")
  func hopeless() async throws {
    let report = try await run(LearningWorld(seed: 3, isHopeless: true))
    #expect(report.model.record.heldOutAfter < 0.2)
    if report.model.record.heldOutAfter <= report.model.record.heldOutBefore {
      #expect(report.verdict == .noGain)
    } else {
      // What chance gives is within what the interval says of it.
      #expect(report.interval.low < 0.02)
    }
  }

  @Test("without a model only terms are learnt")
  func withoutVectors() async throws {
    let report = try await run(LearningWorld(hasVectors: false))
    #expect(report.recipe == .terms)
    #expect(report.model.adapter == nil)
    #expect(report.verdict == .publish)
  }

  @Test("shipped needs that fall too far hold a model back")
  func shipped() async throws {
    // Its needs live in the dimensions that the marketplace learns to leave out.
    let world = LearningWorld()
    let report = try await run(world, shipped: LearningWorld(seed: 8))
    #expect(report.model.record.shippedBefore != nil)
    #expect(report.verdict == .publish)
    var record = report.model.record
    #expect(record.shippedAfter != record.shippedBefore)
    record.shippedBefore = 0.7
    record.shippedAfter = 0.6949
    #expect(verdict(report, record) == .shippedLoss)
    record.shippedAfter = 0.6951
    #expect(verdict(report, record) == .publish)
    record.heldOutAfter = record.heldOutBefore
    #expect(verdict(report, record) == .noGain)
  }

  private func verdict(_ report: TuningReport, _ record: TunedModel.Record)
    -> TuningReport.Verdict
  {
    report.with(record).verdict
  }

  @Test("where the shipped needs lose, a weaker map is tried before giving up")
  func weaker() async throws {
    let world = LearningWorld()
    // Its needs live in the very dimensions that the marketplace learns to leave out.
    let opposite = LearningWorld(seed: 8, isReversed: true)
    var settings = TuningRun.Settings.small
    settings.shippedLossMax = 1
    let free = try await run(world, settings, shipped: opposite)
    let whole = try #require(free.model.adapter)
    let loss =
      try #require(free.model.record.shippedBefore) - #require(free.model.record.shippedAfter)
    #expect(loss > 0.05)
    settings.shippedLossMax = loss / 2
    let report = try await run(world, settings, shipped: opposite)
    #expect(report.verdict == .publish)
    #expect([0.5, 0.25, 0.125].contains { report.model.adapter == whole.weakened(to: $0) })
    #expect(report.model.record.heldOutAfter > report.model.record.heldOutBefore)
    #expect(whole.weakened(to: 0) == .identity(LearningWorld.dimension))
    #expect(whole.weakened(to: 1).distance == whole.distance)
    // Where no part of it will do, nothing is published.
    settings.shippedLossMax = -1
    let none = try await run(world, settings, shipped: opposite)
    #expect(none.verdict == .shippedLoss)
    #expect(none.model.adapter == whole.weakened(to: 0.125))
  }

  @Test("too few needs are refused")
  func few() async throws {
    let world = LearningWorld(serviceCount: 12)
    await #expect(throws: Refusal.self) { try await run(world) }
    let unknown = world.needs.map {
      TuningNeed(id: $0.id, text: $0.text, grades: ["x": 1], weights: ["x": 1])
    }
    let input = TuningRun.Input(bench: world, needs: unknown + unknown, source: "judged")
    await #expect(throws: Refusal.self) {
      try await TuningRun(.small).run(input, at: Moment.first)
    }
  }

  @Test("needs with the same words stay in one fold, and every need is in one")
  func folds() {
    let needs = (0..<90).map { number in
      TuningNeed(
        id: "q\(number)", text: number % 2 == 0 ? "a \(number / 6)" : "\(number / 6) a",
        grades: ["s": 1], weights: ["s": 1])
    }
    let words = { (text: String) in text.split(separator: " ").map(String.init) }
    let folds = TuningNeeds.folds(needs, count: 4, seed: 1, terms: words)
    #expect(folds.count == 4)
    #expect(Set(folds.flatMap { $0.map(\.id) }).count == 90)
    #expect(folds.map(\.count).reduce(0, +) == 90)
    #expect(folds.allSatisfy { $0.count >= 18 })
    for (index, fold) in folds.enumerated() {
      let own = Set(fold.map { words($0.text).sorted() })
      for other in folds[(index + 1)...] {
        #expect(own.isDisjoint(with: other.map { words($0.text).sorted() }))
      }
    }
  }

  @Test("judged needs are read from their two files, and a bad line is named")
  func files() throws {
    let queries = [
      "{\"qid\":\"1\",\"query\":\"talk\"}", "", "{\"qid\":\"2\",\"query\":\"unjudged\"}",
      "{\"qid\":\"3\",\"query\":\"write\"}",
    ]
    let qrels = ["1\t0\ta\t2", "1 0 b 1", "1 0 c 0", "3 0 d 1"]
    let needs = try TuningNeeds.judged(queries: queries, qrels: qrels)
    #expect(needs.map(\.id) == ["1", "3"])
    #expect(needs.first?.grades == ["a": 2, "b": 1])
    #expect(needs.first?.weights["a"] == 1)
    #expect(abs((needs.first?.weights["b"] ?? 0) - 1.0 / 3) < 1e-12)
    do {
      _ = try TuningNeeds.judged(queries: queries, qrels: ["1 0 a 1", "1 0 a"])
      Issue.record("a line of three cells was read")
    } catch { #expect(error.line == 2) }
    #expect(throws: TuningNeeds.Fault.self) {
      try TuningNeeds.judged(queries: ["no json"], qrels: qrels)
    }
  }
}

@Suite("Learning the shipped weights")
struct LearningDefaultsTests {
  private func set(_ name: String, _ family: String, _ seed: UInt64) -> DefaultsRun.JudgedSet {
    let world = LearningWorld(serviceCount: 30, seed: seed)
    return DefaultsRun.JudgedSet(name: name, family: family, bench: world, needs: world.needs)
  }

  @Test("each family is left out of what it is measured by")
  func families() async throws {
    let sets = [set("a", "one", 1), set("b", "one", 2), set("c", "two", 3)]
    let report = try await DefaultsRun().run(sets)
    #expect(report.rows.map(\.set) == ["a", "b", "c"])
    #expect(report.rows.map(\.family) == ["one", "one", "two"])
    // Without learnt terms the text leg knows nothing, so that any share of the vectors is the same.
    for row in report.rows {
      #expect(abs(row.before - row.vectors) < 1e-9)
      #expect(abs(row.after - row.vectors) < 1e-9)
      #expect(row.text < row.vectors)
    }
    #expect(!report.isBetter)
    await #expect(throws: Refusal.self) {
      try await DefaultsRun().run([set("a", "one", 1), set("b", "one", 2)])
    }
    await #expect(throws: Refusal.self) {
      try await DefaultsRun().run([set("a", "one", 1), set("a", "two", 2)])
    }
  }

  @Test("a ranking keeps what was not learnt")
  func ranking() throws {
    let text = """
      { "fields": {"name": 4}, "vectorShare": {"name": 0.3, "task": 0.5}, "cosineCut": 0.35 }
      """
    let weights = FusionTrainer.Weights(vectorShare: [.name: 0.25, .sentence: 0.6])
    let written = try DefaultsRun.ranking(text, with: weights)
    let json = try JSON.parse(written)
    #expect(json["fields"] == ["name": 4])
    #expect(json["cosineCut"] == 0.35)
    #expect(json["vectorShare"] == ["name": 0.25, "task": 0.5, "sentence": 0.6])
    #expect(written.hasPrefix("{\n  \"fields\": "))
    #expect(throws: JSONError.self) { try DefaultsRun.ranking("{", with: weights) }
  }
}
