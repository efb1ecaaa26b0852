import Ledger
import Primitives

/// What a caller may ask of the ledger.
enum Command: Equatable, Sendable {
  case post(from: AccountName, to: AccountName, amount: Int64)
  case hold(from: AccountName, to: AccountName, amount: Int64, expires: Int64)
  case capture(hold: UInt64, amount: Int64, keepsOpen: Bool)
  case void(hold: UInt64)
  case refund(capture: UInt64, amount: Int64)
  case expire

  /// The same with another amount; a void and a sweep have none.
  var withOtherAmount: Command {
    switch self {
    case .post(let from, let to, let amount): .post(from: from, to: to, amount: amount + 1)
    case .hold(let from, let to, let amount, let expires):
      .hold(from: from, to: to, amount: amount + 1, expires: expires)
    case .capture(let hold, let amount, let keepsOpen):
      .capture(hold: hold, amount: amount + 1, keepsOpen: keepsOpen)
    case .refund(let capture, let amount): .refund(capture: capture, amount: amount + 1)
    case .void, .expire: self
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
    var refunded: Int64 = 0
  }

  private(set) var balances: [AccountName: Int64] = [:]
  private(set) var held: [AccountName: Int64] = [:]
  private(set) var holds: [UInt64: Hold] = [:]
  private(set) var captures: [UInt64: Capture] = [:]
  private var done: [UInt64: Command] = [:]
  private var failed: [UInt64: ProblemCode] = [:]

  mutating func apply(_ command: Command, id: UInt64, at now: Int64) -> Outcome {
    if command == .expire {
      expire(at: now)
      return .done
    }
    if isMissing(command) { return .refused(.notFound) }
    if let code = failed[id] { return .refused(code) }
    if let earlier = done[id] { return earlier == command ? .exists : .refused(.idExistsDifferent) }
    if let code = refusal(of: command, at: now) {
      if code == .insufficientFunds { failed[id] = code }
      return .refused(code)
    }
    carryOut(command, id: id)
    done[id] = command
    return .done
  }

  func pocket(_ name: AccountName) -> Pocket {
    Pocket(balances[name, default: 0], held: held[name, default: 0])
  }

  private func isMissing(_ command: Command) -> Bool {
    switch command {
    case .capture(let hold, _, _): holds[hold] == nil
    case .void(let hold): holds[hold] == nil
    case .refund(let capture, _): captures[capture] == nil
    case .post, .hold, .expire: false
    }
  }

  private func refusal(of command: Command, at now: Int64) -> ProblemCode? {
    switch command {
    case .post(let from, _, let amount), .hold(let from, _, let amount, _):
      let available = balances[from, default: 0] - held[from, default: 0]
      return from == .bank || available >= amount ? nil : .insufficientFunds
    case .capture(let id, let amount, _):
      guard let hold = holds[id] else { return .notFound }
      if let code = closed(hold, at: now) { return code }
      return amount <= hold.remaining ? nil : .exceedsHold
    case .void(let id):
      guard let hold = holds[id] else { return .notFound }
      return closed(hold, at: now)
    case .refund(let id, let amount):
      guard let capture = captures[id] else { return .notFound }
      return amount <= capture.amount - capture.refunded ? nil : .exceedsCapture
    case .expire: return nil
    }
  }

  private func closed(_ hold: Hold, at now: Int64) -> ProblemCode? {
    if !hold.isOpen { return hold.closedAs }
    return now < hold.expires ? nil : .holdAlreadyExpired
  }

  private mutating func carryOut(_ command: Command, id: UInt64) {
    switch command {
    case .post(let from, let to, let amount): move(amount, from: from, to: to)
    case .hold(let from, let to, let amount, let expires):
      held[from, default: 0] += amount
      holds[id] = Hold(debit: from, credit: to, amount: amount, expires: expires)
    case .capture(let holdID, let amount, let keepsOpen):
      guard let hold = holds[holdID] else { return }
      held[hold.debit, default: 0] -= keepsOpen ? amount : hold.remaining
      move(amount, from: hold.debit, to: hold.credit)
      captures[id] = Capture(debit: hold.debit, credit: hold.credit, amount: amount)
      let isFull = amount == hold.remaining
      holds[holdID]?.captured += amount
      if isFull || !keepsOpen { close(holdID, as: .holdAlreadyCaptured) }
    case .void(let holdID):
      guard let hold = holds[holdID] else { return }
      held[hold.debit, default: 0] -= hold.remaining
      close(holdID, as: hold.captured > 0 ? .holdAlreadyCaptured : .holdAlreadyVoided)
    case .refund(let captureID, let amount):
      guard let capture = captures[captureID] else { return }
      move(amount, from: capture.credit, to: capture.debit)
      captures[captureID]?.refunded += amount
    case .expire: break
    }
  }

  private mutating func expire(at now: Int64) {
    for (id, hold) in holds where hold.isOpen && hold.expires <= now {
      held[hold.debit, default: 0] -= hold.remaining
      close(id, as: .holdAlreadyExpired)
    }
  }

  private mutating func close(_ id: UInt64, as code: ProblemCode) {
    holds[id]?.isOpen = false
    holds[id]?.closedAs = code
  }

  private mutating func move(_ amount: Int64, from: AccountName, to: AccountName) {
    balances[from, default: 0] -= amount
    balances[to, default: 0] += amount
  }
}
