import Ledger
import Primitives
import SQLite
import Testing

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

/// A pretend world that a seed decides: who asks what and when. The ledger below is the real one.
struct World: Sendable {
  static let accounts: [AccountName] = [.bank, .anna, .bert, .shop]

  private(set) var faults: [String] = []
  private(set) var steps = 0
  private(set) var refusals: Set<ProblemCode> = []
  private var random: SplitMix64
  private var model = LedgerModel()
  private var now: Int64 = 1_000_000
  private var nextID: UInt64 = 1
  private var history: [(id: UInt64, command: Command)] = []
  private var holdIDs: [UInt64] = []
  private var captureIDs: [UInt64] = []

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  /// The world after so many more steps; it stops at the first fault.
  func stepped(_ count: Int, on connection: Connection) throws -> World {
    var world = self
    for _ in 0..<count where world.faults.isEmpty { try world.step(on: connection) }
    return world
  }

  private mutating func step(on connection: Connection) throws {
    steps += 1
    moveTime()
    let (id, command) = choose()
    history.append((id, command))
    let till = Till(connection: connection, now: Timestamp(milliseconds: now))
    let actual = try till.perform(command, id: id, seed: random.next())
    let expected = model.apply(command, id: id, at: now)
    if actual != expected {
      faults.append("step \(steps): \(command) gave \(actual), not \(expected)")
    }
    if case .refused(let code) = actual { refusals.insert(code) }
    if actual == .done { remember(command, id) }
    for account in World.accounts {
      let pocket = try till.pocket(account)
      let wanted = model.pocket(account)
      if pocket != wanted {
        faults.append("step \(steps): \(command) left \(account) \(pocket), not \(wanted)")
      }
    }
  }

  private mutating func remember(_ command: Command, _ id: UInt64) {
    switch command {
    case .hold: holdIDs.append(id)
    case .capture: captureIDs.append(id)
    default: break
    }
  }

  /// Time passes; now and then it lands on a hold's time-out, or a millisecond beside it.
  private mutating func moveTime() {
    now += Int64.random(in: 0...1_500, using: &random)
    guard Int.random(in: 0..<5, using: &random) == 0,
      let id = holdIDs.suffix(8).randomElement(using: &random), let hold = model.holds[id]
    else { return }
    now = max(now, hold.expires + Int64.random(in: -1...1, using: &random))
  }

  private mutating func choose() -> (UInt64, Command) {
    let roll = Int.random(in: 0..<100, using: &random)
    if roll < 8, let (id, command) = history.randomElement(using: &random) {
      return (id, Bool.random(using: &random) ? command : command.withOtherAmount)
    }
    nextID += 1
    return (nextID, fresh(roll))
  }

  private mutating func fresh(_ roll: Int) -> Command {
    let users: [AccountName] = Bool.random(using: &random) ? [.anna, .bert] : [.bert, .anna]
    switch roll {
    case ..<20: return .post(from: .bank, to: users[0], amount: amount(2_000))
    case ..<30: return .post(from: users[0], to: users[1], amount: amount(1_500))
    case ..<52:
      let expires = now + Int64.random(in: 1...30_000, using: &random)
      return .hold(from: users[0], to: .shop, amount: amount(1_000), expires: expires)
    case ..<74:
      let id = holdIDs.suffix(8).randomElement(using: &random) ?? 9_999
      let most = (model.holds[id]?.remaining ?? 0) + 20
      return .capture(
        hold: id, amount: amount(max(1, most)), keepsOpen: Bool.random(using: &random))
    case ..<83: return .void(hold: holdIDs.suffix(8).randomElement(using: &random) ?? 9_999)
    case ..<93:
      let id = captureIDs.randomElement(using: &random) ?? 9_999
      return .refund(capture: id, amount: amount((model.captures[id]?.amount ?? 0) + 5))
    case ..<95: return .void(hold: 9_999)
    default: return .expire
    }
  }

  private mutating func amount(_ most: Int64) -> Int64 {
    Int64.random(in: 1...most, using: &random)
  }
}

extension Till {
  /// Does what a command says with the real ledger.
  func perform(_ command: Command, id: UInt64, seed: UInt64) throws -> Outcome {
    var isNew = true
    let code = try refusal { isNew = try attempt(command, id: id, seed: seed) }
    if let code { return .refused(code) }
    return isNew ? .done : .exists
  }

  private func attempt(_ command: Command, id: UInt64, seed: UInt64) throws -> Bool {
    switch command {
    case .post(let from, let to, let amount):
      return try post(id, amount, from: from, to: to)
    case .hold(let from, let to, let amount, let expires):
      return try hold(id, amount, from: from, to: to, until: expires)
    case .capture(let hold, let amount, let keepsOpen):
      return try capture(id, of: hold, amount, keepsOpen: keepsOpen)
    case .void(let hold):
      return try void(id, of: hold)
    case .refund(let capture, let amount):
      return try refund(id, of: capture, amount)
    case .expire:
      try expire(seed: seed)
      return true
    }
  }
}

@Suite("Ledger: simulation against a model")
struct SimulationTests {
  @Test(
    "balances and refusals equal the model's after every step, and the ledger stays sound",
    arguments: 0..<200 as Range<UInt64>)
  func equalsModel(seed: UInt64) async throws {
    try await Gate.simulations.run {
      let folder = try TemporaryFolder()
      var world = World(seed: seed)
      // One to three lives of the process; each opens the file again.
      let lives = Int(seed % 3) + 1
      for _ in 0..<lives {
        let book = try Book(in: folder)
        for _ in 0..<(15 / lives) {
          world = try await book.database.write { [world] connection in
            try world.stepped(10, on: connection)
          }
        }
      }
      let report = try await Book(in: folder).verify()
      #expect(report.faults == [])
      #expect(world.faults == [])
      #expect(world.steps >= 140)
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

  @Test("the simulation meets every refusal it can")
  func coverage() async throws {
    var met: Set<ProblemCode> = []
    for seed in UInt64(1_000)..<1_010 {
      let book = try Book()
      let world = try await book.database.write { connection throws in
        try World(seed: seed).stepped(150, on: connection)
      }
      met.formUnion(world.refusals)
      #expect(world.faults == [])
    }
    let wanted: Set<ProblemCode> = [
      .insufficientFunds, .notFound, .idExistsDifferent, .exceedsHold, .exceedsCapture,
      .holdAlreadyCaptured, .holdAlreadyVoided, .holdAlreadyExpired,
    ]
    #expect(met == wanted)
  }
}
