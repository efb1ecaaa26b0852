import Catalog
import Index
import Primitives
import SQLite
import Search
import Synchronization
import Testing
import TestSupport

/// A clock that the test moves.
private final class Hands: Sendable {
  private let time = Mutex(Moment.first)
  var now: Timestamp { time.withLock { $0 } }
  func pass(hours: Int64) { time.withLock { $0 = $0 + hours * 3_600_000 } }
}

/// A record with three services and a desk over it.
private struct FeedbackWorld: Sendable {
  private let folder: TemporaryFolder
  let record: Database
  let desk: FeedbackDesk
  let hands = Hands()

  init(_ adjust: (inout FeedbackDesk.Settings) -> Void = { _ in }) async throws {
    folder = try TemporaryFolder()
    record = try Database(
      path: folder.path + "/record.db",
      migrations: IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) },
      options: Database.Options(readerCount: 1))
    try await record.write { connection -> Void in
      for id in ["a", "b", "c"] {
        let service = try listing(id, ["providerName": id == "c" ? "Globex" : "Acme"])
        _ = try CatalogStore.put(service, at: Moment.first, on: connection)
      }
    }
    var settings = FeedbackDesk.Settings()
    adjust(&settings)
    desk = FeedbackDesk(
      database: record, clock: Clock { [hands] in hands.now }, random: Seeded.random(4),
      key: [UInt8](repeating: 7, count: 32), settings: settings)
  }

  /// A search for "talk" that showed a and b, from the third hit on.
  func search(_ caller: FeedbackCaller = anna, _ services: [String] = ["a", "b"]) throws -> String {
    try #require(desk.searchID(need: "talk", services: services, offset: 2, for: caller))
  }

  func send(
    _ searchID: String, _ kind: FeedbackKind = .opened, _ service: String = "a",
    position: Int? = nil, from caller: FeedbackCaller = anna
  ) async throws -> FeedbackOutcome? {
    let item = FeedbackItem(
      searchID: searchID, kind: kind, serviceID: service, position: position)
    return try await desk.record([.success(item)], from: caller).first
  }

  func records() async throws -> [FeedbackRecord] { try await FeedbackDesk.records(of: record) }
}

private enum Seeded {
  static func random(_ seed: UInt64) -> RandomSource {
    let seeded = Seed(seed)
    return RandomSource { seeded.bytes($0) }
  }

  private final class Seed: Sendable {
    private let source: Mutex<SplitMix64>
    init(_ seed: UInt64) { source = Mutex(SplitMix64(seed: seed)) }
    func bytes(_ count: Int) -> [UInt8] {
      source.withLock { source in
        (0..<count).map { _ in UInt8(truncatingIfNeeded: source.next()) }
      }
    }
  }
}

private func user(_ number: UInt8) -> [UInt8] { [UInt8](repeating: number, count: 16) }
private let anna = FeedbackCaller(.user(user(1)))
private let bert = FeedbackCaller(.user(user(2)))
private let visitor = FeedbackCaller(.visitor("anon:127.0.0.1"))

@Suite("Tokens of searches")
struct SearchTokenTests {
  private let tokens = SearchTokens(key: [UInt8](repeating: 9, count: 32))

  private func issue(
    _ need: String = "talk", _ services: [String] = ["a", "b"], offset: Int = 0,
    to caller: FeedbackCaller = anna
  ) -> String? {
    tokens.issue(
      need: need, services: services, offset: offset, to: caller, at: Moment.first,
      random: Seeded.random(1))
  }

