import Primitives
import Testing
import TestSupport

private let moments: [(Int64, String)] = [
  (0, "1970-01-01T00:00:00Z"),
  (1, "1970-01-01T00:00:00.001Z"),
  (1_500, "1970-01-01T00:00:01.500Z"),
  (-1, "1969-12-31T23:59:59.999Z"),
  (-1_000, "1969-12-31T23:59:59Z"),
  (-86_400_000, "1969-12-31T00:00:00Z"),
  (951_782_400_000, "2000-02-29T00:00:00Z"),
  (951_868_799_999, "2000-02-29T23:59:59.999Z"),
  (1_709_164_800_000, "2024-02-29T00:00:00Z"),
  (1_795_197_900_000, "2026-11-20T18:05:00Z"),
  (4_107_542_400_000, "2100-03-01T00:00:00Z"),
  (4_107_542_399_000, "2100-02-28T23:59:59Z"),
  (-2_208_988_800_000, "1900-01-01T00:00:00Z"),
  (-11_670_998_400_000, "1600-02-29T00:00:00Z"),
  (-62_135_596_800_000, "0001-01-01T00:00:00Z"),
  (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
]

private let wholeSeconds: [(Int64, Int64)] = [
  (0, 0), (999, 0), (1_000, 1), (1_999, 1), (-1, -1), (-999, -1), (-1_000, -1), (-1_001, -2),
]

private let noDates: [String] = [
  "", "2026", "2026-11", "2026-1-01", "2026-01-1", "26-01-01", "02026-01-01", "2026-00-10",
  "2026-13-01", "2026-01-00", "2026-01-32", "2026-04-31", "2026-06-31", "2026-02-29",
  "2023-02-29", "1900-02-29", "2100-02-29", "2024-02-30", "2026/01/01", "2026-01-01T",
  " 2026-01-0", "2026-01-01 ", "+026-01-01", "-026-01-01", "2026--1-01", "2026-01--1",
  "2026-0a-01", "20260101", "2026-01-\u{0661}", "\u{0662}026-01-0", "2026-W01-1",
]

@Suite("a moment has one text")
struct TimestampTests {
  @Test(
    "a moment is written in RFC 3339, in UTC, with milliseconds where there are any",
    arguments: moments)
  func writes(milliseconds: Int64, text: String) {
    let moment = Timestamp(milliseconds: milliseconds)
    #expect(moment.rfc3339 == text)
    #expect(moment.date == String(text.prefix(10)))
  }

  @Test("a date is read as its midnight", arguments: moments)
  func readsDates(milliseconds: Int64, text: String) throws {
    let midnight = try #require(Timestamp.parse(date: String(text.prefix(10))))
    let sinceMidnight = Timestamp(milliseconds: milliseconds) - midnight
    #expect(sinceMidnight >= 0)
    #expect(sinceMidnight < 86_400_000)
    #expect(midnight.rfc3339.hasSuffix("T00:00:00Z"))
  }

  @Test("a text that is no date of the calendar is refused", arguments: noDates)
  func refuses(text: String) {
    #expect(Timestamp.parse(date: text) == nil)
  }

  @Test("seconds are rounded down, before 1970 too", arguments: wholeSeconds)
  func seconds(milliseconds: Int64, seconds: Int64) {
    #expect(Timestamp(milliseconds: milliseconds).seconds == seconds)
  }

  @Test("every day of five hundred years follows the one before")
  func everyDay() throws {
    var expected = try #require(Timestamp.parse(date: "1599-12-31"))
    for year in 1600...2100 {
      let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
      let lengths: [Int] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
      for (index, length) in lengths.enumerated() {
        for day in 1...length {
          let text = "\(year)-" + twoDigits(index + 1) + "-" + twoDigits(day)
          expected = expected + 86_400_000
          let parsed = Timestamp.parse(date: text)
          guard parsed == expected, expected.date == text else {
            Issue.record("\(text) is not \(expected.rfc3339)")
            return
          }
        }
      }
    }
  }

  private func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

  @Test("a random moment's date is the midnight before it", arguments: 0..<50 as Range<UInt64>)
  func dates(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let moment = Timestamp(
      milliseconds: Int64.random(in: -62_135_596_800_000...253_402_300_799_999, using: &random))
    let midnight = try #require(Timestamp.parse(date: moment.date))
    #expect(midnight <= moment)
    #expect(moment - midnight < 86_400_000)
  }

  @Test("moments are ordered by time and differ by milliseconds")
  func arithmetic() {
    let early = Timestamp(milliseconds: -5)
    let late = early + 12
    #expect(early < late)
    #expect(late.milliseconds == 7)
    #expect(late - early == 12)
    #expect(early - late == -12)
    #expect([late, early].sorted() == [early, late])
  }

  @Test("a clock asks its source each time")
  func clock() {
    let source = RandomSource.seeded(1)
    let clock = Clock { Timestamp(milliseconds: Int64(source.bytes(1)[0])) }
    let readings = Set((0..<32).map { _ in clock.now })
    #expect(readings.count > 1)
  }
}
