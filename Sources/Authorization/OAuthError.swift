/// A refusal in the words of OAuth (RFC 6749 sections 4.1.2.1 and 5.2, RFC 8707 section 2).
public struct OAuthError: Error, Equatable, Sendable {
  /// The stable code.
  public enum Code: String, Sendable {
    case invalidRequest = "invalid_request"
    case invalidClient = "invalid_client"
    case invalidGrant = "invalid_grant"
    case invalidScope = "invalid_scope"
    case invalidTarget = "invalid_target"
    case unauthorizedClient = "unauthorized_client"
    case unsupportedGrantType = "unsupported_grant_type"
    case unsupportedResponseType = "unsupported_response_type"
    case accessDenied = "access_denied"
    case temporarilyUnavailable = "temporarily_unavailable"
  }

  /// The code.
  public let code: Code
  /// What to do instead, for the client's developer. Never a secret or a value that was sent.
  public let detail: String

  /// A refusal.
  public init(_ code: Code, _ detail: String) {
    self.code = code
    self.detail = detail
  }

  /// The HTTP status of a token endpoint's answer.
  public var status: Int {
    switch code {
    case .invalidClient: 401
    case .temporarilyUnavailable: 503
    default: 400
    }
  }

  /// When it may be tried again; nil where trying again changes nothing.
  public var retryAfterSeconds: Int? { code == .temporarilyUnavailable ? 5 : nil }
}

/// Why an authorization request was not accepted, and who is told.
public enum AuthorizationFault: Error, Equatable, Sendable {
  /// The person, on a page of ours: nothing says yet that the address to return to is the client's.
  case shown(OAuthError)
  /// The client, at its address.
  case returned(OAuthError, to: String, state: String?)
}
