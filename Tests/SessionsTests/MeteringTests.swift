import Primitives
import Sessions
import Testing

@Suite("Sessions: metering")
struct MeteringTests {
  private static let rate: Int64 = 500_000_000

  /// Milliseconds at 500 tokens an hour and their price in microtokens (L6).
  static let vectors: [(Int64, Int64)] = [
    (0, 0), (1, 138), (2, 277), (3, 416), (7, 972), (36, 5_000), (60_000, 8_333_333),
    (1_799_999, 249_999_861), (1_800_000, 250_000_000), (3_599_999, 499_999_861),
    (3_600_000, 500_000_000), (10_800_000, 1_500_000_000),
  ]

  @Test("500 tokens an hour cost these amounts", arguments: MeteringTests.vectors)
  func vector(milliseconds: Int64, charge: Int64) {
    let actual = Metering.charge(ratePerHour: MeteringTests.rate, milliseconds: milliseconds)
    #expect(actual == charge)
  }

  @Test("the largest rate does not overflow in the longest session")
  func wide() {
    let most = Metering.charge(ratePerHour: 1_000_000_000_000_000, milliseconds: 10_800_000)
    #expect(most == 3_000_000_000_000_000)
    let day = Metering.charge(ratePerHour: 1_000_000_000_000_000, milliseconds: 86_400_000)
    #expect(day == 24_000_000_000_000_000)
  }

  @Test("nothing is charged for no time or at no price")
  func nothing() {
    #expect(Metering.charge(ratePerHour: 0, milliseconds: 3_600_000) == 0)
    #expect(Metering.charge(ratePerHour: 1_000_000_000_000_000, milliseconds: 0) == 0)
  }

  @Test("the charge is the exact quotient rounded down", arguments: 0..<50 as Range<UInt64>)
  func exact(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<50 {
      let rate = Int64.random(in: 0...1_000_000_000_000_000, using: &random)
      let milliseconds = Int64.random(in: 0...10_800_000, using: &random)
      let wide = Int128(rate) * Int128(milliseconds) / 3_600_000
      let charge = Metering.charge(ratePerHour: rate, milliseconds: milliseconds)
      #expect(charge == Int64(wide), "\(rate) for \(milliseconds) ms")
    }
  }

  @Test(
    "every split into ticks gives the same total, never more than the whole",
    arguments: 0..<50 as Range<UInt64>)
  func splits(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let rate = Int64.random(in: 1...2_000_000_000, using: &random)
    let whole = Int64.random(in: 1...1_800_000, using: &random)
    var elapsed: Int64 = 0
    var charged: Int64 = 0
    while elapsed < whole {
      elapsed = min(whole, elapsed + Int64.random(in: 1...120_000, using: &random))
      let tick = Metering.charge(ratePerHour: rate, milliseconds: elapsed) - charged
      #expect(tick >= 0)
      charged += tick
    }
    #expect(charged == Metering.charge(ratePerHour: rate, milliseconds: whole))
  }

  @Test(
    "heartbeats at whatever times give the charge of the whole time",
    arguments: 0..<100 as Range<UInt64>)
  func heartbeats(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let end = Int64.random(in: 1...1_799_999, using: &random)
    var state = try SessionState.redeemed()
    var moment: Int64 = 0
    var seq: Int64 = 0
    while true {
      moment += Int64.random(in: 1...120_000, using: &random)
      if moment >= end { break }
      seq += 1
      try state.take(.heartbeat(seq: seq, isActive: true), at: moment)
    }
    try state.take(.complete(by: "user"), at: end)
    #expect(state.active == end)
    let expected = Metering.charge(ratePerHour: MeteringTests.rate, milliseconds: end)
    #expect(state.charge == expected)
  }

  @Test("paused time costs nothing")
  func pausedTime() throws {
    var state = try SessionState.redeemed()
    try state.take(.pause, at: 60_000)
    try state.take(.resume, at: 1_200_000)
    try state.take(.complete(by: "user"), at: 1_260_000)
    #expect(state.active == 120_000)
    #expect(state.charge == 16_666_666)
  }

  @Test("an ended session is charged no further")
  func ended() throws {
    var state = try SessionState.redeemed()
    try state.take(.complete(by: "user"), at: 60_000)
    let charge = state.charge
    let effects = state.advance(to: 100_000_000)
    #expect(effects.isEmpty)
    #expect(state.charge == charge)
    #expect(charge == 8_333_333)
  }
}
