internal import Primitives

#if canImport(Glibc)
  internal import Glibc
#endif

/// Lines of a file or of standard input, read in blocks, so that memory stays constant.
public struct LineReader: ~Copyable {
  /// The longest line taken, in bytes; a longer one is handed over cut, marked as too long.
  public static let lineByteCountMax = 1_048_576

  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var at = 0
  private var isAtEnd = false

  /// Opens a path, or standard input for `-`.
  /// - Returns: nil where it cannot be read.
  public init?(path: String) {
    descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 { return nil }
  }

  deinit { if descriptor > 0 { close(descriptor) } }

  /// The next line without its end, or nil at the end.
  public mutating func next() -> (bytes: [UInt8], isTooLong: Bool)? {
    var line: [UInt8] = []
    var isTooLong = false
    while true {
      if at == buffer.count, !fill() {
        if line.isEmpty { return nil }
        return (line, isTooLong)
      }
      let end = buffer[at...].firstIndex(of: 0x0A)
      let part = buffer[at..<(end ?? buffer.count)]
      if line.count + part.count <= LineReader.lineByteCountMax {
        line.append(contentsOf: part)
      } else {
        isTooLong = true
      }
      at = (end ?? buffer.count - 1) + 1
      if end != nil {
        if line.last == 0x0D { line.removeLast() }
        return (line, isTooLong)
      }
    }
  }

  private mutating func fill() -> Bool {
    guard !isAtEnd else { return false }
    var block = [UInt8](repeating: 0, count: 1 << 18)
    let count = read(descriptor, &block, block.count)
    guard count > 0 else {
      isAtEnd = true
      return false
    }
    block.removeLast(block.count - count)
    buffer = block
    at = 0
    return true
  }
}
