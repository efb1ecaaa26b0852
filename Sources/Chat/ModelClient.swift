internal import HTTPClient
internal import Primitives

/// Where a model is: an OpenAI-compatible server of the operator's choice.
package struct ModelEndpoint: Sendable {
  let url: String
  let model: String
  let key: String?

  /// - Parameter url: The base, such as `http://127.0.0.1:4011/v1`.
  package init(url: String, model: String, key: String?) {
    self.url = url.hasSuffix("/") ? String(url.dropLast()) : url
    self.model = model
    self.key = key
  }
}

/// Asks the model and streams its answer.
struct ModelClient: Sendable {
  let endpoint: ModelEndpoint

  /// One request. Text goes to the closure as it comes.
  ///
  /// - Parameters:
  ///   - secondsLeft: What the turn has left; the transfer ends with it.
  ///   - used: Gets the tokens that it cost, once, also where it fails: as the server says, else an estimate: a quarter
  ///     of the bytes that were sent, and of the text that came, or an event each. A server that answered nothing costs
  ///     nothing.
  /// - Throws: `ModelFailure`.
  func ask(
    _ messages: [JSON], tools: [JSON], secondsLeft: Int, turn: String, used: (Int) -> Void,
    text: (String) -> Void
  ) async throws(ModelFailure) -> [ToolCall] {
    var body: JSONObject = [
      "model": .string(endpoint.model), "messages": .array(messages), "stream": true,
      "stream_options": ["include_usage": true],
    ]
    if !tools.isEmpty { body["tools"] = .array(tools) }
    var headers = [
      (name: "Content-Type", value: "application/json"),
      (name: "Accept", value: "text/event-stream"),
    ]
    if let key = endpoint.key { headers.append((name: "Authorization", value: "Bearer \(key)")) }
    var request = OutboundRequest(
      url: endpoint.url + "/chat/completions", headers: headers, body: JSON.object(body).bytes)
    request.totalSeconds = max(1, secondsLeft)
    var reader = StreamReader()
    defer { used(reader.tokenCount(sent: request.body.count)) }
    do {
      for try await part in Transfer.post(request) {
        for piece in try reader.take(part) where !piece.isEmpty { text(piece) }
      }
    } catch let failure as ModelFailure {
      throw failure
    } catch TransferError.busy {
      // Ours to say, not the server's fault: asking again would only queue up.
      throw .budgetExceeded
    } catch {
      throw .unavailable
    }
    return try reader.finish(turn: turn, text: text)
  }
}

/// Turns the parts of an answer into text and calls.
struct StreamReader {
  private var parser = SSEParser()
  private var reply = ModelReply()
  private var status = 0
  private var raw: [UInt8] = []
  private var sawEvent = false
  private var byteCount = 0
  private var eventCount = 0
  private var textByteCount = 0

  /// What the request cost; nothing where the server did not take it.
  func tokenCount(sent: Int) -> Int {
    guard status == 200 else { return 0 }
    // Each event wraps a token or a few in some 200 bytes of JSON, which nobody pays for.
    let came = sawEvent ? max(eventCount, textByteCount / 4) : byteCount / 4
    return reply.tokenCount ?? sent / 4 + came
  }

  mutating func take(_ part: InboundPart) throws -> [String] {
    switch part {
    case .status(let code):
      status = code
      return []
    case .bytes(let bytes):
      byteCount += bytes.count
      // Kept until the first event, for errors and for answers that are no stream.
      if !sawEvent, raw.count < 1_048_576 { raw += bytes }
      guard status == 200 else { return [] }
      return try events(parser.take(bytes))
    }
  }

  private mutating func events(_ events: [SSEParser.Event]) throws(ModelFailure) -> [String] {
    guard !parser.isOverLimit else { throw .protocolError }
    var output: [String] = []
    for event in events {
      sawEvent = true
      eventCount += 1
      let piece = try reply.take(event.data)
      textByteCount += piece.utf8.count
      output.append(piece)
    }
    return output
  }

  /// The calls at the end; text that only the end completes goes to the closure.
  mutating func finish(turn: String, text: (String) -> Void) throws(ModelFailure) -> [ToolCall] {
    if status == 429 { throw .rateLimited }
    if [401, 403, 404].contains(status) { throw .denied }
    guard status == 200 else {
      let error = (try? JSON.parse(raw))?["error"] ?? .null
      let isPassing = status >= 500 || status == 408 || status == 409
      throw isPassing ? .unavailable : ModelReply.failure(of: error)
    }
    if let last = parser.finish() {
      sawEvent = true
      guard let piece = try? reply.take(last.data) else { throw .truncated }
      if !piece.isEmpty { text(piece) }
    }
    if !sawEvent {
      // A plain JSON completion is accepted; anything else is no stream of events.
      guard let json = try? JSON.parse(raw), json["choices"] != nil else { throw .notSSE }
      let piece = try reply.take(json.text)
      if !piece.isEmpty { text(piece) }
    }
    if reply.isRefused || reply.finishReason == "content_filter" { throw .refused }
    return try reply.calls(turn: turn)
  }
}
