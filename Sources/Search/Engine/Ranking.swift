package import Primitives

/// A service with its sort values, kept in a bounded heap.
struct RankedService {
  let place: Place
  let score: Float
  /// Values of the sort keys, in their order.
  let keys: [Key]

  enum Key: Equatable {
    /// Already turned so that less comes first; amounts of different currencies stay apart; unknown comes last.
    case number(Double, currency: Int8)
    case name(String, isDescending: Bool)

    static let unknown = Key.number(.infinity, currency: .max)

    func precedes(_ other: Key) -> Bool {
      switch (self, other) {
      case (.number(let a, let left), .number(let b, let right)): (left, a) < (right, b)
      case (.name(let a, let isDescending), .name(let b, _)): isDescending ? a > b : a < b
      default: false
      }
    }
  }
}

/// The order of an answer: its sort keys, then ids.
struct RankOrder {
  let snapshot: Snapshot
  let sort: [SortKey]
  let usage: Usage?
  /// Rows that match, by segment: only their offers count.
  let rows: [Bitset]

  func precedes(_ left: RankedService, _ right: RankedService) -> Bool {
    for (a, b) in zip(left.keys, right.keys) where a != b { return a.precedes(b) }
    return snapshot.precedes(left.place, right.place)
  }

  func ranked(_ place: Place, _ score: Float) -> RankedService {
    RankedService(place: place, score: score, keys: sort.map { key(of: $0, place, score) })
  }

  func key(of sort: SortKey, _ place: Place, _ score: Float) -> RankedService.Key {
    if sort.field == "relevance" { return .number(-Double(score), currency: 0) }
    let segment = snapshot.segments[place.segment]
    if sort.field == "name" {
      return .name(segment.name(place.index).lowercased(), isDescending: sort.isDescending)
    }
    let rows = rows[place.segment]
    var best = RankedService.Key.unknown
    // Of several offers the one that sorts first stands for the service.
    for row in segment.rows(of: place.index) where rows[row] {
      guard let (value, currency) = value(sort.field, segment, row) else { continue }
      let key = RankedService.Key.number(sort.isDescending ? -value : value, currency: currency)
      if key.precedes(best) { best = key }
    }
    return best
  }

  private func value(_ field: String, _ segment: Segment, _ row: Int) -> (Double, Int8)? {
    if field == "cost" { return usage.flatMap { CostEstimate.cost($0, segment, row: row) } }
    guard let column = segment.column(field), let value = column.number(row) else { return nil }
    return (value, column.unit(row))
  }
}

/// The first so many of a stream by order, in memory of that many.
struct BoundedHeap {
  private let capacity: Int
  private let order: RankOrder
  private var items: [RankedService] = []

  init(capacity: Int, order: RankOrder) {
    self.capacity = capacity
    self.order = order
  }

  /// Takes an item where it is among the first; most are refused by their first key alone.
  mutating func insert(_ place: Place, _ score: Float) {
    if items.count < capacity {
      items.append(order.ranked(place, score))
      siftUp(items.count - 1)
      return
    }
    guard let worst = items.first, let key = order.sort.first,
      !worst.keys[0].precedes(order.key(of: key, place, score))
    else { return }
    let item = order.ranked(place, score)
    if order.precedes(item, worst) {
      items[0] = item
      siftDown(0)
    }
  }

  func sorted() -> [RankedService] { items.sorted(by: order.precedes) }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard order.precedes(items[parent], items[child]) else { return }
      items.swapAt(parent, child)
      child = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while true {
      var last = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < items.count && order.precedes(items[last], items[child]) {
        last = child
      }
      guard last != parent else { return }
      items.swapAt(parent, last)
      parent = last
    }
  }
}

