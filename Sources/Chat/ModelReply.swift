internal import Primitives

/// A tool call of a model, once its arguments are whole.
struct ToolCall: Sendable, Equatable {
  let id: String
  let name: String
  let arguments: String
}

/// Why a model's answer cannot be used; the raw value is the stable code of chat.md 2.1.
enum ModelFailure: String, Error {
  case truncated = "upstream_truncated"
  case protocolError = "upstream_protocol_error"
  case notSSE = "upstream_not_sse"
  case unavailable = "upstream_unavailable"
  /// The server answered, with a no that the same request would only meet again.
  case rejected = "upstream_rejected"
  /// The server does not know us or the address: no request of ours will do better.
  case denied = "upstream_denied"
  case rateLimited = "upstream_rate_limited"
  case toolArgumentsTruncated = "tool_args_truncated"
  case contextOverflow = "context_overflow"
  case budgetExceeded = "budget_exceeded"
  case refused = "guard_blocked"

  /// The code that clients see.
  var code: String {
    switch self {
    case .rejected, .denied: ModelFailure.unavailable.rawValue
    default: rawValue
    }
  }

  /// Whether the server failed, whatever was asked of it.
  var isUpstream: Bool {
    switch self {
    case .unavailable, .denied, .rateLimited, .truncated, .protocolError, .notSSE: true
    case .rejected, .toolArgumentsTruncated, .contextOverflow, .budgetExceeded, .refused: false
    }
  }
}

/// Puts the chunks of an OpenAI-compatible stream together (chat.md 5.1, 5.4, 5.5).
struct ModelReply {
  private struct Slot {
    var index: Int64?
    var id: String?
    var name: String?
    var arguments = ""
  }

  private(set) var finishReason: String?
  private(set) var isRefused = false
  private(set) var isDone = false
  /// Tokens of the request and the reply together, where the server says how many there were.
  private(set) var tokenCount: Int?
  private var slots: [Slot] = []

  /// Takes one event's data and gives the text that it adds.
  mutating func take(_ data: String) throws(ModelFailure) -> String {
    if isDone { return "" }
    if data.hasPrefix("[DONE]") {
      isDone = true
      return ""
    }
    guard let chunk = try? JSON.parse(data) else { throw .protocolError }
    if let error = chunk["error"], error != .null { throw ModelReply.failure(of: error) }
    // What no model uses in one reply is no count.
    if let total = chunk["usage"]?["total_tokens"]?.int, (0...10_000_000).contains(total) {
      tokenCount = Int(total)
    }
    guard let choice = chunk["choices"]?.array?.first else { return "" }
    if let reason = choice["finish_reason"]?.string { finishReason = reason }
    // A plain completion in reply to a stream request has its text under "message".
    let delta = choice["delta"] ?? choice["message"] ?? .null
    if let refusal = delta["refusal"]?.string, !refusal.isEmpty { isRefused = true }
    for (place, call) in (delta["tool_calls"]?.array ?? []).enumerated() {
      take(call: call, place: place)
    }
    return delta["content"]?.string ?? ""
  }

  /// The calls, once the stream has ended.
  /// - Throws: `truncated` without a finish; `toolArgumentsTruncated` where arguments do not parse.
  func calls(turn: String) throws(ModelFailure) -> [ToolCall] {
    guard isDone || finishReason != nil else { throw .truncated }
    var calls: [ToolCall] = []
    for (number, slot) in slots.enumerated() {
      guard let name = slot.name, !name.isEmpty else { continue }
      let arguments = slot.arguments.isEmpty ? "{}" : slot.arguments
      guard (try? JSON.parse(arguments))?.object != nil else { throw .toolArgumentsTruncated }
      calls.append(
        ToolCall(id: slot.id ?? "call_\(turn)_\(number)", name: name, arguments: arguments))
    }
    return calls
  }

  /// The slot is found by index and id: a new id opens a new one, also under the same index.
  private mutating func take(call: JSON, place: Int) {
    let index = call["index"]?.int
    let id = call["id"]?.string
    var number = slots.lastIndex { slot in
      if let id, let own = slot.id { return own == id }
      if let index, let own = slot.index { return own == index }
      return index == nil && id == nil
    }
    if number == nil {
      slots.append(Slot(index: index, id: id))
      number = slots.count - 1
    }
    guard let number else { return }
    if slots[number].id == nil { slots[number].id = id }
    let function = call["function"] ?? .null
    if slots[number].name == nil, let name = function["name"]?.string, !name.isEmpty {
      slots[number].name = name
    }
    switch function["arguments"] {
    case .string(let part)?: slots[number].arguments += part
    case .object(let object)?: slots[number].arguments = JSON.object(object).text
    default: break
    }
  }

  static func failure(of error: JSON) -> ModelFailure {
    let text =
      (error["code"]?.text ?? "") + (error["type"]?.string ?? "") + (error["message"]?.string ?? "")
    if text.contains("context_length") || text.contains("exceed_context") {
      return .contextOverflow
    }
    if text.contains("429") || text.lowercased().contains("rate") { return .rateLimited }
    return .rejected
  }
}
