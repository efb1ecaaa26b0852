import LinearAlgebra
import Primitives
import Search
import Testing

@Suite("Pairs out of feedback")
struct LearningPairTests {
  private let now = Moment.first + 80 * 86_400_000

  private func pairs(
    _ records: [FeedbackRecord], providers: [[UInt8]: String] = [:],
    _ adjust: (inout FeedbackPairs.Settings) -> Void = { _ in }
  ) -> [FeedbackPair] {
    var settings = FeedbackPairs.Settings()
    adjust(&settings)
    return FeedbackPairs(settings: settings).pairs(from: records, providers: providers, at: now)
  }

  private func id(_ user: Int) -> [UInt8] {
    (0..<16).map { UInt8(truncatingIfNeeded: user >> (8 * ($0 % 4))) }
  }

  private func event(
    _ user: Int, _ need: String, _ service: String, _ kind: FeedbackKind = .kept,
    position: Int = 1, provider: String = "acme", day: Int64 = 0, isSeen: Bool = true,
    isVisitor: Bool = false
  ) -> FeedbackRecord {
    FeedbackRecord(
      searchID: id(user), need: need, serviceID: service, providerID: provider, kind: kind,
      isSeenByServer: isSeen, position: position,
      actor: isVisitor ? .visitor(id(user)) : .user(id(user)),
      at: Moment.first + day * 86_400_000)
  }

  @Test("somebody has one pair a service: the strongest choice, of equals the earliest")
  func one() throws {
    let records = [
      event(1, "later", "s", day: 5), event(1, "first", "s", day: 2),
      event(1, "weak", "s", .opened, day: 1), event(1, "other", "t", .tried, day: 3),
    ]
    let found = pairs(records)
    #expect(found.map(\.serviceID) == ["s", "t"])
    #expect(found.map(\.need) == ["first", "other"])
    #expect(found.map(\.grade) == [3, 2])
    #expect(Set(found.map(\.id)).count == 2)
    #expect(pairs(records.reversed()) == found)
  }

  @Test("kept is worth more than tried, and tried more than opened; shown is worth nothing")
  func kinds() {
    func weight(_ kind: FeedbackKind, isSeen: Bool = true) -> Double {
      pairs([event(1, "a", "s", kind, isSeen: isSeen)]).first?.weight ?? 0
    }
    #expect(weight(.shown) == 0)
    #expect(abs(weight(.opened) - 0.2) < 1e-9)
    #expect(abs(weight(.tried) - 0.6) < 1e-9)
    #expect(abs(weight(.kept) - 1) < 1e-9)
    // What only a client has said is an opened card.
    #expect(abs(weight(.kept, isSeen: false) - 0.2) < 1e-9)
    #expect(pairs([event(1, "a", "s", isSeen: false)]).first?.grade == 1)
  }

  @Test("a click far down says more, up to a limit")
  func positions() {
    func weight(_ position: Int) -> Double {
      pairs([event(1, "a", "s", .opened, position: position)]).first?.weight ?? 0
    }
    #expect(abs(weight(1) - 0.2) < 1e-9)
    #expect(abs(weight(2) - 0.4) < 1e-9)
    #expect(abs(weight(3) - 0.6) < 1e-9)
    #expect(abs(weight(100) - 0.6) < 1e-9)
  }

  @Test("visitors say nothing, and neither do events of the future or of long ago")
  func outside() {
    let honest = pairs([event(1, "a", "s", day: 10)])
    let others = [
      event(2, "a", "s", isVisitor: true), event(3, "a", "s", day: 81),
      event(4, "a", "s", day: -11),
    ]
    #expect(honest.count == 1)
    #expect(pairs([event(1, "a", "s", day: 10)] + others) == honest)
  }

