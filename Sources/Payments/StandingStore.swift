public import Identity
public import Primitives
public import SQLite

/// Whether a user may spend: a dispute that takes more than the user has freezes the account (specification core, 2.1).
public enum StandingStore {
  /// Refuses a frozen user; asked before units are reserved or bought, inside the caller's transaction.
  ///
  /// - Throws: `Refusal` `account_frozen`.
  public static func requireNotFrozen(_ user: ID<UserKind>, on connection: Connection) throws {
    guard try frozenSince(user, on: connection) == nil else {
      throw Refusal(
        .accountFrozen,
        "A disputed payment took more than the account has; an admin must settle it first.")
    }
  }

  /// Since when the user is frozen, or nil.
  public static func frozenSince(
    _ user: ID<UserKind>, on connection: Connection
  ) throws -> Timestamp? {
    try connection.first(
      "SELECT frozen_ms FROM payment_standing WHERE user_id = ? AND frozen_ms IS NOT NULL",
      [.blob(user.bytes)]
    ) { Timestamp(milliseconds: $0.int(0)) }
  }

  /// Frozen once stays frozen, since the first time, until it is lifted.
  static func freeze(_ user: ID<UserKind>, at now: Timestamp, on connection: Connection) throws {
    try connection.run(
      """
      INSERT INTO payment_standing(user_id, frozen_ms) VALUES (?1, ?2)
      ON CONFLICT(user_id) DO UPDATE SET frozen_ms = coalesce(frozen_ms, ?2)
      """, [.blob(user.bytes), .int(now.milliseconds)])
  }

  static func lift(_ user: ID<UserKind>, at now: Timestamp, on connection: Connection) throws {
    try connection.run(
      "UPDATE payment_standing SET frozen_ms = NULL, settled_ms = ? WHERE user_id = ?",
      [.int(now.milliseconds), .blob(user.bytes)])
  }

  /// A user who is frozen or owes.
  struct Debtor {
    let user: ID<UserKind>
    let owed: Microtokens
    let frozenAt: Timestamp?

    var json: JSON {
      [
        "userId": .string(user.text), "owedMicrotokens": .int(owed.count),
        "frozenAt": .optional(frozenAt?.rfc3339),
      ]
    }
  }

  /// Everybody who is frozen or owes, by id, after one, at most so many.
  static func debtors(
    after user: ID<UserKind>?, limit: Int, on connection: Connection
  ) throws -> [Debtor] {
    try connection.rows(
      """
      SELECT who, sum(owed), max(frozen) FROM (
        SELECT user_id AS who, owed, NULL AS frozen FROM purchase WHERE owed > 0
        UNION ALL
        SELECT user_id, 0, frozen_ms FROM payment_standing WHERE frozen_ms IS NOT NULL)
      WHERE who > ? GROUP BY who ORDER BY who LIMIT ?
      """, [.blob(user?.bytes ?? []), .int(Int64(limit))]
    ) { row in
      Debtor(
        user: ID(bytes: row.blob(0)) ?? ID(high: 0, low: 0), owed: Microtokens(row.int(1)),
        frozenAt: row.optionalInt(2).map(Timestamp.init(milliseconds:)))
    }
  }
}
