import Cryptography
import Foundation
import Ledger
import Primitives
import SQLite
import Synchronization
import TestSupport
import Testing

@Suite("Ledger: writes only over a sound one")
struct GateTests {
  /// What a gate said, and how often the start's own writes ran.
  private final class Notes: Sendable {
    let lines = Mutex<[String]>([])
    let runs = Mutex(0)

    func has(_ text: String) -> Bool { lines.withLock { $0.contains { $0.contains(text) } } }
  }

  /// Waits where it is told to, until it is told to go on.
  private final class Barrier: Sendable {
    private let arrivals = AsyncStream<Void>.makeStream()
    private let goes = AsyncStream<Void>.makeStream()

    func wait() async {
      arrivals.continuation.yield()
      for await _ in goes.stream { return }
    }

    func arrived() async { for await _ in arrivals.stream { return } }
    func go() { goes.continuation.yield() }
  }

  private static let seal = ChainSeal(
    sign: { message in (keyID: "test", signature: Digest.hmac(key: [7], message)) },
    verifies: { _, signature, message in
      Digest.equal(signature, Digest.hmac(key: [7], message))
    })

  private static func gate(
    _ book: Book, _ notes: Notes = Notes(),
    firstWrites: @escaping @Sendable (Database) async throws -> Void = { _ in }
  ) -> LedgerGate {
    LedgerGate(
      database: book.database, clock: Clock { Timestamp(milliseconds: 5_000) }, seal: seal,
      log: { line in notes.lines.withLock { $0.append(line) } },
      firstWrites: { database in
        notes.runs.withLock { $0 += 1 }
        try await firstWrites(database)
      })
  }

  private static func filled() async throws -> Book {
    let book = try Book()
    try await book.write { till throws in try VerifierTests.fill(till) }
    return book
  }

  /// The code of the refusal of an ordinary write, or nil.
  private static func refusal(of book: Book, _ id: UInt64) async throws -> ProblemCode? {
    try await awaitedRefusal {
      try await book.write { try $0.post(id, 1, from: .bank, to: .anna) }
    }
  }

  /// Changes the record behind the ledger's back, whether or not writes are taken.
  private static func forge(_ book: Book, _ sql: String) async throws {
    try await book.database.writing(as: .opening).write { connection in
      let till = Till(connection: connection)
      try till.unguard()
      #expect(try connection.run(sql) > 0)
    }
  }

  private static let forgedSum =
    "UPDATE account SET credits_posted = credits_posted + 1 WHERE kind = 'user_available'"
  private static let repairedSum =
    "UPDATE account SET credits_posted = credits_posted - 1 WHERE kind = 'user_available'"

  @Test("a slow start answers reads and refuses writes; its own come first")
  func slow() async throws {
    let book = try await Self.filled()
    let (barrier, notes) = (Barrier(), Notes())
    let gate = Self.gate(book, notes) { database in
      await barrier.wait()
      _ = try await database.write { connection in
        try Till(connection: connection).post(90, 1, from: .bank, to: .anna)
      }
    }
    #expect(gate.state == .verifying)
    #expect(gate.openedAfterMilliseconds == nil)
    async let opening: Void = gate.open()
    await barrier.arrived()
    #expect(try await Self.refusal(of: book, 91) == .storageUnavailable)
    #expect(try await book.verify().isSound)
    #expect(gate.state == .verifying)
    #expect(!book.database.isWritable)
    barrier.go()
    try await opening
    #expect(gate.state == .open)
    #expect(gate.openedAfterMilliseconds != nil)
    #expect(try await Self.refusal(of: book, 91) == nil)
    #expect(notes.has("the ledger is sound"))
    // Again, it neither verifies nor writes.
    try await gate.open()
    #expect(notes.runs.withLock { $0 } == 1)
  }

