/// One HTTP request, whole.
public struct Request: Sendable {
  /// The method, upper case.
  public let method: String
  /// The path, percent-decoded once, without the query. Never holds NUL.
  public let path: String
  /// The query's names and values, decoded, in order.
  public let query: [(name: String, value: String)]
  /// Header names in lower case, with their values, in order.
  public let headers: [(name: String, value: String)]
  /// The body, within the server's limit.
  public let body: [UInt8]
  /// The numeric address of the other side.
  public let peer: String

  /// A request; tests make theirs so.
  public init(
    method: String, target: String, headers: [(name: String, value: String)] = [],
    body: [UInt8] = [], peer: String = "127.0.0.1"
  ) {
    self.method = method
    let halves = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    path = Request.decode(halves[0], plusIsSpace: false) ?? "/"
    query =
      halves.count < 2
      ? []
      : halves[1].split(separator: "&").compactMap { pair in
        let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = Request.decode(sides[0], plusIsSpace: true) else { return nil }
        let value = sides.count > 1 ? Request.decode(sides[1], plusIsSpace: true) : ""
        return value.map { (name, $0) }
      }
    self.headers = headers.map { ($0.name.lowercased(), $0.value) }
    self.body = body
    self.peer = peer
  }

  /// The first value of a header, named in lower case.
  public func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

  /// The first value of a query parameter.
  public func query(_ name: String) -> String? { query.first { $0.name == name }?.value }

  /// Percent-decoding to valid UTF-8, or nil.
  static func decode(_ text: Substring, plusIsSpace: Bool) -> String? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "%"):
        guard rest.count >= 2, let high = digit(rest.removeFirst()),
          let low = digit(rest.removeFirst())
        else { return nil }
        bytes.append(high << 4 | low)
      case UInt8(ascii: "+") where plusIsSpace: bytes.append(0x20)
      default: bytes.append(byte)
      }
    }
    guard !bytes.contains(0) else { return nil }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x37
    case 0x61...0x66: byte - 0x57
    default: nil
    }
  }
}

/// One HTTP answer.
public struct Response: Sendable {
  /// What follows the head.
  public enum Body: Sendable {
    /// Everything at once.
    case bytes([UInt8])
    /// In parts: the closure writes until it returns. It is cancelled when the client leaves.
    case stream(@Sendable (StreamWriter) async -> Void)
  }

  /// The status code.
  public var status: Int
  /// Names and values, in order.
  public var headers: [(name: String, value: String)]
  /// What follows the head.
  public var body: Body

  /// An answer.
  public init(status: Int, headers: [(name: String, value: String)] = [], body: Body = .bytes([])) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// The value of a header, named in any case.
  public func header(_ name: String) -> String? {
    headers.first { $0.name.lowercased() == name.lowercased() }?.value
  }
}

/// Where a streamed answer's parts go.
public struct StreamWriter: Sendable {
  private let send: @Sendable ([UInt8]) -> Bool

  /// A writer over a closure that says whether the client is still there.
  public init(_ send: @escaping @Sendable ([UInt8]) -> Bool) { self.send = send }

  /// Sends bytes; false where the client has left, after which nothing more is sent.
  @discardableResult
  public func write(_ bytes: [UInt8]) -> Bool { send(bytes) }
}
