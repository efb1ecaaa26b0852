package import HTTPServer
package import Primitives

#if canImport(Glibc)
  internal import Glibc
#endif

/// The proxies whose word about a caller's address is taken.
package struct TrustedProxies: Sendable {
  private let networks: [(address: NetworkAddress, prefix: Int)]

  /// Reads addresses and networks such as `127.0.0.1, 10.0.0.0/8, fd00::/8`; empty trusts nobody.
  /// - Throws: `Refusal` `validation_failed` where one is neither.
  package init(_ text: String) throws(Refusal) {
    var networks: [(address: NetworkAddress, prefix: Int)] = []
    for part in text.split(separator: ",") {
      let entry = part.trimmingSpaces
      let halves = entry.split(separator: "/", omittingEmptySubsequences: false)
      let address = halves.first.flatMap { NetworkAddress($0) }
      let bits = (address?.bytes.count ?? 0) * 8
      let prefix = halves.count == 2 ? Int(halves[1]) : bits
      guard let address, let prefix, halves.count <= 2, (0...bits).contains(prefix) else {
        throw Refusal(
          .validationFailed,
          "--trusted-proxies takes numeric addresses and networks, not '\(entry.prefix(80))'.")
      }
      networks.append((address, prefix))
    }
    self.networks = networks
  }

  /// Nobody.
  package static let none = TrustedProxies()

  private init() { networks = [] }

  /// The name that a request's caller is counted by: its IPv4 address, or the /64 of its IPv6 address, which
  /// is the least that one customer has.
  ///
  /// Where the connection comes from a trusted proxy this is the right-most address of `X-Forwarded-For` that is
  /// none of them: what stands left of it, the caller may have written.
  package func client(of request: Request) -> String {
    guard var known = NetworkAddress(request.peer[...]) else { return request.peer }
    var hops = request.headers.filter { $0.name == "x-forwarded-for" }
      .flatMap { $0.value.split(separator: ",") }[...]
    while isTrusted(known), let hop = hops.popLast() {
      guard let next = NetworkAddress(hop.trimmingSpaces) else { break }
      known = next
    }
    return known.name
  }

  private func isTrusted(_ address: NetworkAddress) -> Bool {
    networks.contains { address.isWithin($0.address, prefix: $0.prefix) }
  }
}

/// A numeric address: 4 bytes, or 16.
struct NetworkAddress: Equatable {
  let bytes: [UInt8]

  /// Reads `192.0.2.1` and `2001:db8::1`, also as proxies write them: with a port, in brackets, with a zone.
  init?(_ text: Substring) {
    var text = text
    if text.hasPrefix("[") {
      text = text.dropFirst().prefix { $0 != "]" }
    } else if text.filter({ $0 == ":" }).count == 1 {
      text = text.prefix { $0 != ":" }
    }
    text = text.prefix { $0 != "%" }
    var buffer = [UInt8](repeating: 0, count: 16)
    if inet_pton(AF_INET, String(text), &buffer) == 1 {
      bytes = Array(buffer[..<4])
    } else if inet_pton(AF_INET6, String(text), &buffer) == 1 {
      // ::ffff:192.0.2.1 is the IPv4 address, as a socket of both families shows it.
      let isMapped = buffer[..<10].allSatisfy { $0 == 0 } && buffer[10] == 255 && buffer[11] == 255
      bytes = isMapped ? Array(buffer[12...]) : buffer
    } else {
      return nil
    }
  }

  /// What its callers are counted by.
  var name: String {
    if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
    return BytesText.hex(Array(bytes[..<8])) + "/64"
  }

  func isWithin(_ network: NetworkAddress, prefix: Int) -> Bool {
    guard bytes.count == network.bytes.count else { return false }
    return (0..<prefix).allSatisfy { bit in
      (bytes[bit / 8] ^ network.bytes[bit / 8]) & (0x80 >> UInt8(bit % 8)) == 0
    }
  }
}

extension Substring {
  fileprivate var trimmingSpaces: Substring {
    var text = drop { $0 == " " || $0 == "\t" }
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return text
  }
}
