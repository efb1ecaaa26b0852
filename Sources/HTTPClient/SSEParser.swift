/// Reads server-sent events from bytes as they come (HTML Standard, "Server-sent events").
///
/// Lines end in CR, LF or CRLF only; UTF-8 is decoded a line at a time, so a split character is no problem.
public struct SSEParser: Sendable {
  /// One event.
  public struct Event: Sendable, Equatable {
    /// The type; empty for the default.
    public let name: String
    /// The data lines, joined by line feeds.
    public let data: String
  }

  /// A line that is too long ends the stream.
  public static let lineByteCountMax = 1_048_576

  private var line: [UInt8] = []
  private var name = ""
  private var data: [String] = []
  private var isAfterCR = false
  private var isFirstLine = true
  /// Whether a line was longer than the limit.
  public private(set) var isOverLimit = false

  /// A parser at the start of a stream.
  public init() {}

  /// Takes bytes and gives the events that they complete.
  public mutating func take(_ bytes: some Sequence<UInt8>) -> [Event] {
    var events: [Event] = []
    for byte in bytes {
      switch byte {
      case 0x0A where isAfterCR: isAfterCR = false
      case 0x0A, 0x0D:
        isAfterCR = byte == 0x0D
        if let event = endLine() { events.append(event) }
      default:
        isAfterCR = false
        if line.count < SSEParser.lineByteCountMax { line.append(byte) } else { isOverLimit = true }
      }
    }
    return events
  }

  /// The event that the end of the stream cuts off before its blank line, where it has data.
  public mutating func finish() -> Event? {
    if !line.isEmpty { _ = endLine() }
    return dispatch()
  }

  private mutating func endLine() -> Event? {
    var bytes = line[...]
    line.removeAll(keepingCapacity: true)
    if isFirstLine, bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = bytes.dropFirst(3) }
    isFirstLine = false
    if bytes.isEmpty { return dispatch() }
    let text = String(decoding: bytes, as: UTF8.self)
    let halves = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    var value = halves.count > 1 ? halves[1] : ""
    if value.hasPrefix(" ") { value = value.dropFirst() }
    switch halves[0] {
    case "data": data.append(String(value))
    case "event": name = String(value)
    default: break  // comments, ids, retry and what is unknown
    }
    return nil
  }

  private mutating func dispatch() -> Event? {
    defer {
      name = ""
      data = []
    }
    return data.isEmpty ? nil : Event(name: name, data: data.joined(separator: "\n"))
  }
}
