internal import Primitives
public import SQLite

/// Compares sessions with the ledger (specification core, 2.3): what was charged is what was metered and what was
/// captured (I11), and a trial moves nothing of a user's (I14). Read in pages, so that no reader stays long.
public enum SessionVerifier {
  /// Sessions of one page.
  public static let pageCount = 1_000

  /// Where the next page begins, and what does not hold on this one.
  public struct Page: Sendable {
    /// Nil after the last page.
    public let next: Int64?
    /// At most one for each session and rule.
    public let faults: [String]
  }

  private struct Totals {
    let id: String
    let isTrial: Bool
    let isOver: Bool
    let charged: Int64
    let held: Int64
    let rate: Int64
    let active: Int64
    let captured: Int64
    let reserved: Int64
    let openCount: Int64
    let strangers: Int64
    let isSetAside: Bool
    let isByUse: Bool
    let reported: Int64
  }

  /// Every session in one transaction. For tests and tools.
  public static func verify(_ connection: Connection) throws -> [String] {
    var faults: [String] = []
    var place: Int64? = 0
    while let after = place {
      let page = try verify(after: after, on: connection)
      faults += page.faults
      place = page.next
    }
    return faults
  }

  /// What does not hold of all sessions, 100 and a page's at most, read page by page.
  public static func faults(in record: Database) async throws -> [String] {
    var faults: [String] = []
    var place: Int64? = 0
    while let after = place, faults.count < 100 {
      let page = try await record.read { try verify(after: after, on: $0) }
      faults += page.faults
      place = page.next
    }
    return faults
  }

  /// One page of sessions, in the order in which they were stored.
  ///
  /// - Parameter row: The `next` of the page before; 0 for the first.
  public static func verify(after row: Int64, on connection: Connection) throws -> Page {
    let rows = try connection.rows(
      """
      SELECT s.rowid, s.id, s.kind, s.state IN ('completed','failed','expired'), s.charged, s.held,
      s.rate_per_hour, s.active_ms, coalesce(sum(h.captured), 0), coalesce(sum(h.amount), 0),
      coalesce(sum(h.state = 'open'), 0), coalesce(sum(a.kind <> CASE s.kind WHEN 'trial'
      THEN 'platform_grants' ELSE 'user_available' END
      OR (s.kind <> 'trial' AND a.owner <> s.user_id)), 0),
      s.flagged = 1 AND s.deadline_ms IS NULL AND s.ended_ms IS NULL, s.plan = 'usage',
      (SELECT coalesce(sum(r.amount), 0) FROM usage_report r WHERE r.session_id = s.id)
      FROM session s LEFT JOIN session_hold x ON x.session_id = s.id
      LEFT JOIN hold h ON h.id = x.hold_id LEFT JOIN transfer t ON t.id = h.id
      LEFT JOIN account a ON a.id = t.debit
      WHERE s.rowid IN (SELECT rowid FROM session WHERE rowid > ? ORDER BY rowid LIMIT ?)
      GROUP BY s.rowid ORDER BY s.rowid
      """, [.int(row), .int(Int64(pageCount))]
    ) { row in
      (
        place: row.int(0),
        totals: Totals(
          id: BytesText.hex(row.blob(1)), isTrial: row.text(2) == "trial", isOver: row.int(3) == 1,
          charged: row.int(4), held: row.int(5), rate: row.int(6), active: row.int(7),
          captured: row.int(8), reserved: row.int(9), openCount: row.int(10),
          strangers: row.int(11), isSetAside: row.int(12) == 1, isByUse: row.int(13) == 1,
          reported: row.int(14))
      )
    }
    return Page(
      next: rows.count < pageCount ? nil : rows.last?.place,
      faults: rows.flatMap { faults(of: $0.totals) })
  }

  private static func faults(of session: Totals) -> [String] {
    // Its figures need not fit: its holds time out by themselves. Somebody must hear of it all the same.
    if session.isSetAside {
      return ["I11: session \(session.id) could not be settled and was set aside"]
    }
    var faults: [String] = []
    if session.charged != session.captured || session.held != session.reserved {
      faults.append("I11: session \(session.id) differs from its holds")
    }
    if session.charged > session.held {
      faults.append("I11: session \(session.id) was charged more than it held")
    }
    // Where time is paid for, the charge follows from the active time alone.
    let metered = Metering.charge(ratePerHour: session.rate, milliseconds: session.active)
    let isMetered =
      session.isByUse
      ? session.charged == session.reported
      : !session.isOver || session.charged == min(metered, session.held)
    if !isMetered {
      faults.append("I11: session \(session.id) was not charged what was metered")
    }
    if session.isOver, session.openCount > 0 {
      faults.append("I11: session \(session.id) has ended and still holds units")
    }
    if session.strangers > 0 {
      let rule = session.isTrial ? "I14" : "I11"
      faults.append("\(rule): session \(session.id) is paid from another's account")
    }
    return faults
  }
}
