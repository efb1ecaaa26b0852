import LinearAlgebra
import Primitives
import Search
import Testing

#if canImport(Glibc)
  import Glibc
#endif

private func exponential(_ value: Double) -> Double { Glibc.exp(value) }
private func logarithm(_ value: Double) -> Double { Glibc.log(value) }

@Suite("The trainer of the embedding's map")
struct LearningTrainerTests {
  /// The loss by plain loops in doubles.
  private func loss(
    _ map: [Double], _ needs: [[Double]], _ services: [[Double]],
    _ targets: [AdapterObjective.Target], temperature: Double, pull: Double
  ) -> Double {
    let d = needs[0].count
    func mapped(_ vector: [Double]) -> [Double] {
      let image = (0..<d).map { column in
        (0..<d).reduce(0.0) { $0 + vector[$1] * map[$1 * d + column] }
      }
      let length = image.reduce(0) { $0 + $1 * $1 }.squareRoot()
      return image.map { $0 / length }
    }
    let images = services.map(mapped)
    let total = targets.reduce(0.0) { $0 + Double($1.weight) }
    var sum = 0.0
    for (need, target) in zip(needs, targets) {
      let image = mapped(need)
      let scores = images.map { other in
        exponential(zip(image, other).reduce(0) { $0 + $1.0 * $1.1 } / temperature)
      }
      let all = scores.reduce(0, +)
      for (row, share) in target.services {
        sum -= Double(target.weight) / total * Double(share) * logarithm(scores[row] / all)
      }
    }
    for row in 0..<d {
      for column in 0..<d {
        let difference = map[row * d + column] - (row == column ? 1 : 0)
        sum += 0.5 * pull * difference * difference
      }
    }
    return sum
  }

  @Test("loss and gradient are those of the definition", arguments: 0..<4 as Range<UInt64>)
  func gradient(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let d = 5
    func rows(_ count: Int) -> [[Float]] {
      (0..<count).map { _ in LearningWorld.unit((0..<d).map { _ in random.normal() }) }
    }
    let needs = rows(4)
    let services = rows(7)
    let targets = [
      AdapterObjective.Target(services: [(0, 1)], weight: 1),
      AdapterObjective.Target(services: [(3, 0.25), (6, 0.75)], weight: 2),
      AdapterObjective.Target(services: [(1, 1)], weight: 0.5),
      AdapterObjective.Target(services: [(3, 1)], weight: 1),
    ]
    var elements = Adapter.identity(d).elements
    for index in elements.indices { elements[index] += 0.2 * random.normal() }
    let objective = AdapterObjective(temperature: 0.2, pull: 0.3)
    let value = objective.value(
      at: Adapter(dimension: d, elements: elements), needs: needs.flatMap { $0 },
      services: services.flatMap { $0 }, targets: targets)
    let map = elements.map(Double.init)
    func plain(_ map: [Double]) -> Double {
      loss(
        map, needs.map { $0.map(Double.init) }, services.map { $0.map(Double.init) }, targets,
        temperature: 0.2, pull: Double(Float(0.3)))
    }
    #expect(abs(value.loss - plain(map)) < 1e-4)
    for index in map.indices {
      var (up, down) = (map, map)
      up[index] += 1e-5
      down[index] -= 1e-5
      let slope = (plain(up) - plain(down)) / 2e-5
      #expect(abs(Double(value.gradient[index]) - slope) < 2e-3, "element \(index)")
    }
  }

  private func examples(_ count: Int) -> [AdapterTrainer.Example] {
    (0..<count).map { AdapterTrainer.Example(need: $0, services: [($0 / 4, 1)]) }
  }

  @Test("the same seed gives the same map, another seed another")
  func determinism() async throws {
    let world = LearningWorld(serviceCount: 20)
    let needs = try #require(try await world.needVectors(of: world.needs.map(\.text)))
    let services = try #require(try await world.serviceVectors())
    func map(_ seed: UInt64, pool: Int) throws -> Adapter {
      var settings = AdapterTrainer.Settings()
      settings.seed = seed
      settings.stepCount = 5
      settings.batchCount = 16
      settings.serviceCountMax = pool
      return try AdapterTrainer(settings)
        .train(needs: needs, services: services, examples: examples(80))
    }
    for pool in [10, 4_000] {
      let first = try map(3, pool: pool)
      #expect(try first == map(3, pool: pool))
      #expect(try first != map(4, pool: pool))
      #expect(first.distance > 0)
      // Adam moves an element by about its rate in a step.
      #expect(first.distance < 0.003 * 16)
    }
    #expect(try map(3, pool: 10) != map(3, pool: 4_000))
  }