extension SearchRun {
  /// Orders the set and fills the page.
  mutating func rank(_ matching: [Bitset], _ rows: [Bitset], _ relevance: Relevance) throws {
    let end = request.offset + request.limit
    let sort =
      request.sort.isEmpty ? [SortKey(field: "relevance", isDescending: true)] : request.sort
    let order = RankOrder(snapshot: snapshot, sort: sort, usage: request.usage, rows: rows)
    let placed = placements(matching)
    let isSpread = request.diversify && sort.first?.field == "relevance"
    let capacity = isSpread ? max(end, Diversifier.window) : end
    var heap = BoundedHeap(capacity: capacity, order: order)
    var shown: [Place: RankedService] = [:]
    func take(_ place: Place, _ score: Float) {
      if placed.contains(where: { $0.place == place }) {
        shown[place] = order.ranked(place, score)
      } else {
        heap.insert(place, score)
      }
    }
    let bonus = snapshot.configuration.nameBonus
    for number in snapshot.segments.indices {
      guard !relevance.candidates.isEmpty else {
        matching[number].forEach { take(Place(segment: number, index: $0), 0) }
        continue
      }
      let candidates = relevance.candidates[number]
      for (at, service) in candidates.services.enumerated() where matching[number][Int(service)] {
        let place = Place(segment: number, index: Int(service))
        let mixed = relevance.mixed(candidates.text[at], candidates.vector[at])
        take(place, relevance.named.contains(place) ? mixed + bonus : mixed)
      }
    }
    let head = isSpread ? spread(heap.sorted()) : heap.sorted()
    let items = head.map { (ranked: $0, label: Placement.Label?.none) }
    let inserted = placed.compactMap { one in
      shown[one.place].map {
        (
          item: (ranked: $0, label: Placement.Label?.some(one.placed.label)),
          index: one.placed.index
        )
      }
    }
    let page = Placements.merge(organic: items, placed: inserted).prefix(end)
      .dropFirst(request.offset)
    output.hits = page.map { item in
      var hit = hit(item.ranked, rows[item.ranked.place.segment], relevance)
      hit.label = item.label
      return hit
    }
    if end < output.total, request.limit > 0 { output.nextOffset = end }
  }

  /// The placements that this search shows, with where their services are.
  private func placements(_ matching: [Bitset]) -> [(placed: Placements.Placed, place: Place)] {
    let chosen = Placements.chosen(for: request, from: request.placements) { id in
      snapshot.place(of: id).map { matching[$0.segment][$0.index] } ?? false
    }
    return chosen.compactMap { one in snapshot.place(of: one.serviceID).map { (one, $0) } }
  }

  private func spread(_ head: [RankedService]) -> [RankedService] {
    let providers = head.map { ranked -> String in
      let segment = snapshot.segments[ranked.place.segment]
      let row = segment.rows(of: ranked.place.index).lowerBound
      return segment.column("providerId")?.words(row).first ?? ""
    }
    return Diversifier.order(scores: head.map { Double($0.score) }, providers: providers)
      .map { head[$0] }
  }

  private func hit(_ ranked: RankedService, _ rows: Bitset, _ relevance: Relevance) -> Hit {
    let place = ranked.place
    let segment = snapshot.segments[place.segment]
    let best = bestOffer(segment, place, rows)
    let (text, vector) = relevance.scores(place)
    let service = segment.document(place.index)
    return Hit(
      id: segment.id(place.index), name: segment.name(place.index), place: place, service: service,
      offer: best.row.map(segment.offer(row:)) ?? [], offerReason: best.reason,
      score: Double(ranked.score), textScore: Double(text), vectorScore: Double(vector),
      cost: request.usage.flatMap { usage in
        best.row.flatMap { cost(segment.offer(row: $0), usage) }
      },
      highlights: request.highlights ? highlight(service) : nil,
      explanation: request.explains ? explain(ranked, relevance, text, vector) : nil)
  }

  /// The cheapest of the offers that match: by what the caller's usage costs, else by `price`; the first where
  /// none states one.
  private func bestOffer(
    _ segment: Segment, _ place: Place, _ rows: Bitset
  ) -> (row: Int?, reason: String?) {
    let matching = segment.rows(of: place.index).filter { rows[$0] && segment.hasOffer(row: $0) }
    guard let first = matching.first else { return (nil, nil) }
    let costs = matching.compactMap { row in
      request.usage.flatMap { CostEstimate.cost($0, segment, row: row) }.map { (row, $0) }
    }
    let prices = matching.compactMap { row -> (Int, (Double, Int8))? in
      guard let column = segment.column("price"), let price = column.number(row) else { return nil }
      return (row, (price, column.unit(row)))
    }
    let known = costs.isEmpty ? prices : costs
    // Amounts of different currencies are not compared: those of the first currency stand before the others.
    let best = known.min { ($0.1.1, $0.1.0, $0.0) < ($1.1.1, $1.1.0, $1.0) }
    guard let best else {
      return (first, matching.count == 1 ? "the only matching offer" : "price not stated")
    }
    guard matching.count > 1 else { return (best.0, "the only matching offer") }
    let what = costs.isEmpty ? "price" : "cost for your usage"
    return (best.0, "the lowest \(what) of \(matching.count) matching offers")
  }

