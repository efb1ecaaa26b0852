/// An absolute http or https address in the one form that is compared byte by byte: no user, no fragment, no dot
/// segments, plain ASCII.
public struct WebAddress: Sendable, Equatable {
  /// The most bytes of one.
  public static let byteCountMax = 1_000

  /// `http` or `https`.
  public let scheme: String
  /// The host, IPv6 in brackets.
  public let host: String
  /// The port, where it is written.
  public let port: UInt16?
  /// All that follows the port: path and query, or nothing.
  public let rest: String

  /// Reads an address, or nil.
  public init?(_ text: String) {
    guard text.utf8.count <= WebAddress.byteCountMax,
      text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !WebAddress.refused.contains($0) }),
      let scheme = ["https", "http"].first(where: { text.hasPrefix($0 + "://") })
    else { return nil }
    let after = text.dropFirst(scheme.utf8.count + 3)
    let end = after.firstIndex { $0 == "/" || $0 == "?" } ?? after.endIndex
    guard let (host, port) = WebAddress.authority(after[..<end]) else { return nil }
    self.scheme = scheme
    self.host = host
    self.port = port
    rest = String(after[end...])
    let path = rest.prefix { $0 != "?" }
    let segments = path.split(separator: "/", omittingEmptySubsequences: false)
    guard !segments.contains(where: { WebAddress.dots.contains($0.lowercased()) }) else {
      return nil
    }
  }

  /// Whether the host is the machine that the browser runs on.
  public var isLoopback: Bool { ["127.0.0.1", "[::1]", "localhost"].contains(host) }

  /// Scheme, host and port, as a browser writes an origin.
  public var origin: String { "\(scheme)://\(host)" + (port.map { ":\($0)" } ?? "") }

  /// The path without the query.
  public var path: String { String(rest.prefix { $0 != "?" }) }

  // # begins a fragment; \ is / to browsers; the rest would need escapes in a header or a page.
  private static let refused = Set("#\\\"<>^`{|}".utf8)
  private static let dots: Set<String> = [".", "..", "%2e", "%2e%2e", ".%2e", "%2e."]

  private static func authority(_ text: Substring) -> (host: String, port: UInt16?)? {
    var host = text
    var port: UInt16?
    if let colon = text.lastIndex(of: ":"), !text[colon...].contains("]") {
      let digits = text[text.index(after: colon)...]
      guard let number = UInt16(digits), number > 0, String(number) == digits else { return nil }
      port = number
      host = text[..<colon]
    }
    let isSix = host.hasPrefix("[") && host.hasSuffix("]") && host.utf8.count > 4
    let inner = isSix ? host.dropFirst().dropLast() : host
    let isSound = inner.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x61...0x7A, UInt8(ascii: "."), UInt8(ascii: "-"): true
      case UInt8(ascii: ":"): isSix
      default: false
      }
    }
    guard !inner.isEmpty, isSound else { return nil }
    return (String(host), port)
  }
}

/// Which addresses a client may be sent back to.
public enum RedirectURI {
  /// Whether a client may register it: https, or plain http on loopback for a program on the person's machine.
  public static func isAcceptable(_ text: String) -> Bool {
    guard let address = WebAddress(text) else { return false }
    return address.scheme == "https" || address.isLoopback
  }

  /// Whether a request may name it: equal byte by byte to a registered one; of one on loopback only the port may
  /// differ, which a program on the person's machine does not know beforehand (RFC 8252 section 7.3).
  public static func matches(_ given: String, registered: String) -> Bool {
    if given == registered { return true }
    guard let asked = WebAddress(given), let known = WebAddress(registered),
      asked.scheme == "http", known.scheme == "http", known.isLoopback
    else { return false }
    return asked.host == known.host && asked.rest == known.rest
  }
}
