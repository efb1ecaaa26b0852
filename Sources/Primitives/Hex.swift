/// Text forms of bytes.
public enum BytesText {
  /// Lower-case hexadecimal.
  public static func hex(_ bytes: some Sequence<UInt8>) -> String {
    var digits: [UInt8] = []
    digits.reserveCapacity(2 * bytes.underestimatedCount)
    writeHex(Array(bytes), into: &digits)
    return String(decoding: digits, as: UTF8.self)
  }

  /// Appends the lower-case hexadecimal digits to a buffer.
  public static func writeHex(_ bytes: [UInt8], into digits: inout [UInt8]) {
    for byte in bytes {
      let (high, low) = (byte >> 4, byte & 15)
      digits.append(high + (high < 10 ? 0x30 : 0x57))
      digits.append(low + (low < 10 ? 0x30 : 0x57))
    }
  }

  /// base64url without padding (RFC 4648 section 5, RFC 7515 appendix C).
  public static func base64url(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    var output: [UInt8] = []
    output.reserveCapacity((bytes.count * 4 + 2) / 3)
    var buffer: UInt32 = 0
    var bits = 0
    for byte in bytes {
      buffer = buffer << 8 | UInt32(byte)
      bits += 8
      while bits >= 6 {
        bits -= 6
        output.append(alphabet[Int(buffer >> UInt32(bits) & 63)])
      }
    }
    if bits > 0 { output.append(alphabet[Int(buffer << UInt32(6 - bits) & 63)]) }
    return String(decoding: output, as: UTF8.self)
  }

  /// Reads strict base64url: no padding, no white space, no stray bits at the end; else nil.
  public static func bytes(base64url text: some StringProtocol) -> [UInt8]? {
    var output: [UInt8] = []
    var buffer: UInt32 = 0
    var bits = 0
    for byte in text.utf8 {
      guard let value = value(of: byte) else { return nil }
      buffer = buffer << 6 | value
      bits += 6
      if bits >= 8 {
        bits -= 8
        output.append(UInt8(truncatingIfNeeded: buffer >> UInt32(bits)))
      }
    }
    guard bits < 6, buffer & ((1 << UInt32(bits)) - 1) == 0 else { return nil }
    return output
  }

  private static func value(of byte: UInt8) -> UInt32? {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - 65)
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - 71)
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte + 4)
    case UInt8(ascii: "-"): 62
    case UInt8(ascii: "_"): 63
    default: nil
    }
  }
}
