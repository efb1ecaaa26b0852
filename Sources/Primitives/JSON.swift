/// A JSON value that keeps what JSON says: the order of members, and integers apart from decimals.
///
/// Integers up to 64 bits stay exact, which money and microtokens need; everything else is a Double.
public enum JSON: Sendable, Equatable {
  /// `null`
  case null
  /// `true` or `false`
  case bool(Bool)
  /// A number written without fraction or exponent that fits 64 bits.
  case int(Int64)
  /// Any other number; always finite.
  case double(Double)
  /// Text, valid Unicode.
  case string(String)
  /// Values in order.
  case array([JSON])
  /// Members in order, keys unique.
  case object(JSONObject)
  /// Bytes that are JSON already: spliced into the output as they are, never looked into.
  case raw([UInt8])
}

/// The members of a JSON object in the order they were written. Look-up is linear: objects are small.
public struct JSONObject: Sendable, Equatable, ExpressibleByDictionaryLiteral {
  /// One key and its value.
  public struct Member: Sendable, Equatable {
    /// The key, unique in its object.
    public let key: String
    /// The value.
    public var value: JSON
  }

  /// All members in order.
  public private(set) var members: [Member]

  /// An empty object.
  public init() { members = [] }

  /// An object of the given pairs; a later pair of the same key replaces the earlier one.
  /// A literal in code.
  public init(dictionaryLiteral elements: (String, JSON)...) {
    members = []
    for (key, value) in elements { self[key] = value }
  }

  /// The value of a key, or nil where the key is absent (which is not `null`). Setting nil removes it.
  public subscript(key: String) -> JSON? {
    get { members.first { $0.key == key }?.value }
    set {
      let place = members.firstIndex { $0.key == key }
      switch (place, newValue) {
      case (let place?, let value?): members[place].value = value
      case (let place?, nil): members.remove(at: place)
      case (nil, let value?): members.append(Member(key: key, value: value))
      case (nil, nil): break
      }
    }
  }

  /// Adds a member that the caller knows to be new, without the look-up.
  package mutating func append(new key: String, _ value: JSON) {
    members.append(Member(key: key, value: value))
  }

  /// The keys in order.
  public var keys: [String] { members.map(\.key) }

  /// Whether there is no member.
  public var isEmpty: Bool { members.isEmpty }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByFloatLiteral
{
  /// A literal in code.
  public init(stringLiteral value: String) { self = .string(value) }
  /// A literal in code.
  public init(integerLiteral value: Int64) { self = .int(value) }
  /// A literal in code.
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  /// A literal in code.
  public init(floatLiteral value: Double) { self = .double(value) }
  /// A literal in code.
  public init(arrayLiteral elements: JSON...) { self = .array(elements) }
  /// A literal in code.
  public init(dictionaryLiteral elements: (String, JSON)...) {
    var object = JSONObject()
    for (key, value) in elements { object[key] = value }
    self = .object(object)
  }

  /// The member of an object, or nil where this is no object or has no such key.
  public subscript(key: String) -> JSON? {
    if case .object(let object) = self { object[key] } else { nil }
  }

  /// The text, where this is text.
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  /// The integer, where this is one, or a decimal with no fraction below 2^53.
  public var int: Int64? {
    switch self {
    case .int(let value): value
    case .double(let value) where value == value.rounded() && abs(value) < 0x1p53: Int64(value)
    default: nil
    }
  }
  /// The number, where this is one.
  public var double: Double? {
    switch self {
    case .int(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }
  /// The truth value, where this is one.
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  /// The elements, where this is an array.
  public var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
  /// The members, where this is an object.
  public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }

  /// `null` for nil, else the text.
  public static func optional(_ value: String?) -> JSON { value.map(JSON.string) ?? .null }
  /// `null` for nil, else the integer.
  public static func optional(_ value: Int?) -> JSON { value.map { .int(Int64($0)) } ?? .null }
  /// An array of texts.
  public static func strings(_ values: [String]) -> JSON { .array(values.map(JSON.string)) }
  /// An integer of any width.
  public static func number(_ value: Int) -> JSON { .int(Int64(value)) }
}
