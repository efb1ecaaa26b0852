import Primitives
import Testing

// Specification core, section 8.1.
private let codes: [(Int, [String])] = [
  (400, ["malformed_json", "idempotency_key_required", "signature_invalid"]),
  (400, ["filter_invalid", "cursor_invalid"]),
  (401, ["unauthenticated", "token_invalid", "token_expired"]),
  (402, ["insufficient_funds"]),
  (403, ["forbidden", "origin_not_allowed", "reauth_required"]),
  (404, ["not_found"]),
  (405, ["method_not_allowed"]),
  (406, ["not_acceptable"]),
  (409, ["invalid_transition", "idempotency_in_flight", "token_reused", "proposal_consumed"]),
  (409, ["proposal_declined", "proposal_stale", "trial_already_open", "trial_not_offered"]),
  (409, ["trial_limit_reached", "trial_budget_exhausted", "hold_already_captured"]),
  (409, ["hold_already_voided", "hold_already_expired", "account_closed", "account_frozen"]),
  (410, ["proposal_expired", "stream_expired", "search_id_expired"]),
  (409, ["email_taken", "turn_running", "parent_stale", "conversation_full"]),
  (409, ["balance_not_empty", "mail_not_configured"]),
  (412, ["revision_mismatch"]),
  (413, ["body_too_large"]),
  (415, ["unsupported_media_type"]),
  (422, ["validation_failed", "idempotency_conflict", "id_exists_different"]),
  (422, ["amount_out_of_range", "exceeds_hold", "exceeds_capture", "proposal_required"]),
  (422, ["search_id_invalid", "service_not_shown"]),
  (429, ["rate_limited"]),
  (500, ["internal"]),
  (503, ["storage_unavailable", "not_searchable_yet", "shutting_down"]),
]

@Suite("a problem has a stable code")
struct ProblemCodeTests {
  @Test("a code of the specification has the status of the specification", arguments: codes)
  func statuses(status: Int, names: [String]) throws {
    for name in names {
      let code = try #require(ProblemCode(rawValue: name), "\(name) is a code")
      #expect(code.status == status, "\(name)")
    }
  }

  @Test("a code is lower-case words joined by underscores", arguments: ProblemCode.allCases)
  func spelling(code: ProblemCode) {
    let isPlain = code.rawValue.utf8.allSatisfy { $0 == 0x5F || (0x61...0x7A).contains($0) }
    #expect(isPlain)
    #expect((400...599).contains(code.status))
  }

  @Test("refusals are equal when all their facts are")
  func refusals() {
    let fields = [Refusal.Field("/email", "must be an e-mail address")]
    let facts: JSONObject = ["position": .int(3)]
    let refusal = Refusal(.validationFailed, "No.", fields: fields, facts: facts)
    #expect(refusal == Refusal(.validationFailed, "No.", fields: fields, facts: facts))
    #expect(refusal != Refusal(.validationFailed, "No.", fields: fields))
    #expect(refusal != Refusal(.internal, "No.", fields: fields, facts: facts))
    #expect(refusal.retryAfterSeconds == nil)
  }
}
