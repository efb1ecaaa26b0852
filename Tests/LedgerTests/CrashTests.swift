import CCrashDisk
import Foundation
import Index
import Ledger
import Primitives
import SQLite
import Synchronization
import Testing

/// A disk in memory that loses, tears or spoils at a crash what was not synced, as the seed decides.
private final class CrashDisk: @unchecked Sendable {
  // Safe: the C side takes a lock in every function.
  private let disk: OpaquePointer

  struct CannotBoot: Error {}

  init(seed: UInt64) throws {
    guard let disk = crash_disk_create(seed) else { throw CannotBoot() }
    self.disk = disk
  }

  deinit { crash_disk_free(disk) }

  /// Switches it on and opens the record; `after` so many operations it goes off again.
  func open(_ journal: Journal, crashAfter operations: Int64 = -1) throws -> Database {
    guard let name = crash_disk_boot(disk) else { throw CannotBoot() }
    crash_disk_crash_after(disk, operations)
    return try Database(
      path: "record.db",
      migrations: IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) },
      options: Database.Options(journal: journal, vfs: String(cString: name)))
  }

  func crash(after operations: Int64) { crash_disk_crash_after(disk, operations) }
  var isOff: Bool { crash_disk_is_off(disk) }
}

/// What a ledger holds, in few words: the head of the chain pins every transfer, the sums every account.
private struct Fingerprint: Equatable, Sendable {
  let head: [UInt8]
  let figures: [Int64]

  init(_ connection: Connection) throws {
    head =
      try connection.first("SELECT row_hash FROM transfer ORDER BY seq DESC LIMIT 1") {
        $0.blob(0)
      } ?? []
    figures =
      try connection.first(
        """
        SELECT (SELECT count(*) FROM failed_transfer), count(*), sum(debits_pending),
        sum(debits_posted), sum(credits_pending), sum(credits_posted) FROM account
        """
      ) { row in (0..<6).map { row.int($0) } } ?? []
  }
}

/// One value that a transaction leaves behind although nobody hears of its commit.
private final class Box<Value: Sendable>: Sendable {
  private let content = Mutex<Value?>(nil)
  var value: Value? { content.withLock { $0 } }
  func put(_ value: Value) { content.withLock { $0 = value } }
}

/// A world over a disk that crashes; the ledger, the record and its recovery are the real ones.
private struct CrashRun {
  typealias State = (world: World, print: Fingerprint)

  static let stepsMax = 1_000
  let seed: UInt64
  let journal: Journal
  let disk: CrashDisk
  var random: SplitMix64
  var world: World
  var known: Fingerprint?
  /// What the write before the crash would have left: there as a whole or not at all.
  var inFlight: State?
  var crashes = 0

  init(seed: UInt64) throws {
    self.seed = seed
    journal = seed % 3 == 0 ? .truncate : .wal
    disk = try CrashDisk(seed: seed)
    random = SplitMix64(seed: seed &+ 77_777)
    world = World(seed: seed)
  }

  mutating func run() async throws {
    while world.steps < CrashRun.stepsMax, world.faults.isEmpty {
      do {
        try await live()
      } catch {
        // Only a crash may end a life.
        guard disk.isOff else { throw error }
        crashes += 1
      }
    }
    try await recover(try disk.open(journal))
    #expect(world.faults == [], "seed \(seed)")
    #expect(crashes > 0, "seed \(seed)")
  }

  /// From the start of a process to the crash.
  private mutating func live() async throws {
    let isEarly = known != nil && Int.random(in: 0..<4, using: &random) == 0
    let early = Int64.random(in: 0..<15, using: &random)
    let database = try disk.open(journal, crashAfter: isEarly ? early : -1)
    try await recover(database)
    disk.crash(after: Int64.random(in: 10..<1_500, using: &random))
    while world.steps < CrashRun.stepsMax, world.faults.isEmpty {
      let count = Int.random(in: 1...4, using: &random)
      let box = Box<State>()
      do {
        (world, known) = try await database.write { [world] connection -> State in
          let next = try world.stepped(count, on: connection)
          let state = (next, try Fingerprint(connection))
          box.put(state)
          return state
        }
      } catch {
        inFlight = box.value
        throw error
      }
      if Int.random(in: 0..<25, using: &random) == 0 {
        try await database.checkpoint(truncate: Bool.random(using: &random))
      }
    }
  }