  @Test("nothing to learn from leaves the identity; numbers that are none are said to be")
  func odd() throws {
    let services = Matrix(columnCount: 2, elements: [1, 0, 0, 1])
    let needs = Matrix(columnCount: 2, elements: [1, 0])
    let trainer = AdapterTrainer()
    #expect(
      try trainer.train(needs: needs, services: services, examples: []) == .identity(2))
    let weightless = AdapterTrainer.Example(need: 0, services: [(0, 0)])
    #expect(
      try trainer.train(needs: needs, services: services, examples: [weightless])
        == .identity(2))
    let broken = Matrix(columnCount: 2, elements: [.nan, 0])
    let example = AdapterTrainer.Example(need: 0, services: [(0, 1)])
    #expect(throws: AdapterTrainer.Diverged.self) {
      try trainer.train(needs: broken, services: services, examples: [example])
    }
  }

  @Test("a map of rows is the map of each, at unit length")
  func applied() {
    let map = Adapter(dimension: 2, elements: [0, 2, 1, 0])
    let rows = map.applied(to: Matrix(columnCount: 2, elements: [3, 0, 0, 5, 0, 0]))
    #expect(rows.elements == [0, 1, 1, 0, 0, 0])
    #expect(map.applied(to: [0, 5]) == [1, 0])
    #expect(abs(map.distance - 7.0.squareRoot()) < 1e-6)
    #expect(Adapter.identity(3).distance == 0)
  }
}

@Suite("The trainer of the fusion")
struct LearningFusionTests {
  /// Needs whose right service is found by one leg only.
  private func needs(
    _ set: String, _ name: RankingConfiguration.QueryClass, count: Int, byText: Bool
  ) -> [FusionTrainer.Need] {
    (0..<count).map { number in
      let candidates = (0..<20).map { index in
        let isRight = index == number % 20
        // The other leg is even, with the wrong ones ahead by id.
        return FusionTrainer.Candidate(
          serviceID: "s\(100 + index)", text: byText ? (isRight ? 1 : 0) : Float(19 - index) / 19,
          vector: byText ? Float(19 - index) / 19 : (isRight ? 1 : 0))
      }
      return FusionTrainer.Need(
        set: set, queryClass: name, candidates: candidates,
        grades: ["s\(100 + number % 20)": 1])
    }
  }

  private let even = FusionTrainer.Weights(vectorShare: [
    .name: 0.5, .keywords: 0.5, .sentence: 0.5, .task: 0.5,
  ])

  @Test("each class gets the share that its needs ask for; a class with few needs keeps its own")
  func classes() {
    let all =
      needs("a", .keywords, count: 40, byText: true)
      + needs("b", .sentence, count: 40, byText: false)
      + needs("a", .task, count: 5, byText: true)
    let trainer = FusionTrainer()
    let learnt = trainer.train(all, from: even)
    #expect((learnt.vectorShare[.keywords] ?? 1) < 0.5)
    #expect((learnt.vectorShare[.sentence] ?? 0) > 0.5)
    #expect(learnt.vectorShare[.task] == 0.5)
    #expect(learnt.vectorShare[.name] == 0.5)
    #expect(trainer.mean(all, learnt) > trainer.mean(all, even))
    #expect(trainer.train(all, from: even) == learnt)
    #expect(trainer.train([], from: even) == even)
  }

  @Test("sets count alike, however many needs they have")
  func sets() {
    let trainer = FusionTrainer()
    let one = needs("small", .keywords, count: 30, byText: true)
    let many = needs("large", .keywords, count: 3_000, byText: false)
    var text = even
    text.vectorShare[.keywords] = 0
    let (small, large) = (trainer.mean(one, text), trainer.mean(many, text))
    #expect(abs(trainer.mean(one + many, text) - (small + large) / 2) < 1e-12)
    #expect(small == 1)
    #expect(large < 0.5)
  }

  @Test("the top ten are those of a full sort")
  func topTen() {
    var random = SplitMix64(seed: 11)
    let trainer = FusionTrainer()
    let all = (0..<60).map { number in
      let candidates = (0..<30).map { index in
        FusionTrainer.Candidate(
          serviceID: "s\(index)", text: Float(random.below(5)) / 4,
          vector: Float(random.below(5)) / 4)
      }
      return FusionTrainer.Need(
        set: "a", queryClass: .name, candidates: candidates, grades: ["s\(number % 30)": 2])
    }
    let learnt = trainer.train(all, from: even)
    for need in all {
      let sorted = need.candidates.map { candidate in
        let share = learnt.vectorShare[.name] ?? 0
        let legs = FusionTrainer.factors(share)
        return (
          candidate.serviceID, legs.text * candidate.text + legs.vector * candidate.vector
        )
      }.sorted { ($1.1, $0.0) < ($0.1, $1.0) }
      #expect(trainer.ndcg(need, learnt) == Measures.ndcg10(sorted.map(\.0), need.grades))
    }
  }
}
