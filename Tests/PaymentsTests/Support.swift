import Cryptography
import Foundation
import HTTPClient
import Identity
import Index
import Ledger
import Payments
import Primitives
import SQLite
import Synchronization
import Testing
import TestSupport

extension ID where Kind == UserKind {
  static var anna: ID { ID(high: 1, low: 1) }
  static var bert: ID { ID(high: 2, low: 2) }
  static var admin: ID { ID(high: 9, low: 9) }
}

extension AccountName {
  static let bank = AccountName.platform(.externalPayments)
  static let losses = AccountName.platform(.platformChargebacks)
}

extension StripeSignature {
  /// The header of a body, as the processor makes it.
  static func header(body: [UInt8], secret: String, at now: Timestamp) -> String {
    let signed = Array("\(now.seconds).".utf8) + body
    let signature = BytesText.hex(Digest.hmac(key: Array(secret.utf8), signed))
    return "t=\(now.seconds),v1=\(signature)"
  }
}

/// A payment processor that answers what the test has written down, else as the real one would.
final class Processor: Sendable {
  enum Reply: Sendable {
    case status(Int, JSON)
    case failure(TransferError)
    /// Waits until the test lets it go, then answers as the real one would.
    case held
  }

  struct Asked: Sendable {
    let path: String
    let headers: [String: String]
    let form: [String: String]
  }

  private struct State {
    var replies: [Reply] = []
    var asked: [Asked] = []
    var isOpen = false
  }

  static let url = "https://processor.example"
  private let state = Mutex(State())

  var asked: [Asked] { state.withLock { state -> [Asked] in state.asked } }

  func play(_ replies: Reply...) { state.withLock { $0.replies += replies } }

  func letGo() { state.withLock { $0.isOpen = true } }

  var send: StripeClient.Send {
    { request in try await self.answer(request) }
  }

  private func answer(_ request: OutboundRequest) async throws -> (status: Int, body: [UInt8]) {
    let asked = Asked(
      path: String(request.url.dropFirst(Processor.url.count)),
      headers: Dictionary(
        request.headers.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 }),
      form: Processor.form(request.body))
    let reply = state.withLock { state -> Reply? in
      state.asked.append(asked)
      return state.replies.isEmpty ? nil : state.replies.removeFirst()
    }
    switch reply {
    case .status(let status, let body)?: return (status, body.bytes)
    case .failure(let error)?: throw error
    case .held?:
      while !state.withLock({ state -> Bool in state.isOpen }) {
        try await Task.sleep(for: .milliseconds(2))
      }
    case nil: break
    }
    return (200, Processor.usual(asked).bytes)
  }

  /// As the real one: the same key gives the same object.
  private static func usual(_ asked: Asked) -> JSON {
    let key = asked.headers["Idempotency-Key"] ?? "none"
    if asked.path == "/v1/refunds" { return ["id": .string("re_" + key), "status": "succeeded"] }
    return [
      "id": .string("cs_" + key), "object": "checkout.session",
      "url": .string("https://checkout.example/c/" + key), "payment_intent": .null,
    ]
  }

  private static func form(_ body: [UInt8]) -> [String: String] {
    var form: [String: String] = [:]
    for pair in String(decoding: body, as: UTF8.self).split(separator: "&") {
      let sides = pair.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
      guard sides.count == 2, let name = sides[0].removingPercentEncoding,
        let value = sides[1].removingPercentEncoding
      else { continue }
      form[name] = value
    }
    return form
  }
}

/// A desk on a real record in a folder of its own, with a clock that the test moves.
struct Till: Sendable {
  static let dawn: Int64 = 1_800_000_000_000
  static let secret = "whsec_of_the_tests"
  static let key = "sk_test_never_to_be_seen"

  let folder: TemporaryFolder
  let clock: MovableClock
  let processor: Processor
  let database: Database
  let desk: PaymentDesk
  let notes: Notes