  @Test("a wrong mark is told of and written again, and ends no writing")
  func wrongMark() async throws {
    let (book, notes) = (try await Self.filled(), Notes())
    let marker = LedgerMarker(database: book.database, everyTransfers: 1)
    try await marker.catchUp()
    let gate = Self.gate(book, notes)
    try await Self.forge(book, "UPDATE ledger_mark SET balance_change = balance_change + 1")
    try await gate.open()
    #expect(gate.state == .open)
    #expect(gate.wrongMarkCount > 0)
    #expect(notes.has("A MARK OF THE LEDGER WAS WRONG: the mark of account"))
    #expect(try await Self.refusal(of: book, 91) == nil)
    try await marker.catchUp()
    let found = gate.wrongMarkCount
    #expect(try await gate.audit().wrongMarks == [])
    try await Self.forge(book, "UPDATE ledger_mark SET kinds = 127")
    #expect(try await gate.audit().isSound)
    #expect(gate.wrongMarkCount > found)
    #expect(gate.state == .open)
    #expect(try await Self.refusal(of: book, 92) == nil)
  }

  @Test("where the first writes fail nothing opens, and the next try makes them again")
  func retried() async throws {
    let book = try await Self.filled()
    let notes = Notes()
    let gate = Self.gate(book, notes) { _ in
      guard notes.runs.withLock({ $0 }) > 1 else { throw Refusal(.storageUnavailable, "Full.") }
    }
    #expect(try await awaitedRefusal { try await gate.open() } == .storageUnavailable)
    #expect(gate.state == .verifying)
    #expect(try await Self.refusal(of: book, 91) == .storageUnavailable)
    try await gate.open()
    #expect(gate.state == .open)
    #expect(try await Self.refusal(of: book, 91) == nil)
  }

