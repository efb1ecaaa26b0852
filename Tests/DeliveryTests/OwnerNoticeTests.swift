import Delivery
import Identity
import Primitives
import SQLite
import Testing
import TestSupport

/// 9.1 "owner notified", and payouts: a provider's people hear of both, and nobody else does.
@Suite("Webhooks: what a provider's people are told")
struct OwnerNoticeTests {
  @Test("a payout is in the stream of each of the provider's people, and in an e-mail")
  func payout() async throws {
    let stage = try await Stage.withOwners()
    try await stage.endpoint()
    let events = stage.desk.userEvents
    let stream = try await events.open(try Stage.owner(0), after: nil)
    let other = try await events.open(try Stage.owner(3), after: nil)
    try await stage.payOut("pay-1")
    try await stage.mail()
    events.closeAll()
    var seen: [OutboxEvent] = []
    for await item in stream.live { if case .event(let event) = item { seen.append(event) } }
    #expect(seen.map(\.type) == ["notice.payout"])
    let data = try JSON.parse(seen.first?.payload ?? "")["data"]
    #expect(data?["amountMicrotokens"] == 1_500_000 && data?["reference"] == "pay-1")
    #expect(data?["provider"] == "acme")
    var strange = 0
    for await item in other.live { if case .event = item { strange += 1 } }
    #expect(strange == 0)
    let mails = stage.post.taken
    #expect(mails.map(\.recipient).sorted() == ["ann@example.org", "ben@example.org"])
    #expect(mails.allSatisfy { $0.text.contains("1.5 tokens") && $0.text.contains("pay-1") })
    // A stream that comes later has it too, and no webhook does.
    _ = try await stage.round()
    #expect(stage.receiver.seen.isEmpty)
    #expect(try await stage.number("SELECT count(*) FROM webhook_delivery") == 0)
  }

  @Test("a stream takes a notice up where it was")
  func resumed() async throws {
    let stage = try await Stage.withOwners()
    try await stage.payOut("pay-1")
    let stream = try await stage.desk.userEvents.open(try Stage.owner(1), after: 0)
    #expect(stream.backlog.map(\.type) == ["notice.payout"])
    stage.desk.userEvents.close(stream)
  }

  @Test("an endpoint that is disabled is told to its provider's people once")
  func disabled() async throws {
    let stage = try await Stage.withOwners()
    let id = try stage.id(try await stage.endpoint())
    stage.receiver.answer(Stage.hook, .answered(status: 410))
    try await stage.emit()
    for _ in 0..<2 { _ = try await stage.round() }
    try await stage.mail()
    #expect(try await stage.view(id).text("disabledReason") == "gone")
    let mails = stage.post.taken
    #expect(mails.map(\.recipient).sorted() == ["ann@example.org", "ben@example.org"])
    #expect(mails.allSatisfy { $0.text.contains(id.text) && $0.text.contains("410") })
    #expect(
      try await stage.texts("SELECT type FROM outbox ORDER BY seq") == [
        "tokens.consumed", "webhook.disabled", "notice.webhook_disabled",
        "notice.webhook_disabled",
      ])
  }

  @Test("e-mails have a bound by the hour; the streams have every notice")
  func bounded() async throws {
    let stage = try await Stage.withOwners()
    let most = Int(OwnerNotice.mailsPerHourMax)
    for number in 0..<most + 3 { try await stage.payOut("pay-\(number)") }
    try await stage.mail()
    #expect(stage.post.taken.count { $0.recipient == "ann@example.org" } == most)
    let count = "SELECT count(*) FROM outbox WHERE type = 'notice.payout'"
    #expect(try await stage.number(count) == Int64(2 * (most + 3)))
    stage.clock.move(seconds: 3_601)
    try await stage.payOut("later")
    try await stage.mail()
    #expect(stage.post.taken.count { $0.recipient == "ann@example.org" } == most + 1)
  }
}
