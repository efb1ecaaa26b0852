/// Why a text is not JSON as we accept it, with the byte offset where that was seen.
public struct JSONError: Error, Equatable, Sendable {
  /// What is wrong.
  public enum Reason: String, Sendable {
    case unexpectedEnd, unexpectedCharacter, badNumber, badEscape, badUTF8, controlCharacter
    case duplicateKey, tooDeep, trailingText
  }
  /// What is wrong.
  public let reason: Reason
  /// Where, in bytes from the start.
  public let offset: Int
}

extension JSON {
  /// Reads one JSON text (RFC 8259), strictly: UTF-8 only, no duplicate keys, nothing after the value.
  ///
  /// - Parameter depthMax: Arrays and objects inside each other.
  /// - Throws: `JSONError` with the byte offset.
  public static func parse(_ bytes: [UInt8], depthMax: Int = 64) throws(JSONError) -> JSON {
    var parser = JSONParser(bytes: bytes, depthMax: depthMax)
    return try parser.whole()
  }

  /// Reads one JSON text.
  public static func parse(_ text: String, depthMax: Int = 64) throws(JSONError) -> JSON {
    try parse(Array(text.utf8), depthMax: depthMax)
  }
}

/// A recursive-descent reader over bytes; the depth is bounded, so the stack is too.
struct JSONParser {
  private let bytes: [UInt8]
  private let depthMax: Int
  private var at = 0

  init(bytes: [UInt8], depthMax: Int) {
    self.bytes = bytes
    self.depthMax = depthMax
  }

  mutating func whole() throws(JSONError) -> JSON {
    let value = try self.value(depth: 0)
    skipSpace()
    guard at == bytes.count else { throw error(.trailingText) }
    return value
  }

  private func error(_ reason: JSONError.Reason) -> JSONError {
    JSONError(reason: reason, offset: at)
  }

  private mutating func skipSpace() {
    while at < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[at]) { at += 1 }
  }

  private mutating func value(depth: Int) throws(JSONError) -> JSON {
    skipSpace()
    guard at < bytes.count else { throw error(.unexpectedEnd) }
    switch bytes[at] {
    case UInt8(ascii: "{"): return try object(depth: depth + 1)
    case UInt8(ascii: "["): return try array(depth: depth + 1)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return try number()
    }
  }

  private mutating func word(_ text: StaticString, _ value: JSON) throws(JSONError) -> JSON {
    let count = text.utf8CodeUnitCount
    guard at + count <= bytes.count else { throw error(.unexpectedEnd) }
    for index in 0..<count where bytes[at + index] != text.utf8Start[index] {
      throw error(.unexpectedCharacter)
    }
    at += count
    return value
  }

  private mutating func array(depth: Int) throws(JSONError) -> JSON {
    guard depth <= depthMax else { throw error(.tooDeep) }
    at += 1
    var values: [JSON] = []
    skipSpace()
    if take("]") { return .array(values) }
    while true {
      values.append(try value(depth: depth))
      skipSpace()
      if take("]") { return .array(values) }
      guard take(",") else { throw missing() }
    }
  }

  private mutating func object(depth: Int) throws(JSONError) -> JSON {
    guard depth <= depthMax else { throw error(.tooDeep) }
    at += 1
    var object = JSONObject()
    var seen: Set<String> = []
    skipSpace()
    if take("}") { return .object(object) }
    while true {
      skipSpace()
      guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { throw missing() }
      let key = try string()
      guard seen.insert(key).inserted else { throw error(.duplicateKey) }
      skipSpace()
      guard take(":") else { throw missing() }
      object.append(new: key, try value(depth: depth))
      skipSpace()
      if take("}") { return .object(object) }
      guard take(",") else { throw missing() }
    }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard at < bytes.count, bytes[at] == UInt8(ascii: character) else { return false }
    at += 1
    return true
  }

  private func missing() -> JSONError {
    error(at < bytes.count ? .unexpectedCharacter : .unexpectedEnd)
  }

  private mutating func number() throws(JSONError) -> JSON {
    let start = at
    var isInteger = true
    _ = take("-")
    let digitsStart = at
    skipDigits()
    let digitCount = at - digitsStart
    guard digitCount > 0 else { throw missing() }
    guard digitCount == 1 || bytes[digitsStart] != UInt8(ascii: "0") else {
      throw error(.badNumber)
    }
    if take(".") {
      isInteger = false
      guard skipDigits() > 0 else { throw error(.badNumber) }
    }
    if take("e") || take("E") {
      isInteger = false
      if !take("+") { _ = take("-") }
      guard skipDigits() > 0 else { throw error(.badNumber) }
    }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    if isInteger, let value = Int64(text) { return .int(value) }
    guard let value = Double(text), value.isFinite else { throw error(.badNumber) }
    return .double(value)
  }

  @discardableResult
  private mutating func skipDigits() -> Int {
    let start = at
    while at < bytes.count, bytes[at] >= 0x30, bytes[at] <= 0x39 { at += 1 }
    return at - start
  }

  private mutating func string() throws(JSONError) -> String {
    at += 1
    let start = at
    // The common case, no escape, is one validated copy.
    while at < bytes.count, bytes[at] != 0x22, bytes[at] != 0x5C, bytes[at] >= 0x20 { at += 1 }
    guard at < bytes.count else { throw error(.unexpectedEnd) }
    if bytes[at] == 0x22 {
      defer { at += 1 }
      return try validated(bytes[start..<at])
    }
    var buffer = Array(bytes[start..<at])
    while true {
      guard at < bytes.count else { throw error(.unexpectedEnd) }
      let byte = bytes[at]
      at += 1
      switch byte {
      case 0x22: return try validated(buffer[...])
      case 0x5C: try escape(into: &buffer)
      case 0..<0x20: throw error(.controlCharacter)
      default: buffer.append(byte)
      }
    }
  }

  private func validated(_ slice: ArraySlice<UInt8>) throws(JSONError) -> String {
    guard let text = String(validating: slice, as: UTF8.self) else { throw error(.badUTF8) }
    return text
  }

  private mutating func escape(into buffer: inout [UInt8]) throws(JSONError) {
    guard at < bytes.count else { throw error(.unexpectedEnd) }
    let byte = bytes[at]
    at += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): buffer.append(byte)
    case UInt8(ascii: "b"): buffer.append(0x08)
    case UInt8(ascii: "f"): buffer.append(0x0C)
    case UInt8(ascii: "n"): buffer.append(0x0A)
    case UInt8(ascii: "r"): buffer.append(0x0D)
    case UInt8(ascii: "t"): buffer.append(0x09)
    case UInt8(ascii: "u"):
      var code = UInt32(try hex4())
      if (0xD800..<0xDC00).contains(code) {
        guard take("\\"), take("u") else { throw error(.badEscape) }
        let low = UInt32(try hex4())
        guard (0xDC00..<0xE000).contains(low) else { throw error(.badEscape) }
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw error(.badEscape) }
      buffer.append(contentsOf: String(Character(scalar)).utf8)
    default: throw error(.badEscape)
    }
  }

  private mutating func hex4() throws(JSONError) -> UInt16 {
    guard at + 4 <= bytes.count else { throw error(.unexpectedEnd) }
    var value: UInt16 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(bytes[at])).hexDigitValue, bytes[at] < 0x80 else {
        throw error(.badEscape)
      }
      value = value << 4 | UInt16(digit)
      at += 1
    }
    return value
  }
}
