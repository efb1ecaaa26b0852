internal import Cryptography
public import Primitives

/// Names of people towards others: each provider and each program has its own, so that two of them cannot join what
/// they know (specification core, P3).
public struct PairwiseNames: Sendable {
  private let providers: [UInt8]
  private let clients: [UInt8]

  /// Names by the keys of a server; they stay as long as its master secret.
  public init(keys: KeyRing) {
    providers = keys.derived(for: "pairwise")
    clients = keys.derived(for: "pairwise-client")
  }

  /// A person's name at a provider: `sub` of its launch tokens, and what it calls the person by.
  public func name(of user: ID<UserKind>, atProvider provider: String) -> String {
    BytesText.base64url(Digest.hmac(key: providers, user.bytes + Array(provider.utf8)))
  }

  /// A person's name towards a program that it lets act: `sub` of the access tokens that the program gets.
  public func name(of user: ID<UserKind>, towardsClient client: String) -> String {
    BytesText.base64url(Digest.hmac(key: clients, user.bytes + Array(client.utf8)))
  }
}
