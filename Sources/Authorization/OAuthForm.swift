/// Parameters of a query or a form, as OAuth reads them: none may stand twice, an empty one is not there.
public struct OAuthForm: Sendable {
  /// All of them, in order.
  public let pairs: [(name: String, value: String)]

  /// Parameters.
  public init(_ pairs: [(name: String, value: String)]) { self.pairs = pairs }

  /// A parameter, or nil.
  /// - Throws: `OAuthError` `invalid_request` where it stands twice.
  public func one(_ name: String) throws(OAuthError) -> String? {
    let found = pairs.filter { $0.name == name }
    guard found.count <= 1 else {
      throw OAuthError(.invalidRequest, "The parameter \(name) stands more than once.")
    }
    return found.first.flatMap { $0.value.isEmpty ? nil : $0.value }
  }

  /// A parameter that must be there.
  /// - Throws: `OAuthError` `invalid_request`.
  public func needed(_ name: String) throws(OAuthError) -> String {
    guard let value = try one(name) else {
      throw OAuthError(.invalidRequest, "The parameter \(name) is missing.")
    }
    return value
  }

  /// The form `application/x-www-form-urlencoded`, which a query has too.
  public var encoded: String {
    pairs.map { OAuthForm.escaped($0.name) + "=" + OAuthForm.escaped($0.value) }
      .joined(separator: "&")
  }

  /// Percent-encoding of all but unreserved characters (RFC 3986 section 2.3).
  static func escaped(_ text: String) -> String {
    var output: [UInt8] = []
    let digits = Array("0123456789ABCDEF".utf8)
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: output.append(byte)
      default: output += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: output, as: UTF8.self)
  }

  /// An address with these parameters added to its query.
  public func added(to address: String) -> String {
    address + (address.contains("?") ? "&" : "?") + encoded
  }
}
