/// The values of one field over the rows of a segment. A row is an offer of a service; services without an
/// offer have one row whose offer fields are unknown.
struct Column: Sendable {
  /// What the values are.
  enum Values: Sendable {
    /// Words by code: `codes[starts[row]..<starts[row + 1]]`; `no` holds codes known to be false (flags).
    case words(starts: View<Int32>, codes: View<Int32>, noStarts: View<Int32>, no: View<Int32>)
    /// One number a row, NaN for unknown. `units` names a currency by code, or -1, where it matters.
    case numbers(View<Double>, units: View<Int8>)
  }

  /// Keeps the views alive.
  let blob: Blob
  /// Rows whose value is known.
  let known: Bitset
  let values: Values
  /// The words by code.
  let words: TextTable?
  /// The words in lower case, sorted, and the code of each: look-ups ignore case.
  let folded: TextTable?
  let foldedCodes: View<Int32>?

  var wordCount: Int { words?.count ?? 0 }

  func word(_ code: Int) -> String { words?.text(code) ?? "" }

  func code(of word: String) -> Int32? {
    guard let folded, let foldedCodes, let place = folded.index(of: word.lowercased()) else {
      return nil
    }
    return foldedCodes[place]
  }

  /// The number of a row, or nil where it is unknown.
  func number(_ row: Int) -> Double? {
    guard case .numbers(let numbers, _) = values, !numbers[row].isNaN else { return nil }
    return numbers[row]
  }

  /// The currency's code of a row's number, or -1.
  func unit(_ row: Int) -> Int8 {
    guard case .numbers(_, let units) = values else { return -1 }
    return units[row]
  }

  /// The words of a row.
  func words(_ row: Int) -> [String] {
    guard case .words(let starts, let codes, _, _) = values else { return [] }
    return (Int(starts[row])..<Int(starts[row + 1])).map { word(Int(codes[$0])) }
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
  private var knownRows: [Int32] = []
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
      knownRows.append(Int32(rowCount))
    case .words(let yes, let no):
      for word in yes { words.append(code(word)) }
      for word in no { noWords.append(code(word)) }
      knownRows.append(Int32(rowCount))
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

  /// Writes the column's sections; a column that nothing is known of has none.
  func write(_ name: String, to sink: inout some SectionSink) throws {
    guard !knownRows.isEmpty else { return }
    var known = Bitset(count: rowCount)
    for row in knownRows { known.insert(Int(row)) }
    try sink.add(name + "/known", known.words, isStructure: true)
    if isNumeric {
      try sink.add(name + "/numbers", numbers, isStructure: false)
      try sink.add(name + "/units", units, isStructure: true)
      return
    }
    try sink.add(name + "/starts", starts, isStructure: true)
    try sink.add(name + "/codes", words, isStructure: true)
    if !noWords.isEmpty {
      try sink.add(name + "/noStarts", noStarts, isStructure: true)
      try sink.add(name + "/no", noWords, isStructure: true)
    }
    var table = TextTableBuilder()
    for word in dictionary { table.append(word.utf8) }
    try sink.add(name + "/words", table)
    let (folded, order) = TextTableBuilder.sorted(dictionary.map { $0.lowercased() })
    try sink.add(name + "/folded", folded)
    try sink.add(name + "/foldedCodes", order.map { Int32($0) }, isStructure: true)
  }
}

extension SegmentReader {
  /// Reads a column's sections, or returns nil where nothing is known of the field.
  func column(_ name: String, isNumeric: Bool, rowCount: Int) throws -> Column? {
    guard has(name + "/known") else { return nil }
    let known = Bitset(
      count: rowCount, words: try view(name + "/known", count: (rowCount + 63) / 64).buffer)
    if isNumeric {
      return Column(
        blob: blob, known: known,
        values: .numbers(
          try view(name + "/numbers", count: rowCount),
          units: try view(name + "/units", count: rowCount)),
        words: nil, folded: nil, foldedCodes: nil)
    }
    let starts: View<Int32> = try view(name + "/starts", count: rowCount + 1)
    let codes: View<Int32> = try view(name + "/codes", count: Int(starts[rowCount]))
    let hasNo = has(name + "/noStarts")
    let noStarts: View<Int32> = hasNo ? try view(name + "/noStarts", count: rowCount + 1) : empty()
    let no: View<Int32> = hasNo ? try view(name + "/no", count: Int(noStarts[rowCount])) : empty()
    let words = try texts(name + "/words")
    let folded = try texts(name + "/folded")
    let order: View<Int32> = try view(name + "/foldedCodes", count: folded.count)
    return Column(
      blob: blob, known: known,
      values: .words(starts: starts, codes: codes, noStarts: noStarts, no: no), words: words,
      folded: folded, foldedCodes: order)
  }
}
