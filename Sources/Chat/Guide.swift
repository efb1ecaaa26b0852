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
    case .text(let text): try read(text, &state, &output, snapshot)
    case .answer(let id, let values):
      try answer(id, values, &state)
      try recommend(&state, &output, snapshot)
    case .edit(let edits):
      try edit(edits, &state)
      try recommend(&state, &output, snapshot)
    }
    return output
  }

  /// What a text asks for: something of the conversation, or a need.
  private func read(
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
