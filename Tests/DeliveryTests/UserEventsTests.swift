import Identity
import Ledger
import Primitives
import SQLite
import Testing
import Delivery
import TestSupport

/// The streams of signed-in users.
@Suite("Webhooks: the users' streams")
struct UserEventsTests {
  static let anna = ID<UserKind>(bytes: [UInt8](repeating: 1, count: 16))
  static let bert = ID<UserKind>(bytes: [UInt8](repeating: 2, count: 16))

  /// A stage where both users have an account.
  private func stage() async throws -> (Stage, ID<UserKind>, ID<UserKind>) {
    let stage = try await Stage()
    let anna = try #require(UserEventsTests.anna)
    let bert = try #require(UserEventsTests.bert)
    for user in [anna, bert] {
      try await stage.write(
        """
        INSERT INTO user(id, email, password_hash, role, created_ms) VALUES (?, ?, '', 'user', 1)
        """, [.blob(user.bytes), .text(user.text)])
    }
    return (stage, anna, bert)
  }

  private func tell(_ stage: Stage, _ user: ID<UserKind>, _ type: String = "tokens.low")
    async throws
  {
    try await stage.emit(type, ["userId": .string(user.text)])
  }

  private func items(_ stream: UserEvents.Stream) async -> [UserEvents.Item] {
    var items: [UserEvents.Item] = []
    for await item in stream.live { items.append(item) }
    return items
  }

  private func types(_ items: [UserEvents.Item]) -> [String] {
    items.map { item in
      switch item {
      case .event(let event): event.type
      case .balance: "balance"
      }
    }
  }

  @Test("what providers were told of a person is that person's to read, page by page")
  func export() async throws {
    let (stage, anna, bert) = try await stage()
    for index in 0..<5 {
      let user = index == 2 ? bert : anna
      try await stage.emit(
        "session.paused", ["userId": .string(user.text), "providerId": "acme", "n": .number(index)])
    }
    try await tell(stage, anna)
    try await stage.desk.sender.pump()
    var (seen, place): ([Int64], Int64?) = ([], 0)
    while let after = place {
      let page = try await stage.database.read { connection throws in
        try WebhookPersonStore.events(about: anna.bytes, after: after, limit: 2, on: connection)
      }
      seen += page.rows.compactMap { $0["event"]?["data"]?["n"]?.int }
      #expect(page.rows.allSatisfy { $0["type"] == "session.paused" && $0["id"] != nil })
      place = page.next
    }
    #expect(seen == [0, 1, 3, 4])
  }

  @Test("a user hears what concerns it, and nothing of anybody else's")
  func live() async throws {
    let (stage, anna, bert) = try await stage()
    let events = stage.desk.userEvents
    let stream = try await events.open(anna, after: nil)
    try await tell(stage, anna)
    try await tell(stage, bert)
    try await tell(stage, anna, "tokens.depleted")
    try await tell(stage, anna, "user.deprovisioned")
    try await stage.desk.sender.pump()
    events.closeAll()
    #expect(types(await items(stream)) == ["tokens.low", "tokens.depleted"])
  }

  @Test("a stream takes up after the event that the client names")
  func resume() async throws {
    let (stage, anna, bert) = try await stage()
    let events = stage.desk.userEvents
    for _ in 0..<3 {
      try await tell(stage, anna)
      try await tell(stage, bert)
    }
    try await stage.desk.sender.pump()
    let whole = try await events.open(anna, after: 0)
    #expect(whole.backlog.map(\.seq) == [1, 3, 5])
    let rest = try await events.open(anna, after: 3)
    #expect(rest.backlog.map(\.seq) == [5])
    #expect(rest.last == 6)
    let none = try await events.open(anna, after: nil)
    #expect(none.backlog.isEmpty)
    for stream in [whole, rest, none] { events.close(stream) }
    #expect(events.count == 0)
  }

