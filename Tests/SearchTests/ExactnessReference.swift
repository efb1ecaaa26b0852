import Catalog
import Primitives

// A plain reading of the specification's filters over the facts, with no index.

extension FactTable {
  /// The ids of services for which the condition is true for at least one row, in their order.
  func ids(matching condition: Condition) -> [String] {
    let truth = truth(of: condition)
    return ids { rows in rows.contains { truth[$0] == true } }
  }

  /// The ids of services whose rows pass, in their order.
  func ids(where passes: (Range<Int>) -> Bool) -> [String] {
    zip(services, rowsOfService).filter { passes($0.1) }.map(\.0.id)
  }

  /// The truth of a condition for each row, in Kleene's three-valued logic: nil is unknown.
  func truth(of condition: Condition) -> [Bool?] {
    switch condition {
    case .every(let parts): combined(parts, decisive: false)
    case .either(let parts): combined(parts, decisive: true)
    case .not(let part): truth(of: part).map { $0.map { !$0 } }
    case .word(let field, let word, let isEqual):
      has(field, [word]).map { $0.map { $0 == isEqual } }
    case .oneOf(let field, let wanted): has(field, wanted)
    case .number(let field, let sign, let bound):
      each(numbers[field], field) { holds($0, sign, bound) }
    case .numbers(let field, let wanted): each(numbers[field], field) { wanted.contains($0) }
    case .range(let field, let low, let high):
      each(numbers[field], field) { low <= $0 && $0 <= high }
    case .date(let field, let sign, let day): each(dates[field], field) { holds($0, sign, day) }
    case .dates(let field, let days): each(dates[field], field) { days.contains($0) }
    case .dateRange(let field, let low, let high):
      each(dates[field], field) { low <= $0 && $0 <= high }
    case .price(let field, let sign, let milli, let currency):
      price(field, currency) { holds($0.nano, sign, Int128(milli) * 1_000_000 * $0.per) }
    case .priceRange(let field, let low, let high, let currency):
      price(field, currency) { amount in
        let thousandth = 1_000_000 * amount.per
        return Int128(low) * thousandth <= amount.nano && amount.nano <= Int128(high) * thousandth
      }
    case .prices(let field, let amounts):
      // A list is a disjunction: in another currency than the price's it is unknown, not false.
      combined(amounts.map { .price(field, "=", $0.milli, $0.currency) }, decisive: true)
    case .flag(let name, let wanted): flag("features." + name).map { $0.map { $0 == wanted } }
    case .unknownFlag(let name): flag("features." + name).map { $0 == nil }
    case .flagged(let path, let isEqual, let word): flagged(path, isEqual, word)
    case .known(let field, _): known(field)
    case .unknown(let field): known(field).map { $0.map { !$0 } }
    }
  }

  /// The parts together: one that is decisive settles it, else one that is unknown leaves it open.
  private func combined(_ parts: [Condition], decisive: Bool) -> [Bool?] {
    let truths = parts.map { truth(of: $0) }
    return (0..<rowCount).map { row -> Bool? in
      var isOpen = false
      for truth in truths {
        if truth[row] == decisive { return decisive }
        if truth[row] == nil { isOpen = true }
      }
      return isOpen ? nil : !decisive
    }
  }

  private func each<T>(_ column: [T?]?, _ field: String, _ holds: (T) -> Bool) -> [Bool?] {
    guard let column else { preconditionFailure("the reference does not know \(field)") }
    return column.map { $0.map(holds) }
  }

  /// Words of a list: any of them. Flags: each on its own, so that one of several may be open.
  private func has(_ field: String, _ wanted: [String]) -> [Bool?] {
    let lowered = wanted.map { $0.lowercased() }
    if flags[field] != nil {
      let paths = lowered.map { Condition.flagged("\(field).\($0)", isEqual: true, "yes") }
      return combined(paths, decisive: true)
    }
    return each(folded[field], field) { values in lowered.contains { values.contains($0) } }
  }

  private func flag(_ path: String) -> [Bool?] {
    let halves = path.split(separator: ".", maxSplits: 1).map(String.init)
    guard halves.count == 2, let column = flags[halves[0]] else {
      preconditionFailure("the reference does not know \(path)")
    }
    let name = halves[1].lowercased()
    return column.map { $0?[name] }
  }

  private func flagged(_ path: String, _ isEqual: Bool, _ word: String) -> [Bool?] {
    let values = flag(path)
    if word == "unknown" { return values.map { ($0 == nil) == isEqual } }
    let wanted = word == "yes"
    return values.map { $0.map { ($0 == wanted) == isEqual } }
  }

  private func price(
    _ field: String, _ currency: String, _ holds: (Amount) -> Bool
  ) -> [Bool?] {
    guard let column = prices[field] else {
      preconditionFailure("the reference does not know \(field)")
    }
    return column.map { amount in
      guard let amount, amount.currency == currency else { return nil }
      return holds(amount)
    }
  }

  private func known(_ field: String) -> [Bool?] {
    if field.contains(".") { return flag(field).map { $0 != nil } }
    if let column = words[field] { return column.map { $0 != nil } }
    if let column = flags[field] { return column.map { $0 != nil } }
    if let column = numbers[field] { return column.map { $0 != nil } }
    if let column = prices[field] { return column.map { $0 != nil } }
    return (dates[field] ?? []).map { $0 != nil }
  }

  private func holds<T: Comparable>(_ value: T, _ sign: String, _ bound: T) -> Bool {
    switch sign {
    case "=": value == bound
    case "!=": value != bound
    case "<": value < bound
    case "<=": value <= bound
    case ">": value > bound
    default: value >= bound
    }
  }
}

extension Condition {
  /// The conditions that must all hold: the parts of a conjunction, or the condition itself.
  var conjuncts: [Condition] {
    if case .every(let parts) = self { parts.flatMap(\.conjuncts) } else { [self] }
  }

  /// The fields that it names; a flag counts as its field.
  var fields: Set<String> {
    switch self {
    case .every(let parts), .either(let parts): parts.reduce(into: []) { $0.formUnion($1.fields) }
    case .not(let part): part.fields
    case .word(let field, _, _), .oneOf(let field, _), .number(let field, _, _),
      .numbers(let field, _), .range(let field, _, _), .date(let field, _, _),
      .price(let field, _, _, _), .priceRange(let field, _, _, _), .dates(let field, _),
      .dateRange(let field, _, _), .prices(let field, _), .known(let field, _),
      .unknown(let field), .flagged(let field, _, _):
      [String(field.prefix { $0 != "." })]
    case .flag, .unknownFlag: ["features"]
    }
  }

  /// The fields of which it asks whether they are known.
  var askedFields: Set<String> {
    switch self {
    case .every(let parts), .either(let parts):
      parts.reduce(into: []) { $0.formUnion($1.askedFields) }
    case .not(let part): part.askedFields
    case .known, .unknown: fields
    default: []
    }
  }

  /// The words that it asks for, which a facet of its field shows as chosen.
  var chosenWords: [String] {
    switch self {
    case .word(_, let word, true): [word]
    case .oneOf(_, let words): words
    case .flag(let name, true): [name]
    case .flagged(let path, true, "yes"): [String(path.drop { $0 != "." }.dropFirst())]
    case .either(let parts): parts.flatMap(\.chosenWords)
    default: []
    }
  }
}
