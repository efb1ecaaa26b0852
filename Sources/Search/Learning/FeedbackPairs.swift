package import Primitives

/// A need, the service that somebody chose for it, and who that was.
package struct FeedbackPair: Sendable, Equatable {
  /// As it was asked.
  package let need: String
  package let serviceID: String
  package let providerID: String
  /// Who counts as one: a person, or everybody of one provider.
  package let actor: String
  /// Above 0, at most 1.
  package let weight: Double
  /// 1 where it was opened, 2 where it was tried, 3 where it was kept.
  package let grade: Int
  package let at: Timestamp

  /// What names the pair, whatever other pairs there are.
  package var id: String { actor + " " + serviceID }
}

/// Turns events into pairs that nobody can buy. An actor is a person, or all people of a provider together.
///
/// Who says more than a person says is left out whole, not cut: ten thousand clicks leave the pairs byte for byte
/// as they were without them. Everybody else has one pair a service. Visitors without an account cost nothing to
/// make, so they say nothing here.
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
    /// Days back that count.
    package var windowDays: Int64 = 90
    /// Choices of one actor in the window, and on one service; with more it is left out whole.
    package var choiceMax = 200
    package var serviceChoiceMax = 20
    /// Pairs that are kept, the newest.
    package var pairCountMax = 200_000

    package init() {}
  }

  private struct Key: Hashable {
    let actor: String
    let serviceID: String
  }

  private let settings: Settings

  package init(settings: Settings = Settings()) { self.settings = settings }

  /// The name of the group that a need belongs to: its terms in order, without repetition.
  package static func cluster(_ terms: [String]) -> String {
    Set(terms).sorted().joined(separator: " ")
  }

  /// The pairs, by actor and service.
  ///
  /// - Parameters:
  ///   - providers: The provider that a user acts for, by the user's id; such users are one actor, and their
  ///     choices of the provider's own services do not count.
  ///   - now: Events of the future do not count.
  package func pairs(
    from records: [FeedbackRecord], providers: [[UInt8]: String] = [:], at now: Timestamp
  ) -> [FeedbackPair] {
    let first = now + -settings.windowDays * 86_400_000
    var choices: [Key: [FeedbackRecord]] = [:]
    var counts: [String: Int] = [:]
    for record in records
    where record.kind != .shown && record.actor.isUser && record.at <= now && record.at >= first {
      let provider = providers[record.actor.bytes]
      let actor = provider.map { "p:" + $0 } ?? "u:" + BytesText.hex(record.actor.bytes)
      // Own clicks count against the actor all the same: who floods is left out.
      counts[actor, default: 0] += 1
      choices[Key(actor: actor, serviceID: record.serviceID), default: []].append(record)
    }
    var loud = Set(counts.filter { $0.value > settings.choiceMax }.keys)
    for (key, own) in choices where own.count > settings.serviceChoiceMax { loud.insert(key.actor) }
    let pairs = choices.compactMap { key, own -> FeedbackPair? in
      guard !loud.contains(key.actor) else { return nil }
      return pair(key, own, of: key.actor.hasPrefix("p:") ? String(key.actor.dropFirst(2)) : nil)
    }
    let newest = pairs.sorted { ($1.at.milliseconds, $0.id) < ($0.at.milliseconds, $1.id) }
      .prefix(settings.pairCountMax)
    return newest.sorted { ($0.actor, $0.serviceID) < ($1.actor, $1.serviceID) }
  }

  /// The strongest choice, of equals the earliest.
  private func pair(_ key: Key, _ own: [FeedbackRecord], of provider: String?) -> FeedbackPair? {
    let best = own.filter { $0.providerID != provider }.min { left, right in
      (-value(of: left), left.at.milliseconds, left.need, -grade(of: left))
        < (-value(of: right), right.at.milliseconds, right.need, -grade(of: right))
    }
    guard let best else { return nil }
    return FeedbackPair(
      need: best.need, serviceID: key.serviceID, providerID: best.providerID, actor: key.actor,
      weight: value(of: best), grade: grade(of: best), at: best.at)
  }

  private func value(of record: FeedbackRecord) -> Double {
    let inverse = power(Double(max(record.position, 1)), settings.examinationDecay)
    let base =
      switch strength(of: record) {
      case .shown: 0.0
      case .opened: settings.opened
      case .tried: settings.tried
      case .kept: settings.kept
      }
    // One person is one choice, however far down the hit stood.
    return min(1, base * min(inverse, settings.inverseMax))
  }

  private func grade(of record: FeedbackRecord) -> Int {
    switch strength(of: record) {
    case .shown, .opened: 1
    case .tried: 2
    case .kept: 3
    }
  }

  /// What only a client has said is an opened card.
  private func strength(of record: FeedbackRecord) -> FeedbackKind {
    record.isSeenByServer ? record.kind : min(record.kind, .opened)
  }
}

/// Keeps what few control from weighing much.
enum Shares {
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