  @Test("who says more than a person says is left out whole, at the very limit not")
  func loud() {
    func spread(_ count: Int) -> [FeedbackRecord] {
      (0..<count).map { event(9, "a\($0)", "s\($0 % 50)", day: Int64($0 % 70)) }
    }
    #expect(pairs(spread(200)).count == 50)
    #expect(pairs(spread(201)).isEmpty)
    func single(_ count: Int) -> [FeedbackRecord] { (0..<count).map { event(9, "a\($0)", "s") } }
    #expect(pairs(single(20)).count == 1)
    #expect(pairs(single(21) + [event(9, "b", "t")]).isEmpty)
    // Ten thousand clicks are as if they had not been.
    let honest = (0..<5).map { event($0, "a", "s") }
    #expect(pairs(honest + single(10_000)) == pairs(honest))
  }

  @Test("all people of a provider are one, and say nothing of its own services")
  func providers() {
    let team = Dictionary(uniqueKeysWithValues: (10..<40).map { (id($0), "globex") })
    let choices = (10..<30).map { event($0, "a", "s") }
    #expect(pairs(choices, providers: team).count == 1)
    #expect(pairs(choices + [event(30, "a", "s")], providers: team).isEmpty)
    #expect(pairs([event(10, "a", "own", provider: "globex")], providers: team).isEmpty)
    #expect(pairs([event(50, "a", "own", provider: "globex")], providers: team).count == 1)
  }

  @Test("the newest pairs are kept, in an order that events do not decide")
  func order() {
    var random = SplitMix64(seed: 5)
    let records = (0..<400).map { _ in
      event(
        random.below(12), "need\(random.below(6))", "s\(random.below(9))",
        random.pick(FeedbackKind.allCases), position: 1 + random.below(9),
        day: Int64(random.below(9)))
    }
    let straight = pairs(records)
    #expect(straight.count > 50)
    #expect(pairs(records.reversed()) == straight)
    let cut = pairs(records) { $0.pairCountMax = 10 }
    #expect(cut.count == 10)
    let oldest = cut.map(\.at.milliseconds).min() ?? 0
    #expect(straight.count { $0.at.milliseconds > oldest } <= 10)
  }
}

@Suite("Feedback that others agree with")
struct FeedbackRuleTests {
  private func words(_ text: String) -> [String] { text.split(separator: " ").map(String.init) }

  private func need(
    _ number: Int, _ service: String, actor: String? = nil, provider: String? = nil
  ) -> TuningNeed {
    var need = TuningNeed(
      id: "\(number)", text: "word\(number)", grades: [service: 1], weights: [service: 1])
    need.actor = actor ?? "u\(number)"
    need.providerID = provider ?? service
    return need
  }

  /// Unit rows at angles in degrees.
  private func rows(_ angles: [Float]) -> Matrix {
    Matrix(
      columnCount: 2,
      elements: angles.flatMap { angle -> [Float] in
        let vector: [Float] = [1, angle]
        return LearningWorld.unit(vector)
      })
  }

  @Test("a pair counts where two others chose the same for a need like it, and weighs by how many")
  func corroboration() {
    // Two alike, one far away, one by a second account of an actor.
    let needs = [need(0, "s"), need(1, "s"), need(2, "s"), need(3, "s", actor: "u1")]
    let rules = FeedbackRules()
    #expect(rules.weighed(needs, vectors: rows([0, 0, 50, 0]), terms: words).isEmpty)
    let near = rules.weighed(needs, vectors: rows([0, 0, 0.5, 0]), terms: words)
    #expect(near.map(\.id) == ["0", "1", "2", "3"])
    #expect(near.allSatisfy { abs($0.rowWeight - 0.25) < 1e-9 })
    let crowd = (0..<12).map { need($0, "s") }
    let full = rules.weighed(crowd, vectors: rows([Float](repeating: 0, count: 12)), terms: words)
    #expect(full.allSatisfy { abs($0.rowWeight - 1) < 1e-9 })
    // Another service's choices say nothing for this one.
    let split = (0..<4).map { need($0, "s\($0 % 2)") }
    #expect(rules.weighed(split, vectors: rows([0, 0, 0, 0]), terms: words).isEmpty)
  }

