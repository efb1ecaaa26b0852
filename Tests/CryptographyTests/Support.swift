import Cryptography
import Foundation
import Primitives

/// The bytes of a hexadecimal text; anything that is no digit is skipped.
func bytes(hex text: String) -> [UInt8] {
  let digits = text.compactMap(\.hexDigitValue)
  return stride(from: 0, to: digits.count - 1, by: 2).map {
    UInt8(digits[$0] << 4 | digits[$0 + 1])
  }
}

/// Random bytes of a seed.
func randomBytes(_ count: Int, seed: UInt64) -> [UInt8] {
  var random = SplitMix64(seed: seed)
  var bytes: [UInt8] = []
  for _ in 0..<count { bytes.append(UInt8(truncatingIfNeeded: random.next())) }
  return bytes
}

/// Tokens as an attacker would write them: any header over any claims, truly signed unless said.
struct Forge: Sendable {
  static let now = Timestamp(milliseconds: 1_500_000)
  static let type = "at+jwt"
  static let issuer = "https://waypost.example"
  static let audience = "waypost"
  static let header = "{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}"
  static let claims = """
    {"iss":"https://waypost.example","aud":"waypost","sub":"u1","iat":1000,"exp":2000}
    """

  let key = SigningKey()

  /// The signed token of two JSON texts.
  func token(header: String = Forge.header, claims: String = Forge.claims) -> String {
    token(headerBytes: Array(header.utf8), claimsBytes: Array(claims.utf8))
  }

  func token(headerBytes: [UInt8], claimsBytes: [UInt8]) -> String {
    let input = BytesText.base64url(headerBytes) + "." + BytesText.base64url(claimsBytes)
    return input + "." + BytesText.base64url(key.sign(Array(input.utf8)))
  }

  /// The token of these signature bytes.
  func token(header: String = Forge.header, signature: [UInt8]) -> String {
    input(header: header) + "." + BytesText.base64url(signature)
  }

  /// What is signed: header and claims.
  func input(header: String = Forge.header) -> String {
    BytesText.base64url(Array(header.utf8)) + "." + BytesText.base64url(Array(Forge.claims.utf8))
  }

  /// Why a token is refused, or nil where it is accepted. Our key is offered for every key id.
  func verdict(
    _ token: String, at now: Timestamp = Forge.now, leewaySeconds: Int64 = 30,
    audience: String? = Forge.audience, type: String = Forge.type
  ) -> JWTError? {
    let expectation = JWT.Expectation(
      type: type, issuer: Forge.issuer, audience: audience, leewaySeconds: leewaySeconds)
    do throws(JWTError) {
      _ = try JWT.verify(token, expecting: expectation, at: now) { _ in key.verifying }
      return nil
    } catch {
      return error
    }
  }
}

/// The order of P-256.
let curveOrder = bytes(hex: "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")

/// 32 bytes that hold a small number.
func number32(_ value: UInt8) -> [UInt8] { [UInt8](repeating: 0, count: 31) + [value] }

/// Published test vectors, which lie beside the package and may be absent.
enum Vectors {
  static func path(_ name: String, file: String = #filePath) -> String {
    URL(fileURLWithPath: file).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().path + "/../shared/data/vectors/" + name
  }

  static func exists(_ name: String) -> Bool {
    FileManager.default.fileExists(atPath: path(name))
  }

  /// The test groups of a file.
  static func groups(_ name: String) throws -> [JSON] {
    let data = try Data(contentsOf: URL(fileURLWithPath: path(name)))
    return try JSON.parse(Array(data))["testGroups"]?.array ?? []
  }
}