  /// What the desk tells its operator.
  final class Notes: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { lines -> [String] in lines } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }
  }

  init(seed: UInt64 = 1, price: Int64 = 3, isOffered: Bool = true) throws {
    folder = try TemporaryFolder()
    clock = MovableClock(Till.dawn)
    processor = Processor()
    notes = Notes()
    database = try Database(
      path: folder.path + "/record.db",
      migrations: IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) })
    let random = RandomSource.seeded(seed)
    let notes = notes
    var offer: PaymentDesk.Offer?
    if isOffered {
      offer = PaymentDesk.Offer(
        processor: try StripeClient(
          url: Processor.url, key: Till.key, webhookSecret: Till.secret, send: processor.send),
        price: try TokenPrice(minorPerToken: price, currency: "EUR"))
    }
    desk = PaymentDesk(
      database: database, clock: clock.clock, random: random,
      idempotency: Idempotency(
        sealer: Sealer(key: [UInt8](repeating: 7, count: 32)), random: random),
      offer: offer, publicURL: "https://waypost.example", log: { notes.add($0) })
  }

  // MARK: Requests

  static let refused: PaymentDesk.Refused = { refusal in
    let body: JSON = ["code": .string(refusal.code.rawValue)]
    return Idempotency.Answer(status: refusal.code.status, body: body.bytes)
  }

  func answer(
    _ tokens: Int64?, by user: ID<UserKind> = .anna, key: String
  ) async throws -> Idempotency.Answer {
    let body: JSON = tokens.map { ["tokenAmount": .int($0)] } ?? [:]
    let keyed = try Idempotency.Key(
      principal: .user(user, .user, providerID: nil), route: "POST /v1/tokens/purchase", key: key,
      body: body)
    return try await desk.buy(tokens, by: user, key: keyed, refused: Till.refused)
  }

  /// A purchase that waits to be paid.
  func buy(_ tokens: Int64 = 100, by user: ID<UserKind> = .anna, key: String) async throws
    -> Bought
  {
    let answer = try await answer(tokens, by: user, key: key)
    try #require(answer.status == 201, "\(String(decoding: answer.body, as: UTF8.self))")
    let view = try JSON.parse(answer.body)
    let id = try #require(ID<PurchaseKind>(view["purchaseId"]?.string ?? ""))
    return Bought(
      id: id, user: user, amount: try #require(view["amountMinor"]?.int),
      tokens: try #require(view["tokenAmount"]?.int))
  }

  func refund(
    _ id: ID<PurchaseKind>, _ amount: Int64?, key: String
  ) async throws -> Idempotency.Answer {
    let body: JSON = ["amountMinor": amount.map { .int($0) } ?? .null]
    let keyed = try Idempotency.Key(
      principal: .user(.admin, .admin, providerID: nil), route: "refund \(id.text)", key: key,
      body: body)
    return try await desk.refund(
      id, amountMinor: amount, reason: "asked for", by: .admin, author: .terminal, key: keyed,
      refused: Till.refused)
  }

  func settle(_ user: ID<UserKind>, key: String) async throws -> Idempotency.Answer {
    let keyed = try Idempotency.Key(
      principal: .user(.admin, .admin, providerID: nil), route: "settle \(user.text)", key: key,
      body: [:])
    return try await desk.settleDebts(
      of: user, by: .admin, author: .terminal, key: keyed, refused: Till.refused)
  }

  // MARK: Events

  /// Signs an event now and hands it in.
  @discardableResult
  func receive(_ event: JSON) async throws -> PaymentDesk.Receipt {
    let body = event.bytes
    return try await desk.receive(
      body, signature: StripeSignature.header(body: body, secret: Till.secret, at: clock.now))
  }

  // MARK: The ledger

  func available(_ user: ID<UserKind> = .anna) async throws -> Int64 {
    try await balance(.user(user))
  }

  func balance(_ name: AccountName) async throws -> Int64 {
    try await database.read { connection in
      try LedgerStore.balance(name, on: connection).balance.count
    }
  }

  func number(_ sql: String) async throws -> Int64 {
    try await database.read { connection throws in
      try connection.first(sql) { row in row.int(0) } ?? -1
    }
  }

  func faults() async throws -> [String] {
    try await database.read { connection in try LedgerVerifier.verify(connection).faults }
  }

  func purchase(_ id: ID<PurchaseKind>) async throws -> JSONObject { try await desk.detail(id) }

  func isFrozen(_ user: ID<UserKind> = .anna) async throws -> Bool {
    try await database.read { connection in
      try StandingStore.frozenSince(user, on: connection) != nil
    }
  }

  /// Moves what a user has to a provider, as a paid session would.
  func spend(_ amount: Int64, of user: ID<UserKind> = .anna, id: UInt64) async throws {
    let now = clock.now
    try await database.write { connection throws in
      _ = try LedgerStore.post(
        ID(high: 77, low: id), from: .user(user), to: .provider("shop"), Microtokens(amount),
        reason: "spent", at: now, on: connection)
    }
  }
}

