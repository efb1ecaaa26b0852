package import Primitives

/// A service with its sort values, kept in a bounded heap.
struct RankedService {
  let place: Place
  let id: String
  let score: Float
  /// Values of the sort keys, in their order.
  let keys: [Key]

  enum Key: Equatable {
    /// Already turned so that less comes first; infinity for unknown.
    case number(Double)
    case name(String, isDescending: Bool)

    func precedes(_ other: Key) -> Bool {
      switch (self, other) {
      case (.number(let a), .number(let b)): a < b
      case (.name(let a, let isDescending), .name(let b, _)): isDescending ? a > b : a < b
      default: false
      }
    }
  }

  static func precedes(_ left: RankedService, _ right: RankedService) -> Bool {
    for (a, b) in zip(left.keys, right.keys) where a != b { return a.precedes(b) }
    return left.id < right.id
  }
}

/// The first so many of a stream by order, in memory of that many.
struct BoundedHeap {
  private let capacity: Int
  private var items: [RankedService] = []

  init(capacity: Int) { self.capacity = capacity }

  /// Whether an item with this first key could still get in.
  mutating func insert(_ item: RankedService) {
    if items.count < capacity {
      items.append(item)
      siftUp(items.count - 1)
    } else if capacity > 0, RankedService.precedes(item, items[0]) {
      items[0] = item
      siftDown(0)
    }
  }

  func sorted() -> [RankedService] { items.sorted(by: RankedService.precedes) }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard RankedService.precedes(items[parent], items[child]) else { return }
      items.swapAt(parent, child)
      child = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while true {
      var last = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < items.count && RankedService.precedes(items[last], items[child]) {
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
    var heap = BoundedHeap(capacity: end)
    let bonus = snapshot.configuration.nameBonus
    let sort =
      request.sort.isEmpty ? [SortKey(field: "relevance", isDescending: true)] : request.sort
    for (number, segment) in snapshot.segments.enumerated() {
      matching[number].forEach { index in
        let place = Place(segment: number, index: index)
        let score = relevance.score(place, bonus: bonus)
        heap.insert(
          RankedService(
            place: place, id: segment.ids[index], score: score,
            keys: sort.map { key(of: $0, place, score, rows[number]) }))
      }
    }
    let page = heap.sorted().dropFirst(request.offset)
    output.hits = page.map { hit($0, rows[$0.place.segment], relevance) }
    if end < output.total { output.nextOffset = end }
  }

  private func key(of sort: SortKey, _ place: Place, _ score: Float, _ rows: Bitset)
    -> RankedService.Key
  {
    if sort.field == "relevance" { return .number(-Double(score)) }
    let segment = snapshot.segments[place.segment]
    if sort.field == "name" {
      return .name(segment.names[place.index].lowercased(), isDescending: sort.isDescending)
    }
    guard let column = segment.columns[sort.field] else { return .number(.infinity) }
    let range = Int(segment.rowStarts[place.index])..<Int(segment.rowStarts[place.index + 1])
    // Of several offers the one that sorts first stands for the service; unknown comes last either way.
    let values = range.filter { rows[$0] }.compactMap { column.number($0) }
    return .number(values.map { sort.isDescending ? -$0 : $0 }.min() ?? .infinity)
  }

  private func hit(_ ranked: RankedService, _ rows: Bitset, _ relevance: Relevance) -> Hit {
    let place = ranked.place
    let segment = snapshot.segments[place.segment]
    let best = bestOffer(segment, place, rows)
    let text = relevance.text.isEmpty ? 0 : relevance.text[place.segment][place.index]
    let vector = relevance.vector.isEmpty ? 0 : relevance.vector[place.segment][place.index]
    let service = segment.documents[place.index]
    return Hit(
      id: ranked.id, name: segment.names[place.index], place: place, service: service,
      offer: best.row.map { segment.offers[$0] } ?? [], offerReason: best.reason,
      score: Double(ranked.score), textScore: Double(text), vectorScore: Double(vector),
      cost: request.usage.flatMap { usage in best.row.flatMap { cost(segment.offers[$0], usage) } },
      highlights: request.highlights ? highlight(service) : nil,
      explanation: request.explains ? explain(ranked, relevance, text, vector) : nil)
  }

  /// The cheapest of the offers that match, by `price`; the first where none states one.
  private func bestOffer(
    _ segment: Segment, _ place: Place, _ rows: Bitset
  ) -> (row: Int?, reason: String?) {
    let range = Int(segment.rowStarts[place.index])..<Int(segment.rowStarts[place.index + 1])
    let matching = range.filter { rows[$0] && !segment.offers[$0].isEmpty }
    guard let first = matching.first else { return (nil, nil) }
    guard let column = segment.columns["price"] else { return (first, nil) }
    let priced = matching.compactMap { row in column.number(row).map { (row, $0) } }
    guard let best = priced.min(by: { ($0.1, $0.0) < ($1.1, $1.0) }) else {
      return (first, matching.count == 1 ? "the only matching offer" : "price not stated")
    }
    return (
      best.0,
      matching.count == 1
        ? "the only matching offer" : "the lowest price of \(matching.count) matching offers"
    )
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
