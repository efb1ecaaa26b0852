package import HTTPServer
package import Primitives

/// Refusals as problem+json (RFC 9457); the table of codes is in Primitives.
package enum Problem {
  /// The answer of a refusal.
  package static func response(_ refusal: Refusal, requestID: String, path: String) -> Response {
    var headers = [(name: "Content-Type", value: "application/problem+json")]
    if let seconds = refusal.retryAfterSeconds {
      headers.append((name: "Retry-After", value: String(seconds)))
    }
    if refusal.code == .forbidden, let scope = refusal.facts["scope"]?.string {
      // What a program would have to ask its person for (RFC 6750 section 3.1).
      let words = "Bearer error=\"insufficient_scope\", scope=\"\(scope)\""
      headers.append((name: "WWW-Authenticate", value: words))
    }
    if refusal.code.status == 401 {
      // Where nothing was sent there is no error to name (RFC 6750 section 3.1).
      let isSent = [.tokenInvalid, .tokenExpired].contains(refusal.code)
      let words = isSent ? "Bearer error=\"invalid_token\"" : "Bearer"
      headers.append((name: "WWW-Authenticate", value: words))
    }
    return Response(
      status: refusal.code.status, headers: headers,
      body: .bytes(body(refusal, requestID: requestID, path: path).bytes))
  }

  /// The document of a refusal.
  package static func body(_ refusal: Refusal, requestID: String?, path: String?) -> JSON {
    var object: JSONObject = [
      "type": .string("/problems#" + refusal.code.rawValue),
      "title": .string(refusal.code.rawValue.replacing("_", with: " ")),
      "status": .number(refusal.code.status), "detail": .string(refusal.detail),
      "code": .string(refusal.code.rawValue),
    ]
    if let path { object["instance"] = .string(path) }
    if let requestID { object["requestId"] = .string(requestID) }
    if !refusal.fields.isEmpty {
      object["errors"] = .array(
        refusal.fields.map { field in
          [
            "pointer": .string(field.pointer), "code": "invalid", "detail": .string(field.reason),
          ]
        })
    }
    for fact in refusal.facts.members where object[fact.key] == nil {
      object[fact.key] = fact.value
    }
    return .object(object)
  }

  /// The answer to a request that the server's front refuses, from its head or while its body comes.
  package static func front(status: Int, code: String, requestID: String) -> Response {
    let document: JSON = [
      "type": .string("/problems#" + code), "title": .string(code.replacing("_", with: " ")),
      "status": .number(status), "detail": .string(details[code] ?? "Send a sound request."),
      "code": .string(code), "requestId": .string(requestID),
    ]
    var headers = [(name: "Content-Type", value: "application/problem+json")]
    if status == 401 { headers.append((name: "WWW-Authenticate", value: "Bearer")) }
    if status == 503 { headers.append((name: "Retry-After", value: "1")) }
    return Response(status: status, headers: headers, body: .bytes(document.bytes))
  }

  private static let details = [
    "malformed_request": "The request is not well-formed, or can be read in two ways.",
    "target_too_long": "The address is too long.",
    "head_too_large": "The headers are too many or too long.",
    "version_not_supported": "Speak HTTP/1.0 or HTTP/1.1.",
    "body_too_large": "The body is larger than this route takes.",
    "too_many_bodies": "The server takes in as much as it can; send it again in a moment.",
    "unauthenticated": "Sign in first, then send a body of this size.",
    "forbidden": "A body of this size is for other accounts.",
    "token_invalid": "The access token is not valid.",
    "token_expired": "The access token has expired.",
  ]
}

extension Response {
  /// A JSON answer.
  package static func json(_ value: JSON, status: Int = 200) -> Response {
    Response(
      status: status, headers: [(name: "Content-Type", value: "application/json")],
      body: .bytes(value.bytes))
  }

  /// An answer without a body.
  package static let noContent = Response(status: 204)
}
