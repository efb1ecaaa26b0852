internal import CArgon2
public import Primitives

/// Argon2id in PHC form (RFC 9106; parameters of the OWASP Password Storage cheat sheet).
public enum PasswordHash {
  /// Memory of one hash, KiB.
  public static let memoryKiB: UInt32 = 19_456
  /// Passes over the memory.
  public static let passes: UInt32 = 2

  /// The PHC string of a password, with 16 random bytes of salt. Takes about 20 ms and 19 MiB.
  public static func make(_ password: String, random: RandomSource) -> String {
    let salt = random.bytes(16)
    let secret = Array(password.utf8)
    let count = argon2_encodedlen(passes, memoryKiB, 1, 16, 32, Argon2_id)
    var encoded = [CChar](repeating: 0, count: count)
    let status = argon2id_hash_encoded(
      passes, memoryKiB, 1, secret, secret.count, salt, salt.count, 32, &encoded, count)
    precondition(status == ARGON2_OK.rawValue, "argon2 answered \(status)")
    return String(decoding: encoded.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Whether the password made the hash. A text that is no PHC string is a plain no.
  public static func verify(_ password: String, against encoded: String) -> Bool {
    let secret = Array(password.utf8)
    return argon2id_verify(encoded, secret, secret.count) == ARGON2_OK.rawValue
  }

  /// Whether a hash was made with less than the parameters of now, or is of another kind.
  public static func isWeak(_ encoded: String) -> Bool {
    let parts = encoded.split(separator: "$", omittingEmptySubsequences: false)
    guard parts.count == 6, parts[1] == "argon2id" else { return true }
    var values: [Substring: UInt32] = [:]
    for pair in parts[3].split(separator: ",") {
      let sides = pair.split(separator: "=")
      if sides.count == 2 { values[sides[0]] = UInt32(sides[1]) }
    }
    return (values["m"] ?? 0) < memoryKiB || (values["t"] ?? 0) < passes
  }
}
