internal import Primitives
package import Search

/// What a turn says, before it is numbered and kept.
struct TurnOutput: Sendable {
  private(set) var events: [(type: String, data: JSON)] = []
  /// `answered`, `asked` or `no_match`.
  var finish = "answered"
  /// The services on the cards, in order.
  var top: [String] = []
  /// A service whose trial the user asked for.
  var trialOf: String?
  private var blockCount = 0

  mutating func emit(_ type: String, _ data: JSON) { events.append((type, data)) }

  mutating func say(_ text: String) {
    blockCount += 1
    emit("text.delta", ["block": .string("b\(blockCount)"), "text": .string(text)])
  }

  mutating func suggest(_ chips: [String]) {
    if !chips.isEmpty { emit("suggestions", ["chips": .strings(Array(chips.prefix(4)))]) }
  }
}

/// The deterministic guide: understands, retrieves, recommends, asks at most what narrows the choice.
/// The same constraint list on the same snapshot gives the same events.
package struct Guide: Sendable {
  static let cardCount = 3
  static let candidateMax = 200

  let engine: SearchEngine
  let wording = Wording.shipped
  /// Whether every listing can be tried in the sandbox.
  let hasSandbox: Bool

  package init(engine: SearchEngine, hasSandbox: Bool) {
    self.engine = engine
    self.hasSandbox = hasSandbox
  }

  /// One turn over a conversation's state, which it moves on.
  func turn(
    _ input: TurnRequest.Input, _ state: inout ConversationState, on snapshot: Snapshot
  ) throws -> TurnOutput {
    var output = TurnOutput()
    switch input {
    case .text(let text): try text_(text, &state, &output, snapshot)
    case .answer(let id, let values):
      try answer(id, values, &state)
      try recommend(&state, &output, snapshot)
    case .edit(let edits):
      try edit(edits, &state)
      try recommend(&state, &output, snapshot)
    }
    return output
  }

  private func text_(
    _ text: String, _ state: inout ConversationState, _ output: inout TurnOutput,
    _ snapshot: Snapshot
  ) throws {
    let shown = try candidates(ids: state.shown, snapshot)
    switch Intent.read(text, names: shown.map(\.name)) {
    case .greeting:
      constraints(state, &output)
      output.say(wording("greeting"))
    case .undo:
      state.undo()
      output.say(wording("undone"))
      try recommend(&state, &output, snapshot)
    case .reset:
      state.reset()
      constraints(state, &output)
      output.say(wording("reset"))
    case .trial(let reference): try trial(reference, shown, &state, &output, snapshot)
    case .compare(let references): compare(references, shown, state, &output)
    case .cheaper(let reference): try cheaper(reference, shown, &state, &output, snapshot)
    case .notThis(let reference):
      if let candidate = pick(reference, shown) {
        state.exclude(candidate.id)
        output.say(wording("dropped", ["name": candidate.name]))
      }
      try recommend(&state, &output, snapshot)
    case .need: try need(text, &state, &output, snapshot)
    }
  }

  /// A new need, or more of it: conditions become filters, the rest a topic in the user's words.
  private func need(
    _ text: String, _ state: inout ConversationState, _ output: inout TurnOutput,
    _ snapshot: Snapshot
  ) throws {
    if let question = state.question,
      let value = question.values.first(where: { $0.lowercased() == text.trimmed.lowercased() })
    {
      try answer(question.id, [value], &state)
      return try recommend(&state, &output, snapshot)
    }
    let understood = QueryReader(snapshot: snapshot).read(text)
    state.remember()
    for constraint in understood.constraints
    where !state.constraints.contains(where: { $0.meaning == .filter(constraint.expression) }) {
      state.add(.filter(constraint.expression), label: constraint.label, source: "text")
    }
    let before = state.constraints.contains(where: \.isTopic)
    var narrowed: String?
    if !understood.text.trimmed.isEmpty {
      let topic = QueryReader.withoutAsking(
        PlainText.clean(String(understood.text.trimmed.prefix(500))))
      state.add(.topic(topic), label: topic, source: "text")
      if before { narrowed = topic }
    }
    try recommend(&state, &output, snapshot, narrowedBy: narrowed)
  }

  private func answer(
    _ id: String, _ values: [String], _ state: inout ConversationState
  ) throws {
    guard let question = state.question, question.id == id else {
      throw Refusal(
        .validationFailed, "This question does not wait for an answer.",
        fields: [.init("/answer/questionId", "is not the open question")])
    }
    state.question = nil
    guard !values.contains(where: { $0 == "any" || $0 == wording("any") }) else { return }
    for value in values where !question.values.contains(value) {
      throw Refusal(
        .validationFailed, "This is none of the answers.",
        fields: [
          .init(
            "/answer/values", "must be of the question's options, or any; got \(value.prefix(80))")
        ])
    }
    state.remember()
    let expression = FilterExpression.oneOf(
      field: question.field, values.map(FilterExpression.Value.word))
    state.add(
      .filter(expression), label: values.joined(separator: " or "), source: "answer")
  }

  private func edit(_ edits: [TurnRequest.Edit], _ state: inout ConversationState) throws {
    for edit in edits {
      switch edit.operation {
      case "undo":
        state.undo()
      case "reset":
        state.remember()
        state.clear()
      case "remove":
        state.remember()
        state.remove(edit.id)
      default:
        guard let expression = try FilterParser.parse(edit.filter ?? "") else {
          throw Refusal(
            .validationFailed, "An edit that sets needs a filter.",
            fields: [.init("/edit/ops", "set needs filter")])
        }
        state.remember()
        state.remove(edit.id)
        state.add(.filter(expression), label: expression.canonical, source: "edit")
      }
    }
    state.question = nil
  }

  func constraints(_ state: ConversationState, _ output: inout TurnOutput) {
    output.emit("constraints", ["constraints": .array(state.constraints.map(\.json))])
  }
}