  @Test("an unsound ledger does not open, takes sign-ins alone, and keeps that for the next start")
  func unsound() async throws {
    let book = try await Self.filled()
    try await Self.forge(book, Self.forgedSum)
    let notes = Notes()
    let gate = Self.gate(book, notes)
    for _ in 0..<2 {
      #expect(try await awaitedRefusal { try await gate.open() } == .storageUnavailable)
    }
    guard case .unsound(let faults) = gate.state else {
      Issue.record("the gate is \(gate.state)")
      return
    }
    #expect(faults.contains { $0.hasPrefix("I7") })
    #expect(notes.has("THE LEDGER IS NOT SOUND: I7"))
    #expect(notes.runs.withLock { $0 } == 0)
    #expect(try await Self.refusal(of: book, 91) == .storageUnavailable)
    let essential = book.database.writing(as: .essential)
    try await essential.write { connection throws in
      #expect(
        try connection.first("SELECT faults FROM ledger_fault WHERE cleared_ms IS NULL") {
          $0.text(0)
        }?.contains("I7") == true)
    }
    let again = Self.gate(book)
    #expect(try await awaitedRefusal { try await again.open() } == .storageUnavailable)
    let rows = try await book.database.read { connection in
      try connection.first("SELECT count(*) FROM ledger_fault") { $0.int(0) }
    }
    #expect(rows == 1)
  }

  @Test("a fault before the checkpoint ends writing, and no later start forgets it")
  func whole() async throws {
    let book = try await Self.filled()
    let gate = Self.gate(book)
    try await gate.open()
    try await Self.forge(book, "UPDATE transfer SET reason = 'other' WHERE seq = 1")
    try await gate.tend()
    #expect(gate.state == .open, "what follows the checkpoint is sound")
    try await gate.audit()
    #expect(gate.state != .open)
    #expect(try await Self.refusal(of: book, 91) == .storageUnavailable)
    // Nothing resumes by itself.
    try await gate.tend()
    #expect(try await Self.refusal(of: book, 91) == .storageUnavailable)
    let next = Self.gate(book)
    #expect(try await awaitedRefusal { try await next.open() } == .storageUnavailable)
    #expect(next.state != .open)
    try await Self.forge(book, "UPDATE transfer SET reason = 'test' WHERE seq = 1")
    let last = Self.gate(book)
    try await last.open()
    #expect(last.state == .open)
    #expect(try await Self.refusal(of: book, 91) == nil)
  }

  @Test("a verification of what is new ends writing too")
  func tending() async throws {
    let book = try await Self.filled()
    let gate = Self.gate(book)
    try await gate.open()
    try await Self.forge(book, Self.forgedSum)
    try await gate.tend()
    #expect(gate.state != .open)
    #expect(!book.database.isWritable)
  }

  @Test("an operator's order opens over a sound ledger only; a sound verification alone does not")
  func reopening() async throws {
    let book = try await Self.filled()
    let notes = Notes()
    let gate = Self.gate(book, notes)
    try await gate.open()
    try await Self.forge(book, Self.forgedSum)
    #expect(try await gate.audit().isSound == false)
    #expect(try await gate.reopen().isSound == false)
    #expect(try await Self.refusal(of: book, 91) == .storageUnavailable)
    try await Self.forge(book, Self.repairedSum)
    #expect(try await gate.audit().isSound)
    #expect(try await Self.refusal(of: book, 91) == .storageUnavailable)
    #expect(try await gate.reopen().isSound)
    #expect(gate.state == .open)
    #expect(try await Self.refusal(of: book, 91) == nil)
    #expect(notes.runs.withLock { $0 } == 2, "once at the start, once before it opened again")
    let open = try await book.database.read { connection in
      try connection.first("SELECT count(*) FROM ledger_fault WHERE cleared_ms IS NULL") {
        $0.int(0)
      }
    }
    #expect(open == 0)
    // Where nothing is shut it only verifies.
    #expect(try await gate.reopen().isSound)
    #expect(notes.runs.withLock { $0 } == 2)
  }

  @Test("a fault found while the start is under way keeps it from opening")
  func meanwhile() async throws {
    let book = try await Self.filled()
    let barrier = Barrier()
    let gate = Self.gate(book) { _ in await barrier.wait() }
    async let opening = awaitedRefusal { try await gate.open() }
    await barrier.arrived()
    try await Self.forge(book, Self.forgedSum)
    #expect(try await gate.audit().isSound == false)
    barrier.go()
    #expect(try await opening == .storageUnavailable)
    #expect(gate.state != .open)
    #expect(try await Self.refusal(of: book, 91) == .storageUnavailable)
  }

  @Test("a fault found while an operator's order is under way keeps it shut, and is remembered")
  func reopenedMeanwhile() async throws {
    let book = try await Self.filled()
    let (barrier, notes) = (Barrier(), Notes())
    let gate = Self.gate(book, notes) { _ in
      if notes.runs.withLock({ $0 }) > 1 { await barrier.wait() }
    }
    try await gate.open()
    try await Self.forge(book, Self.forgedSum)
    #expect(try await gate.audit().isSound == false)
    try await Self.forge(book, Self.repairedSum)
    async let reopening = gate.reopen()
    await barrier.arrived()
    try await Self.forge(book, Self.forgedSum)
    #expect(try await gate.audit().isSound == false)
    barrier.go()
    #expect(try await reopening.isSound, "as it was when the order was given")
    #expect(gate.state != .open)
    #expect(try await Self.refusal(of: book, 91) == .storageUnavailable)
    let open = try await book.database.read { connection in
      try connection.first("SELECT count(*) FROM ledger_fault WHERE cleared_ms IS NULL") {
        $0.int(0)
      }
    }
    #expect(open == 1)
  }

  @Test("a file that cannot be read is a fault as well")
  func damage() async throws {
    let folder = try TemporaryFolder()
    let first = try Book(in: folder)
    let place = try await first.write { till -> UInt64 in
      try VerifierTests.fill(till)
      let root = try till.number("SELECT rootpage FROM sqlite_schema WHERE name = 'transfer'")
      return UInt64((root - 1) * (try till.number("PRAGMA page_size")))
    }
    try await first.database.finish()
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: folder.path + "/record.db"))
    try file.seek(toOffset: place)
    try file.write(contentsOf: Data(repeating: 0xFF, count: 64))
    try file.close()
    let book = try Book(in: folder)
    let gate = Self.gate(book)
    #expect(try await awaitedRefusal { try await gate.open() } == .storageUnavailable)
    guard case .unsound(let faults) = gate.state else {
      Issue.record("the gate is \(gate.state)")
      return
    }
    #expect(faults.first?.hasPrefix("I12: the file is damaged") == true)
    #expect(try await Self.refusal(of: book, 91) == .storageUnavailable)
  }
}
