import Ledger
import Primitives

/// What a caller may ask of the ledger.
enum Command: Equatable, Sendable {
  case post(from: AccountName, to: AccountName, amount: Int64)
  /// As a dispute is settled: the account may be frozen.
  case settle(from: AccountName, to: AccountName, amount: Int64)
  case hold(from: AccountName, to: AccountName, amount: Int64, expires: Int64)
  /// With the platform's share, in ten-thousandths, moved in the same step.
  case capture(hold: UInt64, amount: Int64, keepsOpen: Bool, fee: Int64)
  case void(hold: UInt64)
  case refund(capture: UInt64, amount: Int64)
  case grant(to: AccountName, amount: Int64, throughGrants: Bool)
  case payOut(amount: Int64)
  case freeze(AccountName)
  case unfreeze(AccountName)
  case close(AccountName)
  case expire

  /// The same with another amount; some have none.
  var withOtherAmount: Command {
    switch self {
    case .post(let from, let to, let amount): .post(from: from, to: to, amount: amount + 1)
    case .settle(let from, let to, let amount): .settle(from: from, to: to, amount: amount + 1)
    case .hold(let from, let to, let amount, let expires):
      .hold(from: from, to: to, amount: amount + 1, expires: expires)
    case .capture(let hold, let amount, let keepsOpen, let fee):
      .capture(hold: hold, amount: amount + 1, keepsOpen: keepsOpen, fee: fee)
    case .refund(let capture, let amount): .refund(capture: capture, amount: amount + 1)
    case .grant(let user, let amount, let through):
      .grant(to: user, amount: amount + 1, throughGrants: through)
    case .payOut(let amount): .payOut(amount: amount + 1)
    case .void, .freeze, .unfreeze, .close, .expire: self
    }
  }

  /// Whether it has an id of its own: the others say how something is to be, and may be said again.
  var hasID: Bool {
    switch self {
    case .freeze, .unfreeze, .close, .expire: false
    default: true
    }
  }
}

/// What came of it.
enum Outcome: Equatable, Sendable {
  case done
  case exists
  case refused(ProblemCode)
}

/// What the ledger should do: dictionaries and plain rules, no storage.
struct LedgerModel: Sendable {
  struct Hold: Sendable {
    let debit: AccountName
    let credit: AccountName
    let amount: Int64
    let expires: Int64
    var captured: Int64 = 0
    var isOpen = true
    var closedAs = ProblemCode.holdAlreadyExpired

    var remaining: Int64 { amount - captured }
  }

  struct Capture: Sendable {
    let debit: AccountName
    let credit: AccountName
    let amount: Int64
    let fee: Int64
    var refunded: Int64 = 0
    var feeReturned: Int64 = 0
  }

  private(set) var balances: [AccountName: Int64] = [:]
  private(set) var held: [AccountName: Int64] = [:]
  private(set) var expected: [AccountName: Int64] = [:]
  private(set) var holds: [UInt64: Hold] = [:]
  private(set) var captures: [UInt64: Capture] = [:]
  private var done: [UInt64: Command] = [:]
  private var failed: [UInt64: ProblemCode] = [:]
  private var frozen: Set<AccountName> = []
  private var closed: Set<AccountName> = []
  private var openHolds: Set<UInt64> = []

  mutating func apply(_ command: Command, id: UInt64, at now: Int64) -> Outcome {
    if command.hasID {
      if isMissing(command) { return .refused(.notFound) }
      if let code = failed[id] { return .refused(code) }
      if let earlier = done[id] {
        return earlier == command ? .exists : .refused(.idExistsDifferent)
      }
    }
    if let code = refusal(of: command, at: now) {
      let isForGood = [.insufficientFunds, .accountClosed, .accountFrozen].contains(code)
      if isForGood { failed[id] = code }
      return .refused(code)
    }
    carryOut(command, id: id, at: now)
    if command.hasID { done[id] = command }
    return .done
  }

  /// Takes over what another future has refused for good: that outlives its undoing (L7).
  mutating func remember(failedIn other: LedgerModel) {
    failed.merge(other.failed) { mine, _ in mine }
  }

  func pocket(_ name: AccountName) -> Pocket {
    Pocket(balances[name, default: 0], held: held[name, default: 0])
  }

  private func isMissing(_ command: Command) -> Bool {
    switch command {
    case .capture(let hold, _, _, _): holds[hold] == nil
    case .void(let hold): holds[hold] == nil
    case .refund(let capture, _): captures[capture] == nil
    default: false
    }
  }

