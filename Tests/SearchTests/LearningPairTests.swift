import Primitives
import Search
import Testing

@Suite("Pairs out of feedback")
struct LearningPairTests {
  private let now = Moment.first + 200 * 86_400_000
  private func words(_ text: String) -> [String] { text.split(separator: " ").map(String.init) }

  private func pairs(
    _ records: [FeedbackRecord], _ adjust: (inout FeedbackPairs.Settings) -> Void = { _ in }
  ) -> [FeedbackPair] {
    var settings = FeedbackPairs.Settings()
    adjust(&settings)
    return FeedbackPairs(settings: settings, terms: words).pairs(from: records, at: now)
  }

  private func event(
    _ user: Int, _ need: String, _ service: String, _ kind: FeedbackKind = .kept,
    position: Int = 1, provider: String = "acme", day: Int64 = 0, isSeen: Bool = true,
    isVisitor: Bool = false
  ) -> FeedbackRecord {
    let bytes = (0..<16).map { UInt8(truncatingIfNeeded: user >> (8 * ($0 % 4))) }
    return FeedbackRecord(
      searchID: bytes, need: need, serviceID: service, providerID: provider, kind: kind,
      isSeenByServer: isSeen, position: position, actor: isVisitor ? .visitor(bytes) : .user(bytes),
      at: Moment.first + day * 86_400_000)
  }

  @Test("a pair counts from three people on, however often two of them say it")
  func support() throws {
    let two = (0..<2).flatMap { user in (0..<50).map { event(user, "a b", "s", day: Int64($0)) } }
    #expect(pairs(two).isEmpty)
    let crowd = (0..<500).map { event($0, "a b", "s", isVisitor: true) }
    #expect(pairs(two + crowd).isEmpty)
    let pair = try #require(pairs(two + [event(2, "b a", "s")]).first)
    #expect(pair.userCount == 3)
    #expect(pair.need == "a b")
    #expect(abs(pair.weight - 3.0.squareRoot()) < 1e-12)
    #expect(pair.grade == 3)
  }

  @Test("kept is worth more than tried, and tried more than opened; shown is worth nothing")
  func kinds() {
    func weight(_ kind: FeedbackKind, isSeen: Bool = true) -> Double {
      let records = (0..<3).map { event($0, "a", "s", kind, isSeen: isSeen) }
      let weight = pairs(records).first?.weight ?? 0
      return weight * weight / 3
    }
    #expect(weight(.shown) == 0)
    #expect(abs(weight(.opened) - 0.2) < 1e-9)
    #expect(abs(weight(.tried) - 0.6) < 1e-9)
    #expect(abs(weight(.kept) - 1) < 1e-9)
    // What only a client has said is an opened card.
    #expect(abs(weight(.kept, isSeen: false) - 0.2) < 1e-9)
    #expect(abs(weight(.tried, isSeen: false) - 0.2) < 1e-9)
  }

  @Test("a click far down says more, up to a limit")
  func positions() {
    func weight(_ position: Int) -> Double {
      let records = (0..<3).map { event($0, "a", "s", .opened, position: position) }
      let weight = pairs(records).first?.weight ?? 0
      return weight * weight / 3
    }
    #expect(abs(weight(1) - 0.2) < 1e-9)
    #expect(abs(weight(2) - 0.4) < 1e-9)
    #expect(abs(weight(3) - 0.6) < 1e-9)
    #expect(abs(weight(100) - 0.6) < 1e-9)
  }

  @Test("visitors add a little, and never more than half of what users say")
  func visitors() {
    let users = (0..<3).map { event($0, "a", "s") }
    func total(_ visitorCount: Int) -> Double {
      let crowd = (0..<visitorCount).map { event(1_000 + $0, "a", "s", isVisitor: true) }
      let weight = pairs(users + crowd).first?.weight ?? 0
      return weight * weight
    }
    #expect(abs(total(5) - 3.5) < 1e-9)
    #expect(abs(total(5_000) - 4.5) < 1e-9)
  }

  @Test("a user has so many pairs a day; the first ones count, on other days others do")
  func daily() {
    // Two digits each: events of one moment go by their text.
    let others = (0..<2).flatMap { user in
      (10..<30).map { event(user, "need\($0)", "s", day: 0) }
    }
    let eager = (10..<40).map { event(9, "need\($0)", "s", day: 1) }
    #expect(pairs(others + eager) { $0.userPairsPerDay = 20 }.count == 20)
    #expect(pairs(others + eager) { $0.userPairsPerDay = 7 }.count == 7)
    #expect(pairs(others + eager) { $0.userPairsPerDay = 0 }.isEmpty)
    let spread = (0..<20).map { event(9, "need\($0)", "s", day: Int64($0)) }
    let slow = (0..<2).flatMap { user in
      (0..<20).map { event(user, "need\($0)", "s", day: Int64($0)) }
    }
    #expect(pairs(slow + spread) { $0.userPairsPerDay = 1 }.count == 20)
  }

