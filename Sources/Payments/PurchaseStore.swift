internal import Identity
internal import Primitives
internal import SQLite

/// The rows of purchases. Every function runs inside the caller's transaction.
enum PurchaseStore {
  private static let columns = """
    id, user_id, token_amount, amount_minor, currency, state, body_hash, attempt, checkout_session,
    checkout_url, payment_intent, refunded_minor, disputed_minor, credited, clawed, owed, forgiven,
    flag, created_ms, updated_ms
    """

  static func insert(_ purchase: Purchase, requestKey: [UInt8], on connection: Connection) throws {
    try connection.run(
      """
      INSERT INTO purchase(id, user_id, token_amount, amount_minor, currency, state, request_key,
      body_hash, created_ms, updated_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .blob(purchase.id.bytes), .blob(purchase.userID.bytes), .int(purchase.tokenAmount),
        .int(purchase.amountMinor), .text(purchase.currency), .text(purchase.state.rawValue),
        .blob(requestKey), .blob(purchase.bodyHash), .int(purchase.createdAt.milliseconds),
        .int(purchase.updatedAt.milliseconds),
      ])
  }

  /// Writes what changes in a purchase's life; its user, size and price never do.
  static func update(_ purchase: Purchase, on connection: Connection) throws {
    try connection.run(
      """
      UPDATE purchase SET state = ?, checkout_session = ?, checkout_url = ?, payment_intent = ?,
      refunded_minor = ?, disputed_minor = ?, credited = ?, clawed = ?, owed = ?, forgiven = ?,
      flag = ?, updated_ms = ? WHERE id = ?
      """,
      [
        .text(purchase.state.rawValue), .optional(purchase.checkoutSession),
        .optional(purchase.checkoutURL), .optional(purchase.paymentIntent),
        .int(purchase.refundedMinor), .int(purchase.disputedMinor), .int(purchase.credited.count),
        .int(purchase.clawed.count), .int(purchase.owed.count), .int(purchase.forgiven.count),
        .optional(purchase.flag), .int(purchase.updatedAt.milliseconds), .blob(purchase.id.bytes),
      ])
  }

  static func purchase(_ id: ID<PurchaseKind>, on connection: Connection) throws -> Purchase? {
    try connection.first(
      "SELECT \(columns) FROM purchase WHERE id = ?", [.blob(id.bytes)], read)
  }

  /// The purchase that a keyed request began, while its key is remembered.
  static func purchase(requestKey: [UInt8], on connection: Connection) throws -> Purchase? {
    try connection.first(
      "SELECT \(columns) FROM purchase WHERE request_key = ?", [.blob(requestKey)], read)
  }

  static func purchase(checkoutSession: String, on connection: Connection) throws -> Purchase? {
    try connection.first(
      "SELECT \(columns) FROM purchase WHERE checkout_session = ?", [.text(checkoutSession)], read)
  }

  static func purchase(paymentIntent: String, on connection: Connection) throws -> Purchase? {
    try connection.first(
      "SELECT \(columns) FROM purchase WHERE payment_intent = ?", [.text(paymentIntent)], read)
  }

  /// Purchases whose user owes something, oldest first.
  static func owing(_ user: ID<UserKind>, on connection: Connection) throws -> [Purchase] {
    try connection.rows(
      "SELECT \(columns) FROM purchase WHERE user_id = ? AND owed > 0 ORDER BY id",
      [.blob(user.bytes)], read)
  }

  /// Whether a dispute holds money of one of the user's purchases.
  static func isDisputed(_ user: ID<UserKind>, on connection: Connection) throws -> Bool {
    try connection.first(
      "SELECT 1 FROM purchase WHERE user_id = ? AND disputed_minor > 0 LIMIT 1",
      [.blob(user.bytes)]
    ) { _ in true } ?? false
  }

  /// How many purchases of the user wait to be paid since a moment.
  static func unpaidCount(
    of user: ID<UserKind>, since: Timestamp, on connection: Connection
  ) throws -> Int64 {
    try connection.first(
      """
      SELECT count(*) FROM purchase WHERE user_id = ? AND id >= ? AND state IN ('created','open')
      """, [.blob(user.bytes), .blob(earliest(since).bytes)]
    ) { $0.int(0) } ?? 0
  }

  /// What a list shows.
  struct Selection {
    var user: ID<UserKind>?
    var state: PurchaseState?
    var isFlagged = false
    var before: ID<PurchaseKind>?
    var limit: Int
  }

  /// Newest first.
  static func list(_ selection: Selection, on connection: Connection) throws -> [Purchase] {
    var conditions = ["1"]
    var values: [SQLValue] = []
    if let user = selection.user {
      conditions.append("user_id = ?")
      values.append(.blob(user.bytes))
    }
    if let state = selection.state {
      conditions.append("state = ?")
      values.append(.text(state.rawValue))
    }
    if selection.isFlagged { conditions.append("flag IS NOT NULL") }
    if let before = selection.before {
      conditions.append("id < ?")
      values.append(.blob(before.bytes))
    }
    values.append(.int(Int64(selection.limit)))
    return try connection.rows(
      """
      SELECT \(columns) FROM purchase WHERE \(conditions.joined(separator: " AND "))
      ORDER BY id DESC LIMIT ?
      """, values, read)
  }

  /// The processor has failed for good under the key of this attempt: the next one sends another.
  static func spend(attempt: Int64, of id: ID<PurchaseKind>, on connection: Connection) throws {
    try connection.run(
      "UPDATE purchase SET attempt = attempt + 1 WHERE id = ? AND attempt = ?",
      [.blob(id.bytes), .int(attempt)])
  }

  /// Forgets where a person pays.
  static func forgetPages(of user: ID<UserKind>, on connection: Connection) throws {
    try connection.run(
      "UPDATE purchase SET checkout_url = NULL WHERE user_id = ? AND checkout_url IS NOT NULL",
      [.blob(user.bytes)])
  }

  /// Forgets the keys of requests before a moment, at most 500 of each kind; what nobody could pay by then has
  /// expired.
  ///
  /// - Returns: Whether there may be more.
  static func prune(before moment: Timestamp, on connection: Connection) throws -> Bool {
    let changes = [
      ("purchase", "request_key = NULL", "request_key IS NOT NULL"),
      ("purchase", "state = 'expired'", "state = 'created'"),
      ("purchase_refund", "request_key = NULL", "request_key IS NOT NULL"),
    ]
    let counts = try changes.map { table, change, condition in
      try connection.run(
        """
        UPDATE \(table) SET \(change) WHERE id IN
        (SELECT id FROM \(table) WHERE \(condition) AND created_ms < ? LIMIT 500)
        """, [.int(moment.milliseconds)])
    }
    return counts.contains(500)
  }

  /// The least id of a moment: ids begin with their milliseconds.
  private static func earliest(_ moment: Timestamp) -> ID<PurchaseKind> {
    ID(at: moment, random: RandomSource { [UInt8](repeating: 0, count: $0) })
  }

  private static func read(_ row: borrowing Row) throws -> Purchase {
    guard let id = ID<PurchaseKind>(bytes: row.blob(0)),
      let user = ID<UserKind>(bytes: row.blob(1)), let state = PurchaseState(rawValue: row.text(5))
    else { throw Refusal(.internal, "A stored purchase cannot be read.") }
    return Purchase(
      id: id, userID: user, tokenAmount: row.int(2), amountMinor: row.int(3),
      currency: row.text(4), state: state, bodyHash: row.blob(6), attempt: row.int(7),
      checkoutSession: row.optionalText(8), checkoutURL: row.optionalText(9),
      paymentIntent: row.optionalText(10), refundedMinor: row.int(11), disputedMinor: row.int(12),
      credited: Microtokens(row.int(13)), clawed: Microtokens(row.int(14)),
      owed: Microtokens(row.int(15)), forgiven: Microtokens(row.int(16)),
      flag: row.optionalText(17), createdAt: Timestamp(milliseconds: row.int(18)),
      updatedAt: Timestamp(milliseconds: row.int(19)))
  }
}
