import Ledger
import Primitives
import SQLite
import Synchronization
import Testing
import TestSupport

@Suite("Ledger: the past is read by marks as it is by the whole walk")
struct MarkTests {
  /// What an account's owner is shown without any mark, oldest first: from it follows what every reading must be.
  private typealias Story = [LedgerEntry]

  private static func story(_ name: AccountName, _ connection: Connection) throws -> Story {
    let page = try LedgerStore.page(of: name, limit: 100_000, on: connection)
    #expect(page.next == nil)
    return page.entries.reversed()
  }

  private static func pocket(_ story: Story, where isMeant: (LedgerEntry) -> Bool) -> Pocket {
    let part = story.filter(isMeant)
    return Pocket(
      part.reduce(0) { $0 + $1.balanceChange.count },
      held: part.reduce(0) { $0 + $1.heldChange.count })
  }

  /// Every page of a filter, one after the other.
  private static func pages(
    _ name: AccountName, _ filter: LedgerFilter, limit: Int, steps: Int64 = LedgerPage.stepsMax,
    below sequence: Int64 = Int64.max, _ connection: Connection
  ) throws -> [LedgerPage] {
    var pages: [LedgerPage] = []
    var below: Int64? = sequence
    while let start = below {
      let page = try LedgerStore.page(
        of: name, below: start, filter: filter, limit: limit, steps: steps, on: connection)
      if let next = page.next { #expect(next < start) }
      pages.append(page)
      below = page.next
    }
    return pages
  }

  @Test(
    "random ledgers whose clocks jump: pages, balances and statements are the walk's",
    arguments: [(1, 1), (2, 2), (3, 3), (4, 7), (5, 20), (6, 101)] as [(UInt64, Int64)])
  func equalsWalk(seed: UInt64, stride: Int64) async throws {
    let book = try Book()
    let marker = LedgerMarker(database: book.database, everyTransfers: stride, pageCount: 4)
    for part in UInt64(0)..<3 {
      try await book.write { till throws in
        var ledger = JumpingLedger(seed: seed, part: part)
        try ledger.fill(150, till)
      }
      // The last part has no marks yet, as the newest movements of a running server.
      let stories = try await Self.unmarked(book)
      try await book.database.read { connection throws in
        try Self.compare(stories, seed: seed, connection)
      }
      try await marker.catchUp()
      try await book.database.read { connection throws in
        try Self.compare(stories, seed: seed + 100, connection)
      }
      let report = try await book.verify()
      #expect(report.faults + report.wrongMarks == [])
    }
    let (marks, moments) = try await book.write { till in
      (
        try till.number("SELECT count(*) FROM ledger_mark"),
        try till.number(
          "SELECT count(*) FROM transfer t JOIN transfer n ON n.seq = t.seq + 1 AND n.at_ms < t.at_ms"
        )
      )
    }
    #expect(marks >= 4, "of a stride of \(stride)")
    #expect(moments >= 3, "the clock was set back")
  }

  /// What the accounts' lists show where there is no mark.
  private static func unmarked(_ book: Book) async throws -> [AccountName: Story] {
    let stories = Mutex<[AccountName: Story]>([:])
    do {
      try await book.write { till throws in
        try till.connection.run("DELETE FROM ledger_mark")
        for name in JumpingLedger.names {
          let story = try Self.story(name, till.connection)
          stories.withLock { $0[name] = story }
        }
        throw Undone()
      }
    } catch is Undone {}
    return stories.withLock { $0 }
  }

  private static func compare(
    _ stories: [AccountName: Story], seed: UInt64, _ connection: Connection
  ) throws {
    var random = SplitMix64(seed: seed)
    for name in JumpingLedger.names {
      let story = stories[name] ?? []
      let present = try LedgerStore.balance(name, on: connection)
      #expect(StatementTests.pocket(present) == pocket(story) { _ in true })
      for _ in 0..<12 {
        try comparePages(name, story, &random, connection)
        try comparePast(name, story, &random, connection)
      }
    }
  }

  /// A moment of a movement, or one beside it.
  private static func moment(_ story: Story, _ random: inout SplitMix64) -> Timestamp {
    let base = story.randomElement(using: &random)?.at ?? Timestamp(milliseconds: 0)
    let step: Int64 = [-5_000_000, -1, 0, 0, 0, 1, 9_000_000].randomElement(using: &random) ?? 0
    return base + step
  }

  private static func comparePages(
    _ name: AccountName, _ story: Story, _ random: inout SplitMix64, _ connection: Connection
  ) throws {
    var filter = LedgerFilter()
    if Bool.random(using: &random) { filter.from = moment(story, &random) }
    if Bool.random(using: &random) { filter.to = moment(story, &random) }
    if Bool.random(using: &random) {
      filter.kind = LedgerFilter.kinds.randomElement(using: &random)
    }
    let steps: Int64 = [3, 10, LedgerPage.stepsMax].randomElement(using: &random) ?? 1
    // Few steps may not reach a number of other accounts; `unreached` is about that.
    let below =
      steps == LedgerPage.stepsMax
      ? Int64.random(in: 0...500, using: &random)
      : ([Int64.max] + story.map(\.sequence)).randomElement(using: &random) ?? 1
    let limit = [1, 2, 5, 1_000].randomElement(using: &random) ?? 1
    let expected = story.reversed().filter { entry in
      entry.sequence < below && entry.at >= filter.from ?? entry.at
        && (filter.to.map { entry.at < $0 } ?? true) && entry.kind == filter.kind ?? entry.kind
    }
    let pages = try pages(
      name, filter, limit: limit, steps: steps, below: below, connection)
    #expect(pages.flatMap(\.entries).map(\.json) == expected.map(\.json), "\(name) \(filter)")
    #expect(pages.allSatisfy { $0.entries.count <= limit })
    if steps == LedgerPage.stepsMax {
      #expect(pages.dropLast().allSatisfy { $0.entries.count == limit }, "only the last is short")
      #expect(pages.count == max(1, (expected.count + limit - 1) / limit))
    }
  }

  private static func comparePast(
    _ name: AccountName, _ story: Story, _ random: inout SplitMix64, _ connection: Connection
  ) throws {
    let (from, to) = (moment(story, &random), moment(story, &random))
    let sequence = Int64.random(in: 0...500, using: &random)
    let past = try LedgerStore.balance(name, at: .time(to), on: connection)
    #expect(StatementTests.pocket(past) == pocket(story) { $0.at <= to })
    let numbered = try LedgerStore.balance(name, at: .sequence(sequence), on: connection)
    #expect(StatementTests.pocket(numbered) == pocket(story) { $0.sequence <= sequence })
    guard from < to else { return }
    let statement = try LedgerStore.statement(of: name, from: from, to: to, on: connection)
    #expect(StatementTests.pocket(statement.opening) == pocket(story) { $0.at < from })
    #expect(StatementTests.pocket(statement.closing) == pocket(story) { $0.at < to })
    #expect(
      statement.entries.map(\.sequence)
        == story.filter { from <= $0.at && $0.at < to }.map(\.sequence))
  }

