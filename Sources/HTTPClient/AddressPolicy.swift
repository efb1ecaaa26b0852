/// Which addresses a transfer to a place that somebody else chose may connect to: those of the public internet.
///
/// Everything that the IANA special-purpose registries (RFC 6890, 2024 state) keep for other uses is refused:
/// private, shared, loopback, link-local (with the clouds' metadata), documentation, benchmarks, multicast,
/// reserved, and every form that hides an IPv4 address in an IPv6 one.
public struct AddressPolicy: Sendable, Equatable {
  /// Whether loopback is reached too, and by plain http: for development.
  public let allowsLoopback: Bool

  /// A policy of public addresses, with loopback where it is wanted.
  public init(allowsLoopback: Bool = false) { self.allowsLoopback = allowsLoopback }

  /// Whether a connection to an address of 4 or 16 bytes may be made.
  ///
  /// - Parameter isPlain: Whether it would carry http without TLS, which is for loopback only.
  public func permits(_ bytes: [UInt8], isPlain: Bool) -> Bool {
    if AddressPolicy.isLoopback(bytes) { return allowsLoopback }
    return !isPlain && AddressPolicy.isPublic(bytes)
  }

  /// Whether the address is 127.0.0.0/8 or ::1.
  public static func isLoopback(_ bytes: [UInt8]) -> Bool {
    switch bytes.count {
    case 4: bytes[0] == 127
    case 16: bytes[..<15].allSatisfy { $0 == 0 } && bytes[15] == 1
    default: false
    }
  }

  /// Whether the address is one of the public internet.
  public static func isPublic(_ bytes: [UInt8]) -> Bool {
    switch bytes.count {
    case 4: !refusedFour.contains { holds($0, bytes) }
    // Only global unicast is given out; the embedded and the private forms all lie outside of it or are listed.
    case 16: bytes[0] & 0xE0 == 0x20 && !refusedSix.contains { holds($0, bytes) }
    default: false
    }
  }

  private typealias Network = (prefix: [UInt8], bits: Int)

  private static func holds(_ network: Network, _ bytes: [UInt8]) -> Bool {
    for index in 0..<network.prefix.count {
      let bits = min(8, network.bits - 8 * index)
      let mask = bits <= 0 ? 0 : UInt8(truncatingIfNeeded: 0xFF << (8 - bits))
      if (bytes[index] ^ network.prefix[index]) & mask != 0 { return false }
    }
    return true
  }

  private static let refusedFour: [Network] = [
    ([0], 8),  // this network
    ([10], 8), ([172, 16], 12), ([192, 168], 16),  // private (RFC 1918)
    ([100, 64], 10),  // shared (RFC 6598), a cloud's metadata among it
    ([127], 8),  // loopback
    ([169, 254], 16),  // link-local, the clouds' metadata among it
    ([192, 0, 0], 24),  // protocol assignments, a cloud's metadata among it
    ([192, 0, 2], 24), ([198, 51, 100], 24), ([203, 0, 113], 24),  // documentation
    ([192, 88, 99], 24),  // 6to4 relays
    ([198, 18], 15),  // benchmarks
    ([168, 63, 129, 16], 32),  // a cloud's host agent at a public address
    ([224], 4), ([240], 4),  // multicast, reserved, broadcast
  ]

  private static let refusedSix: [Network] = [
    ([0x20, 0x01, 0x00], 23),  // protocol assignments: Teredo, ORCHID, benchmarks
    ([0x20, 0x01, 0x0D, 0xB8], 32), ([0x3F, 0xFF, 0x00], 20),  // documentation
    ([0x20, 0x02], 16),  // 6to4: an IPv4 address inside
  ]
}