  @Test("a token says what was asked, when, and where each service stood")
  func reading() throws {
    let ids = (0..<20).map { "service-\($0)" }
    let text = try #require(issue("speech to text für alle", ids, offset: 40))
    #expect(text.utf8.count < 220)
    let token = try tokens.read(text, from: anna, at: Moment.first + 1)
    #expect(token.need == "speech to text für alle")
    #expect(token.at == Moment.first)
    #expect(token.id.count == 16)
    for (index, id) in ids.enumerated() {
      #expect(try tokens.position(of: id, in: token) == 41 + index)
    }
    #expect(throws: Refusal(.serviceNotShown, "The search did not show this service.")) {
      try tokens.position(of: "service-20", in: token)
    }
  }

  @Test("a changed, cut or foreign token is refused, character by character")
  func forging() throws {
    let text = try #require(issue())
    let invalid = Refusal(.searchIDInvalid, "This searchId is not one of yours.")
    let characters = Array(text)
    for index in characters.indices {
      var changed = characters
      changed[index] = changed[index] == "A" ? "B" : "A"
      #expect(throws: invalid) { try tokens.read(String(changed), from: anna, at: Moment.first) }
    }
    for count in 0..<characters.count {
      #expect(throws: invalid) {
        try tokens.read(String(characters[..<count]), from: anna, at: Moment.first)
      }
    }
    let other = SearchTokens(key: [UInt8](repeating: 8, count: 32))
    for text in [text + text, "", "\u{0}", String(repeating: "A", count: 100_000)] {
      #expect(throws: invalid) { try tokens.read(text, from: anna, at: Moment.first) }
    }
    #expect(throws: invalid) { try other.read(text, from: anna, at: Moment.first) }
  }

  @Test("a user's token is theirs; a visitor may sign in on the way")
  func owners() throws {
    let own = try #require(issue())
    #expect(throws: Refusal.self) { try tokens.read(own, from: bert, at: Moment.first) }
    #expect(throws: Refusal.self) { try tokens.read(own, from: visitor, at: Moment.first) }
    let open = try #require(issue(to: visitor))
    for caller in [anna, bert, visitor] {
      #expect(try tokens.read(open, from: caller, at: Moment.first).need == "talk")
    }
  }

  @Test("a token lives for a day")
  func expiry() throws {
    let text = try #require(issue())
    let end = Moment.first + SearchTokens.lifeMilliseconds
    #expect(try tokens.read(text, from: anna, at: end).need == "talk")
    #expect(throws: Refusal(.searchIDExpired, "Events are taken for a day after their search.")) {
      try tokens.read(text, from: anna, at: end + 1)
    }
  }

  @Test("there is no token where there is nothing to learn, and none too large")
  func limits() throws {
    #expect(issue("") == nil)
    #expect(issue(" \n ") == nil)
    #expect(issue("talk", []) == nil)
    #expect(issue("talk", offset: 70_000) == nil)
    let ids = (0..<150).map { "s\($0)" }
    let long = String(repeating: "\u{1F600} ", count: 3_000)
    let text = try #require(issue(long, ids))
    let token = try tokens.read(text, from: anna, at: Moment.first)
    #expect(token.need.unicodeScalars.count <= SearchTokens.needCharacterMax)
    #expect(try tokens.position(of: "s99", in: token) == 100)
    #expect(throws: Refusal.self) { try tokens.position(of: "s100", in: token) }
  }

  @Test(
    "addresses, telephone numbers and secrets are not kept; names of models are",
    arguments: [
      ("mail anna@example.org now", "mail now"), ("call 01701234567", "call"),
      ("use sk-AbCd1234AbCd1234AbCd1234AbCd1234AbCd", "use"),
      ("gpt-4o or claude-3-5-sonnet-20241022", "gpt-4o or claude-3-5-sonnet-20241022"),
      ("  two \n lines\u{7} ", "two lines"), ("under 128000 tokens", "under 128000 tokens"),
    ])
  func needs(text: String, kept: String) {
    #expect(NeedText.kept(text) == kept)
  }
}

@Suite("Events of the marketplace")
struct LearningEventTests {
  @Test("an event is stored once, with the place that the server knows")
  func once() async throws {
    let world = try await FeedbackWorld()
    let search = try world.search()
    #expect(try await world.send(search, .opened, "b") == .recorded)
    #expect(try await world.send(search, .opened, "b") == .repeated)
    #expect(try await world.send(search, .opened, "a", position: 3) == .recorded)
    #expect(try await world.send(search, .shown, "a") == .recorded)
    let records = try await world.records()
    #expect(records.map(\.serviceID) == ["a", "b"])
    #expect(records.map(\.position) == [3, 4])
    #expect(records.allSatisfy { $0.need == "talk" && $0.actor == .user(user(1)) })
    #expect(records.allSatisfy { !$0.isSeenByServer && $0.providerID == "acme" })
    let kinds = try await world.record.read { connection throws in
      try connection.rows("SELECT kind FROM feedback_event ORDER BY kind") { $0.text(0) }
    }
    #expect(kinds == ["opened", "opened", "shown"])
  }

