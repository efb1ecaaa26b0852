import Catalog
import Foundation
import LinearAlgebra
import Primitives
import SQLite
import Search
import Testing

@Suite("Tuning behind the real engine")
struct LearningEngineTests {
  private func judged() -> [TuningNeed] {
    (0..<TunedWorld.serviceCount).flatMap { service in
      (0..<5).map { user in
        let id = "item-\(service)"
        return TuningNeed(
          id: "q\(service)-\(user)", text: TunedWorld.need(service, by: user), grades: [id: 1],
          weights: [id: 1])
      }
    }
  }

  @Test("judged needs raise needs kept apart; the model is published, disclosed and searched with")
  func learns() async throws {
    let world = try await TunedWorld()
    let before = try world.answers()
    let result = try await world.tuner.tune(
      judged(), .quick, isDryRun: false, at: Moment.first)
    let record = result.report.model.record
    #expect(record.heldOutAfter > record.heldOutBefore + 0.05)
    #expect(result.report.folds.allSatisfy { $0.after > $0.before })
    #expect(result.number == 1)
    #expect(result.report.recipe == .both)
    #expect(try world.answers() != before)
    let disclosure = RankingDisclosure.json(of: world.snapshot)
    #expect(disclosure["tuned"]?["model"] == 1)
    #expect(disclosure["tuned"]?["source"] == "judged")
  }

  @Test("a way back gives the very answers of before, byte for byte")
  func rollback() async throws {
    let world = try await TunedWorld()
    let shipped = try world.answers()
    _ = try await world.tuner.tune(judged(), .quick, isDryRun: false, at: Moment.first)
    let first = try world.answers()
    var other = TuningRun.Settings.quick
    other.adapter.stepCount = 6
    let second = try await world.tuner.tune(judged(), other, isDryRun: false, at: Moment.first)
    #expect(second.number == 2)
    #expect(try world.answers() != first)
    #expect(try await world.tuner.rollback() == 1)
    #expect(try world.answers() == first)
    #expect(try await world.tuner.rollback() == nil)
    #expect(try world.answers() == shipped)
    #expect(RankingDisclosure.json(of: world.snapshot)["tuned"] == .null)
    await #expect(throws: Refusal.self) { try await world.tuner.rollback() }
  }

  @Test("nothing is published by a dry run, nor where needs kept apart do not rise")
  func held() async throws {
    let world = try await TunedWorld()
    let before = try world.answers()
    let dry = try await world.tuner.tune(judged(), .quick, isDryRun: true, at: Moment.first)
    #expect(dry.report.verdict == .publish)
    #expect(dry.number == nil)
    // Every need asks for a service that has nothing to do with it.
    var random = SplitMix64(seed: 9)
    let wrong = judged().map { need in
      let id = "item-\(random.below(TunedWorld.serviceCount))"
      return TuningNeed(id: need.id, text: need.text, grades: [id: 1], weights: [id: 1])
    }
    let result = try await world.tuner.tune(wrong, .quick, isDryRun: false, at: Moment.first)
    #expect(result.report.verdict != .publish || result.report.interval.low < 0.02)
    if result.report.verdict != .publish { #expect(result.number == nil) }
    #expect(try world.answers() == before || result.number != nil)
  }

  @Test("a listing written under a tuned model ranks as it does after a rebuild")
  func live() async throws {
    let world = try await TunedWorld()
    _ = try await world.tuner.tune(judged(), .quick, isDryRun: false, at: Moment.first)
    let before = try world.answers()
    var document = world.services[3].document
    document["docsUrl"] = "https://example.org/3"
    let changed = try Service.read(document)
    _ = try await world.record.write { connection in
      try CatalogStore.put(changed, at: Moment.first, on: connection)
    }
    try await world.indexer.catchUp()
    #expect(try world.answers() == before)
  }

  @Test("a tuned model survives a restart")
  func restart() async throws {
    let world = try await TunedWorld()
    _ = try await world.tuner.tune(judged(), .quick, isDryRun: false, at: Moment.first)
    let before = try world.answers()
    let again = try Indexer(
      record: world.record, embedder: world.embedder, dataFolder: world.dataFolder, threadCount: 1)
    try await again.load()
    #expect(RankingDisclosure.json(of: again.index.snapshot)["tuned"]?["model"] == 1)
    var request = SearchRequest()
    request.query = TunedWorld.need(0, by: 39)
    request.limit = 40
    let hits = try world.engine.search(request, on: again.index.snapshot).hits
    let line = hits.map { "\($0.id) \($0.score.bitPattern)" }.joined(separator: ", ")
    #expect(before[0].hasSuffix(": " + line))
  }

  @Test("damaged files are named with their reason, and search goes on with the shipped ranking")
  func damaged() async throws {
    let world = try await TunedWorld()
    let shipped = try world.answers()
    _ = try await world.tuner.tune(judged(), .quick, isDryRun: false, at: Moment.first)
    let path = world.dataFolder + "/index/tuned/1/"
    for (file, bytes) in [("adapter.f32", Data([1, 2, 3])), ("tuned.json", Data("{".utf8))] {
      try bytes.write(to: URL(fileURLWithPath: path + file))
      let again = try Indexer(
        record: world.record, embedder: world.embedder, dataFolder: world.dataFolder,
        threadCount: 1)
      try await again.load()
      #expect(again.index.snapshot.tuningFault?.contains(file) == true)
      #expect(RankingDisclosure.json(of: again.index.snapshot)["tuned"]?["fault"] != nil)
      var request = SearchRequest()
      request.query = TunedWorld.need(5, by: 39)
      request.limit = 40
      let hits = try world.engine.search(request, on: again.index.snapshot).hits
      let line = hits.map { "\($0.id) \($0.score.bitPattern)" }.joined(separator: ", ")
      #expect(shipped[5].hasSuffix(": " + line))
    }
  }

  @Test("an excluded word looks at listings, and not at what was learnt for them")
  func exclusion() async throws {
    let world = try await TunedWorld()
    _ = try await world.tuner.tune(judged(), .quick, isDryRun: false, at: Moment.first)
    func total(_ query: String) throws -> Int {
      var request = SearchRequest()
      request.query = query
      return try world.engine.search(request, on: world.snapshot).total
    }
    // Needs for item 4 have this word; the listing that has it is item 3.
    #expect(try total("thing") == 40)
    #expect(try total("thing -" + TunedWorld.clue(4)) == 39)
  }
}

@Suite("Feedback that somebody tries to buy")
struct LearningPoisonTests {
  /// A world with honest feedback, and what an attacker adds.
  private func learnt(
    _ attack: (TunedWorld) async throws -> Void
  ) async throws -> (result: MarketplaceTuner.Result, world: TunedWorld) {
    let world = try await TunedWorld()
    try await world.putHonestFeedback()
    try await attack(world)
    return (try await world.tune(), world)
  }

