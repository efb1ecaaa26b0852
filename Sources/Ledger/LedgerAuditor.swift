public import Primitives
public import SQLite
internal import Synchronization

/// Verifies a running server's ledger in short reads, and writes signed checkpoints of what it found sound. What a
/// fault leads to is `LedgerGate`'s.
public final class LedgerAuditor: Sendable {
  /// How often `tend` is to be called.
  public static let everySeconds = 600
  /// Transfers read in one transaction: a few milliseconds, so that the log can be reset (D9).
  static let pageCount = 2_000

  private let database: Database
  private let clock: Clock
  private let seal: ChainSeal
  private let latest = Mutex<LedgerReport?>(nil)

  /// - Parameter seal: The server's key.
  public init(database: Database, clock: Clock, seal: ChainSeal) {
    self.database = database
    self.clock = clock
    self.seal = seal
  }

  /// What the last verification found; nil before the first.
  public var report: LedgerReport? { latest.withLock { $0 } }

  /// Verifies the whole chain, every checkpoint's signature and the tables' pages. Where a mark is wrong and the rest
  /// is sound, all marks are deleted: `LedgerMarker.tend` writes them again.
  @discardableResult
  public func audit() async throws -> LedgerReport {
    let report = try await verify(isWhole: true)
    var damage: [String] = []
    // Table by table: one reader must not stay for the whole file.
    for table in ["account", "hold", "transfer", "failed_transfer", "ledger_mark"] {
      damage += try await database.read { connection in
        try connection.rows("PRAGMA quick_check('\(table)')") { $0.text(0) }.filter { $0 != "ok" }
      }
    }
    guard !damage.isEmpty else { return report }
    let worse = report.adding(damage.prefix(10).map { "I12: the file is damaged: " + $0 })
    latest.withLock { $0 = worse }
    return worse
  }

  /// Verifies what follows the last checkpoint, all of it where there is none or its key is gone, and writes a
  /// checkpoint where it is sound. Wrong marks as `audit`.
  @discardableResult
  public func tend() async throws -> LedgerReport { try await verify(isWhole: false) }

  private func verify(isWhole: Bool) async throws -> LedgerReport {
    let (base, complaints) = try await database.read { [seal] connection in
      try LedgerAuditor.base(isWhole: isWhole, seal, on: connection)
    }
    let fold = Fold(LedgerReplay(from: base))
    var found: Found?
    while found == nil {
      found = try await database.read { connection in
        try fold.replay.withLock { replay -> Found? in
          guard try replay.read(limit: LedgerAuditor.pageCount, on: connection) else { return nil }
          let (report, digest) = try LedgerVerifier.finish(replay, connection)
          return Found(
            report: report, rowHash: replay.rowHash, accountsHash: digest.hash,
            accountMax: digest.accountMax)
        }
      }
      try Task.checkCancellation()
    }
    guard let found else { preconditionFailure("a verification ends with a report") }
    let report = found.report.adding(complaints)
    latest.withLock { $0 = report }
    // Before the checkpoint, behind which the next one does not look. Over transfers that are not sound they would
    // come to something else again.
    if report.isSound, !report.wrongMarks.isEmpty {
      try await LedgerMarker(database: database).deleteAll()
    }
    if report.isSound, report.sequence > base?.sequence ?? 0 {
      try await write(found)
    }
    return report
  }

  /// Where a verification may start, and what is wrong with the checkpoints' signatures.
  private static func base(
    isWhole: Bool, _ seal: ChainSeal, on connection: Connection
  ) throws -> (LedgerCheckpoint?, [String]) {
    let checkpoints = try LedgerCheckpoint.newest(isWhole ? 1_000 : 1, on: connection)
    let forged = checkpoints.filter { $0.isGenuine(seal) == false }
    let complaints = forged.prefix(10).map {
      "I12: the signature of checkpoint \($0.sequence) is not ours"
    }
    let last = checkpoints.first
    let mayStart = !isWhole && last?.isGenuine(seal) == true
    return (mayStart ? last : nil, complaints)
  }

  private func write(_ found: Found) async throws {
    let checkpoint = LedgerCheckpoint(
      sequence: found.report.sequence, rowHash: found.rowHash, accountsHash: found.accountsHash,
      accountMax: found.accountMax, at: clock.now
    ).signed(by: seal)
    try await database.write { connection in try checkpoint.insert(on: connection) }
  }

  private struct Found: Sendable {
    let report: LedgerReport
    let rowHash: [UInt8]
    let accountsHash: [UInt8]
    let accountMax: Int64
  }

  /// A fold that goes from page to page without being copied.
  private final class Fold: Sendable {
    let replay: Mutex<LedgerReplay>

    init(_ replay: LedgerReplay) { self.replay = Mutex(replay) }
  }
}
