internal import Primitives

/// A number as people write it: `128k`, `$0.50`, `0,5 €`, `300ms`, `99.9%`, `128k+`.
struct NumberText: Equatable {
  /// The digits with a point as the decimal mark and nothing else.
  var digits: String
  /// 3 for thousands, 6 for millions, 9 for billions, -2 for cents.
  var powerOfTen = 0
  /// What hangs on it: `ms`, `s`, `%`, `tps`, or nothing.
  var suffix = ""
  var currency: String?
  /// Whether a plus stands behind it: "128k+".
  var isOpen = false

  /// The value as a plain number, or nil where it is none that counts exactly.
  var value: Double? {
    guard let plain = Double(digits) else { return nil }
    let factors = [3: 1e3, 6: 1e6, 9: 1e9, -2: 0.01]
    var value = plain * (factors[powerOfTen] ?? 1)
    // 1.1 million is a whole number, whatever the last bit of 1.1 says.
    if powerOfTen >= 3, (value - value.rounded()).magnitude < 1e-6 { value = value.rounded() }
    return value < 0x1p53 ? value : nil
  }

  /// The amount in billionths, shifted further by powers of ten, or nil where no price is as large.
  func nano(timesPowerOfTen power: Int = 0) -> Int64? {
    guard let nano = DecimalText.nano(digits, timesPowerOfTen: powerOfTen + power),
      nano < 1 << 53
    else { return nil }
    return nano
  }

  private static let marks: [Character: String] = [
    "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR",
  ]
  private static let scales: [String: Int] = [
    "": 0, "k": 3, "m": 6, "mn": 6, "mio": 6, "b": 9, "bn": 9,
  ]
  private static let units: Set<String> = ["ms", "s", "sec", "%", "tps"]

  /// Reads a folded word.
  /// - Parameter isEuropean: Whether the query is of a language that writes `0,5` and `1.000`.
  init?(_ text: String, isEuropean: Bool = false) {
    var rest = text[...]
    if rest.hasPrefix("us$") { rest = rest.dropFirst(2) }
    if let first = rest.first, let code = NumberText.marks[first] {
      currency = code
      rest = rest.dropFirst()
    }
    let written = rest.prefix { QueryWord.isDigit($0) || $0 == "." || $0 == "," }
    rest = rest[written.endIndex...]
    guard written.utf8.count <= 40,
      let digits = NumberText.plain(written, isEuropean: isEuropean || rest.hasPrefix("€"))
    else { return nil }
    self.digits = digits
    if rest.hasSuffix("+") {
      isOpen = true
      rest = rest.dropLast()
    }
    if rest == "¢" || rest == "ct" {
      (powerOfTen, currency) = (-2, currency ?? "USD")
      return
    }
    if let last = rest.last, let code = NumberText.marks[last] {
      currency = code
      rest = rest.dropLast()
    }
    if let power = NumberText.scales[String(rest)] {
      powerOfTen = power
    } else if NumberText.units.contains(String(rest)) {
      suffix = String(rest)
    } else {
      return nil
    }
  }

  init(digits: String, powerOfTen: Int = 0) {
    self.digits = digits
    self.powerOfTen = powerOfTen
  }

  /// Digits with a point, from digits with points and commas, or nil where they are no number (`1.2.3`).
  static func plain(_ text: Substring, isEuropean: Bool) -> String? {
    guard text.contains(where: { $0.isNumber }) else { return nil }
    let points = text.count { $0 == "." }
    let commas = text.count { $0 == "," }
    let decimal: Character?
    switch (points, commas) {
    case (0, 0): decimal = nil
    case (1, 0): decimal = isEuropean && isThousands(text, ".") ? nil : "."
    case (0, 1): decimal = !isEuropean && isThousands(text, ",") ? nil : ","
    case (0, _): decimal = nil
    case (_, 0):
      guard hasGroupsOfThree(text) else { return nil }
      decimal = nil
    case (1, _)
    where text.lastIndex(of: ".") ?? text.startIndex > text.lastIndex(of: ",") ?? text.startIndex:
      decimal = "."
    case (_, 1): decimal = ","
    default: return nil
    }
    var digits = ""
    for character in text {
      if character == decimal {
        digits += "."
      } else if character.isNumber {
        digits.append(character)
      }
    }
    if digits.hasPrefix(".") { digits = "0" + digits }
    if digits.hasSuffix(".") { digits.removeLast() }
    return digits.isEmpty ? nil : digits
  }

  /// `1.000.000` and not `1.2.3`.
  private static func hasGroupsOfThree(_ text: Substring) -> Bool {
    let groups: [Substring] = text.split { $0 == "." }
    return groups.dropFirst().allSatisfy { $0.count == 3 }
  }

  /// Whether exactly three digits follow the mark, and something other than a lone zero stands before it.
  private static func isThousands(_ text: Substring, _ mark: Character) -> Bool {
    let halves = text.split(omittingEmptySubsequences: false) { $0 == mark }
    return halves.count == 2 && halves[1].count == 3 && !halves[0].isEmpty && halves[0] != "0"
  }
}