  @Test("what was not shown, stood elsewhere, or is gone is refused alone")
  func refusals() async throws {
    let world = try await FeedbackWorld()
    let search = try world.search()
    let gone = try world.search(anna, ["gone"])
    let items: [Result<FeedbackItem, Refusal>] = [
      .success(FeedbackItem(searchID: search, kind: .opened, serviceID: "c")),
      .success(FeedbackItem(searchID: search, kind: .opened, serviceID: "a", position: 4)),
      .success(FeedbackItem(searchID: gone, kind: .opened, serviceID: "gone")),
      .success(FeedbackItem(searchID: "nonsense", kind: .opened, serviceID: "a")),
      .failure(Refusal(.validationFailed, "The event is not valid.")),
      .success(FeedbackItem(searchID: search, kind: .opened, serviceID: "a", position: 3)),
    ]
    let outcomes = try await world.desk.record(items, from: anna)
    let codes = outcomes.map { $0.json["code"]?.string }
    #expect(
      codes == [
        "service_not_shown", "service_not_shown", "not_found", "search_id_invalid",
        "validation_failed", nil,
      ])
    #expect(outcomes.last == .recorded)
    #expect(try await world.records().count == 1)
    world.hands.pass(hours: 25)
    let late = try await world.send(search, .opened, "b")
    #expect(late?.json["code"] == "search_id_expired")
  }

  @Test("a provider's events on its own services are dropped")
  func own() async throws {
    let world = try await FeedbackWorld()
    let acme = FeedbackCaller(.user(user(3)), providerID: "acme")
    let search = try world.search(acme, ["a", "c"])
    #expect(try await world.send(search, .opened, "a", from: acme) == .dropped(.ownService))
    #expect(try await world.send(search, .opened, "c", from: acme) == .recorded)
    let program = FeedbackCaller(.visitor("provider:acme"), providerID: "acme")
    let other = try world.search(program)
    for _ in 0..<20 {
      #expect(try await world.send(other, .kept, "b", from: program) == .dropped(.ownService))
    }
    #expect(try await world.records().map(\.serviceID) == ["c"])
  }

  @Test("a caller has so many events a day; a session's start is never crowded out")
  func daily() async throws {
    let world = try await FeedbackWorld {
      $0.userDailyMax = 3
      $0.visitorDailyMax = 1
    }
    let first = try world.search()
    let second = try world.search()
    #expect(try await world.send(first, .opened, "a") == .recorded)
    #expect(try await world.send(first, .opened, "b") == .recorded)
    #expect(try await world.send(second, .opened, "a") == .recorded)
    let refused = try await world.send(second, .opened, "b")
    #expect(refused?.json["code"] == "rate_limited")
    let started = try await world.desk.sessionStarted(
      user(40), serviceID: "b", searchID: second, by: anna)
    #expect(started == .recorded)
    let open = try world.search(visitor)
    #expect(try await world.send(open, .opened, "a", from: visitor) == .recorded)
    let again = try await world.send(open, .opened, "b", from: visitor)
    #expect(again?.json["code"] == "rate_limited")
    world.hands.pass(hours: 24)
    #expect(try await world.send(second, .opened, "b") == .recorded)
  }

  @Test("a batch is counted as a whole against the day")
  func batch() async throws {
    let world = try await FeedbackWorld { $0.userDailyMax = 1 }
    let search = try world.search()
    let items = ["a", "a", "b"].map {
      Result<FeedbackItem, Refusal>.success(
        FeedbackItem(searchID: search, kind: .opened, serviceID: $0))
    }
    let outcomes = try await world.desk.record(items, from: anna)
    #expect(outcomes.map { $0.json["status"]?.string } == ["recorded", "refused", "refused"])
  }

  @Test("a visitor is a keyed hash of a day, and leaves no address behind")
  func visitors() async throws {
    let world = try await FeedbackWorld()
    let first = try world.search(visitor)
    #expect(try await world.send(first, from: visitor) == .recorded)
    world.hands.pass(hours: 48)
    let second = try world.search(visitor)
    #expect(try await world.send(second, from: visitor) == .recorded)
    let actors = try await world.records().map(\.actor)
    #expect(actors.count == 2)
    #expect(Set(actors).count == 2)
    #expect(actors.allSatisfy { !$0.isUser && $0.bytes.count == 16 })
  }

  @Test("a trial is noted at its start and at its end, by the server's own word")
  func sessions() async throws {
    let world = try await FeedbackWorld()
    let search = try world.search(visitor)
    let session = user(50)
    #expect(try await world.desk.sessionCompleted(session) == false)
    // The client's word comes first; the server's takes its place.
    #expect(try await world.send(search, .tried, "a", from: visitor) == .recorded)
    let started = try await world.desk.sessionStarted(
      session, serviceID: "a", searchID: search, by: anna)
    #expect(started == .repeated)
    #expect(try await world.desk.sessionCompleted(session))
    #expect(try await world.desk.sessionCompleted(session) == false)
    let records = try await world.records()
    #expect(records.map(\.kind) == [.kept, .tried])
    #expect(records.allSatisfy { $0.isSeenByServer && $0.actor == .user(user(1)) })
    let foreign = try await world.desk.sessionStarted(
      user(51), serviceID: "c", searchID: search, by: anna)
    #expect(foreign.json["code"] == "service_not_shown")
    let damaged = try await world.desk.sessionStarted(
      user(52), serviceID: "a", searchID: "x", by: anna)
    #expect(damaged.json["code"] == "search_id_invalid")
  }

  @Test("where learning is off nothing is given out and nothing stored")
  func off() async throws {
    let on = try await FeedbackWorld()
    let search = try on.search()
    let world = try await FeedbackWorld { $0.isOn = false }
    #expect(world.desk.searchID(need: "talk", services: ["a"], offset: 0, for: anna) == nil)
    #expect(try await world.send(search) == .dropped(.learningOff))
    let started = try await world.desk.sessionStarted(
      user(1), serviceID: "a", searchID: search, by: anna)
    #expect(started == .dropped(.learningOff))
    #expect(try await world.desk.sessionCompleted(user(1)) == false)
    #expect(try await world.records().isEmpty)
  }

  @Test("what is past the retention goes, and a user can be forgotten")
  func retention() async throws {
    let world = try await FeedbackWorld { $0.retentionDays = 10 }
    for _ in 0..<3 { #expect(try await world.send(try world.search()) == .recorded) }
    world.hands.pass(hours: 24 * 9)
    let young = try world.search(bert)
    #expect(try await world.send(young, .opened, "b", from: bert) == .recorded)
    #expect(try await world.desk.prune() == 0)
    world.hands.pass(hours: 25)
    #expect(try await world.desk.prune() == 3)
    #expect(try await world.records().map(\.serviceID) == ["b"])
    for (number, count) in [(1, 0), (2, 1)] as [(UInt8, Int)] {
      let gone = try await world.record.write {
        try FeedbackStore.forget(user: user(number), on: $0)
      }
      #expect(gone == count)
    }
    #expect(try await world.records().isEmpty)
    #expect(try await world.desk.prune() == 0)
  }

  @Test("whoever signs in on the way is forgotten with the words that it searched for before")
  func forgetsWords() async throws {
    let world = try await FeedbackWorld()
    let search = try world.search(visitor)
    #expect(try await world.send(search, .opened, "a", from: visitor) == .recorded)
    #expect(try await world.send(search, .opened, "b", from: anna) == .recorded)
    let other = try world.search(bert)
    #expect(try await world.send(other, .opened, "a", from: bert) == .recorded)
    let gone = try await world.record.write { try FeedbackStore.forget(user: user(1), on: $0) }
    #expect(gone == 1)
    let left = try await world.record.read { connection in
      try ["feedback_search", "feedback_event"].map { table in
        try connection.first("SELECT count(*) FROM \(table)") { $0.int(0) } ?? -1
      }
    }
    #expect(left == [1, 1], "the other person's")
  }

  @Test("events are read from JSON, and what is wrong is named")
  func json() throws {
    let item = try FeedbackItem.read(
      ["kind": "opened", "serviceId": "a", "position": 2], searchID: "t")
    #expect(item == FeedbackItem(searchID: "t", kind: .opened, serviceID: "a", position: 2))
    let own = try FeedbackItem.read(
      ["kind": "kept", "serviceId": "a", "searchId": "u", "position": .null], searchID: "t")
    #expect(own.searchID == "u")
    func faults(_ json: JSON) -> [String] {
      do throws(Refusal) {
        _ = try FeedbackItem.read(json, searchID: nil)
        return []
      } catch { return error.fields.map(\.pointer) }
    }
    #expect(faults([:]) == ["/searchId", "/kind", "/serviceId"])
    #expect(faults("text") == ["/searchId", "/kind", "/serviceId"])
    #expect(
      faults(["searchId": "t", "kind": "bought", "serviceId": "a"]) == ["/kind"])
    for position: JSON in [0, -1, 1.5, "1", true] {
      #expect(
        faults(["searchId": "t", "kind": "opened", "serviceId": "a", "position": position])
          == ["/position"])
    }
    #expect(
      faults(["searchId": "t", "kind": "opened", "serviceId": "a", "user": "x"]) == ["/user"])
  }
}
