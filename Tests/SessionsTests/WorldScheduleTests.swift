import Identity
import Ledger
import Primitives
import SQLite
import Sessions
import Testing
import TestSupport

/// Specification core, 3.3: whatever is swept and restarted in between, ledger and outbox get the same rows in the
/// same order, hashes and ids included.
@Suite("Sessions: any schedule of several sessions gives the same")
struct WorldScheduleTests {
  private struct World {
    var stage: Stage
    var script: SplitMix64
    var noise: SplitMix64
    let isDisturbed: Bool
    var sessions: [ID<SessionKind>] = []
    var seq: Int64 = 0

    init(seed: UInt64, isDisturbed: Bool) async throws {
      script = SplitMix64(seed: seed)
      noise = SplitMix64(seed: seed &+ 77)
      self.isDisturbed = isDisturbed
      stage = try await Stage.shop(tokens: 100_000, seed: seed)
      var metered = Listing.metered(40_000)
      metered.id = "metered"
      try await stage.list(metered)
      for index in 0..<4 { try await open(index) }
    }

    private mutating func open(_ index: Int) async throws {
      let minutes = Int64.random(in: 5...40, using: &script)
      let wish =
        index == 3
        ? SessionWish(serviceID: "metered", isPaid: true, minutes: minutes, maxTokens: 3)
        : Stage.wish(minutes)
      let session = index == 0 ? try await stage.start() : try await stage.pending(wish)
      // One is never redeemed.
      if index != 2 || Bool.random(using: &script) {
        _ = try await stage.desk.validate(token: session.token, provider: "acme", origin: nil)
      }
      sessions.append(session.id)
    }

    /// Time passes; in a disturbed world with sweeps, reads and restarts on the way.
    private mutating func pass(_ gap: Int64) async throws {
      guard isDisturbed else { return stage.clock.move(milliseconds: gap) }
      var left = gap
      while left > 0 {
        let part = Int64.random(in: 1...left, using: &noise)
        stage.clock.move(milliseconds: part)
        left -= part
        switch Int.random(in: 0..<4, using: &noise) {
        case 0: stage = try stage.restarted()
        case 1: try await stage.desk.sweep()
        case 2: _ = try await stage.desk.session(sessions[0], for: .admin)
        default: break
        }
        if Int.random(in: 0..<3, using: &noise) == 0 {
          stage.clock.move(milliseconds: left)
          left = 0
        }
      }
    }

    private mutating func act() async throws {
      seq += 1
      let id = sessions[Int.random(in: 0..<sessions.count, using: &script)]
      let roll = Int.random(in: 0..<100, using: &script)
      let stage = stage
      let number = seq
      _ = try await awaitedRefusal {
        switch roll {
        case ..<50:
          _ = try await stage.desk.heartbeat(
            id, by: .bearer(id), seq: number, isActive: roll < 45)
        case ..<62: _ = try await stage.desk.transition(id, by: .user(.anna), .pause)
        case ..<76: _ = try await stage.desk.transition(id, by: .user(.anna), .resume)
        case ..<84: _ = try await stage.extend(id, minutes: 3, key: "extend-\(number)")
        case ..<94: _ = try await stage.report(id, number, units: 9)
        case ..<97: _ = try await stage.finish(id)
        default: _ = try await stage.desk.transition(id, by: .provider("acme"), .fail)
        }
      }
    }

    mutating func live() async throws -> [String] {
      for _ in 0..<30 {
        let isLong = Int.random(in: 0..<12, using: &script) == 0
        try await pass(Int64.random(in: 1...(isLong ? 1_900_000 : 60_000), using: &script))
        try await act()
      }
      try await pass(200_000_000)
      try await stage.desk.sweep()
      #expect(try await stage.faults() == [])
      let open = try await stage.number("SELECT count(*) FROM hold WHERE state = 'open'")
      #expect(open == 0)
      return try await rows()
    }

    private func rows() async throws -> [String] {
      let ledger = try await stage.texts(
        """
        SELECT printf('%d %s %s %d %s %d %s', seq, hex(id), kind, amount, reason, at_ms,
        hex(row_hash)) FROM transfer ORDER BY seq
        """)
      let events = try await stage.texts(
        "SELECT printf('%s %d %s', event_id, occurred_ms, payload) FROM outbox ORDER BY seq")
      let states = try await stage.texts(
        """
        SELECT printf('%s %s %d %d %d %d %d', state, reason, charged, fee, active_ms, paused_ms,
        ended_ms) FROM session ORDER BY id
        """)
      return ledger + events + states
    }
  }

  @Test(
    "sweeps, reads and restarts change no row of ledger and outbox",
    arguments: 0..<20 as Range<UInt64>)
  func same(seed: UInt64) async throws {
    var plain = try await World(seed: seed, isDisturbed: false)
    var disturbed = try await World(seed: seed, isDisturbed: true)
    let expected = try await plain.live()
    let actual = try await disturbed.live()
    #expect(expected.count > 12)
    #expect(actual == expected)
  }
}
