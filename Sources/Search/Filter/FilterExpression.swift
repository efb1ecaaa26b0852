internal import Primitives

/// A condition over services and their offers, checked against the fields.
package indirect enum FilterExpression: Sendable, Equatable {
  package enum Comparison: String, Sendable {
    case equal = "="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
  }

  /// A value as a field compares it.
  package enum Value: Sendable, Equatable {
    case word(String)
    /// A number in the column's unit; `unit` is a currency's code, or -1; `text` as it was written.
    case number(Double, unit: Int8, text: String)

    /// The currency's code, or -1.
    var unit: Int8 { if case .number(_, let unit, _) = self { unit } else { -1 } }
  }

  case and([FilterExpression])
  case or([FilterExpression])
  case not(FilterExpression)
  case compare(field: String, Comparison, Value)
  /// One flag: `features.vision = true`.
  case flag(field: String, name: String, Bool)
  case oneOf(field: String, [Value])
  case between(field: String, Value, Value)
  case known(field: String)

  /// The fields that the expression names.
  package var fields: Set<String> {
    switch self {
    case .and(let parts), .or(let parts): parts.reduce(into: []) { $0.formUnion($1.fields) }
    case .not(let part): part.fields
    case .compare(let field, _, _), .flag(let field, _, _), .oneOf(let field, _),
      .between(let field, _, _), .known(let field):
      // A flag of a field (`features.vision`) belongs to the field.
      [String(field.prefix { $0 != "." })]
    }
  }

  /// What the expression is about, more finely than `fields`: two flags of one field are two subjects.
  package var subjects: Set<String> {
    switch self {
    case .and(let parts), .or(let parts): parts.reduce(into: []) { $0.formUnion($1.subjects) }
    case .not(let part): part.subjects
    case .flag(let field, let name, _): ["\(field).\(name.lowercased())"]
    case .compare(let field, _, .word(let word)) where IndexField.named[field]?.kind == .flags:
      ["\(field).\(word.lowercased())"]
    case .known(let field):
      if let dot = field.firstIndex(of: ".") {
        [field[..<dot] + field[dot...].lowercased()]
      } else {
        [field]
      }
    default: fields
    }
  }

  /// The conditions that must all hold: the parts of a conjunction, or the expression itself.
  package var conjuncts: [FilterExpression] {
    if case .and(let parts) = self { parts.flatMap(\.conjuncts) } else { [self] }
  }

  /// The canonical text: reading it again gives the same expression.
  package var canonical: String { text(inside: 0) }

  private func text(inside level: Int) -> String {
    switch self {
    case .and(let parts): wrap(parts.map { $0.text(inside: 2) }, " AND ", level > 2)
    case .or(let parts): wrap(parts.map { $0.text(inside: 1) }, " OR ", level > 0)
    case .not(let part): "NOT " + part.text(inside: 3)
    case .compare(let field, let comparison, let value):
      "\(field) \(comparison.rawValue) \(FilterExpression.text(value))"
    case .flag(let field, let name, let wanted): "\(field).\(name) = \(wanted)"
    case .oneOf(let field, let values):
      "\(field) IN [" + values.map(FilterExpression.text).joined(separator: ", ") + "]"
    case .between(let field, let low, let high):
      "\(field) \(FilterExpression.text(low)) TO \(FilterExpression.text(high))"
    case .known(let field): "EXISTS \(field)"
    }
  }

  private func wrap(_ parts: [String], _ separator: String, _ needsParentheses: Bool) -> String {
    let text = parts.joined(separator: separator)
    return needsParentheses ? "(\(text))" : text
  }

  /// In quotes, by scalars: a mark with an accent on it is still a mark.
  private static func quoted(_ word: String) -> String {
    var output = String.UnicodeScalarView("\"".unicodeScalars)
    for scalar in word.unicodeScalars {
      if scalar == "\"" || scalar == "\\" { output.append("\\") }
      output.append(scalar)
    }
    output.append("\"")
    return String(output)
  }

  private static func text(_ value: Value) -> String {
    switch value {
    case .word(let word):
      FilterExpression.quoted(word)
    case .number(_, let unit, let text):
      unit > 0 ? "\"\(text) \(IndexField.currencies[Int(unit)])\"" : text
    }
  }
}
