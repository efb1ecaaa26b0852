public import Primitives
public import SQLite
internal import Synchronization

/// Lets writes into the record only over a ledger that was found sound (specification core, D5 and L9). Reads go on
/// at any time.
///
/// From its making on, writes are refused. `open` verifies, lets the start write what is its own, and takes them.
/// Where any later verification finds a fault, they are refused again, sign-ins excepted, and nothing but an operator
/// changes that: by `reopen`, or by a restart. Both verify the whole; that a fault was found is kept in the record.
public final class LedgerGate: Sendable {
  /// Whether writes are taken.
  public enum State: Sendable, Equatable {
    /// Not yet: the start verifies.
    case verifying
    case open
    /// Not any more, for these faults.
    case unsound([String])
  }

  private struct Phase {
    var state = State.verifying
    /// How often a fault was found: what was verified before the last one opens nothing.
    var stops = 0
    var isReopening = false
    var wrongMarks: Int64 = 0
    var openedAfter: Duration?
  }

  /// Verifies, and writes checkpoints.
  public let auditor: LedgerAuditor
  private let database: Database
  /// Of the rank that is taken while all others are refused.
  private let opening: Database
  private let clock: Clock
  private let log: @Sendable (String) -> Void
  private let firstWrites: @Sendable (Database) async throws -> Void
  private let made = ContinuousClock.now
  private let phase = Mutex(Phase())

  /// Refuses the database's writes from now on.
  ///
  /// - Parameters:
  ///   - seal: The server's key, for checkpoints.
  ///   - log: Gets what operators must know, in words.
  ///   - firstWrites: What is written before each opening, once the ledger is verified and before anybody else may write,
  ///     through the handle that it is given: all that must be there, or over, then. Where it throws, nothing opens.
  public init(
    database: Database, clock: Clock, seal: ChainSeal,
    log: @escaping @Sendable (String) -> Void = { _ in },
    firstWrites: @escaping @Sendable (Database) async throws -> Void = { _ in }
  ) {
    self.database = database
    self.clock = clock
    self.log = log
    self.firstWrites = firstWrites
    opening = database.writing(as: .opening)
    auditor = LedgerAuditor(database: opening, clock: clock, seal: seal)
    database.hold(
      Refusal(
        .storageUnavailable,
        "The server has just started: it writes nothing before its ledger is verified. Reads are answered.",
        retryAfterSeconds: 2))
  }

  /// Whether writes are taken, and if not, why.
  public var state: State { phase.withLock { $0.state } }

  /// How long writes were refused after the start; nil while they still are.
  public var openedAfterMilliseconds: Int64? {
    phase.withLock { $0.openedAfter }.map(LedgerGate.milliseconds)
  }

  /// Wrong marks found since the start: no faults, but something else has written the file.
  public var wrongMarkCount: Int64 { phase.withLock { $0.wrongMarks } }

  /// Verifies what follows the last checkpoint, or the whole where a fault was found before; then takes writes.
  /// Once it has opened, another call does nothing.
  ///
  /// - Throws: `Refusal` `storage_unavailable` where the ledger is not sound: then only an operator can open. Anything
  ///   else may be over at the next try; until then writes are refused.
  public func open() async throws {
    let (state, stops) = phase.withLock { ($0.state, $0.stops) }
    switch state {
    case .open: return
    case .unsound: throw LedgerGate.stopped
    case .verifying: break
    }
    let began = ContinuousClock.now
    let wasUnsound = try await database.read { try LedgerFaultStore.isOpen(on: $0) }
    let report = try await verified {
      if wasUnsound { try await self.auditor.audit() } else { try await self.auditor.tend() }
    }
    guard report.isSound, isAsFound(stops) else { throw LedgerGate.stopped }
    let verifiedAfter = ContinuousClock.now - began
    try await firstWrites(opening)
    if wasUnsound { try await clear(asOf: stops) }
    let isOpen = phase.withLock { phase in
      // An admin's verification may have found more meanwhile.
      guard phase.state == .verifying else { return false }
      phase.state = .open
      phase.openedAfter = ContinuousClock.now - made
      database.release()
      return true
    }
    guard isOpen else { throw LedgerGate.stopped }
    let extent = report.from == 0 ? "all" : "since checkpoint \(report.from)"
    log(
      "the ledger is sound: \(report.transferCount) transfers (\(extent)) verified in \(LedgerGate.milliseconds(verifiedAfter)) ms; writes are taken, \(openedAfterMilliseconds ?? 0) ms after the start"
    )
  }

