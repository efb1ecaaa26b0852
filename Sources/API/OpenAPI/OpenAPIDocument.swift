package import Primitives

/// The API's description in OpenAPI 3.1, made from the routes and what is documented of them.
package struct OpenAPIDocument: Sendable {
  /// One route as the document needs it.
  package struct Operation: Sendable {
    let method: String
    let path: String
    let summary: String
    /// The most bytes of its body.
    let byteCountMax: Int
    /// Whether it counts against a rate limit.
    let isCounted: Bool
    let usesBearer: Bool
    let document: RouteDocument?

    /// A route by its document alone, as tests have it.
    package init(_ document: RouteDocument) {
      let words = document.key.split(separator: " ", maxSplits: 1)
      self.init(
        method: String(words[0]), path: String(words[words.count - 1]), summary: document.key,
        byteCountMax: Route.bodyByteCountMax, isCounted: true, usesBearer: true,
        document: document)
    }

    init(_ route: Route) {
      self.init(
        method: route.method, path: route.path, summary: route.summary,
        byteCountMax: route.bodyLimit.byteCount, isCounted: route.budget != .none,
        usesBearer: route.usesBearer, document: RouteDocuments.named[route.key])
    }

    private init(
      method: String, path: String, summary: String, byteCountMax: Int, isCounted: Bool,
      usesBearer: Bool, document: RouteDocument?
    ) {
      self.method = method
      self.path = path
      self.summary = summary
      self.byteCountMax = byteCountMax
      self.isCounted = isCounted
      self.usesBearer = usesBearer
      self.document = document
    }

    /// Unique, as method and path are: `getServicesByIdSimilar`.
    package var id: String {
      var words: [String] = []
      for segment in path.split(whereSeparator: { "/:.-_".contains($0) }) where segment != "v1" {
        words.append(
          segment.hasPrefix("{") ? "by-" + segment.dropFirst().dropLast() : String(segment))
      }
      let parts = words.flatMap { $0.split(separator: "-") }
      return method.lowercased()
        + parts.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }

    var key: String { method + " " + path }

    /// The names in braces, in order.
    var names: [String] {
      path.split(separator: "/").filter { $0.hasPrefix("{") }.map {
        String($0.dropFirst().dropLast())
      }
    }
  }

  let operations: [Operation]
  let version: String

  /// - Parameter operations: In the order of the route table.
  package init(_ operations: [Operation], version: String) {
    self.operations = operations
    self.version = version
  }

  /// The whole document.
  package var json: JSON {
    var paths = JSONObject()
    for operation in operations {
      var item = paths[operation.path]?.object ?? [:]
      item[operation.method.lowercased()] = .object(
        OperationShape(operation, leads: leads(of: operation)).json)
      paths[operation.path] = .object(item)
    }
    return [
      "openapi": "3.1.0",
      "info": [
        "title": "Waypost", "version": .string(version), "description": .string(introduction),
        "license": ["name": "See LICENSE", "identifier": "LicenseRef-Waypost"],
      ], "servers": [["url": "/"]],
      "tags": .array(
        RouteDocument.Chapter.allCases.map { ["name": .string($0.rawValue)] }),
      "paths": .object(paths), "x-problems": .object(OpenAPIDocument.problems),
      "components": [
        "schemas": .object(ComponentSchemas.json), "responses": .object(CommonAnswers.json),
        "headers": .object(CommonAnswers.headers), "securitySchemes": .object(Self.security),
      ],
    ]
  }

  /// Where the answer of an operation leads: to what a `POST` makes, by the id in its answer; to what a `PUT`
  /// writes, by the id in its path; and where its document says.
  private func leads(of operation: Operation) -> [(to: Operation, lead: RouteDocument.Lead)] {
    let place = operation.method == "POST" ? operation.path + "/{id}" : operation.path
    let id = operation.method == "POST" ? "$response.body#/id" : "$request.path.id"
    var leads: [RouteDocument.Lead] = []
    if ["POST", "PUT"].contains(operation.method) {
      leads = operations.filter {
        ($0.path == place || $0.path.hasPrefix(place + "/")) && $0.names == ["id"]
          && $0.key != operation.key
      }.map { .to($0.key, path: ["id": id]) }
    }
    leads += operation.document?.leads ?? []
    return leads.compactMap { lead in
      operations.first { $0.key == lead.key }.map { (to: $0, lead: lead) }
    }
  }

  /// Every code with its status; a response says which of them its route answers with.
  private static var problems: JSONObject {
    var all = JSONObject()
    for code in ProblemCode.allCases { all.append(new: code.rawValue, .number(code.status)) }
    return all
  }

  private var introduction: String {
    """
    Search, chat, trials and the ledger of a marketplace. JSON in and out; fields that a route does not know \
    are refused. Every refusal is problem+json with a stable code. Times are RFC 3339 in UTC; money is \
    amountNano, billionths of its currency; ledger amounts are microtokens.
    """
  }

  /// The ways to say who asks.
  private static let security: JSONObject = [
    "bearer": [
      "type": "http", "scheme": "bearer",
      "description": "A person's access token, or an API key.",
    ],
    "sessionToken": [
      "type": "http", "scheme": "bearer",
      "description": "The token of one session, from its validation or a heartbeat.",
    ],
    "refreshCookie": [
      "type": "apiKey", "in": "cookie", "name": "waypost_refresh",
      "description": "The login's cookie; with HTTPS its name is __Host-waypost_refresh.",
    ],
    "conversation": [
      "type": "apiKey", "in": "header", "name": "Waypost-Conversation",
      "description": "The secret of an anonymous conversation, told once at its first turn.",
    ],
    "signature": [
      "type": "apiKey", "in": "header", "name": "Stripe-Signature",
      "description": "A signature over time and body.",
    ],
    "client": [
      "type": "http", "scheme": "basic", "description": "An OAuth client's id and secret.",
    ],
  ]
}
