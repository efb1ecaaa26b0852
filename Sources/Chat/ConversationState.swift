internal import Primitives
internal import Search

/// One thing that the conversation has understood, drawn as a chip.
struct ChatConstraint: Sendable, Equatable {
  let id: String
  /// A topic in the user's words, or a condition of the filter grammar.
  enum Meaning: Sendable, Equatable {
    case topic(String)
    case filter(FilterExpression)
  }

  let meaning: Meaning
  let label: String
  /// `text`, `answer` or `edit`.
  let source: String

  var isTopic: Bool { if case .topic = meaning { true } else { false } }

  var json: JSON {
    var object: JSONObject = ["id": .string(id)]
    switch meaning {
    case .topic(let text):
      object["field"] = "topic"
      object["op"] = "about"
      object["value"] = .string(text)
    case .filter(let expression):
      object["field"] = .string(expression.fields.sorted().joined(separator: ","))
      object["op"] = "filter"
      object["value"] = .string(expression.canonical)
    }
    object["label"] = .string(label)
    object["source"] = .string(source)
    object["editable"] = true
    object["removable"] = true
    return .object(object)
  }

  init(id: String, meaning: Meaning, label: String, source: String) {
    self.id = id
    self.meaning = meaning
    self.label = label
    self.source = source
  }

  /// A stored constraint, or nil where a later version cannot read it.
  init?(_ json: JSON) {
    guard let id = json["id"]?.string, let value = json["value"]?.string else { return nil }
    if json["field"] == "topic" {
      meaning = .topic(value)
    } else {
      guard let expression = try? FilterParser.parse(value) else { return nil }
      meaning = .filter(expression)
    }
    self.id = id
    label = json["label"]?.string ?? value
    source = json["source"]?.string ?? "text"
  }
}

/// What a conversation has come to. All of it has a bound: each turn reads, searches and stores it whole.
struct ConversationState: Sendable, Equatable {
  /// Conditions at once.
  static let constraintMax = 12
  /// Topics among them; each costs a search of its own.
  static let topicMax = 6
  static let historyMax = 20
  /// Bytes of the lists kept for undo.
  static let historyByteCountMax = 65_536
  static let excludedMax = 50
  /// Turns of one conversation, and bytes of its events.
  static let turnMax = 200
  static let byteCountMax = 4 * 1_048_576

  private(set) var constraints: [ChatConstraint] = []
  /// Constraint lists before each change, for undo; the newest within the bounds.
  private(set) var history: [Memory] = []
  /// Labels of what had to go in this turn, to be said once; not stored.
  var forgotten: [String] = []
  /// Fields that were asked; none is asked twice.
  var asked: [String] = []
  /// The question that waits for an answer.
  var question: (id: String, field: String, values: [String])?
  /// The services of the last cards, in order.
  var shown: [String] = []
  /// Services that the user does not want; the newest ones.
  private(set) var excluded: [String] = []
  private(set) var nextID = 1
  /// Turns that were kept, and the bytes of their events.
  private(set) var turnCount = 0
  private(set) var byteCount = 0

  /// Whether no more turns go in.
  var isFull: Bool {
    turnCount >= ConversationState.turnMax || byteCount >= ConversationState.byteCountMax
  }

  static func == (left: ConversationState, right: ConversationState) -> Bool {
    left.json == right.json
  }

  /// What undo goes back to: the constraints, and the questions asked by then.
  struct Memory: Sendable, Equatable {
    let constraints: [ChatConstraint]
    let asked: [String]

    var json: JSON {
      ["constraints": .array(constraints.map(\.json)), "asked": .strings(asked)]
    }
  }

  mutating func remember() {
    history.append(Memory(constraints: constraints, asked: askedBefore))
    if history.count > ConversationState.historyMax { history.removeFirst() }
    var left = ConversationState.historyByteCountMax
    let kept = history.reversed().prefix { memory in
      left -= memory.json.bytes.count
      return left >= 0
    }
    history = kept.reversed()
  }

  /// The questions asked before the newest cards: with them the same cards come again.
  private var askedBefore: [String] {
    question == nil ? asked : Array(asked.dropLast())
  }

  /// Goes back one change; nothing where there is none.
  mutating func undo() {
    guard let last = history.popLast() else { return }
    constraints = last.constraints
    asked = last.asked
    question = nil
  }

  mutating func add(_ meaning: ChatConstraint.Meaning, label: String, source: String) {
    constraints.append(
      ChatConstraint(id: "c\(nextID)", meaning: meaning, label: label, source: source))
    nextID += 1
    if constraints.count(where: \.isTopic) > ConversationState.topicMax {
      forget(constraints.firstIndex(where: \.isTopic))
    }
    if constraints.count > ConversationState.constraintMax {
      forget(constraints.firstIndex(where: \.isTopic) ?? 0)
    }
  }

  private mutating func forget(_ place: Int?) {
    if let place { forgotten.append(constraints.remove(at: place).label) }
  }

  /// Drops one condition.
  mutating func remove(_ id: String?) { constraints.removeAll { $0.id == id } }

  /// Drops every condition.
  mutating func clear() { constraints = [] }

  /// Drops everything, as at the start; undo brings the conditions back.
  mutating func reset() {
    remember()
    clear()
    excluded = []
    question = nil
    asked = []
  }

  mutating func exclude(_ service: String) {
    if !excluded.contains(service) { excluded.append(service) }
    if excluded.count > ConversationState.excludedMax { excluded.removeFirst() }
  }

  /// Counts a turn that is to be kept.
  mutating func count(_ events: [TurnEvent]) {
    turnCount += 1
    byteCount += events.reduce(0) { $0 + $1.data.count }
  }

  var json: JSON {
    [
      "constraints": .array(constraints.map(\.json)),
      "history": .array(
        history.map(\.json)), "asked": .strings(asked),
      "question": question.map {
        ["id": .string($0.id), "field": .string($0.field), "values": .strings($0.values)]
      } ?? .null,
      "shown": .strings(shown), "excluded": .strings(excluded), "nextId": .number(nextID),
      "turns": .number(turnCount), "bytes": .number(byteCount),
    ]
  }

  init() {}

  init(_ json: JSON) {
    func texts(_ key: String) -> [String] { (json[key]?.array ?? []).compactMap(\.string) }
    constraints = (json["constraints"]?.array ?? []).compactMap(ChatConstraint.init)
    history = (json["history"]?.array ?? []).map { row in
      Memory(
        constraints: (row["constraints"]?.array ?? []).compactMap(ChatConstraint.init),
        asked: (row["asked"]?.array ?? []).compactMap(\.string))
    }
    asked = texts("asked")
    shown = texts("shown")
    excluded = texts("excluded")
    nextID = Int(json["nextId"]?.int ?? 1)
    turnCount = Int(json["turns"]?.int ?? 0)
    byteCount = Int(json["bytes"]?.int ?? 0)
    if let id = json["question"]?["id"]?.string, let field = json["question"]?["field"]?.string {
      let values = (json["question"]?["values"]?.array ?? []).compactMap(\.string)
      question = (id, field, values)
    }
  }
}
