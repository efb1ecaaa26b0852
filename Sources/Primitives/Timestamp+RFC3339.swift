extension Timestamp {
  /// Reads RFC 3339 date-times (`2026-11-20T18:05:00Z`, `…:00.250+01:00`), or nil where it is none of the calendar.
  ///
  /// The fraction is cut to milliseconds. A leap second is no moment of this count.
  public init?(rfc3339 text: String) {
    let bytes = Array(text.utf8)
    guard (20...40).contains(bytes.count), bytes[10] == UInt8(ascii: "T"),
      bytes[13] == UInt8(ascii: ":"), bytes[16] == UInt8(ascii: ":"),
      let day = Timestamp.parse(date: String(decoding: bytes[..<10], as: UTF8.self)),
      let hour = Timestamp.number(bytes[11..<13], below: 24),
      let minute = Timestamp.number(bytes[14..<16], below: 60),
      let second = Timestamp.number(bytes[17..<19], below: 60)
    else { return nil }
    var rest = bytes[19...]
    var fraction: Int64 = 0
    if rest.first == UInt8(ascii: ".") {
      let digits = rest.dropFirst().prefix { (0x30...0x39).contains($0) }
      guard !digits.isEmpty else { return nil }
      for place in 0..<3 {
        let digit = digits.dropFirst(place).first ?? 0x30
        fraction = fraction * 10 + Int64(digit - 0x30)
      }
      rest = rest.dropFirst(1 + digits.count)
    }
    guard let offset = Timestamp.offset(Array(rest)) else { return nil }
    let ofDay = (hour * 60 + minute - offset) * 60 + second
    self = day + (ofDay * 1_000 + fraction)
  }

  /// Minutes east of UTC: `Z`, or `+01:00`.
  private static func offset(_ bytes: [UInt8]) -> Int64? {
    if bytes == [UInt8(ascii: "Z")] { return 0 }
    guard bytes.count == 6, bytes[3] == UInt8(ascii: ":"),
      bytes[0] == UInt8(ascii: "+") || bytes[0] == UInt8(ascii: "-"),
      let hours = number(bytes[1..<3], below: 24), let minutes = number(bytes[4..<6], below: 60)
    else { return nil }
    return (bytes[0] == UInt8(ascii: "-") ? -1 : 1) * (hours * 60 + minutes)
  }

  private static func number(_ digits: ArraySlice<UInt8>, below limit: Int64) -> Int64? {
    guard digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    let value = digits.reduce(0) { $0 * 10 + Int64($1 - 0x30) }
    return value < limit ? value : nil
  }
}
