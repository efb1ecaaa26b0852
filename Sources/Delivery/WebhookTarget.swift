public import HTTPClient

#if canImport(Glibc)
  internal import Glibc
#endif

/// Where webhooks may go.
public struct WebhookRules: Sendable, Equatable {
  /// The ports of public receivers.
  public var ports: Set<Int>
  /// Whether receivers on loopback are taken too, by http and at any port: for development.
  public var allowsLoopback: Bool

  /// The rules; 443 is always among the ports.
  public init(ports: Set<Int> = [443, 8_443], allowsLoopback: Bool = false) {
    self.ports = ports.union([443])
    self.allowsLoopback = allowsLoopback
  }

  /// What the transfer itself checks each resolved address by.
  public var addresses: AddressPolicy { AddressPolicy(allowsLoopback: allowsLoopback) }
}

/// The rules of a receiver's URL. They read only what every reader of URLs reads the same way; what a name resolves
/// to is checked at each attempt, when it is known.
public enum WebhookTarget {
  /// The longest URL, in bytes.
  public static let byteCountMax = 2_000

  /// Why a URL cannot be a receiver's, in a few words; nil where it can.
  public static func fault(in url: String, under rules: WebhookRules) -> String? {
    guard (1...byteCountMax).contains(url.utf8.count) else {
      return "must have 1 to \(byteCountMax) bytes"
    }
    let isPlainText = url.utf8.allSatisfy { (0x21...0x7E).contains($0) && !refused.contains($0) }
    guard isPlainText else { return "must be a URL in ASCII, without fragment" }
    let isPlain = url.hasPrefix("http://")
    guard isPlain || url.hasPrefix("https://") else { return "must begin with https://" }
    let rest = url.dropFirst(isPlain ? 7 : 8)
    let authority = rest.prefix { $0 != "/" && $0 != "?" }
    if authority.contains("@") { return "must not hold a user or a password" }
    guard let place = Place(authority, isPlain: isPlain) else { return "must name a host" }
    return fault(of: place, isPlain: isPlain, under: rules)
  }

  private static func fault(of place: Place, isPlain: Bool, under rules: WebhookRules) -> String? {
    let isLoopback: Bool
    switch place.host {
    case .address(let bytes):
      isLoopback = AddressPolicy.isLoopback(bytes)
      guard AddressPolicy.isPublic(bytes) || isLoopback && rules.allowsLoopback else {
        return "must be a public address"
      }
    case .name(let name):
      isLoopback = name == "localhost" || name.hasSuffix(".localhost")
      let isPrivate = isLoopback ? !rules.allowsLoopback : isPrivateName(name)
      guard !isPrivate else { return "must be a public name" }
    }
    if isLoopback { return nil }
    guard !isPlain else { return "must begin with https://" }
    let ports = rules.ports.sorted().map(String.init).joined(separator: ", ")
    return rules.ports.contains(place.port) ? nil : "must have one of the ports \(ports)"
  }

  private static func isPrivateName(_ name: String) -> Bool {
    !name.contains(".")
      || [".local", ".internal", ".localdomain", ".lan", ".home.arpa"]
        .contains { name.hasSuffix($0) }
  }

  // " # < > \ ^ ` { | }: readers of URLs disagree on them.
  private static let refused = Set("\"#<>\\^`{|}".utf8)

  /// A host and its port.
  private struct Place {
    enum Host {
      case address([UInt8])
      case name(String)
    }

    let host: Host
    let port: Int

    init?(_ authority: Substring, isPlain: Bool) {
      var text = authority
      var literal: Substring?
      if text.hasPrefix("[") {
        guard let end = text.firstIndex(of: "]") else { return nil }
        literal = text[text.index(after: text.startIndex)..<end]
        text = text[text.index(after: end)...]
        guard text.isEmpty || text.hasPrefix(":") else { return nil }
      }
      let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard let port = Place.port(parts.count > 1 ? parts[1] : nil, isPlain: isPlain),
        let host = literal.map(Place.six) ?? Place.host(parts.first ?? "")
      else { return nil }
      self.port = port
      self.host = host
    }

    private static func port(_ text: Substring?, isPlain: Bool) -> Int? {
      guard let text else { return isPlain ? 80 : 443 }
      guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        let port = Int(text), (1...65_535).contains(port)
      else { return nil }
      return port
    }

    private static func six(_ text: Substring) -> Host? {
      var address = in6_addr()
      guard inet_pton(AF_INET6, String(text), &address) == 1 else { return nil }
      return .address(withUnsafeBytes(of: address) { Array($0) })
    }

    private static func host(_ text: Substring) -> Host? {
      let name = text.lowercased()
      let labels = name.split(separator: ".", omittingEmptySubsequences: false)
      let isName = labels.allSatisfy { label in
        (1...63).contains(label.utf8.count)
          && label.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x2D
              || byte == 0x5F
          }
      }
      guard isName, name.utf8.count <= 253, let last = labels.last else { return nil }
      // What ends in a number is an IPv4 address to every reader, in whatever spelling, or nothing at all.
      let isNumber =
        last.utf8.allSatisfy { (0x30...0x39).contains($0) } || number(last) != nil
      return isNumber ? four(labels).map(Host.address) : .name(name)
    }

    /// An IPv4 address in any of the spellings that the C library reads: decimal, octal, hexadecimal, one to four
    /// parts of which the last one fills the rest.
    private static func four(_ parts: [Substring]) -> [UInt8]? {
      let numbers = parts.compactMap(number)
      guard numbers.count == parts.count, (1...4).contains(numbers.count),
        numbers.dropLast().allSatisfy({ $0 <= 255 }), let last = numbers.last,
        last < 1 << UInt64(8 * (5 - numbers.count))
      else { return nil }
      let rest = (0..<(5 - numbers.count)).map { UInt8(truncatingIfNeeded: last >> UInt64(8 * $0)) }
      return numbers.dropLast().map { UInt8($0) } + rest.reversed()
    }

    private static func number(_ text: Substring) -> UInt64? {
      guard text.utf8.count <= 20, text.utf8.first.map({ (0x30...0x39).contains($0) }) == true
      else { return nil }
      if text.hasPrefix("0x") {
        return text.count == 2 ? 0 : UInt64(text.dropFirst(2), radix: 16)
      }
      return text.hasPrefix("0") ? UInt64(text, radix: 8) : UInt64(text)
    }
  }
}
