/// A condition as the test thinks of it, with its text in the filter grammar.
indirect enum Condition: Sendable {
  case every([Condition])
  case either([Condition])
  case not(Condition)
  /// A field of words, one of whose values is the word.
  case word(String, String, isEqual: Bool)
  case oneOf(String, [String])
  /// A field of numbers, compared.
  case number(String, String, Double)
  case numbers(String, [Double])
  case range(String, Double, Double)
  case date(String, String, String)
  /// A price, compared with thousandths of a currency.
  case price(String, String, Int64, String)
  case priceRange(String, Int64, Int64, String)
  /// A flag of `features`, wanted true or false.
  case flag(String, Bool)
  case unknownFlag(String)
  case known(String, form: Int)
  /// A field, or one flag of a field (`compliance.gdpr`), that is not known.
  case unknown(String)
  case dates(String, [String])
  case dateRange(String, String, String)
  case prices(String, [Amount])
  /// A flag by its whole path, compared with `yes`, `no` or `unknown`.
  case flagged(String, isEqual: Bool, String)

  /// Thousandths of a currency.
  struct Amount: Sendable {
    let milli: Int64
    let currency: String
  }

  /// The text that asks for it.
  var text: String {
    switch self {
    case .every(let parts): parts.map(\.inner).joined(separator: " AND ")
    case .either(let parts): parts.map(\.inner).joined(separator: " OR ")
    case .not(let part): "NOT " + part.inner
    case .word(let field, let word, let isEqual):
      "\(field) \(isEqual ? "=" : "!=") \(Condition.quoted(word))"
    case .oneOf(let field, let words):
      "\(field) IN [" + words.map(Condition.quoted).joined(separator: ", ") + "]"
    case .number(let field, let sign, let value): "\(field) \(sign) \(Condition.plain(value))"
    case .numbers(let field, let values):
      "\(field) IN [" + values.map(Condition.plain).joined(separator: ",") + "]"
    case .range(let field, let low, let high):
      "\(field) \(Condition.plain(low)) TO \(Condition.plain(high))"
    case .date(let field, let sign, let day): "\(field) \(sign) \(day)"
    case .price(let field, let sign, let milli, let currency):
      "\(field) \(sign) \(Condition.amount(milli, currency))"
    case .priceRange(let field, let low, let high, let currency):
      "\(field) \(Condition.amount(low, currency)) TO \(Condition.amount(high, currency))"
    case .flag(let name, let wanted): "features.\(name) = \(wanted ? "yes" : "no")"
    case .unknownFlag(let name): "features.\(name) IS UNKNOWN"
    case .known(let field, let form):
      ["EXISTS \(field)", "\(field) EXISTS", "\(field) IS NOT UNKNOWN"][form % 3]
    case .unknown(let field): "\(field) IS UNKNOWN"
    case .dates(let field, let days): "\(field) IN [" + days.joined(separator: ", ") + "]"
    case .dateRange(let field, let low, let high): "\(field) \(low) TO \(high)"
    case .prices(let field, let amounts):
      "\(field) IN ["
        + amounts.map { Condition.amount($0.milli, $0.currency) }.joined(separator: ", ") + "]"
    case .flagged(let path, let isEqual, let word): "\(path) \(isEqual ? "=" : "!=") \(word)"
    }
  }

  /// The text as a part of another: in brackets where it has several parts.
  private var inner: String {
    switch self {
    case .every, .either, .not: "(\(text))"
    default: text
    }
  }

  private static func quoted(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy { $0 > 0x60 && $0 < 0x7B }
    if isPlain { return word }
    return "\"" + word.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }

  private static func plain(_ value: Double) -> String {
    value == value.rounded() ? String(Int64(value)) : "\(value)"
  }

  private static func amount(_ milli: Int64, _ currency: String) -> String {
    let rest = String(milli % 1_000 + 1_000).dropFirst()
    let text = "\(milli / 1_000).\(rest)"
    return currency == "USD" ? (milli % 7 == 0 ? "$" : "") + text : "\"\(text) \(currency)\""
  }
}