  @Test("no provider has more than its share, where there are enough of them")
  func providers() {
    var records: [FeedbackRecord] = []
    for provider in 0..<10 {
      let count = provider == 0 ? 100 : 2
      for need in 0..<count {
        records += (0..<3).map {
          event(
            1_000 * provider + $0, "need\(need)of\(provider)", "s\(provider)",
            provider: "p\(provider)", day: Int64(need / 20))
        }
      }
    }
    let all = pairs(records)
    let total = all.reduce(0) { $0 + $1.weight }
    let large = all.filter { $0.providerID == "p0" }.reduce(0) { $0 + $1.weight }
    #expect(all.count == 118)
    #expect(abs(large / total - 0.2) < 1e-9)
    // The others keep theirs.
    let small = all.filter { $0.providerID == "p1" }.reduce(0) { $0 + $1.weight }
    #expect(abs(small - 2 * 3.0.squareRoot()) < 1e-9)
    // Alone, a provider has everything.
    let alone = pairs(records.filter { $0.providerID == "p0" })
    #expect(alone.count == 100)
    #expect(alone.allSatisfy { abs($0.weight - 3.0.squareRoot()) < 1e-9 })
  }

  @Test("the order of events changes nothing, and those of the future do not count")
  func order() {
    var random = SplitMix64(seed: 5)
    let records = (0..<400).map { _ in
      event(
        random.below(12), "need\(random.below(6))", "s\(random.below(4))",
        random.pick(FeedbackKind.allCases), position: 1 + random.below(9),
        provider: "p\(random.below(4))", day: Int64(random.below(9)))
    }
    let straight = pairs(records)
    #expect(!straight.isEmpty)
    #expect(pairs(records.reversed()) == straight)
    let late = (0..<3).map { event($0, "later", "s", day: 201) }
    #expect(pairs(records + late) == straight)
  }

  /// Ranks of the services for each need by the learnt terms over an even ground.
  private func ranks(_ pairs: [FeedbackPair]) -> [String: [String]] {
    let needs = TuningNeeds.needs(of: pairs, terms: words).map { (words($0.text), $0.weights) }
    let learnt = LearnedTerms.learn(from: needs.map { (terms: $0.0, services: $0.1) })
    var ranks: [String: [String]] = [:]
    for need in 0..<8 {
      let scored = (0..<6).map { service in
        let terms = learnt.weights["s\(service)"] ?? [:]
        return ("s\(service)", words("need\(need)").reduce(Float(0)) { $0 + (terms[$1] ?? 0) })
      }
      ranks["need\(need)"] = scored.sorted { ($1.1, $0.0) < ($0.1, $1.0) }.map(\.0)
    }
    return ranks
  }

  @Test("one user who clicks ten thousand times moves nothing by more than a place")
  func poison() {
    var honest: [FeedbackRecord] = []
    for need in 0..<8 {
      for service in 0..<6 {
        // One more person for each next service: the order is close everywhere.
        for user in 0..<(3 + (need + service) % 6) {
          honest.append(
            event(
              100 * service + user, "need\(need)", "s\(service)", provider: "p\(service)",
              day: Int64(need)))
        }
      }
    }
    let before = ranks(pairs(honest))
    for target in 0..<6 {
      let attack = (0..<10_000).map { number in
        event(
          9_999, "need\(number % 8)", "s\(target)", position: 90, provider: "p\(target)",
          day: Int64(number % 100))
      }
      let after = ranks(pairs(honest + attack))
      for (need, order) in before {
        for (place, service) in order.enumerated() {
          let moved = after[need]?.firstIndex(of: service) ?? 99
          #expect(abs(moved - place) <= 1, "\(need) \(service) from \(place) to \(moved)")
        }
      }
    }
    // The same clicks from people who agree do move it: the ranks can tell.
    let mob = (0..<800).map { number in
      event(10_000 + number, "need\(number % 8)", "s0", provider: "p0", day: 1)
    }
    let after = ranks(pairs(honest + mob) { $0.providerShareMax = 1 })
    #expect(before.contains { ($0.value.firstIndex(of: "s0") ?? 0) > 1 })
    #expect(after.allSatisfy { $0.value.first == "s0" })
  }
}

@Suite("Terms learnt for services")
struct LearnedTermTests {
  @Test("a term's weight grows with the needs and ends at its limit")
  func weights() {
    func weight(_ count: Int) -> Float {
      let needs = (0..<count).map { _ in (terms: ["talk", "talk"], services: ["s": 1.0]) }
      return LearnedTerms.learn(from: needs).weights["s"]?["talk"] ?? 0
    }
    #expect(weight(0) == 0)
    #expect(abs(weight(1) - 0.5) < 1e-6)
    #expect(weight(10) > weight(2))
    #expect(weight(100_000) < 1)
  }

  @Test("chance words and too many words stay out")
  func limits() {
    var needs = (0..<200).map { number in
      (terms: ["common", "word\(number)"], services: ["s": 1.0])
    }
    needs.append((terms: ["nothing"], services: ["t": 0]))
    let learnt = LearnedTerms.learn(from: needs)
    #expect(learnt.weights["s"].map { Set($0.keys) } == ["common"])
    #expect(learnt.weights["t"] == nil)
    var settings = LearnedTerms.Settings()
    settings.shareMin = 0
    settings.termCountMax = 10
    let cut = LearnedTerms.learn(from: needs, settings: settings)
    #expect(cut.termCount == 10)
    #expect(cut.weights["s"]?["common"] != nil)
    #expect(cut.serviceCount == 1)
  }
}
