internal import HTTPServer
internal import Identity
internal import Primitives

extension Response {
  /// The answer of a keyed request, as it was given first.
  init(_ answer: Idempotency.Answer) {
    let type = answer.status < 400 ? "application/json" : "application/problem+json"
    self.init(
      status: answer.status, headers: [(name: "Content-Type", value: type)],
      body: .bytes(answer.body))
    if answer.isReplayed { headers.append((name: "Idempotent-Replayed", value: "true")) }
  }

  /// The same with another body: what must not be stored is added to each answer.
  init(_ answer: Idempotency.Answer, body: JSON) {
    self.init(answer)
    self.body = .bytes(body.bytes)
  }
}

extension Context {
  /// What turns a refusal into the answer that is kept for its key. It names no request: it may answer several.
  var keptRefusal: @Sendable (Refusal) -> Idempotency.Answer {
    let path = request.path
    return { refusal in
      Idempotency.Answer(
        status: refusal.code.status,
        body: Problem.body(refusal, requestID: nil, path: path).bytes)
    }
  }
}