  /// Verifies the whole chain, every checkpoint and the tables' pages; a fault ends writing.
  @discardableResult
  public func audit() async throws -> LedgerReport {
    try await verified { try await self.auditor.audit() }
  }

  /// Verifies what is new, with the next checkpoint; a fault ends writing. Does nothing while nothing may be written.
  public func tend() async throws {
    guard state == .open else { return }
    _ = try await verified { try await self.auditor.tend() }
  }

  /// An operator's order: verifies the whole, and takes writes again where it is sound.
  ///
  /// - Returns: The report; `state` says what came of it.
  /// - Throws: `Refusal` `storage_unavailable` while another one runs.
  public func reopen() async throws -> LedgerReport {
    let stops = try phase.withLock { phase throws(Refusal) in
      guard !phase.isReopening else {
        throw Refusal(
          .storageUnavailable, "The ledger is being verified for another one.",
          retryAfterSeconds: 5)
      }
      phase.isReopening = true
      return phase.stops
    }
    defer { phase.withLock { $0.isReopening = false } }
    let report = try await audit()
    guard report.isSound, isAsFound(stops), case .unsound = state else { return report }
    try await firstWrites(opening)
    try await clear(asOf: stops)
    let isOpen = phase.withLock { phase in
      guard phase.stops == stops else { return false }
      phase.state = .open
      phase.openedAfter = phase.openedAfter ?? ContinuousClock.now - made
      database.release()
      return true
    }
    if isOpen { log("the whole ledger was found sound for an operator: writes are taken again") }
    return report
  }

  /// Whether no fault was found since.
  private func isAsFound(_ stops: Int) -> Bool { phase.withLock { $0.stops == stops } }

  /// Takes back what is remembered, unless a fault was found since. That is asked on the writing lane: one that is found
  /// later is remembered later.
  private func clear(asOf stops: Int) async throws {
    let now = clock.now
    try await opening.write { connection in
      guard self.isAsFound(stops) else { return }
      try LedgerFaultStore.clear(at: now, on: connection)
    }
  }

  /// A verification whose faults end writing; a file that cannot be read is one.
  private func verified(
    _ work: @Sendable () async throws -> LedgerReport
  ) async throws -> LedgerReport {
    do {
      let report = try await work()
      tell(ofMarks: report)
      if !report.isSound { await stop(report.faults) }
      return report
    } catch let error as SQLiteError where error.isDamage {
      let faults = ["I12: the file is damaged: " + error.message]
      await stop(faults)
      return LedgerReport(transferCount: 0, faults: faults)
    }
  }

  /// Wrong marks end no writing, for no unit depends on them; but something wrote the file behind the server.
  private func tell(ofMarks report: LedgerReport) {
    guard !report.wrongMarks.isEmpty else { return }
    phase.withLock { $0.wrongMarks += Int64(report.wrongMarks.count) }
    for mark in report.wrongMarks.prefix(LedgerFaultStore.faultsMax) {
      log("A MARK OF THE LEDGER WAS WRONG: " + mark)
    }
    log(
      report.isSound
        ? "balances and transfers are sound; all marks are deleted and written again, and until then old balances may be refused: see whether another program writes the record"
        : "the marks are written again once the ledger is sound")
  }

  private func stop(_ faults: [String]) async {
    let isNew = phase.withLock { phase in
      defer { phase.state = .unsound(faults) }
      phase.stops += 1
      database.hold(LedgerGate.stopped, admitting: .essential)
      if case .unsound = phase.state { return false }
      return true
    }
    for fault in faults.prefix(LedgerFaultStore.faultsMax) {
      log("THE LEDGER IS NOT SOUND: " + fault)
    }
    if isNew {
      log(
        "nothing is written any more but sign-ins, and reads go on: look at the record (waypost ledger verify), restore a backup, or open by POST /v1/admin/ledger/reopen once it is sound"
      )
    }
    let now = clock.now
    do {
      try await opening.write { try LedgerFaultStore.open(faults, at: now, on: $0) }
    } catch {
      log("that the ledger is not sound could not be kept for the next start: \(error)")
    }
  }

  private static let stopped = Refusal(
    .storageUnavailable,
    "Nothing is written at present: the operator has to look at the ledger. Reads are answered.",
    retryAfterSeconds: 120)

  private static func milliseconds(_ duration: Duration) -> Int64 {
    duration.components.seconds * 1_000
      + duration.components.attoseconds / 1_000_000_000_000_000
  }
}
