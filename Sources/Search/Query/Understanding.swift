/// One understood condition of a query, with the text it came from.
package struct Constraint: Sendable, Equatable {
  /// The condition in the filter grammar's terms.
  package let expression: FilterExpression
  /// For people: "image input", "input price under $0.50 per 1M tokens".
  package let label: String
  /// Where it stands in the query, in UTF-16 units, as a browser counts.
  package let span: Range<Int>

  package init(expression: FilterExpression, label: String, span: Range<Int>) {
    self.expression = expression
    self.label = label
    self.span = span
  }

  /// What to send back to have it removed: the condition's canonical text. The same condition has the same key in
  /// whatever words it is said.
  package var key: String { expression.canonical }
}

/// What a query says: conditions, words, phrases, and what must not be there.
package struct Understanding: Sendable, Equatable {
  package var constraints: [Constraint] = []
  /// The free text that is left to be searched.
  package var text = ""
  /// The same as it was written, with its marks: what is embedded, and cut into sentences.
  package var need = ""
  package var phrases: [String] = []
  package var exclusions: [String] = []
  /// What was seen and could not become a condition, in sentences for people, at most ten.
  package var notes: [String] = []
  /// Whether the query was longer than 1,000 characters and was cut.
  package var isCut = false
}
