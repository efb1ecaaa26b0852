internal import Primitives

/// The schemas of proposals and sessions.
enum SessionSchemas {
  static let all: [(String, Schema)] = [("Proposal", proposal), ("Session", session)]

  private static let proposal = Schema.object([
    "id": .id, "kind": .one(of: "trial", "paid"), "plan": .string, "serviceId": .slug,
    "serviceName": .string, "provider": .string, "offerId": .string, "revision": .count,
    "durationMinutes": .integer(5...180), "maxTokens": .count,
    "ratePerHourMicrotokens": .count, "unitPriceMicrotokens": .count, "unit": .string.orNull,
    "heldMicrotokens": .microtokens, "paidBy": .one(of: "platform", "user"), "paidTo": .string,
    "userPaysMicrotokens": .microtokens, "feeBasisPoints": .count,
    "feeMicrotokens": .microtokens, "sandbox": .boolean,
    "text": Schema.string.about("What the user agrees to, in words."),
    "termsHash": Schema.string.about("Names exactly these terms."),
    "confirm": .object(["method": .string, "path": .string, "body": .document]),
    "consent?": .object([
      "providerId": .string, "providerName": .string,
      "needed": Schema.boolean.about("Whether something has to be allowed for a session to start."),
      "scopes": .list(
        .object([
          "name": .one(of: "profile", "email", "session_access"), "description": .string,
          "required": .boolean, "granted": .boolean,
        ])), "givenAt": Schema.moment.orNull,
    ]),
    "createdAt": .moment, "expiresAt": .moment,
  ])

  private static let session = Schema.object([
    "id": .id,
    "state": .one(of: "pending", "active", "paused", "completed", "failed", "expired"),
    "reason": .string.orNull, "kind": .one(of: "trial", "paid"), "plan": .string,
    "serviceId": .slug, "serviceRevision": .count, "offerId": .string, "providerId": .string,
    "durationMinutes": .integer(5...180), "ratePerHourMicrotokens": .count,
    "unitPriceMicrotokens": .count, "units": .count, "heldMicrotokens": .microtokens,
    "usedMicrotokens": .microtokens, "chargedMicrotokens": .microtokens,
    "releasedMicrotokens": .microtokens, "refundedMicrotokens": .microtokens,
    "feeBasisPoints": .count, "feeMicrotokens": .microtokens,
    "paidBy": .one(of: "platform", "user"), "paidTo": .string, "activeSeconds": .count,
    "remainingSeconds": .count, "flagged": .boolean, "createdAt": .moment,
    "startedAt": Schema.moment.orNull, "endsAt": Schema.moment.orNull,
    "redirectUrl?": .string.orNull, "formPost?": .document, "redeemBefore?": .moment,
    "userId?": Schema.string.about("The user as this provider knows it."),
    "token?": Schema.string.about("A session token; where it is due."),
  ])
}
