public import Identity
public import Primitives

/// Who acts on a session.
public enum SessionActor: Sendable, Equatable {
  /// How old a session token is.
  public enum TokenAge: Sendable, Equatable {
    /// More than five minutes are left.
    case fresh
    /// At most five minutes are left: the next reply brings another.
    case ageing
    /// Expired at most 30 minutes ago: good only to wake a paused session.
    case late
  }

  /// The user whose session it is.
  case user(ID<UserKind>)
  /// The provider that runs it.
  case provider(String)
  /// The bearer of its session token.
  case bearer(ID<SessionKind>, TokenAge = .fresh)
  /// The bearer of a launch token, which the first heartbeat may redeem.
  case launch(token: String)
  /// An admin.
  case admin
}
