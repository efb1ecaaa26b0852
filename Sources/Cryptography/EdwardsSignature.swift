internal import COpenSSL

/// Ed25519 over whole messages (RFC 8032), with keys as their 32 raw bytes.
public enum EdwardsSignature {
  /// The public key of a private one: 32 bytes from 32 bytes.
  public static func publicKey(of privateKey: [UInt8]) -> [UInt8] {
    let key = pair(privateKey)
    defer { EVP_PKEY_free(key) }
    var output = [UInt8](repeating: 0, count: 32)
    var count = 32
    let done = EVP_PKEY_get_raw_public_key(key, &output, &count)
    precondition(done == 1 && count == 32, "an Ed25519 key shows its public half")
    return output
  }

  /// The signature of a message: 64 bytes, the same each time.
  public static func sign(_ message: [UInt8], with privateKey: [UInt8]) -> [UInt8] {
    let key = pair(privateKey)
    let context = EVP_MD_CTX_new()
    defer {
      EVP_MD_CTX_free(context)
      EVP_PKEY_free(key)
    }
    var output = [UInt8](repeating: 0, count: 64)
    var count = 64
    let done =
      EVP_DigestSignInit(context, nil, nil, nil, key) == 1
      && EVP_DigestSign(context, &output, &count, message, message.count) == 1
    precondition(done && count == 64, "signing cannot fail with a good key")
    return output
  }

  /// Whether 64 bytes sign the message under a public key of 32 bytes.
  public static func verifies(
    _ signature: [UInt8], of message: [UInt8], publicKey: [UInt8]
  ) -> Bool {
    guard signature.count == 64, publicKey.count == 32,
      let key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, publicKey, 32)
    else { return false }
    let context = EVP_MD_CTX_new()
    defer {
      EVP_MD_CTX_free(context)
      EVP_PKEY_free(key)
    }
    return EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1
      && EVP_DigestVerify(context, signature, 64, message, message.count) == 1
  }

  private static func pair(_ privateKey: [UInt8]) -> OpaquePointer {
    precondition(privateKey.count == 32, "an Ed25519 key has 32 bytes, not \(privateKey.count)")
    guard let key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, privateKey, 32) else {
      preconditionFailure("no Ed25519 in OpenSSL")
    }
    return key
  }
}
