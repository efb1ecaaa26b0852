import Cryptography
import Foundation
import Identity
import Primitives
import SQLite
import Testing
import TestSupport

private typealias Answer = Idempotency.Answer

private struct Crash: Error {}

private let stored: [(ProblemCode, Int)] = [
  (.insufficientFunds, 402), (.invalidTransition, 409), (.emailTaken, 409),
  (.proposalConsumed, 409), (.proposalExpired, 410), (.exceedsHold, 422), (.exceedsCapture, 422),
  (.proposalRequired, 422),
]

private let notStored: [ProblemCode] = [
  .internal, .storageUnavailable, .shuttingDown, .notSearchableYet, .malformedJSON,
  .unauthenticated, .tokenExpired, .forbidden, .validationFailed, .rateLimited,
]

private let sameBodies: [(String, String)] = [
  ("{\"a\":1,\"b\":[1,2]}", "{\"b\":[1,2],\"a\":1}"),
  ("{\"a\":1.0}", "{\"a\":1}"),
  ("{\"a\":\"\\u0041\"}", " { \"a\" : \"A\" } "),
]

private let otherBodies: [(String, String)] = [
  ("{\"a\":1}", "{\"a\":2}"),
  ("{\"a\":null}", "{}"),
  ("{\"a\":[1,2]}", "{\"a\":[2,1]}"),
  ("{\"a\":1}", "{\"a\":\"1\"}"),
]

@Suite("a key has at most one effect")
struct IdempotencyTests {
  let place: Place
  let idempotency: Idempotency

  init() throws {
    place = try Place()
    idempotency = Idempotency(
      sealer: Sealer(key: [UInt8](repeating: 5, count: 32)), random: place.random)
  }

  private func key(
    _ text: String? = "key-1", body: JSON = ["a": .int(1)], route: String = "POST /v1/things",
    principal: Principal = .providerKey(providerID: "acme")
  ) throws -> Idempotency.Key {
    try Idempotency.Key(principal: principal, route: route, key: text, body: body)
  }

  /// Runs an effect under a key, in a write transaction of its own.
  private func once(
    _ key: Idempotency.Key, _ effect: @escaping @Sendable (Connection) throws -> Answer
  ) async throws -> Answer {
    let idempotency = self.idempotency
    let now = place.time.now
    return try await place.database.write { connection -> Answer in
      try idempotency.once(
        key, at: now, on: connection,
        refused: { Answer(status: $0.code.status, body: Array($0.code.rawValue.utf8)) },
        effect: { try effect(connection) })
    }
  }

  /// Adds a provider and answers 201.
  private func add(_ id: String, under key: Idempotency.Key) async throws -> Answer {
    try await once(key) { connection in
      try connection.addProvider(id)
      return Answer(status: 201, body: Array("made \(id)".utf8))
    }
  }

  @Test("a repeat gets the first answer, and nothing happens twice")
  func replays() async throws {
    let first = try await add("one", under: key())
    #expect(first == Answer(status: 201, body: Array("made one".utf8)))
    #expect(!first.isReplayed)
    for _ in 0..<3 {
      let again = try await add("two", under: key())
      #expect(again.isReplayed)
      #expect(again.status == 201)
      #expect(again.body == first.body)
    }
    let count = try await place.providerCount()
    #expect(count == 1)
  }

  @Test("a body of equal JSON is the same body", arguments: sameBodies)
  func sameBody(first: String, second: String) async throws {
    let one = try await add("one", under: key(body: JSON.parse(first)))
    let again = try await add("two", under: key(body: JSON.parse(second)))
    #expect(again.isReplayed)
    #expect(again.body == one.body)
  }

  @Test("a key with another body is refused, and nothing happens", arguments: otherBodies)
  func otherBody(first: String, second: String) async throws {
    let one = try await add("one", under: key(body: JSON.parse(first)))
    let refused = await refusal { try await add("two", under: key(body: JSON.parse(second))) }
    #expect(refused?.code == .idempotencyConflict)
    let again = try await add("three", under: key(body: JSON.parse(first)))
    #expect(again.body == one.body)
    let count = try await place.providerCount()
    #expect(count == 1)
  }

  @Test("one key of two callers, routes or spellings is two keys")
  func scopes() async throws {
    let id = ID<UserKind>(high: 1, low: 2)
    let keys: [Idempotency.Key] = [
      try key(),
      try key("Key-1"),
      try key("key-1 "),
      try key(route: "POST /v1/others"),
      try key(route: "PUT /v1/things"),
      try key(principal: .providerKey(providerID: "other")),
      try key(principal: .anonymous(address: "acme")),
      try key(principal: .user(id, .user, providerID: "acme")),
    ]
    for (index, key) in keys.enumerated() {
      let answer = try await add("p\(index)", under: key)
      #expect(!answer.isReplayed, "key \(index)")
    }
    let count = try await place.providerCount()
    #expect(count == Int64(keys.count))
  }

