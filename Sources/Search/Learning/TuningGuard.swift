/// Sees to it that nobody has bought a rank by staying below every limit.
///
/// Leaves out, one by one, the actors with most weight, and drops who alone has lifted an own target by more than
/// one place; then looks again, until nobody has. Where that would take more than a few, it is the model that
/// hangs on single people, and a weaker one is asked for.
struct TuningGuard {
  private let input: TuningRun.Input
  private let learner: Learner
  private let settings: TuningRun.Settings
  private let rules: FeedbackRules
  private let probes: [TuningNeed]
  private let dropMax: Int
  /// Maps by the actors that they were learnt without: another strength learns nothing again.
  private var maps: [Set<String>: Adapter] = [:]

  init(_ input: TuningRun.Input, _ learner: Learner, _ settings: TuningRun.Settings) {
    self.input = input
    self.learner = learner
    self.settings = settings
    rules = FeedbackRules(settings.feedback)
    let all = (input.shipped?.needs ?? []).prefix(rules.settings.probeCountMax) + learner.needs
    probes = Array(all.prefix(rules.settings.probeCountMax))
    dropMax = max(2, Set(learner.needs.compactMap(\.actor)).count / 10)
  }

  /// The report with the model of those who stay; unstable where too many would have to go.
  mutating func guarded(
    _ result: TuningReport, _ strength: Float, _ report: @Sendable (String) -> Void
  ) async throws -> TuningReport {
    var result = result
    var dropped = Set<String>()
    for round in 1...max(rules.settings.roundCountMax, 1) {
      let needs = needs(without: dropped)
      guard needs.count >= settings.needCountMin else { break }
      result.model = try await model(result, without: dropped, strength)
      let whole = try await ranks(result.model)
      var found = Set<String>()
      for actor in rules.heaviest(needs) {
        report("round \(round): without one of the heaviest")
        let services = Set(needs.filter { $0.actor == actor }.flatMap(\.weights.keys))
        let other = try await ranks(model(result, without: dropped.union([actor]), strength))
        if rules.hasLifted(actor, services, on: probes, from: other, to: whole) {
          found.insert(actor)
        }
        if dropped.count + found.count > dropMax { break }
      }
      result.droppedActors = dropped.count
      if found.isEmpty { return result }
      dropped.formUnion(found)
      guard dropped.count <= dropMax else { break }
    }
    result.isUnstable = true
    return result
  }

  private func needs(without actors: Set<String>) -> [TuningNeed] {
    learner.needs.filter { need in need.actor.map { !actors.contains($0) } ?? true }
  }

  private mutating func model(
    _ result: TuningReport, without actors: Set<String>, _ strength: Float
  ) async throws -> TunedModel {
    let needs = needs(without: actors)
    var model = result.model
    if result.recipe.hasTerms { model.terms = learner.terms(needs) }
    if result.recipe.hasAdapter {
      let map: Adapter?
      if let known = maps[actors] { map = known } else { map = try await learner.adapter(needs) }
      maps[actors] = map
      model.adapter = map?.weakened(to: strength)
    }
    return model
  }

  private func ranks(_ model: TunedModel) async throws -> [[String]] {
    try await input.bench.rankings(of: probes, under: model, count: 30)
  }
}
