internal import Primitives

/// The text that a transfer's hash is made of, written at one go into room that is made once.
struct ChainText {
  private(set) var bytes: [UInt8]

  /// - Parameter capacity: Bytes that will suffice; more only cost time.
  init(capacity: Int) {
    bytes = []
    bytes.reserveCapacity(capacity)
  }

  /// Bytes as they are.
  mutating func add(_ more: [UInt8]) { bytes.append(contentsOf: more) }

  /// A literal.
  mutating func add(_ literal: StaticString) {
    literal.withUTF8Buffer { bytes.append(contentsOf: $0) }
  }

  /// A member's name with what is around it, and a number or `null`.
  mutating func add(_ name: StaticString, _ number: Int64?) {
    add(name)
    guard let number else { return add("null") }
    if number < 0 { bytes.append(UInt8(ascii: "-")) }
    // Twenty digits are enough for 64 bits; they come from the last one on.
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
      var first = digits.count
      var rest = number.magnitude
      repeat {
        first -= 1
        digits[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      } while rest > 0
      bytes.append(contentsOf: UnsafeBufferPointer(rebasing: digits[first...]))
    }
  }

  /// A member's name, and lower-case hexadecimal digits in quotes or `null`.
  mutating func add(_ name: StaticString, hex value: [UInt8]?) {
    add(name)
    guard let value else { return add("null") }
    add("\"")
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 2 * value.count) { digits in
      for (index, byte) in value.enumerated() {
        digits[2 * index] = ChainText.digit(byte >> 4)
        digits[2 * index + 1] = ChainText.digit(byte & 15)
      }
      bytes.append(contentsOf: UnsafeBufferPointer(digits))
    }
    add("\"")
  }

  /// A member's name and a JSON string.
  mutating func add(_ name: StaticString, text: String) {
    add(name)
    JSON.string(text).write(into: &bytes)
  }

  private static func digit(_ value: UInt8) -> UInt8 { value + (value < 10 ? 0x30 : 0x57) }
}
