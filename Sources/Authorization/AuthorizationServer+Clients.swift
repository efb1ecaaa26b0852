internal import Cryptography
internal import Identity
internal import Primitives
internal import SQLite

/// How a program says who it is at the token endpoint.
public struct ClientProof: Sendable {
  let id: String?
  let secret: String?

  /// What the `Authorization` header says.
  ///
  /// - Parameter authorization: The header, or nil. Any scheme but Basic is left to others.
  /// - Throws: `OAuthError` `invalid_client`.
  public init(authorization: String?) throws(OAuthError) {
    guard let parts = authorization?.split(separator: " ", maxSplits: 1), parts.count == 2,
      parts[0].lowercased() == "basic"
    else {
      (id, secret) = (nil, nil)
      return
    }
    let text = parts[1].replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    let bytes = BytesText.bytes(base64url: text) ?? []
    let halves = String(decoding: bytes, as: UTF8.self).split(
      separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard halves.count == 2, let id = ClientProof.unescaped(halves[0]),
      let secret = ClientProof.unescaped(halves[1]), !id.isEmpty
    else { throw OAuthError(.invalidClient, "The Authorization header is not sound.") }
    self.id = id
    self.secret = secret
  }

  /// Both halves are form-encoded first (RFC 6749 section 2.3.1).
  private static func unescaped(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte == UInt8(ascii: "+") ? 0x20 : byte)
        continue
      }
      let digits = String(decoding: rest.prefix(2), as: UTF8.self)
      guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else { return nil }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
  }
}

extension AuthorizationServer {
  /// Who asks: a confidential client by its secret or by what it signs, a public one by its id alone.
  /// - Throws: `OAuthError` `invalid_client`, or `invalid_request` where it says so in two ways.
  func prove(_ form: OAuthForm, _ proof: ClientProof) async throws -> OAuthClient {
    let named = try form.one("client_id")
    let sent = try form.one("client_secret")
    let assertion = try form.one("client_assertion")
    let type = try form.one("client_assertion_type")
    guard proof.id == nil || (sent == nil && (named == nil || named == proof.id)) else {
      throw OAuthError(.invalidRequest, "Say who you are in one way only.")
    }
    if assertion != nil || type != nil {
      guard let assertion, type == ClientAssertion.type else {
        throw OAuthError(
          .invalidRequest,
          "Send client_assertion with client_assertion_type \(ClientAssertion.type).")
      }
      guard proof.id == nil, sent == nil else {
        throw OAuthError(.invalidRequest, "Say who you are in one way only.")
      }
      return try await prove(assertion: assertion, named: named)
    }
    guard let id = proof.id ?? named else {
      throw OAuthError(.invalidClient, "Send the client_id.")
    }
    let secret = proof.secret ?? sent
    let client = try await client(provingItself: id)
    guard isRight(secret, for: client) else {
      throw OAuthError(.invalidClient, "The client is not who it says.")
    }
    return client
  }

  private func client(provingItself id: String) async throws -> OAuthClient {
    guard OAuthClient.isDocument(id) else { return try await registered(id) }
    guard WebAddress(id) != nil else {
      throw OAuthError(.invalidClient, "The client_id is no address of a document.")
    }
    // Its document says nothing that a code or a refresh token is not bound to already.
    return OAuthClient(id: id, name: "", redirectURIs: [])
  }

  private func isRight(_ secret: String?, for client: OAuthClient) -> Bool {
    guard client.isConfidential else { return secret == nil }
    // Who has registered keys has no weaker way in.
    guard client.keySet == nil else { return false }
    return Digest.equal(Array((secret ?? "").utf8), Array(clients.secret(of: client.id).utf8))
  }

  /// The client that has signed an assertion, which is used up.
  private func prove(assertion: String, named: String?) async throws -> OAuthClient {
    guard let id = ClientAssertion.issuer(of: assertion), named == nil || named == id,
      !OAuthClient.isDocument(id)
    else { throw AuthorizationServer.invalidAssertion }
    let client = try await registered(id)
    guard let keys = client.keySet.flatMap({ VerifyingKey.set($0) }) else {
      throw OAuthError(.invalidClient, "The client has no keys here to sign with.")
    }
    let made: ClientAssertion
    do throws(JWTError) {
      made = try ClientAssertion(
        verifying: assertion, of: id, keys: keys, audiences: [issuer, tokenEndpoint],
        at: clock.now)
    } catch {
      throw error == .expired
        ? OAuthError(.invalidClient, "The client_assertion has expired.")
        : AuthorizationServer.invalidAssertion
    }
    guard try await database.write({ try clients.use(made, on: $0) }) else {
      throw OAuthError(.invalidClient, "This client_assertion was used already; sign a new one.")
    }
    return client
  }

  private static var invalidAssertion: OAuthError {
    OAuthError(
      .invalidClient,
      "The client_assertion must be signed with a key of the client's, named by kid, with iss and sub the client_id, "
        + "aud the issuer or the token endpoint, iat, exp within ten minutes, and a jti of 8 to 128 bytes."
    )
  }
}
