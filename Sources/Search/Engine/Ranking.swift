internal import Primitives

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
    /// The greater first: the range of the score, inside it the quality prior, then the score.
    case relevance(bucket: Float, prior: Float, score: Float)

    static let unknown = Key.number(.infinity, currency: .max)

    func precedes(_ other: Key) -> Bool {
      switch (self, other) {
      case (.number(let a, let left), .number(let b, let right)): (left, a) < (right, b)
      case (.name(let a, let isDescending), .name(let b, _)): isDescending ? a > b : a < b
      case (.relevance(let a, let b, let c), .relevance(let d, let e, let f)):
        (d, e, f) < (a, b, c)
      default: false
      }
    }
  }
}

/// The order of an answer: its sort keys, then ids.
struct RankOrder {
  let snapshot: Snapshot
  let sort: [SortKey]
  /// Rows that match, by segment: only their offers count.
  let rows: [Bitset]
  /// By segment; empty where nothing is sorted by cost.
  private let costs: [CostColumns]
  /// Whether relevance is the score alone.
  private var isByScore = false

  init(snapshot: Snapshot, sort: [SortKey], usage: UsageProfile?, rows: [Bitset]) {
    self.snapshot = snapshot
    self.sort = sort
    self.rows = rows
    if let usage, sort.contains(where: { $0.field == "cost" }) {
      costs = snapshot.segments.map { CostColumns($0, usage: usage) }
    } else {
      costs = []
    }
  }

  /// The same order without the quality prior.
  var byScore: RankOrder {
    var order = self
    order.isByScore = true
    return order
  }

  func precedes(_ left: RankedService, _ right: RankedService) -> Bool {
    for (a, b) in zip(left.keys, right.keys) where a != b { return a.precedes(b) }
    return snapshot.precedes(left.place, right.place)
  }

  func ranked(_ place: Place, _ score: Float) -> RankedService {
    RankedService(place: place, score: score, keys: sort.map { key(of: $0, place, score) })
  }

  func key(of sort: SortKey, _ place: Place, _ score: Float) -> RankedService.Key {
    if sort.field == "relevance" {
      if isByScore { return .number(-Double(score), currency: 0) }
      return .relevance(
        bucket: snapshot.configuration.bucket(of: score), prior: snapshot.prior(place),
        score: score)
    }
    let segment = snapshot.segments[place.segment]
    if sort.field == "name" {
      return .name(segment.name(place.index).lowercased(), isDescending: sort.isDescending)
    }
    let rows = rows[place.segment]
    var best = RankedService.Key.unknown
    // Of several offers the one that sorts first stands for the service.
    for row in segment.rows(of: place.index) where rows[row] {
      guard let (value, currency) = value(sort.field, place.segment, row) else { continue }
      let key = RankedService.Key.number(sort.isDescending ? -value : value, currency: currency)
      if key.precedes(best) { best = key }
    }
    return best
  }

  private func value(_ field: String, _ number: Int, _ row: Int) -> (Double, Int8)? {
    if field == "cost" { return costs.isEmpty ? nil : costs[number].cost(row: row) }
    guard let column = snapshot.segments[number].column(field), let value = column.number(row)
    else { return nil }
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
  /// - Returns: What is not, or no longer, among the first: the item itself or the one that gave way to it.
  @discardableResult
  mutating func insert(_ place: Place, _ score: Float) -> (place: Place, score: Float)? {
    if items.count < capacity {
      items.append(order.ranked(place, score))
      siftUp(items.count - 1)
      return nil
    }
    guard let worst = items.first, let key = order.sort.first,
      !worst.keys[0].precedes(order.key(of: key, place, score))
    else { return (place, score) }
    let item = order.ranked(place, score)
    guard order.precedes(item, worst) else { return (place, score) }
    items[0] = item
    siftDown(0)
    return (worst.place, worst.score)
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

/// The head of an order whose best by score are scored again: those, in the order of their new scores, and
/// behind them the others. Both parts depend on the whole set alone and not on the page.
struct RankedHead {
  private let order: RankOrder
  private let rescoring: Rescoring?
  private var best: BoundedHeap
  private var others: BoundedHeap

  /// - Parameters:
  ///   - count: How long the head must be.
  ///   - rescoring: nil where nothing is scored again.
  init(count: Int, order: RankOrder, rescoring: Rescoring?, rescoredCount: Int) {
    self.order = order
    self.rescoring = rescoring
    let again = rescoring == nil ? 0 : rescoredCount
    // By the score alone: quality decides between hits, and not which of them are looked at closely.
    best = BoundedHeap(capacity: again, order: order.byScore)
    others = BoundedHeap(capacity: max(0, count - again), order: order)
  }

  mutating func insert(_ place: Place, _ score: Float) {
    if let other = best.insert(place, score) { others.insert(other.place, other.score) }
  }

  func sorted() -> [RankedService] {
    guard let rescoring else { return others.sorted() }
    let again = best.sorted().map { item in
      let gain = rescoring.gain(item.place)
      return order.ranked(item.place, item.score + gain.sentence + gain.pair)
    }
    return again.sorted(by: order.precedes) + others.sorted()
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
    let rescoring = Rescoring(snapshot, relevance)
    let isRescored = sort.first?.field == "relevance" && rescoring.isNeeded
    var first = RankedHead(
      count: max(end, isSpread ? Diversifier.window : 0), order: order,
      rescoring: isRescored ? rescoring : nil, rescoredCount: snapshot.configuration.rescoredCount)
    var shown: [Place: RankedService] = [:]
    func take(_ place: Place, _ score: Float) {
      if placed.contains(where: { $0.place == place }) {
        shown[place] = order.ranked(place, score)
      } else {
        first.insert(place, score)
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
    let sorted = first.sorted()
    let page = page(isSpread ? spread(sorted) : sorted, placed, shown)
    output.hits = page.map { item in
      var hit = hit(item.ranked, rows[item.ranked.place.segment], relevance)
      hit.label = item.label
      return hit
    }
    if end < output.total, request.limit > 0 { output.nextOffset = end }
  }

  /// The hits of the page, with the placements among them.
  private func page(
    _ head: [RankedService], _ placed: [(placed: Placements.Placed, place: Place)],
    _ shown: [Place: RankedService]
  ) -> some Collection<(ranked: RankedService, label: Placement.Label?)> {
    let items = head.map { (ranked: $0, label: Placement.Label?.none) }
    let inserted = placed.compactMap { one in
      shown[one.place].map {
        (
          item: (ranked: $0, label: Placement.Label?.some(one.placed.label)),
          index: one.placed.index
        )
      }
    }
    return Placements.merge(organic: items, placed: inserted)
      .prefix(request.offset + request.limit).dropFirst(request.offset)
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

  static func unknownFacet(_ name: String) -> Refusal {
    let known = IndexField.all.filter(\.isFacet).map(\.name)
    let near = Spelling.nearest(to: String(name.prefix(64)), in: known)
    return Refusal(
      .validationFailed, "There is no facet \(name.prefix(64)).",
      fields: [.init("/facets", "must name facets" + (near.map { ", perhaps \($0)" } ?? ""))])
  }
}
