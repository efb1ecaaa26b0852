import Delivery
import Identity
import Primitives
import SQLite
import Testing
import TestSupport

/// 9.1 "owner notified", and payouts: a provider's people hear of both, and nobody else does.
@Suite("Webhooks: what a provider's people are told")
struct OwnerNoticeTests {
  private static let people = [
    ("ann@example.org", "acme", false), ("ben@example.org", "acme", false),
    ("cut@example.org", "acme", true), ("dan@example.org", "beta", false),
  ]

  private static func id(_ number: Int) throws -> ID<UserKind> {
    try #require(ID<UserKind>(bytes: [UInt8](repeating: UInt8(number + 1), count: 16)))
  }

  /// Two people of acme, one that was frozen, and one of another provider.
  private func stage() async throws -> Stage {
    let stage = try await Stage()
    for (number, person) in OwnerNoticeTests.people.enumerated() {
      try await stage.write(
        """
        INSERT INTO user(id, email, password_hash, role, provider_id, created_ms, frozen_ms)
        VALUES (?, ?, '', 'provider', ?, 1, ?)
        """,
        [
          .blob(try OwnerNoticeTests.id(number).bytes), .text(person.0), .text(person.1),
          .optional(person.2 ? 1 : nil),
        ])
    }
    return stage
  }

  private func payOut(_ stage: Stage, _ reference: String) async throws {
    let (now, random) = (stage.clock.now, stage.random)
    let notice = OwnerNotice.payout(
      Microtokens(1_500_000), reference: reference, transfer: "t-1")
    try await stage.database.write { connection in
      try notice.tell(ownersOf: "acme", at: now, random: random, on: connection)
    }
    while try await stage.desk.sender.pump() {}
  }

  @Test("a payout is in the stream of each of the provider's people, and in an e-mail")
  func payout() async throws {
    let stage = try await stage()
    try await stage.endpoint()
    let events = stage.desk.userEvents
    let stream = try await events.open(try OwnerNoticeTests.id(0), after: nil)
    let other = try await events.open(try OwnerNoticeTests.id(3), after: nil)
    try await payOut(stage, "pay-1")
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
    let mails = stage.letters.sent
    #expect(mails.map(\.recipient).sorted() == ["ann@example.org", "ben@example.org"])
    #expect(mails.allSatisfy { $0.text.contains("1.5 tokens") && $0.text.contains("pay-1") })
    // A stream that comes later has it too, and no webhook does.
    _ = try await stage.round()
    #expect(stage.receiver.seen.isEmpty)
    #expect(try await stage.number("SELECT count(*) FROM webhook_delivery") == 0)
  }

  @Test("a stream takes a notice up where it was")
  func resumed() async throws {
    let stage = try await stage()
    try await payOut(stage, "pay-1")
    let stream = try await stage.desk.userEvents.open(try OwnerNoticeTests.id(1), after: 0)
    #expect(stream.backlog.map(\.type) == ["notice.payout"])
    stage.desk.userEvents.close(stream)
  }

  @Test("an endpoint that is disabled is told to its provider's people once")
  func disabled() async throws {
    let stage = try await stage()
    let id = try stage.id(try await stage.endpoint())
    stage.receiver.answer(Stage.hook, .answered(status: 410))
    try await stage.emit()
    for _ in 0..<2 { _ = try await stage.round() }
    #expect(try await stage.view(id).text("disabledReason") == "gone")
    let mails = stage.letters.sent
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
    let stage = try await stage()
    let most = Int(OwnerNotice.mailsPerHourMax)
    for number in 0..<most + 3 { try await payOut(stage, "pay-\(number)") }
    #expect(stage.letters.sent.count { $0.recipient == "ann@example.org" } == most)
    let count = "SELECT count(*) FROM outbox WHERE type = 'notice.payout'"
    #expect(try await stage.number(count) == Int64(2 * (most + 3)))
    stage.clock.move(seconds: 3_601)
    try await payOut(stage, "later")
    #expect(stage.letters.sent.count { $0.recipient == "ann@example.org" } == most + 1)
  }
}
