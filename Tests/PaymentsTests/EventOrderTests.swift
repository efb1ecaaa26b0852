import Identity
import Ledger
import Payments
import Primitives
import SQLite
import Testing

/// A set of events of one purchase of 300 minor units and 100 tokens, and what they leave in microtokens.
private struct Story: Sendable {
  let name: String
  let left: Int64
  let state: PurchaseState
  let events: @Sendable (Bought) -> [JSON]

  static let all: [Story] = [
    Story(name: "refunds", left: 20_000_000, state: .partiallyRefunded) { bought in
      [
        bought.paid, bought.refunded(60), bought.refunded(150), bought.refunded(240, marked: true),
      ]
    },
    Story(name: "lost dispute", left: 0, state: .chargedBack) { bought in
      [
        bought.paid, bought.dispute("created"), bought.dispute("funds_withdrawn"),
        bought.dispute("closed", status: "lost"),
      ]
    },
    Story(name: "won dispute after a refund", left: 80_000_000, state: .partiallyRefunded) {
      bought in
      [
        bought.paid, bought.refunded(60), bought.dispute("funds_withdrawn", 240),
        bought.dispute("funds_reinstated", 240), bought.dispute("closed", 240, status: "won"),
      ]
    },
    Story(name: "late payment", left: 50_000_000, state: .chargedBack) { bought in
      [
        bought.session("completed", status: "unpaid"),
        bought.session("async_payment_succeeded", status: "paid"), bought.refunded(60),
        bought.dispute("created", 90), bought.dispute("funds_withdrawn", 90),
      ]
    },
    Story(name: "never paid", left: 0, state: .failed) { bought in
      [
        bought.session("completed", status: "unpaid"),
        bought.session("async_payment_failed", status: "unpaid"),
        bought.session("expired", status: "unpaid"),
      ]
    },
  ]
}

@Suite("events in any order")
struct EventOrderTests {
  @Test("leave the same ledger", arguments: Story.all.indices)
  func orders(index: Int) async throws {
    let story = Story.all[index]
    let till = try Till(seed: UInt64(index))
    let sample = Bought(id: ID(high: 0, low: 0), user: .anna, amount: 300, tokens: 100)
    let orders = permutations(Array(story.events(sample).indices))
    for (number, order) in orders.enumerated() {
      let user = ID<UserKind>(high: 3, low: UInt64(number))
      let bought = try await till.buy(100, by: user, key: "one")
      let events = story.events(bought)
      for place in order { try await till.receive(events[place]) }
      let end = try await till.desk.purchase(bought.id, of: user)
      #expect(try await till.available(user) == story.left, "\(story.name): \(order)")
      #expect(end.state == story.state, "\(story.name): \(order)")
      #expect(end.owed.count == 0 && end.flag == nil, "\(story.name): \(order)")
      // Once more, all of it: nothing moves.
      for event in events { #expect(try await till.receive(event) == .repeated) }
    }
    let total = story.left * Int64(orders.count)
    #expect(try await till.balance(.bank) == -total)
    #expect(try await till.balance(.losses) == 0)
    #expect(try await till.number("SELECT count(*) FROM account WHERE frozen_ms IS NOT NULL") == 0)
    #expect(try await till.faults().isEmpty)
  }

  /// Two purchases of 100 tokens, of which 100 are spent as soon as they can be; one is refunded whole, one disputed.
  @Test("of two purchases with spent tokens leave the same ledger")
  func spent() async throws {
    let till = try Till()
    let orders = permutations([0, 1, 2, 3])
    for (number, order) in orders.enumerated() {
      let user = ID<UserKind>(high: 3, low: UInt64(number))
      let seed = try await till.buy(100, by: user, key: "seed")
      try await till.receive(seed.paid)
      try await till.spend(100_000_000, of: user, id: UInt64(number))
      let other = try await till.buy(100, by: user, key: "other")
      let events = [
        seed.refunded(150), seed.dispute("funds_withdrawn", 150), other.paid, other.refunded(90),
      ]
      for place in order { try await till.receive(events[place]) }
      // 200 bought, 130 taken back, 100 spent: 30 are owed.
      #expect(try await till.available(user) == 0, "\(order)")
      let purchases = try await till.desk.purchases(of: user, before: nil, limit: 10)
      #expect(purchases.reduce(0) { $0 + $1.owed.count } == 30_000_000, "\(order)")
      #expect(try await till.isFrozen(user), "\(order)")
    }
    #expect(try await till.balance(.bank) == -70_000_000 * Int64(orders.count))
    #expect(try await till.balance(.losses) == -30_000_000 * Int64(orders.count))
    #expect(try await till.faults().isEmpty)
  }

  /// Properties, after every step of a seeded life of three users: units are conserved; external:payments is minus
  /// what was bought less what was taken back; a user never has and owes at once; what a user has, less what is
  /// owed, is bought - taken - spent + forgiven.
  @Test("random lives keep the promises", arguments: 0..<8 as Range<UInt64>)
  func lives(seed: UInt64) async throws {
    var random = SplitMix64(seed: seed)
    let till = try Till(seed: seed)
    var life = Life(till: till)
    for step in 0..<120 {
      try await life.step(&random)
      try await life.check("seed \(seed), step \(step)")
    }
    #expect(try await till.faults().isEmpty)
  }
}

/// Three users who buy, spend, are refunded and dispute, in no good order.
private struct Life {
  let till: Till
  var bought: [Bought] = []
  var sent: [JSON] = []
  var spent: [ID<UserKind>: Int64] = [:]
  var count: UInt64 = 0

