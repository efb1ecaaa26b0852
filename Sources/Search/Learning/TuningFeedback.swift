package import LinearAlgebra

/// The rules that keep feedback from being bought, where they need the meaning of needs.
package struct FeedbackRules: Sendable {
  /// The limits.
  package struct Settings: Sendable {
    /// Other actors who must have chosen the same service for a need like it,
    package var corroborationMin = 2
    /// and from which on a pair weighs as much as it can.
    package var corroborationFull = 8
    /// Cosine, after centring, from which needs are alike.
    package var alikeMin: Float = 0.4
    /// Part of the whole weight that one provider's services can have, where there are enough providers.
    package var providerShareMax = 0.05
    /// Actors that are left out one by one to see what each has moved,
    package var actorCountMax = 20
    /// in so many rounds.
    package var roundCountMax = 5
    /// Needs that ranks are compared on.
    package var probeCountMax = 200

    package init() {}
  }

  package let settings: Settings

  package init(_ settings: Settings = Settings()) { self.settings = settings }

  /// The needs that others corroborate, weighed by how many do and by their provider's share. Judged needs stay.
  ///
  /// - Parameter vectors: A unit row a need, or nil: then needs are alike that share half of their terms.
  /// - Complexity: For each service the square of its needs.
  package func weighed(
    _ needs: [TuningNeed], vectors: Matrix?, terms: (String) -> [String]
  ) -> [TuningNeed] {
    var byService: [String: [Int]] = [:]
    for (index, need) in needs.enumerated() where need.actor != nil {
      for service in need.weights.keys { byService[service, default: []].append(index) }
    }
    let words = vectors == nil ? needs.map { Set(terms($0.text)) } : []
    func isAlike(_ left: Int, _ right: Int) -> Bool {
      guard let vectors else {
        let common = words[left].intersection(words[right]).count
        return common > 0 && 2 * common >= min(words[left].count, words[right].count)
      }
      let width = vectors.columnCount
      return vectors.elements.withUnsafeBufferPointer { elements in
        var product: Float = 0
        for place in 0..<width {
          product += elements[left * width + place] * elements[right * width + place]
        }
        return product >= settings.alikeMin
      }
    }
    let kept = needs.enumerated().compactMap { index, need -> TuningNeed? in
      guard let actor = need.actor, let service = need.weights.keys.first else { return need }
      var others = Set<String>()
      for other in byService[service] ?? [] where needs[other].actor != actor {
        if others.count >= settings.corroborationFull { break }
        if isAlike(index, other), let name = needs[other].actor { others.insert(name) }
      }
      guard others.count >= settings.corroborationMin else { return nil }
      var copy = need
      copy.rowWeight *= min(1, Double(others.count) / Double(settings.corroborationFull))
      return copy
    }
    return limited(kept)
  }

  /// Scales down the providers that have more than their share.
  private func limited(_ needs: [TuningNeed]) -> [TuningNeed] {
    var totals: [String: Double] = [:]
    for need in needs { if let id = need.providerID { totals[id, default: 0] += need.rowWeight } }
    let values = totals.sorted { $0.key < $1.key }.map(\.value)
    let ceiling = Shares.ceiling(of: values, share: settings.providerShareMax)
    return needs.map { need in
      guard let id = need.providerID, let total = totals[id], total > ceiling else { return need }
      var copy = need
      copy.rowWeight *= ceiling / total
      return copy
    }
  }

  /// The actors with most weight, heaviest first.
  func heaviest(_ needs: [TuningNeed]) -> [String] {
    var totals: [String: Double] = [:]
    for need in needs { if let actor = need.actor { totals[actor, default: 0] += need.rowWeight } }
    return totals.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
      .prefix(settings.actorCountMax).map(\.key)
  }

  /// Whether an actor has lifted a service that it chose by more than one place into or within the first ten, for
  /// a need that is not its own.
  ///
  /// Other services move by a place or two whenever anything is learnt; what one can buy is the own target's rank.
  func hasLifted(
    _ actor: String, _ services: Set<String>, on probes: [TuningNeed], from before: [[String]],
    to after: [[String]]
  ) -> Bool {
    zip(probes, zip(before, after)).contains { probe, ranks in
      guard probe.actor != actor else { return false }
      return services.contains { service in
        let old = ranks.0.firstIndex(of: service) ?? ranks.0.count
        let new = ranks.1.firstIndex(of: service) ?? ranks.1.count
        return new < 10 && old - new > 1
      }
    }
  }
}
