import Foundation
import Ledger
import Primitives
import SQLite
import Synchronization
import Testing
import TestSupport

/// Lets so many run at once: each has a database open.
actor Gate {
  static let simulations = Gate(width: 4)

  private var free: Int
  private var waiting: [CheckedContinuation<Void, Never>] = []

  init(width: Int) { free = width }

  func run(_ body: @Sendable () async throws -> Void) async throws {
    await enter()
    defer { leave() }
    try await body()
  }

  private func enter() async {
    if free > 0 {
      free -= 1
    } else {
      await withCheckedContinuation { waiting.append($0) }
    }
  }

  private func leave() {
    if waiting.isEmpty {
      free += 1
    } else {
      waiting.removeFirst().resume()
    }
  }
}

/// Undoes a transaction on purpose.
struct Undone: Error {}

/// How much is simulated: `WAYPOST_SEED=n` replays one world, `WAYPOST_SIMULATION_STEPS` takes more of them.
enum Simulation {
  static let stepsOfWorld = 10_000

  static var seeds: [UInt64] {
    let environment = ProcessInfo.processInfo.environment
    if let seed = environment["WAYPOST_SEED"].flatMap({ UInt64($0) }) { return [seed] }
    let steps = environment["WAYPOST_SIMULATION_STEPS"].flatMap { Int($0) } ?? 100_000
    return Array(0..<UInt64(max(1, steps / stepsOfWorld)))
  }

  /// The world of a seed from its first step to its last, on one file that is opened again now and then.
  static func run(seed: UInt64) async throws -> World {
    let folder = try TemporaryFolder()
    var world = World(seed: seed)
    var book = try Book(in: folder)
    var wholeAt = 1_000
    while world.steps < stepsOfWorld, world.faults.isEmpty {
      world = try await batch(world, book)
      if world.isUnlucky(1, in: 40) { book = try Book(in: folder) }
      if world.steps >= wholeAt {
        wholeAt += 1_000
        for fault in try await audit(book) { world.fault(fault) }
      }
    }
    return world
  }

  /// Some steps in one transaction. One in twenty of them is undone as a whole.
  private static func batch(_ before: World, _ book: Book) async throws -> World {
    var world = before
    let isUndone = world.isUnlucky(1, in: 20)
    let future = Mutex(world)
    do {
      try await book.database.write { [world] connection in
        let next = try world.stepped(20, on: connection)
        future.withLock { $0 = next }
        if isUndone { throw Undone() }
      }
    } catch is Undone {
      return world.undone(future.withLock { $0 })
    }
    return future.withLock { $0 }
  }

  /// Everything: from the first transfer, and from the last checkpoint, of which a new one is made; the marks with it.
  private static func audit(_ book: Book) async throws -> [String] {
    try await LedgerMarker(database: book.database, everyTransfers: 31).catchUp()
    let whole = try await book.verify()
    let auditor = book.auditor()
    let tail = try await auditor.tend()
    let mark = try await book.database.read { try LedgerCheckpoint.last(on: $0) }
    let isMarked = mark?.sequence == whole.sequence
    let wrong = whole.wrongMarks + tail.wrongMarks
    let missing = isMarked ? [] : ["no checkpoint at \(whole.sequence)"]
    return whole.faults + tail.faults + wrong + missing
  }
}

@Suite("Ledger: simulation against a model")
struct SimulationTests {
  @Test(
    "answers and balances equal the model's after every step, and every invariant holds",
    arguments: Simulation.seeds)
  func equalsModel(seed: UInt64) async throws {
    try await Gate.simulations.run {
      let world = try await Simulation.run(seed: seed)
      #expect(world.faults == [])
      #expect(world.steps >= Simulation.stepsOfWorld)
    }
  }

  @Test(
    "the order of independent posts does not change balances (I9)",
    arguments: 0..<5 as Range<UInt64>)
  func commutes(seed: UInt64) async throws {
    var random = SplitMix64(seed: seed)
    let amounts = (0..<20).map { _ in Int64.random(in: 1...100, using: &random) }
    let shuffled = amounts.shuffled(using: &random)
    var pockets: [Pocket] = []
    for order in [amounts, shuffled] {
      let book = try Book()
      let pocket = try await book.write { till -> Pocket in
        try till.post(1, 10_000, from: .bank, to: .anna)
        for (index, amount) in order.enumerated() {
          try till.post(UInt64(index + 2), amount, from: .anna, to: .bert)
        }
        return try till.pocket(.bert)
      }
      pockets.append(pocket)
    }
    #expect(pockets[0] == pockets[1])
  }

  @Test(
    "the order of independent holds, captures and refunds does not change balances (I9)",
    arguments: 0..<10 as Range<UInt64>)
  func commutesAll(seed: UInt64) async throws {
    var random = SplitMix64(seed: seed)
    let amounts = (0..<12).map { _ in Int64.random(in: 2...100, using: &random) }
    var results: [[Pocket]] = []
    for _ in 0..<2 {
      let order = Array(amounts.indices).shuffled(using: &random)
      let book = try Book()
      let pockets = try await book.write { till -> [Pocket] in
        try till.post(1, 10_000, from: .bank, to: .anna)
        try till.post(2, 10_000, from: .bank, to: .bert)
        // Each index is one payer's chain of steps; the chains are independent of each other.
        for index in order {
          let (id, amount) = (UInt64(index), amounts[index])
          let payer: AccountName = index.isMultiple(of: 2) ? .anna : .bert
          try till.hold(100 + id, amount, from: payer)
          try till.capture(200 + id, of: 100 + id, amount - 1)
          try till.fee(300 + id, of: 200 + id, amount - 1)
          if index.isMultiple(of: 3) { try till.refund(400 + id, of: 200 + id, 1) }
        }
        return try World.accounts.map { try till.pocket($0) }
      }
      results.append(pockets)
    }
    #expect(results[0] == results[1])
  }

  @Test("the simulation meets every refusal it can")
  func coverage() async throws {
    var met: Set<ProblemCode> = []
    for seed in UInt64(1_000)..<1_010 {
      let book = try Book()
      let world = try await book.database.write { connection throws in
        try World(seed: seed).stepped(400, on: connection)
      }
      met.formUnion(world.refusals)
      #expect(world.faults == [])
    }
    let wanted: Set<ProblemCode> = [
      .insufficientFunds, .notFound, .idExistsDifferent, .exceedsHold, .exceedsCapture,
      .holdAlreadyCaptured, .holdAlreadyVoided, .holdAlreadyExpired, .accountFrozen,
      .accountClosed, .balanceNotEmpty,
    ]
    #expect(met == wanted)
  }
}
