import Ledger
import Primitives
import SQLite

/// A pretend world that a seed decides: who asks what and when. The ledger below is the real one.
///
/// After every step the ledger's answer and every balance equal the model's, and the invariants hold of what the step
/// has touched.
struct World: Sendable {
  static let accounts: [AccountName] = [
    .bank, .payouts, .fees, .promo, .chargebacks, .anna, .bert, .carl, .shop, .kiosk,
  ]
  private static let users: [AccountName] = [.anna, .bert, .carl]

  private(set) var faults: [String] = []
  private(set) var steps = 0
  private(set) var refusals: Set<ProblemCode> = []
  private let seed: UInt64
  private var random: SplitMix64
  private var model = LedgerModel()
  private var watch = LedgerReplay()
  private var now: Int64 = 1_000_000
  private var nextID: UInt64 = 1
  private var history: [(id: UInt64, command: Command)] = []
  private var holdIDs: [UInt64] = []
  private var captureIDs: [UInt64] = []

  init(seed: UInt64) {
    self.seed = seed
    random = SplitMix64(seed: seed)
  }

  /// What moves the world but not the ledger: whether this batch is undone, whether the process starts again.
  mutating func isUnlucky(_ one: Int, in many: Int) -> Bool {
    Int.random(in: 0..<many, using: &random) < one
  }

  /// The world after so many more steps; it stops at the first fault.
  func stepped(_ count: Int, on connection: Connection) throws -> World {
    var world = self
    for _ in 0..<count where world.faults.isEmpty { try world.step(on: connection) }
    return world
  }

  /// This world as it was, after steps that were undone: what they refused for good stays refused.
  func undone(_ future: World) -> World {
    var world = self
    world.model.remember(failedIn: future.model)
    world.random = future.random
    world.nextID = future.nextID
    world.history = future.history
    world.faults = future.faults
    world.steps = future.steps
    return world
  }

  mutating func fault(_ text: String) {
    faults.append("WAYPOST_SEED=\(seed) step \(steps): \(text)")
  }

  private mutating func step(on connection: Connection) throws {
    steps += 1
    moveTime()
    let (id, command) = choose()
    history.append((id, command))
    let till = Till(connection: connection, now: Timestamp(milliseconds: now))
    // Half of the refusals leave a savepoint, which undoes everything but the memory of them.
    let leaves = Bool.random(using: &random)
    let actual = try till.perform(command, id: id, seed: random.next(), leavesSavepoint: leaves)
    let expected = model.apply(command, id: id, at: now)
    if actual != expected { fault("\(command) gave \(actual), not \(expected)") }
    if case .refused(let code) = actual { refusals.insert(code) }
    if actual == .done { remember(command, id) }
    let pockets = try till.pockets()
    for account in World.accounts where pockets[account] ?? Pocket(0) != model.pocket(account) {
      fault("\(command) left \(account) other than \(model.pocket(account))")
    }
    for broken in try watch.check(on: connection) { fault("\(command) broke \(broken)") }
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
    let roll = Int.random(in: 0..<1_000, using: &random)
    if roll < 80, let (id, command) = history.randomElement(using: &random) {
      return (id, Bool.random(using: &random) ? command : command.withOtherAmount)
    }
    nextID += 1
    return (nextID, roll < 830 ? payment(roll) : order(roll))
  }

  private mutating func payment(_ roll: Int) -> Command {
    let users = World.users.shuffled(using: &random)
    switch roll {
    case ..<180: return .post(from: .bank, to: users[0], amount: amount(2_000))
    case ..<270: return .post(from: users[0], to: users[1], amount: amount(1_500))
    case ..<470:
      let expires = now + Int64.random(in: 1...30_000, using: &random)
      let provider: AccountName = Bool.random(using: &random) ? .shop : .kiosk
      return .hold(from: users[0], to: provider, amount: amount(1_000), expires: expires)
    case ..<670:
      let id = recentHold()
      return .capture(
        hold: id, amount: amount((model.holds[id]?.remaining ?? 0) + 20),
        keepsOpen: Bool.random(using: &random),
        fee: [0, 1, 2_000, 2_500].randomElement(using: &random) ?? 0)
    case ..<750: return .void(hold: recentHold())
    default:
      let id = captureIDs.suffix(50).randomElement(using: &random) ?? 999_999_999
      return .refund(capture: id, amount: amount((model.captures[id]?.amount ?? 0) + 5))
    }
  }

