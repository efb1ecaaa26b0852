extension JSON {
  /// The value as compact JSON text in UTF-8, members in their order.
  public var bytes: [UInt8] {
    var output: [UInt8] = []
    write(into: &output, sorted: false)
    return output
  }

  /// The value as text.
  public var text: String { String(decoding: bytes, as: UTF8.self) }

  /// The canonical form of RFC 8785: keys sorted by UTF-16 units, numbers as ECMAScript prints them.
  public var canonicalBytes: [UInt8] {
    var output: [UInt8] = []
    write(into: &output, sorted: true)
    return output
  }

  /// Appends the compact text to a buffer.
  public func write(into output: inout [UInt8], sorted: Bool = false) {
    switch self {
    case .null: output.append(contentsOf: "null".utf8)
    case .bool(let value): output.append(contentsOf: (value ? "true" : "false").utf8)
    case .int(let value): output.append(contentsOf: String(value).utf8)
    case .double(let value): output.append(contentsOf: JSON.format(value).utf8)
    case .string(let value): JSON.write(value, into: &output)
    case .raw(let bytes): output.append(contentsOf: bytes)
    case .array(let values):
      output.append(UInt8(ascii: "["))
      for (index, value) in values.enumerated() {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        value.write(into: &output, sorted: sorted)
      }
      output.append(UInt8(ascii: "]"))
    case .object(let object):
      let members =
        sorted
        ? object.members.sorted { $0.key.utf16.lexicographicallyPrecedes($1.key.utf16) }
        : object.members
      output.append(UInt8(ascii: "{"))
      for (index, member) in members.enumerated() {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        JSON.write(member.key, into: &output)
        output.append(UInt8(ascii: ":"))
        member.value.write(into: &output, sorted: sorted)
      }
      output.append(UInt8(ascii: "}"))
    }
  }

  /// Appends a quoted, escaped string.
  static func write(_ text: String, into output: inout [UInt8]) {
    output.append(0x22)
    var text = text
    text.withUTF8 { utf8 in
      for byte in utf8 {
        switch byte {
        case 0x22: output.append(contentsOf: "\\\"".utf8)
        case 0x5C: output.append(contentsOf: "\\\\".utf8)
        case 0x0A: output.append(contentsOf: "\\n".utf8)
        case 0x0D: output.append(contentsOf: "\\r".utf8)
        case 0x09: output.append(contentsOf: "\\t".utf8)
        case 0x08: output.append(contentsOf: "\\b".utf8)
        case 0x0C: output.append(contentsOf: "\\f".utf8)
        case 0..<0x20:
          let digits = Array("0123456789abcdef".utf8)
          output.append(contentsOf: "\\u00".utf8)
          output.append(digits[Int(byte >> 4)])
          output.append(digits[Int(byte & 15)])
        default: output.append(byte)
        }
      }
    }
    output.append(0x22)
  }

  /// A number as ECMAScript's Number::toString prints it (RFC 8785 section 3.2.2.3).
  static func format(_ value: Double) -> String {
    if value == 0 { return "0" }
    if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
    // Swift prints the shortest digits that read back, as ECMAScript does; only the layout differs.
    var text = "\(abs(value))"
    var exponent = 0
    if let mark = text.firstIndex(of: "e") {
      exponent = Int(text[text.index(after: mark)...]) ?? 0
      text = String(text[..<mark])
    }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    var digits = String(parts[0]) + (parts.count > 1 && parts[1] != "0" ? String(parts[1]) : "")
    var point = parts[0].count + exponent
    while digits.hasPrefix("0"), digits.count > 1 {
      digits.removeFirst()
      point -= 1
    }
    while digits.hasSuffix("0"), digits.count > 1 { digits.removeLast() }
    return (value < 0 ? "-" : "") + layout(digits: digits, point: point)
  }

  private static func layout(digits: String, point: Int) -> String {
    let count = digits.count
    if point > 0, point <= 21 {
      if count <= point { return digits + String(repeating: "0", count: point - count) }
      return digits.prefix(point) + "." + digits.dropFirst(point)
    }
    if point > -6, point <= 0 { return "0." + String(repeating: "0", count: -point) + digits }
    let exponent = point - 1
    let mantissa = count == 1 ? digits : digits.prefix(1) + "." + digits.dropFirst()
    return mantissa + "e" + (exponent < 0 ? "-" : "+") + String(abs(exponent))
  }
}
