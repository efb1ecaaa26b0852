import Cryptography
import Foundation
import Identity
import Index
import Primitives
import SQLite
import Synchronization
import Testing
import Delivery
import TestSupport

/// Counts from any task.
final class Tally: Sendable {
  private let number = Mutex(0)

  var count: Int { number.withLock { number -> Int in number } }
  func add() { number.withLock { number in number += 1 } }
}

/// One attempt as the stand-in for the network saw it.
struct Seen: Sendable {
  let url: String
  let id: String
  let timestamp: String
  let signature: String
  let body: [UInt8]
  let at: Timestamp
}

/// Stands in for the network: answers by URL, in order, and remembers what came.
final class Receiver: Sendable {
  private let script = Mutex<[String: [WebhookAnswer]]>([:])
  private let log = Mutex<[Seen]>([])
  private let clock: MovableClock

  init(clock: MovableClock) { self.clock = clock }

  var seen: [Seen] { log.withLock { log -> [Seen] in log } }

  /// The next answers of a URL; the last one stays.
  func answer(_ url: String, _ outcomes: WebhookOutcome...) {
    script.withLock { script in
      script[url] = outcomes.map { WebhookAnswer($0, body: Array("ok".utf8)) }
    }
  }

  func post(_ request: WebhookRequest) -> WebhookAnswer {
    func header(_ name: String) -> String {
      request.headers.first { $0.name == name }?.value ?? ""
    }
    let seen = Seen(
      url: request.url, id: header("webhook-id"), timestamp: header("webhook-timestamp"),
      signature: header("webhook-signature"), body: request.body, at: clock.now)
    log.withLock { log in log.append(seen) }
    return script.withLock { script -> WebhookAnswer in
      guard var answers = script[request.url], let first = answers.first else {
        return WebhookAnswer(.answered(status: 204))
      }
      if answers.count > 1 { answers.removeFirst() }
      script[request.url] = answers
      return first
    }
  }
}

/// A desk on a real record in a folder of its own.
struct Stage: Sendable {
  static let dawn: Int64 = 1_800_000_000_000
  static let hook = "https://hooks.acme.example/in"

  let folder: TemporaryFolder
  let clock: MovableClock
  let random: RandomSource
  let database: Database
  let receiver: Receiver
  let post: PostOffice
  let said = Lines()
  let desk: WebhookDesk

  /// - Parameter sendsMail: Whether owners' notices go out by e-mail.
  init(seed: UInt64 = 1, sendsMail: Bool = true) async throws {
    let clock = MovableClock(Stage.dawn)
    try self.init(
      folder: TemporaryFolder(), clock: clock, random: .seeded(seed),
      receiver: Receiver(clock: clock), post: PostOffice(clock: clock), sendsMail: sendsMail,
      send: nil)
    try await write(
      "INSERT INTO provider(id, name, created_ms, updated_ms) VALUES ('acme','A',1,1)")
    try await write(
      "INSERT INTO provider(id, name, created_ms, updated_ms) VALUES ('beta','B',1,1)")
  }

