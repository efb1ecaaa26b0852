public import Primitives

/// The kind of a person's account, for `ID`.
public enum UserKind: Sendable {}

/// What an account may do.
public enum Role: String, Sendable {
  case user, provider, admin
}

/// Who makes a request.
public enum Principal: Sendable, Equatable {
  /// Nobody known, from this address.
  case anonymous(address: String)
  /// A person, signed in; `providerID` where the account belongs to a provider.
  case user(ID<UserKind>, Role, providerID: String?)
  /// A provider's program, by API key.
  case providerKey(providerID: String)

  /// The person's id, where there is one.
  public var userID: ID<UserKind>? { if case .user(let id, _, _) = self { id } else { nil } }

  /// The provider that the caller acts for, where there is one.
  public var providerID: String? {
    switch self {
    case .user(_, .provider, let providerID): providerID
    case .providerKey(let providerID): providerID
    default: nil
    }
  }

  /// Whether an admin asks.
  public var isAdmin: Bool { if case .user(_, .admin, _) = self { true } else { false } }

  /// A stable name of the caller for idempotency and limits; never a token or an e-mail.
  public var key: String {
    switch self {
    case .anonymous(let address): "anon:" + address
    case .user(let id, _, _): "user:" + id.text
    case .providerKey(let providerID): "provider:" + providerID
    }
  }
}

/// What a sign-in was let in by: the account's row as it was looked at.
public struct SignInProof: Sendable, Equatable {
  let hash: String
  let role: Role
  let providerID: String?
}

/// A person's account.
public struct User: Sendable {
  /// The id.
  public let id: ID<UserKind>
  /// The e-mail, in lower case.
  public let email: String
  /// The name, where it was given.
  public let name: String?
  /// What the account may do.
  public let role: Role
  /// The provider of a provider's account.
  public let providerID: String?
  /// When the e-mail was proved, or nil.
  public var verifiedAt: Timestamp?
  /// Since when it may not sign in, or nil.
  public var frozenAt: Timestamp?
  /// When it was made.
  public var createdAt = Timestamp(milliseconds: 0)
  /// Days that its conversations are kept: 0, 30, 60 or 90.
  public var conversationDays = 30
  /// What a sign-in by password was let in by; nil where there was none.
  public internal(set) var proof: SignInProof?
}
