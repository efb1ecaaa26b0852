public import Primitives

/// What a key or a third party's token may do; a route that no scope names is closed to all of them.
public enum Scope: String, Sendable, CaseIterable {
  /// Searches, and what is around them.
  case discoveryRead = "discovery:read"
  /// Proposals and the sessions that start from them.
  case trialsStart = "trials:start"
  /// Own sessions and movements.
  case sessionsRead = "sessions:read"
  /// Ends, pauses and revokes sessions.
  case sessionsEnd = "sessions:end"
  /// A provider's listings, written.
  case listingsWrite = "listings:write"
  /// Launch tokens redeemed, usage reported, sessions of the provider driven.
  case sessionsRun = "sessions:run"
  /// A provider's webhooks and settings.
  case providerManage = "provider:manage"

  /// What a person's key may have.
  public static let ofPeople: Set<Scope> = [
    .discoveryRead, .trialsStart, .sessionsRead, .sessionsEnd,
  ]
  /// What a provider's key may have.
  public static let ofProviders: Set<Scope> = [
    .discoveryRead, .sessionsRead, .sessionsEnd, .listingsWrite, .sessionsRun, .providerManage,
  ]
}

/// The bounds of a key or of a token made from one.
public struct Grant: Sendable, Equatable {
  /// Requests a minute, counted by a name: of the key, or of a token made from it. Never a secret.
  public struct Limit: Sendable, Equatable {
    /// What is counted.
    public let name: String
    /// How many.
    public let perMinute: Int
  }

  /// What it is: a key, a key and the token made from it, a program's grant. Never a secret.
  public let name: String
  /// What it may do; nil for a provider's key from before there were scopes, which may do all a provider may.
  public let scopes: Set<Scope>?
  /// Filter expressions that every search is narrowed by, each parsed by itself so that none can undo another;
  /// where there are any, it may do nothing but search.
  public let filters: [String]
  /// Its own limits, all of which hold: the key's counts the tokens made from it together, or who makes tokens
  /// would have the key's rate as often as he likes.
  public let limits: [Limit]
  /// Whether others than the owner have it, as a browser or a program: their requests must not use up what the
  /// owner's own need.
  public let isHeldByOthers: Bool
  /// The part of the server that a third party's token is for, such as `/mcp`; nil for all of it.
  public let part: String?

  /// Whether a third party's program has it, which may not spend what is the person's.
  public var isThirdParty: Bool { name.hasPrefix(Grant.thirdPartyPrefix) }
  /// How the names of programs' bounds begin.
  static let thirdPartyPrefix = "oauth:"

  /// Bounds.
  public init(
    name: String, scopes: Set<Scope>?, filters: [String] = [], limits: [Limit] = [],
    isHeldByOthers: Bool = false, part: String? = nil
  ) {
    self.limits = limits
    self.isHeldByOthers = isHeldByOthers
    self.part = part
    self.name = name
    self.scopes = scopes
    self.filters = filters
  }
}

/// What a bearer credential is: who, and within which bounds.
public struct Credential: Sendable, Equatable {
  /// Who makes the request.
  public let principal: Principal
  /// The login of an access token, where it has one.
  public let login: ID<LoginKind>?
  /// The bounds of a key; nil for a person's own access token, which has those of the account alone.
  public let grant: Grant?

  /// A credential.
  public init(principal: Principal, login: ID<LoginKind>? = nil, grant: Grant? = nil) {
    self.principal = principal
    self.login = login
    self.grant = grant
  }
}
