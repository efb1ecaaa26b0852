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
    guard WebAddress.isPlain(text),
      let scheme = ["https", "http"].first(where: { text.hasPrefix($0 + "://") })
    else { return nil }
    let after = text.dropFirst(scheme.utf8.count + 3)
    let end = after.firstIndex { $0 == "/" || $0 == "?" } ?? after.endIndex
    guard let (host, port) = WebAddress.authority(after[..<end]) else { return nil }
    self.scheme = scheme
    self.host = host
    self.port = port
    rest = String(after[end...])
    if WebAddress.hasDots(rest[...]) { return nil }
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

  /// Whether it is short, and ASCII without what would need escapes in a header or a page.
  static func isPlain(_ text: String) -> Bool {
    text.utf8.count <= byteCountMax
      && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !refused.contains($0) }
  }

  /// Whether a path has dot segments, which browsers take out.
  static func hasDots(_ rest: Substring) -> Bool {
    rest.prefix { $0 != "?" }.split(separator: "/", omittingEmptySubsequences: false)
      .contains { dots.contains($0.lowercased()) }
  }

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

/// The address of an app on the person's device: a scheme of the app's own, a domain read backwards, such as
/// `com.example.app:/cb` (RFC 8252 section 7.1).
public struct AppAddress: Sendable, Equatable {
  /// The scheme, such as `com.example.app`.
  public let scheme: String
  /// Path and query; begins with one slash, as nobody is named after it.
  public let rest: String

  /// Reads an address, or nil.
  public init?(_ text: String) {
    guard WebAddress.isPlain(text), let colon = text.firstIndex(of: ":") else { return nil }
    let scheme = text[..<colon]
    let labels = scheme.split(separator: ".", omittingEmptySubsequences: false)
    // A scheme without a dot may be anybody's, the browser's own among them (RFC 8252 section 8.4).
    guard labels.count >= 2, scheme.utf8.first.map({ (0x61...0x7A).contains($0) }) == true,
      labels.allSatisfy(AppAddress.isLabel)
    else { return nil }
    let rest = text[text.index(after: colon)...]
    guard rest.hasPrefix("/"), !rest.hasPrefix("//"), !WebAddress.hasDots(rest) else { return nil }
    self.scheme = String(scheme)
    self.rest = String(rest)
  }

  /// Whether the scheme is made from a host: `example.com` owns `com.example` and what follows it.
  func isOf(host: String) -> Bool {
    let owned = host.split(separator: ".").reversed().joined(separator: ".")
    return scheme == owned || scheme.hasPrefix(owned + ".")
  }

  private static func isLabel(_ label: Substring) -> Bool {
    (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
      && label.utf8.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x61...0x7A, UInt8(ascii: "-"): true
        default: false
        }
      }
  }
}

/// Which addresses a client may be sent back to.
public enum RedirectURI {
  /// Whether a client may register it: https, or plain http on loopback for a program on the person's machine.
  public static func isAcceptable(_ text: String) -> Bool {
    guard let address = WebAddress(text) else { return false }
    return (address.scheme == "https" || address.isLoopback) && isQuiet(address.rest)
  }

  /// Whether a client that keeps no secret may register it: also an app's own scheme, which every app on a device
  /// can claim.
  ///
  /// - Parameter host: Where the client describes itself; the scheme must then be of that host. nil for a client that
  ///   the operator has looked at.
  public static func isAcceptableToPublic(_ text: String, host: String? = nil) -> Bool {
    if isAcceptable(text) { return true }
    guard let address = AppAddress(text), isQuiet(address.rest) else { return false }
    return host.map { address.isOf(host: $0) } ?? true
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

  /// Whether a query says nothing that an answer of ours says: a second `iss` or `code` would be read by some as
  /// the first (RFC 9207 section 2.4).
  private static func isQuiet(_ rest: String) -> Bool {
    let query = rest.drop { $0 != "?" }.dropFirst()
    let names = query.split(separator: "&").map { $0.prefix { $0 != "=" } }
    return !names.contains { answered.contains(String($0)) }
  }

  private static let answered: Set<String> = [
    "code", "state", "iss", "error", "error_description", "error_uri",
  ]
}
