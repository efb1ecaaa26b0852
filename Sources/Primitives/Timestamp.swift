/// A moment: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
public struct Timestamp: Hashable, Comparable, Sendable {
  /// Milliseconds since the epoch.
  public let milliseconds: Int64

  /// The moment that many milliseconds after the epoch.
  public init(milliseconds: Int64) { self.milliseconds = milliseconds }

  /// Whole seconds since the epoch, rounded down, as JWT claims count them.
  public var seconds: Int64 {
    milliseconds >= 0 ? milliseconds / 1_000 : (milliseconds - 999) / 1_000
  }

  /// Orders by time.
  public static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.milliseconds < right.milliseconds
  }
  /// The moment that many milliseconds later.
  public static func + (left: Timestamp, milliseconds: Int64) -> Timestamp {
    Timestamp(milliseconds: left.milliseconds + milliseconds)
  }
  /// Milliseconds from the right moment to the left one.
  public static func - (left: Timestamp, right: Timestamp) -> Int64 {
    left.milliseconds - right.milliseconds
  }

  /// RFC 3339 in UTC with milliseconds where they are not zero: `2026-11-20T18:05:00Z`.
  public var rfc3339: String {
    let (days, ofDay) = seconds.quotientAndRemainderFloored(dividingBy: 86_400)
    let (year, month, day) = Timestamp.civil(days: days)
    let fraction = milliseconds - seconds * 1_000
    let time = [ofDay / 3_600, ofDay / 60 % 60, ofDay % 60].map { Timestamp.pad($0, 2) }
    let date = [Timestamp.pad(year, 4), Timestamp.pad(month, 2), Timestamp.pad(day, 2)]
    return date.joined(separator: "-") + "T" + time.joined(separator: ":")
      + (fraction == 0 ? "" : "." + Timestamp.pad(fraction, 3)) + "Z"
  }

  /// The date part, `2026-11-20`.
  public var date: String { String(rfc3339.prefix(10)) }

  /// Reads `YYYY-MM-DD` as midnight UTC, or nil where it is no date of the calendar.
  public static func parse(date text: String) -> Timestamp? {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard text.utf8.count == 10, parts.count == 3, parts[0].count == 4, parts[1].count == 2,
      parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
      let year = Int64(parts[0]), let month = Int64(parts[1]), let day = Int64(parts[2]),
      (1...12).contains(month), (1...31).contains(day)
    else { return nil }
    let days = Timestamp.days(year: year, month: month, day: day)
    guard civil(days: days) == (year, month, day) else { return nil }
    return Timestamp(milliseconds: days * 86_400_000)
  }

  private static func pad(_ value: Int64, _ width: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, width - text.count)) + text
  }

  // The two conversions follow Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms".
  private static func civil(days: Int64) -> (Int64, Int64, Int64) {
    let (era, dayOfEra) = (days + 719_468).quotientAndRemainderFloored(dividingBy: 146_097)
    let leap = dayOfEra / 1_460 - dayOfEra / 36_524 + dayOfEra / 146_096
    let yearOfEra = (dayOfEra - leap) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    return (
      yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1
    )
  }

  private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
    let shiftedYear = month <= 2 ? year - 1 : year
    let (era, yearOfEra) = shiftedYear.quotientAndRemainderFloored(dividingBy: 400)
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }
}

extension Int64 {
  fileprivate func quotientAndRemainderFloored(dividingBy divisor: Int64) -> (Int64, Int64) {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }
}

/// Where the time comes from. The command passes the system's; tests pass one they move.
public struct Clock: Sendable {
  private let read: @Sendable () -> Timestamp

  /// A clock that asks the closure each time.
  public init(_ read: @escaping @Sendable () -> Timestamp) { self.read = read }

  /// The present moment.
  public var now: Timestamp { read() }
}
