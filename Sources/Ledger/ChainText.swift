internal import Primitives

/// The text that a transfer's hash is made of, written at one go: every hold passes here.
///
/// It lives in `ChainRow.hash`, in room that suffices for the longest row; what would not fit stops the program, as it
/// must neither be cut nor written behind the room.
struct ChainText: ~Copyable {
  private let room: UnsafeMutableRawBufferPointer
  /// Bytes written.
  private(set) var count = 0

  init(in room: UnsafeMutableRawBufferPointer) { self.room = room }

  /// Bytes as they are.
  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    require(bytes.count)
    UnsafeMutableRawBufferPointer(rebasing: room[count..<count + bytes.count]).copyMemory(
      from: bytes)
    count += bytes.count
  }

  /// A literal.
  mutating func add(_ literal: StaticString) {
    literal.withUTF8Buffer { add(UnsafeRawBufferPointer($0)) }
  }

  /// A member's name with what is around it, and a number or `null`.
  mutating func add(_ name: StaticString, _ number: Int64?) {
    add(name)
    guard let number else { return add("null") }
    if number < 0 { add("-") }
    var digitCount = 1
    var rest = number.magnitude / 10
    while rest > 0 {
      digitCount += 1
      rest /= 10
    }
    require(digitCount)
    rest = number.magnitude
    for place in stride(from: count + digitCount - 1, through: count, by: -1) {
      room[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    }
    count += digitCount
  }

  /// A member's name, and lower-case hexadecimal digits in quotes or `null`.
  mutating func add(_ name: StaticString, hex value: [UInt8]?) {
    add(name)
    guard let value else { return add("null") }
    add("\"")
    require(2 * value.count)
    for byte in value {
      room[count] = ChainText.digit(byte >> 4)
      room[count + 1] = ChainText.digit(byte & 15)
      count += 2
    }
    add("\"")
  }

  /// A member's name and a JSON string.
  mutating func add(_ name: StaticString, text: String) {
    add(name)
    if text.utf8.allSatisfy({ (0x20...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C }) {
      add("\"")
      var text = text
      text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
      return add("\"")
    }
    var escaped: [UInt8] = []
    JSON.string(text).write(into: &escaped)
    escaped.withUnsafeBytes { add($0) }
  }

  private func require(_ byteCount: Int) {
    precondition(byteCount <= room.count - count, "a transfer's text is longer than its room")
  }

  private static func digit(_ value: UInt8) -> UInt8 { value + (value < 10 ? 0x30 : 0x57) }
}