  init(till: Till) { self.till = till }

  static let users = (0..<3).map { ID<UserKind>(high: 4, low: $0) }

  mutating func step(_ random: inout SplitMix64) async throws {
    count += 1
    let user = Life.users[Int(random.next() % 3)]
    guard let one = bought.randomElement(using: &random) else {
      return try await buy(user, &random)
    }
    switch random.next() % 12 {
    case 0, 1: try await buy(user, &random)
    case 2, 3, 4: try await send(one.paid)
    case 5, 6: try await send(one.refunded(Int64(random.next() % UInt64(one.amount)) + 1))
    case 7, 8, 9:
      let steps = ["created", "funds_withdrawn", "funds_withdrawn", "funds_reinstated", "closed"]
      let amount = random.next() % 2 == 0 ? one.amount : one.amount / 3
      try await send(
        one.dispute(
          steps[Int(random.next() % 5)], amount, status: random.next() % 2 == 0 ? "won" : "lost",
          dispute: "dp\(random.next() % 2)", name: "\(random.next() % 3)"))
    case 10:
      let has = try await till.available(user)
      let isFrozen = try await till.isFrozen(user)
      guard has > 0, !isFrozen else { return }
      let amount = Int64(random.next() % UInt64(has)) + 1
      try await till.spend(amount, of: user, id: count)
      spent[user, default: 0] += amount
    default:
      if random.next() % 2 == 0 {
        _ = try await till.settle(user, key: "settle \(count)")
      } else if let again = sent.randomElement(using: &random) {
        #expect(try await till.receive(again) == .repeated)
      }
    }
  }

  private mutating func buy(_ user: ID<UserKind>, _ random: inout SplitMix64) async throws {
    let tokens = Int64(random.next() % 900) + 100
    let answer = try await till.answer(tokens, by: user, key: "buy \(count)")
    guard try code(answer) == "201" else {
      #expect(try code(answer) == "account_frozen")
      return
    }
    let view = try JSON.parse(answer.body)
    bought.append(
      Bought(
        id: try #require(ID(view["purchaseId"]?.string ?? "")), user: user,
        amount: try #require(view["amountMinor"]?.int), tokens: tokens))
  }

  private mutating func send(_ event: JSON) async throws {
    let receipt = try await till.receive(event)
    #expect([.applied, .waiting, .repeated].contains(receipt))
    sent.append(event)
  }

  func check(_ place: String) async throws {
    var external: Int64 = 0
    for user in Life.users {
      let own = try await till.desk.purchases(of: user, before: nil, limit: 1_000)
      let kept = own.reduce(0) { $0 + $1.credited.count - $1.clawed.count }
      let owed = own.reduce(0) { $0 + $1.owed.count }
      let forgiven = own.reduce(0) { $0 + $1.forgiven.count }
      let has = try await till.available(user)
      external -= kept
      #expect(has - owed == kept - spent[user, default: 0] + forgiven, "\(place)")
      #expect(has == 0 || owed == 0, "\(place)")
      #expect(has >= 0, "\(place)")
    }
    #expect(try await till.balance(.bank) == external, "\(place)")
    let sum = try await till.number("SELECT sum(credits_posted - debits_posted) FROM account")
    #expect(sum == 0, "\(place)")
    #expect(
      try await till.number(
        "SELECT count(*) FROM account WHERE may_go_negative = 0 AND credits_posted < debits_posted")
        == 0, "\(place)")
  }
}
