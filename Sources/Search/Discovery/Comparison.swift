package import Primitives

/// Services side by side: every field with unknowns marked, what each costs for a usage, why one beats
/// another, and what would turn it.
package struct Comparison {
  /// The most services of one comparison.
  package static let serviceMax = 5

  /// One service of a comparison.
  package struct Subject: Sendable {
    package let id: String
    package let document: JSON
    package let offers: [OfferTerms]

    /// - Parameter document: The stored hit, with its offers.
    package init(id: String, document: JSON) {
      self.id = id
      self.document = document
      offers = (document["offers"]?.array ?? []).map { OfferTerms($0) }
    }
  }

  private let subjects: [Subject]
  private let usage: UsageProfile?
  private let fields: [ComparisonField]

  /// - Parameter subjects: Two to `serviceMax` of them; one is allowed and beats nobody.
  package init(_ subjects: [Subject], usage: UsageProfile?) {
    self.subjects = subjects
    self.usage = usage
    fields = ComparisonField.all(for: subjects.map(\.document))
  }

  /// The whole comparison as the API answers it.
  package var json: JSON {
    [
      "services": .array(subjects.map(summary)), "fields": .array(fields.map(row)),
      "prices": .array(priceRows()), "costs": .array(usage == nil ? [] : subjects.map(costs)),
      "reasons": .array(pairs()),
    ]
  }

  private func summary(_ subject: Subject) -> JSON {
    [
      "id": .string(subject.id), "name": subject.document["name"] ?? .null,
      "provider": subject.document["provider"] ?? .null,
      "revision": subject.document["revision"] ?? .null,
    ]
  }

  /// A value that is known, or the plain statement that it is not.
  static func state(_ value: JSON?) -> JSON {
    value.map { ["state": "known", "value": $0] } ?? ["state": "unknown"]
  }

  private func row(_ field: ComparisonField) -> JSON {
    let values = subjects.map { field.value($0.document) }
    let known = values.compactMap { $0 }
    let differs = known.dropFirst().contains { !ComparisonField.isSame($0, known[0]) }
    var best: [String] = []
    if differs {
      best = zip(subjects, values).filter { _, value in
        guard let value else { return false }
        let verdicts = known.map { field.isBetter($0, value) }
        return verdicts.contains { $0 != nil } && !verdicts.contains(true)
          && known.contains { field.isBetter(value, $0) == true }
      }.map(\.0.id)
    }
    return [
      "field": .string(field.name), "help": .string(field.help),
      "direction": .string(field.direction.rawValue), "differs": .bool(differs),
      "values": .array(values.map(Comparison.state)), "best": .strings(best),
    ]
  }

  /// The lowest price of each meter, by service; set side by side within one currency only.
  private func priceRows() -> [JSON] {
    var meters: Set<String> = []
    for subject in subjects { for offer in subject.offers { meters.formUnion(offer.rates.keys) } }
    return meters.sorted().prefix(40).map { meter in
      let lowest = subjects.map { LowestPrice(of: meter, in: $0.offers) }
      let currencies = Set(lowest.flatMap { $0.byCurrency.map(\.currency) })
      let best = zip(subjects, lowest).filter { subject, own in
        currencies.count == 1 && own.isBest(among: lowest)
      }
      return [
        "meter": .string(meter), "usageName": .string(UsageProfile.requestName(of: meter)),
        "comparable": .bool(currencies.count == 1), "direction": "lower",
        "values": .array(lowest.map(\.json)), "best": .strings(best.map(\.0.id)),
      ]
    }
  }

  private func costs(_ subject: Subject) -> JSON {
    guard let usage else { return .null }
    let answers = subject.offers.map { CostTable.answer($0, usage: usage) }
    let cheapest = CostTable.cheapest(subject.offers, usage: usage)
    return [
      "id": .string(subject.id),
      "offers": .array(
        zip(subject.offers, answers).map { offer, answer in
          .object(CostShape.object(offer, answer))
        }),
      "cheapest": .array(
        cheapest.map { place, quote in
          var object = CostShape.money(quote)
          object["offerId"] = .string(subject.offers[place].id)
          return .object(object)
        }),
    ]
  }

  /// For each ordered pair, what speaks for the first.
  private func pairs() -> [JSON] {
    subjects.indices.flatMap { left in
      subjects.indices.filter { $0 != left }.map { reasons(subjects[left], over: subjects[$0]) }
    }
  }

  private func reasons(_ winner: Subject, over other: Subject) -> JSON {
    var why: [JSON] = []
    var unknown: [JSON] = []
    for field in fields where field.direction != .none {
      switch (field.value(winner.document), field.value(other.document)) {
      case (let mine?, let theirs?):
        guard field.isBetter(mine, theirs) == true else { continue }
        why.append([
          "field": .string(field.name), "direction": .string(field.direction.rawValue),
          "value": mine, "other": theirs, "flip": flip(field, past: mine),
        ])
      case (nil, nil): continue
      case (let mine, _):
        unknown.append([
          "field": .string(field.name),
          "unknownFor": .string(mine == nil ? winner.id : other.id),
        ])
      }
    }
    let cost = usage.map { CostVerdict(winner, other, usage: $0) }
    if let reason = cost?.reason { why.insert(reason, at: 0) }
    return [
      "id": .string(winner.id), "over": .string(other.id), "why": .array(why),
      "cost": cost?.json ?? .null, "undecided": .array(unknown),
    ]
  }

  /// What the other one would have to reach for the reason to fall.
  private func flip(_ field: ComparisonField, past value: JSON) -> JSON {
    let needed =
      switch field.direction {
      case .higher: "at least"
      case .lower: "at most"
      case .yes, .more, .status, .none: "the same"
      }
    return ["other": .string(needed), "value": value]
  }
}
