internal import Primitives

/// One operation of the document.
struct OperationShape {
  private let operation: OpenAPIDocument.Operation
  private let leads: [(to: OpenAPIDocument.Operation, lead: RouteDocument.Lead)]

  /// - Parameter leads: The operations that its answer leads to.
  init(
    _ operation: OpenAPIDocument.Operation,
    leads: [(to: OpenAPIDocument.Operation, lead: RouteDocument.Lead)]
  ) {
    self.operation = operation
    self.leads = leads
  }

  var json: JSONObject {
    var object: JSONObject = [
      "operationId": .string(operation.id), "summary": .string(operation.summary),
    ]
    guard let document = operation.document else {
      // A route without a document is shown as such, and a test names it.
      object["x-undocumented"] = true
      object["parameters"] = .array(operation.names.map { pathParameter($0, .string) })
      object["responses"] = ["default": ["description": "Not described yet."]]
      return object
    }
    object["tags"] = [.string(document.chapter.rawValue)]
    if !document.words.isEmpty { object["description"] = .string(document.words) }
    object["x-callers"] = .strings(document.callers.map(\.rawValue))
    if !document.scopes.isEmpty { object["x-scopes"] = .strings(document.scopes) }
    object["x-repeats"] = repeats(document)
    object["security"] = .array(security(document))
    let parameters = parameters(document)
    if !parameters.isEmpty { object["parameters"] = .array(parameters) }
    if let body = document.body {
      object["requestBody"] = [
        "required": .bool(body.isRequired),
        "content": .object([body.type: ["schema": body.schema.json]]),
        "description": .string("At most \(operation.byteCountMax) bytes."),
      ]
    }
    object["responses"] = .object(responses(document))
    return object
  }

  private func repeats(_ document: RouteDocument) -> JSON {
    switch document.repeats {
    case .harmless: "harmless"
    case .key: "Idempotency-Key"
    case .once(let id): .string("once by " + id)
    case .again: "again"
    }
  }

  // MARK: Security and parameters

  private func security(_ document: RouteDocument) -> [JSON] {
    var ways: [JSON] = []
    func add(_ way: JSON) { if !ways.contains(way) { ways.append(way) } }
    for caller in document.callers {
      switch caller {
      case .anyone:
        add([:])
        if operation.usesBearer { add(["bearer": []]) }
      case .user, .provider, .admin: add(["bearer": []])
      case .session: add(["sessionToken": []])
      case .refresh: add(["refreshCookie": []])
      case .conversation: add(["conversation": []])
      case .signature: add(["signature": []])
      case .client: add(["client": []])
      }
    }
    return ways
  }

  private func pathParameter(_ name: String, _ schema: Schema) -> JSON {
    ["name": .string(name), "in": "path", "required": true, "schema": schema.json]
  }

  private func parameters(_ document: RouteDocument) -> [JSON] {
    var all = operation.names.map {
      pathParameter($0, document.path[$0] ?? .text(1...255))
    }
    for parameter in document.parameters {
      all.append([
        "name": .string(parameter.name), "in": .string(parameter.place),
        "required": .bool(parameter.isRequired), "schema": parameter.schema.json,
      ])
    }
    if document.repeats == .key {
      let key = Schema.text(1...255).about("A new one for each new effect, the same at a repeat.")
      all.append([
        "name": "Idempotency-Key", "in": "header", "required": true, "schema": key.json,
      ])
    }
    return all
  }

  // MARK: Answers

  private func responses(_ document: RouteDocument) -> JSONObject {
    var responses = JSONObject()
    for answer in document.answers {
      var object: JSONObject = [
        "description": .string(answer.words), "headers": .object(headers(document)),
      ]
      if !answer.contents.isEmpty {
        var contents = JSONObject()
        for content in answer.contents { contents[content.type] = ["schema": content.schema.json] }
        object["content"] = .object(contents)
      }
      if !leads.isEmpty, isLeading(answer, of: document) { object["links"] = .object(links) }
      responses[String(answer.status)] = .object(object)
    }
    let problems = problems(document)
    for status in Set(problems.map(\.status)).sorted() {
      let codes = problems.filter { $0.status == status }.map(\.code)
      let problem = CommonAnswers.problem(status, codes)
      if case .object(var object)? = responses[String(status)] {
        // The same status may carry an answer of its own: both forms are then possible.
        var contents = object["content"]?.object ?? [:]
        for content in problem["content"]?.object?.members ?? [] {
          contents[content.key] = content.value
        }
        object["content"] = .object(contents)
        responses[String(status)] = .object(object)
      } else {
        responses[String(status)] = problem
      }
    }
    return responses
  }

  /// An answer that has what its links name: a `PUT` both where it makes and where it replaces.
  private func isLeading(_ answer: RouteDocument.Answer, of document: RouteDocument) -> Bool {
    let makes = document.answers.contains { $0.status == 201 }
    return answer.status == (makes ? 201 : 200) || operation.method == "PUT" && answer.status == 200
  }

  private var links: JSONObject {
    func values(_ values: [String: String]) -> JSON {
      var object = JSONObject()
      for name in values.keys.sorted() { object[name] = .string(values[name] ?? "") }
      return .object(object)
    }
    var links = JSONObject()
    for (target, lead) in leads {
      var link: JSONObject = ["operationId": .string(target.id)]
      if !lead.path.isEmpty { link["parameters"] = values(lead.path) }
      if !lead.body.isEmpty { link["requestBody"] = values(lead.body) }
      links[target.id] = .object(link)
    }
    return links
  }

  private func headers(_ document: RouteDocument) -> JSONObject {
    var names = ["X-Request-Id"]
    if operation.isCounted { names += ["RateLimit", "RateLimit-Policy"] }
    if document.repeats == .key { names.append("Idempotent-Replayed") }
    var headers = JSONObject()
    for name in names { headers[name] = ["$ref": .string("#/components/headers/" + name)] }
    return headers
  }

  /// Every refusal of the route: its own, and what its form brings with it.
  private func problems(_ document: RouteDocument) -> [(status: Int, code: String)] {
    var codes: [ProblemCode] = [.bodyTooLarge, .internal, .storageUnavailable, .shuttingDown]
    if operation.isCounted { codes.append(.rateLimited) }
    if operation.usesBearer { codes += [.tokenInvalid, .tokenExpired, .forbidden] }
    if document.needsCredentials { codes += [.unauthenticated, .forbidden] }
    if !operation.names.isEmpty { codes.append(.notFound) }
    if document.body != nil { codes += [.unsupportedMediaType, .validationFailed] }
    if document.takesJSON { codes.append(.malformedJSON) }
    if document.parameters.contains(where: { $0.place == "query" }) {
      codes.append(.validationFailed)
    }
    if document.repeats == .key {
      codes += [.idempotencyKeyRequired, .idempotencyInFlight, .idempotencyConflict]
    }
    var all = (codes + document.problems).map { ($0.status, $0.rawValue) }
    all += document.further.map { ($0.status, $0.code) } + CommonAnswers.front
    var seen: Set<String> = []
    return all.filter { seen.insert($0.1).inserted }.map { (status: $0.0, code: $0.1) }
  }
}
