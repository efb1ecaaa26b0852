internal import Cryptography
public import Identity
public import Primitives
internal import SQLite

/// The kind of a proposal's id, for `ID`.
public enum ProposalKind: Sendable {}

/// A server-side, single-use offer of a session (chat.md, S2).
public struct Proposal: Sendable {
  /// How long a proposal lives.
  public static let lifeMilliseconds: Int64 = 300_000

  /// The id: 128 random bits.
  public let id: ID<ProposalKind>
  /// Whose.
  public let userID: ID<UserKind>
  /// What is agreed to.
  public let terms: SessionTerms
  /// What the provider would know of the user.
  public let consent: ConsentQuestion
  /// When it was made.
  public let createdAt: Timestamp
  /// When it ends.
  public var expiresAt: Timestamp { createdAt + Proposal.lifeMilliseconds }

  /// The proposal as the user must see it.
  public var json: JSONObject {
    var view: JSONObject = ["id": .string(id.text)]
    for member in terms.json.members { view[member.key] = member.value }
    view["consent"] = consent.json
    view["confirm"] = [
      "method": "POST", "path": "/v1/sessions", "body": ["proposalId": .string(id.text)],
    ]
    view["createdAt"] = .string(createdAt.rfc3339)
    view["expiresAt"] = .string(expiresAt.rfc3339)
    return view
  }

  func insert(signature: [UInt8], on connection: Connection) throws {
    try connection.run(
      """
      INSERT INTO proposal(id, user_id, service_id, service_revision, offer_id, signature,
      terms_hash, kind, rate_per_hour, max_amount, duration_ms, created_ms, expires_ms, state,
      redirect_url, document)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'proposed', ?, ?)
      """,
      [
        .blob(id.bytes), .blob(userID.bytes), .text(terms.serviceID), .int(terms.revision),
        .text(terms.offerID), .blob(signature), .blob(terms.hash),
        .text(terms.isPaid ? "paid" : "trial"), .int(terms.ratePerHour), .int(terms.cap),
        .int(terms.minutes * 60_000), .int(createdAt.milliseconds), .int(expiresAt.milliseconds),
        .text(terms.redirectURL), .text(JSON.object(json).text),
      ])
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
  /// What its terms are read from again.
  let wish: SessionWish
  let signature: [UInt8]
  let termsHash: [UInt8]
  let createdAt: Int64
  let expiresAt: Int64
  let state: String
  let sessionID: [UInt8]?
  /// What the user was shown; empty for a proposal of an older program.
  let document: String

  static func read(
    _ id: ID<ProposalKind>, of user: ID<UserKind>, on connection: Connection
  ) throws -> ProposalRow {
    let row = try connection.first(
      """
      SELECT service_id, signature, terms_hash, created_ms, expires_ms, state, session_id, kind,
      offer_id, duration_ms, max_amount, redirect_url, document
      FROM proposal WHERE id = ? AND user_id = ?
      """, [.blob(id.bytes), .blob(user.bytes)]
    ) { row in
      ProposalRow(
        id: id.bytes, userID: user.bytes,
        wish: SessionWish(
          serviceID: row.text(0), isPaid: row.text(7) == "paid", offerID: row.text(8),
          minutes: row.int(9) / 60_000, maxTokens: row.int(10) / 1_000_000,
          redirectURL: row.optionalText(11)),
        signature: row.blob(1), termsHash: row.blob(2), createdAt: row.int(3),
        expiresAt: row.int(4), state: row.text(5),
        sessionID: row.isNull(6) ? nil : row.blob(6), document: row.optionalText(12) ?? "{}")
    }
    guard let row else { throw Refusal(.notFound, "There is no such proposal.") }
    return row
  }

  /// The proposal as its user reads it, with what has become of it.
  func json(at now: Timestamp) -> JSONObject {
    var view = (try? JSON.parse(Array(document.utf8)))?.object ?? [:]
    view["id"] = .string(ID<ProposalKind>(bytes: id)?.text ?? "")
    let isOver = state == "proposed" && now.milliseconds >= expiresAt
    view["state"] = .string(isOver ? "expired" : state)
    view["expiresAt"] = .string(Timestamp(milliseconds: expiresAt).rfc3339)
    view["sessionId"] = .optional(sessionID.flatMap { ID<SessionKind>(bytes: $0)?.text })
    return view
  }

  /// What the user was asked to let the provider know, and whether anything had to be allowed still; nothing where the
  /// proposal is of an older program.
  var asked: (scopes: [ProviderScope], isOpen: Bool?) {
    let consent = (try? JSON.parse(Array(document.utf8)))?["consent"]
    let names = consent?["scopes"]?.array?.map { $0["name"]?.string } ?? []
    return (
      names.compactMap { $0.flatMap(ProviderScope.init(rawValue:)) }, consent?["needed"]?.bool
    )
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
