internal import Cryptography
public import Identity
public import Primitives
internal import SQLite

/// The kind of a proposal's id, for `ID`.
public enum ProposalKind: Sendable {}

/// A server-side, single-use offer of a trial (chat.md, S2).
public struct Proposal: Sendable {
  /// How long a proposal lives.
  public static let lifeMilliseconds: Int64 = 300_000

  /// The id: 128 random bits.
  public let id: ID<ProposalKind>
  /// Whose.
  public let userID: ID<UserKind>
  /// What is agreed to.
  public let terms: TrialTerms
  /// When it was made.
  public let createdAt: Timestamp
  /// When it ends.
  public var expiresAt: Timestamp { createdAt + Proposal.lifeMilliseconds }

  /// The proposal as the user must see it.
  public var json: JSONObject {
    [
      "id": .string(id.text), "kind": "trial", "serviceId": .string(terms.serviceID),
      "serviceName": .string(terms.serviceName), "provider": .string(terms.providerName),
      "offerId": .string(terms.offerID), "revision": .int(terms.revision),
      "durationMinutes": .int(terms.minutes), "maxTokens": .int(terms.cap / 1_000_000),
      "heldMicrotokens": .int(terms.amount), "paidBy": "platform", "userPaysMicrotokens": 0,
      "sandbox": .bool(terms.isSandbox), "text": .string(terms.consent),
      "confirm": [
        "method": "POST", "path": "/v1/sessions", "body": ["proposalId": .string(id.text)],
      ],
      "expiresAt": .string(expiresAt.rfc3339),
    ]
  }

  /// What the signature covers (RFC 8785 form).
  static func signed(
    id: [UInt8], userID: [UInt8], termsHash: [UInt8], createdAt: Int64
  ) -> [UInt8] {
    let row: JSON = [
      "id": .string(BytesText.hex(id)), "user": .string(BytesText.hex(userID)),
      "terms": .string(BytesText.hex(termsHash)), "createdMs": .int(createdAt),
    ]
    return row.canonicalBytes
  }
}

/// A proposal as stored.
struct ProposalRow {
  let id: [UInt8]
  let userID: [UInt8]
  let serviceID: String
  let signature: [UInt8]
  let termsHash: [UInt8]
  let createdAt: Int64
  let expiresAt: Int64
  let state: String
  let sessionID: [UInt8]?

  static func read(
    _ id: ID<ProposalKind>, of user: ID<UserKind>, on connection: Connection
  ) throws -> ProposalRow {
    let row = try connection.first(
      """
      SELECT service_id, signature, terms_hash, created_ms, expires_ms, state, session_id
      FROM proposal WHERE id = ? AND user_id = ?
      """, [.blob(id.bytes), .blob(user.bytes)]
    ) {
      ProposalRow(
        id: id.bytes, userID: user.bytes, serviceID: $0.text(0), signature: $0.blob(1),
        termsHash: $0.blob(2), createdAt: $0.int(3), expiresAt: $0.int(4), state: $0.text(5),
        sessionID: $0.isNull(6) ? nil : $0.blob(6))
    }
    guard let row else { throw Refusal(.notFound, "There is no such proposal.") }
    return row
  }

  /// Why a proposal cannot be used any more, in the fixed order of refusals.
  func requireOpen(at now: Timestamp) throws(Refusal) {
    switch state {
    case "consumed": throw Refusal(.proposalConsumed, "This proposal was used already.")
    case "declined": throw Refusal(.proposalDeclined, "This proposal was declined.")
    case "expired": throw Refusal(.proposalExpired, "This proposal has expired.")
    default: break
    }
    guard now.milliseconds < expiresAt else {
      throw Refusal(.proposalExpired, "This proposal has expired; ask for a new one.")
    }
  }
}
