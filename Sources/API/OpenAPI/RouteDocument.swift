internal import Primitives

/// What the API's document says of one route, beside its method, path and summary.
package struct RouteDocument: Sendable {
  /// The chapter of the document.
  package enum Chapter: String, Sendable, CaseIterable {
    case search = "Search"
    case catalog = "Catalog"
    case chat = "Chat"
    case accounts = "Accounts"
    case tokens = "Tokens"
    case sessions = "Sessions"
    case providers = "Providers"
    case payments = "Payments"
    case signIn = "Sign-in for others"
    case admin = "Administration"
    case system = "System"
  }

  /// Who may call, by what is sent.
  package enum Caller: String, Sendable {
    /// Nothing need be sent.
    case anyone
    /// A person's access token.
    case user
    /// A provider's person, or its API key.
    case provider
    case admin
    /// A session token, or the launch token of its first heartbeat.
    case session
    /// The cookie of a login.
    case refresh
    /// The secret of an anonymous conversation.
    case conversation
    /// A signature over the body.
    case signature
    /// An OAuth client.
    case client
  }

  /// What a repeated request does.
  package enum Repeats: Sendable, Equatable {
    /// A read, or a write that says the same again.
    case harmless
    /// `Idempotency-Key` is required.
    case key
    /// It counts once by the id that is named.
    case once(by: String)
    /// It has another effect each time.
    case again
  }

  package struct Parameter: Sendable {
    let name: String
    let place: String
    let schema: Schema
    let isRequired: Bool

    static func query(_ name: String, _ schema: Schema, isRequired: Bool = false) -> Parameter {
      Parameter(name: name, place: "query", schema: schema, isRequired: isRequired)
    }

    static func header(_ name: String, _ schema: Schema) -> Parameter {
      Parameter(name: name, place: "header", schema: schema, isRequired: false)
    }
  }

  package struct Body: Sendable {
    let type: String
    let schema: Schema
    let isRequired: Bool

    static func json(_ schema: Schema) -> Body {
      Body(type: "application/json", schema: schema, isRequired: true)
    }

    /// A JSON body that may be left out: every field has a default.
    static func optional(_ schema: Schema) -> Body {
      Body(type: "application/json", schema: schema, isRequired: false)
    }

    static func form(_ schema: Schema) -> Body {
      Body(type: "application/x-www-form-urlencoded", schema: schema, isRequired: true)
    }

    static func other(_ type: String, _ schema: Schema = .string) -> Body {
      Body(type: type, schema: schema, isRequired: true)
    }
  }

  package struct Answer: Sendable {
    let status: Int
    let words: String
    let contents: [(type: String, schema: Schema)]

    static func json(_ schema: Schema, _ words: String, status: Int = 200) -> Answer {
      Answer(status: status, words: words, contents: [("application/json", schema)])
    }

    static func other(_ type: String, _ words: String, status: Int = 200) -> Answer {
      Answer(status: status, words: words, contents: [(type, .string)])
    }

    /// Server-sent events.
    static func events(_ words: String) -> Answer {
      let event = Schema.object(["id?": .string, "event?": .string, "data?": .string])
      return Answer(
        status: 200, words: words, contents: [("text/event-stream; charset=utf-8", event)])
    }

    static func empty(_ words: String, status: Int = 204) -> Answer {
      Answer(status: status, words: words, contents: [])
    }
  }

  /// Where an answer leads: another route, with values out of the answer (OpenAPI's runtime expressions).
  package struct Lead: Sendable {
    /// Method and path of that route.
    package let key: String
    let path: [String: String]
    let body: [String: String]

    /// - Parameters:
    ///   - path: Values of the path's names, such as `$response.body#/id`.
    ///   - body: Values of fields of its body.
    static func to(
      _ key: String, path: [String: String] = [:], body: [String: String] = [:]
    ) -> Lead {
      Lead(key: key, path: path, body: body)
    }
  }

  /// Method and path: `GET /v1/services/{id}`.
  package let key: String
  package let chapter: Chapter
  package let callers: [Caller]
  /// The scopes of which one lets a key or a third party's token in; empty where the route has none.
  let scopes: [String]
  let words: String
  let parameters: [Parameter]
  let path: [String: Schema]
  let body: Body?
  let answers: [Answer]
  /// Codes that are not every route's.
  let problems: [ProblemCode]
  /// Codes that are no `ProblemCode` of this build, by status: a document may come before its route.
  let further: [(status: Int, code: String)]
  package let repeats: Repeats
  /// Where its answer leads, beside the routes of what a `POST` or `PUT` makes.
  package let leads: [Lead]

  /// - Parameters:
  ///   - key: Method and path as the route table has them.
  ///   - callers: Any one of them will do.
  ///   - words: A sentence or two, where the summary does not say it all.
  ///   - path: Schemas of the path's names; text where one is not named.
  init(
    _ key: String, _ chapter: Chapter, _ callers: [Caller] = [.anyone], scopes: [String] = [],
    words: String = "", path: [String: Schema] = [:], parameters: [Parameter] = [],
    body: Body? = nil, answers: [Answer], problems: [ProblemCode] = [],
    further: [(status: Int, code: String)] = [], repeats: Repeats = .harmless,
    leads: [Lead] = []
  ) {
    self.key = key
    self.chapter = chapter
    self.callers = callers
    self.scopes = scopes
    self.words = words
    self.path = path
    self.parameters = parameters
    self.body = body
    self.answers = answers
    self.problems = problems
    self.further = further
    self.repeats = repeats
    self.leads = leads
  }

  /// Whether somebody must have said who they are before anything else is looked at.
  package var needsCredentials: Bool {
    callers.allSatisfy { [.user, .provider, .admin, .session].contains($0) }
  }

  /// Whether the body is one JSON value that the router may look at; of a signed one the signature is checked first.
  package var takesJSON: Bool {
    body?.type == "application/json" && !callers.contains(.signature)
  }
}
