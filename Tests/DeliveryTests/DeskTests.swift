import Identity
import Primitives
import SQLite
import Testing
import Delivery
import TestSupport

/// Endpoints as their owners manage them.
@Suite("Webhooks: endpoints")
struct DeskTests {
  @Test("a secret is shown once, and kept sealed")
  func secretOnce() async throws {
    let stage = try await Stage()
    let made = try await stage.endpoint()
    let id = try stage.id(made)
    #expect(WebhookSecret(text: made.text("secret")) != nil)
    #expect(try await stage.view(id)["secret"] == nil)
    #expect(try await stage.desk.endpoints(of: "acme")[0]["secret"] == nil)
    let key = try #require(base64(made.text("secret").dropFirst(6)))
    let kept = try await stage.database.read { connection throws in
      try connection.first("SELECT secret FROM webhook_endpoint") { row in row.blob(0) } ?? []
    }
    #expect(!BytesText.hex(kept).contains(BytesText.hex(key)))
  }

  @Test("an Ed25519 endpoint shows its public key, and nothing of the private one")
  func publicKey() async throws {
    let stage = try await Stage()
    let made = try await stage.endpoint(Stage.hook, ["algorithm": "ed25519"])
    #expect(made["secret"] == nil)
    #expect(base64(made.text("publicKey").dropFirst(5))?.count == 32)
    #expect(try await stage.view(try stage.id(made)).text("publicKey") == made.text("publicKey"))
    try await stage.emit()
    try await stage.round()
    #expect(stage.receiver.seen[0].signature.hasPrefix("v1a,"))
  }

  @Test("an owner may bring a secret along")
  func ownSecret() async throws {
    let stage = try await Stage()
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    let made = try await stage.endpoint(Stage.hook, ["secret": .string(secret)])
    #expect(made.text("secret") == secret)
  }

  @Test("a key makes one endpoint, and gives the same answer again")
  func idempotent() async throws {
    let stage = try await Stage()
    let body: JSON = ["url": .string(Stage.hook)]
    var answers: [Idempotency.Answer] = []
    for _ in 0..<3 {
      answers.append(
        try await stage.desk.create(
          body, for: "acme", key: try Stage.key("k", "acme", body),
          refused: { Stage.refused($0) }))
    }
    #expect(Set(answers.map(\.body)).count == 1)
    #expect(answers.map(\.isReplayed) == [false, true, true])
    #expect(try await stage.desk.endpoints(of: "acme").count == 1)
  }

  @Test("a provider has at most ten")
  func limit() async throws {
    let stage = try await Stage()
    for number in 0..<10 { try await stage.endpoint("https://h\(number).acme.example/") }
    let code = try await awaitedRefusal {
      try await stage.desk.create(
        ["url": .string(Stage.hook)], for: "acme", key: try Stage.key("eleventh"),
        refused: { Stage.refused($0) })
    }
    #expect(code == .validationFailed)
    try await stage.endpoint(Stage.hook, of: "beta")
    let first = try #require(try await stage.desk.endpoints(of: "acme").first)
    try await stage.desk.remove(try stage.id(first), of: "acme")
    try await stage.endpoint()
  }

  @Test("another provider's endpoint is not found, by any way")
  func foreign() async throws {
    let stage = try await Stage()
    let (id, delivery) = try await stage.delivered()
    let desk = stage.desk
    let codes = [
      try await awaitedRefusal { try await desk.endpoint(id, of: "beta") },
      try await awaitedRefusal { try await desk.change(id, of: "beta", ["enabled": false]) },
      try await awaitedRefusal { try await desk.remove(id, of: "beta") },
      try await awaitedRefusal {
        try await desk.deliveries(of: id, of: "beta", state: nil, before: nil, limit: 1)
      },
      try await awaitedRefusal { try await desk.delivery(delivery, of: id, of: "beta") },
    ]
    #expect(codes.allSatisfy { $0 == .notFound })
    for (number, name) in ["rotate", "test", "replay"].enumerated() {
      let key = try Stage.key(name, "beta")
      let answer =
        switch number {
        case 0:
          try await desk.rotate(id, of: "beta", to: nil, key: key, refused: { Stage.refused($0) })
        case 1: try await desk.test(id, of: "beta", key: key, refused: { Stage.refused($0) })
        default:
          try await desk.replay(
            delivery, of: id, of: "beta", key: key, refused: { Stage.refused($0) })
        }
      #expect(answer.status == 404)
    }
    #expect(try await stage.view(id).flag("enabled") == true)
  }

