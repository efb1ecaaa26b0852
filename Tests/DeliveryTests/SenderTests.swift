import Catalog
import Foundation
import Identity
import Primitives
import SQLite
import Testing
import Delivery
import TestSupport

/// From the outbox to the receiver: at least once, on the schedule, and nobody held up by anybody.
@Suite("Webhooks: deliveries")
struct SenderTests {
  @Test("an event goes to every endpoint of its provider, once, with its own signature")
  func delivered() async throws {
    let stage = try await Stage()
    let first = try await stage.endpoint()
    let second = try await stage.endpoint("https://other.acme.example/")
    try await stage.endpoint("https://hooks.beta.example/", of: "beta")
    try await stage.emit()
    #expect(try await stage.round() == 2)
    #expect(try await stage.round() == 0)
    let seen = stage.receiver.seen
    #expect(Set(seen.map(\.url)) == [Stage.hook, "https://other.acme.example/"])
    #expect(Set(seen.map(\.id)).count == 1)
    #expect(seen.allSatisfy { !$0.id.contains(".") && $0.timestamp == "1800000000" })
    for (url, view) in [(Stage.hook, first), ("https://other.acme.example/", second)] {
      let secret = try #require(WebhookSecret(text: view.text("secret")))
      let one = try #require(seen.first { $0.url == url })
      #expect(one.signature == secret.signature(id: one.id, seconds: 1_800_000_000, body: one.body))
      let body = try JSON.parse(one.body)
      #expect(body["type"] == "tokens.consumed")
      #expect(body.object?.keys == ["type", "timestamp", "data"])
    }
    let log = try await stage.deliveries(try stage.id(first))
    #expect(log.count == 1)
    #expect(log[0].text("state") == "delivered")
    #expect(log[0]["attempts"]?.array?.count == 1)
    #expect(log[0]["attempts"]?.array?[0]["status"] == 204)
    #expect(try await stage.view(try stage.id(first)).int("pending") == 0)
  }

