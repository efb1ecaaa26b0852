import Catalog
import Primitives
import Search

/// One request against one world: what the engine answers beside what brute force says.
struct SearchCheck {
  private let made: RandomWorld
  private let text: ReferenceText
  private let placeOfID: [String: Int]
  /// Sets of services that match words, as the engine gives them with no condition.
  private var sets: [String: [Bool]] = [:]

  init(_ made: RandomWorld) {
    self.made = made
    text = ReferenceText(made.facts.services)
    placeOfID = Dictionary(
      uniqueKeysWithValues: made.facts.services.enumerated().map { ($1.id, $0) })
  }

  /// What is wrong with the answer to a request; empty where all is right.
  mutating func faults(of request: RandomRequest) throws -> [String] {
    let words = try set(of: request.query.words, isPrefix: request.isPrefix)
    var faults = try wordFaults(words, request)
    let walk = try made.world.walk(try request.made(), byCursor: request.byCursor)
    guard let first = walk.answers.first else { return ["no answer"] }

    let spoken = spoken(in: request)
    let understood = first.understood.map(\.expression.canonical)
    if understood != spoken.map(\.canonical) { faults.append("understood \(understood)") }
    let search = ReferenceSearch(
      made.facts, base: text.marked(words, request.query),
      parts: try parts(request, spoken, first.understood.map(\.label)))
    faults += walk.faults(expecting: search.ids)
    if first.unapplied.map(\.label) != search.unapplied {
      faults.append("not applied \(first.unapplied.map(\.label)), expected \(search.unapplied)")
    }
    let drops = first.relaxations.map(ReferenceSearch.Drop.init)
    if drops != search.drops { faults.append("to drop \(drops), expected \(search.drops)") }
    if first.facets.map(\.field) != request.facets { faults.append("other facets") }
    for facet in first.facets { faults += search.faults(of: facet, limit: request.facetLimit) }
    faults += orderFaults(walk, request, search)
    for hit in walk.hits { faults += try hitFaults(hit, request, search) }
    return faults
  }

  /// The services that match words, by their place: every page of the search for the words alone.
  private mutating func set(of words: String, isPrefix: Bool) throws -> [Bool] {
    let key = words + (isPrefix ? "*" : "")
    if let known = sets[key] { return known }
    var request = SearchRequest()
    request.query = words
    request.understands = false
    request.isPrefix = isPrefix
    request.limit = SearchRequest.limitMax
    var set = [Bool](repeating: false, count: made.facts.services.count)
    for id in try made.world.walk(request).ids {
      if let place = placeOfID[id] { set[place] = true }
    }
    sets[key] = set
    return set
  }

  private mutating func wordFaults(_ set: [Bool], _ request: RandomRequest) throws -> [String] {
    if request.isPrefix { return [] }
    if let meant = request.query.meant, text.isHeard(meant) {
      let right = try self.set(of: meant, isPrefix: false)
      return right == set ? [] : ["\(request.query.words) finds other services than \(meant)"]
    }
    guard request.query.isPlain else { return [] }
    let words = request.query.words.split(separator: " ").map(String.init)
    if words.isEmpty { return set.contains(false) ? ["an empty query leaves services out"] : [] }
    return text.faults(of: set, words: words)
  }

  /// The spoken conditions that explicit ones leave room for, in their order.
  private func spoken(in request: RandomRequest) -> [SpokenCondition] {
    let explicit = request.conditions.reduce(into: Set<String>()) { $0.formUnion($1.fields) }
    return request.query.spoken.filter { $0.condition.fields.isDisjoint(with: explicit) }
  }

  private func parts(
    _ request: RandomRequest, _ spoken: [SpokenCondition], _ labels: [String]
  ) throws -> [ReferenceSearch.Part] {
    func part(_ condition: Condition, _ label: String?, isSpoken: Bool = false) throws
      -> ReferenceSearch.Part
    {
      let canonical = try FilterParser.parse(condition.text)?.canonical ?? ""
      return ReferenceSearch.Part(
        condition: condition, canonical: canonical, label: label ?? canonical, isSpoken: isSpoken,
        truth: made.facts.truth(of: condition))
    }
    return try request.conditions.map { try part($0, nil) }
      + request.chips.enumerated().map { try part($1, "chip \($0)") }
      + zip(spoken, labels).map { try part($0.condition, $1, isSpoken: true) }
  }

