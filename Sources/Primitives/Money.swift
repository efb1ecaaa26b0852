/// An amount of money in billionths of a currency. No conversion between currencies exists.
public struct Money: Hashable, Sendable {
  /// Billionths of the currency; never negative in a price.
  public let amountNano: Int64
  /// ISO 4217, upper case.
  public let currency: String

  /// An amount.
  public init(amountNano: Int64, currency: String) {
    self.amountNano = amountNano
    self.currency = currency
  }

  /// The amount as a plain decimal without trailing zeros, at least two places: `0.50`, `1.25`, `0.000132`.
  public var decimal: String { DecimalText.format(nano: amountNano) }
}

/// Microtokens: the unit of the ledger. One token is 1,000,000 of them (specification core, 2.1).
public struct Microtokens: Hashable, Comparable, Sendable {
  /// The count.
  public let count: Int64

  /// That many microtokens.
  public init(_ count: Int64) { self.count = count }

  /// That many whole tokens, or nil where the product does not fit.
  public init?(tokens: Int64) {
    let (product, overflow) = tokens.multipliedReportingOverflow(by: 1_000_000)
    guard !overflow else { return nil }
    count = product
  }

  /// The largest amount of one movement.
  public static let max = Microtokens(1_000_000_000_000_000)

  /// Orders by count.
  public static func < (left: Microtokens, right: Microtokens) -> Bool { left.count < right.count }

  /// The amount in tokens, as text with no trailing zeros.
  public var tokens: String {
    let whole = count / 1_000_000
    let rest = Swift.abs(count % 1_000_000)
    guard rest > 0 else { return String(whole) }
    var digits = String(rest + 1_000_000).dropFirst()
    while digits.hasSuffix("0") { digits = digits.dropLast() }
    return (count < 0 && whole == 0 ? "-0" : String(whole)) + "." + digits
  }
}

/// Decimal text to billionths and back, with integers only.
package enum DecimalText {
  /// Reads a plain or scientific decimal (`0.5`, `1.32e-07`) as billionths times `scale`.
  ///
  /// - Returns: nil where it is no number, negative, or does not fit. Digits below a billionth round half up.
  package static func nano(_ text: String, timesPowerOfTen power: Int = 0) -> Int64? {
    let lower = text.lowercased()
    let halves = lower.split(separator: "e", omittingEmptySubsequences: false)
    guard halves.count <= 2, let mantissa = halves.first else { return nil }
    var exponent = 9 + power
    if halves.count == 2 {
      guard let written = Int(halves[1]), (-39...39).contains(written) else { return nil }
      exponent += written
    }
    let parts = mantissa.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count <= 2, !mantissa.isEmpty else { return nil }
    let digits = parts.joined()
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
      return nil
    }
    if parts.count == 2 { exponent -= parts[1].count }
    return scaled(digits: digits, exponent: exponent)
  }

  private static func scaled(digits: String, exponent: Int) -> Int64? {
    let significant = digits.drop { $0 == "0" }
    guard !significant.isEmpty else { return 0 }
    if exponent >= 0 {
      guard significant.count + exponent <= 18 else { return nil }
      return Int64(significant + String(repeating: "0", count: exponent))
    }
    let keep = significant.count + exponent
    guard keep >= 0 else { return 0 }
    guard keep <= 18, let whole = keep == 0 ? 0 : Int64(significant.prefix(keep)) else {
      return nil
    }
    let next = significant.dropFirst(keep).first ?? "0"
    return next >= "5" ? whole + 1 : whole
  }

  package static func format(nano: Int64) -> String {
    let sign = nano < 0 ? "-" : ""
    let magnitude = nano.magnitude
    var fraction = String(magnitude % 1_000_000_000 + 1_000_000_000).dropFirst()
    while fraction.count > 2, fraction.hasSuffix("0") { fraction = fraction.dropLast() }
    return sign + String(magnitude / 1_000_000_000) + "." + fraction
  }
}
