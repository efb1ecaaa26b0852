internal import Primitives

/// Refusals in the form of the document, and the headers of every answer.
enum CommonAnswers {
  /// What the server's front refuses before a route is known.
  static let front: [(Int, String)] = [
    (400, "malformed_request"), (414, "target_too_long"), (431, "head_too_large"),
    (503, "too_many_bodies"),
  ]

  /// Statuses that nearly every route has with the same codes, named so that they stand once.
  private static let shared: [(name: String, status: Int, codes: [String])] = [
    ("BodyTooLarge", 413, ["body_too_large"]), ("TargetTooLong", 414, ["target_too_long"]),
    ("TooManyRequests", 429, ["rate_limited"]), ("HeadTooLarge", 431, ["head_too_large"]),
    ("Internal", 500, ["internal"]),
    ("Unavailable", 503, ["storage_unavailable", "shutting_down", "too_many_bodies"]),
  ]

  /// The answer of one status with these codes.
  static func problem(_ status: Int, _ codes: [String]) -> JSON {
    if let common = shared.first(where: { $0.status == status && $0.codes == codes }) {
      return ["$ref": .string("#/components/responses/" + common.name)]
    }
    return whole(status, codes)
  }

  static var json: JSONObject {
    var all = JSONObject()
    for answer in shared { all[answer.name] = whole(answer.status, answer.codes) }
    return all
  }

  private static func whole(_ status: Int, _ codes: [String]) -> JSON {
    let one = Schema(["properties": ["code": ["enum": .strings(codes)]]])
    var headers: JSONObject = ["X-Request-Id": ["$ref": "#/components/headers/X-Request-Id"]]
    if [409, 429, 503].contains(status) {
      headers["Retry-After"] = ["$ref": "#/components/headers/Retry-After"]
    }
    return [
      "description": .string("Refused: " + codes.joined(separator: ", ") + "."),
      "headers": .object(headers),
      "content": [
        "application/problem+json": ["schema": Schema.all(of: .ref("Problem"), one).json]
      ],
    ]
  }

  static let headers: JSONObject = [
    "X-Request-Id": header(.string, "The id that logs know the request by."),
    "RateLimit": header(
      .string, "What is left of the caller's allowance: `\"default\";r=42;t=17`."),
    "RateLimit-Policy": header(.string, "The allowance: `\"default\";q=600;w=60`."),
    "Retry-After": header(.count, "Seconds to wait before the next try."),
    "Idempotent-Replayed": header(
      .one(of: "true"), "There where the answer is that of the first request with this key."),
  ]

  private static func header(_ schema: Schema, _ words: String) -> JSON {
    ["description": .string(words), "schema": schema.json]
  }
}
