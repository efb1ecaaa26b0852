public import Identity
public import Primitives

/// For what, and of whose login, a sign-in is asked for that stands for a password.
public struct SignInAgain: Sendable, Equatable {
  /// The account that asks.
  public let user: ID<UserKind>
  /// Its login that asks.
  public let login: ID<LoginKind>
  /// What it is for.
  public let purpose: FreshPurpose

  /// A wish.
  public init(user: ID<UserKind>, login: ID<LoginKind>, purpose: FreshPurpose) {
    self.user = user
    self.login = login
    self.purpose = purpose
  }

  init?(_ kept: JSON?) {
    guard let user = kept?["user"]?.string.flatMap({ ID<UserKind>($0) }),
      let login = kept?["login"]?.string.flatMap({ ID<LoginKind>($0) }),
      let purpose = kept?["purpose"]?.string.flatMap(FreshPurpose.init(rawValue:))
    else { return nil }
    self.init(user: user, login: login, purpose: purpose)
  }

  var json: JSON {
    [
      "user": .string(user.text), "login": .string(login.text),
      "purpose": .string(purpose.rawValue),
    ]
  }
}
