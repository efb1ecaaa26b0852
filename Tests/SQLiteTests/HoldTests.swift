import Primitives
import SQLite
import TestSupport
import Testing

@Suite("a record whose writes are held back")
struct HoldTests {
  private static let refusal = Refusal(.storageUnavailable, "Not now.", retryAfterSeconds: 7)

  let folder: TemporaryFolder
  let database: Database

  init() throws {
    folder = try TemporaryFolder()
    database = try Database(path: folder.path + "/record.db", migrations: noteMigrations)
  }

  private func refused(_ rank: WriteRank, _ note: String) async throws -> Refusal? {
    do {
      try await database.writing(as: rank).write { try $0.note(note) }
      return nil
    } catch let refusal as Refusal {
      return refusal
    }
  }

  @Test("a hold refuses what it does not admit, from every handle, and reads go on until its end")
  func ranks() async throws {
    try await database.write { try $0.note("before") }
    database.hold(Self.refusal)
    #expect(try await refused(.ordinary, "a") == Self.refusal)
    #expect(try await refused(.essential, "b") == Self.refusal)
    #expect(try await refused(.opening, "c") == nil)
    database.writing(as: .opening).hold(Self.refusal, admitting: .essential)
    #expect(try await refused(.ordinary, "d") == Self.refusal)
    #expect(try await refused(.essential, "e") == nil)
    #expect(try await database.read { try $0.notes() } == ["before", "c", "e"])
    database.release()
    #expect(try await refused(.ordinary, "f") == nil)
    #expect(try await database.read { try $0.notes() } == ["before", "c", "e", "f"])
  }

  @Test("the figures tell a hold from a disk that fails")
  func figures() async throws {
    #expect(database.isWritable)
    database.hold(Self.refusal)
    #expect(!database.isWritable)
    #expect(database.figures.isHeld)
    #expect(database.figures.isSound)
    #expect(!database.figures.isWritable)
    database.release()
    #expect(database.isWritable)
    #expect(database.figures.isWritable)
    #expect(!database.figures.isHeld)
  }

  @Test("a refused body does not run")
  func body() async throws {
    database.hold(Self.refusal)
    let code = try await awaitedRefusal {
      try await database.write { connection -> Void in
        Issue.record("the body of a refused write ran")
        try connection.note("x")
      }
    }
    #expect(code == .storageUnavailable)
  }
}
