package import Primitives

/// A JSON Schema (2020-12, as OpenAPI 3.1 takes it), written short beside the routes it describes.
package struct Schema: Sendable, Equatable {
  /// The keywords in order.
  package let keywords: JSONObject

  /// The schema as it stands in the document.
  package var json: JSON { .object(keywords) }

  init(_ keywords: JSONObject) { self.keywords = keywords }

  /// Any value.
  static let any = Schema([:])
  static let string = Schema(["type": "string"])
  static let boolean = Schema(["type": "boolean"])
  static let number = Schema(["type": "number"])
  /// A whole number of 64 bits.
  static let integer = Schema(["type": "integer", "format": "int64"])
  /// A whole number from 0.
  static let count = Schema(["type": "integer", "minimum": 0, "format": "int64"])
  /// An object of which nothing more is promised.
  static let document = Schema(["type": "object"])
  /// A moment, RFC 3339 in UTC.
  static let moment = Schema(["type": "string", "format": "date-time"])
  /// An id of the record: 128 bits in Crockford's base 32.
  static let id = Schema(["type": "string", "pattern": "^[0-7][0-9a-hjkmnp-tv-z]{25}$"])
  /// An id that a provider chose.
  static let slug = Schema(["type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,127}$"])
  /// Millionths of a token, exact in any JSON reader.
  static let microtokens = Schema([
    "type": "integer", "minimum": 0, "maximum": 1_000_000_000_000_000, "format": "int64",
  ])

  /// Text of so many characters.
  static func text(_ counts: ClosedRange<Int>, pattern: String? = nil) -> Schema {
    var keywords: JSONObject = ["type": "string"]
    if counts.lowerBound > 0 { keywords["minLength"] = .number(counts.lowerBound) }
    keywords["maxLength"] = .number(counts.upperBound)
    if let pattern { keywords["pattern"] = .string(pattern) }
    return Schema(keywords)
  }

  static func integer(_ range: ClosedRange<Int64>) -> Schema {
    Schema([
      "type": "integer", "minimum": .int(range.lowerBound), "maximum": .int(range.upperBound),
    ])
  }

  static func number(_ range: ClosedRange<Double>) -> Schema {
    Schema([
      "type": "number", "minimum": .double(range.lowerBound), "maximum": .double(range.upperBound),
    ])
  }

  /// One of some words.
  static func one(of words: String...) -> Schema {
    Schema(["type": "string", "enum": .strings(words)])
  }

  static func list(_ element: Schema, _ counts: ClosedRange<Int>? = nil, isSet: Bool = false)
    -> Schema
  {
    var keywords: JSONObject = ["type": "array", "items": element.json]
    if let counts {
      if counts.lowerBound > 0 { keywords["minItems"] = .number(counts.lowerBound) }
      keywords["maxItems"] = .number(counts.upperBound)
    }
    if isSet { keywords["uniqueItems"] = true }
    return Schema(keywords)
  }

  /// An object that may have further members, as answers do.
  ///
  /// - Parameter members: By name; a name that ends in `?` may be absent.
  static func object(_ members: KeyValuePairs<String, Schema>) -> Schema {
    shape(members, isClosed: false)
  }

  /// An object without further members, as bodies of requests are.
  static func closed(_ members: KeyValuePairs<String, Schema>) -> Schema {
    shape(members, isClosed: true)
  }

  private static func shape(_ members: KeyValuePairs<String, Schema>, isClosed: Bool) -> Schema {
    var properties = JSONObject()
    var required: [String] = []
    for (name, schema) in members {
      let isOptional = name.hasSuffix("?")
      let plain = isOptional ? String(name.dropLast()) : name
      properties[plain] = schema.json
      if !isOptional { required.append(plain) }
    }
    var keywords: JSONObject = ["type": "object", "properties": .object(properties)]
    if !required.isEmpty { keywords["required"] = .strings(required) }
    if isClosed { keywords["additionalProperties"] = false }
    return Schema(keywords)
  }

  /// An object whose members all have one shape.
  static func map(_ value: Schema) -> Schema {
    Schema(["type": "object", "additionalProperties": value.json])
  }

  /// A shared schema of the document.
  static func ref(_ name: String) -> Schema {
    Schema(["$ref": .string("#/components/schemas/" + name)])
  }

  static func any(of schemas: Schema...) -> Schema {
    Schema(["anyOf": .array(schemas.map(\.json))])
  }

  /// What meets every one of some schemas.
  static func all(of schemas: Schema...) -> Schema {
    Schema(["allOf": .array(schemas.map(\.json))])
  }

  /// The same, or null.
  var orNull: Schema {
    guard case .string(let type)? = keywords["type"] else {
      return Schema(["anyOf": [json, ["type": "null"]]])
    }
    var wider = keywords
    wider["type"] = [.string(type), "null"]
    if let words = wider["enum"]?.array { wider["enum"] = .array(words + [.null]) }
    return Schema(wider)
  }

  /// The same with a sentence on what it means.
  func about(_ words: String) -> Schema {
    var described = keywords
    described["description"] = .string(words)
    return Schema(described)
  }

  /// The same with what holds where nothing is sent.
  func otherwise(_ value: JSON) -> Schema {
    var described = keywords
    described["default"] = value
    return Schema(described)
  }
}
