import Ledger
import Primitives
import SQLite
import Sessions
import Testing
import TestSupport

@Suite("Sessions: compared with the ledger")
struct SessionVerifierTests {
  /// A finished trial, a paid session that is over, and one that runs on a second hold.
  private static func lived() async throws -> Stage {
    let stage = try await Stage.shop()
    let (trial, _) = try await stage.startActive()
    try await stage.beat(trial.id, times: 3)
    _ = try await stage.finish(trial.id)
    let paid = try await stage.buy()
    try await stage.beat(paid.id, times: 5)
    _ = try await stage.finish(paid.id)
    let open = try await stage.buy()
    _ = try await stage.extend(open.id, minutes: 10)
    try await stage.beat(open.id, times: 2)
    #expect(try await stage.faults() == [])
    return stage
  }

  static let tampers: [(String, String)] = [
    ("UPDATE session SET charged = charged + 1 WHERE kind = 'trial'", "I11"),
    ("UPDATE session SET active_ms = active_ms + 60000 WHERE state = 'completed'", "I11"),
    ("UPDATE session SET held = held + 1 WHERE state = 'active'", "I11"),
    ("UPDATE session SET state = 'expired' WHERE state = 'active'", "I11"),
    ("UPDATE session SET kind = 'paid' WHERE kind = 'trial'", "I11"),
    ("UPDATE session SET kind = 'trial' WHERE kind = 'paid' AND state = 'completed'", "I14"),
    ("UPDATE session SET user_id = zeroblob(16) WHERE kind = 'paid'", "I11"),
    ("DELETE FROM session_hold", "I11"),
  ]

  @Test("what was changed behind the desk's back is found", arguments: SessionVerifierTests.tampers)
  func finds(sql: String, fault: String) async throws {
    let stage = try await Self.lived()
    try await stage.database.write { connection throws in
      let changed = try connection.run(sql)
      #expect(changed > 0)
    }
    let faults = try await stage.database.read { try SessionVerifier.verify($0) }
    #expect(faults.contains { $0.hasPrefix(fault) }, "found \(faults)")
  }

  @Test("a session that cannot be settled holds up no other, and is told of")
  func setAside() async throws {
    let stage = try await Stage.shop()
    let broken = try await stage.buy()
    let sound = try await stage.buy()
    try await stage.spoil(broken.id)
    stage.clock.move(seconds: 90_000)
    try await stage.desk.sweep()
    let ended = try await stage.texts("SELECT hex(id) FROM session WHERE ended_ms IS NOT NULL")
    #expect(ended == [BytesText.hex(sound.id.bytes).uppercased()])
    #expect(try await stage.balance(.anna).held == Microtokens(0))
    let faults = try await stage.faults()
    let name = BytesText.hex(broken.id.bytes)
    #expect(faults == ["I11: session \(name) could not be settled and was set aside"])
  }

  @Test("a charge by use is the sum of its reports")
  func reports() async throws {
    let stage = try await Stage.shop(.metered(1_000_000))
    let session = try await stage.buy(Stage.wish(maxTokens: 100))
    _ = try await stage.report(session.id, 1, units: 7)
    #expect(try await stage.faults() == [])
    try await stage.database.write { connection throws in
      try connection.execute("UPDATE usage_report SET amount = amount - 1")
    }
    let faults = try await stage.faults()
    #expect(faults.contains { $0.hasPrefix("I11") }, "found \(faults)")
  }

  @Test("pages find what the whole finds")
  func pages() async throws {
    let stage = try await Self.lived()
    let page = try await stage.database.read { try SessionVerifier.verify(after: 1, on: $0) }
    #expect(page.faults == [])
    #expect(page.next == nil)
  }
}
