package import Primitives

/// A need and the service that was chosen for it, with the weight of those who did.
package struct FeedbackPair: Sendable, Equatable {
  /// The wording that most people used.
  package let need: String
  package let serviceID: String
  package let providerID: String
  /// Above zero; grows with the square root of the votes.
  package let weight: Double
  /// Signed-in people who voted.
  package let userCount: Int
  /// 1 where it was mostly opened, 2 where it was tried, 3 where it was kept.
  package let grade: Int
}

/// Turns events into pairs that nobody can buy: every person has one vote a need and service, so many a day,
/// some people must agree before a pair counts, and no provider has more than its share.
///
/// Clicks are corrected for their place: a hit far down is seen by fewer, so its click says more (Joachims,
/// Swaminathan and Schnabel, "Unbiased learning-to-rank with biased feedback", 2017).
package struct FeedbackPairs {
  /// The limits.
  package struct Settings: Sendable {
    /// What a card opened, a trial started and a session completed are worth.
    package var opened = 0.2
    package var tried = 0.6
    package var kept = 1.0
    /// Chance that the hit at position p is seen: p to the power of minus this.
    package var examinationDecay = 1.0
    /// What the correction multiplies by at most.
    package var inverseMax = 3.0
    /// Pairs that one user can vote for in a day, the first ones count.
    package var userPairsPerDay = 20
    package var visitorPairsPerDay = 5
    /// Signed-in people that a pair needs.
    package var userCountMin = 3
    /// What a visitor's vote is worth of a user's; together at most half of the users' votes.
    package var visitorShare = 0.1
    /// Part of the whole weight that one provider's services can have, where there are enough providers.
    package var providerShareMax = 0.2
    /// Pairs that are kept, the heaviest.
    package var pairCountMax = 200_000

    package init() {}
  }

  private struct PairKey: Hashable {
    let cluster: String
    let serviceID: String
  }

  private struct VoteKey: Hashable {
    let actor: FeedbackRecord.Actor
    let pair: PairKey
  }

  private struct Vote {
    var value: Double
    let need: String
    let providerID: String
  }

  private let settings: Settings
  private let terms: (String) -> [String]

  /// - Parameter terms: The search terms of a text: needs with the same ones are one need.
  package init(settings: Settings = Settings(), terms: @escaping (String) -> [String]) {
    self.settings = settings
    self.terms = terms
  }

  /// The name of the group that a need belongs to: its terms in order, without repetition.
  package static func cluster(_ terms: [String]) -> String {
    Set(terms).sorted().joined(separator: " ")
  }

  /// The pairs, heaviest first.
  ///
  /// - Parameter now: Events of the future do not count.
  package func pairs(from records: [FeedbackRecord], at now: Timestamp) -> [FeedbackPair] {
    let votes = votes(of: records.filter { $0.kind != .shown && $0.at <= now })
    let grouped = Dictionary(grouping: votes) { $0.key.pair }
    let pairs = grouped.compactMap { key, votes in pair(key, votes.map { ($0.key.actor, $0.value) })
    }
    return limited(pairs)
  }

  /// One vote of each actor for each pair: its strongest sign, within what it may say in a day.
  private func votes(of records: [FeedbackRecord]) -> [VoteKey: Vote] {
    var clusters: [String: String] = [:]
    var votes: [VoteKey: Vote] = [:]
    var daily: [FeedbackRecord.Actor: [Int64: Set<PairKey>]] = [:]
    // The first of a day count, so that repeating cannot push earlier votes out; ties by content.
    let ordered = records.sorted {
      ($0.at.milliseconds, $0.serviceID, $0.need, $0.kind)
        < ($1.at.milliseconds, $1.serviceID, $1.need, $1.kind)
    }
    for record in ordered {
      let cluster = clusters[record.need] ?? FeedbackPairs.cluster(terms(record.need))
      clusters[record.need] = cluster
      guard !cluster.isEmpty else { continue }
      let pair = PairKey(cluster: cluster, serviceID: record.serviceID)
      let day = record.at.milliseconds / 86_400_000
      let limit = record.actor.isUser ? settings.userPairsPerDay : settings.visitorPairsPerDay
      var said = daily[record.actor]?[day] ?? []
      guard said.contains(pair) || said.count < limit else { continue }
      said.insert(pair)
      daily[record.actor, default: [:]][day] = said
      let vote = VoteKey(actor: record.actor, pair: pair)
      let value = value(of: record)
      if let known = votes[vote] {
        votes[vote]?.value = max(known.value, value)
      } else {
        votes[vote] = Vote(value: value, need: record.need, providerID: record.providerID)
      }
    }
    return votes
  }

  private func value(of record: FeedbackRecord) -> Double {
    let inverse = power(Double(max(record.position, 1)), settings.examinationDecay)
    let base =
      switch record.kind {
      case .shown: 0.0
      case .opened: settings.opened
      case .tried: record.isSeenByServer ? settings.tried : settings.opened
      case .kept: record.isSeenByServer ? settings.kept : settings.opened
      }
    // One person is one vote, however far down the hit stood.
    return min(1, base * min(inverse, settings.inverseMax))
  }

  private func pair(
    _ key: PairKey, _ votes: [(actor: FeedbackRecord.Actor, vote: Vote)]
  ) -> FeedbackPair? {
    let users = votes.filter(\.actor.isUser)
    guard users.count >= max(settings.userCountMin, 1) else { return nil }
    let sum = users.map(\.vote.value).sorted().reduce(0, +)
    let visitors = votes.filter { !$0.actor.isUser }.map(\.vote.value).sorted().reduce(0, +)
    let total = sum + min(settings.visitorShare * visitors, sum / 2)
    let mean = sum / Double(users.count)
    let wordings = Dictionary(grouping: users, by: \.vote.need).mapValues(\.count)
    guard let need = wordings.min(by: { ($1.value, $0.key) < ($0.value, $1.key) })?.key,
      let providerID = users.map(\.vote.providerID).min()
    else { return nil }
    return FeedbackPair(
      need: need, serviceID: key.serviceID, providerID: providerID, weight: total.squareRoot(),
      userCount: users.count, grade: mean >= 0.8 ? 3 : mean >= 0.4 ? 2 : 1)
  }

  /// Scales down the providers that have more than their share, and cuts the list.
  private func limited(_ pairs: [FeedbackPair]) -> [FeedbackPair] {
    let sorted = pairs.sorted {
      ($1.weight, $0.need, $0.serviceID) < ($0.weight, $1.need, $1.serviceID)
    }.prefix(settings.pairCountMax)
    var byProvider: [String: Double] = [:]
    for pair in sorted { byProvider[pair.providerID, default: 0] += pair.weight }
    let ceiling = FeedbackPairs.ceiling(
      of: Array(byProvider.values), share: settings.providerShareMax)
    return sorted.map { pair in
      let total = byProvider[pair.providerID] ?? 0
      guard total > ceiling else { return pair }
      return FeedbackPair(
        need: pair.need, serviceID: pair.serviceID, providerID: pair.providerID,
        weight: pair.weight * ceiling / total, userCount: pair.userCount, grade: pair.grade)
    }
  }

  /// The amount to which each total is cut so that none is more than a share of the sum after cutting.
  ///
  /// With fewer totals than one over the share, the share that they can hold evenly stands in.
  static func ceiling(of totals: [Double], share: Double) -> Double {
    let sorted = totals.sorted(by: >)
    guard let least = sorted.last else { return 0 }
    let share = max(share, 1 / Double(sorted.count))
    var rest = sorted.reduce(0, +)
    for (count, total) in sorted.enumerated() {
      // With `count` of them cut to T: T = share x (count x T + rest).
      let free = 1 - Double(count) * share
      guard free > 1e-9 else { return max(total, least) }
      let ceiling = share * rest / free
      if total <= ceiling * (1 + 1e-12) { return ceiling }
      rest -= total
    }
    return least
  }
}
