import Identity
import Ledger
import Primitives
import SQLite
import Sessions
import Testing
import TestSupport

/// Reading is no writing: it waits for nobody, and goes on where nothing can be written (D6).
@Suite("Sessions: reading")
struct ReadingTests {
  @Test("a session is read without a write while nothing of it is due")
  func noWrite() async throws {
    let stage = try await Stage.open()
    let (session, _) = try await stage.startActive()
    stage.clock.move(seconds: 119)
    let before = stage.database.figures.writes
    let view = try await stage.view(session.id)
    #expect(view.text("state") == "active")
    _ = try await stage.desk.sessions(of: .user(.anna), before: nil, limit: 10)
    #expect(stage.database.figures.writes == before)
    stage.clock.move(seconds: 2)
    #expect(try await stage.view(session.id).text("reason") == "idle")
    #expect(stage.database.figures.writes == before + 1, "what is due is carried out")
  }

  @Test("where nothing can be written, deadlines that have passed are shown all the same")
  func readsGoOn() async throws {
    let stage = try await Stage.shop()
    let session = try await stage.buy()
    try await stage.beat(session.id, times: 6)
    try await stage.database.finish()
    #expect(try await stage.view(session.id).text("state") == "active")
    stage.clock.move(seconds: 121)
    #expect(try await stage.view(session.id).text("reason") == "idle")
    stage.clock.move(seconds: 1_680)
    let ended = try await stage.view(session.id)
    #expect(ended.text("state") == "expired")
    #expect(ended.text("reason") == "abandoned")
    #expect(ended.int("chargedMicrotokens") == 50_000_000)
    #expect(ended.int("releasedMicrotokens") == 200_000_000)
    #expect(ended.int("feeMicrotokens") == 10_000_000)
    let list = try await stage.desk.sessions(of: .user(.anna), before: nil, limit: 10)
    #expect(list == [ended])
    let parties = try await stage.desk.parties(of: session.id)
    #expect(!parties.isOpen, "nobody may be asked about by the token of a session that has ended")
    #expect(try await stage.texts("SELECT state FROM session") == ["active"])
    #expect(try await stage.balance(.anna).held == Microtokens(250_000_000))
    // A new process settles to the same figures.
    let later = try stage.restarted()
    #expect(try await later.view(session.id) == ended)
    #expect(try await later.balance(.acme).balance == Microtokens(40_000_000))
    #expect(try await later.faults() == [])
  }

  @Test("a session that was set aside is shown as it stands, and hides no other")
  func setAside() async throws {
    let stage = try await Stage.shop()
    let broken = try await stage.buy()
    let sound = try await stage.buy()
    try await stage.spoil(broken.id)
    stage.clock.move(seconds: 90_000)
    for _ in 0..<2 {
      let list = try await stage.desk.sessions(of: .user(.anna), before: nil, limit: 10)
      let states = Dictionary(
        uniqueKeysWithValues: list.map { ($0.text("id"), $0.text("state")) })
      #expect(states == [broken.id.text: "paused", sound.id.text: "expired"])
      let one = try await stage.view(broken.id)
      #expect(one["flagged"]?.bool == true)
    }
    let now = stage.clock.now
    let ended = try await stage.database.write { connection in
      try stage.desk.endAll(of: .anna, at: now, on: connection)
    }
    #expect(ended == 0, "what cannot be settled must not keep its person from leaving")
  }
}
