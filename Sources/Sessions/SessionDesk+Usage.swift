public import Identity
internal import Ledger
public import Primitives
internal import SQLite

/// One report of use by a provider.
public struct UsageReport: Sendable, Equatable {
  /// The session.
  public let sessionID: ID<SessionKind>
  /// From 1; a number is reported once.
  public let number: Int64
  /// What was used, in the offer's units.
  public let units: Int64

  /// Units of one report, at most.
  public static let unitsMax: Int64 = 1_000_000_000_000

  /// A report.
  public init(sessionID: ID<SessionKind>, number: Int64, units: Int64) {
    self.sessionID = sessionID
    self.number = number
    self.units = units
  }
}

/// Sessions that are paid by what their provider reports.
extension SessionDesk {
  /// Captures units x price from the session's holds; where that uses them up, the session ends in
  /// `tokens_depleted`, and what was used beyond the holds is the provider's loss.
  ///
  /// The same number with the same units is the same report and gets the session as it is; with others it is refused.
  ///
  /// - Returns: `reportNo, units, amountMicrotokens` and `session`.
  /// - Throws: `Refusal` `not_found`, `validation_failed` where the offer is not paid by use, `id_exists_different`,
  ///   `amount_out_of_range`. `invalid_transition` is the answer.
  public func report(
    _ report: UsageReport, by provider: String, key: Idempotency.Key,
    refused: @escaping @Sendable (Refusal) -> Idempotency.Answer
  ) async throws -> Idempotency.Answer {
    let now = clock.now
    return try await database.write { connection in
      try sweep(at: now, on: connection)
      return try idempotency.once(key, at: now, on: connection, refused: refused) {
        let view = try take(report, by: provider, at: now, on: connection)
        return Idempotency.Answer(status: 200, body: JSON.object(view).bytes)
      }
    }
  }

  private func take(
    _ report: UsageReport, by provider: String, at now: Timestamp, on connection: Connection
  ) throws -> JSONObject {
    guard var record = try SessionStore.read(report.sessionID, on: connection),
      record.providerID == provider
    else { throw Refusal(.notFound, "There is no such session.") }
    guard record.state.plan == .usage else {
      throw Refusal(
        .validationFailed, "This session is not paid by use.",
        fields: [.init("/sessionId", "is paid by the hour")])
    }
    try advance(&record, to: now, on: connection)
    if let known = try SessionDesk.reported(report, on: connection) {
      return answer(report, amount: known, record, at: now)
    }
    guard record.state.phase == .active else { throw record.state.refused() }
    let (cost, isOver) = report.units.multipliedReportingOverflow(by: record.unitPrice)
    guard !isOver, cost <= Microtokens.max.count else {
      throw Refusal(.amountOutOfRange, "One report may be worth 1000000000 tokens.")
    }
    let amount = min(cost, record.left)
    try capture(amount, for: report, &record, at: now, on: connection)
    record.units += report.units
    try connection.run(
      """
      INSERT INTO usage_report(session_id, report_no, units, amount, reported_ms)
      VALUES (?, ?, ?, ?, ?)
      """,
      [
        .blob(record.id.bytes), .int(report.number), .int(report.units), .int(amount),
        .int(now.milliseconds),
      ])
    var data = record.json(at: now)
    data["reportNo"] = .int(report.number)
    data["reportedUnits"] = .int(report.units)
    data["amountMicrotokens"] = .int(amount)
    try emit("tokens.consumed", &record, data: data, at: now, on: connection)
    let effects =
      record.left == 0 ? try record.state.apply(.deplete, at: now.milliseconds) : []
    try carryOut(effects, &record, at: now, on: connection)
    return answer(report, amount: amount, record, at: now)
  }

  /// From the oldest hold first; each stays open for the next report.
  private func capture(
    _ amount: Int64, for report: UsageReport, _ record: inout SessionRecord, at now: Timestamp,
    on connection: Connection
  ) throws {
    var left = amount
    for (index, hold) in try openHolds(of: record, on: connection).enumerated() where left > 0 {
      let part = min(left, hold.left)
      try capture(
        part, of: hold.id, "report/\(report.number)/\(index)", keepsOpen: true,
        reason: "use reported", &record, at: now, on: connection)
      left -= part
    }
  }

  /// What a report that came before was charged with; nil for a new one.
  private static func reported(
    _ report: UsageReport, on connection: Connection
  ) throws -> Int64? {
    let known = try connection.first(
      "SELECT units, amount FROM usage_report WHERE session_id = ? AND report_no = ?",
      [.blob(report.sessionID.bytes), .int(report.number)]
    ) { (units: $0.int(0), amount: $0.int(1)) }
    guard let known else { return nil }
    guard known.units == report.units else {
      throw Refusal(
        .idExistsDifferent, "Report \(report.number) was made with \(known.units) units.")
    }
    return known.amount
  }

  private func answer(
    _ report: UsageReport, amount: Int64, _ record: SessionRecord, at now: Timestamp
  ) -> JSONObject {
    [
      "reportNo": .int(report.number), "units": .int(report.units),
      "amountMicrotokens": .int(amount), "session": .object(record.json(at: now)),
    ]
  }
}