  private mutating func order(_ roll: Int) -> Command {
    let user = World.users.randomElement(using: &random) ?? .anna
    switch roll {
    case ..<855:
      return .grant(to: user, amount: amount(300), throughGrants: Bool.random(using: &random))
    case ..<885: return .payOut(amount: amount(2_500))
    case ..<895: return .settle(from: user, to: .bank, amount: amount(1_200))
    case ..<900: return .settle(from: .chargebacks, to: .bank, amount: amount(600))
    case ..<915: return .freeze(user)
    case ..<940: return .unfreeze(user)
    case ..<942:
      return .close([.anna, .carl, .kiosk].randomElement(using: &random) ?? .carl)
    case ..<950: return .void(hold: 999_999_999)
    default: return .expire
    }
  }

  private mutating func recentHold() -> UInt64 {
    holdIDs.suffix(8).randomElement(using: &random) ?? 999_999_999
  }

  private mutating func amount(_ most: Int64) -> Int64 {
    Int64.random(in: 1...max(1, most), using: &random)
  }
}

extension Till {
  /// Does what a command says with the real ledger.
  ///
  /// - Parameter leavesSavepoint: Whether a refusal undoes what was done before it.
  func perform(
    _ command: Command, id: UInt64, seed: UInt64, leavesSavepoint: Bool = false
  ) throws -> Outcome {
    var isNew = true
    let code = try refusal {
      if leavesSavepoint {
        isNew = try connection.savepoint { try attempt(command, id: id, seed: seed) }
      } else {
        isNew = try attempt(command, id: id, seed: seed)
      }
    }
    if let code { return .refused(code) }
    return isNew ? .done : .exists
  }

  private func attempt(_ command: Command, id: UInt64, seed: UInt64) throws -> Bool {
    switch command {
    case .post(let from, let to, let amount):
      return try post(id, amount, from: from, to: to)
    case .hold(let from, let to, let amount, let expires):
      return try hold(id, amount, from: from, to: to, until: expires)
    case .capture(let hold, let amount, let keepsOpen, let fee):
      return try captureWithFee(id, of: hold, amount, keepsOpen: keepsOpen, fee)
    case .void(let hold): return try void(id, of: hold)
    case .refund(let capture, let amount): return try refund(id, of: capture, amount)
    case .grant(let user, let amount, let through):
      return try grant(id, amount, to: user, throughGrants: through)
    case .payOut(let amount): return try payOut(amount, reference: "r\(id)")
    case .settle(let from, let to, let amount):
      return try post(id, amount, from: from, to: to, settles: true)
    default: return try setStanding(command, seed: seed)
    }
  }

  private func setStanding(_ command: Command, seed: UInt64) throws -> Bool {
    switch command {
    case .freeze(let name): try LedgerStore.freeze(name, .test, at: now, on: connection)
    case .unfreeze(let name): try LedgerStore.unfreeze(name, .test, at: now, on: connection)
    case .close(let name): try LedgerStore.close(name, .test, at: now, on: connection)
    default: try expire(seed: seed)
    }
    return true
  }

  /// As a session settles: the share moves in the same transaction, from the provider that the hold names.
  private func captureWithFee(
    _ id: UInt64, of hold: UInt64, _ amount: Int64, keepsOpen: Bool, _ basisPoints: Int64
  ) throws -> Bool {
    guard try capture(id, of: hold, amount, keepsOpen: keepsOpen) else { return false }
    let owner = try connection.first(
      "SELECT a.owner FROM transfer t JOIN account a ON a.id = t.credit WHERE t.id = ?",
      [.blob(ID<TransferKind>(high: 0, low: id).bytes)]
    ) { String(decoding: $0.blob(0), as: UTF8.self) }
    try LedgerStore.fee(
      ID(high: 1, low: id), ofCapture: ID(high: 0, low: id), captured: Microtokens(amount),
      provider: .provider(owner ?? ""), basisPoints: basisPoints, at: now, on: connection)
    return true
  }
}
