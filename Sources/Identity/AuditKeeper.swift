public import Primitives
public import SQLite
internal import Synchronization

/// Verifies a running server's audit log in short reads, and signs what it found sound: a checkpoint in the record,
/// and its head in a file beside it. A tail that was cut off is so noticed too.
public final class AuditKeeper: Sendable {
  /// How often `tend` is to be called.
  public static let everySeconds = 600
  /// Rows read in one transaction: a few milliseconds, so that the record's log can be reset (D9).
  static let pageCount = 2_000

  private let database: Database
  private let clock: Clock
  private let keys: KeyRing
  private let headPath: String?
  private let latest = Mutex<AuditLog.Report?>(nil)
  /// The row of the head that was written last: two verifications at once must not put it back.
  private let written = Mutex<Int64>(0)

  /// - Parameter headPath: Where the head is kept; nil keeps none.
  public init(database: Database, clock: Clock, keys: KeyRing, headPath: String?) {
    self.database = database
    self.clock = clock
    self.keys = keys
    self.headPath = headPath
  }

  private let told = Mutex<Int64>(0)

  /// The newest row and its hash where they were found sound and have not been asked for yet: to be said in the log of
  /// the process, which whoever writes the record cannot cut.
  public func newHead() -> (sequence: Int64, rowHash: [UInt8])? {
    guard let report, report.isSound else { return nil }
    return told.withLock { told in
      guard report.sequence > told else { return nil }
      told = report.sequence
      return (report.sequence, report.rowHash)
    }
  }

  /// What the last verification found; nil before the first.
  public var report: AuditLog.Report? { latest.withLock { $0 } }

  /// Verifies the whole log and every checkpoint's signature.
  @discardableResult
  public func audit() async throws -> AuditLog.Report { try await verify(isWhole: true) }

  /// Verifies what follows the last checkpoint; all of it where there is none or its key is gone.
  @discardableResult
  public func tend() async throws -> AuditLog.Report { try await verify(isWhole: false) }

  private func verify(isWhole: Bool) async throws -> AuditLog.Report {
    // Before the rows: of those there can only be more by then.
    let (head, headFault) = head()
    let checkpoints = try await database.read {
      try AuditCheckpoint.newest(isWhole ? 1_000 : 1, on: $0)
    }
    let isOurs = checkpoints.first?.isGenuine(keys) == true
    let base = !isWhole && isOurs ? checkpoints.first : nil
    var faults = checkpoints.filter { $0.isGenuine(keys) == false }.prefix(10).map {
      "the signature of audit checkpoint \($0.sequence) is not ours"
    }
    faults += headFault.map { [$0] } ?? []
    if head == nil, headFault == nil, headPath != nil, isOurs {
      faults.append("\(AuditHead.fileName) is gone: it says how long the audit log is")
    }
    let (chain, strange) = try await walk(from: base, head)
    faults += chain.faults + strange
    let report = AuditLog.Report(
      rowCount: chain.count, faults: faults, sequence: chain.sequence, rowHash: chain.hash)
    latest.withLock { $0 = report }
    guard report.isSound, chain.sequence > 0 else { return report }
    do {
      try await keep(
        AuditCheckpoint(sequence: chain.sequence, rowHash: chain.hash, at: clock.now),
        isNew: chain.sequence > checkpoints.first?.sequence ?? 0,
        isAhead: head.map { chain.sequence > $0.sequence } ?? true)
    } catch {
      // Whoever asks whether it is sound is told so on a full disk too; `tend` comes again and says what is wrong.
      guard isWhole else { throw error }
    }
    return report
  }

  /// The head of the file, or why there is none to compare with.
  private func head() -> (AuditHead?, fault: String?) {
    guard let headPath else { return (nil, nil) }
    do {
      return (try AuditHead.read(headPath, keys: keys), nil)
    } catch {
      return (nil, (error as? Refusal)?.detail ?? "\(AuditHead.fileName) cannot be read")
    }
  }

  private func walk(
    from base: AuditCheckpoint?, _ head: AuditHead?
  ) async throws -> (AuditChain, faults: [String]) {
    var chain = AuditChain(from: base)
    while true {
      let start = chain
      let (next, faults) = try await database.read { connection -> (AuditChain, [String]?) in
        var chain = start
        guard try chain.read(limit: AuditKeeper.pageCount, on: connection) else {
          return (chain, nil)
        }
        return (chain, try AuditKeeper.ends(from: base, head, on: connection))
      }
      chain = next
      if let faults { return (chain, faults) }
      try Task.checkCancellation()
    }
  }

  /// What the chain itself cannot show: checkpoints and a head whose rows are gone, or others.
  private static func ends(
    from base: AuditCheckpoint?, _ head: AuditHead?, on connection: Connection
  ) throws -> [String] {
    var faults = try AuditCheckpoint.strangers(from: base?.sequence ?? 1, on: connection).map {
      "audit checkpoint \($0) is not of this log: rows were cut off or replaced"
    }
    guard let head else { return faults }
    let row = try connection.first(
      "SELECT row_hash FROM audit WHERE seq = ?", [.int(head.sequence)]
    ) { $0.blob(0) }
    if row == nil {
      faults.append("audit row \(head.sequence) is gone: \(AuditHead.fileName) names it")
    } else if row != head.rowHash {
      faults.append("audit row \(head.sequence) is not the one that \(AuditHead.fileName) names")
    }
    return faults
  }

  /// The file first: it names rows that are committed, and a crash in between leaves no checkpoint without a head.
  private func keep(_ checkpoint: AuditCheckpoint, isNew: Bool, isAhead: Bool) async throws {
    if let headPath, isAhead {
      let head = AuditHead(
        sequence: checkpoint.sequence, rowHash: checkpoint.rowHash, at: checkpoint.at)
      try written.withLock { written in
        guard head.sequence > written else { return }
        try head.write(to: headPath, keys: keys)
        written = head.sequence
      }
    }
    // While writes are held back the head alone is kept; the next verification signs.
    guard isNew, database.isWritable else { return }
    let signed = checkpoint.signed(by: keys)
    try await database.write { connection in try signed.insert(on: connection) }
  }
}