/// A purchase with the events that the processor could send of it.
struct Bought: Sendable {
  let id: ID<PurchaseKind>
  let user: ID<UserKind>
  let amount: Int64
  let tokens: Int64

  var microtokens: Int64 { tokens * 1_000_000 }
  var payment: String { "pi_" + id.text }

  private func event(_ type: String, _ object: JSON, _ name: String) -> JSON {
    [
      "id": .string("evt_\(name)_\(id.text)"), "object": "event", "type": .string(type),
      "created": 1_800_000_000, "data": ["object": object],
    ]
  }

  func session(
    _ step: String, status: String, amount: Int64? = nil, currency: String = "eur",
    session: String? = nil, name: String? = nil
  ) -> JSON {
    event(
      "checkout.session." + step,
      [
        "id": .string(session ?? "cs_" + id.text), "object": "checkout.session",
        "payment_intent": .string(payment), "payment_status": .string(status),
        "amount_total": .int(amount ?? self.amount), "currency": .string(currency),
        "metadata": ["purchaseId": .string(id.text)],
        "customer_details": ["email": "person@example.org", "name": "A Person"],
      ], name ?? step)
  }

  var paid: JSON { session("completed", status: "paid") }

  /// - Parameter total: Everything refunded so far.
  func refunded(_ total: Int64, name: String = "refund", marked: Bool = false) -> JSON {
    event(
      "charge.refunded",
      [
        "id": .string("ch_" + id.text), "object": "charge", "payment_intent": .string(payment),
        "amount": .int(amount), "amount_refunded": .int(total), "currency": "eur",
        "metadata": marked ? ["purchaseId": .string(id.text)] : [:],
      ], "\(name)_\(total)")
  }

  func dispute(
    _ step: String, _ amount: Int64? = nil, status: String = "needs_response",
    dispute: String = "dp", name: String = ""
  ) -> JSON {
    event(
      "charge.dispute." + step,
      [
        "id": .string("\(dispute)_\(id.text)"), "object": "dispute",
        "payment_intent": .string(payment), "charge": .string("ch_" + id.text),
        "amount": .int(amount ?? self.amount), "currency": "eur", "status": .string(status),
      ], "\(dispute)_\(step)\(name)")
  }
}

/// The code in a stored refusal, or the status where there is none.
func code(_ answer: Idempotency.Answer) throws -> String {
  try JSON.parse(answer.body)["code"]?.string ?? String(answer.status)
}

/// Every order of a few things.
func permutations<T>(_ items: [T]) -> [[T]] {
  guard let first = items.first else { return [[]] }
  return permutations(Array(items.dropFirst())).flatMap { rest in
    (0...rest.count).map { place in Array(rest[..<place]) + [first] + Array(rest[place...]) }
  }
}