  private func explain(
    _ ranked: RankedService, _ relevance: Relevance, _ text: Float, _ vector: Float
  ) -> JSON {
    let share = Double(relevance.vectorShare)
    let bonus =
      relevance.named.contains(ranked.place) ? Double(snapshot.configuration.nameBonus) : 0
    return [
      "queryClass": .string(output.queryClass.rawValue), "vectorShare": .double(share),
      "text": .double((1 - share) * Double(text)), "vector": .double(share * Double(vector)),
      "name": .double(bonus), "sum": .double(Double(ranked.score)),
    ]
  }

  private func highlight(_ service: [UInt8]) -> JSON {
    let wanted = Set(analyzer.queryTerms(request.query))
    var output = JSONObject()
    for (field, text) in HighlightText.texts(of: service) {
      let bytes = Array(text.utf8)
      var ranges: [JSON] = []
      for (token, range) in analyzer.ranges(text) where wanted.contains(token) && ranges.count < 50
      {
        // Offsets in UTF-16 units, as a browser counts.
        let start = String(decoding: bytes[..<range.lowerBound], as: UTF8.self).utf16.count
        let length = String(decoding: bytes[range], as: UTF8.self).utf16.count
        ranges.append(["start": .number(start), "end": .number(start + length)])
      }
      if !ranges.isEmpty { output[field] = .array(ranges) }
    }
    return .object(output)
  }

  private func cost(_ offer: [UInt8], _ usage: Usage) -> Money? {
    CostEstimate.cost(ofOffer: offer, usage: usage)
  }

  static func unknownFacet(_ name: String) -> Refusal {
    let known = IndexField.all.filter(\.isFacet).map(\.name)
    let near = Spelling.nearest(to: String(name.prefix(64)), in: known)
    return Refusal(
      .validationFailed, "There is no facet \(name.prefix(64)).",
      fields: [.init("/facets", "must name facets" + (near.map { ", perhaps \($0)" } ?? ""))])
  }
}

/// The texts of a stored hit that people read.
enum HighlightText {
  static func texts(of service: [UInt8]) -> [(field: String, text: String)] {
    guard let json = try? JSON.parse(service) else { return [] }
    return ["name", "tagline", "description"].compactMap { field in
      json[field]?.string.map { (field, $0) }
    }
  }
}

/// What a month of use costs under an offer.
package enum CostEstimate {
  /// The cost in billionths as a sort value with the currency's code, or nil where a needed price is not stated.
  static func cost(_ usage: Usage, _ segment: Segment, row: Int) -> (Double, Int8)? {
    var total = 0.0
    var currency: Int8?
    for (field, count) in [
      ("inputPrice", usage.promptTokens), ("outputPrice", usage.completionTokens),
    ] where count > 0 {
      guard let column = segment.column(field), let price = column.number(row),
        currency == nil || currency == column.unit(row)
      else { return nil }
      currency = column.unit(row)
      total += price * Double(count) / 1e6
    }
    return currency.map { (total, $0) }
  }

  /// The cost in billionths, or nil where a needed price is not stated or the sum does not fit.
  package static func cost(ofOffer offer: [UInt8], usage: Usage) -> Money? {
    guard let json = try? JSON.parse(offer) else { return nil }
    let prices = json["prices"]?.array ?? []
    var total: Int64 = 0
    var currency: String?
    for (meter, count) in [
      ("inputToken", usage.promptTokens), ("outputToken", usage.completionTokens),
    ]
    where count > 0 {
      guard let price = prices.first(where: { $0["meter"]?.string == meter }),
        let nano = price["amountNano"]?.int, nano >= 0, let per = price["per"]?.int, per > 0,
        let unit = price["currency"]?.string, currency == nil || currency == unit
      else { return nil }
      currency = unit
      let wide = UInt64(nano).multipliedFullWidth(by: UInt64(count))
      guard wide.high < UInt64(per),
        let part = Int64(exactly: UInt64(per).dividingFullWidth(wide).quotient)
      else { return nil }
      let (sum, overflow) = total.addingReportingOverflow(part)
      guard !overflow else { return nil }
      total = sum
    }
    return currency.map { Money(amountNano: total, currency: $0) }
  }
}
