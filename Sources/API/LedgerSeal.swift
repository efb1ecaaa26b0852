internal import Cryptography
package import Identity
package import Ledger
package import Primitives

extension ChainSeal {
  /// Seals the ledger's checkpoints with the server's signing key; a checkpoint of a key that is kept verifies also
  /// when the key signs no more.
  package init(keys: KeyRing, clock: Clock) {
    self.init(
      sign: { message in
        let key = keys.signing(at: clock.now)
        return (keyID: key.verifying.thumbprint, signature: key.sign(message))
      },
      verifies: { keyID, signature, message in
        keys.entries.first { $0.id == keyID }?.key.verifying.verifies(signature, of: message)
      })
  }
}
