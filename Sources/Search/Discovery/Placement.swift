internal import Primitives

/// A service that an operator puts at a place of the results: chosen by the house, or paid for.
///
/// It moves a hit that is in the result set and is always labelled. It adds no hit, and no total or facet
/// changes by it.
package struct Placement: Sendable, Equatable {
  /// What an answer calls it.
  package enum Label: String, Sendable { case pinned, sponsored }

  /// Which searches it belongs to.
  package enum Target: Sendable, Equatable {
    case everything
    /// Searches whose words hold all of these, folded.
    case terms([String])
    /// Searches whose own filter asks for all of this, as canonical conditions.
    case filter([String])
  }

  /// The most placements of the record.
  package static let countMax = 1_000
  /// The lowest place, from 1.
  package static let positionMax = 10
  /// The most that one search shows: so at most two on any page.
  package static let shownMax = 2

  package let id: String
  package let label: Label
  package let serviceID: String
  package let target: Target
  /// From 1.
  package let position: Int

  package init(id: String, label: Label, serviceID: String, target: Target, position: Int) {
    self.id = id
    self.label = label
    self.serviceID = serviceID
    self.target = target
    self.position = position
  }

  /// Whether it belongs to a search.
  func isMeant(query: Set<String>, conditions: Set<String>) -> Bool {
    switch target {
    case .everything: true
    case .terms(let terms): !terms.isEmpty && terms.allSatisfy(query.contains)
    case .filter(let wanted): !wanted.isEmpty && wanted.allSatisfy(conditions.contains)
    }
  }
}

/// Puts placements into an order of hits: pure functions, so that every page is a part of one order.
package enum Placements {
  /// A placement that a search shows, and where, from 0.
  package struct Placed: Sendable, Equatable {
    package let serviceID: String
    package let label: Placement.Label
    package let index: Int
  }

  /// The placements that a search shows, by place: at most `Placement.shownMax`, one a place and one a service,
  /// pins before sponsored ones, then by id.
  ///
  /// - Parameters:
  ///   - request: Its query and filter decide which belong. A search with a sort of its own shows none.
  ///   - isInSet: Whether a service is in the result set; one that is not is not shown.
  package static func chosen(
    for request: SearchRequest, from placements: [Placement], isInSet: (String) -> Bool
  ) -> [Placed] {
    guard !placements.isEmpty, request.sort.isEmpty || request.sort.first?.field == "relevance"
    else { return [] }
    let words = Set(
      PrefixTable.fold(request.query).split(separator: 0x20).map {
        String(decoding: $0, as: UTF8.self)
      })
    let conditions = Set((request.filter?.conjuncts ?? []).map(\.canonical))
    let meant = placements.filter { $0.isMeant(query: words, conditions: conditions) }
      .sorted { left, right in
        let (a, b) = (left.label == .pinned ? 0 : 1, right.label == .pinned ? 0 : 1)
        return (a, left.position, left.id) < (b, right.position, right.id)
      }
    var output: [Placed] = []
    for placement in meant where output.count < Placement.shownMax {
      let index = placement.position - 1
      let isTaken = output.contains { $0.index == index || $0.serviceID == placement.serviceID }
      if !isTaken, isInSet(placement.serviceID) {
        output.append(Placed(serviceID: placement.serviceID, label: placement.label, index: index))
      }
    }
    return output.sorted { $0.index < $1.index }
  }

  /// The order with the placed hits at their places.
  ///
  /// - Parameters:
  ///   - organic: The head of the order by rank, without the placed services; as long as the last hit wanted.
  ///   - placed: By rising place. One beyond the end comes last.
  /// - Returns: Both in one order. Its first n hits do not depend on how much longer `organic` is.
  package static func merge<Item>(
    organic: [Item], placed: [(item: Item, index: Int)]
  ) -> [Item] {
    var output = organic
    for (item, index) in placed { output.insert(item, at: min(index, output.count)) }
    return output
  }
}