  @Test("an id that is pruned, or was never given, has expired")
  func expired() async throws {
    let (stage, anna, _) = try await stage()
    for _ in 0..<4 { try await tell(stage, anna) }
    try await stage.desk.sender.pump()
    stage.clock.move(milliseconds: WebhookSender.keptMilliseconds + 1)
    try await stage.desk.sender.prune()
    let events = stage.desk.userEvents
    for (last, code) in [(2, ProblemCode.streamExpired), (99, .streamExpired), (3, nil)]
      as [(Int64, ProblemCode?)]
    {
      let found = try await awaitedRefusal { try await events.open(anna, after: last) }
      #expect(found == code)
    }
    #expect(events.count == 1, "a refused stream leaves nothing behind")
  }

  @Test("five streams a user, and no more")
  func limit() async throws {
    let (stage, anna, bert) = try await stage()
    let events = stage.desk.userEvents
    var open: [UserEvents.Stream] = []
    for _ in 0..<5 { open.append(try await events.open(anna, after: nil)) }
    #expect(try await awaitedRefusal { try await events.open(anna, after: nil) } == .rateLimited)
    open.append(try await events.open(bert, after: nil))
    events.close(open[0])
    open.append(try await events.open(anna, after: nil))
    #expect(events.count == 6)
  }

  @Test("a long absence is made good in parts")
  func longAbsence() async throws {
    let (stage, anna, _) = try await stage()
    let events = stage.desk.userEvents
    for _ in 0..<(UserEvents.backlogMax + 2) { try await tell(stage, anna) }
    while try await stage.desk.sender.pump() {}
    let first = try await events.open(anna, after: 0)
    #expect(first.isCut)
    #expect(first.backlog.count == UserEvents.backlogMax)
    let rest = try await events.open(anna, after: try #require(first.backlog.last?.seq))
    #expect(!rest.isCut)
    #expect(rest.backlog.count == 2)
    let note = JSON.string(String(repeating: "x", count: 15_000))
    for _ in 0..<80 {
      try await stage.emit("tokens.low", ["userId": .string(anna.text), "note": note])
    }
    while try await stage.desk.sender.pump() {}
    let long = try await events.open(anna, after: rest.last)
    #expect(long.isCut)
    #expect(long.backlog.count < 80)
  }

  @Test("a reader that falls behind is let go, after what it has room for")
  func behind() async throws {
    let (stage, anna, _) = try await stage()
    let events = stage.desk.userEvents
    let stream = try await events.open(anna, after: nil)
    for _ in 0..<300 { try await tell(stage, anna) }
    while try await stage.desk.sender.pump() {}
    #expect(events.count == 0)
    let got = await items(stream)
    #expect(got.count == UserEvents.behindMax)
    let again = try await events.open(anna, after: Int64(got.count))
    #expect(again.backlog.count == 300 - UserEvents.behindMax)
  }

  @Test("the balance comes at the start and whenever the account moves")
  func balance() async throws {
    let (stage, anna, bert) = try await stage()
    let events = stage.desk.userEvents
    try await stage.desk.sender.pump()
    let stream = try await events.open(anna, after: nil)
    #expect(stream.balance["availableMicrotokens"] == 0)
    for (user, tokens) in [(anna, 5), (bert, 7), (anna, 1)] as [(ID<UserKind>, Int64)] {
      let amount = try #require(Microtokens(tokens: tokens))
      let id = ID<TransferKind>(at: stage.clock.now, random: stage.random)
      let now = stage.clock.now
      try await stage.database.write { connection throws in
        _ = try LedgerStore.post(
          id, from: .platform(.externalPayments), to: .user(user), amount, reason: "purchase",
          at: now, on: connection)
      }
      try await stage.desk.sender.pump()
    }
    try await stage.desk.sender.pump()
    events.closeAll()
    let balances = await items(stream).compactMap { item -> Int64? in
      if case .balance(let now) = item { now["balanceMicrotokens"]?.int } else { nil }
    }
    #expect(balances == [5_000_000, 6_000_000])
  }

  @Test("when the server ends, streams end and new ones are refused")
  func closing() async throws {
    let (stage, anna, _) = try await stage()
    let events = stage.desk.userEvents
    let stream = try await events.open(anna, after: nil)
    events.closeAll()
    #expect(await items(stream).isEmpty)
    #expect(try await awaitedRefusal { try await events.open(anna, after: nil) } == .shuttingDown)
  }
}
