internal import HTTPServer
internal import Identity
internal import Primitives

/// A request under an `Idempotency-Key`, once it is known who may do it and to what.
struct KeyedRequest<Subject: Sendable>: Sendable {
  let context: Context
  /// What the route's `admit` found: whom it concerns, or what the path names.
  let subject: Subject
  /// The body, of which nothing has been looked at yet.
  let body: JSON
  let key: Idempotency.Key

  /// What turns a refusal into the answer that is kept.
  var refused: @Sendable (Refusal) -> Idempotency.Answer { context.keptRefusal }
}

/// The scope of a key: who asks, and what counts as the body.
struct KeyScope: Sendable {
  /// Who asks.
  var principal: Principal
  /// What must be equal in a repeat; the body, unless that must not be kept even as a hash.
  var body: JSON
  /// What tells this from other uses of the same route, where its query does.
  var part = ""
}

extension Services {
  /// A route that takes an `Idempotency-Key`. Whatever it does, its refusals come in the order of the specification
  /// (core, 8.1): the steps run here, one after the other, and a route only fills them.
  ///
  /// - Parameters:
  ///   - isLong: Whether it waits for others than the record: a repeat is then refused at once, not made to wait.
  ///   - admit: Refuses who may not do this at all, and what the path names and is not there: `not_found`,
  ///     `forbidden`. It looks at no body, and must say the same at a repeat.
  ///   - scope: Whose key it is; the caller's, unless told.
  ///   - perform: Looks at the body, then runs the effect by `Idempotency.once`. A repeat never gets here.
  ///   - present: Makes the response of an answer, new or stored.
  func keyed<Subject: Sendable>(
    _ method: String, _ path: String, _ summary: String, budget: Route.Budget = .standard,
    isLong: Bool = false,
    admit: @escaping @Sendable (Context) async throws -> Subject,
    scope: @escaping @Sendable (Context, Subject, JSON) throws -> KeyScope = { context, _, body in
      KeyScope(principal: context.principal, body: body)
    },
    perform: @escaping @Sendable (KeyedRequest<Subject>) async throws -> Idempotency.Answer,
    present: @escaping @Sendable (Context, Idempotency.Answer) async throws -> Response = {
      Response($1)
    }
  ) -> Route {
    Route(method, path, summary, budget: budget, isKeyed: true) { context in
      let body = try context.json()
      let subject = try await admit(context)
      let scope = try scope(context, subject, body)
      let place = [method, Route.place(path, context.parameters), scope.part]
      let key = try Idempotency.Key(
        principal: scope.principal, route: place.filter { !$0.isEmpty }.joined(separator: " "),
        key: context.request.header("idempotency-key"), body: scope.body)
      let request = KeyedRequest(context: context, subject: subject, body: body, key: key)
      let answer = try await idempotency.answer(key, from: record, isLong: isLong) {
        try await perform(request)
      }
      return try await present(context, answer)
    }
  }
}

extension KeyedRequest {
  /// Reads the body; where it is not valid, says first what it names and is not there (8.1: not found goes before
  /// validation). The lookup costs nothing where all is well: the effect looks again, inside its transaction.
  ///
  /// - Parameter missing: Throws `not_found` where something that the body names is not there.
  func valid<T>(
    _ read: () throws -> T, elseMissing missing: () async throws -> Void
  ) async throws -> T {
    do {
      return try read()
    } catch let refusal as Refusal where refusal.code == .validationFailed {
      try await missing()
      throw refusal
    }
  }
}

extension Route {
  /// A pattern with its names filled in: one text for each thing, however its address was written.
  fileprivate static func place(_ path: String, _ parameters: [String: String]) -> String {
    path.split(separator: "/").map { part in
      guard part.hasPrefix("{") else { return "/" + part }
      return "/" + (parameters[String(part.dropFirst().dropLast())] ?? "")
    }.joined()
  }
}
