import Primitives
import Testing
import Delivery

/// Specification core, 9.1: when a delivery is tried, and when it is given up.
@Suite("Webhooks: schedule")
struct ScheduleTests {
  static let now = Timestamp(milliseconds: 1_800_000_000_000)

  private func decide(
    _ outcome: WebhookOutcome, tries: Int = 1, slowdowns: Int = 0, noise: UInt64 = 0
  ) -> DeliverySchedule.Decision {
    DeliverySchedule.decide(
      outcome, tries: tries, slowdowns: slowdowns, at: ScheduleTests.now, noise: noise)
  }

  private func wait(_ decision: DeliverySchedule.Decision) -> Int64? {
    if case .retry(let moment) = decision.fate { moment - ScheduleTests.now } else { nil }
  }

  @Test("ten attempts over 75 h 35 min 5 s")
  func gaps() {
    let seconds: [Int64] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
    #expect(DeliverySchedule.gaps == seconds.map { $0 * 1_000 })
    let whole: Int64 = 272_105_000
    #expect(DeliverySchedule.gaps.reduce(0, +) == whole)
    #expect(DeliverySchedule.attemptsMax == 10)
  }

  @Test("the wait after each attempt, and the end after the tenth", arguments: 1...10)
  func waits(tries: Int) {
    let decision = decide(.answered(status: 500), tries: tries)
    if tries == 10 {
      #expect(decision.fate == .dead(.deadLetter))
    } else {
      #expect(wait(decision) == DeliverySchedule.gaps[tries - 1])
    }
    #expect(decision.pausedUntil == nil)
  }

  @Test("jitter adds up to a tenth and takes nothing off", arguments: 0..<200 as Range<UInt64>)
  func jitter(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    for tries in 1...9 {
      let gap = DeliverySchedule.gaps[tries - 1]
      let found = try #require(
        wait(decide(.failed(.timedOut), tries: tries, noise: random.next())))
      #expect((gap...(gap + gap / 10)).contains(found))
    }
  }

  @Test("jitter differs from delivery to delivery")
  func jitterSpreads() {
    var random = SplitMix64(seed: 4)
    let waits = (0..<50).map { _ in wait(decide(.failed(.connection), noise: random.next())) ?? -1 }
    #expect(Set(waits).count > 40)
  }

  @Test("only 2xx is success", arguments: [200, 201, 202, 204, 299])
  func success(status: Int) {
    #expect(decide(.answered(status: status)).fate == .delivered)
    #expect(decide(.answered(status: status), tries: 10).fate == .delivered)
  }

  @Test(
    "everything else but 410 is tried again",
    arguments: [
      100, 199, 300, 301, 302, 304, 307, 308, 400, 401, 404, 408, 409, 429, 500, 503, 599,
    ])
  func failure(status: Int) {
    #expect(wait(decide(.answered(status: status))) != nil)
  }

  @Test("no answer at all is tried again", arguments: WebhookOutcome.Failure.allCases)
  func noAnswer(failure: WebhookOutcome.Failure) {
    #expect(wait(decide(.failed(failure))) == 5_000)
    #expect(decide(.failed(failure), tries: 10).fate == .dead(.deadLetter))
  }

  @Test("410 ends it at once")
  func gone() {
    #expect(decide(.answered(status: 410)).fate == .dead(.gone))
    #expect(decide(.answered(status: 410, retryAfterSeconds: 9)).fate == .dead(.gone))
  }

  static let pauses: [(Int, Int, Int64)] = [
    (429, 0, 30_000), (502, 0, 30_000), (504, 0, 30_000), (429, 1, 60_000), (429, 6, 1_920_000),
    (504, 7, 3_600_000), (502, 60, 3_600_000), (502, Int.max, 3_600_000),
  ]

  @Test("429, 502 and 504 give the endpoint a rest that doubles", arguments: ScheduleTests.pauses)
  func slower(status: Int, slowdowns: Int, pause: Int64) {
    let decision = decide(.answered(status: status), slowdowns: slowdowns)
    #expect(decision.pausedUntil == ScheduleTests.now + pause)
    #expect(wait(decision) == max(5_000, pause))
  }

  static let retryAfters: [(Int, Int, Int64)] = [
    (429, 1, 1_000), (503, 120, 120_000), (500, 7, 7_000), (429, 86_400, 86_400_000),
    (429, 86_401, 86_400_000), (503, Int.max, 86_400_000), (404, 0, 1_000), (400, -5, 1_000),
  ]

  @Test("Retry-After is honoured, for a day at most", arguments: ScheduleTests.retryAfters)
  func retryAfter(status: Int, seconds: Int, pause: Int64) {
    let decision = decide(.answered(status: status, retryAfterSeconds: seconds))
    #expect(decision.pausedUntil == ScheduleTests.now + pause)
    #expect(wait(decision) == max(5_000, pause))
  }

  @Test("Retry-After makes no attempt earlier, and says nothing with a redirect")
  func retryAfterLate() {
    let late = decide(.answered(status: 503, retryAfterSeconds: 10), tries: 2)
    #expect(wait(late) == 300_000)
    #expect(decide(.answered(status: 302, retryAfterSeconds: 10)).pausedUntil == nil)
  }

  static let rests: [(Int, Int64)] = [
    (1, 0), (5, 0), (6, 30_000), (20, 30_000), (21, 300_000), (100_000, 300_000),
  ]

  @Test("an endpoint that keeps failing is left alone for longer", arguments: ScheduleTests.rests)
  func rest(failures: Int, pause: Int64) {
    #expect(DeliverySchedule.rest(failures: failures) == pause)
    // The schedule of a delivery that is alone stays as it is.
    if failures < 10 { #expect(pause <= DeliverySchedule.gaps[failures - 1]) }
  }

  @Test("what was not sent is no attempt")
  func notSent() {
    #expect(wait(decide(.notSent, tries: 10)) == 1_000)
  }
}