  @Test("a key is 1 to 255 letters and must be there")
  func keyLength() async throws {
    let refusedKeys: [String?] = [nil, "", String(repeating: "k", count: 256)]
    for text in refusedKeys {
      let refused = await refusal { try key(text) }
      #expect(refused?.code == .idempotencyKeyRequired)
    }
    let longest = try key(String(repeating: "k", count: 255))
    let answer = try await add("one", under: longest)
    #expect(answer.status == 201)
  }

  @Test(
    "a business refusal is an answer: its effect is undone and it is replayed",
    arguments: stored)
  func storesRefusals(code: ProblemCode, status: Int) async throws {
    let first = try await once(key()) { connection in
      try connection.addProvider("half")
      throw Refusal(code, "No.")
    }
    #expect(first.status == status)
    #expect(first.body == Array(code.rawValue.utf8))
    #expect(!first.isReplayed)
    let again = try await add("one", under: key())
    #expect(again.isReplayed)
    #expect(again.status == status)
    #expect(again.body == first.body)
    let count = try await place.providerCount()
    #expect(count == 0)
  }

  @Test(
    "a failure of ours or a refusal before execution is not kept: the retry is fresh",
    arguments: notStored)
  func forgetsFailures(code: ProblemCode) async throws {
    let refused = await refusal {
      try await once(key()) { connection in
        try connection.addProvider("half")
        throw Refusal(code, "No.")
      }
    }
    #expect(refused?.code == code)
    let answer = try await add("one", under: key())
    #expect(!answer.isReplayed)
    #expect(answer.status == 201)
    let count = try await place.providerCount()
    #expect(count == 1)
  }

  @Test("an error that is no refusal undoes everything")
  func undoesErrors() async throws {
    let first = try key()
    await #expect(throws: Crash.self) {
      _ = try await once(first) { connection in
        try connection.addProvider("half")
        throw Crash()
      }
    }
    let answer = try await add("one", under: first)
    #expect(!answer.isReplayed)
    let count = try await place.providerCount()
    #expect(count == 1)
  }

  @Test("a hundred parallel requests of one key have one effect")
  func parallel() async throws {
    let suite = self
    let first = try key()
    let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
      for round in 0..<100 {
        group.addTask { try await suite.add("p\(round)", under: first) }
      }
      var answers: [Answer] = []
      for try await answer in group { answers.append(answer) }
      return answers
    }
    #expect(answers.filter { !$0.isReplayed }.count == 1)
    #expect(Set(answers.map(\.body)).count == 1)
    let count = try await place.providerCount()
    #expect(count == 1)
  }

  @Test("an answer is kept for 48 hours and then forgotten")
  func prunes() async throws {
    let first = try await add("one", under: key())
    place.time.move(milliseconds: Idempotency.keptMilliseconds)
    try await prune()
    let kept = try await add("two", under: key())
    #expect(kept.isReplayed)
    #expect(kept.body == first.body)
    place.time.move(milliseconds: 1)
    try await prune()
    let fresh = try await add("two", under: key())
    #expect(!fresh.isReplayed)
  }

  @Test("an answer is sealed in the record, and only our key opens it")
  func seals() async throws {
    let answer = try await once(key()) { _ in
      Answer(status: 201, body: Array("https://launch.example/secret".utf8))
    }
    #expect(answer.status == 201)
    try await place.database.checkpoint(truncate: true)
    let record = try Data(contentsOf: URL(fileURLWithPath: place.folder.path + "/record.db"))
    let holdsRoute = record.range(of: Data("POST /v1/things".utf8)) != nil
    let holdsAnswer = record.range(of: Data("launch.example".utf8)) != nil
    #expect(holdsRoute)
    #expect(!holdsAnswer)
    let other = Idempotency(
      sealer: Sealer(key: [UInt8](repeating: 6, count: 32)), random: place.random)
    let first = try key()
    let now = place.time.now
    let refused = await refusal {
      try await place.database.write { connection -> Answer in
        try other.once(
          first, at: now, on: connection, refused: { _ in answer }, effect: { answer })
      }
    }
    #expect(refused?.code == .internal)
  }

  private func prune() async throws {
    let idempotency = self.idempotency
    let now = place.time.now
    _ = try await place.database.write { connection in
      try idempotency.prune(at: now, on: connection)
    }
  }
}