  @Test("a removed endpoint is gone at once, its secret too, and its log soon after")
  func removed() async throws {
    let stage = try await Stage()
    let id = try stage.id(try await stage.endpoint())
    try await stage.emit()
    try await stage.emit()
    while try await stage.desk.sender.pump() {}
    try await stage.desk.remove(id, of: "acme")
    #expect(try await stage.desk.sender.deliverDue() == 0)
    #expect(try await awaitedRefusal { try await stage.view(id) } == .notFound)
    #expect(try await stage.number("SELECT length(secret) FROM webhook_endpoint") == 0)
    try await stage.desk.sender.prune()
    try await stage.desk.sender.prune()
    #expect(try await stage.number("SELECT count(*) FROM webhook_endpoint") == 0)
    #expect(try await stage.number("SELECT count(*) FROM webhook_delivery") == 0)
  }

  @Test("who changed what is in the audit log, and so is what Waypost did by itself")
  func audited() async throws {
    let stage = try await Stage()
    let id = try stage.id(try await stage.endpoint())
    _ = try await stage.desk.change(id, of: "acme", ["description": "ours"])
    _ = try await stage.desk.rotate(
      id, of: "acme", to: nil, key: try Stage.key("r"), refused: { Stage.refused($0) })
    stage.receiver.answer(Stage.hook, .answered(status: 410))
    try await stage.emit()
    try await stage.round()
    try await stage.desk.remove(id, of: "acme")
    let actions = try await stage.texts("SELECT action FROM audit ORDER BY seq")
    #expect(
      actions
        == [
          "webhook.created", "webhook.changed", "webhook.rotated", "webhook.disabled",
          "webhook.deleted",
        ])
    let subjects = try await stage.texts("SELECT DISTINCT subject FROM audit")
    #expect(subjects == ["webhook:" + id.text])
  }

  @Test("a disabled endpoint sends no test and no replay")
  func disabled() async throws {
    let stage = try await Stage()
    let id = try stage.id(try await stage.endpoint())
    let view = try await stage.desk.change(id, of: "acme", ["enabled": false])
    #expect(view.text("disabledReason") == "owner")
    let answer = try await stage.desk.test(
      id, of: "acme", key: try Stage.key("t"), refused: { Stage.refused($0) })
    #expect(answer.status == 409)
  }

  @Test("null is as good as left out")
  func nulls() throws {
    let draft = try WebhookDraft.read(
      [
        "url": .string(Stage.hook), "types": .null, "description": .null, "algorithm": .null,
        "secret": .null,
      ], under: WebhookRules())
    #expect(draft.types.isEmpty && draft.algorithm == .hmac && draft.secret == nil)
    let change = try WebhookChange.read(["url": .null, "enabled": .null], under: WebhookRules())
    #expect(change.url == nil && change.isEnabled == nil)
  }

  static let badDrafts: [(JSON, String)] = [
    ([:], "/url"), (["url": 1], "/url"), (["url": "http://example.com"], "/url"),
    (["url": "https://example.com", "types": "session.failed"], "/types"),
    (["url": "https://example.com", "types": ["session.nothing"]], "/types"),
    (["url": "https://example.com", "types": ["webhook.test"]], "/types"),
    (["url": "https://example.com", "types": ["tokens.low", "tokens.low"]], "/types"),
    (["url": "https://example.com", "types": [1]], "/types"),
    (["url": "https://example.com", "algorithm": "rsa"], "/algorithm"),
    (["url": "https://example.com", "secret": "secret"], "/secret"),
    (
      [
        "url": "https://example.com", "algorithm": "ed25519",
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
      ], "/secret"
    ),
    (["url": "https://example.com", "description": 7], "/description"),
  ]

  @Test("what is wrong with a draft is said by field", arguments: DeskTests.badDrafts)
  func drafts(body: JSON, pointer: String) {
    do throws(Refusal) {
      _ = try WebhookDraft.read(body, under: WebhookRules())
      Issue.record("it was taken")
    } catch {
      #expect(error.code == .validationFailed)
      #expect(error.fields.map(\.pointer).contains(pointer))
    }
  }
}
