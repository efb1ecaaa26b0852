/// The values of one field over the rows of a segment. A row is an offer of a service; services without an
/// offer have one row whose offer fields are unknown.
struct Column: Sendable {
  /// What the values are.
  enum Values: Sendable {
    /// Words by code: `codes[starts[row]..<starts[row + 1]]`; `no` holds codes known to be false (flags).
    case words(starts: [Int32], codes: [Int32], noStarts: [Int32], no: [Int32])
    /// One number a row, NaN for unknown. `unit` names a currency by code, or -1, where it matters.
    case numbers([Double], unit: [Int8])
  }

  /// Rows whose value is known.
  let known: Bitset
  /// The values.
  let values: Values
  /// The words by code.
  let dictionary: [String]
  /// Codes by folded word: look-ups ignore case.
  let codes: [String: Int32]

  func code(of word: String) -> Int32? { codes[word.lowercased()] }

  /// The number of a row, or nil where it is unknown.
  func number(_ row: Int) -> Double? {
    guard case .numbers(let numbers, _) = values, !numbers[row].isNaN else { return nil }
    return numbers[row]
  }
}

/// Collects a column row by row.
struct ColumnBuilder {
  enum Value {
    case unknown
    case words([String], no: [String])
    case number(Double, unit: Int8)
  }

  private let isNumeric: Bool
  private var rowCount = 0
  private var knownRows: [Int] = []
  private var numbers: [Double] = []
  private var units: [Int8] = []
  private var starts: [Int32] = [0]
  private var words: [Int32] = []
  private var noStarts: [Int32] = [0]
  private var noWords: [Int32] = []
  private var dictionary: [String] = []
  private var codes: [String: Int32] = [:]

  init(isNumeric: Bool) { self.isNumeric = isNumeric }

  mutating func append(_ value: Value) {
    switch value {
    case .unknown:
      if isNumeric {
        numbers.append(.nan)
        units.append(-1)
      }
    case .number(let number, let unit):
      numbers.append(number)
      units.append(unit)
      knownRows.append(rowCount)
    case .words(let yes, let no):
      for word in yes { words.append(code(word)) }
      for word in no { noWords.append(code(word)) }
      knownRows.append(rowCount)
    }
    if !isNumeric {
      starts.append(Int32(words.count))
      noStarts.append(Int32(noWords.count))
    }
    rowCount += 1
  }

  private mutating func code(_ word: String) -> Int32 {
    let folded = word.lowercased()
    if let code = codes[folded] { return code }
    let code = Int32(dictionary.count)
    codes[folded] = code
    dictionary.append(word)
    return code
  }

  func build() -> Column {
    var known = Bitset(count: rowCount)
    for row in knownRows { known.insert(row) }
    let values: Column.Values =
      isNumeric
      ? .numbers(numbers, unit: units)
      : .words(starts: starts, codes: words, noStarts: noStarts, no: noWords)
    return Column(known: known, values: values, dictionary: dictionary, codes: codes)
  }
}
