package import Primitives

/// A signed text in compact form (RFC 7515), checked as specification core, 6.1 asks.
package enum JWS {
  /// The most bytes of a token.
  package static let byteCountMax = 8_192

  /// The payload of a token whose form, header and signature are sound.
  ///
  /// - Parameters:
  ///   - algorithms: What this context accepts; the key must be for the one that the header names.
  ///   - type: The exact `typ`; nil where the caller takes any.
  ///   - needsKeyID: Whether the header must name its key by an id of our form. Only published vectors do without.
  ///   - key: The key of an id; ids are used only for this look-up.
  package static func open(
    _ token: String, algorithms: Set<SigningAlgorithm>, type: String?, needsKeyID: Bool = true,
    key: (String) -> VerifyingKey?
  ) throws(JWTError) -> [UInt8] {
    guard token.utf8.count <= byteCountMax else { throw .malformed }
    let segments = token.split(separator: ".", omittingEmptySubsequences: false)
    guard segments.count == 3, let headBytes = BytesText.bytes(base64url: segments[0]),
      let payload = BytesText.bytes(base64url: segments[1]),
      let signature = BytesText.bytes(base64url: segments[2]), let header = object(headBytes)
    else { throw .malformed }
    let refused = ["crit", "jwk", "jku", "x5u", "x5c", "b64", "zip"]
    guard let algorithm = header["alg"]?.string.flatMap(SigningAlgorithm.init(rawValue:)),
      algorithms.contains(algorithm), type == nil || header["typ"] == type.map(JSON.string),
      refused.allSatisfy({ header[$0] == nil })
    else { throw .header }
    var id = header["kid"]?.string ?? ""
    if needsKeyID {
      guard JWT.isKeyID(id) else { throw .header }
    } else {
      id = ""
    }
    guard let key = key(id) else { throw .signature }
    // The key decides what may be signed with it, never the token.
    guard key.algorithm == algorithm else { throw .header }
    guard key.verifies(signature, of: Array("\(segments[0]).\(segments[1])".utf8)) else {
      throw .signature
    }
    return payload
  }

  /// A JSON object at most eight levels deep, without a key that stands twice.
  package static func object(_ bytes: [UInt8]) -> JSONObject? {
    (try? JSON.parse(bytes, depthMax: 8))?.object
  }
}
