internal import API
internal import Primitives
internal import Testing

// 1. A caller gets the quota at once and then one request each window / quota, to the millisecond.
// 2. Nothing is lost by asking often: over any time no more than quota + elapsed × quota / window are let in, and a
//    caller who asks each millisecond gets exactly that.
// 3. What an answer says is true: `remaining` more are let in now, and at `resetSeconds` one is.
// 4. The table is bounded, and a flood of new callers frees nobody who has used the allowance up.

@Suite struct RateLimiterTests {
  private static func at(_ milliseconds: Int64) -> Timestamp {
    Timestamp(milliseconds: 1_795_000_000_000 + milliseconds)
  }

  @Test("the quota comes at once, then evenly", arguments: [(50, 1), (600, 60), (7, 60), (1, 60)])
  func steady(quota: Int, window: Int) {
    let limiter = RateLimiter(name: "x", quota: quota, windowSeconds: window)
    for left in (0..<quota).reversed() {
      let verdict = limiter.take("a", at: Self.at(0))
      #expect(verdict.isAllowed && verdict.remaining == Int64(left))
    }
    #expect(!limiter.take("a", at: Self.at(0)).isAllowed)
    #expect(limiter.take("b", at: Self.at(0)).isAllowed)
    let step = (Int64(window) * 1_000 + Int64(quota) - 1) / Int64(quota)
    #expect(!limiter.take("a", at: Self.at(step - 1)).isAllowed)
    #expect(limiter.take("a", at: Self.at(step)).isAllowed)
    #expect(!limiter.take("a", at: Self.at(step)).isAllowed)
  }

  @Test("who asks each millisecond gets exactly the rate", arguments: [7, 20, 599, 600, 3_000])
  func impatient(quota: Int) {
    let limiter = RateLimiter(name: "x", quota: quota, windowSeconds: 60)
    let count = (0..<60_000).count { limiter.take("a", at: Self.at(Int64($0))).isAllowed }
    #expect(count == quota + Int(59_999 * Int64(quota) / 60_000))
  }

  @Test("the words of an answer hold", arguments: 0..<20 as Range<UInt64>)
  func truth(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let quota = Int.random(in: 1...40, using: &random)
    let limiter = RateLimiter(
      name: "x", quota: quota, windowSeconds: Int.random(in: 1...90, using: &random))
    var now: Int64 = 0
    for _ in 0..<300 {
      now += Int64.random(in: 0..<4_000, using: &random)
      let verdict = limiter.take("a", at: Self.at(now))
      #expect(verdict.remaining >= 0 && verdict.remaining < Int64(quota), "seed \(seed)")
      guard !verdict.isAllowed else { continue }
      #expect(verdict.remaining == 0, "seed \(seed)")
      now += verdict.resetSeconds * 1_000
      #expect(limiter.take("a", at: Self.at(now)).isAllowed, "seed \(seed)")
    }
    let looked = limiter.take("a", at: Self.at(now), isCounted: false)
    for _ in 0..<looked.remaining { #expect(limiter.take("a", at: Self.at(now)).isAllowed) }
    #expect(!limiter.take("a", at: Self.at(now)).isAllowed, "seed \(seed)")
  }

  @Test("a look counts nothing and remembers nobody")
  func look() {
    let limiter = RateLimiter(name: "x", perMinute: 2)
    for _ in 0..<10 { #expect(limiter.take("a", at: Self.at(0), isCounted: false).remaining == 2) }
    #expect(limiter.callerCount == 0)
  }

  @Test("a clock that goes back frees nobody and locks nobody out")
  func backwards() {
    let limiter = RateLimiter(name: "x", perMinute: 1)
    #expect(limiter.take("a", at: Self.at(0)).isAllowed)
    #expect(!limiter.take("a", at: Self.at(-86_400_000)).isAllowed)
    #expect(limiter.take("a", at: Self.at(60_000)).isAllowed)
  }

  @Test("a flood of addresses is bounded and frees nobody who is in debt")
  func flood() {
    let limiter = RateLimiter(name: "x", quota: 5, windowSeconds: 60, callerCountMax: 1_000)
    for _ in 0..<5 { #expect(limiter.take("greedy", at: Self.at(0)).isAllowed) }
    for number in 0..<20_000 { _ = limiter.take("flood \(number)", at: Self.at(1)) }
    #expect(limiter.callerCount <= 1_000)
    #expect(!limiter.take("greedy", at: Self.at(2)).isAllowed)
    _ = limiter.take("later", at: Self.at(120_000))
    for number in 0..<1_000 { _ = limiter.take("late \(number)", at: Self.at(120_000)) }
    #expect(limiter.callerCount <= 1_000)
  }

  @Test("a caller's own allowance goes before that of all")
  func own() {
    let limiter = RateLimiter(name: "key", perMinute: 1)
    let answers = (0..<4).map { _ in limiter.take("a", at: Self.at(0), perMinute: 3).isAllowed }
    #expect(answers == [true, true, true, false])
  }
}