  private init(
    folder: TemporaryFolder, clock: MovableClock, random: RandomSource, receiver: Receiver,
    post: PostOffice, sendsMail: Bool, send: WebhookSender.Post?
  ) throws {
    self.folder = folder
    self.clock = clock
    self.random = random
    self.receiver = receiver
    database = try Database(
      path: folder.path + "/record.db",
      migrations: IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) })
    self.post = post
    let said = said
    var letter: NoticeMailer.Letter?
    if sendsMail { letter = { try post.take($0) } }
    desk = WebhookDesk(
      database: database, clock: clock.clock, random: random,
      key: Digest.sha256(Array("webhooks".utf8)),
      idempotency: Idempotency(
        sealer: Sealer(key: Digest.sha256(Array("answers".utf8))), random: random),
      rules: WebhookRules(), post: send ?? { receiver.post($0) },
      letter: letter, log: { said.add($0) })
  }

  /// The same record under a new process, which may send in another way.
  func restarted(post send: WebhookSender.Post? = nil) throws -> Stage {
    try Stage(
      folder: folder, clock: clock, random: random, receiver: receiver, post: post,
      sendsMail: desk.notices != nil, send: send)
  }

  func write(_ sql: String, _ values: [SQLValue] = []) async throws {
    try await database.write { connection throws in _ = try connection.run(sql, values) }
  }

  func number(_ sql: String) async throws -> Int64 {
    try await database.read { connection throws in
      try connection.first(sql) { row in row.int(0) } ?? -1
    }
  }

  func texts(_ sql: String) async throws -> [String] {
    try await database.read { connection throws in
      try connection.rows(sql) { row in row.text(0) }
    }
  }

  static func key(
    _ text: String, _ provider: String = "acme", _ body: JSON = [:]
  ) throws -> Idempotency.Key {
    try Idempotency.Key(
      principal: .providerKey(providerID: provider), route: "test", key: text, body: body)
  }

  static func refused(_ refusal: Refusal) -> Idempotency.Answer {
    let body: JSON = ["code": .string(refusal.code.rawValue)]
    return Idempotency.Answer(status: refusal.code.status, body: body.bytes)
  }

  /// A new endpoint as it was answered.
  @discardableResult
  func endpoint(
    _ url: String = Stage.hook, of provider: String = "acme", _ more: JSONObject = [:]
  ) async throws -> JSONObject {
    var body: JSONObject = ["url": .string(url)]
    for member in more.members { body[member.key] = member.value }
    let key = try Stage.key(BytesText.hex(random.bytes(8)), provider, .object(body))
    let answer = try await desk.create(
      .object(body), for: provider, key: key, refused: { Stage.refused($0) })
    try #require(answer.status == 201)
    return try #require(try JSON.parse(answer.body).object)
  }

  func id(_ view: JSONObject) throws -> ID<WebhookEndpointKind> {
    try #require(view["id"]?.string.flatMap { ID<WebhookEndpointKind>($0) })
  }

  /// Puts an event of a provider into the outbox.
  func emit(_ type: String = "tokens.consumed", _ data: JSONObject = ["providerId": "acme"])
    async throws
  {
    let body: JSON = [
      "type": .string(type), "timestamp": .string(clock.now.rfc3339), "data": .object(data),
    ]
    try await write(
      "INSERT INTO outbox(event_id, type, occurred_ms, payload) VALUES (?, ?, ?, ?)",
      [
        .text("evt_" + BytesText.hex(random.bytes(16))), .text(type),
        .int(clock.now.milliseconds), .text(body.text),
      ])
  }

  /// One round of the sender at this moment.
  @discardableResult
  func round() async throws -> Int {
    while try await desk.sender.pump() {}
    return try await desk.sender.deliverDue()
  }

  /// Rounds until nothing is left to do, moving the clock to whatever is due next, at most so often.
  func rounds(_ most: Int) async throws {
    for _ in 0..<most {
      let count = try await round()
      let next = try await number("SELECT coalesce(min(next_ms), -1) FROM webhook_delivery")
      let pause = try await number(
        "SELECT coalesce(max(slow_until_ms), 0) FROM webhook_endpoint WHERE state = 'enabled'")
      if next < 0, count == 0 { return }
      clock.move(to: Timestamp(milliseconds: max(next, pause)))
    }
  }

  func view(_ id: ID<WebhookEndpointKind>, of provider: String = "acme") async throws -> JSONObject
  {
    try await desk.endpoint(id, of: provider)
  }

  func deliveries(_ id: ID<WebhookEndpointKind>) async throws -> [JSONObject] {
    try await desk.deliveries(of: id, of: "acme", state: nil, before: nil, limit: 100)
  }

  /// An endpoint, and what it was sent.
  func delivered() async throws -> (ID<WebhookEndpointKind>, ID<WebhookDeliveryKind>) {
    let id = try id(try await endpoint())
    try await emit()
    try await round()
    return (id, try #require(ID<WebhookDeliveryKind>(try await deliveries(id)[0].text("id"))))
  }
}

extension JSONObject {
  func text(_ key: String) -> String { self[key]?.string ?? "absent" }
  func int(_ key: String) -> Int64 { self[key]?.int ?? -1 }
  func flag(_ key: String) -> Bool? { self[key]?.bool }
}

/// Bytes of standard base64.
func base64(_ text: some StringProtocol) -> [UInt8]? {
  Data(base64Encoded: String(text)).map { [UInt8]($0) }
}
