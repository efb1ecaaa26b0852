import Ledger
import Primitives

/// Movements of a few accounts by chance, at moments of a clock that goes on, stands still, and is set forth and back.
struct JumpingLedger {
  static let names: [AccountName] = [.bank, .anna, .bert, .shop, .kiosk, .fees]
  /// Where its clock begins.
  static let start: Int64 = 500_000_000

  private var random: SplitMix64
  private var now = JumpingLedger.start
  private var nextID: UInt64
  private var holds: [UInt64] = []
  private var captures: [UInt64] = []

  /// - Parameter part: Of a ledger that grows in parts: each has ids of its own.
  init(seed: UInt64, part: UInt64) {
    random = SplitMix64(seed: seed &* 1_000 &+ part)
    nextID = (part + 1) * 1_000_000
  }

  /// Tries so many acts; some are refused.
  mutating func fill(_ count: Int, _ till: Till) throws {
    for _ in 0..<count {
      moveClock()
      nextID += 1
      let command = choose()
      guard try till.at(now).perform(command, id: nextID, seed: random.next()) == .done else {
        continue
      }
      switch command {
      case .hold: holds.append(nextID)
      case .capture: captures.append(nextID)
      default: break
      }
    }
  }

  private mutating func moveClock() {
    switch Int.random(in: 0..<40, using: &random) {
    case 0: now += Int64.random(in: 1...5_000_000, using: &random)
    case 1: now -= Int64.random(in: 1...5_000_000, using: &random)
    case 2..<20: now += Int64.random(in: 1...2_000, using: &random)
    default: break
    }
  }

  private mutating func choose() -> Command {
    let user: AccountName = Bool.random(using: &random) ? .anna : .bert
    let provider: AccountName = Int.random(in: 0..<5, using: &random) == 0 ? .kiosk : .shop
    let amount = Int64.random(in: 1...500, using: &random)
    let hold = holds.suffix(6).randomElement(using: &random) ?? 1
    switch Int.random(in: 0..<100, using: &random) {
    case ..<20: return .post(from: .bank, to: user, amount: amount * 4)
    case ..<55:
      let life = Int64.random(in: 1...9_000_000, using: &random)
      return .hold(from: user, to: provider, amount: amount, expires: now + life)
    case ..<80:
      return .capture(
        hold: hold, amount: amount / 3 + 1, keepsOpen: Bool.random(using: &random), fee: 2_000)
    case ..<92: return .void(hold: hold)
    case ..<96:
      return .refund(
        capture: captures.suffix(20).randomElement(using: &random) ?? 1, amount: amount / 9 + 1)
    default: return .expire
    }
  }
}
