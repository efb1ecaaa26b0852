/// The truth of a condition over the rows of a segment, in Kleene's three-valued logic: `yes` and `no` are
/// disjoint, and what is in neither is unknown.
struct Truth {
  var yes: Bitset
  var no: Bitset

  static func unknown(_ count: Int) -> Truth {
    Truth(yes: Bitset(count: count), no: Bitset(count: count))
  }
}

/// Evaluates filters over the columns of one segment.
struct FilterEvaluator {
  let segment: Segment

  /// The services of rows.
  func services(of rows: Bitset) -> Bitset {
    guard segment.rowCount != segment.count else { return rows }
    var services = Bitset(count: segment.count)
    rows.forEach { services.insert(Int(segment.rowService[$0])) }
    return services
  }

  /// The rows of services.
  func rows(of services: Bitset) -> Bitset {
    guard segment.rowCount != segment.count else { return services }
    var rows = Bitset(count: segment.rowCount)
    services.forEach { service in
      for row in segment.rows(of: service) { rows.insert(row) }
    }
    return rows
  }

  func truth(_ expression: FilterExpression) -> Truth {
    switch expression {
    case .and(let parts):
      parts.dropFirst().reduce(into: truth(parts[0])) { result, part in
        let other = truth(part)
        result.yes.formIntersection(other.yes)
        result.no.formUnion(other.no)
      }
    case .or(let parts):
      parts.dropFirst().reduce(into: truth(parts[0])) { result, part in
        let other = truth(part)
        result.yes.formUnion(other.yes)
        result.no.formIntersection(other.no)
      }
    case .not(let part): negated(truth(part))
    case .compare(let field, .equal, .word(let word)): words(field, [word])
    case .compare(let field, .notEqual, .word(let word)): negated(words(field, [word]))
    case .compare(let field, let comparison, .number(let bound, let unit, _)):
      numbers(field, unit: unit) { FilterEvaluator.holds($0, comparison, bound) }
    case .compare: .unknown(segment.rowCount)
    case .flag(let field, let name, let wanted): flag(field, name, wanted)
    case .oneOf(let field, let values): oneOf(field, values)
    case .between(let field, .number(let low, let unit, _), .number(let high, _, _)):
      numbers(field, unit: unit) { low <= $0 && $0 <= high }
    case .between: .unknown(segment.rowCount)
    case .known(let field): known(field)
    }
  }

  private func negated(_ truth: Truth) -> Truth { Truth(yes: truth.no, no: truth.yes) }

  private static func holds(
    _ value: Double, _ comparison: FilterExpression.Comparison, _ bound: Double
  ) -> Bool {
    switch comparison {
    case .equal: value == bound
    case .notEqual: value != bound
    case .less: value < bound
    case .lessOrEqual: value <= bound
    case .greater: value > bound
    case .greaterOrEqual: value >= bound
    }
  }

  private func words(_ field: String, _ wanted: [String]) -> Truth {
    guard let column = segment.column(field),
      case .words(let starts, let codes, let noStarts, let no) = column.values
    else { return .unknown(segment.rowCount) }
    let wantedCodes = wanted.compactMap { column.code(of: $0) }
    let isFlags = IndexField.named[field]?.kind == .flags
    // A flag that no row has ever named is unknown everywhere: then nothing is known to have none of them.
    let isComplete = wantedCodes.count == wanted.count
    var truth = Truth.unknown(segment.rowCount)
    guard !wantedCodes.isEmpty || !isFlags else { return truth }
    var isWanted = [Bool](repeating: false, count: column.wordCount)
    for code in wantedCodes { isWanted[Int(code)] = true }
    isWanted.withUnsafeBufferPointer { isWanted in
      truth.yes = Bitset(count: segment.rowCount) { row in
        for place in Int(starts[row])..<Int(starts[row + 1]) where isWanted[Int(codes[place])] {
          return true
        }
        return false
      }
    }
    guard isFlags else {
      truth.no = column.known
      truth.no.subtract(truth.yes)
      return truth
    }
    guard isComplete, noStarts.count > 0 else { return truth }
    truth.no = Bitset(count: segment.rowCount) { row in
      let range = Int(noStarts[row])..<Int(noStarts[row + 1])
      return !range.isEmpty && wantedCodes.allSatisfy { code in range.contains { no[$0] == code } }
    }
    truth.no.subtract(truth.yes)
    return truth
  }

  private func flag(_ field: String, _ name: String, _ wanted: Bool) -> Truth {
    let truth = words(field, [name])
    return wanted ? truth : negated(truth)
  }

  private func numbers(_ field: String, unit: Int8, _ holds: (Double) -> Bool) -> Truth {
    guard let column = segment.column(field),
      case .numbers(let numbers, let units) = column.values
    else { return .unknown(segment.rowCount) }
    let comparable = Bitset(count: segment.rowCount) { units[$0] == unit && !numbers[$0].isNaN }
    let yes = Bitset(count: segment.rowCount) { holds(numbers[$0]) }.intersection(comparable)
    var no = comparable
    no.subtract(yes)
    return Truth(yes: yes, no: no)
  }

  private func oneOf(_ field: String, _ values: [FilterExpression.Value]) -> Truth {
    var wanted: [String] = []
    var parts: [Truth] = []
    for value in values {
      switch value {
      case .word(let word): wanted.append(word)
      case .number(let bound, let unit, _): parts.append(numbers(field, unit: unit) { $0 == bound })
      }
    }
    if !wanted.isEmpty { parts.append(words(field, wanted)) }
    return parts.dropFirst().reduce(into: parts[0]) { result, other in
      result.yes.formUnion(other.yes)
      result.no.formIntersection(other.no)
    }
  }

  /// Whether a field, or one flag of a field (`features.vision`), is known: never unknown itself.
  private func known(_ field: String) -> Truth {
    let full = Bitset(count: segment.rowCount, filled: true)
    var yes: Bitset
    if let column = segment.column(field) {
      yes = column.known
    } else {
      let halves = field.split(separator: ".", maxSplits: 1)
      let truth = words(String(halves.first ?? ""), [String(halves.last ?? "")])
      yes = truth.yes.union(truth.no)
    }
    yes.formIntersection(full)
    var no = full
    no.subtract(yes)
    return Truth(yes: yes, no: no)
  }
}
