/// The stable code of everything Waypost refuses. Codes are added, never renamed (Pages/problems.md lists them).
public enum ProblemCode: String, Sendable, CaseIterable {
  case malformedJSON = "malformed_json"
  case idempotencyKeyRequired = "idempotency_key_required"
  case signatureInvalid = "signature_invalid"
  case filterInvalid = "filter_invalid"
  case cursorInvalid = "cursor_invalid"
  case unauthenticated
  case tokenInvalid = "token_invalid"
  case tokenExpired = "token_expired"
  case insufficientFunds = "insufficient_funds"
  case forbidden
  case originNotAllowed = "origin_not_allowed"
  case reauthRequired = "reauth_required"
  case notFound = "not_found"
  case methodNotAllowed = "method_not_allowed"
  case notAcceptable = "not_acceptable"
  case bodyTooLarge = "body_too_large"
  case unsupportedMediaType = "unsupported_media_type"
  case invalidTransition = "invalid_transition"
  case idempotencyInFlight = "idempotency_in_flight"
  case tokenReused = "token_reused"
  case proposalConsumed = "proposal_consumed"
  case proposalDeclined = "proposal_declined"
  case proposalStale = "proposal_stale"
  case trialAlreadyOpen = "trial_already_open"
  case trialNotOffered = "trial_not_offered"
  case trialLimitReached = "trial_limit_reached"
  case trialBudgetExhausted = "trial_budget_exhausted"
  case spendingLimitReached = "spending_limit_reached"
  case holdAlreadyCaptured = "hold_already_captured"
  case holdAlreadyVoided = "hold_already_voided"
  case holdAlreadyExpired = "hold_already_expired"
  case accountClosed = "account_closed"
  case accountFrozen = "account_frozen"
  case emailTaken = "email_taken"
  case balanceNotEmpty = "balance_not_empty"
  case mailNotConfigured = "mail_not_configured"
  case turnRunning = "turn_running"
  case parentStale = "parent_stale"
  case conversationFull = "conversation_full"
  case proposalExpired = "proposal_expired"
  case streamExpired = "stream_expired"
  case revisionMismatch = "revision_mismatch"
  case validationFailed = "validation_failed"
  case idempotencyConflict = "idempotency_conflict"
  case idExistsDifferent = "id_exists_different"
  case amountOutOfRange = "amount_out_of_range"
  case exceedsHold = "exceeds_hold"
  case exceedsCapture = "exceeds_capture"
  case proposalRequired = "proposal_required"
  case rateLimited = "rate_limited"
  case `internal`
  case storageUnavailable = "storage_unavailable"
  case notSearchableYet = "not_searchable_yet"
  case shuttingDown = "shutting_down"
  case searchIDInvalid = "search_id_invalid"
  case searchIDExpired = "search_id_expired"
  case serviceNotShown = "service_not_shown"
  case purchasesNotOffered = "purchases_not_offered"
  case paymentsUnavailable = "payments_unavailable"

  /// The HTTP status that carries this code.
  public var status: Int {
    switch self {
    case .malformedJSON, .idempotencyKeyRequired, .signatureInvalid, .filterInvalid, .cursorInvalid:
      400
    case .unauthenticated, .tokenInvalid, .tokenExpired: 401
    case .insufficientFunds: 402
    case .forbidden, .originNotAllowed, .reauthRequired: 403
    case .notFound: 404
    case .methodNotAllowed: 405
    case .notAcceptable: 406
    case .bodyTooLarge: 413
    case .unsupportedMediaType: 415
    case .proposalExpired, .streamExpired, .searchIDExpired: 410
    case .revisionMismatch: 412
    case .validationFailed, .idempotencyConflict, .idExistsDifferent, .amountOutOfRange,
      .exceedsHold, .exceedsCapture, .proposalRequired, .searchIDInvalid, .serviceNotShown:
      422
    case .rateLimited: 429
    case .internal: 500
    case .storageUnavailable, .notSearchableYet, .shuttingDown, .paymentsUnavailable: 503
    default: 409
    }
  }
}

/// A refusal that the caller can act on: a stable code and the facts. `API` turns it into problem+json.
public struct Refusal: Error, Equatable, Sendable {
  /// One field that was not accepted.
  public struct Field: Equatable, Sendable {
    /// The field as a JSON Pointer (RFC 6901), such as `/offers/0/prices`.
    public let pointer: String
    /// Why, in a few words.
    public let reason: String

    /// A field and why it was refused.
    public init(_ pointer: String, _ reason: String) {
      self.pointer = pointer
      self.reason = reason
    }
  }

  /// The stable code.
  public let code: ProblemCode
  /// What to do instead, for a person. Never a secret, SQL or a path of the machine.
  public let detail: String
  /// The fields at fault, where there are any.
  public let fields: [Field]
  /// Further facts for the answer, such as `position` of a bad filter.
  public let facts: JSONObject
  /// When to try again, in seconds.
  public let retryAfterSeconds: Int?

  /// A refusal with its facts.
  public init(
    _ code: ProblemCode, _ detail: String, fields: [Field] = [], facts: JSONObject = [:],
    retryAfterSeconds: Int? = nil
  ) {
    self.code = code
    self.detail = detail
    self.fields = fields
    self.facts = facts
    self.retryAfterSeconds = retryAfterSeconds
  }
}