  @Test("judged needs are trusted")
  func judged() {
    let need = TuningNeed(id: "q", text: "a", grades: ["s": 1], weights: ["s": 1])
    #expect(FeedbackRules().weighed([need], vectors: rows([0]), terms: words) == [need])
  }

  @Test("no provider's services weigh more than a twentieth of all, where there are enough of them")
  func providers() {
    var needs: [TuningNeed] = []
    for provider in 0..<40 {
      for number in 0..<(provider == 0 ? 400 : 9) {
        needs.append(need(1_000 * provider + number, "s\(provider)"))
      }
    }
    let vectors = rows([Float](repeating: 0, count: needs.count))
    let weighed = FeedbackRules().weighed(needs, vectors: vectors, terms: words)
    let total = weighed.reduce(0) { $0 + $1.rowWeight }
    let large = weighed.filter { $0.providerID == "s0" }.reduce(0) { $0 + $1.rowWeight }
    #expect(weighed.count == needs.count)
    #expect(abs(large / total - 0.05) < 1e-9)
    #expect(weighed.filter { $0.providerID == "s1" }.allSatisfy { $0.rowWeight == 1 })
  }
}

@Suite("Terms learnt for services")
struct LearnedTermTests {
  private func learn(
    _ needs: [([String], [String: Double])], _ settings: LearnedTerms.Settings = .judged,
    idf: (String) -> Float? = { _ in 0 }
  ) -> LearnedTerms {
    LearnedTerms.learn(
      from: needs.map { LearnedTerms.Need(terms: $0.0, services: $0.1) }, settings: settings,
      idf: idf)
  }

  @Test(
    "the first need says nothing, of feedback the first two; then the impact grows to its limit")
  func weights() {
    func weight(_ count: Int, _ settings: LearnedTerms.Settings) -> Float {
      let needs = (0..<count).map { _ in (["talk", "talk"], ["s": 1.0]) }
      return learn(needs, settings).weights["s"]?["talk"] ?? 0
    }
    #expect(weight(1, .judged) == 0)
    #expect(abs(weight(2, .judged) - 0.5) < 1e-6)
    #expect(weight(10, .judged) > weight(3, .judged))
    #expect(weight(100_000, .judged) < 1)
    #expect(weight(2, .feedback) == 0)
    #expect(abs(weight(3, .feedback) - 0.25) < 1e-6)
  }

  @Test("a service with many needs takes more of them to have the same impact")
  func normalisation() {
    let many = (0..<30).map { (["talk", "word\($0)"], ["s": 1.0]) }
    let few = (0..<10).map { _ in (["talk"], ["t": 1.0]) }
    let learnt = learn(many.map { ($0.0 + ["x"], $0.1) } + few)
    // n = 30 and 10, mean 20: half is 1.25 and 0.75.
    #expect(abs((learnt.weights["s"]?["x"] ?? 0) - 29 / 30.25) < 1e-5)
    #expect(abs((learnt.weights["t"]?["talk"] ?? 0) - 9 / 9.75) < 1e-5)
  }

  @Test("words that no listing has stay out, common ones of needs count no more than there")
  func rarity() {
    let needs = (0..<40).map { number in
      (number % 2 == 0 ? ["common", "slang"] : ["common"], ["s": 1.0])
    }
    let learnt = learn(needs) { $0 == "slang" ? nil : 2 }
    #expect(learnt.weights["s"].map { Set($0.keys) } == ["common"])
    // In 40 of 40 needs: its inverse frequency there is about .012, against 2 in the catalog.
    #expect((learnt.weights["s"]?["common"] ?? 1) < 0.01)
  }

  @Test("of too many words the heaviest stay")
  func limits() {
    let needs = (0..<200).map { number in (["word\(number % 20)", "common"], ["s": 1.0]) }
    var settings = LearnedTerms.Settings.judged
    settings.termCountMax = 10
    let cut = learn(needs + [(["nothing"], ["t": 0])], settings)
    #expect(cut.termCount == 10)
    #expect(cut.weights["s"]?["common"] != nil)
    #expect(cut.serviceCount == 1)
  }
}
