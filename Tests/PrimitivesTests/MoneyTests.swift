import Primitives
import Testing

/// A decimal text, the power of ten of its unit, and the billionths expected.
private struct Price: Sendable {
  let text: String
  let power: Int
  let nano: Int64

  init(_ text: String, _ power: Int, _ nano: Int64) {
    self.text = text
    self.power = power
    self.nano = nano
  }
}

private let prices: [Price] = [
  // Per 1,000 tokens, as sources give it, to per 1,000,000.
  Price("0.000132", 3, 132_000_000),
  Price("1.32e-04", 3, 132_000_000),
  Price("0.0005", 3, 500_000_000),
  Price("0.03", 3, 30_000_000_000),
  Price("0.00000015", 3, 150_000),
  // Per token to per 1,000,000.
  Price("1.32e-07", 6, 132_000_000),
  Price("5e-7", 6, 500_000_000),
  Price("0.5", 0, 500_000_000),
  Price("1", 0, 1_000_000_000),
  Price("1.", 0, 1_000_000_000),
  Price(".5", 0, 500_000_000),
  Price("00012.50", 0, 12_500_000_000),
  Price("0", 3, 0),
  Price("0.000", 3, 0),
  Price("1e3", 0, 1_000_000_000_000),
  Price("1E+3", 0, 1_000_000_000_000),
  Price("1E-9", 0, 1),
  // Half a billionth rounds up, less than half is nothing.
  Price("5e-10", 0, 1),
  Price("4.9e-10", 0, 0),
  Price("1e-10", 0, 0),
  Price("1e-39", 0, 0),
  Price("1.0000000005", 0, 1_000_000_001),
  Price("1.0000000004999", 0, 1_000_000_000),
  Price("0.9999999995", 0, 1_000_000_000),
  // The largest amounts.
  Price("999999999", 0, 999_999_999_000_000_000),
  Price("999999999.999999999", 0, 999_999_999_999_999_999),
  Price("999999999.9999999995", 0, 1_000_000_000_000_000_000),
]

private let noPrices: [String] = [
  "", " ", ".", "-1", "-0", "+1", "1,5", "1.2.3", "1 000", " 1", "1 ", "0x10", "NaN", "inf",
  "1e", "e5", "1e5e5", "1e 3", "1e1.5", "1e40", "1e-40", "1e99999999999999999999", "\u{0661}",
  "\u{FF11}", "1\u{301}", "$1", "1000000000", "1e9", "99999999999999999999",
]

private let decimals: [(Int64, String)] = [
  (0, "0.00"), (1, "0.000000001"), (132_000, "0.000132"), (100_000_000, "0.10"),
  (500_000_000, "0.50"), (1_000_000_000, "1.00"), (1_250_000_000, "1.25"),
  (1_234_567_891, "1.234567891"), (-500_000_000, "-0.50"), (-1, "-0.000000001"),
  (.max, "9223372036.854775807"), (.min, "-9223372036.854775808"),
]

private let tokenTexts: [(Int64, String)] = [
  (0, "0"), (1, "0.000001"), (500_000, "0.5"), (1_000_000, "1"), (1_500_000, "1.5"),
  (1_000_010, "1.00001"), (-500_000, "-0.5"), (-1_500_000, "-1.5"), (-1_000_000, "-1"),
  (.max, "9223372036854.775807"), (.min, "-9223372036854.775808"),
]

@Suite("money is read and written with integers only")
struct MoneyTests {
  @Test("a price is read in billionths, rounded half up", arguments: prices.indices)
  func reads(index: Int) {
    let price = prices[index]
    #expect(DecimalText.nano(price.text, timesPowerOfTen: price.power) == price.nano)
  }

  @Test("a text that is no amount, is negative or does not fit is refused", arguments: noPrices)
  func refuses(text: String) {
    #expect(DecimalText.nano(text) == nil)
  }

  @Test("the power of ten of the unit cannot make an amount overflow")
  func refusesOverflow() {
    #expect(DecimalText.nano("999999", timesPowerOfTen: 3) == 999_999_000_000_000_000)
    #expect(DecimalText.nano("1000000", timesPowerOfTen: 3) == nil)
    #expect(DecimalText.nano("999", timesPowerOfTen: 6) == 999_000_000_000_000_000)
    #expect(DecimalText.nano("1000", timesPowerOfTen: 6) == nil)
  }

  @Test("the smallest exponent of 64 bits is refused and ends no process")
  func survivesExponents() async {
    await #expect(processExitsWith: .success) {
      _ = DecimalText.nano("1e-9223372036854775808")
    }
  }

  @Test("an amount is written as a plain decimal of two places or more", arguments: decimals)
  func writes(nano: Int64, text: String) {
    #expect(DecimalText.format(nano: nano) == text)
    #expect(Money(amountNano: nano, currency: "EUR").decimal == text)
  }

  @Test("what was written reads back as the same amount", arguments: 0..<100 as Range<UInt64>)
  func roundTrips(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<20 {
      let shift = UInt64.random(in: 0..<60, using: &random)
      let nano = Int64((random.next() % 1_000_000_000_000_000_000) >> shift)
      #expect(DecimalText.nano(DecimalText.format(nano: nano)) == nano)
    }
  }

  @Test("an amount in one currency is not the amount in another")
  func currencies() {
    let euros = Money(amountNano: 5, currency: "EUR")
    #expect(euros == Money(amountNano: 5, currency: "EUR"))
    #expect(euros != Money(amountNano: 5, currency: "USD"))
    #expect(euros != Money(amountNano: 6, currency: "EUR"))
  }
}

@Suite("microtokens are the unit of the ledger")
struct MicrotokensTests {
  @Test("an amount is written in tokens with no trailing zeros", arguments: tokenTexts)
  func writes(count: Int64, text: String) {
    #expect(Microtokens(count).tokens == text)
  }

  @Test("whole tokens that do not fit are refused")
  func refusesOverflow() {
    #expect(Microtokens(tokens: 3)?.count == 3_000_000)
    #expect(Microtokens(tokens: -3)?.count == -3_000_000)
    #expect(Microtokens(tokens: 9_223_372_036_854)?.count == 9_223_372_036_854_000_000)
    #expect(Microtokens(tokens: 9_223_372_036_855) == nil)
    #expect(Microtokens(tokens: .min) == nil)
  }

  @Test("amounts are ordered by count")
  func order() {
    #expect(Microtokens(-1) < Microtokens(0))
    #expect(Microtokens(0) < Microtokens.max)
  }
}