  /// 300 posts of 1 at the moments 1 to 300, with a hold at 151.
  private static func long() async throws -> Book {
    let book = try Book()
    try await book.write { till throws in
      for index in Int64(1)...300 {
        let till = till.at(index)
        if index == 151 {
          try till.hold(1_000, 2, until: 1_000)
        } else {
          try till.post(UInt64(index), 1, from: .bank, to: .anna)
        }
      }
    }
    return book
  }

  private static func mark(_ book: Book, every stride: Int64 = 7) async throws {
    try await LedgerMarker(database: book.database, everyTransfers: stride).catchUp()
  }

  @Test("a past too far to walk is refused, and read once there are marks")
  func reach() async throws {
    let book = try await Self.long()
    func past(_ moment: LedgerMoment, steps: Int64) async throws -> Int64 {
      try await book.database.read { connection in
        try LedgerStore.balance(.anna, at: moment, steps: steps, on: connection).balance.count
      }
    }
    let day = (Timestamp(milliseconds: 20), Timestamp(milliseconds: 30))
    func statement(steps: Int64) async throws -> LedgerStatement {
      try await book.database.read { connection in
        try LedgerStore.statement(
          of: .anna, from: day.0, to: day.1, steps: steps, on: connection)
      }
    }
    let refused = await #expect(throws: Refusal.self) {
      try await past(.time(day.0), steps: 299)
    }
    #expect(refused?.code == .storageUnavailable)
    #expect(refused?.retryAfterSeconds == 60)
    #expect(try await past(.time(day.0), steps: 300) == 20)
    #expect(try await past(.sequence(20), steps: 20) == 20, "its own: nothing above is walked")
    let error = await #expect(throws: Refusal.self) { try await statement(steps: 250) }
    #expect(error?.code == .storageUnavailable)
    let several = await #expect(throws: Refusal.self) {
      try await LedgerStore.balance(.anna, at: .time(day.0), steps: 299, in: book.database)
    }
    #expect(several?.code == .storageUnavailable, "the marker is waited for")
    try await Self.mark(book)
    for moment in [LedgerMoment.time(day.0), .sequence(20)] {
      #expect(try await past(moment, steps: 14) == 20)
    }
    let read = try await statement(steps: 40)
    #expect(read.opening.balance.count == 19)
    #expect(read.entries.map(\.sequence) == Array(20...29))
    #expect(read.closing.balance.count == 29)
  }

  /// 300 posts of 1 whose moments lie anywhere in the hour, as where it is settled afterwards.
  private static func late(seed: UInt64) async throws -> Book {
    let book = try Book()
    try await book.write { till throws in
      var random = SplitMix64(seed: seed)
      for id in UInt64(1)...300 {
        let moment = Int64.random(in: 1...3_600, using: &random)
        try till.at(moment).post(id, 1, from: .bank, to: .anna)
      }
    }
    try await mark(book)
    return book
  }

  @Test("a past whose moments are in no order is read in several reads", arguments: [1, 2, 3])
  func late(seed: UInt64) async throws {
    let book = try await Self.late(seed: seed)
    let database = book.database
    for milliseconds in stride(from: Int64(-100), through: 3_700, by: 400) {
      let moment = LedgerMoment.time(Timestamp(milliseconds: milliseconds))
      let expected = try await database.read { connection in
        try LedgerStore.balance(.anna, at: moment, on: connection)
      }
      for steps in [Int64(7), 20, 50] {
        let read = try await LedgerStore.balance(
          .anna, at: moment, steps: steps, reads: 60, in: database)
        #expect(read == expected, "\(milliseconds) by \(steps)")
      }
    }
    let (from, to) = (Timestamp(milliseconds: 1_000), Timestamp(milliseconds: 2_000))
    let expected = try await database.read { connection in
      try LedgerStore.statement(of: .anna, from: from, to: to, on: connection)
    }
    #expect(!expected.entries.isEmpty)
    let read = try await LedgerStore.statement(
      of: .anna, from: from, to: to, steps: 20, reads: 60, in: database)
    #expect(JSON.object(read.json) == JSON.object(expected.json))
  }

  @Test("a past whose moments are in no order is refused for good where it is too long")
  func tooLong() async throws {
    let book = try await Self.late(seed: 4)
    let (from, to) = (Timestamp(milliseconds: 1_000), Timestamp(milliseconds: 2_000))
    let balance = await #expect(throws: Refusal.self) {
      try await LedgerStore.balance(
        .anna, at: .time(from), steps: 20, reads: 2, in: book.database)
    }
    #expect(balance?.code == .validationFailed, "no marks are missing: to wait would not help")
    let statement = await #expect(throws: Refusal.self) {
      try await LedgerStore.statement(
        of: .anna, from: from, to: to, steps: 20, reads: 2, in: book.database)
    }
    #expect(statement?.code == .validationFailed)
    let numbered = try await LedgerStore.balance(
      .anna, at: .sequence(150), steps: 20, reads: 1, in: book.database)
    #expect(numbered.balance.count == 150)
  }

  @Test("a page ends where its steps end, and the next one goes on there")
  func partial() async throws {
    let book = try await Self.long()
    let holds = LedgerFilter(kind: "hold")
    func pages() async throws -> [LedgerPage] {
      try await book.database.read { connection in
        try Self.pages(.anna, holds, limit: 5, steps: 20, connection)
      }
    }
    let walked = try await pages()
    #expect(walked.count == 15, "300 movements by 20")
    #expect(walked.first?.next == 281)
    #expect(walked.flatMap(\.entries).map(\.sequence) == [151])
    try await Self.mark(book)
    let marked = try await pages()
    #expect(marked.count == 1, "stretches without a hold are passed over")
    #expect(marked.flatMap(\.entries).map(\.sequence) == [151])
  }

  @Test("a number of other accounts' that is too far down is refused, and reached by marks")
  func unreached() async throws {
    let book = try await Self.long()
    func page(below sequence: Int64) async throws -> [Int64] {
      try await book.database.read { connection in
        try LedgerStore.page(of: .anna, below: sequence, limit: 2, steps: 20, on: connection)
          .entries.map(\.sequence)
      }
    }
    try await book.write { till throws in
      for id in UInt64(3_001)...3_040 { try till.post(id, 1, from: .bank, to: .bert) }
      for id in UInt64(4_001)...4_030 { try till.post(id, 1, from: .bank, to: .anna) }
    }
    #expect(try await page(below: 341) == [300, 299], "its own: nothing above is walked")
    let error = await #expect(throws: Refusal.self) { try await page(below: 320) }
    #expect(error?.code == .storageUnavailable)
    try await Self.mark(book)
    #expect(try await page(below: 320) == [300, 299])
  }

  private static func marks(_ book: Book) async throws -> [String] {
    try await book.write { till in
      try till.texts(
        """
        SELECT printf('%d %d %d %d %d %d %d', account, seq, balance_change, held_change, first_ms,
        last_ms, kinds) FROM ledger_mark ORDER BY seq, account
        """)
    }
  }

  @Test("marks are the same however often they are written, and come again where all are deleted")
  func followsFromTransfers() async throws {
    var books: [Book] = []
    for isOften in [false, true] {
      let book = try Book()
      for part in UInt64(0)..<6 {
        try await book.write { till throws in
          var ledger = JumpingLedger(seed: 9, part: part)
          try ledger.fill(40, till)
        }
        if isOften { try await Self.mark(book) }
      }
      try await Self.mark(book)
      books.append(book)
    }
    let once = try await Self.marks(books[0])
    #expect(once.count > 20)
    #expect(try await Self.marks(books[1]) == once)
    try await books[0].write { till throws in
      try till.connection.run("DELETE FROM ledger_mark")
    }
    #expect(try await books[0].verify().faults == [])
    try await Self.mark(books[0])
    #expect(try await Self.marks(books[0]) == once)
  }

  @Test("a batch of marks ends where it must, and says whether more is to be done")
  func batches() async throws {
    let book = try await Self.long()
    let marker = LedgerMarker(database: book.database, everyTransfers: 3)
    var ends: [Int64] = []
    var isDone = false
    while !isDone {
      isDone = try await marker.tend()
      ends.append(try await book.write { try $0.number("SELECT max(seq) FROM ledger_mark") })
    }
    #expect(ends == [96, 192, 288, 300])
    #expect(try await marker.tend())
    #expect(try await Self.marks(book).count == 200)
    let empty = try Book()
    #expect(try await LedgerMarker(database: empty.database).tend())
  }

  /// What is done to marks behind the ledger's back.
  static let tampers = [
    "UPDATE ledger_mark SET balance_change = balance_change + 1 WHERE seq = 14",
    "UPDATE ledger_mark SET held_change = held_change - 1 WHERE seq = 14",
    "UPDATE ledger_mark SET first_ms = first_ms - 1 WHERE seq = 14",
    "UPDATE ledger_mark SET last_ms = last_ms + 1 WHERE seq = 14",
    "UPDATE ledger_mark SET kinds = 127 WHERE seq = 14",
    "UPDATE ledger_mark SET seq = 15 WHERE seq = 14",
    "UPDATE ledger_mark SET seq = 100000 WHERE seq = 294",
    "UPDATE ledger_mark SET seq = -1 WHERE seq = 7",
    "UPDATE ledger_mark SET account = account + 2 WHERE seq = 294",
    "DELETE FROM ledger_mark WHERE seq = 14",
  ]

  @Test("a mark that its transfers do not bear out is found", arguments: MarkTests.tampers)
  func tampered(sql: String) async throws {
    let book = try await Self.long()
    try await book.write { till throws in
      // Two accounts that marks can be made to name.
      try till.post(2_000, 1, from: .bank, to: .bert)
      try till.post(2_001, 1, from: .bank, to: .carl)
    }
    try await Self.mark(book)
    let before = try await Self.marks(book)
    #expect(try await book.verify().wrongMarks == [])
    try await book.write { till throws in
      #expect(try till.connection.run(sql) > 0)
    }
    let report = try await book.verify()
    #expect(!report.wrongMarks.isEmpty)
    #expect(report.faults == [], "no unit depends on a mark")
    #expect(try await book.auditor().audit() == report)
    #expect(try await Self.marks(book).isEmpty, "all are written again")
    try await Self.mark(book)
    #expect(try await Self.marks(book) == before)
    #expect(try await book.auditor().audit().wrongMarks == [])
    #expect(try await Self.marks(book) == before, "right ones stay")
  }

  @Test("wrong marks over forged transfers stay until these are sound")
  func unsound() async throws {
    let book = try await Self.long()
    try await Self.mark(book)
    func forge(_ change: Int64) async throws {
      try await book.write { till throws in
        _ = try till.connection.run(
          """
          UPDATE account SET credits_posted = credits_posted + ? WHERE kind = 'user_available'
          """, [.int(change)])
      }
    }
    try await forge(1)
    try await book.write { till throws in
      _ = try till.connection.run(Self.tampers[0])
    }
    let before = try await Self.marks(book)
    let report = try await book.auditor().audit()
    #expect(!report.isSound)
    #expect(!report.wrongMarks.isEmpty)
    #expect(try await Self.marks(book) == before)
    try await forge(-1)
    #expect(try await book.auditor().audit().isSound)
    #expect(try await Self.marks(book).isEmpty)
  }

  @Test("all marks are deleted in several commits")
  func deletes() async throws {
    let book = try Book()
    try await book.write { till throws in
      for id in UInt64(1)...2_500 { try till.post(id, 1, from: .bank, to: .anna) }
    }
    try await Self.mark(book, every: 1)
    #expect(try await Self.marks(book).count == 5_000)
    try await LedgerMarker(database: book.database).deleteAll()
    #expect(try await Self.marks(book).isEmpty)
    try await LedgerMarker(database: book.database).deleteAll()
  }

  @Test("marks that are written while a verification reads are no fault")
  func behindReader() async throws {
    let book = try await Self.long()
    let first = try await book.database.read { connection -> LedgerReplay in
      var replay = LedgerReplay()
      _ = try replay.read(limit: 100, on: connection)
      return replay
    }
    try await Self.mark(book)
    #expect(first.sequence == 100)
    let wrong = try await book.database.read { connection -> [String] in
      var replay = first
      while try !replay.read(limit: 100, on: connection) {}
      return replay.faults + replay.wrongMarks
    }
    #expect(wrong == [])
  }

  @Test("a verification from a checkpoint knows the marks that follow")
  func tail() async throws {
    let book = try await Self.long()
    try await book.auditor().tend()
    try await book.write { till throws in
      for index in Int64(301)...400 {
        try till.at(index).post(UInt64(index), 1, from: .bank, to: .anna)
      }
    }
    try await Self.mark(book)
    try await book.write { till throws in
      try till.connection.run(
        "UPDATE ledger_mark SET balance_change = balance_change + 1 WHERE seq = 301")
      let base = try LedgerCheckpoint.last(on: till.connection)
      let report = try LedgerVerifier.verify(from: base, till.connection)
      #expect(report.from == 300)
      #expect(report.faults == [])
      #expect(report.wrongMarks.count == 2, "the first mark covers what the tail does not read")
      try till.connection.run(
        "UPDATE ledger_mark SET balance_change = balance_change + 1 WHERE seq = 308")
      let worse = try LedgerVerifier.verify(from: base, till.connection)
      #expect(worse.wrongMarks.count == 4, "two of each account")
    }
  }

  @Test(
    "marks of a ledger of the first version hold what its holds released", arguments: [1, 2, 3])
  func firstVersion(stride: Int64) async throws {
    let book = try Book()
    try await book.write { till throws in
      try VerifierTests.fill(till)
      try till.makeOld()
    }
    func past() async throws -> [Balance] {
      try await book.database.read { connection in
        try (Int64(0)...20).map {
          try LedgerStore.balance(.anna, at: .sequence($0), on: connection)
        }
      }
    }
    let before = try await past()
    try await Self.mark(book, every: stride)
    #expect(try await past() == before)
    let report = try await book.verify()
    #expect(report.faults + report.wrongMarks == [])
  }
}