  private func refusal(of command: Command, at now: Int64) -> ProblemCode? {
    switch command {
    case .post(let from, let to, let amount), .hold(let from, let to, let amount, _):
      return move(from, to, amount)
    case .settle(let from, let to, let amount): return move(from, to, amount, settles: true)
    case .capture(let id, let amount, _, _):
      guard let hold = holds[id] else { return .notFound }
      if let code = ended(hold, at: now) { return code }
      return amount <= hold.remaining ? nil : .exceedsHold
    case .void(let id):
      guard let hold = holds[id] else { return .notFound }
      return ended(hold, at: now)
    case .refund(let id, let amount):
      guard let capture = captures[id] else { return .notFound }
      if closed.contains(capture.debit) || closed.contains(capture.credit) {
        return .accountClosed
      }
      return amount <= capture.amount - capture.refunded ? nil : .exceedsCapture
    case .grant(let user, let amount, _): return move(.bank, user, amount)
    case .payOut(let amount): return move(.shop, .payouts, amount)
    case .close(let name):
      let isEmpty =
        balances[name, default: 0] == 0 && held[name, default: 0] == 0
        && expected[name, default: 0] == 0
      return isEmpty || closed.contains(name) ? nil : .balanceNotEmpty
    case .freeze, .unfreeze, .expire: return nil
    }
  }

  private func move(
    _ from: AccountName, _ to: AccountName, _ amount: Int64, settles: Bool = false
  ) -> ProblemCode? {
    if closed.contains(from) || closed.contains(to) { return .accountClosed }
    if frozen.contains(from), !settles { return .accountFrozen }
    let available = balances[from, default: 0] - held[from, default: 0]
    let isFree = from == .bank || from == .chargebacks
    return isFree || available >= amount ? nil : .insufficientFunds
  }

  private func ended(_ hold: Hold, at now: Int64) -> ProblemCode? {
    if !hold.isOpen { return hold.closedAs }
    return now < hold.expires ? nil : .holdAlreadyExpired
  }

  private mutating func carryOut(_ command: Command, id: UInt64, at now: Int64) {
    switch command {
    case .post(let from, let to, let amount), .settle(let from, let to, let amount):
      transfer(amount, from: from, to: to)
    case .hold(let from, let to, let amount, let expires):
      held[from, default: 0] += amount
      expected[to, default: 0] += amount
      holds[id] = Hold(debit: from, credit: to, amount: amount, expires: expires)
      openHolds.insert(id)
    case .capture(let hold, let amount, let keepsOpen, let fee):
      capture(hold, amount, keepsOpen: keepsOpen, fee: fee, id: id)
    case .void(let holdID):
      guard let hold = holds[holdID] else { return }
      close(holdID, as: hold.captured > 0 ? .holdAlreadyCaptured : .holdAlreadyVoided)
    case .refund(let captureID, let amount): refund(captureID, amount)
    case .grant(let user, let amount, _): transfer(amount, from: .promo, to: user)
    case .payOut(let amount): transfer(amount, from: .shop, to: .payouts)
    case .freeze(let name): frozen.insert(name)
    case .unfreeze(let name): frozen.remove(name)
    case .close(let name): closed.insert(name)
    case .expire:
      for id in openHolds where (holds[id]?.expires ?? Int64.max) <= now {
        close(id, as: .holdAlreadyExpired)
      }
    }
  }

  private mutating func capture(
    _ holdID: UInt64, _ amount: Int64, keepsOpen: Bool, fee: Int64, id: UInt64
  ) {
    guard let hold = holds[holdID] else { return }
    held[hold.debit, default: 0] -= amount
    expected[hold.credit, default: 0] -= amount
    transfer(amount, from: hold.debit, to: hold.credit)
    let share = amount * fee / 10_000
    transfer(share, from: hold.credit, to: .fees)
    captures[id] = Capture(debit: hold.debit, credit: hold.credit, amount: amount, fee: share)
    let isFull = amount == hold.remaining
    holds[holdID]?.captured += amount
    if isFull || !keepsOpen { close(holdID, as: .holdAlreadyCaptured) }
  }

  private mutating func refund(_ id: UInt64, _ amount: Int64) {
    guard var capture = captures[id] else { return }
    capture.refunded += amount
    let share = capture.fee * capture.refunded / capture.amount - capture.feeReturned
    transfer(share, from: .fees, to: capture.credit)
    capture.feeReturned += share
    transfer(amount, from: capture.credit, to: capture.debit)
    captures[id] = capture
  }

  /// Closes a hold and gives its rest back.
  private mutating func close(_ id: UInt64, as code: ProblemCode) {
    guard let hold = holds[id] else { return }
    held[hold.debit, default: 0] -= hold.remaining
    expected[hold.credit, default: 0] -= hold.remaining
    holds[id]?.isOpen = false
    holds[id]?.closedAs = code
    openHolds.remove(id)
  }

  private mutating func transfer(_ amount: Int64, from: AccountName, to: AccountName) {
    balances[from, default: 0] -= amount
    balances[to, default: 0] += amount
  }
}