  @Test("a session's event goes to the provider that runs it, whatever its data name")
  func routedBySession() async throws {
    let stage = try await Stage()
    try await stage.endpoint()
    let session = ID<WebhookDeliveryKind>(at: stage.clock.now, random: stage.random)
    let user = ID<WebhookDeliveryKind>(at: stage.clock.now, random: stage.random)
    try await stage.write(
      """
      INSERT INTO session(id, user_id, provider_id, service_id, service_revision, offer_id, app_id,
      kind, state, rate_per_hour, duration_ms, held, created_ms)
      VALUES (?, ?, 'acme', 's', 1, 'o', 'a', 'trial', 'active', 0, 300000, 0, 1)
      """, [.blob(session.bytes), .blob(user.bytes)])
    try await stage.emit("session.started", ["id": .string(session.text), "providerId": "beta"])
    try await stage.emit("tokens.consumed", ["id": .string(session.text)])
    try await stage.emit("tokens.depleted", ["sessionId": .string(session.text)])
    try await stage.emit("tokens.low", ["userId": .string(user.text)])
    try await stage.emit("session.started", ["id": "unknown"])
    #expect(try await stage.round() == 2, "two at once at one endpoint")
    #expect(try await stage.round() == 1)
    #expect(
      try await stage.number("SELECT count(*) FROM outbox_route WHERE user_id IS NOT NULL") == 3)
  }

  @Test("an endpoint gets the types that it chose, and every type where it chose none")
  func types() async throws {
    let stage = try await Stage()
    let some: JSONObject = ["types": ["session.failed", "tokens.depleted"]]
    try await stage.endpoint("https://some.acme.example/", some)
    try await stage.endpoint("https://all.acme.example/")
    for type in ["session.failed", "tokens.consumed", "tokens.depleted", "something.new"] {
      try await stage.emit(type)
    }
    for _ in 0..<4 { try await stage.round() }
    let urls = stage.receiver.seen.map(\.url)
    #expect(urls.count { $0 == "https://some.acme.example/" } == 2)
    #expect(urls.count { $0 == "https://all.acme.example/" } == 4)
  }

  @Test("ten failures, each after its gap and its jitter; then dead letter, and the owner is told")
  func deadLetter() async throws {
    let stage = try await Stage()
    let id = try stage.id(try await stage.endpoint())
    try await stage.endpoint("https://other.acme.example/", ["types": ["webhook.disabled"]])
    stage.receiver.answer(Stage.hook, .answered(status: 500))
    try await stage.emit()
    try await stage.rounds(12)
    let own = stage.receiver.seen.filter { $0.url == Stage.hook }
    #expect(own.count == 10)
    #expect(Set(own.map(\.id)).count == 1, "the same webhook-id over all attempts")
    #expect(Set(own.map(\.timestamp)).count == 10, "each with its own time")
    for (index, gap) in DeliverySchedule.gaps.enumerated() {
      let wait = own[index + 1].at - own[index].at
      #expect((gap...(gap + gap / 10)).contains(wait))
    }
    let view = try await stage.view(id)
    #expect(view.flag("enabled") == false)
    #expect(view.text("disabledReason") == "dead_letter")
    #expect(view.int("consecutiveFailures") == 10)
    let log = try await stage.deliveries(id)
    #expect(log[0].text("state") == "dead")
    #expect(log[0]["attempts"]?.array?.map { $0["number"]?.int } == (1...10).map { Int64($0) })
    let told = try await stage.desk.events(of: "acme", below: nil, limit: 10).events
    #expect(told.first?["type"] == "webhook.disabled")
    #expect(told.first?["data"]?["webhookId"] == .string(id.text))
    #expect(stage.receiver.seen.contains { $0.url == "https://other.acme.example/" })
  }

  @Test("a receiver that comes back gets its event, and its failures are forgotten")
  func recovers() async throws {
    let stage = try await Stage()
    let id = try stage.id(try await stage.endpoint())
    stage.receiver.answer(
      Stage.hook, .failed(.timedOut), .answered(status: 302), .answered(status: 200))
    try await stage.emit()
    try await stage.rounds(5)
    #expect(stage.receiver.seen.count == 3)
    #expect(try await stage.view(id).int("consecutiveFailures") == 0)
    let attempts = try await stage.deliveries(id)[0]["attempts"]?.array ?? []
    #expect(attempts.map { $0["status"]?.int } == [nil, 302, 200])
    #expect(attempts.map { $0["error"]?.string } == ["timed_out", nil, nil])
  }

  @Test("410 disables at once; what waited stays and goes out when the owner enables it again")
  func gone() async throws {
    let stage = try await Stage()
    let id = try stage.id(try await stage.endpoint())
    stage.receiver.answer(Stage.hook, .answered(status: 410), .answered(status: 200))
    for _ in 0..<3 { try await stage.emit() }
    while try await stage.desk.sender.pump() {}
    #expect(try await stage.desk.sender.deliverDue() == 2, "two at once at one endpoint")
    let view = try await stage.view(id)
    #expect(view.text("disabledReason") == "gone")
    #expect(try await stage.round() == 0)
    try await stage.emit()
    try await stage.round()
    #expect(try await stage.deliveries(id).count == 3, "nothing is kept for a disabled endpoint")
    let enabled = try await stage.desk.change(id, of: "acme", ["enabled": true])
    #expect(enabled.flag("enabled") == true)
    #expect(enabled["disabledReason"] == JSON.null)
    try await stage.rounds(3)
    let states = try await stage.deliveries(id).map { $0.text("state") }
    #expect(states.sorted() == ["dead", "delivered", "delivered"])
  }

  @Test("429 gives the endpoint a rest, other deliveries included")
  func slowDown() async throws {
    let stage = try await Stage()
    try await stage.endpoint()
    stage.receiver.answer(
      Stage.hook, .answered(status: 429, retryAfterSeconds: 90), .answered(status: 200))
    try await stage.emit()
    try await stage.round()
    try await stage.emit()
    #expect(try await stage.round() == 0)
    stage.clock.move(milliseconds: 89_999)
    #expect(try await stage.round() == 0)
    stage.clock.move(milliseconds: 10_000)
    try await stage.round()
    try await stage.round()
    #expect(stage.receiver.seen.count == 3)
  }

  @Test("what was sent and not written down is sent again under the same webhook-id")
  func crash() async throws {
    let stage = try await Stage()
    let id = try stage.id(try await stage.endpoint())
    let (sent, signal) = AsyncStream.makeStream(of: String.self)
    let dying = try stage.restarted(post: { request in
      signal.yield(request.headers.first { $0.name == "webhook-id" }?.value ?? "")
      // The process dies here: the receiver has it, the record does not know.
      try? await Task.sleep(for: .seconds(60))
      return WebhookAnswer(.answered(status: 200))
    })
    try await dying.emit()
    let run = Task { await dying.desk.sender.run() }
    var first = ""
    for await id in sent {
      first = id
      break
    }
    run.cancel()
    await run.value
    #expect(try await dying.number("SELECT count(*) FROM webhook_attempt") == 0)
    let next = try stage.restarted()
    try await next.round()
    #expect(next.receiver.seen.map(\.id) == [first])
    #expect(try await next.deliveries(id)[0].text("state") == "delivered")
  }

  @Test("while the record takes nothing, nothing more is sent")
  func unwritable() async throws {
    let stage = try await Stage()
    try await stage.endpoint()
    for _ in 0..<5 { try await stage.emit() }
    while try await stage.desk.sender.pump() {}
    try await stage.write(
      """
      CREATE TRIGGER full BEFORE INSERT ON webhook_attempt BEGIN SELECT RAISE(ABORT, 'full'); END
      """)
    #expect(try await stage.desk.sender.deliverDue() == 2)
    #expect(try await stage.desk.sender.deliverDue() == 0)
    stage.clock.move(milliseconds: WebhookSender.heldMilliseconds)
    try await stage.write("DROP TRIGGER full")
    try await stage.rounds(6)
    #expect(stage.receiver.seen.count == 7)
    #expect(Set(stage.receiver.seen.map(\.id)).count == 5)
    #expect(try await stage.number("SELECT count(*) FROM webhook_attempt") == 5)
  }

  @Test("endpoints that never answer hold up nobody else")
  func slowEndpoints() async throws {
    let stage = try await Stage()
    let done = Tally()
    let live = try stage.restarted(post: { request in
      if request.url.contains("slow") {
        try? await Task.sleep(for: .seconds(60))
        return WebhookAnswer(.failed(.timedOut))
      }
      done.add()
      return WebhookAnswer(.answered(status: 200))
    })
    // Known as failing, as after their first time-out; many more than there are places.
    for number in 0..<6 {
      try await live.endpoint("https://slow\(number).acme.example/")
      try await live.endpoint("https://slow\(number).beta.example/", of: "beta")
    }
    try await live.write("UPDATE webhook_endpoint SET failures = 1")
    try await live.endpoint("https://quick.acme.example/")
    for _ in 0..<40 {
      try await live.emit()
      try await live.emit("tokens.consumed", ["providerId": "beta"])
    }
    let run = Task { await live.desk.sender.run() }
    for _ in 0..<400 where done.count < 40 {
      try await Task.sleep(for: .milliseconds(50))
    }
    run.cancel()
    await run.value
    #expect(done.count == 40)
  }

  @Test("a rotation signs with both secrets for a day, then with the new one")
  func rotation() async throws {
    let stage = try await Stage()
    let made = try await stage.endpoint()
    let id = try stage.id(made)
    let answer = try await stage.desk.rotate(
      id, of: "acme", to: nil, key: try Stage.key("r"), refused: { Stage.refused($0) })
    let rotated = try #require(try JSON.parse(answer.body).object)
    let secrets = try [made, rotated].map { try #require(WebhookSecret(text: $0.text("secret"))) }
    #expect(secrets[0] != secrets[1])
    for (wait, count) in [(0, 2), (86_399_999, 2), (1, 1)] as [(Int64, Int)] {
      stage.clock.move(milliseconds: wait)
      try await stage.emit()
      try await stage.round()
      let seen = try #require(stage.receiver.seen.last)
      let expected = [secrets[1], secrets[0]].prefix(count).map {
        $0.signature(id: seen.id, seconds: stage.clock.now.seconds, body: seen.body)
      }
      #expect(seen.signature == expected.joined(separator: " "))
    }
    try await stage.desk.sender.prune()
    #expect(
      try await stage.number(
        "SELECT count(*) FROM webhook_endpoint WHERE previous_secret IS NOT NULL") == 0)
  }

  @Test("a replay sends the same event again, from the start of the schedule")
  func replay() async throws {
    let stage = try await Stage()
    let (id, delivery) = try await stage.delivered()
    let key = try Stage.key("replay")
    for _ in 0..<2 {
      let answer = try await stage.desk.replay(
        delivery, of: id, of: "acme", key: key, refused: { Stage.refused($0) })
      #expect(answer.status == 202)
      try await stage.rounds(2)
    }
    #expect(stage.receiver.seen.count == 2, "the key has one effect")
    #expect(Set(stage.receiver.seen.map(\.id)).count == 1)
    let log = try await stage.desk.delivery(delivery, of: id, of: "acme")
    #expect(log["attempts"]?.array?.map { $0["number"]?.int } == [1, 2])
    #expect(try await stage.view(id).int("pending") == 0)
  }

  @Test("a test event goes to its endpoint alone, whatever that has chosen")
  func testEvent() async throws {
    let stage = try await Stage()
    let id = try stage.id(try await stage.endpoint(Stage.hook, ["types": ["session.failed"]]))
    try await stage.endpoint("https://other.acme.example/")
    let answer = try await stage.desk.test(
      id, of: "acme", key: try Stage.key("t"), refused: { Stage.refused($0) })
    #expect(answer.status == 202)
    try await stage.rounds(3)
    #expect(stage.receiver.seen.map(\.url) == [Stage.hook])
    #expect(try JSON.parse(stage.receiver.seen[0].body)["type"] == "webhook.test")
  }

  @Test("the log keeps a line of at most a kilobyte, without what looks like a secret")
  func excerpt() async throws {
    let stage = try await Stage()
    let long = Array(
      ("bad\u{1B}[2J\nwhsec_MfKQ9r8GKYqrTwj+/= done " + String(repeating: "é", count: 2_000)).utf8)
    let real = try stage.restarted(post: { _ in WebhookAnswer(.answered(status: 500), body: long) })
    let id = try stage.id(try await real.endpoint())
    try await real.emit()
    try await real.round()
    let answer = try await real.deliveries(id)[0]["attempts"]?.array?[0]["answer"]?.string ?? ""
    #expect(answer.hasPrefix("bad [2J whsec_[masked] done é"))
    #expect(answer.utf8.count <= 1_030)
    #expect(answer.unicodeScalars.allSatisfy { $0.value >= 0x20 })
  }

  @Test("the log goes after 90 days, and the events with it, but for the newest")
  func pruning() async throws {
    let stage = try await Stage()
    let id = try stage.id(try await stage.endpoint())
    for _ in 0..<3 { try await stage.emit() }
    try await stage.rounds(3)
    stage.clock.move(milliseconds: WebhookSender.keptMilliseconds)
    try await stage.desk.sender.prune()
    #expect(try await stage.deliveries(id).count == 3)
    stage.clock.move(milliseconds: 1)
    try await stage.emit()
    try await stage.rounds(2)
    try await stage.desk.sender.prune()
    #expect(try await stage.deliveries(id).count == 1)
    #expect(try await stage.number("SELECT count(*) FROM outbox") == 1)
    #expect(try await stage.number("SELECT count(*) FROM webhook_attempt") == 1)
    #expect(try await stage.number("SELECT seq FROM outbox_mark WHERE name = 'pruned'") == 3)
  }

  @Test("a listing that goes out of use, or comes back, is told to its provider")
  func availability() async throws {
    let stage = try await Stage()
    func put(_ status: String) async throws {
      let service = try Service.read([
        "id": "scribe", "providerId": "acme", "providerName": "Acme", "name": "Scribe",
        "kind": "app", "status": .string(status),
      ])
      let now = stage.clock.now
      try await stage.database.write { connection throws in
        _ = try CatalogStore.put(service, at: now, on: connection)
      }
    }
    for status in ["active", "deprecated", "maintenance", "active", "removed"] {
      try await put(status)
    }
    let events = try await stage.texts("SELECT payload FROM outbox ORDER BY seq").map { text in
      try JSON.parse(text)
    }
    #expect(
      events.map { $0["type"] }
        == ["provider.unavailable", "provider.available", "provider.unavailable"])
    #expect(events.map { $0["data"]?["status"] } == ["maintenance", "active", "removed"])
    #expect(events[0]["data"]?["serviceId"] == "scribe")
    #expect(events[0]["timestamp"] == "2027-01-15T08:00:00Z")
    while try await stage.desk.sender.pump() {}
    #expect(try await stage.desk.events(of: "acme", below: nil, limit: 10).events.count == 3)
  }
}
