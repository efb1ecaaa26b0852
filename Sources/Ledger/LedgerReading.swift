internal import Primitives
internal import SQLite

/// A reading of the past that may take several transactions, each of them short (D9): transfers never change.
protocol LedgerReading: Sendable {
  associatedtype Answer: Sendable

  /// Whether it stopped among marks: then only further reading helps, else the marks are not written yet.
  var isAmongMarks: Bool { get }

  /// Walks on, at most so many movements for each thing that is asked.
  ///
  /// - Returns: Nil where that does not do.
  mutating func goOn(steps: Int64, on connection: Connection) throws -> Answer?
}

extension LedgerReading {
  /// The answer in the transaction that runs.
  func answer(steps: Int64, on connection: Connection) throws -> Answer {
    var reading = self
    if let answer = try reading.goOn(steps: steps, on: connection) { return answer }
    throw reading.refusal
  }

  /// The answer in at most so many transactions.
  func answer(steps: Int64, reads: Int, in database: Database) async throws -> Answer {
    var reading = self
    for _ in 0..<reads {
      let (next, answer) = try await database.read { [reading] connection in
        var next = reading
        let answer = try next.goOn(steps: steps, on: connection)
        return (next, answer)
      }
      if let answer { return answer }
      reading = next
      // The marker is quicker than walks that others wait for.
      guard reading.isAmongMarks else { break }
      try Task.checkCancellation()
    }
    throw reading.refusal
  }

  private var refusal: Refusal {
    guard isAmongMarks else { return LedgerHistory.tooFar }
    return Refusal(
      .validationFailed,
      "Too many movements were written long after their own time to tell what was at that moment: ask for the balance after a number of the ledger's sequence, or for another moment."
    )
  }
}

/// What movements come to, up to a moment and a number.
struct LedgerPast: LedgerReading {
  let account: AccountName
  private var window: LedgerWindow
  private var sum = LedgerChange()
  private(set) var isAmongMarks = true

  init(of account: AccountName, _ window: LedgerWindow) {
    self.account = account
    self.window = window
  }

  mutating func goOn(steps: Int64, on connection: Connection) throws -> Balance? {
    guard let history = try LedgerHistory(of: account, on: connection) else { return .zero }
    let part = try history.part(window, steps: steps, on: connection)
    sum.add(part.change)
    guard let rest = part.rest else {
      return Balance(balance: Microtokens(sum.balance), held: Microtokens(sum.held))
    }
    window.sequence = rest.newest
    isAmongMarks = rest.isMarked
    return nil
  }
}

/// The movements of a period and what there was before it.
struct LedgerPeriod: LedgerReading {
  let account: AccountName
  let from: Timestamp
  let to: Timestamp
  private(set) var isAmongMarks = true
  /// The newest first.
  private var entries: [LedgerEntry] = []
  /// Where the next page begins; nil before the first one.
  private var below: Int64?
  /// Nil until all entries are read.
  private var opening: LedgerPast?
  /// The account's newest movement when the reading began: later ones are of another statement.
  private var newest: Int64 = 0

  init(of account: AccountName, from: Timestamp, to: Timestamp) throws(Refusal) {
    guard from < to else {
      throw Refusal(
        .validationFailed, "The period is empty.", fields: [.init("/to", "must be after from")])
    }
    self.account = account
    self.from = from
    self.to = to
  }

  mutating func goOn(steps: Int64, on connection: Connection) throws -> LedgerStatement? {
    if opening == nil {
      guard try readEntries(steps: steps, on: connection) else { return nil }
      opening = LedgerPast(
        of: account, LedgerWindow(to: from.milliseconds - 1, sequence: newest))
    }
    guard let before = try opening?.goOn(steps: steps, on: connection) else {
      isAmongMarks = opening?.isAmongMarks ?? true
      return nil
    }
    return statement(after: before)
  }

  /// - Returns: Whether all of them are read.
  private mutating func readEntries(steps: Int64, on connection: Connection) throws -> Bool {
    if below == nil { newest = try LedgerHistory(of: account, on: connection)?.newest ?? 0 }
    let page = try LedgerStore.page(
      of: account, below: below ?? newest + 1, filter: LedgerFilter(from: from, to: to),
      limit: LedgerStatement.entryCountMax - entries.count + 1, steps: steps, on: connection)
    entries += page.entries
    guard entries.count <= LedgerStatement.entryCountMax else {
      throw Refusal(
        .validationFailed,
        "A statement has at most \(LedgerStatement.entryCountMax) movements: ask for a shorter period.",
        fields: [.init("/from", "is too long ago for one statement")])
    }
    below = page.next
    isAmongMarks = page.isAmongMarks
    return page.next == nil
  }

  private func statement(after opening: Balance) -> LedgerStatement {
    let closing = Balance(
      balance: Microtokens(
        opening.balance.count + entries.reduce(0) { $0 + $1.balanceChange.count }),
      held: Microtokens(opening.held.count + entries.reduce(0) { $0 + $1.heldChange.count }))
    return LedgerStatement(
      from: from, to: to, opening: opening, closing: closing, entries: entries.reversed())
  }
}