// MARK: - Retrieval

/// What retrieval found for a constraint list.
struct Retrieved {
  var candidates: [Candidate] = []
  var total = 0
  /// How many matched before the newest topic.
  var totalBefore = 0
  /// Whether every topic is met by each candidate.
  var isFull = true
  var relaxations: [Relaxation] = []
  var revision: Int64 = 0
}

extension Guide {
  /// Services that meet every condition and every topic; where none meets all topics, those that come nearest.
  func retrieve(_ state: ConversationState, on snapshot: Snapshot) throws -> Retrieved {
    var topics: [String] = []
    var conditions: [Constraint] = []
    for constraint in state.constraints {
      switch constraint.meaning {
      case .topic(let text): topics.append(text)
      case .filter(let expression):
        conditions.append(Constraint(expression: expression, label: constraint.label, span: 0..<0))
      }
    }
    var found = Retrieved()
    var scores: [String: (sum: Double, count: Int, hit: Hit)] = [:]
    for topic in topics.isEmpty ? [""] : topics {
      var request = SearchRequest()
      request.query = topic
      request.understands = false
      request.constraints = conditions
      request.limit = Guide.candidateMax
      let answer = try engine.search(request, on: snapshot)
      found.revision = answer.revision
      found.totalBefore = found.total
      found.total = answer.total
      found.relaxations = answer.relaxations
      for hit in answer.hits where !state.excluded.contains(hit.id) {
        let known = scores[hit.id]
        scores[hit.id] = ((known?.sum ?? 0) + hit.score, (known?.count ?? 0) + 1, hit)
      }
    }
    let needed = max(topics.count, 1)
    var kept = scores.values.filter { $0.count == needed }
    if needed > 1 {
      if kept.count < Guide.cardCount {
        found.isFull = false
        kept = Array(scores.values)
      }
      found.total = kept.count
    }
    let ranked = kept.sorted { ($1.sum, $0.hit.id) < ($0.sum, $1.hit.id) }
    found.candidates = ranked.prefix(Guide.candidateMax).map {
      Candidate($0.hit, score: $0.sum / Double(needed))
    }
    return found
  }

  /// Services by id, in that order; those that are gone are left out.
  func candidates(ids: [String], _ snapshot: Snapshot) throws -> [Candidate] {
    guard !ids.isEmpty else { return [] }
    var request = SearchRequest()
    request.filter = .oneOf(field: "id", ids.map(FilterExpression.Value.word))
    request.limit = ids.count
    let hits = try engine.search(request, on: snapshot).hits
    return ids.compactMap { id in hits.first { $0.id == id }.map { Candidate($0, score: $0.score) }
    }
  }

  private func pick(_ reference: Intent.Reference, _ shown: [Candidate]) -> Candidate? {
    switch reference {
    case .place(let place): place < shown.count ? shown[place] : nil
    case .name(let name): shown.first { $0.name.lowercased() == name }
    }
  }
}

// MARK: - What the guide says

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

  private func compare(
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

  private func cheaper(
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

  private func trial(
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