  /// What is found equals what was acknowledged, or that and the one write that had no answer; and all is sound.
  private mutating func recover(_ database: Database) async throws {
    let (found, report, faults) = try await database.read { connection in
      (
        try Fingerprint(connection), try LedgerVerifier.verify(connection),
        try connection.quickCheck()
      )
    }
    #expect(report.faults == [], "seed \(seed), step \(world.steps)")
    #expect(faults == [], "seed \(seed), step \(world.steps)")
    if let state = inFlight, state.print == found, state.print != known {
      world = state.world
    } else if let known {
      #expect(found == known, "seed \(seed), step \(world.steps): an acknowledged write is lost")
    }
    known = found
    inFlight = nil
  }
}

@Suite("Ledger: on a disk that crashes")
struct CrashTests {
  /// A hundred worlds of a thousand steps; ten times as many with WAYPOST_SOAK=1; one with WAYPOST_SEED.
  static var seeds: Range<UInt64> {
    let environment = ProcessInfo.processInfo.environment
    if let seed = environment["WAYPOST_SEED"].flatMap(UInt64.init) { return seed..<seed + 1 }
    return 0..<(environment["WAYPOST_SOAK"] == "1" ? 1_000 : 100)
  }

  @Test(
    "acknowledged transfers survive, nothing is half there, and the ledger equals the model",
    arguments: seeds)
  func equalsModel(seed: UInt64) async throws {
    try await Gate.simulations.run {
      var run = try CrashRun(seed: seed)
      try await run.run()
    }
  }

  @Test(
    "holds made by many at a time are there once acknowledged, each once",
    arguments: Journal.allCases, 0..<10 as Range<UInt64>)
  func manyAtATime(journal: Journal, seed: UInt64) async throws {
    let disk = try CrashDisk(seed: seed + 500)
    let acknowledged = Box<Set<UInt64>>()
    do {
      let database = try disk.open(journal)
      try await database.write { connection -> Void in
        try Till(connection: connection).post(1, 1_000_000, from: .bank, to: .anna)
      }
      disk.crash(after: Int64(40 + seed * 60))
      let ids = await withTaskGroup(of: [UInt64].self) { group in
        for caller in 0..<8 as Range<UInt64> {
          group.addTask { await CrashTests.holds(caller, database) }
        }
        return await group.reduce(into: Set<UInt64>()) { $0.formUnion($1) }
      }
      acknowledged.put(ids)
      #expect(disk.isOff)
    }
    let database = try disk.open(journal)
    let (found, report) = try await database.read { connection in
      (
        try connection.rows("SELECT id FROM hold") { ID<HoldKind>(bytes: $0.blob(0))?.low ?? 0 },
        try LedgerVerifier.verify(connection)
      )
    }
    let known = try #require(acknowledged.value)
    #expect(known.subtracting(found).isEmpty, "seed \(seed)")
    // Each caller had at most one without an answer.
    #expect(found.count <= known.count + 8, "seed \(seed)")
    #expect(report.faults == [])
  }

  /// Holds one after the other until the disk goes off.
  /// - Returns: Those that were acknowledged.
  private static func holds(_ caller: UInt64, _ database: Database) async -> [UInt64] {
    var done: [UInt64] = []
    for number in 0..<200 as Range<UInt64> {
      let id = 1_000 + caller * 1_000 + number
      do {
        try await database.write { connection -> Void in
          try Till(connection: connection).hold(id, 10)
        }
        done.append(id)
      } catch {
        return done
      }
    }
    return done
  }
}
