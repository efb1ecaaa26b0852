internal import Primitives
internal import Search

/// What the guide says.
extension Guide {
  /// Cards, facts, one question.
  func recommend(
    _ state: inout ConversationState, _ output: inout TurnOutput, _ snapshot: Snapshot,
    narrowedBy topic: String? = nil
  ) throws {
    constraints(state, &output)
    guard !state.constraints.isEmpty else {
      output.say(wording("greeting"))
      return
    }
    if !state.forgotten.isEmpty {
      output.say(wording("forgotten", ["labels": state.forgotten.joined(separator: "; ")]))
      state.forgotten = []
    }
    let found = try retrieve(state, on: snapshot)
    let need = state.constraints.map(\.label).joined(separator: ", ")
    guard !found.candidates.isEmpty else { return noMatch(need, found, &output) }
    if let topic, found.isFull {
      output.say(
        wording(
          "narrowed",
          [
            "count": String(found.total), "before": String(found.totalBefore), "topic": topic,
          ]))
    } else if let topic {
      output.say(wording("notNarrowed", ["topic": topic]))
    } else if found.total == 1 {
      output.say(wording("foundOne", ["need": need]))
    } else {
      output.say(
        wording(
          "found",
          [
            "total": String(found.total), "need": need,
            "count": String(min(Guide.cardCount, found.candidates.count)),
          ]))
    }
    let question = choose(found, state)
    show(spread(found.candidates, over: question?.field), &state, &output)
    ask(question, found, &state, &output)
    let two = output.top.count > 1
    output.suggest(
      [wording.chip("trial")] + (two ? [wording.chip("compare"), wording.chip("cheaper")] : [])
        + [wording.chip("reset")])
  }

  private func noMatch(_ need: String, _ found: Retrieved, _ output: inout TurnOutput) {
    output.finish = "no_match"
    output.say(wording("noMatch", ["need": need]))
    for relaxation in found.relaxations.prefix(3) {
      let dropped = relaxation.dropped.joined(separator: " and ")
      output.emit(
        "relaxation",
        ["dropped": .strings(relaxation.dropped), "total": .number(relaxation.total)])
      output.say(wording("relaxed", ["dropped": dropped, "total": String(relaxation.total)]))
    }
  }

  func show(
    _ candidates: [Candidate], _ state: inout ConversationState, _ output: inout TurnOutput
  ) {
    let words = Set(
      state.constraints.flatMap { constraint -> [String] in
        guard case .topic(let text) = constraint.meaning else { return [] }
        return QueryReader.contentWords(text)
      })
    for (rank, candidate) in candidates.enumerated() {
      CardWriter(wording: wording, words: words, hasSandbox: hasSandbox)
        .write(candidate, rank: rank + 1, state.constraints, into: &output)
    }
    state.shown = candidates.map(\.id)
    output.top = state.shown
  }

  /// The best candidate, then near ones that differ in the open question's field: choices, not copies.
  private func spread(_ candidates: [Candidate], over field: String?) -> [Candidate] {
    guard let field, let first = candidates.first else {
      return Array(candidates.prefix(Guide.cardCount))
    }
    var chosen = [first]
    var seen: Set<[String]> = [first.values(field) ?? []]
    for candidate in candidates.prefix(12).dropFirst() where chosen.count < Guide.cardCount {
      if seen.insert(candidate.values(field) ?? []).inserted { chosen.append(candidate) }
    }
    for candidate in candidates where chosen.count < Guide.cardCount {
      if !chosen.contains(where: { $0.id == candidate.id }) { chosen.append(candidate) }
    }
    return chosen.sorted { ($1.score, $0.id) < ($0.score, $1.id) }
  }

  private func choose(_ found: Retrieved, _ state: ConversationState) -> Question? {
    let constrained = state.constraints.reduce(into: Set<String>()) { fields, constraint in
      if case .filter(let expression) = constraint.meaning { fields.formUnion(expression.fields) }
    }
    return QuestionChooser(wording: wording).choose(
      Array(found.candidates.prefix(50)), asked: state.asked, constrained: constrained,
      id: "q\(state.asked.count + 1)")
  }

  private func ask(
    _ question: Question?, _ found: Retrieved, _ state: inout ConversationState,
    _ output: inout TurnOutput
  ) {
    state.question = nil
    guard let question else { return }
    state.asked.append(question.field)
    state.question = (question.id, question.field, question.options)
    output.finish = "asked"
    let count = String(min(50, found.candidates.count))
    output.emit(
      "question",
      question.json(why: wording("questionWhy", ["count": count]), any: wording("any")))
  }

  func compare(
    _ references: [Intent.Reference], _ shown: [Candidate], _ state: ConversationState,
    _ output: inout TurnOutput
  ) {
    constraints(state, &output)
    output.say(wording("compare"))
    let missing = wording("notStated")
    for candidate in references.compactMap({ pick($0, shown) }).prefix(5) {
      let slots = [
        "name": candidate.name, "price": candidate.price ?? wording("priceNotStated"),
        "context": candidate.values("contextWindow")?.first ?? missing,
        "input": candidate.values("inputModalities")?.joined(separator: ", ") ?? missing,
        "output": candidate.values("outputModalities")?.joined(separator: ", ") ?? missing,
      ]
      for field in ["offers", "contextWindow", "inputModalities", "outputModalities"] {
        if let value = candidate.service[field] {
          let evidence = Evidence(
            id: "e-\(candidate.id)-\(field)", candidate: candidate, field: field, value: value)
          output.emit("evidence", evidence.json)
        }
      }
      output.say(wording("compareLine", slots))
    }
    output.top = shown.map(\.id)
  }

  func cheaper(
    _ reference: Intent.Reference, _ shown: [Candidate], _ state: inout ConversationState,
    _ output: inout TurnOutput, _ snapshot: Snapshot
  ) throws {
    guard let target = pick(reference, shown) else {
      return try recommend(&state, &output, snapshot)
    }
    guard let price = target.comparablePrice, let text = target.price else {
      constraints(state, &output)
      output.say(wording("cheaperUnknown", ["name": target.name]))
      return
    }
    let found = try retrieve(state, on: snapshot)
    let cheaper = found.candidates.filter { candidate in
      candidate.comparablePrice.map { $0.currency == price.currency && $0.nano < price.nano }
        ?? false
    }
    constraints(state, &output)
    let slots = ["name": target.name, "price": text]
    output.say(wording(cheaper.isEmpty ? "cheaperNone" : "cheaper", slots))
    if !cheaper.isEmpty { show(Array(cheaper.prefix(Guide.cardCount)), &state, &output) }
  }

  func trial(
    _ reference: Intent.Reference?, _ shown: [Candidate], _ state: inout ConversationState,
    _ output: inout TurnOutput, _ snapshot: Snapshot
  ) throws {
    constraints(state, &output)
    var chosen = reference.flatMap { pick($0, shown) }
    if chosen == nil, case .name(let name)? = reference {
      var request = SearchRequest()
      request.query = name
      request.understands = false
      request.limit = 1
      let hit = try engine.search(request, on: snapshot).hits.first
      // Only the very name: a trial of something similar is not what was asked for.
      if let hit, hit.name.lowercased() == name { chosen = Candidate(hit, score: hit.score) }
    }
    guard let chosen else {
      output.say(wording("proposalWhich"))
      return
    }
    output.trialOf = chosen.id
    output.top = shown.isEmpty ? [chosen.id] : shown.map(\.id)
  }
}