  @Test("honest feedback is learnt from")
  func honest() async throws {
    let (result, world) = try await learnt { _ in }
    #expect(result.number == 1, "\(result.report.lines + [result.words])")
    #expect(result.report.model.record.heldOutAfter > result.report.model.record.heldOutBefore)
    #expect(result.report.model.record.source == "feedback")
    #expect(world.indexer.tunedModels.currentNumber == 1)
  }

  @Test("ten thousand clicks of one user change no byte of any answer")
  func user() async throws {
    let honest = try await learnt { _ in }
    let poisoned = try await learnt { world in
      try await world.put([(service: 7, count: 10_000)], by: 900) { _ in
        TunedWorld.need(3, by: 39)
      }
    }
    #expect(honest.result.number == 1)
    #expect(poisoned.result.number == 1)
    #expect(try poisoned.world.answers() == honest.world.answers())
  }

  @Test("ten thousand clicks of one provider's people change no byte of any answer")
  func provider() async throws {
    let honest = try await learnt { _ in }
    let poisoned = try await learnt { world in
      // A hundred accounts, each below what one person may say.
      for number in 0..<100 {
        try await world.putProviderUser(1_000 + number, of: world.services[9].providerID)
        try await world.put(
          (0..<10).map { (service: 7 + $0, count: 10) }, by: 1_000 + number
        ) { _ in TunedWorld.need(3, by: 39) }
      }
    }
    #expect(poisoned.result.number == 1)
    #expect(try poisoned.world.answers() == honest.world.answers())
  }

  @Test("a user who stays below the limits moves no chosen service by more than a place")
  func quiet() async throws {
    let honest = try await learnt { _ in }
    for target in [2, 7] {
      let poisoned = try await learnt { world in
        // One target for the needs of twenty other services, eight clicks each.
        for other in 0..<20 {
          try await world.put([(service: target, count: 1)], by: 2_000, salt: UInt8(other)) { _ in
            TunedWorld.need(other, by: 39)
          }
        }
      }
      let id = "item-\(target)"
      for (before, after) in zip(try honest.world.ranks(), try poisoned.world.ranks()) {
        let old = before.firstIndex(of: id) ?? 10
        let new = after.firstIndex(of: id) ?? 10
        #expect(abs(old - new) <= 1, "\(id) from \(old) to \(new)")
      }
    }
  }
}