  /// Neighbours stand in the order of the keys, and by id where those are equal.
  private func orderFaults(
    _ walk: Walk, _ request: RandomRequest, _ search: ReferenceSearch
  ) -> [String] {
    let keys = request.order.isEmpty ? [OrderKey.all[0]] : request.order
    let values = walk.hits.map { hit -> [OrderKey.Value] in
      let rows = rows(of: hit, search)
      guard !rows.isEmpty else { return [] }
      return keys.map { $0.value(made.facts, rows, score: hit.score) }
    }
    for place in walk.hits.indices.dropFirst() {
      let (one, other) = (values[place - 1], values[place])
      guard one.count == other.count else { continue }
      let (left, right) = (walk.hits[place - 1].id, walk.hits[place].id)
      let first = keys.indices.first { one[$0] != other[$0] }
      let isRight = first.map { keys[$0].precedes(one[$0], other[$0]) } ?? (left < right)
      if !isRight { return ["\(left) \(one) stands before \(right) \(other)"] }
    }
    return []
  }

  /// The rows of a hit's service that match every condition.
  private func rows(of hit: Hit, _ search: ReferenceSearch) -> [Int] {
    guard let place = placeOfID[hit.id] else { return [] }
    return made.facts.rowsOfService[place].filter { search.passes($0, search.parts) }
  }

  private func hitFaults(
    _ hit: Hit, _ request: RandomRequest, _ search: ReferenceSearch
  ) throws -> [String] {
    var faults = try offerFaults(hit, search)
    if request.explains { faults += explanationFaults(hit) }
    if request.highlights { faults += highlightFaults(hit) }
    return faults.map { "\(hit.id): " + $0 }
  }

  /// The best offer matches, and no offer that matches costs less in the same currency.
  private func offerFaults(_ hit: Hit, _ search: ReferenceSearch) throws -> [String] {
    let rows = rows(of: hit, search).filter { made.facts.offerIDs[$0] != nil }
    if hit.offer.isEmpty { return rows.isEmpty ? [] : ["no offer, where some match"] }
    let id = try JSON.parse(hit.offer)["id"]?.string
    guard let row = rows.first(where: { made.facts.offerIDs[$0] == id }) else {
      return ["its offer \(id ?? "without id") does not match"]
    }
    let prices = made.facts.prices["price"] ?? []
    let given = prices[row]
    let cheaper = rows.contains { other in
      guard let price = prices[other] else { return false }
      guard let given else { return true }
      return price.currency == given.currency && price.value < given.value
    }
    return cheaper ? ["its offer \(id ?? "") is not the cheapest"] : []
  }

  private func explanationFaults(_ hit: Hit) -> [String] {
    let notParts: Set<String> = ["queryClass", "weights", "sum"]
    let members = hit.explanation?.object?.members ?? []
    guard !members.isEmpty else { return ["no explanation"] }
    let sum = members.filter { !notParts.contains($0.key) }
      .reduce(0) { $0 + ($1.value.double ?? 0) }
    return abs(sum - hit.score) <= 1e-5 ? [] : ["its parts add up to \(sum), not \(hit.score)"]
  }

  /// Highlights are rising ranges inside the hit's own texts, between whole characters of Unicode.
  private func highlightFaults(_ hit: Hit) -> [String] {
    guard let place = placeOfID[hit.id] else { return ["is not in the catalog"] }
    guard let fields = hit.highlights?.object else { return ["no highlights"] }
    var faults: [String] = []
    for field in fields.members {
      let units = Array((made.facts.services[place].text(field.key) ?? "").utf16)
      var end = 0
      for range in field.value.array ?? [] {
        let start = Int(range["start"]?.int ?? -1)
        let stop = Int(range["end"]?.int ?? -1)
        guard start >= end, stop > start, stop <= units.count else {
          faults.append("\(field.key) is marked from \(start) to \(stop) of \(units.count)")
          break
        }
        let edges = [start, stop].filter { $0 < units.count }
        if edges.contains(where: { UTF16.isTrailSurrogate(units[$0]) }) {
          faults.append("\(field.key) is marked inside a character")
        }
        end = stop
      }
    }
    return faults
  }
}
