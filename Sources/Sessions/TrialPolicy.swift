/// The provider that `serve --demo` brings: trials of demo listings run against it.
public struct Sandbox: Sendable {
  /// The provider's id.
  public static let providerID = "waypost-sandbox"
  /// The audience of launch tokens.
  public static let appID = "waypost-sandbox"

  /// The page that sessions go to.
  public let redirectURL: String
  /// The origin of that page: as a public app it may redeem with the token alone.
  public let origin: String

  /// The sandbox of a server at a public address.
  public init(publicURL: String) {
    redirectURL = publicURL + "/demo/app"
    origin = publicURL
  }
}

/// The rules of trials; each number is a setting.
public struct TrialPolicy: Sendable {
  /// Trials a user may start in 24 hours.
  public var perDayMax: Int64 = 5
  /// Trials that may start with one provider in 24 hours: they are paid from the platform's budget. The
  /// sandbox has no such bound, for what it earns is the platform's.
  public var perProviderDayMax: Int64 = 200
  /// Finished trials of one service a user may have in 30 days.
  public var repeatsMax: Int64 = 1
  /// The most a trial may use, in whole tokens, whatever the listing says.
  public var capTokens: Int64 = 250
  /// Where demo listings are tried, or nil.
  public var sandbox: Sandbox?

  /// The defaults.
  public init() {}
}
