internal import Primitives

/// The schemas of proposals, sessions and the ledger.
enum SessionSchemas {
  static let all: [(String, Schema)] = [
    ("Proposal", proposal), ("Session", session),
  ]

  private static let proposal = Schema.object([
    "id": .id, "kind": .one(of: "trial", "paid"), "serviceId": .slug, "serviceName": .string,
    "provider": .string, "offerId": .string, "revision": .count,
    "durationMinutes": .integer(5...180), "maxTokens": .count, "heldMicrotokens": .microtokens,
    "paidBy": .one(of: "platform", "user"), "userPaysMicrotokens": .microtokens,
    "sandbox?": .boolean, "text": Schema.string.about("What the user agrees to, in words."),
    "confirm": .object(["method": .string, "path": .string, "body": .document]),
    "expiresAt": .moment,
  ])

  private static let session = Schema.object([
    "id": .id,
    "state": .one(of: "pending", "active", "paused", "completed", "failed", "expired"),
    "reason": .string.orNull, "kind": .one(of: "trial", "paid"), "serviceId": .slug,
    "serviceRevision": .count, "offerId": .string, "providerId": .string,
    "durationMinutes": .integer(5...180), "ratePerHourMicrotokens": .microtokens,
    "heldMicrotokens": .microtokens, "usedMicrotokens": .microtokens,
    "chargedMicrotokens": .microtokens, "releasedMicrotokens": .microtokens,
    "paidBy": .one(of: "platform", "user"), "activeSeconds": .count, "remainingSeconds": .count,
    "createdAt": .moment, "startedAt": Schema.moment.orNull, "endsAt": Schema.moment.orNull,
    "redirectUrl?": Schema.string.orNull, "redeemBefore?": .moment,
    "token?": Schema.string.about("A session token; where it is due."),
  ])
}
