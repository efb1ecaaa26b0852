internal import Catalog
internal import Primitives
internal import Search

/// The JSON of the end points around a search, in and out.
enum DiscoveryShapes {
  /// Collects what is wrong with a body.
  struct Reader {
    let body: JSON
    var faults: [Refusal.Field] = []

    mutating func text(_ name: String, characterMax: Int = 1_000) -> String? {
      guard let value = body[name], value != .null else { return nil }
      guard let text = value.string, text.unicodeScalars.count <= characterMax else {
        faults.append(.init("/" + name, "must be text of at most \(characterMax) characters"))
        return nil
      }
      return text
    }

    mutating func integer(_ name: String, _ range: ClosedRange<Int64>, _ fallback: Int64) -> Int64 {
      guard let value = body[name], value != .null else { return fallback }
      if let number = value.int, range.contains(number) { return number }
      faults.append(
        .init("/" + name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)"))
      return fallback
    }

    /// Different ids, from the least to the greatest count; nil where the field is absent.
    mutating func ids(_ name: String, _ counts: ClosedRange<Int>) -> [String]? {
      guard let value = body[name], value != .null else { return nil }
      let words = value.array?.compactMap(\.string) ?? []
      guard words.count == value.array?.count, counts.contains(words.count),
        Set(words).count == words.count
      else {
        faults.append(
          .init(
            "/" + name,
            "must be a list of \(counts.lowerBound) to \(counts.upperBound) different ids"))
        return nil
      }
      return words
    }

    mutating func fail(_ pointer: String, _ reason: String) {
      faults.append(.init(pointer, reason))
    }

    func finish(_ what: String) throws(Refusal) {
      guard faults.isEmpty else {
        throw Refusal(.validationFailed, "The \(what) is not valid.", fields: faults)
      }
    }
  }

  /// A usage with its lowest, expected and highest counts.
  struct UsageRange {
    var low: UsageProfile
    var expected: UsageProfile
    var high: UsageProfile
  }

  /// Reads `usage`: each count a whole number, or `{low, expected, high}`; `meters` has those without a name
  /// of their own; `months` says how many such months.
  static func usage(_ reader: inout Reader) -> UsageRange? {
    guard let value = reader.body["usage"], value != .null else { return nil }
    guard let object = value.object else {
      reader.fail("/usage", "must be an object of counts")
      return nil
    }
    var counts: [(meter: String, low: Int64, expected: Int64, high: Int64)] = []
    var months: Int64 = 1
    for member in object.members {
      if member.key == "months" {
        months = member.value.int ?? 0
        if !(1...UsageProfile.monthsMax).contains(months) {
          reader.fail("/usage/months", "must be a whole number from 1 to \(UsageProfile.monthsMax)")
          months = 1
        }
      } else if member.key == "meters" {
        guard let meters = member.value.object?.members else {
          reader.fail("/usage/meters", "must be an object of counts")
          continue
        }
        for meter in meters {
          add(meter.key, meter.value, "/usage/meters/" + meter.key, to: &counts, &reader)
        }
      } else if let name = UsageProfile.names.first(where: { $0.request == member.key }) {
        add(name.meter, member.value, "/usage/" + member.key, to: &counts, &reader)
      } else {
        let known = UsageProfile.names.map(\.request) + ["meters", "months"]
        reader.fail("/usage/" + member.key, "is not known; use " + known.joined(separator: ", "))
      }
    }
    if counts.count > UsageProfile.meterMax {
      reader.fail("/usage", "must have at most \(UsageProfile.meterMax) counts")
    }
    guard reader.faults.isEmpty else { return nil }
    func profile(_ pick: ((meter: String, low: Int64, expected: Int64, high: Int64)) -> Int64)
      -> UsageProfile
    {
      UsageProfile(
        Dictionary(counts.map { ($0.meter, pick($0)) }, uniquingKeysWith: { $1 }), months: months)
    }
    return UsageRange(
      low: profile { $0.low }, expected: profile { $0.expected }, high: profile { $0.high })
  }

  private static func add(
    _ meter: String, _ value: JSON, _ pointer: String,
    to counts: inout [(meter: String, low: Int64, expected: Int64, high: Int64)],
    _ reader: inout Reader
  ) {
    let range: ClosedRange<Int64> = 0...UsageProfile.countMax
    let expected = value.int ?? value["expected"]?.int ?? -1
    let low = value["low"].map { $0.int ?? -1 } ?? expected
    let high = value["high"].map { $0.int ?? -1 } ?? expected
    let strangers = (value.object?.keys ?? []).filter { !["low", "expected", "high"].contains($0) }
    guard range.contains(low), range.contains(high), low <= expected, expected <= high,
      strangers.isEmpty, meter.utf8.count <= 40, !meter.isEmpty
    else {
      reader.fail(
        pointer,
        "must be a whole number from 0 to \(UsageProfile.countMax), or {low, expected, high} rising"
      )
      return
    }
    counts.append((meter, low, expected, high))
  }

  static func json(_ usage: UsageProfile) -> JSON {
    var object: JSONObject = [:]
    for (meter, count) in usage.counts.sorted(by: { $0.key < $1.key }) {
      object[UsageProfile.requestName(of: meter)] = .int(count)
    }
    object["months"] = .int(usage.months)
    return .object(object)
  }

  /// One service with the cost of each of its offers.
  static func costs(_ subject: Comparison.Subject, _ usage: UsageRange) -> JSON {
    [
      "id": .string(subject.id), "name": subject.document["name"] ?? .null,
      "provider": subject.document["provider"] ?? .null,
      "offers": .array(
        subject.offers.map {
          CostShape.range($0, low: usage.low, expected: usage.expected, high: usage.high)
        }),
      "cheapest": .array(
        CostTable.cheapest(subject.offers, usage: usage.expected).map { place, quote in
          var object = CostShape.money(quote)
          object["offerId"] = .string(subject.offers[place].id)
          return .object(object)
        }),
    ]
  }

  static func json(_ suggestions: Suggestions) -> JSON {
    [
      "queries": .array(
        suggestions.queries.map {
          ["text": .string($0.text), "kind": .string($0.kind.rawValue)]
        }),
      "services": .array(
        suggestions.services.map {
          [
            "id": .string($0.id), "name": .string($0.name), "provider": .optional($0.provider),
            "match": .string(word(for: $0.match)),
          ]
        }),
      "values": .array(
        suggestions.values.map {
          [
            "field": .string($0.field), "value": .string($0.value), "count": .number($0.count),
            "filter": .string($0.filter),
          ]
        }),
    ]
  }

  private static func word(for match: Suggestions.Service.Match) -> String {
    switch match {
    case .name: "name"
    case .start: "start"
    case .word: "word"
    case .typo: "typo"
    }
  }

  /// A labelled range of prices.
  static func range(_ range: PriceRanges.Range) -> JSON {
    [
      "label": .string(range.label), "fromNano": range.fromNano.map(JSON.int) ?? .null,
      "toNano": range.toNano.map(JSON.int) ?? .null, "count": .number(range.count),
    ]
  }
}
