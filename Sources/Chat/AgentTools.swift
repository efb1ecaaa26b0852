internal import Primitives
internal import Search

/// The tools that a model may call: four that read, and one that asks for a proposal. None moves anything.
struct AgentTools {
  let guide: Guide
  let snapshot: Snapshot
  /// Services that this turn retrieved: no other id is known to the model's side.
  private(set) var known: [String: Candidate]
  /// The service that the model wants to propose.
  private(set) var wanted: String?

  init(guide: Guide, snapshot: Snapshot, candidates: [Candidate]) {
    self.guide = guide
    self.snapshot = snapshot
    known = Dictionary(candidates.map { ($0.id, $0) }) { first, _ in first }
  }

  /// The schemas in the OpenAI form.
  static let schemas: [JSON] = [
    tool(
      "search_services", "Finds services for a need in words.",
      ["query": ["type": "string", "maxLength": 500]], required: ["query"]),
    tool(
      "get_service", "The stored facts of one service.", ["id": ["type": "string"]],
      required: ["id"]),
    tool(
      "compare_services", "Facts of two to five services side by side.",
      ["ids": ["type": "array", "items": ["type": "string"], "minItems": 2, "maxItems": 5]],
      required: ["ids"]),
    tool("list_filters", "The fields that services can be filtered by.", [:], required: []),
    tool(
      "propose_trial", "Shows the person a proposal for a trial. Only the person can confirm it.",
      ["id": ["type": "string"]], required: ["id"]),
  ]

  private static func tool(
    _ name: String, _ description: String, _ properties: JSON, required: [String]
  ) -> JSON {
    [
      "type": "function",
      "function": [
        "name": .string(name), "description": .string(description),
        "parameters": [
          "type": "object", "properties": properties, "required": .strings(required),
          "additionalProperties": false,
        ],
      ],
    ]
  }

  /// Runs a call and gives its result as JSON, at most 8 kB; a bad call gets an error that the model can read.
  mutating func run(_ call: ToolCall) -> JSON {
    let arguments = (try? JSON.parse(call.arguments)) ?? [:]
    switch call.name {
    case "search_services":
      guard let query = arguments["query"]?.string, query.count <= 500 else { return bad("query") }
      return search(query)
    case "get_service":
      guard let candidate = arguments["id"]?.string.flatMap({ known[$0] }) else { return bad("id") }
      return AgentTools.facts(candidate)
    case "compare_services":
      let ids = (arguments["ids"]?.array ?? []).compactMap(\.string)
      let found = ids.compactMap { known[$0] }
      guard (2...5).contains(ids.count), found.count == ids.count else { return bad("ids") }
      return ["services": .array(found.map(AgentTools.facts))]
    case "list_filters": return ["fields": .strings(IndexField.all.map(\.name))]
    case "propose_trial":
      guard let id = arguments["id"]?.string, known[id] != nil else { return bad("id") }
      wanted = id
      return ["shown": true, "note": "The person sees the proposal and alone can confirm it."]
    default: return ["error": "there is no such tool"]
    }
  }

  private mutating func search(_ query: String) -> JSON {
    var request = SearchRequest()
    request.query = query
    request.limit = 8
    guard let answer = try? guide.engine.search(request, on: snapshot) else { return bad("query") }
    let found = answer.hits.map { Candidate($0, score: $0.score) }
    for candidate in found { known[candidate.id] = candidate }
    return ["total": .number(answer.total), "services": .array(found.map(AgentTools.facts))]
  }

  private func bad(_ field: String) -> JSON {
    ["error": .string("\(field) is missing or was not retrieved in this turn")]
  }

  /// Extracted fields with caps, cleaned: listing text reaches the model only as data (S4).
  static func facts(_ candidate: Candidate) -> JSON {
    func text(_ field: String, _ max: Int) -> JSON {
      .optional(candidate.service[field]?.string.map { String(PlainText.clean($0).prefix(max)) })
    }
    return [
      "id": .string(candidate.id), "name": text("name", 200),
      "provider": .string(PlainText.clean(candidate.provider)), "kind": text("kind", 10),
      "tagline": text("tagline", 200), "description": text("description", 600),
      "price": .string(candidate.price ?? "not stated"),
      "contextWindow": candidate.service["contextWindow"] ?? "not stated",
      "inputModalities": candidate.service["inputModalities"] ?? "not stated",
      "outputModalities": candidate.service["outputModalities"] ?? "not stated",
    ]
  }
}
